// SPDX-License-Identifier: GPL-2.0-or-later
//! Verifies the log of a server for other commands.

use super::read;
use super::verify::text;
use crate::error::Result;
use keyring_external::audit::verify::{Finding, Known, Trouble, Verification, verify};
use std::path::{Path, PathBuf};

/// What was found out about a log with all its files.
pub(in crate::commands) struct VerifiedLog {
    /// Its files: the present one, and those that a rotation has renamed. None if there is no log.
    pub files: Vec<PathBuf>,
    /// One for each log that the files belong to.
    pub logs: Vec<Verification>,
    /// The files without any line of a log, as indices.
    pub unreadable: Vec<usize>,
}

/// Verifies the log at a path with the files beside it that a rotation has renamed. Reads them again before it says that
/// something is wrong: meanwhile, a line may be written or a file renamed.
///
/// # Errors
/// A file cannot be read.
pub(in crate::commands) fn of_log(log: &Path, known: &Known) -> Result<VerifiedLog> {
    let first = look(log, known);
    if first.as_ref().is_ok_and(VerifiedLog::is_fine) { first } else { look(log, known) }
}

fn look(log: &Path, known: &Known) -> Result<VerifiedLog> {
    let files = read::with_segments(log)?;
    let contents = files.iter().map(|path| read::file(path)).collect::<Result<Vec<_>>>()?;
    let (logs, unreadable) = verify(&contents, known);
    Ok(VerifiedLog { files, logs, unreadable })
}

impl VerifiedLog {
    fn is_fine(&self) -> bool {
        self.unreadable.is_empty() && self.logs.iter().all(Verification::is_fine)
    }

    /// What is wrong, with the sentence that says so.
    pub(in crate::commands) fn findings(&self) -> impl Iterator<Item = (Trouble, String)> {
        let findings = self.logs.iter().flat_map(|log| &log.findings);
        findings.map(|finding: &Finding| (finding.trouble, text(finding, &self.files)))
    }
}
