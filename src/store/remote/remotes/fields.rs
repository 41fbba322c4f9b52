// SPDX-License-Identifier: GPL-2.0-or-later
//! The fields of one JSON object. Each mistake is told with the field; a value is never repeated, because it may be a
//! secret that was written in the wrong place.

use super::json::Json;
use super::source::Source;
use crate::unlock::UnlockSource;
use std::path::PathBuf;

/// The fields of an object that were not taken yet.
pub(super) struct Fields {
    /// What precedes the names of its fields: `approle.`.
    prefix: &'static str,
    left: Vec<(String, Json)>,
}

impl Fields {
    /// # Errors
    /// If it is no object, or a field occurs twice. `name` is what the object is called.
    pub(super) fn of(json: Json, name: &str, prefix: &'static str) -> Result<Self, String> {
        let Json::Object(left) = json else { return Err(format!("{name} must be an object: {{...}}")) };
        for (index, (field, _)) in left.iter().enumerate() {
            if left.iter().take(index).any(|(earlier, _)| earlier == field) {
                return Err(format!("\"{prefix}{}\" occurs twice", plain(field)));
            }
        }
        Ok(Self { prefix, left })
    }

    pub(super) fn take(&mut self, field: &str) -> Option<Json> {
        let at = self.left.iter().position(|(name, _)| name == field)?;
        Some(self.left.remove(at).1)
    }

    fn bad(&self, field: &str, why: &str) -> String {
        format!("\"{}{field}\" {why}", self.prefix)
    }

    /// A text that is not empty, if the field is there.
    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>, String> {
        match self.take(field) {
            None => Ok(None),
            Some(Json::Text(text)) if text.is_empty() => Err(self.bad(field, "is empty")),
            Some(Json::Text(text)) if text.chars().any(char::is_control) => {
                Err(self.bad(field, "contains a control character"))
            }
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.bad(field, "must be a text: \"...\"")),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, field: &str) -> Result<String, String> {
        self.text(field)?.ok_or_else(|| self.bad(field, "is missing"))
    }

    /// A text that must satisfy a condition, if the field is there. `or` is what to say otherwise.
    pub(super) fn checked(
        &mut self,
        field: &str,
        good: impl FnOnce(&str) -> bool,
        or: &str,
    ) -> Result<Option<String>, String> {
        match self.text(field)? {
            Some(text) if !good(&text) => Err(self.bad(field, or)),
            text => Ok(text),
        }
    }

    pub(super) fn flag(&mut self, field: &str) -> Result<Option<bool>, String> {
        match self.take(field) {
            None => Ok(None),
            Some(Json::Flag(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.bad(field, "must be true or false, without quotes")),
        }
    }

    pub(super) fn path(&mut self, field: &str) -> Result<Option<PathBuf>, String> {
        let path = self.checked(field, |path| path.starts_with('/'), "must be a path that begins with /")?;
        Ok(path.map(PathBuf::from))
    }

    /// The source of a secret. `field` has its prefix, because messages name it later as well.
    pub(super) fn source(&mut self, field: &str, full: &'static str) -> Result<Option<Source>, String> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let from = UnlockSource::parse(&text).map_err(|_| {
            self.bad(
                field,
                "must name where the secret is, never the secret itself: use file:PATH, credential:NAME, env:NAME or \
                 command:PROGRAM ARGS. If a secret stands there, replace it: it has been in this file",
            )
        })?;
        if let UnlockSource::File(path) = &from
            && !path.is_absolute()
        {
            return Err(self.bad(field, "needs the full path of the file after file:"));
        }
        Ok(Some(Source::new(full, from)))
    }

    pub(super) fn needed_source(&mut self, field: &str, full: &'static str) -> Result<Source, String> {
        self.source(field, full)?.ok_or_else(|| {
            self.bad(field, "is missing: use file:PATH, credential:NAME, env:NAME or command:PROGRAM ARGS")
        })
    }

    /// # Errors
    /// If a field is left that nobody took. `known` are the fields that there are.
    pub(super) fn end(self, known: &str) -> Result<(), String> {
        match self.left.first() {
            None => Ok(()),
            Some((field, _)) => {
                Err(format!("\"{}{}\" is not a known field: there are {known}", self.prefix, plain(field)))
            }
        }
    }
}

/// A name from the file as it can be shown: short, and without characters that a terminal obeys.
pub(super) fn plain(name: &str) -> String {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    if shown == name { shown } else { format!("{shown}...") }
}
