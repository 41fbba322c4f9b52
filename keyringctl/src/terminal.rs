// SPDX-License-Identifier: GPL-2.0-or-later
//! The terminal that text is shown on: how wide it is, and whether it shows colours. Text that goes to a pipe or a file
//! is not wrapped, so that each line of it can be searched for.

mod columns;
mod wrap;

pub(crate) use columns::{columns_of, padded};
use std::borrow::Cow;
use std::io::IsTerminal;
use std::os::fd::AsFd;
pub(crate) use wrap::{longest_piece, wrap};

/// The width of a terminal that does not know its own.
const USUAL: usize = 80;
/// No text is readable in less.
const LEAST: usize = 20;
/// The widest help text.
const WIDEST_HELP: usize = 100;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// The words at the beginning of a line, or of a cell of a table, that say how something is.
const STATUS_WORDS: [(&str, &str); 8] = [
    ("OK", GREEN),
    ("ERROR", RED),
    ("FAILED", RED),
    ("REFUSED", RED),
    ("CRITICAL", RED),
    ("WARNING", YELLOW),
    ("INCOMPLETE", YELLOW),
    ("NOT CHECKED", YELLOW),
];

/// When to use colours.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless the environment variable NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl From<Color> for clap::ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => clap::ColorChoice::Auto,
            Color::Always => clap::ColorChoice::Always,
            Color::Never => clap::ColorChoice::Never,
        }
    }
}

/// Where text is shown.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Screen {
    /// Columns; none if it is not a terminal.
    pub width: Option<usize>,
    /// Whether status words are coloured.
    pub colour: bool,
}

impl Screen {
    /// Looks at a stream of this process.
    pub(crate) fn of(stream: &(impl AsFd + IsTerminal), color: Color) -> Screen {
        let is_terminal = stream.is_terminal();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = match color {
            Color::Auto => is_terminal && !is_dumb && !is_set("NO_COLOR"),
            Color::Always => true,
            Color::Never => false,
        };
        Screen { width: is_terminal.then(|| width_of(stream)), colour }
    }

    /// Wraps a line at the terminal's width, and colours its status word.
    pub(crate) fn line(&self, line: &str) -> String {
        let wrapped = match self.width {
            Some(width) => Cow::from(wrap(line, width)),
            None => Cow::from(line),
        };
        self.coloured(&wrapped)
    }

    /// Colours the status word at the beginning of a text.
    pub(crate) fn coloured(&self, text: &str) -> String {
        let begin = text.len() - text.trim_start_matches(' ').len();
        let found = STATUS_WORDS.iter().find(|(word, _)| {
            let after = text[begin..].strip_prefix(word);
            after.is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || "_-./".contains(c)))
        });
        match found {
            Some((word, colour)) if self.colour => {
                let end = begin + word.len();
                format!("{}{colour}{word}{RESET}{}", &text[..begin], &text[end..])
            }
            _ => text.to_owned(),
        }
    }
}

/// The width of a help text: that of the terminal, but no more than is easy to read.
pub(crate) fn width_for_help(stream: &(impl AsFd + IsTerminal)) -> usize {
    let width = if stream.is_terminal() { width_of(stream) } else { width_set().unwrap_or(USUAL) };
    width.clamp(LEAST, WIDEST_HELP)
}

/// What COLUMNS says.
fn width_set() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    set.filter(|columns| *columns > 0)
}

/// How many columns a terminal has. COLUMNS overrides what it says.
fn width_of(stream: &impl AsFd) -> usize {
    let own = || rustix::termios::tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col));
    width_set().or_else(own).filter(|columns| *columns > 0).unwrap_or(USUAL).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_status_words_are_coloured() {
        let screen = Screen { width: None, colour: true };
        let all = [
            ("OK      biobank.a", "\x1b[32mOK\x1b[0m      biobank.a"),
            ("OK: done.", "\x1b[32mOK\x1b[0m: done."),
            ("  FAILED       why", "  \x1b[31mFAILED\x1b[0m       why"),
            ("ERROR   one-copy: why", "\x1b[31mERROR\x1b[0m   one-copy: why"),
            ("WARNING why", "\x1b[33mWARNING\x1b[0m why"),
            ("NOT CHECKED: why", "\x1b[33mNOT CHECKED\x1b[0m: why"),
            ("OKAY", "OKAY"),
            ("OK.ibd is a file", "OK.ibd is a file"),
            ("the word OK", "the word OK"),
            ("NOTE    why", "NOTE    why"),
            ("", ""),
        ];
        for (text, coloured) in all {
            assert_eq!(screen.coloured(text), coloured);
            assert_eq!(Screen::default().coloured(text), text);
        }
    }

    #[test]
    fn a_pipe_is_not_wrapped_and_has_colours_only_if_asked() {
        let file = tempfile::tempfile().unwrap();
        let plain = Screen::of(&file, Color::Auto);
        assert!(plain.width.is_none() && !plain.colour);
        assert!(Screen::of(&file, Color::Always).colour);
        let long = "word ".repeat(50);
        assert_eq!(plain.line(&long), long);
    }
}
