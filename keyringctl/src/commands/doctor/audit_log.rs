// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks where the audit log is: mysqld can write it, and other users cannot.

use super::finding::Findings;
use super::host_view::HostView;
use super::permission::may_write;
use crate::show::Shown;
use keyring_external::store::file::volume::directory_of;
use std::fs;
use std::os::unix::fs::MetadataExt;

const CHECK: &str = "audit-log";
const MEANING: &str =
    "The server works without the log and counts lost lines: Keyring_external_audit_failures.";

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    let Some(log) = &view.host.audit.path else { return };
    found.run_checks(&[CHECK]);
    let (dir, user) = (directory_of(log), &view.site.user);
    let (place, folder) = (view.local_path(log), view.local_path(dir));
    let Ok(meta) = fs::metadata(&folder) else {
        let fix = format!("install -d -o {user} -m 0750 {}", view.word(dir));
        found.warning(
            CHECK,
            log,
            format!("the directory of the audit log {} does not exist", place.shown()),
            MEANING,
            &[fix],
        );
        return;
    };
    let account = view.site.account.as_ref();
    match fs::symlink_metadata(&place) {
        Ok(file) if !file.is_file() => {
            let fix = format!("mv {0} {0}.other", view.word(log));
            found.warning(
                CHECK,
                log,
                format!("the audit log {} is not a regular file", place.shown()),
                MEANING,
                &[fix],
            );
        }
        Ok(file) if !may_write(&file, account) => {
            let fix = format!("chown {user}: {0} && chmod 0640 {0}", view.word(log));
            let what = format!("{user} has no permission to write the audit log {}", place.shown());
            found.warning(CHECK, log, what, MEANING, &[fix]);
        }
        Ok(file) if file.mode() & 0o022 != 0 => {
            let fix = format!("chmod go-w {}", view.word(log));
            let what = format!("other users can change the audit log {}", place.shown());
            found.warning(
                CHECK,
                log,
                what,
                "They can remove lines that no change of the keyring has noted yet.",
                &[fix],
            );
        }
        Ok(_) => {}
        // The next line, or the first one after a rotation, creates it.
        Err(_) if !may_write(&meta, account) => {
            let fix = format!("chown {user}: {}", view.word(dir));
            let what = format!("{user} has no permission to create the audit log {}", place.shown());
            found.warning(CHECK, log, what, MEANING, &[fix]);
        }
        Err(_) => {}
    }
}
