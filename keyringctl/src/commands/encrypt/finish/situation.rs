// SPDX-License-Identifier: GPL-2.0-or-later
//! All that the steps look at: what the server reports, what its files show, how it is installed.

use super::means::Means;
use super::way::{self, Way};
use crate::commands::copies::of_server;
use crate::commands::encrypt::places::places;
use crate::commands::encrypt::verify::files;
use crate::commands::site::{self, Site};
use crate::error::Result;
use crate::server::{DataPlace, DatadirAccess, Inventory, PlaceKind, ServerFiles, ServerKeyring, Session};
use crate::show::Shown;
use crate::tablespace::{self, DataFileKind};
use std::fs;
use std::path::{Path, PathBuf};

/// A server, and how it is installed.
pub(super) struct Situation {
    pub inventory: Inventory,
    pub items: Vec<DataPlace>,
    pub files: ServerFiles,
    pub keyring: ServerKeyring,
    /// The installation; `Err`: why it is not known.
    pub site: std::result::Result<Site, String>,
    /// The installation with the options that the running server read at its start, from files as they are now; `None`: not
    /// known.
    pub started: Option<Site>,
    pub way: Way,
    /// Undo tablespaces and redo log files with unencrypted pages or blocks; `Err`: why these could not be read.
    pub old_pages: std::result::Result<Vec<PathBuf>, String>,
}

impl Situation {
    /// Looks at everything.
    pub(super) fn look(session: &mut Session, means: &Means<'_>) -> Result<Situation> {
        let inventory = Inventory::query(session)?;
        let here = DatadirAccess::check(session)?;
        let files = ServerFiles::query(session)?;
        let started = started(session, means.site, &inventory, &here);
        let site = installation(means.site, &inventory, &here).and_then(|site| match &started {
            Some(started) => is_read(&means.site.parts.option_files, started).map(|()| site),
            None => Ok(site),
        });
        let way = Way::find(means, site.as_ref().ok(), Path::new(&inventory.about.datadir));
        Ok(Situation {
            old_pages: old_pages(&here, &files),
            items: places(session, &inventory)?,
            keyring: ServerKeyring::query(session).inspect(of_server::use_remotes_of_running)?,
            inventory,
            files,
            site,
            started,
            way,
        })
    }

    /// The installation with the options that the next start reads. `None`: not known.
    pub(super) fn reading(&self) -> Option<&Site> {
        match (&self.way, &self.site) {
            // Its unit may have been changed since the start.
            (Way::Systemd(_), Ok(site)) => Some(site),
            _ => self.started.as_ref(),
        }
    }
}

/// The installation with the command line of the running server.
fn started(
    session: &mut Session,
    args: &site::Args,
    inventory: &Inventory,
    here: &DatadirAccess,
) -> Option<Site> {
    if *here == DatadirAccess::Elsewhere {
        return None;
    }
    let datadir = Path::new(&inventory.about.datadir);
    let file = datadir.join(session.variable("pid_file").ok()??);
    let pid = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    let is_server = way::works_in(pid, datadir);
    is_server.then(|| args.look_at_process(pid).ok().filter(|site| site.option_error.is_none()))?
}

/// Checks that a server reads these option files. `Err`: one that it does not read.
fn is_read(files: &[PathBuf], started: &Site) -> std::result::Result<(), String> {
    let is_read = |file: &&PathBuf| started.options.files.iter().any(|read| real(read) == real(file));
    let Some(file) = files.iter().find(|file| !is_read(file)) else { return Ok(()) };
    let read: Vec<_> = started.options.files.iter().map(|file| file.shown()).collect();
    let read = match read.as_slice() {
        [] => "its command line lets it read no option file".to_owned(),
        read => format!("it reads {}", read.join(", ")),
    };
    Err(format!("this server does not read {} (--option-file): {read}", file.shown()))
}

/// Finds the installation of this server. `Err`: why what is installed here is not known to be this server's.
fn installation(
    args: &site::Args,
    inventory: &Inventory,
    here: &DatadirAccess,
) -> std::result::Result<Site, String> {
    if *here == DatadirAccess::Elsewhere {
        return Err("the server is not on this machine".to_owned());
    }
    let site = args.look().map_err(|e| e.to_string())?;
    let datadir = Path::new(&inventory.about.datadir);
    let configured = site.option("datadir").and_then(|line| line.value.as_deref()).map(PathBuf::from);
    let is_known = args.datadir.is_some() || args.parts.option_files.is_empty();
    let found = if is_known { Some(site.datadir.clone()) } else { configured };
    match found {
        Some(found) if real(&found) != real(datadir) => Err(format!(
            "the option files on this host are those of a server with the data directory {}, but this server has {}: name its option file with --option-file FILE",
            found.shown(),
            datadir.shown()
        )),
        _ if site.option_error.is_some() => Err(site.option_error.unwrap_or_default()),
        _ => Ok(site),
    }
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.components().collect())
}

/// Reads the files that keep old pages although what is written to them now is encrypted.
fn old_pages(here: &DatadirAccess, files: &ServerFiles) -> std::result::Result<Vec<PathBuf>, String> {
    match here {
        DatadirAccess::Readable(_) => {}
        DatadirAccess::Closed(datadir) => return Err(format!("no permission to read {}", datadir.shown())),
        DatadirAccess::Elsewhere => return Err("the server is not on this machine".to_owned()),
    }
    let (directories, _) = files::readable(files);
    let found = files::find(&directories, files).files.into_iter();
    let used = found.filter(|(path, kind)| is_in_use(path, *kind, files));
    // The server may have deleted it in the meantime.
    let old = used.filter(|(path, kind)| {
        tablespace::count_forms(path, *kind).is_ok_and(|forms| forms.is_some_and(|forms| forms.clear > 0))
    });
    Ok(old.map(|(path, _)| path).collect())
}

/// Whether the server writes to a file. Others remain from another configuration, and verify says what to do about them.
fn is_in_use(path: &Path, kind: DataFileKind, files: &ServerFiles) -> bool {
    match kind {
        DataFileKind::Undo => files.tablespaces.contains_key(path),
        DataFileKind::Redo => files
            .written
            .iter()
            .any(|place| place.kind == PlaceKind::Redo && path.starts_with(&place.directory)),
        _ => false,
    }
}
