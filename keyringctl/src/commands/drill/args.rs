// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl drill`.

use super::{history, record};
use crate::commands::{secret, site};
use std::path::PathBuf;

/// Prove that a backup can be restored: restore a copy of it into a temporary server, and read every table
///
/// The backup is a data directory (a copy of the files of a stopped server, a snapshot, or a prepared backup of XtraBackup) or
/// a dump of mysqldump, which may be compressed with gzip. Neither the backup nor the keyring is changed: the server gets a
/// copy of the files and a temporary copy of the keyring, whose only unlock secret exists in memory. The server has no network,
/// writes no binary log, runs no events and no replication, and as root it runs as a user id of its own. At the end, and
/// after Ctrl-C, the server is ended and its files are removed. If this program is killed (SIGKILL), the server ends with it,
/// and the next drill removes the files; nothing that is left unlocks what is encrypted in them. Tables that the backup has
/// unencrypted, a dump too, are in them as they are.
#[derive(clap::Args)]
#[command(
    subcommand_negates_reqs = true,
    override_usage = "keyringctl drill [OPTIONS] --backup <PATH> [KEYRING]...\n       keyringctl drill <COMMAND>",
    after_help = "Examples:\n  \
        keyringctl drill --backup /backup/2026-11-24 /safe/keys/2026-11-24.keyring --recovery\n  \
        keyringctl drill --backup /mnt/snap /safe/keys/2026-11-24.keyring --unlock file:/etc/mysql/keyring_external.secret --record drill.json\n  \
        keyringctl drill --backup /backup/2026-11-24.sql.gz\n\n\
        Exit codes: 0 every table was read, 1 tables failed or the server did not start, 2 usage or I/O error, or the\n\
        drill was stopped."
)]
pub(in crate::commands) struct Args {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) drill: DrillArgs,
}

#[derive(clap::Subcommand)]
pub(super) enum Command {
    Record(Box<record::Args>),
    History(history::Args),
}

/// What a drill takes.
#[derive(clap::Args)]
#[group(id = "drill")]
pub(super) struct DrillArgs {
    /// Backup to restore: a data directory, or a file that mysqldump wrote (plain or .gz)
    #[arg(long, value_name = "PATH", required = true)]
    pub backup: Option<PathBuf>,
    /// Copies of the keyring that belongs to the backup [default: for a data directory, those of the server on this host, and
    /// its unlock source; for a dump, which needs no key, a new keyring]
    #[arg(value_name = "KEYRING")]
    pub keyrings: Vec<PathBuf>,
    #[command(flatten)]
    pub secret: secret::Args,
    /// Additional directory of the backup, such as innodb_undo_directory or a table's DATA DIRECTORY (repeatable)
    #[arg(long, value_name = "DIR")]
    pub also: Vec<PathBuf>,
    /// Compare with what keyringctl drill record wrote on the server
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// The backup and the record are of the same moment, such as that of a stopped server: every difference is a failure
    #[arg(long, requires = "record")]
    pub exact: bool,
    /// Directory for the restored copy, which needs as much space as the backup
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub work: PathBuf,
    /// Memory for the buffer pool of the temporary server, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..=1_048_576))]
    pub memory: u32,
    /// Additional option of the temporary server, such as innodb_data_file_path=ibdata1:1G;ibdata2:1G:autoextend (repeatable)
    #[arg(long = "mysqld-option", value_name = "NAME=VALUE", value_parser = server_option)]
    pub options: Vec<String>,
    /// mysql client, which loads a dump [default: beside mysqld, or in PATH]
    #[arg(long, value_name = "PATH")]
    pub mysql: Option<PathBuf>,
    /// File to add the result to
    #[arg(long, value_name = "FILE", default_value = history::DEFAULT, conflicts_with = "no_history")]
    pub history: PathBuf,
    /// Do not add the result to the history
    #[arg(long)]
    pub no_history: bool,
    #[command(flatten)]
    pub site: site::Parts,
}

/// An option of mysqld. Those that keep the temporary server apart are not changed.
fn server_option(text: &str) -> Result<String, String> {
    const FIXED: [&str; 9] = [
        "datadir",
        "socket",
        "port",
        "bind_address",
        "skip_networking",
        "user",
        "log_bin",
        "event_scheduler",
        "early_plugin_load",
    ];
    let text = text.trim_start_matches('-');
    let name = text.split('=').next().unwrap_or_default().replace('-', "_");
    if name.is_empty() || FIXED.contains(&name.as_str()) || name.starts_with("keyring_external") {
        return Err("this option is set by the drill itself".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_opens_the_temporary_server_is_refused() {
        assert_eq!(server_option("innodb-page-size=4k").unwrap(), "innodb-page-size=4k");
        for bad in
            ["--bind-address=0.0.0.0", "skip-networking=0", "keyring-external-data=/k", "=1", "log-bin"]
        {
            assert!(server_option(bad).is_err(), "{bad}");
        }
    }
}
