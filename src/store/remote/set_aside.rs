// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes room for a new copy at a prefix where something is that is none any more, and keeps what is there.

use super::head::{HEAD, Head, PieceName, is_mark, mark};
use super::locked::maybe;
use super::objects::{Answer, Cause, Objects, Put, Trouble, Version};
use std::time::Instant;

/// What the names of folders with kept objects begin with.
const KEPT: &str = "kept-";
/// How many objects are deleted with one request.
const AT_ONCE: usize = 500;

/// The head and the pieces of a copy, or of what is left of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remains {
    prefix: String,
    /// The head and its version, if there is one.
    head: Option<(Vec<u8>, Version)>,
    /// Names of pieces, relative to the prefix.
    pieces: Vec<String>,
    /// How many of these the head names although they do not exist.
    missing: usize,
    /// The folder where they are kept, below the prefix.
    kept: String,
}

/// Whether the last part of a prefix is that of a folder with kept objects.
pub fn is_kept(prefix: &str) -> bool {
    let last = prefix.rsplit('/').next().unwrap_or_default();
    last.strip_prefix(KEPT).is_some_and(|number| number.parse::<u32>().is_ok())
}

impl Remains {
    /// What is at a prefix. `None` if nothing is: a copy can be created there.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn find(objects: &dyn Objects, prefix: &str, until: Instant) -> Answer<Option<Self>> {
        let below = format!("{prefix}/");
        let mut pieces = Vec::new();
        let mut last_kept = 0;
        for name in objects.list(prefix, until)? {
            let Some(name) = name.strip_prefix(&below) else { continue };
            if PieceName::parse(name).is_some() {
                pieces.push(name.to_owned());
            }
            let number = name.strip_prefix(KEPT).and_then(|rest| rest.split('/').next()?.parse::<u32>().ok());
            last_kept = last_kept.max(number.unwrap_or_default());
        }
        let head = objects.get(&format!("{below}{HEAD}"), until)?;
        if pieces.is_empty() && head.as_ref().is_none_or(|head| is_mark(&head.bytes)) {
            return Ok(None);
        }
        // A list may leave out what was put a moment ago.
        let named = head.as_ref().and_then(|head| Head::decode(&head.bytes));
        let mut missing = 0;
        for name in named.iter().flat_map(|head| &head.pieces).map(|piece| piece.name.to_string()) {
            if !pieces.contains(&name) {
                missing += usize::from(objects.get(&format!("{below}{name}"), until)?.is_none());
                pieces.push(name);
            }
        }
        pieces.sort();
        let kept = format!("{prefix}/{KEPT}{}", last_kept.saturating_add(1));
        let head = head.map(|head| (head.bytes, head.version));
        Ok(Some(Self { prefix: prefix.to_owned(), head, pieces, missing, kept }))
    }

    /// The bytes of the head, if there is one.
    pub fn head(&self) -> Option<&[u8]> {
        self.head.as_ref().map(|(bytes, _)| bytes.as_slice()).filter(|bytes| !is_mark(bytes))
    }

    /// How many pieces there are, or should be according to the head.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// How many of these do not exist.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// The prefix where all of it is kept.
    pub fn kept(&self) -> &str {
        &self.kept
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// Copies all of it to where it is kept, and then frees the prefix: a mark takes the place of the head, if nobody has
    /// changed the head since it was read. A change that a server has begun fails from then on.
    ///
    /// # Errors
    /// [`Trouble`]: the prefix is as it was, unless the message says something else.
    pub fn set_aside(&self, objects: &dyn Objects, until: Instant) -> Answer<()> {
        for name in &self.pieces {
            // A list may name what was deleted a moment ago.
            if let Some(piece) = objects.get(&self.full(name), until)? {
                keep(objects, &format!("{}/{name}", self.kept), &piece.bytes, until)?;
            }
        }
        if let Some(head) = self.head() {
            keep(objects, &format!("{}/{HEAD}", self.kept), head, until)?;
        }
        let random = crate::secret::random_array()
            .map_err(|e| Trouble::not_done(Cause::Settings, format!("no random number: {e}")))?;
        let mark = mark(random);
        let head = self.full(HEAD);
        let put = objects.put(&head, &mark, self.head.as_ref().map(|(_, version)| version), until);
        if !matches!(put, Ok(Put::Done(_))) {
            match (objects.get(&head, until), put) {
                // Only the answer was lost.
                (Ok(Some(now)), _) if now.bytes == mark => {}
                (_, Err(trouble)) if !trouble.may_have_happened => return Err(trouble),
                (_, Err(trouble)) | (Err(trouble), _) => return Err(maybe(trouble)),
                (Ok(_), Ok(_)) => {
                    let told = "somebody changed the keyring meanwhile: see which program uses it";
                    return Err(Trouble::not_done(Cause::Unwell, told));
                }
            }
        }
        let names: Vec<_> = self.pieces.iter().map(|name| self.full(name)).collect();
        for some in names.chunks(AT_ONCE) {
            objects.delete(some, until).map_err(|trouble| Trouble {
                may_have_happened: true,
                told: format!(
                    "what was there is kept, but old pieces could not be deleted: {}. Run this again",
                    trouble.told
                ),
                ..trouble
            })?;
        }
        Ok(())
    }
}

/// Puts an object under a name that nobody else uses.
fn keep(objects: &dyn Objects, name: &str, bytes: &[u8], until: Instant) -> Answer<()> {
    match objects.put(name, bytes, None, until) {
        Ok(Put::Done(_)) => Ok(()),
        put => match objects.get(name, until)? {
            Some(there) if there.bytes == bytes => Ok(()),
            Some(_) => Err(Trouble::not_done(Cause::Unwell, format!("object {name} exists: run this again"))),
            None => Err(put
                .err()
                .unwrap_or_else(|| Trouble::not_done(Cause::Unwell, "the remote is busy: try again"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_kept_objects_is_known_by_its_name() {
        for (prefix, kept) in [
            ("db1/kept-1", true),
            ("kept-12", true),
            ("kept-1/db1", false),
            ("db1/kept-x", false),
            ("db1/kept-", false),
            ("db1/unkept-1", false),
        ] {
            assert_eq!(is_kept(prefix), kept, "{prefix}");
        }
    }
}
