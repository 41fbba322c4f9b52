// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks that every command named in a message, a help text or a document exists, with the options given there.

use super::Cli;
use clap::{Command, CommandFactory, Parser};
use std::fs;
use std::path::{Path, PathBuf};

/// Words that follow the program's name in a sentence about it, and are not commands.
const PROSE: [&str; 18] = [
    "has", "is", "does", "to", "can", "was", "had", "itself", "as", "asks", "when", "changes", "creates",
    "did", "needs", "cannot", "ran", "with",
];
const VERBS: [&str; 4] = [" shows ", " tells ", " says ", " gives "];
const ENDS: [char; 11] = ['`', '"', '\n', ';', ',', '(', ')', '#', '|', '>', '*'];

/// A command as it is named in a text.
#[derive(Debug)]
struct NamedCommand {
    file: PathBuf,
    text: String,
    words: Vec<String>,
    /// Whether the quotes or backticks around it contain only the command.
    is_whole: bool,
}

fn files(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, found);
        } else if path.extension().is_some_and(|e| endings.iter().any(|end| e == *end)) {
            found.push(path);
        }
    }
}

/// The words of a command. Quotes keep one together.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if is_open => *last = format!("{last} {word}"),
            _ => words.push(word.to_owned()),
        }
        is_open ^= word.matches('\'').count() % 2 == 1;
    }
    words
}

/// The commands named in a text.
fn named(file: &Path, text: &str) -> Vec<NamedCommand> {
    // Join string literals of several lines.
    let mut joined = String::new();
    let mut lines = text.split("\\\n");
    joined.push_str(lines.next().unwrap_or_default());
    for line in lines {
        joined.push_str(line.trim_start());
    }
    // Join shell commands of several lines.
    let joined = joined.replace("\\\\\\n", " ").replace("\\n", "\n").replace("{{", "(").replace("}}", ")");
    // Replace the result of secret::Args::option().
    let joined = joined.replace("{unlock}", " --unlock SOURCE");
    let places = joined.match_indices("keyringctl ");
    let command = |(at, word): (usize, &str)| {
        let (before, rest) = (&joined[..at], &joined[at + word.len()..]);
        let stop = rest.find(ENDS).unwrap_or(rest.len());
        let is_sentence = rest[..stop].contains(". ") || rest[..stop].contains(": ");
        let text = rest[..stop].split(". ").next().unwrap_or_default();
        // Drop what follows the command in a sentence about it.
        let text = VERBS.iter().fold(text, |text, verb| text.split(verb).next().unwrap_or_default());
        let text = text.split(": ").next().unwrap_or_default().trim_end_matches(['.', ':', ' ', '\\']);
        // Comments are not checked.
        let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
        let is_comment = line.starts_with("//") && !line.starts_with("///");
        let begins = before.ends_with(['`', '"', '(']) || before.ends_with("    ") || before.ends_with(": ");
        let ends = rest[stop..].starts_with(['`', '"', '\n', ')']) && !is_sentence && !line.starts_with("//");
        let words = words(text);
        let is_command =
            words.first().is_some_and(|w| w.starts_with(|c: char| c.is_ascii_lowercase() || c == '-'));
        let named =
            NamedCommand { file: file.to_owned(), text: text.to_owned(), words, is_whole: begins && ends };
        (is_command && !is_comment && !PROSE.contains(&named.words[0].as_str())).then_some(named)
    };
    places.filter_map(command).collect()
}

/// The command that the words name, and how many of the words do.
fn find<'a>(mut command: &'a Command, words: &[String]) -> (&'a Command, usize) {
    let mut used = 0;
    for word in words {
        match command.find_subcommand(word) {
            Some(sub) => (command, used) = (sub, used + 1),
            None if word == "--json" => used += 1,
            None => break,
        }
    }
    (command, used)
}

/// What is wrong with a named command.
fn wrong(program: &Command, named: &NamedCommand) -> Option<String> {
    let (command, used) = find(program, &named.words);
    if used == 0 && named.words[0] != "--version" {
        return Some("there is no such command".to_owned());
    }
    let has = |command: &Command, long: &str| {
        let is_global = || program.get_arguments().any(|a| a.is_global_set() && a.get_long() == Some(long));
        command.get_arguments().any(|arg| arg.get_long() == Some(long))
            || is_global()
            || ["help", "version"].contains(&long)
    };
    for word in &named.words[used..] {
        if let Some(option) = word.strip_prefix("--") {
            // An argument of the format may follow at once: it brings its own space.
            let long = option.split(['=', '{']).next().unwrap_or_default();
            if !long.is_empty() && !has(command, long) {
                return Some(format!("it has no option --{long}"));
            }
        }
    }
    // A command with arguments is meant to be typed. Without arguments, the text may only mention it.
    let is_argument = |word: &String| word.starts_with("--") || word.contains(['{', '/']);
    let arguments = &named.words[used..];
    let is_typed = arguments.iter().any(is_argument) && !arguments.contains(&"--help".to_owned());
    if !(named.is_whole && is_typed && named.file.extension().is_some_and(|e| e == "rs")) {
        return None;
    }
    let argument = |word: &String| match word.trim_matches('\'') {
        "SECRET" | "SOURCE" => "file:/secret".to_owned(),
        "..." => "file:/secret".to_owned(),
        "NUMBER" | "{number}" => "3".to_owned(),
        word if word.starts_with("--") && !word.contains('=') => {
            word.split('{').next().unwrap_or_default().to_owned()
        }
        word if word.contains('{') => word.replace(['{', '}'], "x"),
        word => word.to_owned(),
    };
    let words = ["keyringctl".to_owned()].into_iter().chain(named.words.iter().map(argument));
    Cli::try_parse_from(words).err().map(|e| e.to_string())
}

#[track_caller]
fn check(dirs: &[&str], endings: &[&str], least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package of the workspace");
    let mut found = Vec::new();
    for dir in dirs {
        let path = root.join(dir);
        if path.is_dir() { files(&path, endings, &mut found) } else { found.push(path) }
    }
    found.retain(|file| !file.ends_with(file!()));
    let program = Cli::command();
    let all: Vec<_> = found.iter().flat_map(|file| named(file, &fs::read_to_string(file).unwrap())).collect();
    assert!(all.len() >= least, "{} commands were found", all.len());
    let wrong: Vec<_> = all
        .iter()
        .filter_map(|named| {
            Some(format!("{}: keyringctl {}: {}", named.file.display(), named.text, wrong(&program, named)?))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_in_a_message_exists() {
    check(&["src", "keyringctl/src"], &["rs"], 90);
}

#[test]
fn every_command_in_a_document_exists() {
    check(&["docs", "README.md", "SECURITY.md"], &["md"], 90);
    check(&["packaging/monitoring"], &["yml", "json", "service"], 9);
}

/// What a unit runs is parsed as systemd passes it: without a terminal, so with `--yes` if the command asks.
#[test]
fn every_command_of_a_unit_in_a_document_parses_and_asks_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package of the workspace");
    let mut found = Vec::new();
    files(&root.join("docs"), &["md"], &mut found);
    files(&root.join("packaging"), &["service"], &mut found);
    let mut units = 0;
    for file in found {
        let text = fs::read_to_string(&file).unwrap();
        let starts = text.lines().filter_map(|line| line.trim().strip_prefix("ExecStart="));
        for start in starts.filter(|start| start.contains("keyringctl ")) {
            units += 1;
            let (_, arguments) = start.split_once("keyringctl").unwrap();
            // Words of the environment file, and paths of the unit.
            let words = arguments.split_whitespace().filter(|word| *word != "$CONNECTION").map(|word| {
                if word.contains("UNLOCK") { "file:/secret".to_owned() } else { word.to_owned() }
            });
            let words: Vec<_> = ["keyringctl".to_owned()].into_iter().chain(words).collect();
            let parsed = Cli::command().try_get_matches_from(&words);
            assert!(parsed.is_ok(), "{}: {start}: {}", file.display(), parsed.unwrap_err());
            let program = Cli::command();
            let (command, _) = find(&program, &words[1..]);
            let asks = ["dry-run", "yes"]
                .iter()
                .all(|long| command.get_arguments().any(|arg| arg.get_long() == Some(long)));
            assert!(!asks || words.contains(&"--yes".to_owned()), "{}: {start} asks", file.display());
        }
    }
    assert!(units >= 4, "{units} units were found");
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let program = Cli::command();
    let wrong_ones = |text: &str| {
        named(Path::new("x.rs"), text).iter().map(|n| wrong(&program, n).is_some()).collect::<Vec<_>>()
    };
    assert_eq!(wrong_ones("`keyringctl sink {} --mirror {}`"), [true]);
    assert_eq!(wrong_ones("run keyringctl sync {} --mirrors {}, then"), [true]);
    assert_eq!(wrong_ones("`keyringctl encrypt apply --only`"), [true], "without a table");
    assert_eq!(wrong_ones("`keyringctl sync {} --mirror {} --merge`"), [false]);
    assert_eq!(wrong_ones("keyringctl sync --help, and keyringctl has ended"), [false]);
}
