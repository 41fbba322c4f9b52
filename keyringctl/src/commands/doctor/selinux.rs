// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks whether the keyring has an SELinux type that mysqld may write to.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use crate::host::files::selinux_commands;
use keyring_external::store::volume::directory_of;
use std::fs;
use std::path::Path;

/// The type of files that mysqld writes.
const DATA: &str = "mysqld_db_t";
const LABEL: &str = "selinux-label";

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&[LABEL]);
    let enforcing =
        fs::read_to_string(view.sys.join("fs/selinux/enforce")).is_ok_and(|text| text.trim() == "1");
    if enforcing && !view.site.is_below() {
        labels(view, &label, found);
    }
}

fn labels(view: &HostView<'_>, label: &dyn Fn(&Path) -> Option<String>, found: &mut Findings) {
    for copy in view.host.copies() {
        let dir = directory_of(copy);
        for path in [dir, copy] {
            let place = view.local_path(path);
            let Some(context) = label(&place) else {
                found.note(LABEL, format!("cannot read the SELinux label of {}", place.display()), "");
                continue;
            };
            if context.split(':').nth(2) == Some(DATA) {
                continue;
            }
            let mut fix = selinux_commands(dir);
            if let Some(mount) = view.mount(dir) {
                fix.push(format!(
                    "on a filesystem without labels (exFAT, NTFS, NFS): mount {} with context=system_u:object_r:{DATA}:s0",
                    mount.point.display()
                ));
            }
            found
                .add(
                    FindingLevel::Error,
                    LABEL,
                    format!("SELinux is enforcing, but {} has the label {context}", place.display()),
                    "SELinux confines mysqld to files of its own type, so mysqld cannot open the keyring.",
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
pub(super) fn check_labels(
    view: &HostView<'_>,
    label: &dyn Fn(&Path) -> Option<String>,
    found: &mut Findings,
) {
    labels(view, label, found);
}
