// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl report`.

use super::age::MaxAge;
use crate::commands::drill::history;
use crate::commands::{secret, server};
use crate::server::PlaceKind;
use std::path::PathBuf;

/// Write a page for an auditor: what a server encrypts, how, and what is unencrypted
///
/// Run it on the server, as root, with the unlock secret. What it cannot check is listed, and the verdict is INCOMPLETE
/// then. The page is a single file and contains no secret.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl report --html encryption.html --unlock file:/etc/mysql/keyring_external.secret\n  \
    keyringctl --json report --html encryption.html --unlock file:/etc/mysql/keyring_external.secret > encryption.json\n\n\
    The page ends with the SHA-256 of what --json prints.\n\
    Exit codes: 0 everything that MySQL can encrypt is encrypted, and everything was checked; 1 FAILED or INCOMPLETE;\n\
    2 there is no report.")]
pub(in crate::commands) struct Args {
    /// Write the page to this file (mode 0600)
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long, requires = "html")]
    pub force: bool,
    /// Do not read the server's files; the report then shows only what the server reports
    #[arg(long)]
    pub no_files: bool,
    /// Accept unencrypted data of this kind: slow-log, general-log, other-engine, binary-log, doublewrite,
    /// system-tablespace, setting, ... The page lists what is accepted (repeatable)
    #[arg(long, value_name = "KIND")]
    pub accept: Vec<PlaceKind>,
    /// Policy for the rotation of master keys: warn if one in use is older than this number of days, or a time such as
    /// 1y or 6months. Without it, ages are shown and not judged
    #[arg(long, value_name = "DAYS")]
    pub max_age: Option<MaxAge>,
    /// Results of restore drills. Copy it here from the host that restores backups, if that is another one
    #[arg(long, value_name = "FILE", default_value = history::DEFAULT)]
    pub drill_history: PathBuf,
    #[command(flatten)]
    pub secret: secret::Args,
    #[command(flatten)]
    pub server: server::Args,
}
