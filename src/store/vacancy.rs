// SPDX-License-Identifier: GPL-2.0-or-later
//! A path where a copy can be created, and a copy that was created.

use super::deadline::{Place, Task};
use super::tasks::{self, CHANGE_WAIT};
use crate::error::Result;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// A path that was found free, as its implementation sees it.
pub trait Vacant: Send + Sync + Debug {
    /// Creates a copy with these bytes, durably. An interruption leaves no incomplete copy that could be taken for one.
    /// The owner of a file is that of the directory.
    ///
    /// # Errors
    /// [`BadRequest::AlreadyThere`](crate::error::BadRequest::AlreadyThere) if something is at the path now, even if it
    /// was created only a moment ago; I/O errors. Then this call left no copy at the path. At a remote whose last answer
    /// was lost, one may be there.
    fn create(&self, bytes: &[u8], until: Instant) -> Result<Arc<dyn Created>>;
}

/// A copy that was just created, as its implementation sees it.
pub trait Created: Send + Sync + Debug {
    /// Removes the copy, unless another one is at the path now. Nobody relies on it, so a failure is not reported.
    fn remove(&self, until: Instant);
}

/// A path where no copy exists.
#[derive(Clone, Debug)]
pub struct Vacancy {
    path: PathBuf,
    place: Place,
    vacant: Arc<dyn Vacant>,
}

/// A copy that was created.
#[derive(Clone, Debug)]
pub struct CreatedCopy {
    path: PathBuf,
    place: Place,
    created: Arc<dyn Created>,
}

/// Does one step. A volume that hangs here keeps the caller waiting, because a thread that was left behind could create
/// the copy later.
fn step<T: Send + 'static>(
    path: &Path,
    place: Place,
    step: impl FnOnce(Instant) -> Result<T> + Send + 'static,
) -> Result<T> {
    match place {
        Place::Volume => step(Instant::now() + CHANGE_WAIT),
        Place::Remote => tasks::run(Task::new(path, place, step), CHANGE_WAIT),
    }
}

impl Vacancy {
    /// What an implementation found at `path`.
    pub fn new(path: &Path, place: Place, vacant: Arc<dyn Vacant>) -> Self {
        Self { path: path.to_owned(), place, vacant }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Vacant::create`].
    ///
    /// # Errors
    /// As [`Vacant::create`].
    pub fn create(&self, bytes: &[u8]) -> Result<CreatedCopy> {
        let (vacant, bytes) = (Arc::clone(&self.vacant), bytes.to_vec());
        let created = step(&self.path, self.place, move |until| vacant.create(&bytes, until))?;
        Ok(CreatedCopy { path: self.path.clone(), place: self.place, created })
    }
}

impl CreatedCopy {
    /// The path of the copy.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Created::remove`].
    pub fn remove(&self) {
        let created = Arc::clone(&self.created);
        // Nobody relies on the copy.
        let _ = step(&self.path, self.place, move |until| {
            created.remove(until);
            Ok(())
        });
    }
}
