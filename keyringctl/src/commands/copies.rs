// SPDX-License-Identifier: GPL-2.0-or-later
//! Which copies a command works on: those that are named, those that the server on this host is configured with, or
//! both. A change of slots or of the data key must reach all copies of a server: one that is left out keeps the old data
//! key, and diverges if the server then continues with it.

pub(super) mod of_server;

use super::apart::is_one_file;
use super::audit_trail;
use super::output::stderr_report;
use super::{hints, secret, site};
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::show::{self, Shown};
use keyring_external::error::Refusal;
use keyring_external::format::image::Note;
use keyring_external::keyring::{Keyring, load_all};
use keyring_external::store::file::volume;
use keyring_external::store::places::{Places, is_remote};
use keyring_external::unlock::UnlockSource;
use of_server::{OfServer, Server};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The copies of one keyring.
#[derive(clap::Args, Clone, Default)]
#[group(id = "copies")]
pub(super) struct Args {
    /// Keyring file [default: all copies of the server on this host, and its unlock source]
    #[arg(value_name = "KEYRING")]
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub others: Others,
}

/// The copies beside the one that is named first.
#[derive(clap::Args, Clone, Default)]
#[group(id = "other-copies")]
pub(super) struct Others {
    /// Additional copy on another volume (repeatable). Those of the server on this host need not be named
    #[arg(long = "mirror", value_name = "PATH")]
    pub mirrors: Vec<PathBuf>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Data directory [default: from the option files, or /var/lib/mysql]
    #[arg(long, value_name = "DIR", help_heading = "Installation of the server")]
    pub datadir: Option<PathBuf>,
    /// Where a configuration may be if none is found on this host: another data directory.
    #[arg(skip)]
    pub else_in: Option<PathBuf>,
}

/// Whether the copies of the server on this host are added, and how its configuration is found.
#[derive(clap::Args, Clone, Default)]
#[group(id = "copies-of-server")]
pub(super) struct ServerArgs {
    /// Use only the copies named here, even if the server on this host is configured with more. After a change, the
    /// others keep the old secrets and the old data key until they are brought up to date, at a start of the server or by
    /// keyringctl sync. If the server stores a key on them before that, the copies diverge
    #[arg(long)]
    pub only_named_copies: bool,
    #[command(flatten)]
    pub site: site::Parts,
}

/// What a command does with the copies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It reads what needs no secret.
    ReadFront,
    /// It reads them.
    Read,
    /// It changes what all copies must have: a copy that is left out is a danger.
    Change,
}

/// The copies that a command works on.
#[derive(Debug)]
pub(super) struct Copies {
    /// All copies, those that were named first.
    pub paths: Vec<PathBuf>,
    /// Where their unlock secret comes from.
    pub secret: secret::Args,
    /// The server's data directory, if these are the copies of the server on this host.
    pub datadir: Option<PathBuf>,
    /// Where the server reads the secret that unlocks them.
    pub servers_secret: ServersSecret,
}

/// Where the server on this host reads the secret that unlocks the copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServersSecret {
    /// No server on this host is known to use these copies.
    NoServer,
    /// From here, as this process sees it.
    From(UnlockSource),
    /// Its configuration cannot be read. Says why.
    Unknown(String),
}

impl Copies {
    /// Only the copies that were named.
    pub(super) fn named(paths: &[PathBuf], secret: &secret::Args) -> Copies {
        Copies {
            paths: paths.to_vec(),
            secret: secret.clone(),
            datadir: None,
            servers_secret: ServersSecret::NoServer,
        }
    }

    /// The first path, which is the one that was named, if any.
    pub(super) fn first(&self) -> &Path {
        self.paths.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Opens the keyring to read it, and says so in the audit log. The newest intact copy counts.
    pub(super) fn load(&self) -> Result<(Keyring, Vec<Note>)> {
        let opened = self.open()?;
        audit_trail::attach(&opened.0);
        Ok(opened)
    }

    /// Opens the keyring to read it, without a line in the audit log.
    pub(super) fn open(&self) -> Result<(Keyring, Vec<Note>)> {
        let (places, secret, first) = (store_places(), &self.secret, self.first());
        let open = |read: &mut dyn FnMut() -> _| {
            load_all(&places, &self.paths, 1, &secret.name(), read, stderr_report)
        };
        Ok(secret::Once::new(secret).open(first, open)?)
    }
}

impl Args {
    /// Finds the copies.
    pub(super) fn find(&self, secret: &secret::Args, purpose: Purpose) -> Result<Copies> {
        self.others.find(self.path.as_ref(), secret, purpose)
    }
}

impl Others {
    /// Finds the copies: `path`, the mirrors, and those of the server.
    pub(super) fn find(
        &self,
        path: Option<&PathBuf>,
        secret: &secret::Args,
        purpose: Purpose,
    ) -> Result<Copies> {
        let named: Vec<_> = path.into_iter().chain(&self.mirrors).cloned().collect();
        let named = distinct(&named)?;
        let dirs = (self.datadir.as_deref(), self.else_in.as_deref());
        let found = self.server.find(named, dirs, path.is_none(), secret, purpose)?;
        // One file under two names is refused with the copies of the server too.
        Ok(Copies { paths: distinct(&found.paths)?, ..found })
    }
}

impl ServerArgs {
    /// Uses the audit log of the server on this host, if it has one.
    pub(super) fn look_for_audit_log(&self) {
        if let Ok(Server::Ours(server)) =
            of_server::find(&site::Args { parts: self.site.clone(), datadir: None })
        {
            audit_trail::use_log_of_server(server.audit);
        }
    }

    /// Finds the copies of a command that takes any number of paths. `datadir` is where to look for a configuration that
    /// is in the data directory.
    pub(super) fn find_all(
        &self,
        named: &[PathBuf],
        datadir: Option<&Path>,
        secret: &secret::Args,
    ) -> Result<Copies> {
        self.find(named.to_vec(), (datadir, None), named.is_empty(), secret, Purpose::Read)
    }

    /// Finds the copies. `of_server`: the server's are meant, whatever else is named. The second of the directories is where
    /// to look for the configuration if it was not found.
    fn find(
        &self,
        named: Vec<PathBuf>,
        (datadir, else_in): (Option<&Path>, Option<&Path>),
        of_server: bool,
        secret: &secret::Args,
        purpose: Purpose,
    ) -> Result<Copies> {
        if of_server && self.only_named_copies {
            return Err(Error::Usage("--only-named-copies needs the path of a keyring file".to_owned()));
        }
        let args =
            |dir: Option<&Path>| site::Args { parts: self.site.clone(), datadir: dir.map(Path::to_owned) };
        if of_server {
            let server = match (of_server::find(&args(datadir)), else_in) {
                (Ok(Server::None(_) | Server::Unclear(_)) | Err(_), Some(dir)) => {
                    of_server::find(&args(Some(dir)))
                }
                (found, _) => found,
            };
            return server?.needed()?.with(named, secret, purpose);
        }
        let args = args(datadir);
        let as_named =
            |named: Vec<_>, servers_secret| Ok(Copies { servers_secret, ..Copies::named(&named, secret) });
        let server = match of_server::find(&args) {
            Ok(Server::Ours(server)) => server,
            // Nobody needs the server for reading a file that was named.
            Ok(_) | Err(_) if purpose != Purpose::Change && !self.site.is_given() => {
                return as_named(named, ServersSecret::NoServer);
            }
            Ok(server) => {
                let servers_secret = match &server {
                    Server::Unclear(why) => ServersSecret::Unknown(why.clone()),
                    Server::Ours(_) | Server::None(_) => ServersSecret::NoServer,
                };
                server.warn_unknown(self.site.is_given())?;
                return as_named(named, servers_secret);
            }
            Err(e) if self.site.is_given() => return Err(e),
            Err(e) => {
                of_server::warn_unchecked(&e.to_string());
                return as_named(named, ServersSecret::Unknown(e.to_string()));
            }
        };
        let missing: Vec<_> = left_out(&server.copies, &named).into_iter().cloned().collect();
        let is_ours = server.copies.iter().any(|copy| named.iter().any(|path| is_one_file(path, copy)));
        let datadir = is_ours.then(|| server.datadir.clone());
        audit_trail::use_log_of_server(server.audit.clone().filter(|_| is_ours));
        let (mut paths, shown) = (named, shown(&missing));
        if missing.is_empty() {
        } else if self.only_named_copies {
            show::warn(format_args!(
                "the server on this host is configured with more copies of this keyring, which are left out \
                 (--only-named-copies): {shown}"
            ));
        } else {
            show::warn(format_args!(
                "also using the other copies of this keyring that the server on this host is configured with \
                 ({}): {shown}. --only-named-copies leaves them out",
                server.source
            ));
            paths.extend(missing);
        }
        let secret =
            if purpose == Purpose::ReadFront { secret.clone() } else { server.secret_of(&paths, secret) };
        let servers_secret =
            if is_ours { ServersSecret::From(server.unlock) } else { ServersSecret::NoServer };
        Ok(Copies { paths, secret, datadir, servers_secret })
    }
}

/// Finds the copies of the server.
pub(super) fn of_server(
    parts: &site::Parts,
    datadir: Option<&Path>,
    secret: &secret::Args,
) -> Result<Copies> {
    let args = site::Args { parts: parts.clone(), datadir: datadir.map(Path::to_owned) };
    of_server::find(&args)?.needed()?.with(Vec::new(), secret, Purpose::Read)
}

/// Only the copies that were named. Without a source, the secret of those of the server comes from where it reads it.
pub(super) fn named(parts: &site::Parts, paths: &[PathBuf], secret: &secret::Args) -> Copies {
    let args = site::Args { parts: parts.clone(), datadir: None };
    let secret = match of_server::find(&args) {
        Ok(Server::Ours(server)) => {
            let is_ours = |path: &PathBuf| server.copies.iter().any(|copy| is_one_file(path, copy));
            audit_trail::use_log_of_server(server.audit.clone().filter(|_| paths.iter().any(is_ours)));
            server.secret_of(paths, secret)
        }
        Ok(_) | Err(_) => secret.clone(),
    };
    Copies::named(paths, &secret)
}

/// The data directory: the one that is named, or that of the server on this host.
pub(super) fn datadir(named: Option<&Path>, parts: &site::Parts) -> Result<PathBuf> {
    if let Some(datadir) = named {
        return Ok(datadir.to_owned());
    }
    let site = site::Args { parts: parts.clone(), datadir: None }.look()?;
    if let Some(why) = &site.option_error {
        let hint = if site.option_denied { hints::hint() } else { "" };
        return Err(Error::Usage(format!(
            "the data directory is not known: {why}{hint}. Or name it with --datadir"
        )));
    }
    let datadir = site.at(&site.datadir);
    show::warn(format_args!("using the data directory of the server on this host: {}", datadir.shown()));
    Ok(datadir)
}

impl OfServer {
    /// The copies of the server and the ones that were named in addition, with the server's unlock source unless one was
    /// named. Says what was taken from where.
    fn with(self, named: Vec<PathBuf>, secret: &secret::Args, purpose: Purpose) -> Result<Copies> {
        let mut paths = self.copies;
        let own = shown(&paths);
        for path in named {
            if !paths.iter().any(|copy| is_one_file(copy, &path)) {
                paths.push(path);
            }
        }
        audit_trail::use_log_of_server(self.audit.clone());
        let servers_secret = ServersSecret::From(self.unlock.clone());
        let (secret, unlock) = if secret.is_given() || purpose == Purpose::ReadFront {
            (secret.clone(), String::new())
        } else {
            let shown = format!(", unlocked by {}", self.unlock.to_string().shown());
            (secret::Args { unlock: Some(self.unlock), ..secret::Args::default() }, shown)
        };
        show::warn(format_args!(
            "using the keyring of the server on this host ({}): {own}{unlock}",
            self.source
        ));
        Ok(Copies { paths, secret, datadir: Some(self.datadir), servers_secret })
    }
}

/// All paths, made absolute, and names of copies at remotes as they are.
///
/// # Errors
/// Two of them lead to the same file.
pub(super) fn distinct<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = Vec::new();
    for path in paths {
        let path = match is_remote(path) {
            true => path.clone(),
            false => std::path::absolute(path).map_err(|e| Error::io("look at", path, e))?,
        };
        if all.contains(&path) {
            return Err(Error::Usage(format!(
                "{} is named twice: each copy needs its own path",
                path.shown()
            )));
        }
        if let Some(other) = all.iter().find(|other| is_one_file(other, &path)) {
            return Err(Refusal::OneFile { path: other.clone(), other: path }.into());
        }
        all.push(path);
    }
    Ok(all)
}

/// Checks the directory in which a copy is to be created. A copy at a remote has none.
///
/// # Errors
/// The directory is missing, or not one for keyrings.
pub(super) fn check_directory(places: &Places, path: &Path) -> keyring_external::error::Result<()> {
    if is_remote(path) { Ok(()) } else { volume::check_directory(places.fs().as_ref(), path) }
}

/// Splits the arguments `[KEYRING] LAST` into the keyring, if it was named, and the other one.
pub(super) fn split_last(words: &[OsString]) -> (Option<PathBuf>, &OsStr) {
    match words {
        [path, last, ..] => (Some(path.into()), last),
        [last] => (None, last),
        [] => (None, OsStr::new("")),
    }
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.shown()).collect::<Vec<_>>().join(", ")
}

/// The configured copies that are not among `named`. None, if none of the configured copies is.
fn left_out<'a>(configured: &'a [PathBuf], named: &[PathBuf]) -> Vec<&'a PathBuf> {
    let is_named = |copy: &PathBuf| named.iter().any(|path| is_one_file(path, copy));
    if configured.iter().any(is_named) {
        configured.iter().filter(|c| !is_named(c)).collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
