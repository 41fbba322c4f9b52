// SPDX-License-Identifier: GPL-2.0-or-later
//! A run by an ordinary user: neither root nor the account of mysqld. It cannot look at the files of a keyring, so what it
//! would find there is not true. It says once what it could not read, and checks the rest.

use super::finding::{FindingLevel, Findings};
use crate::commands::command_line::command_line;
use crate::commands::site::Site;
use crate::host::{Host, manifest_of};
use crate::show::Shown;
use keyring_external::config::file::file_in;
use keyring_external::store::file::real::effective_user;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(super) const CHECK: &str = "permission";
const MEANING: &str = "Files of mysqld and of root are closed to other users, so they were not checked.";

/// Whether this user is neither root nor the account that mysqld runs as.
pub(in crate::commands) fn is_ordinary(site: &Site) -> bool {
    let user = effective_user();
    user != 0 && site.account.as_ref().is_none_or(|account| account.uid != user)
}

/// The command that runs this one as root.
pub(in crate::commands) fn with_sudo() -> String {
    format!("sudo {}", command_line())
}

/// Adds the finding about what this user cannot read. If that includes the configuration, the other findings are about
/// what this user sees and not about the server, and are dropped.
pub(super) fn report(site: &Site, host: Option<&Host>, found: &mut Findings) {
    let configuration = [manifest_of(&site.mysqld), file_in(&site.plugin_dir), file_in(&site.datadir)];
    let mut denied = denied(site, &configuration);
    if host.is_none() && (site.option_denied || !denied.is_empty()) {
        *found = Findings::default();
    }
    if let Some(host) = host {
        let copies: Vec<_> = host.copies().map(Path::to_owned).collect();
        denied.extend(self::denied(site, &copies));
    }
    let shown: Vec<_> = denied.iter().map(|path| site.at(path).shown()).collect();
    let mut what = "an ordinary user runs doctor, who may not look at the files of the keyring".to_owned();
    if let Some(why) = site.option_error.as_ref().filter(|_| site.option_denied) {
        what.push_str(&format!(" ({why})"));
    } else if !shown.is_empty() {
        what.push_str(&format!(" ({})", shown.join(", ")));
    }
    found.run_checks(&[CHECK]);
    found.add(FindingLevel::Warning, CHECK, what, MEANING, &[with_sudo()]);
}

/// Those of the paths that this user may not look at.
fn denied(site: &Site, paths: &[PathBuf]) -> Vec<PathBuf> {
    let is_denied =
        |path: &&PathBuf| File::open(site.at(path)).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
    paths.iter().filter(is_denied).cloned().collect()
}
