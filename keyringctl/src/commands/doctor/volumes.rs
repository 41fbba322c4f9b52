// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the keyring's volumes: mounted, separate from the data and from each other, and mounted at boot.

use super::finding::Findings;
use super::host_view::HostView;
use crate::commands::apart::is_one_file;
use crate::commands::stat::is_missing;
use crate::host::mounts::Mount;
use crate::host::unit::mount_unit;
use crate::show::Shown;
use keyring_external::store::file::volume::directory_of;
use std::path::Path;

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&[
        "volume",
        "same-device",
        "same-disk",
        "mirrors-apart",
        "same-file",
        "volatile",
        "read-only-volume",
        "mount-options",
        "fstab",
    ]);
    // Where nothing is mounted, the filesystem is not that of the copy.
    let files = view.host.files().map(|(_, copy)| copy);
    let copies: Vec<&Path> = files.filter(|copy| !is_missing(&view.local_path(copy))).collect();
    for copy in &copies {
        let dir = directory_of(copy);
        separate_from_data(view, copy, dir, found);
        let Some(mount) = view.mount(dir) else { continue };
        if mount.point == Path::new("/") {
            found.error(
                "volume",
                copy,
                format!("{} is on the root filesystem: no volume is mounted there", copy.shown()),
                "Anyone who steals the server's disk has the keyring too. If a volume should be mounted there, it is missing.",
                &or_move(view, copy, "mount the volume"),
            );
            continue;
        }
        options(view, copy, mount, found);
        at_boot(view, copy, mount, found);
    }
    separate_from_each_other(view, &copies, found);
}

fn separate_from_data(view: &HostView<'_>, copy: &Path, dir: &Path, found: &mut Findings) {
    let (Some(ours), Some(theirs)) = (view.device(dir), view.device(&view.host.datadir)) else { return };
    let datadir = view.host.datadir.shown();
    let fix = view.move_copy(copy);
    if ours == theirs {
        let what = format!("{} is on the same filesystem as the data directory {datadir}", copy.shown());
        let why = "Anyone who steals that disk has both the data and the keyring.";
        if view.host.allow_same_device {
            found.warning("same-device", copy, format!("{what}, and allow_same_device is ON"), why, &fix);
        } else {
            found.error(
                "same-device",
                copy,
                what,
                "mysqld refuses to use it there. Is the volume mounted?",
                &fix,
            );
        }
    } else if let (Some(one), Some(other)) = (view.disk(ours), view.disk(theirs))
        && one == other
    {
        found.warning(
            "same-disk",
            copy,
            format!(
                "{} and the data directory {datadir} are on two partitions of the same disk ({one})",
                copy.shown()
            ),
            "Anyone who steals that disk has both the data and the keyring.",
            &fix,
        );
    }
}

fn separate_from_each_other(view: &HostView<'_>, copies: &[&Path], found: &mut Findings) {
    for (i, copy) in copies.iter().enumerate() {
        let one =
            copies.iter().take(i).find(|other| is_one_file(&view.local_path(other), &view.local_path(copy)));
        if let Some(other) = one {
            found.error(
                "same-file",
                copy,
                format!("{} and {} are the same file under two names", other.shown(), copy.shown()),
                "The keyring has one copy fewer than configured: if that file is lost, both are.",
                &view.add_copy(),
            );
            found.warning(
                "mirrors-apart",
                copy,
                format!("{} and {} are the same file, on the same filesystem", other.shown(), copy.shown()),
                "Both are lost together.",
                &view.add_copy(),
            );
            continue;
        }
        let Some(device) = view.device(directory_of(copy)) else { continue };
        let shared = copies.iter().take(i).find(|other| {
            view.device(directory_of(other)).is_some_and(|d| {
                d == device || view.disk(d).is_some_and(|disk| Some(disk) == view.disk(device))
            })
        });
        if let Some(other) = shared {
            found.warning(
                "mirrors-apart",
                copy,
                format!("{} and {} are on the same filesystem or disk", copy.shown(), other.shown()),
                "Both are lost together.",
                &view.move_copy(copy),
            );
        }
    }
}

fn options(view: &HostView<'_>, copy: &Path, mount: &Mount, found: &mut Findings) {
    let point = mount.point.shown();
    if mount.is_volatile() {
        found.error(
            "volatile",
            copy,
            format!("{} is on {} ({point}), which is not persistent", copy.shown(), mount.kind),
            "When the machine stops, the copy is lost. If it is the last one, all encrypted data is lost.",
            &view.move_copy(copy),
        );
        return;
    }
    if mount.has("ro") && !view.host.read_only {
        found.error(
            "read-only-volume",
            copy,
            format!("{point} is mounted read-only"),
            "The server can store no new key there, so rotating a master key or creating the first encrypted table fails. ext4 remounts itself read-only after an error.",
            &["check dmesg for errors of the volume".to_owned(), format!("mount -o remount,rw {}", view.word(&mount.point))],
        );
    }
    let missing: Vec<_> = ["nodev", "nosuid", "noexec"].into_iter().filter(|o| !mount.has(o)).collect();
    if !missing.is_empty() {
        found.warning(
            "mount-options",
            copy,
            format!("{point} is mounted without {}", missing.join(", ")),
            "A removable volume must not bring programs or devices onto the server.",
            &[
                format!("mount -o remount,{} {}", missing.join(","), view.word(&mount.point)),
                format!("in {}, add to the options of {point}: {}", fstab(view), missing.join(",")),
            ],
        );
    }
}

fn at_boot(view: &HostView<'_>, copy: &Path, mount: &Mount, found: &mut Findings) {
    let point = mount.point.shown();
    let unit = Path::new("/etc/systemd/system").join(mount_unit(&mount.point));
    match view.fstab.iter().find(|e| e.point == mount.point) {
        Some(entry) if entry.options.iter().any(|o| o == "nofail" || o == "noauto" || o == "x-systemd.automount") => {}
        Some(_) => found.warning(
            "fstab",
            copy,
            format!("{point} is in /etc/fstab without nofail"),
            "If the volume is missing, the machine does not boot and cannot be reached over the network. mysqld itself can wait for the volume.",
            &[format!("in {}, add to the options of {point}: nofail,x-systemd.device-timeout=30s", fstab(view))],
        ),
        None if view.local_path(&unit).exists() => {}
        None => found.warning(
            "fstab",
            copy,
            format!("{point} is not in /etc/fstab, and {} does not exist", unit.shown()),
            "After a reboot the volume is not mounted, and the server does not have its keys.",
            &[in_fstab(view, mount)],
        ),
    }
}

/// Another volume, if the one that is meant cannot be mounted.
fn or_move(view: &HostView<'_>, copy: &Path, first: &str) -> Vec<String> {
    let mut fix = vec![
        first.to_owned(),
        "or move the keyring to a volume that is not on the server's own disk:".to_owned(),
    ];
    fix.extend(view.move_copy(copy));
    fix
}

fn fstab(view: &HostView<'_>) -> String {
    view.word(Path::new("/etc/fstab"))
}

/// The command that adds a line for a mounted volume.
fn in_fstab(view: &HostView<'_>, mount: &Mount) -> String {
    let point = view.word(&mount.point);
    // A disk may get another name at the next start.
    let source = if mount.source.starts_with("/dev/") {
        format!("UUID=$(findmnt -no UUID {point})")
    } else {
        mount.source.clone()
    };
    let point = mount.point.shown().to_string().replace(' ', "\\\\040");
    format!(
        "echo \"{source}  {point}  {}  nofail,x-systemd.device-timeout=30s,nodev,nosuid,noexec  0 2\" >> {}",
        mount.kind,
        fstab(view)
    )
}
