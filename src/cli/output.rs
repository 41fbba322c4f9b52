// SPDX-License-Identifier: GPL-2.0-or-later
//! What a command prints: text for people, or one JSON document.

use crate::error::Error;
use crate::keyring::Severity;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

/// Collects what a command prints, and prints it at the end.
pub(super) struct Output {
    json: bool,
    text: String,
    document: Option<Value>,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, text: String::new(), document: None }
    }

    /// Whether one JSON document is printed, and no text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A line of text.
    pub fn line(&mut self, line: impl Display) {
        self.text.push_str(&line.to_string());
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
        eprintln!("keyringctl: {e}");
        self.document.get_or_insert_with(|| json!({ "error": e.to_string() }));
    }

    /// Prints it all.
    pub fn finish(self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let printed = match (self.json, self.document) {
            (true, Some(document)) => {
                let text = document_text(&document).map_err(io::Error::from)?;
                stdout.write_all(text.as_bytes())
            }
            (true, None) => Ok(()),
            (false, _) => stdout.write_all(self.text.as_bytes()),
        };
        match printed.and_then(|()| stdout.flush()) {
            // Whoever reads may have seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}

/// A JSON document as it is printed.
pub(super) fn document_text(document: &Value) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// Takes what a keyring reports while it is used.
pub(super) fn stderr_report(severity: Severity, message: &str) {
    if severity == Severity::Warning {
        eprintln!("keyringctl: {message}");
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

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Rows under headings, in columns as wide as they need.
pub(super) fn table(out: &mut Output, headings: &[&str], rows: &[Vec<String>]) {
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
    for row in rows {
        print(&mut row.iter().map(String::as_str));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_and_never_panic() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_764_000_000), "2025-11-24T16:00:00Z");
        assert_eq!(time(u64::MAX), format!("{} s after 1970", u64::MAX));
    }
}
