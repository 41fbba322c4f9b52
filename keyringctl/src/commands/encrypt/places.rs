// SPDX-License-Identifier: GPL-2.0-or-later
//! The places of a server: what it reports, and what its doublewrite files hold.

use crate::error::Result;
use crate::server::{
    DataPlace, DatadirAccess, DoublewritePages, Inventory, PlaceKind, ServerFiles, Session, coverage,
};
use crate::show::Shown;
use crate::tablespace::{self, DataFileKind};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

/// Returns all places of a server.
///
/// # Errors
/// What the server answers.
pub(in crate::commands) fn places(session: &mut Session, inventory: &Inventory) -> Result<Vec<DataPlace>> {
    let here = DatadirAccess::check(session)?;
    let files = ServerFiles::query(session)?;
    Ok(coverage(inventory, &doublewrite(&here, &files)))
}

/// Looks into the doublewrite files, which are small.
fn doublewrite(here: &DatadirAccess, files: &ServerFiles) -> DoublewritePages {
    let Some(place) = files.written.iter().find(|place| place.kind == PlaceKind::Doublewrite) else {
        return DoublewritePages::InSystemTablespace;
    };
    match here {
        DatadirAccess::Readable(_) => {}
        DatadirAccess::Closed(datadir) => {
            return DoublewritePages::NotRead(format!("no permission to read {}", datadir.shown()));
        }
        DatadirAccess::Elsewhere => {
            return DoublewritePages::NotRead("the data directory is not on this machine".to_owned());
        }
    }
    let not_read = |what: &Path, e: io::Error| DoublewritePages::NotRead(format!("{}: {e}", what.shown()));
    let entries = match fs::read_dir(&place.directory) {
        Ok(entries) => entries,
        Err(e) => return not_read(&place.directory, e),
    };
    let (mut unencrypted, mut encrypted, mut bytes, mut unencrypted_in) = (0_u64, 0_u64, 0_u64, Vec::new());
    let paths =
        entries.flatten().filter(|entry| place.includes(&entry.file_name())).map(|entry| entry.path());
    for path in paths.filter(|path| path.extension() == Some(OsStr::new("dblwr"))) {
        let forms = match tablespace::count_forms(&path, DataFileKind::Doublewrite) {
            Ok(forms) => forms.unwrap_or_default(),
            // The server has just been stopped.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return not_read(&path, e),
        };
        encrypted += forms.encrypted;
        unencrypted += forms.clear;
        bytes += fs::metadata(&path).map_or(0, |meta| meta.len());
        if forms.clear > 0 {
            unencrypted_in.push(path);
        }
    }
    unencrypted_in.sort();
    let directory = place.directory.clone();
    DoublewritePages::Counted { directory, unencrypted_in, unencrypted, encrypted, bytes }
}
