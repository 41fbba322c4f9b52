// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line with help texts that fit 80 columns. A command writes its examples in one line each; here they get
//! the backslashes with which they can be copied from a terminal.

use crate::terminal::columns_of;
use clap::Command;

/// The width for which examples are made.
pub(super) const WIDTH: usize = 80;
const INDENT: &str = "  ";
const CONTINUED: &str = "      ";
/// Stands for a space in an example while the help is laid out, so that an example is not wrapped without a backslash.
const FIXED_SPACE: char = '\u{a0}';

/// What follows the options in the help of a command.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct AfterHelp {
    /// The examples, each with the sentence before it, if there is one.
    pub examples: Vec<Example>,
    /// What the exit codes mean.
    pub exit_codes: Option<String>,
    /// All other paragraphs.
    pub notes: Vec<String>,
}

/// A command that can be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    pub about: String,
    pub command: String,
}

impl AfterHelp {
    pub(super) fn of(command: &Command) -> AfterHelp {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        Self::parse(&text.replace(FIXED_SPACE, " "))
    }

    fn parse(text: &str) -> AfterHelp {
        let mut found = AfterHelp::default();
        // A command that is continued in the next line.
        let text = text.replace("\\\n", "\u{0}");
        for paragraph in text.split("\n\n").filter(|p| !p.trim().is_empty()) {
            let mut about = String::new();
            let mut prose = Vec::new();
            let mut is_of_codes = false;
            for line in paragraph.lines() {
                let (before, command) = match line.trim_start().find("keyringctl ") {
                    // An example in a line of its own, or after the word.
                    Some(0) => ("", line.trim_start()),
                    Some(at) if line.trim_start()[..at].ends_with("xample: ") => {
                        ("", &line.trim_start()[at..])
                    }
                    _ => (line, ""),
                };
                if !command.is_empty() {
                    let words = command.replace('\u{0}', " ");
                    let command = words.split_whitespace().collect::<Vec<_>>().join(" ");
                    found.examples.push(Example { about: std::mem::take(&mut about), command });
                } else if let Some(codes) = before.trim_start().strip_prefix("Exit codes: ") {
                    found.exit_codes = Some(codes.to_owned());
                    is_of_codes = true;
                } else if let (Some(codes), true) = (&mut found.exit_codes, is_of_codes) {
                    *codes = format!("{codes} {}", before.trim());
                } else if let Some((sentence, _)) = before.split_once("Examples:") {
                    prose.extend(Some(sentence.trim().to_owned()).filter(|s| !s.is_empty()));
                } else if before.starts_with("Example, ") {
                    about = before.trim_start_matches("Example, ").to_owned();
                } else {
                    prose.push(before.trim().to_owned());
                }
            }
            found.notes.extend(Some(prose.join(" ")).filter(|p| !p.is_empty()));
        }
        found
    }

    /// The text for `--help`.
    fn text(&self) -> String {
        let mut paragraphs = self.notes.clone();
        let mut examples = String::new();
        for Example { about, command } in &self.examples {
            let head = match (examples.is_empty(), about.as_str(), self.examples.len()) {
                (true, "", 1) => "Example:\n".to_owned(),
                (true, "", _) => "Examples:\n".to_owned(),
                (false, "", _) => String::new(),
                (true, about, _) => format!("Example, {about}\n"),
                (false, about, _) => format!("\nExample, {about}\n"),
            };
            examples += &head;
            for line in continued(command) {
                examples += &format!("{line}\n").replace(' ', &FIXED_SPACE.to_string());
            }
        }
        paragraphs.extend(Some(examples.trim_end().to_owned()).filter(|e| !e.is_empty()));
        paragraphs.extend(self.exit_codes.as_ref().map(|codes| format!("Exit codes: {codes}")));
        paragraphs.join("\n\n")
    }
}

/// A command in lines of at most 80 columns, each of which but the last ends with a backslash. An option and its value stay
/// in one line.
pub(super) fn continued(command: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let (mut is_quoted, mut takes_more) = (false, false);
    for word in command.split(' ') {
        match pieces.last_mut() {
            Some(piece) if is_quoted || (takes_more && !word.starts_with('-')) => {
                *piece += &format!(" {word}")
            }
            _ => pieces.push(word.to_owned()),
        }
        is_quoted ^= word.matches(['\'', '"']).count() % 2 == 1;
        takes_more = word.starts_with("--") && !word.contains('=') && !is_quoted || word == ">";
    }
    let mut lines = Vec::new();
    let mut line = INDENT.to_owned();
    for (i, piece) in pieces.iter().enumerate() {
        let space = usize::from(i > 0);
        // A backslash may follow.
        if i > 0 && columns_of(&line) + space + columns_of(piece) + 2 > WIDTH {
            lines.push(format!("{line} \\"));
            line = CONTINUED.to_owned();
        } else if i > 0 {
            line.push(' ');
        }
        line.push_str(piece);
    }
    lines.push(line);
    lines
}

/// Puts the examples of a command, and of the commands below it, into lines that fit.
pub(super) fn with_examples(mut command: Command) -> Command {
    let text = AfterHelp::of(&command).text();
    if !text.is_empty() {
        command = command.after_help(text);
    }
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| command.mut_subcommand(name, with_examples))
}

/// A help text, as it was laid out, with the spaces of its examples.
pub(super) fn spaced(text: &str) -> String {
    text.replace(FIXED_SPACE, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use clap::{CommandFactory, Parser};

    /// Calls `look` with the name of every command that can be run.
    fn each(command: &Command, before: &str, look: &mut dyn FnMut(&str, &Command)) {
        for sub in command.get_subcommands() {
            let name = format!("{before} {}", sub.get_name());
            if sub.has_subcommands() {
                each(sub, &name, look);
            }
            if !sub.is_subcommand_required_set() {
                look(&name, sub);
            }
        }
    }

    /// The words of a command as a shell reads them from the lines of a help text.
    fn words_of_a_shell(lines: &[String]) -> Vec<String> {
        let script = format!("printf '%s\\0' {}", lines.join("\n").trim_start());
        let script = script.split(" > ").next().unwrap();
        let out = std::process::Command::new("bash").args(["-c", script]).output().unwrap();
        assert!(out.status.success(), "{script}");
        out.stdout
            .split(|b| *b == 0)
            .map(|w| String::from_utf8(w.to_vec()).unwrap())
            .filter(|w| !w.is_empty())
            .collect()
    }

    #[test]
    fn every_command_has_an_example_that_can_be_copied_from_80_columns() {
        each(&Cli::command(), "keyringctl", &mut |name, command| {
            let examples = AfterHelp::of(command).examples;
            assert!(!examples.is_empty(), "{name} has no example");
            for Example { command, .. } in examples {
                let is_of = command.replace("--json ", "").starts_with(name);
                assert!(is_of, "{name}: {command}");
                let lines = continued(&command);
                assert!(lines.iter().all(|line| columns_of(line) <= WIDTH), "{}", lines.join("\n"));
                let words = words_of_a_shell(&lines);
                assert!(Cli::try_parse_from(&words).is_ok(), "{name}: {words:?}");
            }
        });
    }

    #[test]
    fn every_help_fits_80_columns_and_shows_examples_in_narrower_ones() {
        for width in [80, 60] {
            let mut all = with_examples(Cli::command()).term_width(width);
            all.build();
            each(&all, "keyringctl", &mut |name, command| {
                let text = spaced(&command.clone().render_long_help().to_string());
                let too_wide = text.lines().find(|line| columns_of(line) > width && width == WIDTH);
                assert_eq!(too_wide, None, "{name}");
                for Example { command, .. } in AfterHelp::of(command).examples {
                    assert!(text.contains(&continued(&command).join("\n")), "{name}: {text}");
                }
            });
        }
    }

    #[test]
    fn a_long_example_is_continued() {
        let command = "keyringctl init /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring.secret --generate-secret --label 'Biobank, server 1'";
        assert_eq!(
            continued(command),
            [
                "  keyringctl init /mnt/keyring/keys/main.keyring \\",
                "      --unlock file:/etc/mysql/keyring.secret --generate-secret \\",
                "      --label 'Biobank, server 1'",
            ]
        );
        assert_eq!(continued("keyringctl status"), ["  keyringctl status"]);
    }

    #[test]
    fn examples_exit_codes_and_notes_are_told_apart() {
        let text = "Stop the server. Examples:\n  keyringctl list --json\n  keyringctl list \\\n      /k\n\nExit codes: 0 OK,\n1 not.\n\nMore\ntext.";
        let found = AfterHelp::parse(text);
        let commands: Vec<_> = found.examples.iter().map(|e| e.command.as_str()).collect();
        assert_eq!(commands, ["keyringctl list --json", "keyringctl list /k"]);
        assert_eq!(found.exit_codes.as_deref(), Some("0 OK, 1 not."));
        assert_eq!(found.notes, ["Stop the server.", "More text."]);
        assert_eq!(AfterHelp::parse(&spaced(&found.text())), found, "it is read as it is written");
        let one = AfterHelp::parse("Example: keyringctl list /k");
        assert_eq!(one.examples[0].command, "keyringctl list /k");
        let two =
            AfterHelp::parse("Example, first:\n  keyringctl list\n\nExample, then:\n  keyringctl doctor");
        assert_eq!(two.examples.iter().map(|e| e.about.as_str()).collect::<Vec<_>>(), ["first:", "then:"]);
        assert_eq!(AfterHelp::parse(&spaced(&two.text())), two);
    }
}
