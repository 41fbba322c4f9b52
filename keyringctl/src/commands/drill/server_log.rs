// SPDX-License-Identifier: GPL-2.0-or-later
//! The error log of the temporary server: why it has ended.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The most that is read of one server's part of the log.
const MOST: u64 = 4 << 20;
/// The most errors that are told of one end.
const TOLD: usize = 3;

/// The part of an error log that one server writes.
pub(super) struct ServerLog {
    path: PathBuf,
    from: u64,
}

impl ServerLog {
    /// The part that begins now.
    pub(super) fn from_now(path: &Path) -> ServerLog {
        let from = std::fs::metadata(path).map_or(0, |meta| meta.len());
        ServerLog { path: path.to_owned(), from }
    }

    fn text(&self) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.from))?;
            file.take(MOST).read_to_end(&mut bytes)
        });
        // Without a log, the server was not even started.
        let _ = read;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether the server has recovered what another one, which was not shut down, has left.
    pub(super) fn has_recovered(&self) -> bool {
        let text = self.text();
        ["Starting crash recovery", "starting crash recovery", "Database was not shutdown normally"]
            .iter()
            .any(|sign| text.contains(sign))
    }

    /// Why the server has ended: its first errors.
    pub(super) fn why(&self) -> String {
        why(&self.text())
    }

    /// The setting that the server says its data was created with, unlike the one it was started with.
    pub(super) fn other_setting(&self) -> Option<String> {
        other_setting(&self.text())
    }
}

fn why(text: &str) -> String {
    let mut errors: Vec<String> = Vec::new();
    for line in text.lines() {
        let Some(at) = line.find("[ERROR]") else { continue };
        let told = line.get(at + "[ERROR]".len()..).unwrap_or_default().trim().to_owned();
        if !told.is_empty() && !errors.contains(&told) && errors.len() < TOLD {
            errors.push(told);
        }
    }
    if !errors.is_empty() {
        return errors.join("; ");
    }
    let failed = text.lines().find(|line| line.contains("Assertion failure") || line.contains("got signal"));
    let last = failed.or_else(|| text.lines().rfind(|line| !line.trim().is_empty()));
    last.map_or_else(|| "it wrote nothing to its error log".to_owned(), |line| line.trim().to_owned())
}

fn other_setting(text: &str) -> Option<String> {
    let number_after = |line: &str, mark: &str| -> Option<String> {
        let rest = line.get(line.find(mark)? + mark.len()..)?;
        let digits: String =
            rest.trim_start_matches([' ', '(', '\'']).chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    };
    for line in text.lines() {
        if line.contains("Different lower_case_table_names settings") {
            return number_after(line, "data dictionary")
                .map(|value| format!("lower_case_table_names={value}"));
        }
        if line.contains("uses page size") && line.contains("innodb_page_size") {
            return number_after(line, "uses page size").map(|value| format!("innodb_page_size={value}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_errors_are_the_reason() {
        let log = "2026 0 [System] [MY-1] start\n2026 1 [ERROR] [MY-2] [InnoDB] a\n2026 1 [ERROR] [MY-2] [InnoDB] a\n2026 [ERROR] [MY-3] b\n";
        assert_eq!(why(log), "[MY-2] [InnoDB] a; [MY-3] b");
        assert_eq!(why("one\nlast\n\n"), "last");
        assert!(why("").contains("nothing"));
    }

    #[test]
    fn a_setting_that_the_data_needs_is_read() {
        let case = "x [ERROR] [MY-011087] [Server] Different lower_case_table_names settings for server ('0') and data dictionary ('1').";
        assert_eq!(other_setting(case).as_deref(), Some("lower_case_table_names=1"));
        let page = "x [ERROR] [InnoDB] Data file './ibdata1' uses page size 4096, but the innodb_page_size start-up parameter is 16384";
        assert_eq!(other_setting(page).as_deref(), Some("innodb_page_size=4096"));
        assert_eq!(other_setting("[ERROR] other"), None);
    }
}
