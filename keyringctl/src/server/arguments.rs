// SPDX-License-Identifier: GPL-2.0-or-later
//! Options on mysqld's command line. Their values may be words of their own.

use super::modifiers::resolve;
use super::option_file::OptionLine;
use std::path::Path;

/// Options that take the next word as their value if there is no equals sign: those that matter here, and those that are
/// usual in units. mysqld's switches and optional values need the sign.
const VALUED: [&str; 18] = [
    "basedir",
    "datadir",
    "early-plugin-load",
    "keyring-external-data",
    "keyring-external-min-copies",
    "keyring-external-mirrors",
    "keyring-external-remotes",
    "keyring-external-unlock",
    "keyring-external-wait",
    "pid-file",
    "plugin-dir",
    "plugin-load",
    "plugin-load-add",
    "port",
    "server-id",
    "socket",
    "tmpdir",
    "user",
];
/// Letters of mysqld that take a value: the rest of their word, or the next one.
const LETTERS: [(char, &str); 8] = [
    ('b', "basedir"),
    ('C', "character-set-server"),
    ('h', "datadir"),
    ('L', "lc-messages-dir"),
    ('P', "port"),
    ('r', "chroot"),
    ('t', "tmpdir"),
    ('u', "user"),
];
/// Letters without a value.
const SWITCHES: &str = "aIsv?";

/// The options in the arguments that `unit` starts mysqld with.
pub fn from_arguments<'w>(words: impl IntoIterator<Item = &'w str>, unit: &Path) -> Vec<OptionLine> {
    let mut words = words.into_iter();
    let mut all = Vec::new();
    // Two hyphens alone end the options.
    while let Some(word) = words.next().filter(|word| *word != "--") {
        let (name, value) = if let Some(text) = word.strip_prefix("--") {
            match text.split_once('=') {
                Some((name, value)) => resolve(&name.replace('_', "-"), Some(value.to_owned())),
                None => match resolve(&text.replace('_', "-"), None) {
                    (name, None) if VALUED.contains(&name.as_str()) => {
                        let value = words.next().map(str::to_owned);
                        (name, value)
                    }
                    option => option,
                },
            }
        } else if let Some((name, rest)) = word.strip_prefix('-').and_then(letter) {
            let value = if rest.is_empty() { words.next() } else { Some(rest) };
            (name.to_owned(), value.map(str::to_owned))
        } else {
            continue;
        };
        all.push(OptionLine { group: "mysqld".to_owned(), name, value, file: unit.to_owned(), line: 0 });
    }
    all
}

/// The option of the first letter with a value, and what follows it.
fn letter(letters: &str) -> Option<(&'static str, &str)> {
    let rest = letters.trim_start_matches(|c| SWITCHES.contains(c));
    let (_, name) = LETTERS.into_iter().find(|(letter, _)| rest.starts_with(*letter))?;
    Some((name, &rest[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As mysqld 9.7 took them (`--verbose --help`).
    #[test]
    fn arguments_are_taken_as_mysqld_takes_them() {
        for (given, expected) in [
            ("--datadir=/a --port=1", "datadir=/a port=1"),
            ("--datadir /a --keyring-external-data /k --b", "datadir=/a keyring-external-data=/k b"),
            ("--loose-datadir /a --plugin_dir /p", "datadir=/a plugin-dir=/p"),
            ("--datadir --port=1", "datadir=--port=1"),
            ("--keyring-external-auto-create /k", "keyring-external-auto-create"),
            ("--skip-keyring-external-read-only --user x", "keyring-external-read-only=0 user=x"),
            ("-h /a -P 1", "datadir=/a port=1"),
            ("-h/a -umysql", "datadir=/a user=mysql"),
            ("-h=/a", "datadir==/a"),
            ("-ah /a -x /b", "datadir=/a"),
            ("x --port=1 -- --port=2", "port=1"),
            ("--early-plugin-load", "early-plugin-load"),
        ] {
            let options = from_arguments(given.split(' '), Path::new("/unit"));
            let shown = options.iter().map(|o| match &o.value {
                Some(value) => format!("{}={value}", o.name),
                None => o.name.clone(),
            });
            assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "{given}");
        }
    }
}
