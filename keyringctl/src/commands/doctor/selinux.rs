// SPDX-License-Identifier: GPL-2.0-or-later
//! SELinux: whether the keyring has a type that mysqld may write to.

use super::finding::{Findings, Level};
use super::look::Look;
use crate::host::files::selinux_commands;
use keyring_external::store::volume::directory_of;
use std::fs;
use std::path::Path;

/// The type of what mysqld writes.
const DATA: &str = "mysqld_db_t";
const LABEL: &str = "selinux-label";

pub(super) fn check(look: &Look<'_>, found: &mut Findings) {
    found.checks(&[LABEL]);
    let enforcing =
        fs::read_to_string(look.sys.join("fs/selinux/enforce")).is_ok_and(|text| text.trim() == "1");
    if enforcing && !look.site.is_below() {
        labels(look, &label, found);
    }
}

fn labels(look: &Look<'_>, label: &dyn Fn(&Path) -> Option<String>, found: &mut Findings) {
    for copy in look.host.copies() {
        let dir = directory_of(copy);
        for path in [dir, copy] {
            let place = look.at_root(path);
            let Some(context) = label(&place) else {
                found.note(LABEL, format!("the SELinux label of {} cannot be read", place.display()), "");
                continue;
            };
            if context.split(':').nth(2) == Some(DATA) {
                continue;
            }
            let mut fix = selinux_commands(dir);
            if let Some(mount) = look.mount(dir) {
                fix.push(format!(
                    "on a filesystem without labels (exFAT, NTFS, NFS): mount {} with context=system_u:object_r:{DATA}:s0",
                    mount.point.display()
                ));
            }
            found
                .add(
                    Level::Wrong,
                    LABEL,
                    format!("SELinux is enforcing, and {} is labelled {context}", place.display()),
                    "mysqld is confined to files of its own type, and does not open the keyring.",
                    &fix,
                )
                .path = Some(path.to_owned());
            break;
        }
    }
}

fn label(path: &Path) -> Option<String> {
    let mut value = [0_u8; 256];
    let len = rustix::fs::getxattr(path, "security.selinux", &mut value).ok()?;
    let text = String::from_utf8_lossy(value.get(..len)?).into_owned();
    Some(text.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
pub(super) fn check_labels(look: &Look<'_>, label: &dyn Fn(&Path) -> Option<String>, found: &mut Findings) {
    labels(look, label, found);
}
