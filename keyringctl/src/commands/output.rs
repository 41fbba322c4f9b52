// SPDX-License-Identifier: GPL-2.0-or-later
//! The output of a command: text, or one JSON document.

mod table;

use super::hints;
use crate::error::Error;
pub(super) use crate::show::counted;
use crate::show::{is_hidden, visible, warn};
use crate::terminal::{Color, Screen};
use keyring_external::keyring::Severity;
use rustix::fs::{FileType, OFlags};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, UNIX_EPOCH};

/// The version of the form of JSON documents. It grows when a field is removed or means something else.
const VERSION: u32 = 1;

/// Collects the output of a command and prints it at the end.
pub(super) struct Output {
    json: bool,
    /// The command, for the document.
    command: String,
    screen: Screen,
    text: String,
    document: Option<Value>,
    /// The fields of the document that are printed already, if its beginning is.
    delivered: Option<Vec<String>>,
}

impl Output {
    /// The output of a command in a test: not on a terminal.
    #[cfg(test)]
    pub(super) fn new(json: bool) -> Self {
        Self::of_command("test", json, Screen::default())
    }

    /// The output of a command on standard output.
    pub(super) fn on_stdout(command: &str, json: bool, color: Color) -> Self {
        Self::of_command(command, json, Screen::of(&io::stdout(), color))
    }

    fn of_command(command: &str, json: bool, screen: Screen) -> Self {
        let command = command.to_owned();
        Self { json, command, screen, text: String::new(), document: None, delivered: None }
    }

    /// Whether the output is a JSON document instead of text.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Adds a line of text, wrapped at the width of the terminal if there is one. A line feed in it, which would come from
    /// a name, does not end the line.
    pub(super) fn line(&mut self, line: impl Display) {
        self.text.push_str(&self.screen.line(&visible(line)));
        self.text.push('\n');
    }

    /// Adds a line of a file, which is shown as it is.
    pub(super) fn verbatim(&mut self, line: impl Display) {
        self.text.push_str(&visible(line));
        self.text.push('\n');
    }

    /// Adds a line of a script that this program made, tabs included.
    pub(super) fn script_line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds lines of text in which nothing comes from outside.
    pub(super) fn block(&mut self, lines: &'static str) {
        self.text.push_str(lines);
        self.text.push('\n');
    }

    /// Replaces all output with this text.
    pub(super) fn only(&mut self, text: String) {
        self.json = false;
        self.text = text;
    }

    /// Prints the text so far, before a question is asked.
    pub(super) fn flush_text(&mut self) {
        if !self.json {
            // The reader may have closed the pipe; the command continues.
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(std::mem::take(&mut self.text).as_bytes());
            let _ = stdout.flush();
        }
    }

    /// Prints the text so far, because a question about it follows: where it can be read, which is standard error if
    /// standard output gets a JSON document or is not a terminal.
    pub(super) fn show_before_question(&mut self) {
        let text = std::mem::take(&mut self.text);
        // If the reader is gone, the question is asked nevertheless.
        let _ = if self.json || !io::stdout().is_terminal() {
            io::stderr().write_all(text.as_bytes())
        } else {
            print(&text)
        };
    }

    /// Adds a line with a name and a value, aligned.
    pub(super) fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("  {name:<12} {value}"));
    }

    /// Sets the JSON document, an object. Its version and the command are added to it.
    pub(super) fn document(&mut self, document: &impl Serialize) {
        let value = serde_json::to_value(document);
        let value =
            value.unwrap_or_else(|e| json!({ "error": format!("cannot write the result as JSON: {e}") }));
        self.document = Some(versioned(&self.command, value));
    }

    /// Prints the error that ended the command on standard error, and adds it to the JSON document.
    pub(super) fn error(&mut self, e: &Error) {
        match e {
            Error::Lines(lines) => {
                let screen = Screen::of(&io::stderr(), Color::Never);
                let first = format!("keyringctl: {}", lines.first().map(visible).unwrap_or_default());
                let lines = [first].into_iter().chain(lines.iter().skip(1).map(visible));
                let lines = lines.map(|line| screen.line(&line)).collect::<Vec<_>>().join("\n");
                // Nobody reads the rest if this fails.
                let _ = writeln!(io::stderr(), "{lines}");
            }
            e => warn(hints::explained(e)),
        }
        self.error_only(&hints::explained(e));
    }

    /// Adds an error to the JSON document.
    pub(super) fn error_only(&mut self, e: &str) {
        let document = self.document.take().unwrap_or_else(|| versioned(&self.command, json!({})));
        self.document = Some(with_error(document, e));
    }

    /// Prints the output so far at once, because it includes a secret that is shown only once. If this fails, the
    /// command must undo what it did. Of a JSON document that is set later, only the new fields are printed.
    ///
    /// # Errors
    /// Standard output is closed, its reader is gone, or it cannot be written.
    pub(super) fn deliver(&mut self) -> io::Result<()> {
        if stdout_was_closed() {
            return Err(io::Error::other("standard output is closed"));
        }
        let text = match (self.json, self.document.take()) {
            (true, Some(document)) => {
                self.delivered = Some(names(&document));
                without_end(document_text(&document).map_err(io::Error::from)?)
            }
            (true, None) => String::new(),
            (false, _) => std::mem::take(&mut self.text),
        };
        print(&text)
    }

    /// Whether the output can be shown page by page: somebody reads it on a terminal and can type.
    pub(super) fn shows_pages(&self) -> bool {
        !self.json && self.screen.width.is_some() && io::stdin().is_terminal()
    }

    /// Clears the terminal, with what it keeps of earlier lines.
    ///
    /// # Errors
    /// As [`Output::deliver`].
    pub(super) fn clear_screen(&mut self) -> io::Result<()> {
        print("\x1b[H\x1b[2J\x1b[3J")
    }

    /// Prints the rest of the output.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let text = match (self.json, self.document.take(), &self.delivered) {
            (true, document, Some(delivered)) => rest(document, delivered).map_err(io::Error::from)?,
            (true, Some(document), None) => document_text(&document).map_err(io::Error::from)?,
            (true, None, None) => {
                document_text(&versioned(&self.command, json!({}))).map_err(io::Error::from)?
            }
            (false, ..) => std::mem::take(&mut self.text),
        };
        match print(&text) {
            // The reader has closed the pipe on purpose.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A document with the version of its form and the command that it is of.
pub(super) fn versioned(command: &str, document: Value) -> Value {
    let Value::Object(mut fields) = document else {
        return versioned(
            command,
            json!({ "error": "the result is not an object: this is a bug of keyringctl" }),
        );
    };
    debug_assert!(!fields.contains_key("version") && !fields.contains_key("command"), "a field is lost");
    fields.insert("version".to_owned(), VERSION.into());
    fields.insert("command".to_owned(), command.into());
    Value::Object(fields)
}

/// A document with the error that ended the command, if it does not name one already.
fn with_error(mut document: Value, e: &str) -> Value {
    if let Some(fields) = document.as_object_mut() {
        fields.entry("error").or_insert_with(|| e.into());
    }
    document
}

/// The names of the fields of a document.
fn names(document: &Value) -> Vec<String> {
    document.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect()
}

/// A document as text, without the brace at its end.
fn without_end(text: String) -> String {
    text.strip_suffix("\n}\n").map(str::to_owned).unwrap_or(text)
}

/// The rest of a document whose beginning is printed: the other fields, and the brace.
fn rest(document: Option<Value>, delivered: &[String]) -> serde_json::Result<String> {
    let mut fields = match document {
        Some(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    fields.retain(|name, _| !delivered.contains(name));
    if fields.is_empty() {
        return Ok("\n}\n".to_owned());
    }
    document_text(&Value::Object(fields)).map(|text| format!(",{}", text.trim_start_matches('{')))
}

/// Whether this program was started without standard output. Rust then opens /dev/null in its place for reading and
/// writing, while `> /dev/null` in a shell, which is intended, opens it for writing only.
fn stdout_was_closed() -> bool {
    let stdout = io::stdout();
    let is_null = rustix::fs::fstat(&stdout).is_ok_and(|s| {
        FileType::from_raw_mode(s.st_mode) == FileType::CharacterDevice
            && s.st_rdev == rustix::fs::makedev(1, 3)
    });
    is_null && rustix::fs::fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR))
}

/// Formats a JSON document for printing: what cannot be seen is written as `\\uXXXX`, so that a terminal does not obey it.
pub(super) fn document_text(document: &Value) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(document)?;
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if is_hidden(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    Ok(out)
}

/// Prints the warnings of a keyring on standard error.
pub(super) fn stderr_report(severity: Severity, message: &str) {
    if severity == Severity::Warning {
        warn(message);
    }
}

/// Formats seconds since 1970 as RFC 3339, in UTC.
pub(super) fn time(seconds: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
        // RFC 3339 ends with the year 9999.
        Some(time) if seconds < 253_402_300_800 => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("{seconds} s after 1970"),
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Prints rows under headings, in columns as wide as necessary. On a terminal, the last column is wrapped.
pub(super) fn table(out: &mut Output, headings: &[&str], rows: &[Vec<String>]) {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(visible).collect()).collect();
    for line in table::lines(headings, &rows, out.screen) {
        out.text.push_str(&line);
        out.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let mut out = Output::new(false);
        out.line("one\nline\u{1b}[2J\u{9b}2J\u{7}");
        out.block("two\nlines");
        table(&mut out, &["name"], &[vec!["a\nOK      b".to_owned()]]);
        assert_eq!(out.text, "one\\u{a}line\\u{1b}[2J\\u{9b}2J\\u{7}\ntwo\nlines\nname\na\\u{a}OK      b\n");
    }

    #[test]
    fn the_parts_of_a_document_are_one_document() {
        let first = json!({ "id": "a", "next": ["b"] });
        let begin = without_end(document_text(&first).unwrap());
        let whole = |document: Option<Value>| -> Value {
            serde_json::from_str(&format!("{begin}{}", rest(document, &names(&first)).unwrap())).unwrap()
        };
        assert_eq!(whole(None), first);
        assert_eq!(whole(Some(first.clone())), first);
        let more = whole(Some(json!({ "id": "c", "error": "d" })));
        assert_eq!(more, json!({ "id": "a", "next": ["b"], "error": "d" }));
    }

    #[test]
    fn a_document_holds_names_exactly_and_shows_no_control_character() {
        let document = json!({ "name": "a\n\u{1b}\u{9b}\u{202e}\u{e0001}\u{fc}" });
        let text = document_text(&document).unwrap();
        assert_eq!(text, "{\n  \"name\": \"a\\n\\u001b\\u009b\\u202e\\udb40\\udc01\u{fc}\"\n}\n");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
    }

    #[test]
    fn a_noun_gets_an_s_unless_there_is_one() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "key")), ["0 keys", "1 key", "2 keys"]);
    }

    #[test]
    fn times_are_rfc_3339_and_never_panic() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_764_000_000), "2025-11-24T16:00:00Z");
        assert_eq!(time(u64::MAX), format!("{} s after 1970", u64::MAX));
    }
}
