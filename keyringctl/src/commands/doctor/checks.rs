// SPDX-License-Identifier: GPL-2.0-or-later
//! The names of all checks, for `--ignore` and `--list-checks`. A finding of another name is a mistake of this program,
//! which the tests find.

use crate::commands::output::Output;
use crate::error::{Error, Result};
use serde_json::{Map, json};

/// Each check and what it checks, in the order of the documentation.
pub(in crate::commands) const CHECKS: [(&str, &str); 62] = [
    ("permission", "this user may read everything that the checks need"),
    ("configured", "mysqld loads the keyring"),
    ("two-keyrings", "mysqld does not load both the plugin and the component"),
    ("manifest", "the manifest can be read, and only root can change it"),
    ("component-configuration", "the component's configuration is valid, and mysqld can read it"),
    ("plugin-options", "mysqld takes the plugin's options and their values"),
    ("option-files", "mysqld reads the option files with the keyring's options"),
    ("deprecated", "the component is used where MySQL has deprecated the plugin"),
    ("early-plugins", "no later early-plugin-load replaces that of another plugin"),
    ("library", "the library is in the plugin directory, and only root can change it"),
    ("keyring-file", "each copy exists, is a keyring and is closed to other users"),
    ("keyring-owner", "each copy and its directory belong to mysqld's user"),
    ("closed-directory", "mysqld can pass the directories above its files"),
    ("verify", "every byte of each copy is authentic"),
    ("copies-alike", "the copies are equal and up to date"),
    ("one-copy", "there is more than one copy"),
    ("recovery-slot", "a recovery key or custodians unlock the keyring too"),
    ("witness", "the witness does not contradict the copies"),
    ("redo-log", "the keyring has the master keys that the redo log needs"),
    ("leftover-write", "no interrupted write left a file"),
    ("volume", "the volumes of the copies are mounted and answer"),
    ("same-device", "no copy is on the filesystem of the data directory"),
    ("same-disk", "no copy is on the disk of the data directory"),
    ("mirrors-apart", "each copy is on a disk of its own"),
    ("same-file", "each copy is a file of its own"),
    ("volatile", "no copy is on a filesystem that a restart empties"),
    ("read-only-volume", "the volumes can be written"),
    ("mount-options", "the volumes are mounted with nodev, nosuid and noexec"),
    ("fstab", "the volumes are mounted at boot, and a missing one does not stop it"),
    (
        "remotes-file",
        "the remotes file is valid, closed to other users, and describes the remotes of the copies",
    ),
    ("remote-endpoints", "every endpoint of a remote answers"),
    ("remote-certificate", "the certificates of remotes are valid, and stay so for 30 days"),
    ("remote-clock", "the clocks of remotes and of this host agree"),
    ("remote-credentials", "the credentials for a remote are accepted, and stay valid"),
    ("remote-rights", "the credentials for a remote allow what is needed, and no more"),
    ("remote-conditions", "the remote honours conditional writes: only one of several racing writers wins"),
    ("remote-history", "the remote keeps no versions that would bring back removed keys"),
    ("remote-cluster", "the engine of a remote has room, a majority and no alarm"),
    ("unlock-secret", "mysqld can read the unlock secret, and nobody else can"),
    ("secret-on-volume", "the unlock secret is not on the keyring's volume"),
    ("systemd-credentials", "systemd has credentials, if the secret is one"),
    ("apparmor-rules", "AppArmor lets mysqld open its files"),
    ("selinux-label", "the files have types that SELinux lets mysqld open"),
    ("selinux-boolean", "SELinux lets mysqld use the network, if the secret needs it"),
    ("selinux-credential", "SELinux lets mysqld read its credential"),
    ("systemd", "mysqld has a systemd unit"),
    ("mounts-for", "mysqld starts after its volumes are mounted"),
    ("after-network", "mysqld starts after the network is up, if a copy is at a remote"),
    ("unit-closes-volume", "the unit lets mysqld write to its volumes"),
    ("memlock", "mysqld may lock enough memory for its keys"),
    ("other-manifest", "the manifest names no other keyring"),
    ("other-keyring-plugin", "no option loads another keyring plugin"),
    ("other-keyring-configuration", "no other keyring component is configured"),
    ("keys-in-clear", "no file of another keyring holds unencrypted keys"),
    ("auto-create", "auto_create is OFF"),
    ("read-only", "read_only is OFF"),
    ("audit-log", "mysqld can write the audit log, other users cannot, and no line is changed or missing"),
    ("server", "the running server answers"),
    ("server-state", "the keyring of the running server is ATTACHED"),
    ("server-keyring", "the running server uses the configured keyring"),
    ("retired-keys", "the running server uses no key that was retired"),
    (
        "file-privilege",
        "accounts with FILE cannot read the keyring and its secret through the running server",
    ),
];

/// Checks that every name is that of a check.
///
/// # Errors
/// One is not.
pub(super) fn known(names: &[String]) -> Result<()> {
    let all = CHECKS.map(|(name, _)| name);
    let Some(unknown) = names.iter().find(|name| !all.contains(&name.as_str())) else { return Ok(()) };
    let nearest = similar::get_close_matches(unknown.to_lowercase().as_str(), &all, 1, 0.5);
    let meant = nearest.first().map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
    Err(Error::Usage(format!(
        "there is no check {unknown:?} (--ignore).{meant} `keyringctl doctor --list-checks` lists all of them"
    )))
}

/// Prints the names of all checks.
pub(super) fn list(out: &mut Output) {
    let width = CHECKS.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, what) in CHECKS {
        out.line(format_args!("{name:width$}  {what}"));
    }
    let all: Map<_, _> = CHECKS.iter().map(|(name, what)| ((*name).to_owned(), json!(what))).collect();
    out.document(&json!({ "checks": all }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_nearest_check_is_named() {
        let told = |name: &str| known(&[name.to_owned()]).map_err(|e| e.to_string());
        assert_eq!(told("one-copy"), Ok(()));
        assert!(told("one_copy").unwrap_err().contains("Did you mean one-copy?"));
        assert!(told("Unlock-Secrets").unwrap_err().contains("Did you mean unlock-secret?"));
        assert!(!told("NONSENSE").unwrap_err().contains("Did you mean"));
    }

    #[test]
    fn the_documentation_has_a_row_for_every_check() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/SETUP.md");
        let page = fs::read_to_string(page).unwrap();
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
        for (name, _) in CHECKS {
            let quoted = format!("`{name}`");
            assert!(rows.iter().any(|row| row.split('|').nth(1).unwrap().contains(&quoted)), "{name}");
        }
    }
}
