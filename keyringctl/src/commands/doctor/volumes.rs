// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring's volumes: mounted, apart from the data and from each other, and mounted again after a restart.

use super::finding::Findings;
use super::look::Look;
use crate::commands::apart::is_one_file;
use crate::host::mounts::Mount;
use crate::host::unit::mount_unit;
use keyring_external::store::volume::directory_of;
use std::path::Path;

pub(super) fn check(look: &Look<'_>, found: &mut Findings) {
    found.checks(&[
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
    let copies: Vec<&Path> = look.host.copies().collect();
    for copy in &copies {
        let dir = directory_of(copy);
        apart_from_data(look, copy, dir, found);
        let Some(mount) = look.mount(dir) else { continue };
        if mount.point == Path::new("/") {
            found.wrong(
                "volume",
                copy,
                format!("{} is on the root filesystem: no volume is mounted there", copy.display()),
                "Whoever takes the server's disk has the keyring too; or the volume is missing, and this is the bare mount point.",
                &["mount the volume; put the keyring on one that is not the server's own disk".to_owned()],
            );
            continue;
        }
        options(look, copy, mount, found);
        at_boot(look, copy, mount, found);
    }
    apart_from_each_other(look, &copies, found);
}

fn apart_from_data(look: &Look<'_>, copy: &Path, dir: &Path, found: &mut Findings) {
    let (Some(ours), Some(theirs)) = (look.device(dir), look.device(&look.host.datadir)) else { return };
    let datadir = look.host.datadir.display();
    let fix =
        ["move it to a volume of its own: keyringctl sync --help, then change the path in the configuration"
            .to_owned()];
    if ours == theirs {
        let what = format!("{} is on the filesystem of the data directory {datadir}", copy.display());
        let why = "Whoever takes that disk has the data and the keyring.";
        if look.host.allow_same_device {
            found.risk("same-device", copy, format!("{what}, and allow_same_device is ON"), why, &fix);
        } else {
            found.wrong("same-device", copy, what, "mysqld refuses it so. Is the volume mounted?", &fix);
        }
    } else if let (Some(one), Some(other)) = (look.disk(ours), look.disk(theirs))
        && one == other
    {
        found.risk(
            "same-disk",
            copy,
            format!(
                "{} and the data directory {datadir} are on one disk ({one}), in two partitions",
                copy.display()
            ),
            "Whoever takes that disk has the data and the keyring.",
            &fix,
        );
    }
}

fn apart_from_each_other(look: &Look<'_>, copies: &[&Path], found: &mut Findings) {
    for (i, copy) in copies.iter().enumerate() {
        let one = copies.iter().take(i).find(|other| is_one_file(&look.at_root(other), &look.at_root(copy)));
        if let Some(other) = one {
            found.wrong(
                "same-file",
                copy,
                format!("{} and {} are one file under two names", other.display(), copy.display()),
                "The keyring has one copy less than it seems: when that file is lost, both are.",
                &[
                    "look for links, and for a directory that is mounted twice (findmnt)".to_owned(),
                    "name a path on a volume of its own in the configuration, and put a copy there:"
                        .to_owned(),
                    format!(
                        "keyringctl sync {} --mirror /OTHER/VOLUME/keys/main.keyring{}",
                        other.display(),
                        look.commands().option()
                    ),
                ],
            );
            found.risk(
                "mirrors-apart",
                copy,
                format!("{} and {} are one file, on one filesystem", other.display(), copy.display()),
                "There is nothing that could be lost by itself.",
                &["see same-file".to_owned()],
            );
            continue;
        }
        let Some(device) = look.device(directory_of(copy)) else { continue };
        let shared = copies.iter().take(i).find(|other| {
            look.device(directory_of(other)).is_some_and(|d| {
                d == device || look.disk(d).is_some_and(|disk| Some(disk) == look.disk(device))
            })
        });
        if let Some(other) = shared {
            found.risk(
                "mirrors-apart",
                copy,
                format!("{} and {} are on one filesystem or disk", copy.display(), other.display()),
                "They are lost together.",
                &["put one of them on another disk: keyringctl sync --help".to_owned()],
            );
        }
    }
}

fn options(look: &Look<'_>, copy: &Path, mount: &Mount, found: &mut Findings) {
    let point = mount.point.display();
    if mount.is_volatile() {
        found.wrong(
            "volatile",
            copy,
            format!("{} is on {} ({point})", copy.display(), mount.kind),
            "It is gone when the machine stops, and with it all that is encrypted.",
            &["put the keyring on a disk".to_owned()],
        );
        return;
    }
    if mount.has("ro") && !look.read_only {
        found.wrong(
            "read-only-volume",
            copy,
            format!("{point} is mounted read-only"),
            "No key can be made: a rotation, the first encrypted table, a new binary log key fail. ext4 does that by itself after an error.",
            &["look at dmesg".to_owned(), format!("mount -o remount,rw {point}")],
        );
    }
    let missing: Vec<_> = ["nodev", "nosuid", "noexec"].into_iter().filter(|o| !mount.has(o)).collect();
    if !missing.is_empty() {
        found.risk(
            "mount-options",
            copy,
            format!("{point} is mounted without {}", missing.join(", ")),
            "A volume that comes and goes must not bring programs or devices with it.",
            &[format!("mount -o remount,{} {point}, and the same in /etc/fstab", missing.join(","))],
        );
    }
}

fn at_boot(look: &Look<'_>, copy: &Path, mount: &Mount, found: &mut Findings) {
    let point = mount.point.display();
    let unit = Path::new("/etc/systemd/system").join(mount_unit(&mount.point));
    match look.fstab.iter().find(|e| e.point == mount.point) {
        Some(entry) if entry.options.iter().any(|o| o == "nofail" || o == "noauto" || o == "x-systemd.automount") => {}
        Some(_) => found.risk(
            "fstab",
            copy,
            format!("{point} is in /etc/fstab without nofail"),
            "A volume that is missing stops the boot, and the server is not even reached over the network. mysqld waits for the volume by itself.",
            &[format!("add nofail,x-systemd.device-timeout=30s to the options of {point} in /etc/fstab")],
        ),
        None if look.at_root(&unit).exists() => {}
        None => found.risk(
            "fstab",
            copy,
            format!("{point} is not in /etc/fstab, and there is no {}", unit.display()),
            "It is not mounted after a restart of the machine, and the server is without its keys.",
            &[format!("UUID=...  {point}  {}  nofail,x-systemd.device-timeout=30s,nodev,nosuid,noexec  0 2", mount.kind)],
        ),
    }
}
