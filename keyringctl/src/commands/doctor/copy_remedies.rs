// SPDX-License-Identifier: GPL-2.0-or-later
//! How to fix a copy of the keyring: its file, its directory and the secret that unlocks it.

use super::host_view::HostView;
use crate::commands::store_places::remotes_option;
use crate::show::Shown;
use keyring_external::store::file::own_directory;
use keyring_external::store::file::volume::directory_of;
use keyring_external::store::places::is_remote;
use std::fs;
use std::path::{Path, PathBuf};

/// A copy that is not there.
pub(super) fn missing(view: &HostView<'_>, copy: &Path) -> Vec<String> {
    if is_remote(copy) {
        return match view.existing_copy(copy) {
            Some(other) => {
                let mut fix = vec!["check the name, then create the copy from another one:".to_owned()];
                fix.extend(create(view, &other, copy));
                fix
            }
            None => vec![format!("restore a backup of the keyring to {}", copy.shown())],
        };
    }

    let Some(other) = view.existing_copy(copy) else {
        return vec![
            "mount the volume of a copy".to_owned(),
            format!(
                "or, if all copies are lost, restore a backup of the keyring to {}",
                view.local_path(copy).shown()
            ),
        ];
    };
    let mut fix =
        vec!["mount its volume".to_owned(), "or, if the copy is lost, create a new one:".to_owned()];
    fix.extend(create(view, &other, copy));
    fix
}

/// A copy of which some bytes are damaged. `keyringctl sync` writes it again from another one, unless it is the newest.
pub(super) fn repair(view: &HostView<'_>, copy: &Path, can_be_read: bool) -> Vec<String> {
    let mut fix =
        if is_remote(copy) { Vec::new() } else { vec!["check dmesg for errors of the volume".to_owned()] };
    match view.existing_copy(copy) {
        Some(other) => fix.extend(create(view, &other, copy)),
        None if can_be_read => fix.extend(view.add_copy()),
        None => fix.push(format!(
            "keep what is there, and restore a backup of the keyring to {}",
            view.local_path(copy).shown()
        )),
    }
    fix
}

/// Something else than a keyring at the path of a copy.
pub(super) fn replace(view: &HostView<'_>, copy: &Path) -> Vec<String> {
    let other = view.existing_copy(copy);
    if is_remote(copy) {
        return set_aside(view, other.as_deref(), copy);
    }
    let Some(other) = other else {
        return vec![format!(
            "check dmesg for errors of the volume. Keep the file, and restore a backup of the keyring to {}",
            view.local_path(copy).shown()
        )];
    };
    let kept = PathBuf::from(format!("{}.kept", copy.to_string_lossy()));
    let mut fix = vec![
        "check dmesg for errors of the volume. Keep the file under another name, and create the copy again:"
            .to_owned(),
        format!("mv {} {}", view.word(copy), view.word(&kept)),
    ];
    fix.extend(create(view, &other, copy));
    fix
}

/// Makes room at a remote for a copy that is created from another one or a backup.
fn set_aside(view: &HostView<'_>, other: Option<&Path>, copy: &Path) -> Vec<String> {
    let mut fix = vec![
        "make room, which keeps what is there, and create the copy again:".to_owned(),
        format!("keyringctl set-aside {}{}", view.word(copy), remotes_option()),
    ];
    match other {
        Some(other) => fix.extend(create(view, other, copy)),
        None => fix.push(format!(
            "keyringctl sync BACKUP --mirror {}{} --create, with the newest backup of the keyring as BACKUP",
            view.word(copy),
            view.secret_args().option()
        )),
    }
    fix
}

fn create(view: &HostView<'_>, from: &Path, copy: &Path) -> Vec<String> {
    let dir = directory_of(copy);
    let install = (!is_remote(copy) && !view.local_path(dir).exists()).then(|| view.create_directory(dir));
    let sync = format!(
        "keyringctl sync {} --mirror {}{} --create",
        view.word(from),
        view.word(copy),
        view.secret_args().option()
    );
    install.into_iter().chain([sync]).collect()
}

/// Something else than a file at the path of a copy.
pub(super) fn not_a_file(view: &HostView<'_>, copy: &Path) -> Vec<String> {
    let place = view.local_path(copy);
    if let Ok(real) = fs::canonicalize(&place)
        && real.is_file()
    {
        let mut fix = vec!["configure the path of the file itself:".to_owned()];
        fix.extend(view.set_copy(copy, &view.site.seen(&real)));
        fix.push("then restart mysqld".to_owned());
        return fix;
    }
    replace(view, copy)
}

/// The secret that the server has fits no slot.
pub(super) fn wrong_secret(view: &HostView<'_>) -> Vec<String> {
    let Some(source) = view.secret() else { return Vec::new() };
    let add = format!("keyringctl slot add {} --recovery --name mysqld", view.all_copies());
    vec![
        format!("if {source} should hold another secret, restore that from a backup"),
        "or add a slot for this secret, with the recovery key (or --custodians in place of --recovery):"
            .to_owned(),
        format!("{add} --new {}", source.to_string().shown()),
    ]
}

/// A directory that others can read or write.
pub(super) fn close_directory(view: &HostView<'_>, copy: &Path) -> Vec<String> {
    let dir = directory_of(copy);
    if is_own(view, copy) {
        vec![format!("chmod 0700 {}", view.word(dir))]
    } else {
        into_own_directory(view, copy)
    }
}

/// A directory that belongs to another user.
pub(super) fn take_directory(view: &HostView<'_>, copy: &Path) -> Vec<String> {
    if is_own(view, copy) { vec![chown(view, directory_of(copy))] } else { into_own_directory(view, copy) }
}

pub(super) fn chown(view: &HostView<'_>, path: &Path) -> String {
    format!("chown {}: {}", view.site.user, view.word(path))
}

/// Whether the directory of a copy is for keyrings alone.
fn is_own(view: &HostView<'_>, copy: &Path) -> bool {
    let is_mount_point =
        view.mount(directory_of(copy)).is_some_and(|mount| mount.point == directory_of(copy));
    !is_mount_point
        && !own_directory::is_for_volumes(directory_of(copy))
        && own_directory::is_own(&view.local_path(directory_of(copy)), copy.file_name().unwrap_or_default())
}

/// How to move a copy into a directory of its own, on the same volume.
fn into_own_directory(view: &HostView<'_>, copy: &Path) -> Vec<String> {
    let new = own_directory::below(directory_of(copy)).join(copy.file_name().unwrap_or_default());
    let mut fix = vec![
        format!(
            "{} is not for the keyring alone: move the file to a directory that is",
            directory_of(copy).shown()
        ),
        view.create_directory(directory_of(&new)),
        format!("mv {} {}", view.word(copy), view.word(&new)),
        chown(view, &new),
    ];
    fix.extend(view.set_copy(copy, &new));
    fix.push("then restart mysqld".to_owned());
    fix
}
