// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the files that mysqld loads: they exist, mysqld can read them, and nobody else can write to them.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use super::permission::{PASS, READ, may, may_write};
use crate::commands::site::Site;
use crate::host::needs::needs;
use crate::host::{Way, manifest_of};
use crate::show::Shown;
use keyring_external::config::file::{COMPONENT, file_in};
use keyring_external::store::file::own_directory::is_home;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&[
        "library",
        "manifest",
        "component-configuration",
        "closed-directory",
        "auto-create",
        "read-only",
    ]);
    library(view, found);
    closed_directories(view, found);
    if view.host.way == Way::Component {
        let mut manifests = vec![manifest_of(&view.host.mysqld)];
        if view.host.local_manifest {
            manifests.push(view.host.manifest());
        }
        for path in manifests {
            readable(view, &path, "manifest", "the manifest", found);
        }
        readable(
            view,
            &file_in(&view.host.plugin_dir),
            "component-configuration",
            "the component's configuration",
            found,
        );
    }
    if view.host.auto_create {
        found.add(
            FindingLevel::Warning,
            "auto-create",
            "auto_create is ON",
            "If the volume holds no keyring at startup, the server creates a new, empty one there, which cannot decrypt anything.",
            &[view.unset("auto_create")],
        );
    }
    if view.host.read_only {
        found.note(
            "read-only",
            "read_only is ON: the server can store no new key",
            "Creating the first encrypted table or rotating a master key fails.",
        );
    }
}

fn library(view: &HostView<'_>, found: &mut Findings) {
    let name = view.host.way.library();
    let path = view.host.plugin_dir.join(name);
    let place = view.local_path(&path);
    let Ok(meta) = fs::metadata(&place) else {
        found.error(
            "library",
            &path,
            format!("{} does not exist", place.shown()),
            "mysqld starts without a keyring, or not at all.",
            &[
                "install the package keyring-external".to_owned(),
                format!(
                    "or, in the source directory: make install PLUGIN_DIR={}",
                    view.word(&view.host.plugin_dir)
                ),
            ],
        );
        return;
    };
    if !may(&meta, view.site.account.as_ref(), READ) {
        found.error(
            "library",
            &path,
            format!("{} has no permission to read {}", view.site.user, place.shown()),
            "mysqld cannot load it.",
            &[format!("chmod 0644 {}", view.word(&path))],
        );
    }
    if meta.mode() & 0o022 != 0 || meta.uid() != 0 {
        found.warning(
            "library",
            &path,
            format!(
                "users other than root can change {} (owner {}, mode {:04o})",
                place.shown(),
                meta.uid(),
                meta.mode() & 0o7777
            ),
            "Anyone who changes it can run code in the server and read its keys.",
            &[format!("chown root:root {0} && chmod 0644 {0}", view.word(&path))],
        );
    }
    let other = match view.host.way {
        Way::Plugin => Way::Component,
        Way::Component => Way::Plugin,
    };
    let sibling = place.with_file_name(other.library());
    if fs::metadata(&sibling).is_ok_and(|s| (s.dev(), s.ino()) == (meta.dev(), meta.ino())) {
        found.warning(
            "library",
            &path,
            format!("{} and {} are the same file under two names", place.shown(), sibling.shown()),
            "A process that loads both, as a migration does, would use one state for two keyrings.",
            &[format!("rm {1} && cp {0} {1}", place.shown(), sibling.shown())],
        );
    }
}

/// Checks that mysqld can pass the directories above the files that it opens.
fn closed_directories(view: &HostView<'_>, found: &mut Findings) {
    let mut reported = Vec::new();
    for need in needs(&view.host).iter().filter(|n| n.owned || view.host.way == Way::Component) {
        let Some((dir, mode)) = closed_directory_above(view.site, &need.path) else { continue };
        if reported.contains(&dir) {
            continue;
        }
        found.error(
            "closed-directory",
            &need.path,
            format!(
                "{} has no permission to pass {} on the way to {} (mode {mode:04o})",
                view.site.user,
                dir.shown(),
                need.path.shown()
            ),
            &format!("mysqld cannot open {}.", need.what),
            &[if is_home(&view.site.seen(&dir)) {
                format!(
                    "{} is a home directory, so leave it as it is and move {} out of it",
                    dir.shown(),
                    need.path.shown()
                )
            } else {
                format!("chmod o+x {}", dir.shown())
            }],
        );
        reported.push(dir);
    }
}

/// Returns the first directory above a path that mysqld's user cannot pass, and its mode.
pub(in crate::commands) fn closed_directory_above(site: &Site, path: &Path) -> Option<(PathBuf, u32)> {
    let account = site.account.as_ref()?;
    let place = site.at(path);
    // Directories above `--root` do not count.
    let below = place.ancestors().skip(1).filter(|dir| dir.starts_with(&site.root));
    let closed = |dir: &&Path| fs::metadata(dir).is_ok_and(|m| m.is_dir() && !may(&m, Some(account), PASS));
    let dir = below.filter(closed).last()?;
    let mode = fs::metadata(dir).map_or(0, |m| m.mode() & 0o7777);
    (dir != site.root || !site.is_below()).then(|| (dir.to_owned(), mode))
}

/// Checks that mysqld can read a file and that no other user can change it.
fn readable(view: &HostView<'_>, path: &Path, check: &'static str, what: &str, found: &mut Findings) {
    let place = view.local_path(path);
    let Ok(meta) = fs::metadata(&place) else { return };
    let (shown, word) = (place.shown(), view.word(path));
    if !may(&meta, view.site.account.as_ref(), READ) {
        let group = format!("$(id -g {})", view.site.user);
        found.error(
            check,
            path,
            format!(
                "{} has no permission to read {what} {shown} (owner {}, mode {:04o})",
                view.site.user,
                meta.uid(),
                meta.mode() & 0o7777
            ),
            &format!("mysqld then starts without {COMPONENT}, and only writes a line to its error log."),
            &[format!("chown root:{} {word} && chmod 0640 {word}", group)],
        );
    }
    if check == "manifest"
        && view.site.account.as_ref().is_some_and(|a| a.uid != 0)
        && may_write(&meta, view.site.account.as_ref())
    {
        found.warning(
            check,
            path,
            format!("{} can change {what} {shown}", view.site.user),
            "Anyone who breaks into the server can make it load other code at its next start. mysqld warns about this.",
            &[format!("chown root:root {word} && chmod 0644 {word}")],
        );
        return;
    }
    let others = meta.mode() & 0o022 != 0;
    let mysqlds = view.site.account.as_ref().is_some_and(|a| a.uid == meta.uid());
    if others || (meta.uid() != 0 && !mysqlds) {
        found.error(
            check,
            path,
            format!(
                "other users can change {what} {shown} (owner {}, mode {:04o})",
                meta.uid(),
                meta.mode() & 0o7777
            ),
            "Anyone who changes it decides which code and which keyring the server loads.",
            &[format!("chown root {word} && chmod go-w {word}")],
        );
    }
}
