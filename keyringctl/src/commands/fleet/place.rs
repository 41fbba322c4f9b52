// SPDX-License-Identifier: GPL-2.0-or-later
//! A remote, or a prefix at one, whose keyrings are looked at.

use super::entry::Entry;
use super::progress::Progress;
use super::survey::survey;
use crate::error::Result;
use keyring_external::config::RemoteName;
use keyring_external::error::Failure;
use keyring_external::store::remote::head::HEAD;
use keyring_external::store::remote::objects::{Cause, Trouble};
use keyring_external::store::remote::open::open;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// How long an engine may take until it answers that nothing is there, leader elections included.
const ANSWERS: Duration = Duration::from_secs(15);

/// `@NAME` or `@NAME/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    remote: String,
    /// The prefix, or nothing.
    folder: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if !text.starts_with('@') {
            return Err("a remote is @NAME or @NAME/PREFIX".to_owned());
        }
        let text = text.trim_end_matches('/');
        // The rules for a remote's name are those in the name of a copy there.
        let whole = if text.contains('/') { text.to_owned() } else { format!("{text}/x") };
        let name = RemoteName::parse(Path::new(&whole)).map_err(|e| e.to_string())?;
        let folder = if text.contains('/') { name.prefix } else { String::new() };
        Ok(Place { remote: name.remote, folder })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.folder.as_str() {
            "" => write!(f, "@{}", self.remote),
            folder => write!(f, "@{}/{folder}", self.remote),
        }
    }
}

impl Place {
    /// Reads the heads of all keyrings there, by `until`.
    ///
    /// # Errors
    /// The remotes file cannot be used, or the engine does not list its objects.
    pub(super) fn survey(&self, remotes: &Path, until: Instant) -> Result<Vec<Entry>> {
        let failed = |trouble: Trouble| Failure::Remote {
            doing: "list",
            path: PathBuf::from(self.to_string()),
            why: trouble.told,
        };
        let engine = open(remotes, &self.remote).map_err(failed)?;
        // A list may take long where there are many keyrings. Whether the engine answers at all is known sooner.
        let head = if self.folder.is_empty() { HEAD.to_owned() } else { format!("{}/{HEAD}", self.folder) };
        match engine.get(&head, until.min(Instant::now() + ANSWERS)) {
            // These may be the answer to this object, and not to a list.
            Err(trouble) if !matches!(trouble.cause, Cause::NotAllowed | Cause::NotTheEngine) => {
                return Err(failed(trouble).into());
            }
            _ => {}
        }
        let progress = Progress::new();
        let found = survey(&self.remote, engine.as_ref(), &self.folder, until, &|done, all| {
            progress.tell(done, all);
        });
        progress.end();
        Ok(found.map_err(failed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_remote_with_or_without_a_prefix() {
        let place = |text: &str| text.parse::<Place>().map(|place| place.to_string());
        assert_eq!(place("@b").as_deref(), Ok("@b"));
        assert_eq!(place("@b/").as_deref(), Ok("@b"));
        assert_eq!(place("@b/x/y/").as_deref(), Ok("@b/x/y"));
        for bad in ["b", "/mnt/a", "@", "@/x", "@b//x", "@b/../x", "@b c/x"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
