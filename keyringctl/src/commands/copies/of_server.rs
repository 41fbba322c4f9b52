// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies, the unlock source and the data directory that the server on this host is configured with.

use crate::commands::apart::is_one_file;
use crate::commands::audit_trail;
use crate::commands::doctor::configured::{self, Configured};
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::site::{self, Site};
use crate::commands::store_places::{knows_server, use_remotes_of_server};
use crate::commands::{hints, secret};
use crate::error::{Error, Result};
use crate::host::{Host, manifest_of};
use crate::server::ServerKeyring;
use crate::show::{self, Shown};
use keyring_external::config::file::file_in;
use keyring_external::config::is_remote;
use keyring_external::unlock::UnlockSource;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Findings after which it is not known which copies the server uses.
const UNCLEAR: [&str; 3] = ["manifest", "component-configuration", "plugin-options"];

/// The keyring of the server on this host, with paths as this process sees them.
pub(in crate::commands) struct OfServer {
    /// The copies.
    pub copies: Vec<PathBuf>,
    /// Where this process reads the secret.
    pub unlock: UnlockSource,
    pub datadir: PathBuf,
    /// The file with the settings, as it is shown.
    pub source: String,
    /// Whether the server is configured to store no new key.
    pub read_only: bool,
    /// The audit log.
    pub audit: Option<audit_trail::OfServer>,
}

impl OfServer {
    /// Where the secret of the `named` copies comes from: without a source, from where the server reads it, if one of them
    /// is a copy of the server and this process can read it. Says so.
    pub(super) fn secret_of(&self, named: &[PathBuf], given: &secret::Args) -> secret::Args {
        let is_ours = |path: &&PathBuf| self.copies.iter().any(|copy| is_one_file(path, copy));
        let ours = named.iter().find(is_ours).filter(|_| !given.is_given());
        let Some(path) = ours.filter(|_| secret::read_source(&self.unlock).is_ok()) else {
            return given.clone();
        };
        show::warn(format_args!(
            "{} is a copy of the server on this host ({}): unlocking with its source {}",
            path.shown(),
            self.source,
            self.unlock.to_string().shown()
        ));
        secret::Args { unlock: Some(self.unlock.clone()), ..secret::Args::default() }
    }
}

/// What is known of the server on this host.
pub(in crate::commands) enum Server {
    /// It is configured with a keyring of this project.
    Ours(Box<OfServer>),
    /// There is none, or it has another keyring. Says what was looked at.
    None(String),
    /// Its configuration cannot be read or is wrong. Says why.
    Unclear(String),
}

impl Server {
    /// The server's keyring, if no other one is named.
    pub(in crate::commands) fn needed(self) -> Result<OfServer> {
        match self {
            Server::Ours(server) => Ok(*server),
            Server::None(looked) => Err(Error::Usage(format!(
                "no server on this host is configured with a keyring of this program: {looked}. Name the keyring file, \
                 or name the server's option file with --option-file"
            ))),
            Server::Unclear(why) => Err(Error::Usage(format!(
                "it is not known which keyring the server on this host uses: {why}"
            ))),
        }
    }

    /// Warns that copies may have been left out. An error, if the server was described by options.
    pub(super) fn warn_unknown(self, is_given: bool) -> Result<()> {
        match self {
            Server::Unclear(why) if is_given => return Err(Error::Usage(why)),
            Server::Unclear(why) => warn_unchecked(&why),
            Server::None(_) => show::warn(
                "not checked whether all copies were named: no server with this kind of keyring is configured on this \
                 host",
            ),
            Server::Ours(_) => {}
        }
        Ok(())
    }
}

pub(super) fn warn_unchecked(why: &str) {
    show::warn(format_args!(
        "not checked whether all copies were named, so name all of them with --mirror: {why}"
    ));
}

/// Finds out what the server is configured with.
pub(in crate::commands) fn find(args: &site::Args) -> Result<Server> {
    let site = args.look()?;
    if let Some(why) = &site.option_error {
        let hint = if site.option_denied { hints::hint() } else { "" };
        return Ok(Server::Unclear(format!("{why}{hint}")));
    }
    let mut found = Findings::default();
    let Some(Configured { host }) = configured::find(&site, &mut found) else {
        let is_unclear = |level, check| level == FindingLevel::Error && UNCLEAR.contains(&check);
        let findings = found.all();
        let unclear = findings.iter().find(|f| is_unclear(f.level, f.check)).map(|f| f.what.clone());
        return Ok(match (closed(&site), unclear) {
            (Some(path), _) => {
                Server::Unclear(format!("no permission to read {}{}", path.shown(), hints::hint()))
            }
            (None, Some(why)) => Server::Unclear(why),
            (None, None) => Server::None(looked_at(&site)),
        });
    };
    Ok(Server::Ours(Box::new(OfServer {
        copies: host.copies().map(|copy| site.at(copy)).collect(),
        unlock: unlock(&site, &host),
        datadir: site.at(&site.datadir),
        source: site.settings_file(&host).shown(),
        read_only: host.read_only,
        audit: audit_trail::OfServer::new(&host.audit, &site.at(&site.datadir), |path| site.at(path)),
    })))
}

/// Uses the remotes file of the server, if there is one. For commands that do not look for the server otherwise.
pub(in crate::commands) fn use_its_remotes(parts: &site::Parts) {
    // Without it, the usual file is used.
    let _ = find(&site::Args { parts: parts.clone(), datadir: None });
}

/// Uses the remotes file of the server on this host.
pub(in crate::commands) fn use_remotes_of_this_host() {
    use_its_remotes(&site::Parts { root: "/".into(), ..site::Parts::default() });
}

/// Uses the remotes file of a running server. A component does not say which that is: its configuration does.
pub(in crate::commands) fn use_remotes_of_running(keyring: &ServerKeyring) {
    match &keyring.remotes {
        Some(file) => use_remotes_of_server(Path::new(file)),
        None if knows_server() || !keyring.paths.iter().any(|path| is_remote(path)) => {}
        None => use_remotes_of_this_host(),
    }
}

/// Where this process reads the server's unlock secret.
fn unlock(site: &Site, host: &Host) -> UnlockSource {
    match (&host.unlock, &host.credential) {
        (UnlockSource::File(file), _) | (UnlockSource::Credential(_), Some(file)) => {
            UnlockSource::File(site.at(file))
        }
        (source, _) => source.clone(),
    }
}

/// A file with a part of the configuration that this user has no permission to read.
fn closed(site: &Site) -> Option<PathBuf> {
    let files = [manifest_of(&site.mysqld), file_in(&site.plugin_dir), file_in(&site.datadir)];
    let is_denied = |file: &PathBuf| File::open(file).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied);
    files.iter().map(|file| site.real(file)).find(is_denied)
}

/// What was looked at without finding a keyring.
fn looked_at(site: &Site) -> String {
    let files: Vec<_> = site.options.files.iter().map(|file| file.shown()).collect();
    let options = if files.is_empty() {
        let usual: Vec<_> = site.defaults.files.iter().map(|file| site.at(file).shown()).collect();
        format!("there is no option file ({})", usual.join(", "))
    } else {
        format!("{} do not load it", files.join(", "))
    };
    let place = |path: &Path| site.at(path).shown();
    let unit = match &site.unit {
        Some(_) => format!("the unit {}", place(&site.unit_file)),
        None => format!("there is no unit {}", site.unit_name),
    };
    let manifest = manifest_of(&site.mysqld);
    let component = if site.real(&manifest).exists() {
        format!("the manifest {} does not name it", place(&manifest))
    } else {
        format!("there is no manifest {}", place(&manifest))
    };
    format!("{options}; {unit}; {component}")
}
