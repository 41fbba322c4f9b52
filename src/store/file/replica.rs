// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy of a keyring that is a file at a path. How it is changed is in [`super::locked`].

use super::fs::{Access, Fs};
use super::locked;
use super::named::NamedFile;
use super::vacancy::FileVacancy;
use super::volume;
use crate::error::{Error, Result};
use crate::store::deadline::Place;
use crate::store::locked::LockAttempt;
use crate::store::reading::Reading;
use crate::store::replica::Replica;
use crate::store::vacancy::Vacancy;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A copy of a keyring that is a file.
#[derive(Clone, Debug)]
pub(crate) struct FileReplica(NamedFile);

impl FileReplica {
    /// The copy at `path`.
    pub(crate) fn new(fs: Arc<dyn Fs>, path: &Path) -> Self {
        Self(NamedFile::new(fs, path))
    }
}

impl Replica for FileReplica {
    fn path(&self) -> &Path {
        &self.0.path
    }

    fn place(&self) -> Place {
        Place::Volume
    }

    fn is_there(&self, _: Instant) -> Result<bool> {
        Ok(self.0.may_be_at(&self.0.path))
    }

    fn has_leftover(&self, _: Instant) -> Result<bool> {
        Ok(self.0.may_be_at(&volume::temporary_of(&self.0.path)))
    }

    fn missing_error(&self, _: Instant) -> Error {
        self.0.missing()
    }

    fn check_place(&self, private: bool, datadir: Option<&Path>, _: Instant) -> Result<()> {
        if let Some(datadir) = datadir {
            volume::check_device(self.0.fs.as_ref(), &self.0.path, datadir)?;
        }
        if private { volume::check_directory(self.0.fs.as_ref(), &self.0.path) } else { Ok(()) }
    }

    fn check_room(&self, _: Instant) -> Result<()> {
        let room = || self.0.fs.room_beside(&self.0.path, self.0.fs.meta(&self.0.path)?.len);
        room().map_err(self.0.io_error("change"))
    }

    fn read(&self, _: Instant) -> Result<Reading> {
        volume::check_file(self.0.fs.as_ref(), &self.0.path)?;
        self.0.reading(self.0.open_file(Access::Read)?)
    }

    fn look(&self, to_change: bool, until: Instant) -> Result<Reading> {
        let reading = self.0.reading(self.0.open_file(Access::Read)?)?;
        if to_change {
            self.check_room(until)?;
        }
        Ok(reading)
    }

    fn try_lock(&self, _: Instant) -> Result<LockAttempt> {
        locked::try_lock(&self.0)
    }

    fn vacancy(&self, _: Instant) -> Result<Vacancy> {
        let vacant = FileVacancy::find(&self.0.fs, &self.0.path)?;
        Ok(Vacancy::new(&self.0.path, Place::Volume, Arc::new(vacant)))
    }
}
