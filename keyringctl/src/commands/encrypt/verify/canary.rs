// SPDX-License-Identifier: GPL-2.0-or-later
//! The canary: writes random texts into a new table, flushes it, and searches the server's files for them. As a control, it
//! also searches for the name of a column, which the server writes unencrypted into a file beside the table's while the
//! table is flushed for export. If that is found, the search works.

use super::finding::VerifyFinding;
use crate::commands::encrypt::scratch::{NAME, Scratch};
use crate::commands::output::counted;
use crate::error::{Error, Result};
use crate::server::{DatadirAccess, PlaceKind, Session};
use crate::show::Shown;
use keyring_external::error::Failure;
use keyring_external::secret::fill_random;
use memchr::memmem::Finder;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Rows of the canary.
const ROWS: usize = 64;
/// Files are read in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// The result of the canary.
#[derive(Serialize)]
pub(super) struct CanaryResult {
    rows: usize,
    /// Files that were searched; 0 if the data directory cannot be read.
    files: usize,
    #[serde(serialize_with = "crate::show::paths")]
    found_in: Vec<PathBuf>,
    /// Whether the control, which is in a file unencrypted, was found there.
    control_found: bool,
    looked: bool,
}

impl CanaryResult {
    pub(super) fn line(&self) -> String {
        if !self.looked {
            return format!(
                "Canary: the server reports a new table with {} random texts as encrypted; its files cannot be searched from here",
                self.rows
            );
        }
        let control = if self.control_found {
            "; found the control, a column name that is unencrypted for a moment"
        } else {
            "; did NOT find the control, a column name that is unencrypted for a moment, so this proves nothing"
        };
        let found = match self.found_in.len() {
            0 => "found none of them".to_owned(),
            n => format!("FOUND them in {}", counted(n, "file")),
        };
        format!(
            "Canary: wrote {} random texts and searched {}: {found}{control}",
            self.rows,
            counted(self.files, "file")
        )
    }
}

/// Writes the canary, searches for it, and removes it.
pub(super) fn run(
    session: &Session,
    here: &DatadirAccess,
    findings: &mut Vec<VerifyFinding>,
) -> Result<CanaryResult> {
    let (text, control) = (random_text("canary")?, random_text("control")?);
    let mut scratch = Scratch::create(session)?;
    scratch.session.run(&format!(
        "CREATE TABLE canary (id INT PRIMARY KEY, a VARCHAR(80), b MEDIUMTEXT, {control} INT, KEY (a))"
    ))?;
    fill(&mut scratch.session, &text)?;
    let mut outcome =
        CanaryResult { rows: ROWS, files: 0, found_in: Vec::new(), control_found: false, looked: false };
    let encrypted: Option<String> = scratch.session.first(&format!(
        "SELECT ENCRYPTION FROM information_schema.INNODB_TABLESPACES WHERE NAME = '{NAME}/canary'"
    ))?;
    if encrypted.as_deref() != Some("Y") {
        let why = "a new table is unencrypted although its schema's default is encryption".to_owned();
        findings.push(VerifyFinding::new(
            PlaceKind::Setting,
            "canary",
            why,
            Some("keyringctl encrypt apply".to_owned()),
        ));
    }
    let Some(datadir) = here.readable() else { return Ok(outcome) };
    // Writes the table's pages to its file, and blocks changes until they have been read.
    scratch.session.run("FLUSH TABLES canary FOR EXPORT")?;
    let own = datadir.join(NAME);
    let searched = search(datadir, &own, text.as_bytes(), &mut outcome);
    outcome.control_found = contains(&own.join("canary.cfg"), control.as_bytes()).unwrap_or(false);
    scratch.session.run("UNLOCK TABLES")?;
    searched?;
    outcome.looked = true;
    for path in &outcome.found_in {
        let why = "contains the canary's text unencrypted".to_owned();
        findings.push(VerifyFinding::new(PlaceKind::Table, path.shown(), why, None));
    }
    if !outcome.control_found {
        let why =
            "the search did not find the control, which is unencrypted, so it proves nothing".to_owned();
        findings.push(VerifyFinding::new(PlaceKind::Setting, "canary", why, None));
    }
    Ok(outcome)
}

/// Inserts rows with the text and updates some, so that undo logs contain it too. Some texts are so long that they have
/// pages of their own.
fn fill(session: &mut Session, text: &str) -> Result<()> {
    let rows: Vec<_> = (0..ROWS)
        .map(|id| format!("({id}, '{text}', REPEAT('{text}', {}), 0)", if id % 16 == 0 { 500 } else { 1 }))
        .collect();
    session.run(&format!("INSERT INTO canary VALUES {}", rows.join(", ")))?;
    session.run("UPDATE canary SET a = REVERSE(a) WHERE id % 2 = 0")
}

/// Searches the files that a new row can get into: those of the canary's schema, at the top of the data directory, and in
/// InnoDB's own directories. Other tables' files are left out.
fn search(datadir: &Path, own: &Path, text: &[u8], outcome: &mut CanaryResult) -> Result<()> {
    for directory in
        [datadir.to_owned(), datadir.join("#innodb_redo"), datadir.join("#innodb_temp"), own.to_owned()]
    {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_file()) {
            match contains(&path, text) {
                Ok(true) => outcome.found_in.push(path),
                Ok(false) => {}
                Err(e) if e.io_kind() == Some(io::ErrorKind::NotFound) => continue,
                Err(e) => return Err(e),
            }
            outcome.files += 1;
        }
    }
    Ok(())
}

/// Returns whether a file contains a text.
fn contains(path: &Path, text: &[u8]) -> Result<bool> {
    let failed = |e| Error::io("read", path, e);
    let finder = Finder::new(text);
    let mut file = File::open(path).map_err(failed)?;
    let mut piece = Vec::new();
    loop {
        // The text may span two pieces.
        piece.drain(..piece.len().saturating_sub(text.len()));
        if file.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(failed)? == 0 {
            return Ok(false);
        }
        if finder.find(&piece).is_some() {
            return Ok(true);
        }
    }
}

/// Returns a random text.
fn random_text(start: &str) -> Result<String> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes).map_err(Failure::System)?;
    Ok(format!("{start}_{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_across_two_pieces_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut bytes = vec![0; 2 * PIECE];
        bytes[PIECE - 3..PIECE + 3].copy_from_slice(b"canary");
        std::fs::write(&path, &bytes).unwrap();
        assert!(contains(&path, b"canary").unwrap());
        assert!(!contains(&path, b"canaries").unwrap());
    }
}
