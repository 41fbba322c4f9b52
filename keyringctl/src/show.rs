// SPDX-License-Identifier: GPL-2.0-or-later
//! How text and names that come from outside are shown: from servers, directories, files, arguments and the environment.
//!
//! Two layers. [`visible`] makes a line safe, whatever is in it; everything that is printed passes it. [`Shown::shown`]
//! writes one name as a word for a shell, so that it is unambiguous, ends where it ends, and can be pasted.

use crate::terminal::{Color, Screen};
use serde::{Serialize, Serializer};
use std::ffi::OsStr;
use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Escapes everything in a line that cannot be seen or that a terminal or browser obeys, as `\u{..}`: control characters,
/// line feeds too, characters that reverse text or take no space, and what no font shows.
pub fn visible(text: impl Display) -> String {
    escaped(&text.to_string(), |_| false)
}

/// The same for text of several lines of our own: line feeds and tabs are kept.
pub fn visible_lines(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !stays(c) {
            // Writing to a String does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character cannot be seen, or changes how others are shown.
pub fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // Letters and marks that are shown as nothing (Default_Ignorable_Code_Point of Unicode).
    let ignorable = matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}');
    // Debug escapes what is not printable: controls, formats, separators, unassigned and private ones. It escapes a
    // combining mark at the beginning only, so a letter comes first.
    let mut pair = String::with_capacity(5);
    pair.push('a');
    pair.push(c);
    ignorable || pair.escape_debug().nth(2).is_some()
}

/// A number with a noun, which is in the plural unless the number is 1.
pub fn counted(number: usize, thing: &str) -> String {
    let consonant = |stem: &&str| !stem.ends_with(['a', 'e', 'o', 'u']);
    match thing.strip_suffix('y').filter(consonant) {
        _ if number == 1 => format!("1 {thing}"),
        Some(stem) => format!("{number} {stem}ies"),
        None if thing.ends_with('s') => format!("{number} {thing}es"),
        None => format!("{number} {thing}s"),
    }
}

/// Some of several things, as the subject of a sentence: "1 of 2 copies is", "2 of 3 copies are".
pub fn counted_of(some: usize, all: usize, thing: &str) -> String {
    format!("{some} of {} {}", counted(all, thing), if some == 1 { "is" } else { "are" })
}

/// A name from outside, such as a path, or the name of a table.
pub trait Shown {
    /// The bytes of the name.
    fn bytes(&self) -> &[u8];

    /// The name as one word for a shell, as `ls` shows it on a terminal: itself if it is plain, in quotes if a shell would
    /// divide or change it, and as `$'..'` with escapes if it has bytes that cannot be seen or that are not UTF-8. No two
    /// names have the same word.
    fn shown(&self) -> String {
        word(self.bytes())
    }

    /// The name for a program to read: itself, or `$'..'` as in [`Shown::shown`] if it is not UTF-8, which JSON cannot
    /// carry. A name that begins with `$'` has that form too, so that the forms cannot be confused.
    fn exact(&self) -> String {
        match str::from_utf8(self.bytes()) {
            Ok(text) if !text.starts_with("$'") => text.to_owned(),
            _ => dollar_quoted(self.bytes()),
        }
    }

    /// The name as one of a series of metrics: itself, if all of it can be seen.
    fn label(&self) -> String {
        let exact = self.exact();
        if exact.contains(is_hidden) { dollar_quoted(self.bytes()) } else { exact }
    }
}

impl Shown for str {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Shown for OsStr {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Shown for Path {
    fn bytes(&self) -> &[u8] {
        self.as_os_str().as_bytes()
    }

    fn shown(&self) -> String {
        let bytes = self.bytes();
        // A program would take it for an option.
        if bytes.starts_with(b"-") { word(&[b"./", bytes].concat()) } else { word(bytes) }
    }
}

fn word(bytes: &[u8]) -> String {
    let text = match str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(is_hidden) => text,
        _ => return dollar_quoted(bytes),
    };
    let plain =
        |c: char| if c.is_ascii() { c.is_ascii_alphanumeric() || "/._-+:@,%#=".contains(c) } else { true };
    if !text.is_empty() && !text.starts_with(['#', '=']) && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The quotes of a shell in which every byte can be written.
fn dollar_quoted(bytes: &[u8]) -> String {
    let mut out = "$'".to_owned();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\\' | '\'' => out.extend(['\\', c]),
                c if is_hidden(c) => hexadecimal(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut out),
                c => out.push(c),
            }
        }
        hexadecimal(chunk.invalid(), &mut out);
    }
    out.push('\'');
    out
}

/// The name that a word of [`Shown::shown`] in quotes stands for, if it is text; `None` if it is not such a word.
pub fn read_word(word: &str) -> Option<String> {
    if let Some(inner) = word.strip_prefix("$'").and_then(|rest| rest.strip_suffix('\'')) {
        let mut bytes = Vec::with_capacity(inner.len());
        let mut rest = inner.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let (byte, after) = match (byte, after) {
                (b'\\', [b'x', digits @ ..]) => {
                    let (digits, after) = digits.split_at_checked(2)?;
                    (u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?, after)
                }
                (b'\\', [b'n', after @ ..]) => (b'\n', after),
                (b'\\', [b'r', after @ ..]) => (b'\r', after),
                (b'\\', [b't', after @ ..]) => (b'\t', after),
                (b'\\', [same, after @ ..]) => (*same, after),
                (b'\\' | b'\'', _) => return None,
                other => other,
            };
            bytes.push(byte);
            rest = after;
        }
        return String::from_utf8(bytes).ok();
    }
    let inner = word.strip_prefix('\'')?.strip_suffix('\'')?.replace(r"'\''", "\0");
    (!inner.contains('\'')).then(|| inner.replace('\0', "'"))
}

fn hexadecimal(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// Paths for a program to read.
pub fn exact_paths(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.exact()).collect()
}

/// Prints a warning on standard error.
pub fn warn(text: impl Display) {
    let stderr = std::io::stderr();
    let line = Screen::of(&stderr, Color::Never).line(&format!("keyringctl: {}", visible(text)));
    // If nobody reads it, the command continues.
    let _ = writeln!(&stderr, "{line}");
}

/// Serializes a path. That of serde fails if the path is not UTF-8.
///
/// # Errors
/// Those of the serializer.
pub fn path<S: Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().exact().serialize(serializer)
}

/// Serializes a list of paths.
///
/// # Errors
/// Those of the serializer.
pub fn paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    exact_paths(paths).serialize(serializer)
}

/// Serializes a path that may be missing.
///
/// # Errors
/// Those of the serializer.
pub fn optional_path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Shown::exact).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_and_its_verb_fit_the_number() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "key")), ["0 keys", "1 key", "2 keys"]);
        let of = |some, all| counted_of(some, all, "copy");
        assert_eq!(
            [of(0, 2), of(1, 2), of(2, 3)],
            ["0 of 2 copies are", "1 of 2 copies is", "2 of 3 copies are"]
        );
        assert_eq!(counted_of(1, 1, "page"), "1 of 1 page is");
        assert_eq!(counted(2, "directory"), "2 directories");
        assert_eq!([1, 2].map(|n| counted(n, "pass")), ["1 pass", "2 passes"]);
    }
    use std::process::Command;

    #[test]
    fn what_cannot_be_seen_is_escaped_in_a_line() {
        assert_eq!(
            visible("a b\u{e9}\u{4e2d}e\u{301}\u{939}\u{93f}.ibd"),
            "a b\u{e9}\u{4e2d}e\u{301}\u{939}\u{93f}.ibd"
        );
        assert_eq!(visible("\u{1b}[2Jx\r\n\t\u{202e}y"), "\\u{1b}[2Jx\\u{d}\\u{a}\\u{9}\\u{202e}y");
        assert_eq!(visible_lines("two\n\tlines\r\u{9b}2J\u{7}"), "two\n\tlines\\u{d}\\u{9b}2J\\u{7}");
        let hidden = "\0\u{7f}\u{80}\u{9f}\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{200b}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\
                      \u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{3164}\u{a0}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{ffff}\u{e000}\
                      \u{e0001}\u{e0100}\u{10ffff}";
        for c in hidden.chars() {
            assert_eq!(visible(c), format!("\\u{{{:x}}}", u32::from(c)));
        }
    }

    #[test]
    fn a_name_is_one_word_for_a_shell() {
        for (name, expected) in [
            ("/mnt/a/keys/main.keyring", "/mnt/a/keys/main.keyring"),
            ("biobank/t#p#p0.ibd", "biobank/t#p#p0.ibd"),
            ("/mnt/K\u{fc}rzel", "/mnt/K\u{fc}rzel"),
            ("/mnt/my stick/k", "'/mnt/my stick/k'"),
            ("/mnt/it's;k", r"'/mnt/it'\''s;k'"),
            ("$(reboot)`reboot`", "'$(reboot)`reboot`'"),
            ("#temp", "'#temp'"),
            ("", "''"),
            ("a\\b", "'a\\b'"),
            ("a\nOK\t\r'\\\u{1b}[m\u{202e}", r"$'a\nOK\t\r\'\\\x1b[m\xe2\x80\xae'"),
        ] {
            assert_eq!(name.shown(), expected);
        }
        assert_eq!(Path::new("-rf").shown(), "./-rf");
        assert_eq!(OsStr::from_bytes(b"/data/K\xfcrzel\x9b.ibd").shown(), r"$'/data/K\xfcrzel\x9b.ibd'");
        assert_eq!(OsStr::from_bytes(b"K\xfcrzel.ibd").exact(), r"$'K\xfcrzel.ibd'");
        assert_eq!("a\n \\".exact(), "a\n \\");
        assert_eq!(r"$'K\xfcrzel.ibd'".exact(), r"$'$\'K\\xfcrzel.ibd\''");
    }

    #[test]
    fn a_word_is_read_as_the_name() {
        let odd: String = (1..0x300).filter_map(char::from_u32).collect();
        for name in [odd.as_str(), "a b", "'", "it's", "\\n\n", "$'a'", ""] {
            assert_eq!(read_word(&name.shown()).as_deref(), Some(name));
        }
        for word in ["a", "$'", "'", "'a'b'", r"$'\xg0'", r"$'\'", "$'a'b'", r"$'\xff'"] {
            assert_eq!(read_word(word), None, "{word}");
        }
    }

    #[test]
    fn a_shell_reads_the_word_as_the_name() {
        let odd: Vec<u8> = (1..=255).collect();
        let names: [&[u8]; 6] =
            [&odd, b"a b", b"\xff'\\x41", b"$'a'", b"a\n\n", "\u{202e}\\u{41}'".as_bytes()];
        for name in names {
            let script = format!("printf %s {}", OsStr::from_bytes(name).shown());
            let out = Command::new("bash").args(["-c", &script]).env("LC_ALL", "C.UTF-8").output().unwrap();
            assert_eq!(out.stdout, name, "{script}");
        }
    }
}
