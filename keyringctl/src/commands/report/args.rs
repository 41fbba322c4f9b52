// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl report`.

use crate::commands::{secret, server};
use crate::server::Kind;
use std::path::PathBuf;

/// Write what of a server is encrypted, how, and what is not, as one page for an auditor
///
/// Run it on the server, as root, and give the unlock secret: what cannot be looked at is said as such, and the verdict is
/// not fine then. The page needs nothing else and holds no secret.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl report --html encryption.html --unlock file:/etc/mysql/keyring.secret\n  \
    keyringctl --json report --html encryption.html --unlock file:/etc/mysql/keyring.secret > encryption.json\n\n\
    The page ends with the SHA-256 of what --json prints.\n\
    Exit codes: 0 everything that MySQL can encrypt is, and all was looked at; 1 it is not so; 2 it could not be measured.")]
pub(in crate::commands) struct Args {
    /// Write the page to this file, mode 0600
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "html")]
    pub force: bool,
    /// Do not read the server's files: the report has its word only
    #[arg(long)]
    pub no_files: bool,
    /// Take upon yourself that places of this kind are in clear (repeatable): slow-log, general-log, other-engine,
    /// binary-log, doublewrite, system-tablespace, setting, ... The page says so
    #[arg(long, value_name = "KIND")]
    pub accept: Vec<Kind>,
    #[command(flatten)]
    pub secret: secret::Args,
    #[command(flatten)]
    pub server: server::Args,
}
