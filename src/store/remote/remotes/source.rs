// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a secret of a remote comes from: the same sources as of an unlock secret.

use crate::secret::Locked;
use crate::store::remote::objects::{Answer, Cause, Trouble};
use crate::unlock::{COMMAND_WAIT, UnlockSource};
use std::fmt;
use std::time::Instant;

/// The source of a secret: `file:PATH`, `credential:NAME`, `env:NAME` or `command:PROGRAM ARGS`. Shown without the
/// arguments of a program.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// The field of the remotes file that names it.
    field: &'static str,
    from: UnlockSource,
}

impl Source {
    /// A source that this field of the remotes file names.
    pub fn new(field: &'static str, from: UnlockSource) -> Self {
        Self { field, from }
    }

    /// The source as an unlock source: what it needs of the system.
    pub fn source(&self) -> &UnlockSource {
        &self.from
    }

    /// Reads the secret, by `until`. It is one line of text; a line ending at its end does not belong to it.
    ///
    /// # Errors
    /// [`Cause::Settings`], with the field and the source.
    pub fn read(&self, until: Instant) -> Answer<Secret> {
        let limit = COMMAND_WAIT.min(until.saturating_duration_since(Instant::now()));
        let told = |why: &dyn fmt::Display| {
            Trouble::not_done(
                Cause::Settings,
                format!("{} could not be read from {}: {why}", self.field, self.from),
            )
        };
        let bytes = self.from.read_within(limit).map_err(|e| told(&e))?;
        Secret::new(bytes).map_err(|why| told(&why))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.from.fmt(f)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.from)
    }
}

/// A secret that was read, in locked memory. `Debug` does not show it.
pub struct Secret {
    bytes: Locked,
    len: usize,
}

impl Secret {
    fn new(bytes: Locked) -> Result<Self, &'static str> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let len = line.len();
        match std::str::from_utf8(line) {
            Ok("") => Err("it is empty"),
            Ok(text) if !text.chars().any(char::is_control) => Ok(Self { bytes, len }),
            _ => Err("it is not one line of text"),
        }
    }

    /// The secret.
    pub fn text(&self) -> &str {
        self.bytes.get(..self.len).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
