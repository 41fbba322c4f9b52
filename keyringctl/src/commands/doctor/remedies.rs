// SPDX-License-Identifier: GPL-2.0-or-later
//! Fixes that several checks have in common, with the paths of the host.

use super::host_view::HostView;
use super::steps::SECRET_FILE;
use crate::commands::apart::is_one_file;
use crate::commands::stat::is_there;
use crate::host::Way;
use crate::show::Shown;
use keyring_external::store::file::volume::directory_of;
use keyring_external::store::places::is_remote;
use std::path::{Path, PathBuf};

/// Stands for a volume that only the administrator can choose.
const OTHER_VOLUME: &str = "/OTHER/VOLUME";

/// Stands for the volume of the copy of this number, from 0: two copies never get the same.
fn other_volume(number: usize) -> PathBuf {
    match number {
        0 => PathBuf::from(OTHER_VOLUME),
        n => PathBuf::from(format!("{OTHER_VOLUME}{}", n + 1)),
    }
}

/// Whether a copy exists: a file, or one at a remote.
fn exists(copy: &Path) -> bool {
    if is_remote(copy) { is_there(copy) } else { copy.is_file() }
}

impl HostView<'_> {
    /// A path of the server's as a word of a command.
    pub(super) fn word(&self, path: &Path) -> String {
        self.local_path(path).shown()
    }

    /// The arguments that name all copies.
    pub(super) fn all_copies(&self) -> String {
        self.host.copies().map(|copy| self.word(copy)).collect::<Vec<_>>().join(" --mirror ")
    }

    /// Another copy that exists.
    pub(super) fn existing_copy(&self, but: &Path) -> Option<PathBuf> {
        self.host.copies().find(|copy| *copy != but && exists(&self.local_path(copy))).map(Path::to_owned)
    }

    /// The file with the keyring's settings, as this process sees it.
    pub(super) fn settings_file(&self) -> PathBuf {
        self.site.settings_file(&self.host)
    }

    /// How to change a setting, which has the same name as the plugin's option and in the component's configuration.
    fn set(&self, name: &str, component: &str, plugin: &str) -> Vec<String> {
        let line = match self.host.way {
            Way::Component => format!("    \"{name}\": {component}"),
            Way::Plugin => {
                format!("    keyring_external_{} = {plugin}", if name == "path" { "data" } else { name })
            }
        };
        vec![format!("in {}, set:", self.settings_file().shown()), line]
    }

    /// How to make the server read its secret from a file.
    pub(super) fn set_secret(&self, file: &Path) -> Vec<String> {
        let source = format!("file:{}", file.to_string_lossy());
        self.set("unlock", &serde_json::json!(source).to_string(), &source)
    }

    /// How to give a copy another path.
    pub(super) fn set_copy(&self, copy: &Path, new: &Path) -> Vec<String> {
        if self.host.keyring == copy {
            return self.set("path", &serde_json::json!(new).to_string(), &new.to_string_lossy());
        }
        let changed = |path: &PathBuf| if path == copy { new.to_owned() } else { path.clone() };
        self.set_mirrors(&self.host.mirrors.iter().map(changed).collect::<Vec<_>>())
    }

    fn set_mirrors(&self, mirrors: &[PathBuf]) -> Vec<String> {
        let shown: Vec<_> = mirrors.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        self.set("mirrors", &serde_json::json!(mirrors).to_string(), &shown.join(":"))
    }

    /// How to add a copy on a volume that the administrator chooses.
    pub(super) fn add_copy(&self) -> Vec<String> {
        let volume = other_volume(self.host.copies().count());
        let new = &volume.join("keys/main.keyring");
        let mut fix = self.create_copy(&self.host.keyring, new, &volume);
        let mirrors = self
            .host
            .mirrors
            .iter()
            .filter(|path| is_remote(path) || self.local_path(path).exists())
            .cloned();
        // Paths that lead to the same file are left out.
        let mirrors: Vec<_> = mirrors
            .filter(|path| !is_one_file(&self.local_path(path), &self.local_path(&self.host.keyring)))
            .chain([new.to_owned()])
            .collect();
        fix.extend(self.set_mirrors(&mirrors));
        fix.push("then restart mysqld".to_owned());
        fix
    }

    /// The commands that create a copy on another volume.
    fn create_copy(&self, from: &Path, new: &Path, volume: &Path) -> Vec<String> {
        vec![
            format!("mount another volume; with its path instead of {}:", volume.shown()),
            self.create_directory(directory_of(new)),
            format!(
                "keyringctl sync {} --mirror {}{} --create",
                self.word(from),
                self.word(new),
                self.secret_args().option()
            ),
        ]
    }

    /// The command that creates a directory for a keyring.
    pub(super) fn create_directory(&self, dir: &Path) -> String {
        format!("install -d -m 0700 -o {} {}", self.site.user, self.word(dir))
    }

    /// How to move a copy to a volume that the administrator chooses.
    pub(super) fn move_copy(&self, copy: &Path) -> Vec<String> {
        let volume = other_volume(self.host.copies().position(|other| other == copy).unwrap_or_default());
        let new = &volume.join("keys").join(copy.file_name().unwrap_or_default());
        let mut fix = self.create_copy(copy, new, &volume);
        fix.extend(self.set_copy(copy, new));
        fix.push("then restart mysqld, and remove the copy that it no longer uses:".to_owned());
        fix.push(format!("shred -u {}", self.word(copy)));
        fix
    }

    /// How to give the keyring a new secret in a file, with the recovery key. Custodians use another option.
    pub(super) fn new_secret(&self, file: &Path) -> Vec<String> {
        let word = self.word(file);
        let source = format!("file:{}", self.local_path(file).to_string_lossy()).shown();
        let mut fix = Vec::new();
        if !self.local_path(file).exists() {
            // Never over a file that may hold a secret.
            fix.push(format!("(umask 077; set -C; head -c 32 /dev/urandom > {word})"));
        }
        let add = format!("keyringctl slot add {} --recovery --name mysqld", self.all_copies());
        fix.push(format!("{add} --new {source}"));
        fix
    }

    /// How to remove a setting.
    pub(super) fn unset(&self, name: &str) -> String {
        if self.host.way == Way::Component {
            return format!("in {}, remove: \"{name}\"", self.settings_file().shown());
        }
        let option = format!("keyring-external-{}", name.replace('_', "-"));
        let place = self.site.all_options(&option).last().map(|line| line.place()).unwrap_or_default();
        format!("remove keyring_external_{name}: {place}")
    }

    /// How to make mysqld read its secret from a file. One that exists already unlocks the keyring.
    pub(super) fn secret_from_file(&self) -> Vec<String> {
        let file = self.host.credential.as_deref().unwrap_or(Path::new(SECRET_FILE));
        let mut fix = if self.local_path(file).exists() { Vec::new() } else { self.new_secret(file) };
        fix.push(format!("chown {}: {}", self.site.user, self.word(file)));
        fix.extend(self.set_secret(file));
        fix.push("then restart mysqld".to_owned());
        fix
    }
}
