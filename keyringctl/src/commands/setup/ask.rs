// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks questions on the terminal.

use crate::error::{Error, Result};
use crate::show::visible;
use std::io::{self, BufRead, IsTerminal, Write};

/// Asks questions, or takes the default answers if it is not interactive.
pub(super) struct Prompt<'a> {
    answers: Option<&'a mut dyn BufRead>,
}

impl<'a> Prompt<'a> {
    /// Asks nothing: every answer is the default.
    pub(super) fn non_interactive() -> Prompt<'a> {
        Prompt { answers: None }
    }

    /// Reads the answers from `answers`.
    pub(super) fn interactive(answers: &'a mut dyn BufRead) -> Prompt<'a> {
        Prompt { answers: Some(answers) }
    }

    /// Whether it asks somebody.
    pub(super) fn is_interactive(&self) -> bool {
        self.answers.is_some()
    }

    /// Asks for a line. Returns `default` if the line is empty, or if this is not interactive.
    pub(super) fn line(&mut self, question: &str, default: &str) -> Result<String> {
        let Some(answers) = &mut self.answers else { return Ok(default.to_owned()) };
        let question =
            if default.is_empty() { format!("{question}: ") } else { format!("{question} [{default}]: ") };
        let mut line = String::new();
        let mut out = io::stdout();
        let asked = out.write_all(visible(question).as_bytes()).and_then(|()| out.flush());
        let got = asked.and_then(|()| answers.read_line(&mut line));
        match got {
            Ok(0) => Err(Error::Usage("the input ended before the answer: nothing was changed".to_owned())),
            Ok(_) => {
                let line = line.trim();
                Ok(if line.is_empty() { default } else { line }.to_owned())
            }
            Err(e) => Err(Error::Usage(format!("cannot read the answer ({e}): nothing was changed"))),
        }
    }

    /// Asks for a line until `check` accepts it, and says each time why it does not. If this is not interactive, the
    /// default must pass.
    pub(super) fn checked<T>(
        &mut self,
        question: &str,
        default: &str,
        mut check: impl FnMut(&str) -> Result<T>,
    ) -> Result<T> {
        loop {
            match check(&self.line(question, default)?) {
                Err(e) if self.answers.is_some() => {
                    // The terminal is gone if this fails, and the next question says so.
                    let _ = writeln!(io::stdout(), "{}", visible(e.to_string()));
                }
                done => return done,
            }
        }
    }

    /// Asks for yes or no. Returns yes if this is not interactive.
    pub(super) fn confirm(&mut self, question: &str) -> Result<bool> {
        if self.answers.is_none() {
            return Ok(true);
        }
        loop {
            match self.line(&format!("{question} [y/n]"), "")?.to_ascii_lowercase().as_str() {
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => {}
            }
        }
    }
}

/// Whether standard input and output are a terminal.
pub(super) fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_is_the_default_and_the_end_of_input_is_an_error() {
        let mut typed = &b"\nother\nmaybe\nno\nYes\n"[..];
        let mut prompt = Prompt::interactive(&mut typed);
        assert_eq!(prompt.line("a", "b").unwrap(), "b");
        assert_eq!(prompt.line("a", "b").unwrap(), "other");
        assert!(!prompt.confirm("a").unwrap());
        assert!(prompt.confirm("a").unwrap());
        assert!(prompt.line("a", "b").is_err());
    }

    #[test]
    fn a_non_interactive_prompt_takes_the_default_and_confirms() {
        let mut prompt = Prompt::non_interactive();
        assert_eq!(prompt.line("a", "b").unwrap(), "b");
        assert!(prompt.confirm("a").unwrap());
    }
}
