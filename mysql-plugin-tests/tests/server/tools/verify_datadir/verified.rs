// SPDX-License-Identifier: GPL-2.0-or-later
//! The result of `keyringctl verify --datadir`.

use mysql_plugin_tests::rig::{Keyring, told};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The exit code and the report of `keyringctl verify`.
pub(super) struct Verified {
    pub code: Option<i32>,
    pub report: Value,
}

pub(super) fn verify(keyring: &Keyring, datadir: &Path, options: &[&str]) -> Verified {
    let paths = keyring.paths();
    let args = paths.iter().map(|p| p.as_os_str());
    let args = args.chain([OsStr::new("--datadir"), datadir.as_os_str()]);
    let output = keyring.ctl_with(&["verify"], args.chain(options.iter().map(OsStr::new)));
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    Verified { code: output.status.code(), report }
}

impl Verified {
    /// Returns the reports on the files, by path.
    pub fn files(&self) -> BTreeMap<PathBuf, &Value> {
        let files = self.report["files"].as_array().unwrap_or_else(|| panic!("{}", self.report));
        files.iter().map(|file| (PathBuf::from(file["path"].as_str().unwrap()), file)).collect()
    }

    pub fn file(&self, path: &Path) -> &Value {
        self.files().get(path).unwrap_or_else(|| panic!("no report on {}", path.display()))
    }

    /// Returns the files in a state.
    pub fn in_state(&self, state: &str) -> BTreeSet<PathBuf> {
        self.files().into_iter().filter(|(_, file)| file["state"] == state).map(|(path, _)| path).collect()
    }

    /// Asserts that every encrypted file is decrypted.
    pub fn assert_opened(&self) {
        assert_eq!(self.code, Some(0), "{:#}", self.report);
        for state in ["key_missing", "wrong_key", "damaged", "unreadable"] {
            assert_eq!(self.in_state(state), BTreeSet::new(), "{state}");
        }
    }
}
