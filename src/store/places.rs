// SPDX-License-Identifier: GPL-2.0-or-later
//! From the name of a copy to the copy: a path names a file, and `@NAME/PREFIX` a copy at a remote.

use super::file::fs::Fs;
use super::file::replica::FileReplica;
#[cfg(feature = "remote")]
use super::remote::{by_name::ByName, objects::Objects, replica::RemoteReplica};
use super::replica::Replica;
pub use crate::config::is_remote;
use crate::config::{DEFAULT_REMOTES, RemoteName};
use crate::error::Result;
#[cfg(feature = "remote")]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "remote")]
use std::sync::{Mutex, PoisonError};

/// Where copies can lie: a filesystem, and what the remotes file names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places {
    fs: Arc<dyn Fs>,
    remotes: Arc<Path>,
    #[cfg(feature = "remote")]
    engines: BTreeMap<String, Arc<dyn Objects>>,
    /// The copies at remotes that were asked for: each keeps its connections and the bytes of its last piece.
    #[cfg(feature = "remote")]
    copies: Arc<Mutex<BTreeMap<PathBuf, RemoteReplica>>>,
}

impl Places {
    /// A filesystem, and the remotes that the file `remotes` describes. It is read only when a name needs it.
    pub fn new(fs: Arc<dyn Fs>, remotes: &Path) -> Self {
        Self {
            fs,
            remotes: remotes.into(),
            #[cfg(feature = "remote")]
            engines: BTreeMap::new(),
            #[cfg(feature = "remote")]
            copies: Arc::default(),
        }
    }

    /// The same places, and one more remote with this name, which does not come from the remotes file.
    #[cfg(feature = "remote")]
    #[must_use]
    pub fn with_engine(mut self, name: &str, engine: Arc<dyn Objects>) -> Self {
        self.engines.insert(name.to_owned(), engine);
        self.copies = Arc::default();
        self
    }

    /// The filesystem.
    pub fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    /// The path of the remotes file.
    pub fn remotes(&self) -> &Path {
        &self.remotes
    }

    /// The copy of this name. Nothing is read or opened.
    ///
    /// # Errors
    /// A name of a remote that breaks the rules for them.
    pub fn replica(&self, path: &Path) -> Result<Arc<dyn Replica>> {
        if is_remote(path) {
            return self.at_remote(path, RemoteName::parse(path)?);
        }
        Ok(Arc::new(FileReplica::new(Arc::clone(&self.fs), path)))
    }

    #[cfg(feature = "remote")]
    fn at_remote(&self, path: &Path, name: RemoteName) -> Result<Arc<dyn Replica>> {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = copies.entry(path.to_owned()).or_insert_with(|| {
            let of_file = || Arc::new(ByName::new(&self.remotes, &name.remote)) as Arc<dyn Objects>;
            let engine = self.engines.get(&name.remote).map_or_else(of_file, Arc::clone);
            RemoteReplica::new(engine, path, &name.prefix)
        });
        Ok(Arc::new(copy.clone()))
    }

    #[cfg(not(feature = "remote"))]
    fn at_remote(&self, _: &Path, name: RemoteName) -> Result<Arc<dyn Replica>> {
        Err(crate::error::BadRequest::Config(format!(
            "{name}: this build of keyring_external was made without remotes. Use a path, or install a build with them"
        ))
        .into())
    }

    /// The copies of these names, in the same order.
    ///
    /// # Errors
    /// As [`Places::replica`].
    pub fn replicas(&self, paths: &[PathBuf]) -> Result<Vec<Arc<dyn Replica>>> {
        paths.iter().map(|path| self.replica(path)).collect()
    }
}

impl From<Arc<dyn Fs>> for Places {
    fn from(fs: Arc<dyn Fs>) -> Self {
        Self::new(fs, Path::new(DEFAULT_REMOTES))
    }
}

impl From<&Arc<dyn Fs>> for Places {
    fn from(fs: &Arc<dyn Fs>) -> Self {
        Arc::clone(fs).into()
    }
}
