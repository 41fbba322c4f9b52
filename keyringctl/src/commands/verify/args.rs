// SPDX-License-Identifier: GPL-2.0-or-later
//! The options of `keyringctl verify` about a server's files.

use std::path::PathBuf;

#[derive(clap::Args)]
#[group(id = "server")]
pub(in crate::commands) struct Args {
    /// Check that the keyring decrypts every encrypted file in this data directory, which can be in use, a copy or
    /// a backup (repeatable)
    #[arg(long, value_name = "DIR")]
    pub datadir: Vec<PathBuf>,
    /// Additional directory with files of the server, such as innodb_undo_directory or a table's DATA DIRECTORY
    /// (repeatable)
    #[arg(long, value_name = "DIR", requires = "datadir")]
    also: Vec<PathBuf>,
    /// Also fail if a file holds unencrypted data that MySQL could encrypt, and name these files
    #[arg(long, requires = "datadir")]
    pub all_encrypted: bool,
    /// Decrypt every page of each tablespace instead of a single one
    #[arg(long, requires = "datadir")]
    pub every_page: bool,
}

impl Args {
    /// The directories whose files are checked.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        self.datadir.iter().chain(&self.also).cloned().collect()
    }
}
