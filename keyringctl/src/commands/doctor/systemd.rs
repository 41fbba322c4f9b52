// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the systemd unit: mysqld waits for the volumes, may write to them, and may lock memory for keys.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use super::steps::lines_in;
use crate::host::files::{MEMLOCK, drop_in, unit_path};
use crate::host::unit::{NETWORK_ONLINE, Unit};
use crate::show::Shown;
use keyring_external::store::file::volume::directory_of;
use std::fs;
use std::path::{Path, PathBuf};

/// Memory that a keyring locks besides its keys.
const BESIDE_KEYS: u64 = 512 << 10;
/// The default limit with kernels before 5.16 and systemd before 250.
const OLD_LIMIT: u64 = 64 << 10;

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&["systemd", "mounts-for", "after-network", "unit-closes-volume", "memlock"]);
    let running = running(view);
    match &view.site.unit {
        Some(unit) => {
            for (i, copy) in view.host.files() {
                let required = i == 0 || view.host.min_copies as usize > i;
                mounted_first(view, unit, copy, required, found);
                write_protected(view, unit, copy, found);
            }
            if view.host.uses_remotes() && !unit.waits_for_network() {
                after_network(view, found);
            }
            memory(view, unit.memlock(), running.as_deref(), found);
        }
        None => {
            found.note(
                "systemd",
                format!("the systemd unit {} does not exist", view.host.unit),
                "Make sure that mysqld is started only after the keyring's volumes are mounted and its remotes can be reached.",
            );
            memory(view, None, running.as_deref(), found);
        }
    }
}

fn mounted_first(view: &HostView<'_>, unit: &Unit, copy: &Path, required: bool, found: &mut Findings) {
    let Some(mount) = view.mount(directory_of(copy)).filter(|m| m.point != Path::new("/")) else { return };
    if unit.waits_for(&mount.point, required) {
        return;
    }
    let file = drop_in(&view.host.unit);
    found.warning(
        "mounts-for",
        copy,
        format!("{} does not wait for {}", view.host.unit, mount.point.shown()),
        "After a reboot, mysqld may start before the volume is mounted, and then has no keys or does not start.",
        &[
            format!("in {} (keyringctl setup writes it):", view.local_path(&file).shown()),
            "    [Unit]".to_owned(),
            format!("    RequiresMountsFor={}", unit_path(directory_of(copy))),
            "then run: systemctl daemon-reload".to_owned(),
        ],
    );
}

fn after_network(view: &HostView<'_>, found: &mut Findings) {
    let mut fix = lines_in(
        &view.local_path(&drop_in(&view.host.unit)),
        &["[Unit]", &format!("Wants={NETWORK_ONLINE}"), &format!("After={NETWORK_ONLINE}")],
    );
    fix.push("then run: systemctl daemon-reload".to_owned());
    found.add(
        FindingLevel::Warning,
        "after-network",
        format!("{} does not wait for the network", view.host.unit),
        "After a reboot, mysqld may start before the remote with a copy can be reached, and then has no keys or does not \
         start.",
        &fix,
    );
}

fn write_protected(view: &HostView<'_>, unit: &Unit, copy: &Path, found: &mut Findings) {
    let dir = directory_of(copy);
    if unit.blocks_writing(dir) {
        found.error(
            "unit-closes-volume",
            copy,
            format!("{} does not let mysqld write to {} (ProtectSystem=strict, ReadOnlyPaths or InaccessiblePaths)", view.host.unit, dir.shown()),
            "The server can store no new key there.",
            &open_in_unit(view, unit, dir),
        );
    }
}

/// Lines that let mysqld write to a directory.
fn open_in_unit(view: &HostView<'_>, unit: &Unit, dir: &Path) -> Vec<String> {
    let mut fix = Vec::new();
    if let Some(setting) = unit.closes(dir) {
        fix.push(format!("in {}, take {} out of {setting}", view.host.unit, dir.shown()));
    }
    let writable = format!("ReadWritePaths={}", unit_path(dir));
    fix.extend(lines_in(&view.local_path(&drop_in(&view.host.unit)), &["[Service]", &writable]));
    fix.push("then run: systemctl daemon-reload".to_owned());
    fix.push("then restart mysqld".to_owned());
    fix
}

/// Returns the kernel's limits of the running mysqld.
fn running(view: &HostView<'_>) -> Option<String> {
    if view.site.is_below() {
        return None;
    }
    let program = fs::canonicalize(&view.host.mysqld).ok()?;
    let processes = fs::read_dir(&view.proc).ok()?.flatten().map(|e| e.path());
    let of_mysqld = |process: &PathBuf| fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program);
    processes.filter(of_mysqld).find_map(|process| fs::read_to_string(process.join("limits")).ok())
}

/// Returns the soft limit of locked memory from the text of `/proc/PID/limits`; `Some(None)` if unlimited.
fn limit(text: &str) -> Option<Option<u64>> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(None) } else { soft.parse().ok().map(Some) }
}

fn memory(view: &HostView<'_>, of_unit: Option<Option<u64>>, running: Option<&str>, found: &mut Findings) {
    let sizes =
        view.host.files().filter_map(|(_, copy)| fs::metadata(view.local_path(copy)).ok()).map(|m| m.len());
    // Keys fill at least half of each chunk, and there are two sets while a keyring is replaced.
    let needed = sizes.max().unwrap_or(0).saturating_mul(4).saturating_add(BESIDE_KEYS);
    let (limit, whose) = match (running.and_then(limit), of_unit) {
        (Some(limit), _) => (limit, "the running mysqld"),
        (None, Some(limit)) => (limit, view.host.unit.as_str()),
        // The system's default applies, which is enough on most current systems.
        (None, None) => return unset(view, needed, found),
    };
    if limit.is_some_and(|limit| limit < needed) {
        let limit = limit.unwrap_or_default();
        let what = format!(
            "{whose} may lock {} KiB of memory, but this keyring needs up to {} KiB",
            limit >> 10,
            needed >> 10
        );
        memlock_warning(view, what, found);
    }
}

fn unset(view: &HostView<'_>, needed: u64, found: &mut Findings) {
    if view.site.unit.is_some() && needed > OLD_LIMIT {
        memlock_warning(
            view,
            format!("{} does not set how much memory mysqld may lock (LimitMEMLOCK)", view.host.unit),
            found,
        );
    }
}

fn memlock_warning(view: &HostView<'_>, what: String, found: &mut Findings) {
    found.add(
        FindingLevel::Warning,
        "memlock",
        what,
        "Keys that cannot be locked in memory may be written to swap. Older systems allow 64 KiB.",
        &[
            format!(
                "in {} (keyringctl setup writes it):",
                view.local_path(&drop_in(&view.host.unit)).shown()
            ),
            "    [Service]".to_owned(),
            format!("    LimitMEMLOCK={MEMLOCK}"),
            "then run: systemctl daemon-reload".to_owned(),
            "then restart mysqld".to_owned(),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_process_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max locked memory         65536                8388608              bytes\n";
        assert_eq!(limit(text), Some(Some(65536)));
        assert_eq!(limit(&text.replace("65536    ", "unlimited")), Some(None));
        assert_eq!(limit(""), None);
    }
}
