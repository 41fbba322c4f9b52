// SPDX-License-Identifier: GPL-2.0-or-later
//! The audit log that mysqld writes: whether there is one, where, and its directory.

use super::args::Args;
use super::ask::Prompt;
use super::change::is_root;
use super::copies::absolute;
use super::directory::create_log_directory;
use super::secret_file;
use crate::commands::audit_trail;
use crate::commands::doctor::files::closed_directory_above;
use crate::commands::doctor::permission::may_write;
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::show::Shown;
use keyring_external::audit::verify::{Known as Compared, verify};
use keyring_external::config::{AuditConfig, is_remote};
use keyring_external::store::file::volume::directory_of;
use serde::Serialize;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The answer that there is to be no audit log.
const NONE: &str = "none";
/// The usual path, which the example for logrotate has.
const USUAL: &str = "/var/log/mysql/keyring_external.audit.log";
/// The example for logrotate that the packages and `make install` put there.
const ROTATION: &str = "/usr/share/keyring-external/logrotate/keyring-external";

/// How much of a file is read to see whether it is an audit log, in bytes: more than a line has.
const BEGINNING: u64 = 64 * 1024;

/// What setup does about the audit log.
#[derive(Serialize, Default)]
pub(super) struct AuditPlan {
    /// The log; none if there is to be none.
    #[serde(serialize_with = "crate::show::optional_path")]
    path: Option<PathBuf>,
    /// The directory to create for it, with mode 0750, for mysqld's user.
    #[serde(serialize_with = "crate::show::optional_path")]
    make_directory: Option<PathBuf>,
    /// The log that the server writes now and will no longer write.
    #[serde(serialize_with = "crate::show::optional_path")]
    removed: Option<PathBuf>,
    /// Whether the server writes no log at this path now.
    #[serde(skip)]
    is_new: bool,
}

/// Decides which audit log mysqld writes: that of the option or of the answer, or the one that is configured.
pub(super) fn choose(args: &Args, configured: Option<&Host>, prompt: &mut Prompt<'_>) -> Result<AuditConfig> {
    let configured = configured.map(|host| host.audit.clone()).unwrap_or_default();
    let read = |typed: &Path| match typed == Path::new(NONE) {
        true => Ok(AuditConfig::default()),
        false => path(typed).map(|path| AuditConfig { path: Some(path), forward: configured.forward }),
    };
    if let Some(given) = &args.audit_log {
        return read(given);
    }
    let shown = configured.path.as_ref().map_or_else(|| NONE.to_owned(), |path| path.shown());
    let question = format!("Audit log: a path such as {USUAL}, or {NONE}");
    prompt.checked(&question, &shown, |typed| match typed == shown {
        true => Ok(configured.clone()),
        false => read(Path::new(typed)),
    })
}

fn path(typed: &Path) -> Result<PathBuf> {
    let path = absolute(typed, "the audit log")?;
    if is_remote(&path) || path.file_name().is_none() {
        return Err(Error::Usage(format!(
            "the audit log is {}: give the absolute path of a file on this host, or {NONE}",
            path.shown()
        )));
    }
    Ok(path)
}

/// Plans the directory of the log.
///
/// # Errors
/// mysqld could not write a new log at this path.
pub(super) fn plan(site: &Site, host: &Host, configured: Option<&Host>) -> Result<AuditPlan> {
    let before = configured.and_then(|host| host.audit.path.clone());
    let path = host.audit.path.clone();
    let is_new = path.is_some() && path != before;
    let removed = before.filter(|before| path.as_ref() != Some(before));
    let Some(log) = &path else { return Ok(AuditPlan { removed, ..AuditPlan::default() }) };
    if is_new {
        check(site, host, log)?;
    }
    let dir = directory_of(log);
    // What is wrong with a log that is configured already, doctor says.
    let is_missing = !site.at(dir).exists() && site.at(directory_of(dir)).is_dir();
    let make_directory = is_missing.then(|| dir.to_owned());
    Ok(AuditPlan { path, make_directory, removed, is_new })
}

/// Checks that mysqld can write a log at this path.
fn check(site: &Site, host: &Host, log: &Path) -> Result<()> {
    let refused = |what: String| {
        Err(Error::Usage(format!("{what}. Nothing was changed. A usual path is --audit-log {USUAL}")))
    };
    let (dir, shown) = (directory_of(log), log.shown());
    if let Some((_, copy)) = host.files().find(|(_, copy)| directory_of(copy) == dir) {
        return refused(format!(
            "the audit log {shown} is in the directory of {}, which is for the keyring alone: choose another directory, \
             best on another volume",
            copy.shown()
        ));
    }
    if secret_file::of(host).is_some_and(|secret| secret == log) {
        return refused(format!(
            "{shown} is the file of the unlock secret: choose another path for the audit log"
        ));
    }
    if let Some((closed, mode)) = closed_directory_above(site, log) {
        return refused(format!(
            "{} (mode {mode:04o}) does not let user {} reach the audit log {shown}: choose another directory",
            closed.shown(),
            site.user
        ));
    }
    let (place, folder) = (site.at(log), site.at(dir));
    let above = directory_of(&folder);
    let Ok(meta) = fs::metadata(&folder) else {
        return match above.is_dir() {
            true => Ok(()),
            false => refused(format!(
                "directory {} does not exist: create it, or choose another path for the audit log",
                above.shown()
            )),
        };
    };
    let account = site.account.as_ref().filter(|_| is_root());
    match fs::symlink_metadata(&place) {
        Ok(file) if !file.is_file() => refused(format!(
            "{} is not a regular file: move it away, or choose another path for the audit log",
            place.shown()
        )),
        Ok(_) if !may_be_log(&place) => {
            refused(format!("{} exists and is no audit log: choose another path for it", place.shown()))
        }
        Ok(file) if !may_write(&file, account) => refused(format!(
            "{} has no permission to write {}: run chown {}: {}, then run setup again",
            site.user,
            place.shown(),
            site.user,
            place.shown()
        )),
        // The log is created anew after each rotation.
        _ if !may_write(&meta, account) => refused(format!(
            "{} has no permission to create files in {}: choose a directory that belongs to it, or a new one, which setup \
             creates",
            site.user,
            folder.shown()
        )),
        _ => Ok(()),
    }
}

/// Whether a file is empty or has a line of an audit log near its beginning. One that cannot be read may be a log.
fn may_be_log(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut start));
    let (_, without_lines) = verify(&[start], &Compared::default());
    read.is_err() || without_lines.is_empty()
}

impl AuditPlan {
    /// Whether there is nothing to create.
    pub(super) fn is_done(&self) -> bool {
        self.make_directory.is_none()
    }

    /// The plan as lines of text.
    pub(super) fn lines(&self, site: &Site) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(dir) = &self.make_directory {
            lines.push(format!("DIRECTORY  {} (mode 0750, for mysqld's user)", dir.shown()));
        }
        if let Some(log) = &self.path {
            let state = if site.at(log).exists() { "exists, will be continued" } else { "new" };
            lines.push(format!("AUDIT LOG  {} ({state})", log.shown()));
        }
        if let Some(log) = &self.removed {
            lines.push(format!("REMOVED    {} (mysqld no longer writes it; the file stays)", log.shown()));
        }
        lines
    }

    /// Creates the directory, and has this command write its lines to the log.
    pub(super) fn carry_out(&self, site: &Site, host: &Host) -> Result<()> {
        if let Some(dir) = &self.make_directory {
            let owner = site.account.as_ref().filter(|_| is_root()).map(|a| (a.uid, a.gid));
            create_log_directory(&site.at(dir), owner)?;
        }
        let at = |path: &Path| site.at(path);
        audit_trail::use_log_of_server(audit_trail::OfServer::new(&host.audit, &at(&host.datadir), at));
        Ok(())
    }

    /// What is left to the administrator: the rotation of a new log.
    pub(super) fn step(&self) -> Option<String> {
        let log = self.path.as_ref().filter(|_| self.is_new)?;
        Some(match log == Path::new(USUAL) {
            true => format!("cp {ROTATION} /etc/logrotate.d/"),
            false => format!(
                "to rotate the audit log, copy {ROTATION} to /etc/logrotate.d and change the path in it to {}",
                log.shown()
            ),
        })
    }
}
