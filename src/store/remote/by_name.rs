// SPDX-License-Identifier: GPL-2.0-or-later
//! The engine of a remote that is named, and opened when it is first needed: a remotes file that cannot be used at the
//! moment makes each request fail, and the copy is away until the file is mended.

use super::examine::Engine;
use super::objects::{Answer, Now, Object, Objects, Put, Version};
use super::open::open;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The engine of a remote of the remotes file.
#[derive(Debug)]
pub(crate) struct ByName {
    file: PathBuf,
    remote: String,
    engine: OnceLock<Arc<dyn Engine>>,
}

impl ByName {
    /// The engine of the remote of this name in the remotes file `file`, which is not read yet.
    pub(crate) fn new(file: &Path, remote: &str) -> Self {
        Self { file: file.to_owned(), remote: remote.to_owned(), engine: OnceLock::new() }
    }

    fn engine(&self) -> Answer<&dyn Engine> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine.as_ref());
        }
        let opened = open(&self.file, &self.remote)?;
        Ok(self.engine.get_or_init(|| opened).as_ref())
    }
}

impl Objects for ByName {
    fn unusable_settings(&self) -> Option<String> {
        self.engine.get().and_then(|engine| engine.unusable_settings())
    }

    fn get(&self, name: &str, until: Instant) -> Answer<Option<Object>> {
        self.engine()?.get(name, until)
    }

    fn get_if_changed(&self, name: &str, known: &Version, until: Instant) -> Answer<Now> {
        self.engine()?.get_if_changed(name, known, until)
    }

    fn put(&self, name: &str, bytes: &[u8], was: Option<&Version>, until: Instant) -> Answer<Put> {
        self.engine()?.put(name, bytes, was, until)
    }

    fn put_with(
        &self,
        new: (&str, &[u8]),
        name: &str,
        bytes: &[u8],
        was: &Version,
        until: Instant,
    ) -> Answer<Option<Put>> {
        self.engine()?.put_with(new, name, bytes, was, until)
    }

    fn list(&self, folder: &str, until: Instant) -> Answer<Vec<String>> {
        self.engine()?.list(folder, until)
    }

    fn delete(&self, names: &[String], until: Instant) -> Answer<()> {
        self.engine()?.delete(names, until)
    }
}
