// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks that accounts with the privilege FILE cannot read the keyring through the running server.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use crate::error::{Error, Result};
use crate::server::Session;
use crate::show::Shown;
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

const CHECK: &str = "file-privilege";
/// The most accounts that the finding names.
const MOST: usize = 5;

/// The accounts that can log in and have FILE, also through roles.
const HOLDERS: &str = "WITH RECURSIVE holder (u, h) AS (
        SELECT User, Host FROM mysql.user WHERE File_priv = 'Y'
        UNION SELECT TO_USER, TO_HOST FROM mysql.role_edges JOIN holder ON FROM_USER = u AND FROM_HOST = h)
    SELECT User, Host FROM mysql.user JOIN holder ON User = u AND Host = h
    WHERE account_locked = 'N' ORDER BY User, Host";

/// What the running server lets accounts with FILE do.
#[derive(Clone, Debug)]
pub(in crate::commands::doctor) struct FileAccess {
    /// The accounts, as `user@host`.
    pub accounts: Vec<String>,
    /// Where they may read: a directory, or empty for everywhere.
    pub directory: String,
}

impl FileAccess {
    /// Asks the server. `None`: this account may not know who has FILE.
    pub(super) fn query(session: &mut Session) -> Result<Option<FileAccess>> {
        // The server says NULL as a text.
        let Some(directory) = session.variable("secure_file_priv")?.filter(|value| value != "NULL") else {
            return Ok(Some(FileAccess { accounts: Vec::new(), directory: "NULL".to_owned() }));
        };
        let holders = match session.rows::<(String, String)>(HOLDERS) {
            Ok(holders) => holders,
            Err(Error::Server(e)) if e.code != 0 => return Ok(None),
            Err(e) => return Err(e),
        };
        let accounts = holders.into_iter().map(|(user, host)| format!("{user}@{host}")).collect();
        Ok(Some(FileAccess { accounts, directory }))
    }
}

pub(in crate::commands::doctor) fn judge(
    access: Option<&FileAccess>,
    used: &[PathBuf],
    view: Option<&HostView<'_>>,
    found: &mut Findings,
) {
    let Some(access) = access else { return };
    found.run_checks(&[CHECK]);
    let inside = |path: &Path| path.starts_with(&access.directory);
    let secret = view.and_then(|view| match &view.host.unlock {
        UnlockSource::File(file) => Some(file.as_path()),
        _ => None,
    });
    let configured = view.into_iter().flat_map(|view| view.host.copies());
    // Every path begins with an empty one.
    let is_open = used.iter().map(PathBuf::as_path).chain(configured).chain(secret).any(inside);
    if access.accounts.is_empty() || !is_open {
        return;
    }
    let where_to = match access.directory.as_str() {
        "" => "every file that mysqld may read (secure_file_priv is empty)".to_owned(),
        directory => format!("files in {} (secure_file_priv)", directory.shown()),
    };
    let named: Vec<_> = access.accounts.iter().take(MOST).map(|account| account.shown()).collect();
    let more = access.accounts.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = format!("the privilege FILE lets {}{more} read {where_to}", named.join(", "));
    let why = "LOAD_FILE() then reads the keyring file, and the file of the unlock secret: together, they are all keys.";
    found.add(FindingLevel::Warning, CHECK, what, why, &close(view));
}

/// How to let accounts with FILE read nothing.
fn close(view: Option<&HostView<'_>>) -> Vec<String> {
    let mut fix = match view.map(|view| (view, view.site.option("secure-file-priv"))) {
        None => vec!["set secure_file_priv = NULL in the server's option file".to_owned()],
        Some((_, Some(line))) if line.line == 0 => {
            vec![format!("set --secure-file-priv=NULL instead: {}", line.place())]
        }
        Some((view, line)) => {
            // What the last file says is what counts.
            let last = || view.site.options.files.last().cloned();
            let file = line.map(|line| line.file.clone()).or_else(last);
            let file = file.unwrap_or_else(|| view.site.at(Path::new("/etc/my.cnf")));
            vec![format!("in {}, set:", file.shown()), "    secure_file_priv = NULL".to_owned()]
        }
    };
    fix.push("then restart mysqld".to_owned());
    fix.push(
        "or take FILE from the accounts that do not need it: REVOKE FILE ON *.* FROM ACCOUNT".to_owned(),
    );
    fix
}
