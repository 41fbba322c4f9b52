// SPDX-License-Identifier: GPL-2.0-or-later
//! Verifies the log of a server for other commands.

use super::read::{self, Content};
use super::words::text;
use crate::error::Result;
use keyring_external::audit::verify::{Finding, Known, Trouble, Verification, verify};
use keyring_external::keyring::Keyring;
use std::path::{Path, PathBuf};

/// What was found out about a log with all its files.
pub(in crate::commands) struct VerifiedLog {
    /// Its files: the present one, and those that a rotation has renamed. None if there is no log.
    pub files: Vec<PathBuf>,
    /// What is in each of them.
    pub contents: Vec<Vec<u8>>,
    /// One for each log that the files belong to.
    pub logs: Vec<Verification>,
    /// The files without any line of a log, or that cannot be unpacked, as indices.
    pub unreadable: Vec<usize>,
    /// Why files cannot be unpacked.
    not_unpacked: Vec<(usize, String)>,
}

/// What a log is compared with: an open keyring.
///
/// # Errors
/// No memory.
pub(in crate::commands) fn known(keyring: &Keyring) -> Result<Known> {
    Ok(Known {
        keyring: Some(keyring.id()),
        key: Some(keyring.audit_key()?),
        earlier: Vec::new(),
        note: keyring.log_note(),
        generation: Some(keyring.status().generation),
    })
}

/// Verifies the log at a path with the files beside it that a rotation has renamed. Reads them again before it says that
/// something is wrong: meanwhile, a line may be written or a file renamed.
///
/// # Errors
/// A file cannot be read.
pub(in crate::commands) fn of_log(log: &Path, known: &Known) -> Result<VerifiedLog> {
    let look = || of_files(read::with_segments(log)?, known);
    let first = look();
    // Between a rename and the next line, no file of the log may have been there.
    let is_fine = |found: &VerifiedLog| found.is_fine() && (known.note.is_none() || !found.logs.is_empty());
    if first.as_ref().is_ok_and(is_fine) { first } else { look() }
}

/// Verifies the log with these files.
///
/// # Errors
/// A file cannot be read.
pub(super) fn of_files(files: Vec<PathBuf>, known: &Known) -> Result<VerifiedLog> {
    let (mut contents, mut not_unpacked) = (Vec::new(), Vec::new());
    for (index, path) in files.iter().enumerate() {
        contents.push(match read::file(path)? {
            Content::Bytes(bytes) => bytes,
            Content::NotUnpacked(why) => {
                not_unpacked.push((index, why));
                Vec::new()
            }
        });
    }
    let (logs, mut unreadable) = verify(&contents, known);
    unreadable.extend(not_unpacked.iter().map(|(index, _)| *index));
    unreadable.sort_unstable();
    Ok(VerifiedLog { files, contents, logs, unreadable, not_unpacked })
}

impl VerifiedLog {
    fn is_fine(&self) -> bool {
        self.unreadable.is_empty() && self.logs.iter().all(Verification::is_fine)
    }

    /// What is wrong with one of the [`unreadable`](Self::unreadable) files.
    pub(in crate::commands) fn fault_of(&self, index: usize) -> String {
        match self.not_unpacked.iter().find(|(file, _)| *file == index) {
            Some((_, why)) => format!("it cannot be unpacked ({why}), so none of its lines was verified"),
            None => "no line of an audit log is in it".to_owned(),
        }
    }

    /// Says that the keyring was changed without the log, if it was.
    pub(in crate::commands) fn not_announced(&self) -> Option<String> {
        let remarks = self.logs.iter().flat_map(|log| &log.remarks);
        let of_this = remarks.filter(|remark| remark.trouble == Trouble::NotAnnounced);
        of_this.map(|remark| text(remark, &self.files)).next()
    }

    /// Says which lines nobody could check when later ones were written, if there are such.
    pub(in crate::commands) fn never_checked(&self) -> Option<String> {
        let remarks = self.logs.iter().flat_map(|log| &log.remarks);
        let of_this = remarks.filter(|remark| remark.trouble == Trouble::NeverChecked);
        of_this.map(|remark| text(remark, &self.files)).next()
    }

    /// What is wrong, with the sentence that says so.
    pub(in crate::commands) fn findings(&self) -> impl Iterator<Item = (Trouble, String)> {
        let findings = self.logs.iter().flat_map(|log| &log.findings);
        findings.map(|finding: &Finding| (finding.trouble, text(finding, &self.files)))
    }
}
