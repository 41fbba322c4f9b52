// SPDX-License-Identifier: GPL-2.0-or-later
//! The files that mysqld opens for its keyring, and the access that it needs.

use super::{Host, Way};
use keyring_external::config::file::file_in;
use keyring_external::store::file::volume::{directory_of, temporary_of};
use keyring_external::store::witness::WITNESS_NAME;
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

/// A file or directory that mysqld opens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// Its path. The path of a directory ends in a slash.
    pub path: PathBuf,
    /// AppArmor's letters: read `r`, write `w`, lock `k`, map as code `m`, run `x`.
    pub access: &'static str,
    /// What it is, for messages.
    pub what: &'static str,
    /// Whether it belongs to mysqld's user.
    pub owned: bool,
}

/// All files that mysqld opens for this keyring.
pub fn needs(host: &Host) -> Vec<Need> {
    let mut all = Vec::new();
    let mut need = |path: PathBuf, access, what, owned| all.push(Need { path, access, what, owned });
    match host.way {
        Way::Plugin => {
            need(host.option_file.clone(), "r", "the option file with the plugin's settings", false)
        }
        Way::Component => {
            need(super::manifest_of(&host.mysqld), "r", "the manifest", false);
            if host.local_manifest {
                need(host.manifest(), "r", "the manifest in the data directory", false);
            }
            need(file_in(&host.plugin_dir), "r", "the component's configuration file", false);
        }
    }
    need(host.plugin_dir.join(host.way.library()), "mr", "the library", false);
    for (_, copy) in host.files() {
        need(as_directory(directory_of(copy)), "r", "the keyring's directory", true);
        need(copy.to_owned(), "rwk", "the keyring", true);
        need(temporary_of(copy), "rwk", "the keyring, while it is rewritten", true);
    }
    match &host.unlock {
        UnlockSource::File(file) => need(file.clone(), "r", "the unlock secret", true),
        UnlockSource::Credential(name) => {
            need(credentials_of(&host.unit).join(name), "r", "the unlock secret", true)
        }
        UnlockSource::Command(words) => {
            need(words.first().map(PathBuf::from).unwrap_or_default(), "x", "the unlock program", false)
        }
        UnlockSource::Env(_) => {}
    }
    if let Some(log) = &host.audit.path {
        need(log.clone(), "rwk", "the audit log", true);
        need(as_directory(directory_of(log)), "r", "the directory of the audit log", false);
    }
    if host.uses_remotes() {
        need(host.remotes.clone(), "r", "the remotes file", false);
        for file in &host.remote_files {
            need(file.clone(), "r", "a file that the remotes file names", false);
        }
    }
    let witness = host.datadir.join(WITNESS_NAME);
    need(temporary_of(&witness), "rwk", "the witness, while it is rewritten", true);
    need(witness, "rwk", "the witness", true);
    all
}

/// The directory of a unit's credentials.
pub fn credentials_of(unit: &str) -> PathBuf {
    Path::new("/run/credentials").join(unit)
}

/// Adds a slash to the path of a directory.
fn as_directory(path: &Path) -> PathBuf {
    path.join("")
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    fn paths(host: &Host) -> Vec<String> {
        needs(host).iter().map(|n| format!("{} {}", n.path.display(), n.access)).collect()
    }

    #[test]
    fn a_component_opens_its_manifest_its_configuration_and_both_copies() {
        let all = paths(&example(Way::Component));
        for expected in [
            "/usr/sbin/mysqld.my r",
            "/usr/lib/mysql/plugin/component_keyring_external.cnf r",
            "/usr/lib/mysql/plugin/component_keyring_external.so mr",
            "/mnt/a/keys/ r",
            "/mnt/b/keys/main.keyring rwk",
            "/mnt/b/keys/main.keyring.new rwk",
            "/etc/mysql/keyring_external.secret r",
            "/var/lib/mysql/keyring_external.witness rwk",
        ] {
            assert!(all.iter().any(|p| p == expected), "{expected} is not in {all:?}");
        }
    }

    #[test]
    fn a_copy_at_a_remote_needs_the_files_that_lead_to_it() {
        let mut host = example(Way::Component);
        assert!(!paths(&host).iter().any(|p| p.contains("remotes")));
        host.mirrors = vec!["@bucket/db1".into()];
        host.remote_files = vec!["/etc/mysql/bucket.key".into()];
        let all = paths(&host);
        assert!(all.contains(&"/etc/mysql/keyring_external.remotes.json r".to_owned()), "{all:?}");
        assert!(all.contains(&"/etc/mysql/bucket.key r".to_owned()), "{all:?}");
        assert!(!all.iter().any(|p| p.contains('@')), "{all:?}");
    }

    #[test]
    fn a_credential_is_opened_where_systemd_puts_it() {
        let mut host = example(Way::Plugin);
        host.unlock = UnlockSource::Credential("keyring".to_owned());
        let all = paths(&host);
        assert!(all.contains(&"/run/credentials/mysql.service/keyring r".to_owned()), "{all:?}");
        assert!(all.contains(&"/etc/mysql/conf.d/keyring_external.cnf r".to_owned()), "{all:?}");
        assert!(!all.iter().any(|p| p.contains("mysqld.my")), "{all:?}");
    }
}
