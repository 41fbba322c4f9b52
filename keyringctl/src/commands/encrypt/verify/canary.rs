// SPDX-License-Identifier: GPL-2.0-or-later
//! A canary: texts that nobody has used before are written into a new table, flushed, and looked for in the
//! files. The names of its columns, which the server writes in clear into a file beside the table's while that is flushed
//! for export, show that the search finds what is there to be found.

use super::Finding;
use crate::commands::encrypt::scratch::{NAME, Scratch};
use crate::server::{Here, Kind, Session};
use keyring_external::error::{Error, Result};
use keyring_external::secret::fill_random;
use memchr::memmem::Finder;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Rows of the canary.
const ROWS: usize = 64;
/// A file is read in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// What came of it.
#[derive(Serialize)]
pub(super) struct Outcome {
    rows: usize,
    /// Files that were searched; none when the data directory cannot be read.
    files: usize,
    found_in: Vec<PathBuf>,
    /// Whether a name that is in a file in clear was found there.
    control_found: bool,
    looked: bool,
}

impl Outcome {
    pub fn line(&self) -> String {
        if !self.looked {
            return format!(
                "The canary: a new table with {} texts is encrypted, says the server; its files cannot be searched from here",
                self.rows
            );
        }
        let control = if self.control_found {
            "; the name of a column, which is in clear for a moment, was found"
        } else {
            "; but the name of a column, which is in clear for a moment, was NOT found, so this proves nothing"
        };
        let found = match self.found_in.len() {
            0 => "none was found".to_owned(),
            n => format!("FOUND in {n} files"),
        };
        format!(
            "The canary: {} texts were written and looked for in {} files: {found}{control}",
            self.rows, self.files
        )
    }
}

/// Writes the canary, looks for it, takes it away.
pub(super) fn fly(session: &Session, here: &Here, findings: &mut Vec<Finding>) -> Result<Outcome> {
    let (text, control) = (random_text("canary")?, random_text("control")?);
    let mut scratch = Scratch::make(session)?;
    scratch.session.run(&format!(
        "CREATE TABLE canary (id INT PRIMARY KEY, a VARCHAR(80), b MEDIUMTEXT, {control} INT, KEY (a))"
    ))?;
    fill(&mut scratch.session, &text)?;
    let mut outcome =
        Outcome { rows: ROWS, files: 0, found_in: Vec::new(), control_found: false, looked: false };
    let encrypted: Option<String> = scratch.session.first(&format!(
        "SELECT ENCRYPTION FROM information_schema.INNODB_TABLESPACES WHERE NAME = '{NAME}/canary'"
    ))?;
    if encrypted.as_deref() != Some("Y") {
        let why = "a new table in a schema whose default is encryption is in clear".to_owned();
        findings.push(Finding::new(
            Kind::Setting,
            "canary",
            why,
            Some("keyringctl encrypt apply".to_owned()),
        ));
    }
    let Some(datadir) = here.readable() else { return Ok(outcome) };
    // Writes the table's pages to its file, and holds still until they were read.
    scratch.session.run("FLUSH TABLES canary FOR EXPORT")?;
    let own = datadir.join(NAME);
    let searched = search(datadir, &own, text.as_bytes(), &mut outcome);
    outcome.control_found = holds(&own.join("canary.cfg"), control.as_bytes()).unwrap_or(false);
    scratch.session.run("UNLOCK TABLES")?;
    searched?;
    outcome.looked = true;
    for path in &outcome.found_in {
        let why = "a text that was written just now is in it in clear".to_owned();
        findings.push(Finding::new(Kind::Table, path.display().to_string(), why, None));
    }
    if !outcome.control_found {
        let why = "the search does not find a name that is in clear, so that it proves nothing".to_owned();
        findings.push(Finding::new(Kind::Setting, "canary", why, None));
    }
    Ok(outcome)
}

/// Rows with the text, changed once so that undo has it too, and long ones that lie on pages of their own.
fn fill(session: &mut Session, text: &str) -> Result<()> {
    let rows: Vec<_> = (0..ROWS)
        .map(|id| format!("({id}, '{text}', REPEAT('{text}', {}), 0)", if id % 16 == 0 { 500 } else { 1 }))
        .collect();
    session.run(&format!("INSERT INTO canary VALUES {}", rows.join(", ")))?;
    session.run("UPDATE canary SET a = REVERSE(a) WHERE id % 2 = 0")
}

/// The files that a new row can get into, other tables' left out: those of the canary's schema, and those at
/// the top of the data directory and in InnoDB's own directories.
fn search(datadir: &Path, own: &Path, text: &[u8], outcome: &mut Outcome) -> Result<()> {
    for directory in
        [datadir.to_owned(), datadir.join("#innodb_redo"), datadir.join("#innodb_temp"), own.to_owned()]
    {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|p| p.is_file()) {
            match holds(&path, text) {
                Ok(true) => outcome.found_in.push(path),
                Ok(false) => {}
                Err(Error::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            }
            outcome.files += 1;
        }
    }
    Ok(())
}

/// Whether a file holds a text.
fn holds(path: &Path, text: &[u8]) -> Result<bool> {
    let told = |e| Error::io("read", path, e);
    let finder = Finder::new(text);
    let mut file = File::open(path).map_err(told)?;
    let mut piece = Vec::new();
    loop {
        // The text may lie across two pieces.
        piece.drain(..piece.len().saturating_sub(text.len()));
        if file.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(told)? == 0 {
            return Ok(false);
        }
        if finder.find(&piece).is_some() {
            return Ok(true);
        }
    }
}

/// A text that nobody has used before.
fn random_text(start: &str) -> Result<String> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes).map_err(Error::System)?;
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
        assert!(holds(&path, b"canary").unwrap());
        assert!(!holds(&path, b"canaries").unwrap());
    }
}
