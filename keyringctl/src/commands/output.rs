// SPDX-License-Identifier: GPL-2.0-or-later
//! What a command prints: text for people, or one JSON document.

use crate::error::Error;
use keyring_external::keyring::Severity;
use rustix::fs::{FileType, OFlags};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Collects what a command prints, and prints it at the end.
pub(super) struct Output {
    json: bool,
    text: String,
    document: Option<Value>,
    /// The document was printed.
    delivered: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, text: String::new(), document: None, delivered: false }
    }

    /// Whether one JSON document is printed, and no text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line of text, or several.
    pub fn line(&mut self, line: impl Display) {
        self.text.push_str(&printable(&line.to_string()));
        self.text.push('\n');
    }

    /// This text in the place of all that a command would print.
    pub fn only(&mut self, text: String) {
        self.json = false;
        self.text = text;
    }

    /// Prints what there is of text, before something is asked.
    pub fn flush_text(&mut self) {
        if !self.json {
            // Whoever reads may have seen enough; what is being done goes on.
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(std::mem::take(&mut self.text).as_bytes());
            let _ = stdout.flush();
        }
    }

    /// `name: value`, aligned.
    pub fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("  {name:<12} {value}"));
    }

    /// The JSON document.
    pub fn document(&mut self, document: &impl Serialize) {
        self.document = serde_json::to_value(document).ok();
    }

    /// The error that ended the command: on standard error, and in the JSON document.
    pub fn error(&mut self, e: &Error) {
        let text = match e {
            // Some are lists.
            Error::Usage(text) => printable(text),
            e => visible(e),
        };
        eprintln!("keyringctl: {text}");
        self.document.get_or_insert_with(|| json!({ "error": e.to_string() }));
    }

    /// Prints now what there is so far, because it holds something that is shown once: when it does not arrive, the
    /// command must take back what it did. Of two JSON documents only the first is printed.
    ///
    /// # Errors
    /// What standard output answers, also when its reader is gone, or when there is none.
    pub fn deliver(&mut self) -> io::Result<()> {
        if stdout_was_closed() {
            return Err(io::Error::other("standard output is closed"));
        }
        self.print()
    }

    /// Prints it all.
    pub fn finish(mut self) -> io::Result<()> {
        match self.print() {
            // Whoever reads may have seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }

    fn print(&mut self) -> io::Result<()> {
        let text = match (self.json, self.document.take()) {
            (true, Some(document)) if !self.delivered => {
                self.delivered = true;
                document_text(&document).map_err(io::Error::from)?
            }
            (true, _) => String::new(),
            (false, _) => std::mem::take(&mut self.text),
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

/// Whether this program was started without standard output. Rust puts /dev/null in its place then, open for reading
/// and writing; a shell's `> /dev/null` is open for writing only, and is somebody's wish.
fn stdout_was_closed() -> bool {
    let stdout = io::stdout();
    let is_null = rustix::fs::fstat(&stdout).is_ok_and(|s| {
        FileType::from_raw_mode(s.st_mode) == FileType::CharacterDevice
            && s.st_rdev == rustix::fs::makedev(1, 3)
    });
    is_null && rustix::fs::fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR))
}

/// A JSON document as it is printed.
pub(super) fn document_text(document: &Value) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// Takes what a keyring reports while it is used.
pub(super) fn stderr_report(severity: Severity, message: &str) {
    if severity == Severity::Warning {
        eprintln!("keyringctl: {}", visible(message));
    }
}

/// Seconds since 1970 as RFC 3339, in UTC.
pub(super) fn time(seconds: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
        // Beyond the year 9999 there is no such text.
        Some(time) if seconds < 253_402_300_800 => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("{seconds} s after 1970"),
    }
}

/// A path as a shell takes it for one word.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { quoted(&text) }
}

/// Text in quotes for a shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A number of things, whose name takes an s when they are several.
pub(super) fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A name, path or text that comes from a server, a data directory or a volume, for people: characters that are not seen,
/// that turn the text around, or that a terminal or browser takes for something to do, are shown as what they are.
pub(super) fn visible(text: impl Display) -> String {
    escaped(&text.to_string(), |_| false)
}

/// The same of lines: their ends and tabulators stay.
fn printable(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) && !stays(c) {
            // Writing to a String does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Rows under headings, in columns as wide as they need.
pub(super) fn table(out: &mut Output, headings: &[&str], rows: &[Vec<String>]) {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(visible).collect()).collect();
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(i, h)| {
            rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0).max(h.len())
        })
        .collect();
    let mut print = |cells: &mut dyn Iterator<Item = &str>| {
        let line: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.line(line.join("  ").trim_end());
    };
    print(&mut headings.iter().copied());
    for row in &rows {
        print(&mut row.iter().map(String::as_str));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_take_for_something_to_do_is_shown() {
        assert_eq!(visible("a b\u{e9}\u{4e2d}.ibd"), "a b\u{e9}\u{4e2d}.ibd");
        assert_eq!(visible("\u{1b}[2Jx\r\n\t\u{202e}y"), "\\u{1b}[2Jx\\u{d}\\u{a}\\u{9}\\u{202e}y");
        let mut out = Output::new(false);
        out.line("two\nlines\u{1b}[2J\u{9b}2J\u{7}");
        table(&mut out, &["name"], &[vec!["a\nOK      b".to_owned()]]);
        assert_eq!(out.text, "two\nlines\\u{1b}[2J\\u{9b}2J\\u{7}\nname\na\\u{a}OK      b\n");
    }

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        let word = |path: &str| shell_word(Path::new(path));
        assert_eq!(word("/mnt/a/keys/main.keyring"), "/mnt/a/keys/main.keyring");
        assert_eq!(word("/mnt/my stick/k"), "'/mnt/my stick/k'");
        assert_eq!(word("/mnt/it's;k"), r"'/mnt/it'\''s;k'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "key")), ["0 keys", "1 key", "2 keys"]);
    }

    #[test]
    fn times_are_rfc_3339_and_never_panic() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_764_000_000), "2025-11-24T16:00:00Z");
        assert_eq!(time(u64::MAX), format!("{} s after 1970", u64::MAX));
    }
}
