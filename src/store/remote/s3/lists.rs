// SPDX-License-Identifier: GPL-2.0-or-later
//! What is asked by lists of the bucket.

use super::answers::Doing;
use super::xml::Element;
use super::{Asked, S3};
use crate::store::remote::objects::{Answer, Cause, Trouble};
use std::collections::HashSet;
use std::time::Instant;

impl S3 {
    /// All pages of a list of the bucket. `next` names what a page says about the next one, and the parameter for it.
    pub(super) fn pages(
        &self,
        doing: Doing<'_>,
        parameters: &[(&str, &str)],
        next: &[(&str, &str)],
        until: Instant,
        mut each: impl FnMut(&Element),
    ) -> Answer<()> {
        let mut seen = HashSet::new();
        let mut from: Vec<(String, String)> = Vec::new();
        loop {
            let mut all = parameters.to_vec();
            all.extend(from.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let answer = self.ask(&Asked { parameters: &all, ..Asked::new("GET", doing, "") }, until)?;
            if answer.status != 200 {
                return Err(self.refused(&answer, doing));
            }
            let Some(page) = Element::read(&answer.body) else {
                return Err(self.strange(&answer, "a list of objects is not XML"));
            };
            match page.text_of("IsTruncated") {
                Some("false") => {
                    each(&page);
                    return Ok(());
                }
                Some("true") => each(&page),
                _ => {
                    return Err(
                        self.strange(&answer, "a list of objects does not say whether it is complete")
                    );
                }
            }
            from = next
                .iter()
                .filter_map(|(said, name)| {
                    page.text_of(said).map(|value| ((*name).to_owned(), value.to_owned()))
                })
                .collect();
            // A store that repeats itself would be asked for ever.
            if from.is_empty() || !seen.insert(from.clone()) {
                return Err(self.strange(&answer, "a list of objects does not say where it goes on"));
            }
        }
    }

    /// Whether an object that may not be read does not exist. To credentials that may list only some of a bucket, S3
    /// does not tell it otherwise.
    pub(super) fn is_absent(&self, name: &str, until: Instant) -> bool {
        let mut there = false;
        let parameters = [("list-type", "2"), ("prefix", name), ("max-keys", "1")];
        let asked = Asked { parameters: &parameters, ..Asked::new("GET", Doing::List(name), "") };
        let Ok(answer) = self.ask(&asked, until) else { return false };
        let Some(page) = Element::read(&answer.body).filter(|_| answer.status == 200) else { return false };
        for object in page.all("Contents") {
            there |= object.text_of("Key").is_none_or(|key| key == name);
        }
        page.name == "ListBucketResult" && !there
    }

    /// Deletes what the bucket keeps of an object that was deleted, if the credentials allow that.
    pub(super) fn delete_versions(&self, name: &str, until: Instant) -> Answer<()> {
        let mut versions = Vec::new();
        let next = [("NextKeyMarker", "key-marker"), ("NextVersionIdMarker", "version-id-marker")];
        let doing = Doing::Versions(name);
        let listed = self.pages(doing, &[("versions", ""), ("prefix", name)], &next, until, |page| {
            for found in page.all("Version").chain(page.all("DeleteMarker")) {
                if found.text_of("Key") == Some(name) {
                    versions.extend(found.text_of("VersionId").map(str::to_owned));
                }
            }
        });
        match listed {
            Err(trouble) if matches!(trouble.cause, Cause::NotAllowed | Cause::NotTheEngine) => return Ok(()),
            listed => listed?,
        }
        for version in versions {
            let parameters = [("versionId", version.as_str())];
            let doing = Doing::Delete(name);
            let answer =
                self.ask(&Asked { parameters: &parameters, ..Asked::new("DELETE", doing, name) }, until)?;
            match (answer.status, self.refused(&answer, doing)) {
                (200..=299 | 404, _) => {}
                // `doctor` says so.
                (_, Trouble { cause: Cause::NotAllowed | Cause::NotTheEngine, .. }) => return Ok(()),
                (_, trouble) => return Err(trouble),
            }
        }
        Ok(())
    }
}
