// SPDX-License-Identifier: GPL-2.0-or-later
//! What not every server has. The server under test is asked for it, never for its version: on one that lacks it, the
//! test ends as skipped and says what is missing.

use super::place;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

/// Something that a server has or lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feature {
    /// mysqld takes this option, which is written without `--`.
    Option(&'static str),
    /// mysqld loads components that a manifest names: from 8.0.24 on.
    Manifest,
    /// A file in its plugin directory.
    Library(&'static str),
    /// A program that comes with it.
    Program(&'static str),
    /// A file of MySQL's test suite.
    TestFile(&'static str),
}

impl Feature {
    /// What this server lacks, if it does.
    pub fn missing(self) -> Option<String> {
        let (there, what) = match self {
            Feature::Option(name) => (place().takes(name), format!("option --{name}")),
            // That option came with them.
            Feature::Manifest => {
                (place().takes("keyring-migration-to-component"), "components from a manifest".into())
            }
            Feature::Library(name) => (place().plugins.join(name).exists(), name.into()),
            Feature::TestFile(name) => {
                (place().test_suite().join(name).exists(), format!("{name} in its test suite"))
            }
            Feature::Program(name) => (place().find_program(name).is_some(), format!("program {name}")),
        };
        (!there).then(|| format!("this server has no {what}"))
    }
}

/// How a test ends that needs what this server lacks.
struct Skipped(String);

thread_local! {
    static SKIPPING: Cell<bool> = const { Cell::new(false) };
}

/// Goes on if the server has this; otherwise ends the test of this thread as skipped.
pub fn needs(feature: Feature) {
    if let Some(why) = feature.missing() {
        SKIPPING.set(true);
        // No panic: nothing is printed, and whatever the test has started is stopped.
        resume_unwind(Box::new(Skipped(why)));
    }
}

/// A program of the server. The test is skipped if there is none.
pub fn program(name: &'static str) -> PathBuf {
    needs(Feature::Program(name));
    place().find_program(name).expect("it was there")
}

/// Whether this thread is leaving a test that is skipped.
pub(super) fn is_skipping() -> bool {
    SKIPPING.get()
}

/// Runs a test. Returns why it was skipped, if [`needs`] ended it.
pub fn skipped(test: impl FnOnce()) -> Option<String> {
    SKIPPING.set(false);
    match catch_unwind(AssertUnwindSafe(test)) {
        Ok(()) => None,
        Err(end) => match end.downcast::<Skipped>() {
            Ok(skipped) => Some(skipped.0),
            Err(panic) => resume_unwind(panic),
        },
    }
}
