// SPDX-License-Identifier: GPL-2.0-or-later
//! What all findings together come to.

use crate::commands::doctor::finding::{Findings, Level};
use crate::commands::report::facts::Facts;
use crate::server::State;
use serde::Serialize;

/// What comes of it all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands::report) enum Outcome {
    /// Everything that can be encrypted is, and all was looked at.
    Fine,
    /// Nothing is wrong with what was looked at, but something that matters was not.
    Incomplete,
    /// Something is in clear, or wrong.
    NotFine,
}

impl Outcome {
    pub fn of(facts: &Facts, found: &Findings) -> Outcome {
        if found.count(Level::Wrong) > 0 {
            Outcome::NotFine
        } else if not_measured(facts).is_empty() {
            Outcome::Fine
        } else {
            Outcome::Incomplete
        }
    }

    /// In a sentence.
    pub fn headline(self, facts: &Facts, found: &Findings) -> String {
        let clear = facts.places.iter().filter(|i| i.state == State::Clear && !facts.accepts(i.kind)).count();
        match self {
            Outcome::Fine => "Everything that MySQL can encrypt is encrypted".to_owned(),
            Outcome::Incomplete => "Everything that MySQL can encrypt is encrypted, as the server says; not all that matters could be looked at".to_owned(),
            Outcome::NotFine if clear > 0 => {
                format!("Not everything is encrypted: {} in clear", count(clear, "place or setting leaves data", "places or settings leave data"))
            }
            Outcome::NotFine => format!(
                "Everything is encrypted as the server says, but {} wrong",
                count(found.count(Level::Wrong), "thing is", "things are")
            ),
        }
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// What matters for the verdict and was not measured, with the reason.
pub(in crate::commands::report) fn not_measured(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut add = |what, why: Option<&str>| all.extend(why.map(|why| (what, why.to_owned())));
    add("whether the server's files are encrypted, page by page", facts.files.why_not());
    add("the master keys and their dates", facts.keys.why_not());
    add("the witness in the data directory", facts.witness.why_not());
    for copy in &facts.copies {
        add("a copy of the keyring", copy.file.why_not());
        add("the volume of a copy", copy.volume.why_not());
        add("every byte of a copy", copy.file.measured().and_then(|f| f.verified.why_not()));
    }
    all.dedup();
    all
}
