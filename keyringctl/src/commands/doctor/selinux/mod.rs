// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks whether SELinux lets mysqld use the files of its keyring, and the network for a program that prints the secret.

mod credential;
pub(super) mod examination;
mod labels;
mod network;
pub(super) mod policy;

pub(in crate::commands) use credential::likely_refused;

use super::finding::Findings;
use super::host_view::HostView;
use crate::commands::selinux::{Mode, mode};
use crate::host::selinux::{PROGRAM, type_of};
use crate::show::Shown;
use credential::CREDENTIAL;
use examination::Examination;
use labels::LABEL;
use network::BOOLEAN;
use policy::{DistributedPolicies, LoadedPolicy, Policy};
use std::path::Path;

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&[LABEL, BOOLEAN, CREDENTIAL]);
    let Some(mode) = mode(view.site, &view.sys) else { return };
    let selinuxfs = view.sys.join("fs/selinux");
    let loaded = LoadedPolicy { selinuxfs };
    let policy: &dyn Policy = if mode == Mode::Image { &DistributedPolicies } else { &loaded };
    examine(&Examination { view, mode, label: &label, policy }, found);
}

/// Runs all checks of SELinux.
pub(super) fn examine(examination: &Examination<'_>, found: &mut Findings) {
    let program = examination.view.local_path(&examination.view.host.mysqld);
    if let Some(context) = (examination.label)(&program).filter(|context| type_of(context) != Some(PROGRAM)) {
        found.note(
                LABEL,
                format!("{} has the label {context}, not {PROGRAM}", program.shown()),
                "systemd then starts mysqld without the restrictions that SELinux has for it, and no label was checked.",
            );
        return;
    }
    examination.labels(found);
    examination.passages(found);
    examination.booleans(found);
    examination.credential(found);
}

/// Reads the label of a file.
fn label(path: &Path) -> Option<String> {
    let mut value = [0_u8; 256];
    let len = rustix::fs::getxattr(path, "security.selinux", &mut value).ok()?;
    let text = String::from_utf8_lossy(value.get(..len)?).into_owned();
    Some(text.trim_end_matches('\0').to_owned())
}
