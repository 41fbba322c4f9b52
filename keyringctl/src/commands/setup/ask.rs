// SPDX-License-Identifier: GPL-2.0-or-later
//! Questions on the terminal.

use crate::error::{Error, Result};
use std::io::{self, BufRead, IsTerminal, Write};

/// Whoever answers questions. Without anybody, the answer is the default.
pub(super) struct Ask<'a> {
    answers: Option<&'a mut dyn BufRead>,
}

impl<'a> Ask<'a> {
    /// Nobody is there to be asked.
    pub fn nobody() -> Ask<'a> {
        Ask { answers: None }
    }

    /// Whoever types these lines.
    pub fn of(answers: &'a mut dyn BufRead) -> Ask<'a> {
        Ask { answers: Some(answers) }
    }

    /// Whether somebody is there.
    pub fn is_somebody(&self) -> bool {
        self.answers.is_some()
    }

    /// A line; what `default` says when it is empty, or nobody is there.
    pub fn line(&mut self, question: &str, default: &str) -> Result<String> {
        let Some(answers) = &mut self.answers else { return Ok(default.to_owned()) };
        if default.is_empty() {
            print!("{question}: ");
        } else {
            print!("{question} [{default}]: ");
        }
        let mut line = String::new();
        let got = io::stdout().flush().and_then(|()| answers.read_line(&mut line));
        match got {
            Ok(0) => Err(Error::Usage("there was no answer: nothing was changed".to_owned())),
            Ok(_) => {
                let line = line.trim();
                Ok(if line.is_empty() { default } else { line }.to_owned())
            }
            Err(e) => Err(Error::Usage(format!("no answer could be read ({e}): nothing was changed"))),
        }
    }

    /// Yes or no. Nobody says yes.
    pub fn agrees(&mut self, question: &str) -> Result<bool> {
        if !self.is_somebody() {
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

/// Whether there is a terminal to ask at.
pub(super) fn terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_is_the_default_and_the_end_is_no_answer() {
        let mut typed = &b"\nother\nmaybe\nno\nYes\n"[..];
        let mut ask = Ask::of(&mut typed);
        assert_eq!(ask.line("a", "b").unwrap(), "b");
        assert_eq!(ask.line("a", "b").unwrap(), "other");
        assert!(!ask.agrees("a").unwrap());
        assert!(ask.agrees("a").unwrap());
        assert!(ask.line("a", "b").is_err());
    }

    #[test]
    fn nobody_takes_the_default_and_agrees() {
        let mut ask = Ask::nobody();
        assert_eq!(ask.line("a", "b").unwrap(), "b");
        assert!(ask.agrees("a").unwrap());
    }
}
