// SPDX-License-Identifier: GPL-2.0-or-later
//! What an engine says about itself that an administrator should know before a key depends on it. `keyringctl doctor`
//! shows it; nothing here is asked while a server works.

use super::objects::Objects;
use std::time::Instant;

/// How serious an observation is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// Keys cannot be stored or read, or are not safe.
    Error,
    /// That may happen.
    Warning,
    /// Something could not be looked at, or is worth knowing.
    Note,
}

/// What an observation is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The credentials: how long they are still valid, whether they can be renewed.
    Credentials,
    /// What the credentials allow besides the keyring: authentication that is off, rights of an administrator.
    Rights,
    /// What the engine keeps of objects that were replaced or deleted: versions, retention, locks, snapshots.
    History,
    /// The engine itself: members, room, alarms, a version with a known fault, a service that must be on.
    Cluster,
}

/// One thing that an engine says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// What it is about.
    pub subject: Subject,
    /// How serious it is.
    pub weight: Weight,
    /// What was found: a sentence that begins with a lower-case letter and has no full stop at its end.
    pub what: String,
    /// Why it matters: a sentence of the same form.
    pub why: String,
    /// How to fix it: commands, or lines for a file.
    pub fix: Vec<String>,
}

impl Observation {
    /// An observation without a way to fix it.
    pub fn new(subject: Subject, weight: Weight, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { subject, weight, what: what.into(), why: why.into(), fix: Vec::new() }
    }

    /// Adds a line of how to fix it.
    #[must_use]
    pub fn fix(mut self, line: impl Into<String>) -> Self {
        self.fix.push(line.into());
        self
    }
}

/// An engine that examines itself.
pub trait Examine {
    /// Returns what is wrong or worth knowing about the engine, as far as it concerns a keyring at `prefix`, in any
    /// order; nothing if all is well. What these credentials may not ask is no error: least rights are what they should
    /// have. Changes nothing, never fails, and ends by `until`.
    fn examine(&self, prefix: &str, until: Instant) -> Vec<Observation>;
}

/// An engine: its objects, and what it says about itself.
pub trait Engine: Objects + Examine {}

impl<T: Objects + Examine> Engine for T {}
