// SPDX-License-Identifier: GPL-2.0-or-later
//! The line that a check prints, as monitoring systems read it.

use super::output::{document_text, versioned};
use crate::error::Error;
use crate::show::visible;
use serde_json::{Map, Value, json};
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

/// Nagios reads 8 KiB, performance data included.
const LONGEST: usize = 6000;

/// How serious the result of a check is. The order is that of severity: what is known to be wrong comes before what is
/// not known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Level {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Unknown => "UNKNOWN",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
        }
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Level::Ok => 0,
            Level::Warning => 1,
            Level::Critical => 2,
            Level::Unknown => 3,
        }
    }
}

/// A number for the graphs of the monitoring system.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub name: &'static str,
    pub value: u64,
    /// Whether it counts events since the keyring was opened.
    pub is_counter: bool,
    /// The ranges of values outside of which the state is WARNING and CRITICAL.
    pub ranges: (String, String),
}

impl Figure {
    pub(super) fn new(name: &'static str, value: u64) -> Figure {
        Figure { name, value, is_counter: false, ranges: (String::new(), String::new()) }
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.is_counter { "c" } else { "" };
        let (warning, critical) = &self.ranges;
        let ranges = format!(";{warning};{critical}");
        write!(f, "{}={}{unit}{}", self.name, self.value, ranges.trim_end_matches(';'))
    }
}

/// The result of a check.
#[derive(Debug)]
pub(super) struct Line {
    pub level: Level,
    /// What was found, without the state's name.
    pub text: String,
    pub figures: Vec<Figure>,
}

impl Line {
    /// The check could not be carried out.
    pub(super) fn failed(e: &Error) -> Line {
        Line { level: Level::Unknown, text: e.to_string(), figures: Vec::new() }
    }

    /// The exit code, and what is printed.
    pub(super) fn shown(&self, command: &str, json: bool) -> (u8, String) {
        let text = if json {
            document_text(&versioned(command, self.document())).unwrap_or_default()
        } else {
            format!("{self}\n")
        };
        (self.level.code(), text)
    }

    /// The same as JSON.
    fn document(&self) -> Value {
        let figures: Map<_, _> = self.figures.iter().map(|f| (f.name.to_owned(), f.value.into())).collect();
        json!({
            "state": self.level.name(),
            "exit_code": self.level.code(),
            "text": self.text,
            "figures": figures,
        })
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.level.name(), one_line(&self.text))?;
        let mut before = " | ";
        for figure in &self.figures {
            write!(f, "{before}{figure}")?;
            before = " ";
        }
        Ok(())
    }
}

/// The text as the main text of a line: without line breaks, and without the `|` at which performance data begin.
fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = visible(words).replace('|', "\\u{7c}");
    if text.len() > LONGEST {
        let mut end = LONGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Prints the line of a command line that cannot be parsed, and returns the exit code.
pub(super) fn usage_error(said: &str, command: &str, json: bool) -> u8 {
    let text = format!("{said}. See keyringctl {command} --help");
    let line = Line { level: Level::Unknown, text, figures: Vec::new() };
    let (code, text) = line.shown(command, json);
    print(code, &text)
}

/// Prints what a check found, and returns the exit code: UNKNOWN if it cannot be printed.
pub(super) fn print(code: u8, text: &str) -> u8 {
    let mut stdout = io::stdout().lock();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if printed.is_ok() { code } else { Level::Unknown.code() }
}

/// Joins texts with semicolons, without the full stops at their ends.
pub(super) fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut all = String::new();
    for text in texts {
        let before = if all.is_empty() { "" } else { "; " };
        // Writing to a String does not fail.
        let _ = write!(all, "{before}{}", text.trim_end_matches('.'));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_the_line_or_begin_performance_data() {
        let mut figure = Figure::new("copies_current", 1);
        figure.ranges = ("2:".to_owned(), "1:".to_owned());
        let failures = Figure { is_counter: true, ..Figure::new("server_failures", 3) };
        let text = "a|b\nOK: fine\r\n\tc\u{1b}[2J\u{202e}".to_owned();
        let line = Line { level: Level::Warning, text, figures: vec![figure, failures] };
        assert_eq!(
            line.to_string(),
            "WARNING: a\\u{7c}b OK: fine c\\u{1b}[2J\\u{202e} | copies_current=1;2:;1: server_failures=3c"
        );
    }

    #[test]
    fn a_long_text_leaves_room_for_performance_data() {
        let text = "\u{e4}".repeat(LONGEST);
        let line = Line { level: Level::Ok, text, figures: vec![Figure::new("keys", 1)] };
        let shown = line.to_string();
        assert!(shown.len() < 8192 && shown.ends_with("... | keys=1"), "{}", shown.len());
    }

    #[test]
    fn what_is_wrong_comes_before_what_is_not_known() {
        let mut all = [Level::Critical, Level::Ok, Level::Unknown, Level::Warning];
        all.sort_unstable();
        assert_eq!(all.map(Level::code), [0, 3, 1, 2]);
    }
}
