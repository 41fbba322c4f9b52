// SPDX-License-Identifier: GPL-2.0-or-later
//! What says that a server already has a keyring: a new one in its place would have none of its keys.

use super::output::counted;
use super::status::copy_status::damaged_witness;
use super::witness;
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::show::Shown;
use crate::tablespace::{self, master_keys};
use keyring_external::keyring::witness_claims;
use std::path::{Path, PathBuf};

/// What says that a server already has a keyring.
#[derive(Default)]
pub(super) struct Traces {
    /// The copies that the server is configured with.
    configured: Vec<PathBuf>,
    /// What the witness says.
    witness: Option<String>,
    /// Which files need a master key.
    needed: Option<String>,
    datadir: PathBuf,
}

impl Traces {
    /// Looks at the configuration and at the files in the data directory.
    ///
    /// # Errors
    /// The witness cannot be read.
    pub(super) fn find(datadir: &Path, configured: &[PathBuf]) -> Result<Traces> {
        let mut found =
            Traces { configured: configured.to_vec(), datadir: datadir.to_owned(), ..Traces::default() };
        if !datadir.is_dir() {
            return Ok(found);
        }
        let places = store_places();
        found.witness = match (witness_claims(places.fs(), datadir)?, witness::unreadable(datadir)) {
            (Some(w), _) => Some(format!(
                "{} was last used with keyring {}, generation {}",
                datadir.shown(),
                w.id,
                w.generation
            )),
            (None, Some(path)) => Some(damaged_witness(&path)),
            (None, None) => None,
        };
        let needed = master_keys(&tablespace::find(&[datadir.to_owned()])).keys;
        let files: usize = needed.values().map(Vec::len).sum();
        found.needed = needed.first_key_value().map(|(key, of_key)| {
            format!(
                "{} in {} {} a master key, such as {} ({key})",
                counted(files, "file"),
                datadir.shown(),
                if files == 1 { "needs" } else { "need" },
                of_key.first().map_or_else(String::new, |file| file.shown())
            )
        });
        Ok(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_empty() && self.witness.is_none() && self.needed.is_none()
    }

    /// The command that makes the server take a new keyring, if it would refuse it.
    pub(super) fn accept(&self) -> Option<String> {
        let accept = match self.needed {
            Some(_) => "keyringctl witness accept --accept-missing-keys",
            None => "keyringctl witness accept",
        };
        self.witness.as_ref().map(|_| accept.to_owned())
    }

    fn text(&self) -> String {
        let shown: Vec<_> = self.configured.iter().map(|copy| copy.shown()).collect();
        let configured =
            (!shown.is_empty()).then(|| format!("the server is configured with {}", shown.join(" and ")));
        let all: Vec<_> = configured.iter().chain(&self.witness).chain(&self.needed).cloned().collect();
        all.join("; ")
    }

    /// The refusal to create a new keyring at `path`.
    pub(super) fn refusal(&self, path: &Path) -> Error {
        let import = if self.configured.is_empty() && self.witness.is_none() {
            " If these are keys of another kind of keyring, create one with keyringctl init, import them \
             (keyringctl import --help), then run setup."
        } else {
            ""
        };
        Error::Usage(format!(
            "a new keyring at {} would have none of the server's keys: {}. Mount the volume of the keyring (for a copy at a remote, see that it can be reached), then run this \
             again. If every copy is lost, restore a backup of the keyring; to find the right one: keyringctl which \
             BACKUP --datadir {}.{import} Only if no data needs the old keys: --new-keyring. Nothing was changed",
            path.shown(),
            self.text(),
            self.datadir.shown()
        ))
    }

    /// The warning about a new keyring that is wanted.
    pub(super) fn warning(&self) -> String {
        let refused = match self.accept() {
            Some(accept) => {
                format!(" The server refuses it until you accept it, with the server stopped: {accept}")
            }
            None => String::new(),
        };
        format!(
            "WARNING: the new keyring has none of the server's keys, so data that is encrypted with them cannot be read: {}.\
             {refused}",
            self.text()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_witness_or_a_configured_keyring_is_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Traces::find(dir.path(), &[]).unwrap().is_empty());
        assert!(Traces::find(&dir.path().join("none"), &[]).unwrap().is_empty());
        let configured = Traces::find(dir.path(), &["/mnt/a/k".into()]).unwrap();
        assert!(!configured.is_empty() && configured.accept().is_none());
        let refused = configured.refusal(Path::new("/mnt/b/k")).to_string();
        assert!(
            refused.contains("is configured with /mnt/a/k") && refused.contains("--new-keyring"),
            "{refused}"
        );
        // A damaged witness is one too.
        fs::write(dir.path().join(keyring_external::store::witness::WITNESS_NAME), "x").unwrap();
        let damaged = Traces::find(dir.path(), &[]).unwrap();
        assert!(damaged.accept().is_some() && damaged.warning().contains("damaged"), "{}", damaged.warning());
    }
}
