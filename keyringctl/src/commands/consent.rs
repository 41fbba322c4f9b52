// SPDX-License-Identifier: GPL-2.0-or-later
//! The one rule for everything that destroys something or is hard to take back: show in a table what will happen, ask, and
//! only then do it. `--yes` answers the question; without it and without a terminal the command refuses, and has changed
//! nothing. `--dry-run` only shows the table.

use super::command_line::command_line;
use super::output::{Output, table};
use crate::error::{Error, Result};
use crate::show::visible;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::{self, BufRead, IsTerminal, Write};

/// How often a question is asked if the answer is neither yes nor no.
const TRIES: usize = 3;

/// The options of a command that destroys something or is hard to take back. Such a command flattens them.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(super) struct Consent {
    /// Show what would happen, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

/// What one part of the command changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Effect {
    /// What is changed, such as a path or a slot.
    pub what: String,
    /// What it is now.
    pub now: String,
    /// What it will be.
    pub afterwards: String,
}

impl Effect {
    pub(super) fn new(
        what: impl Into<String>,
        now: impl Into<String>,
        afterwards: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), now: now.into(), afterwards: afterwards.into() }
    }
}

/// All that a command is about to do, with the question whether to do it.
pub(super) struct Plan {
    effects: Vec<Effect>,
    notes: Vec<String>,
    question: String,
    word: Option<&'static str>,
    details: Map<String, Value>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Decision {
    /// Do what the plan says.
    Go,
    /// Change nothing: this is a dry run, and its output is complete.
    DryRun,
}

impl Plan {
    /// A plan that a yes starts. `question` is a full sentence that ends with a question mark.
    pub(super) fn new(question: impl Into<String>) -> Self {
        Self {
            effects: Vec::new(),
            notes: Vec::new(),
            question: question.into(),
            word: None,
            details: Map::new(),
        }
    }

    /// Asks for this word instead of a yes: for what destroys most, and is never meant by chance.
    pub(super) fn typed(mut self, word: &'static str) -> Self {
        self.word = Some(word);
        self
    }

    /// Adds a row of the table.
    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Whether nothing is changed.
    pub(super) fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Adds a sentence below the table: what is lost, and what helps against that.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a field to the JSON document, which has the effects and notes anyway.
    pub(super) fn detail(&mut self, name: &str, value: Value) {
        self.details.insert(name.to_owned(), value);
    }

    fn document(&self, dry_run: bool) -> Value {
        let mut document = json!({ "dry_run": dry_run, "effects": self.effects, "notes": self.notes });
        if let Some(fields) = document.as_object_mut() {
            fields.extend(self.details.clone());
        }
        document
    }

    /// Shows the plan without a question, because the command refuses to do it.
    pub(super) fn show(&self, consent: &Consent, out: &mut Output) {
        let row = |e: &Effect| vec![e.what.clone(), e.now.clone(), e.afterwards.clone()];
        let rows: Vec<_> = self.effects.iter().map(row).collect();
        match rows.as_slice() {
            [] if consent.dry_run => out.line("There is nothing to change"),
            [] => {}
            rows => {
                table(out, &["what", "now", "afterwards"], rows);
                self.notes.iter().for_each(|note| out.line(note));
            }
        }
        out.document(&self.document(consent.dry_run));
    }

    /// What an answer was that does not start the plan.
    fn declined(&self) -> String {
        self.word.map_or_else(
            || "the answer was no".to_owned(),
            |word| format!("the answer was not the word {word}"),
        )
    }

    /// What to type, as the question says it.
    fn choice(&self) -> String {
        self.word.map_or_else(
            || "[yes/no]".to_owned(),
            |word| format!("Type {word} to continue, anything else to stop"),
        )
    }
}

impl Consent {
    /// Shows the plan, and asks unless `--yes` is given. Called before anything is changed. The plan is the JSON document
    /// until the command sets another one.
    ///
    /// # Errors
    /// The answer is no, or nobody can be asked.
    pub(super) fn ask(&self, plan: &Plan, out: &mut Output) -> Result<Decision> {
        if self.dry_run {
            plan.show(self, out);
            out.line("Nothing was changed: this was a dry run");
            return Ok(Decision::DryRun);
        }
        if self.agree(plan, out)? {
            return Ok(Decision::Go);
        }
        Err(Error::Usage(format!("nothing was changed: {}", plan.declined())))
    }

    /// As [`Consent::ask`], for one of several steps of a command that goes on without it: returns whether the answer is yes.
    ///
    /// # Errors
    /// Nobody can be asked.
    pub(super) fn agree(&self, plan: &Plan, out: &mut Output) -> Result<bool> {
        plan.show(self, out);
        if self.yes || plan.effects.is_empty() {
            return Ok(true);
        }
        out.show_before_question();
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Err(Error::Usage(format!(
                "nothing was changed: standard input is not a terminal, so nobody can be asked. Read the table, then \
                 add --yes: {} --yes",
                command_line()
            )));
        }
        answer(plan, &mut stdin.lock(), &mut io::stderr())
    }
}

/// Asks the question of a plan. Returns whether the answer is yes.
fn answer(plan: &Plan, answers: &mut dyn BufRead, terminal: &mut dyn Write) -> Result<bool> {
    let question = visible(format_args!("{} {}: ", plan.question, plan.choice()));
    for _ in 0..TRIES {
        let mut line = String::new();
        let asked = terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush());
        let read = asked
            .and_then(|()| answers.read_line(&mut line))
            .map_err(|e| Error::Usage(format!("nothing was changed: the answer cannot be read ({e})")))?;
        if read == 0 {
            return Err(Error::Usage("nothing was changed: the input ended before the answer".to_owned()));
        }
        let line = line.trim();
        match (plan.word, line.to_ascii_lowercase().as_str()) {
            (Some(word), _) => return Ok(line == word),
            (None, "y" | "yes") => return Ok(true),
            (None, "n" | "no" | "") => return Ok(false),
            (None, _) => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(plan: &Plan, typed: &str) -> (Result<bool>, String) {
        let mut shown = Vec::new();
        let answer = answer(plan, &mut typed.as_bytes(), &mut shown);
        (answer, String::from_utf8(shown).unwrap())
    }

    #[test]
    fn an_answer_that_is_neither_yes_nor_no_is_asked_again_and_then_means_no() {
        let plan = Plan::new("Remove slot 2?");
        for (typed, expected, times) in [
            ("y\n", true, 1),
            (" YES \n", true, 1),
            ("no\n", false, 1),
            ("\n", false, 1),
            ("perhaps\nyes\n", true, 2),
            ("a\nb\nc\nyes\n", false, 3),
        ] {
            let (answer, shown) = answered(&plan, typed);
            assert_eq!(answer.unwrap(), expected, "{typed:?}");
            assert_eq!(shown, "Remove slot 2? [yes/no]: ".repeat(times), "{typed:?}");
        }
    }

    #[test]
    fn a_plan_of_the_worst_kind_starts_with_its_word_only() {
        let plan = Plan::new("Decrypt everything?").typed("decrypt");
        for (typed, expected) in [("decrypt\n", true), ("yes\n", false), ("DECRYPT\n", false), ("\n", false)]
        {
            let (answer, shown) = answered(&plan, typed);
            assert_eq!(answer.unwrap(), expected, "{typed:?}");
            assert_eq!(shown, "Decrypt everything? Type decrypt to continue, anything else to stop: ");
        }
    }

    #[test]
    fn the_end_of_the_input_is_an_error_that_says_that_nothing_was_changed() {
        let (answer, _) = answered(&Plan::new("Remove slot 2?"), "");
        assert_eq!(answer.unwrap_err().to_string(), "nothing was changed: the input ended before the answer");
    }

    #[test]
    fn a_dry_run_is_one_document_with_the_effects_also_together_with_yes() {
        let mut plan = Plan::new("Remove slot 2?");
        plan.effect(Effect::new("slot 2", "passphrase", "removed"));
        plan.note("Nobody can unlock the keyring with it then.");
        plan.detail("slots", json!(1));
        let mut out = Output::new(true);
        let decision = Consent { dry_run: true, yes: true }.ask(&plan, &mut out).unwrap();
        assert_eq!(decision, Decision::DryRun);
        assert_eq!(
            plan.document(true),
            json!({
                "dry_run": true,
                "effects": [{ "what": "slot 2", "now": "passphrase", "afterwards": "removed" }],
                "notes": ["Nobody can unlock the keyring with it then."],
                "slots": 1,
            })
        );
    }
}
