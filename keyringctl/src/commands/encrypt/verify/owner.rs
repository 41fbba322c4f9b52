// SPDX-License-Identifier: GPL-2.0-or-later
//! Which place of the server a file belongs to.

use super::file_remedies::FileRemedies;
use super::found::Owner;
use crate::server::{PlaceKind, Table, TableLocation, place_of};
use crate::tablespace::DataFileKind;
use std::path::Path;

impl FileRemedies<'_> {
    /// The place that a file belongs to. `None` for a file that the server does not use, such as a copy, a file in the place of
    /// a discarded tablespace, or one of nobody.
    pub(super) fn owner(&self, kind: DataFileKind, path: &Path) -> Option<Owner> {
        use DataFileKind as File;
        match kind {
            File::Table | File::General | File::Dictionary | File::Undo | File::System => {
                self.of_tablespace(path)
            }
            File::Redo => self.is_in_place(kind, path).then(|| Owner::only(PlaceKind::Redo)),
            File::Doublewrite => self.is_in_place(kind, path).then(|| Owner::only(PlaceKind::Doublewrite)),
            File::BinaryLog if self.is_relay_log(path) => Some(Owner::only(PlaceKind::RelayLog)),
            File::BinaryLog => self.is_listed(path).then(|| Owner::only(PlaceKind::BinaryLog)),
            File::OtherEngine => self.of_other_engine(path),
            File::Temporary | File::TextLog | File::TransferKey | File::Directory | File::Other => None,
        }
    }

    /// The place of a file in which the canary was searched for. `kind`: of the place that names the file.
    pub(super) fn owner_of_searched(&self, kind: PlaceKind, path: &Path) -> Option<Owner> {
        use PlaceKind as Place;
        match kind {
            Place::Redo => self.owner(DataFileKind::Redo, path),
            Place::Doublewrite => self.owner(DataFileKind::Doublewrite, path),
            Place::Undo | Place::SystemTablespace | Place::MysqlTablespace => self.of_tablespace(path),
            Place::Table => self.of_tablespace(path).or_else(|| self.of_other_engine(path)),
            Place::GeneralLog | Place::SlowLog => {
                self.of_other_engine(path).or_else(|| self.is_log(kind, path).then(|| Owner::only(kind)))
            }
            Place::ErrorLog | Place::Temporary => Some(Owner::only(kind)),
            _ => None,
        }
    }

    /// The table or tablespace for which the server names a file.
    fn of_tablespace(&self, path: &Path) -> Option<Owner> {
        let name = self.files.tablespaces.get(path)?;
        let kept = self.tables.iter().find(|table| table.keeps_indexes());
        if let Some(space) = self.tablespaces.iter().find(|space| space.name == *name) {
            let (kind, name) = match kept.filter(|_| space.is_of_kept_indexes()) {
                Some(kept) => (PlaceKind::Scratch, kept.full_name()),
                None => place_of(space),
            };
            return Some(Owner { kind, name: Some(name) });
        }
        if self.is_discarded(path) {
            return None;
        }
        self.table(path).filter(|table| table.place == TableLocation::Own).map(|table| {
            let kind = if table.keeps_indexes() { PlaceKind::Scratch } else { PlaceKind::Table };
            Owner { kind, name: Some(table.full_name()) }
        })
    }

    fn of_other_engine(&self, path: &Path) -> Option<Owner> {
        if self.is_in_a_copy(path) {
            return None;
        }
        let is_other = |table: &&Table| matches!(table.place, TableLocation::Engine(_));
        let table = self.table(path).filter(is_other)?;
        Some(Owner { kind: PlaceKind::OtherEngine, name: Some(table.full_name()) })
    }

    /// Whether the server writes this log to the file. The log of an audit plugin is another one.
    fn is_log(&self, kind: PlaceKind, path: &Path) -> bool {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return false };
        let setting = if kind == PlaceKind::SlowLog { "slow_query_log_file" } else { "general_log_file" };
        let mut places = self.files.written.iter().filter(|place| place.kind == kind);
        places.any(|place| place.named_by == setting && place.directory == directory && place.includes(name))
    }
}
