// SPDX-License-Identifier: GPL-2.0-or-later
//! The same in a real server: one for each keyring, and one without.

pub mod oltp;
pub mod spaces;
pub mod stores;

use crate::abi::{Bench, Which};
use crate::disk::{make_private, settle};
use crate::names;
use mysql_plugin_tests::rig::Host;
use mysql_plugin_tests::rig::component::{host_with_components, load_component};
use std::fs;
use std::path::{Path, PathBuf};

/// A server's host, and its keyring's file on the disk that is measured.
pub struct Site {
    pub host: Host,
    which: Which,
    file: PathBuf,
    secret: PathBuf,
}

impl Site {
    /// A fresh data directory with a keyring; `name` tells it from other sites.
    pub fn new(bench: &Bench<'_>, which: Which, name: &str) -> Result<Site, String> {
        let dir = bench.disk.dir().join(format!("{name}{which:?}"));
        fs::create_dir(&dir).map_err(|e| e.to_string())?;
        make_private(&dir)?;
        let (file, secret) = (dir.join("keyring"), bench.base.join("secret"));
        let settings = match which {
            Which::Ours => format!(
                r#"{{"path": "{}", "unlock": "file:{}", "allow_same_device": true}}"#,
                file.display(),
                secret.display()
            ),
            Which::Peer => format!(r#"{{"path": "{}", "read_only": false}}"#, file.display()),
        };
        let host = host_with_components(&[(which.component(), settings)]);
        load_component(&host, which.component());
        let site = Site { host, which, file, secret };
        site.fill(0)?;
        Ok(site)
    }

    /// The keyring's file.
    pub fn keyring(&self) -> &Path {
        &self.file
    }

    /// The file with its unlock secret.
    pub fn secret(&self) -> &Path {
        &self.secret
    }

    /// Puts a keyring with that many keys in the place of what is there. The server is down.
    pub fn fill(&self, keys: u64) -> Result<(), String> {
        let dir = self.file.parent().expect("a directory");
        for entry in fs::read_dir(dir).map_err(|e| e.to_string())?.flatten() {
            fs::remove_file(entry.path()).map_err(|e| e.to_string())?;
        }
        // Of the keyring before.
        let _ = fs::remove_file(self.host.datadir().join("keyring_external.witness"));
        match self.which {
            Which::Ours => names::make_ours(&self.file, &self.secret, keys, None)?,
            Which::Peer => names::make_peers(&self.file, keys)?,
        }
        settle(dir)
    }
}
