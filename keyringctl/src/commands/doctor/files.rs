// SPDX-License-Identifier: GPL-2.0-or-later
//! The files that mysqld loads: that they are there, and that it can read them and nobody else write them.

use super::finding::{Findings, Level};
use super::look::Look;
use crate::commands::site::Site;
use crate::host::accounts::Account;
use crate::host::needs::needs;
use crate::host::{Way, manifest_of};
use keyring_external::config::file::{COMPONENT, file_in};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const READ: u32 = 0o4;
const WRITE: u32 = 0o2;
const PASS: u32 = 0o1;

pub(super) fn check(look: &Look<'_>, found: &mut Findings) {
    found.checks(&[
        "library",
        "manifest",
        "component-configuration",
        "closed-directory",
        "auto-create",
        "read-only",
    ]);
    library(look, found);
    passages(look, found);
    if look.host.way == Way::Component {
        let mut manifests = vec![manifest_of(&look.host.mysqld)];
        if look.host.local_manifest {
            manifests.push(look.host.manifest());
        }
        for path in manifests {
            readable(look, &path, "manifest", "the manifest", found);
        }
        readable(
            look,
            &file_in(&look.host.plugin_dir),
            "component-configuration",
            "the component's configuration",
            found,
        );
    }
    if look.auto_create {
        found.add(
            Level::Risk,
            "auto-create",
            "auto_create is ON",
            "When the volume holds no keyring at start, a new, empty one is made there, which opens nothing that is encrypted.",
            &["take auto_create out of the configuration: it is for tests and containers".to_owned()],
        );
    }
    if look.read_only {
        found.note(
            "read-only",
            "read_only is ON: no key can be made",
            "The first encrypted table, a rotation, a new binary log fail.",
        );
    }
}

fn library(look: &Look<'_>, found: &mut Findings) {
    let name = look.host.way.library();
    let path = look.host.plugin_dir.join(name);
    let place = look.at_root(&path);
    let Ok(meta) = fs::metadata(&place) else {
        found.wrong(
            "library",
            &path,
            format!("there is no {}", place.display()),
            "mysqld starts without a keyring, or not at all.",
            &[format!(
                "make install PLUGIN_DIR={}, or the package keyring-external",
                look.host.plugin_dir.display()
            )],
        );
        return;
    };
    if !may(&meta, look.site.account.as_ref(), READ) {
        found.wrong(
            "library",
            &path,
            format!("{} cannot be read by {}", place.display(), look.site.user),
            "mysqld does not load it.",
            &[format!("chmod 0644 {}", place.display())],
        );
    }
    if meta.mode() & 0o022 != 0 || meta.uid() != 0 {
        found.risk(
            "library",
            &path,
            format!(
                "{} can be changed by others than root (owner {}, mode {:04o})",
                place.display(),
                meta.uid(),
                meta.mode() & 0o7777
            ),
            "Whoever changes it runs code in the server and has its keys.",
            &[format!("chown root:root {0} && chmod 0644 {0}", place.display())],
        );
    }
    let other = match look.host.way {
        Way::Plugin => Way::Component,
        Way::Component => Way::Plugin,
    };
    let sibling = place.with_file_name(other.library());
    if fs::metadata(&sibling).is_ok_and(|s| (s.dev(), s.ino()) == (meta.dev(), meta.ino())) {
        found.risk(
            "library",
            &path,
            format!("{} and {} are one file by two names", place.display(), sibling.display()),
            "A process that loads both, as a migration does, would have one state for two keyrings.",
            &[format!("rm {1} && cp {0} {1}", place.display(), sibling.display())],
        );
    }
}

/// mysqld gets to all that it opens.
fn passages(look: &Look<'_>, found: &mut Findings) {
    let mut told = Vec::new();
    for need in needs(&look.host).iter().filter(|n| n.owned || look.host.way == Way::Component) {
        let Some((dir, mode)) = closed_on_the_way(look.site, &need.path) else { continue };
        if told.contains(&dir) {
            continue;
        }
        found.wrong(
            "closed-directory",
            &need.path,
            format!(
                "{} lets {} not through to {} (mode {mode:04o})",
                dir.display(),
                look.site.user,
                need.path.display()
            ),
            &format!("mysqld cannot open {}.", need.what),
            &[format!("chmod o+x {0}; or chown {1}: {0}", dir.display(), look.site.user)],
        );
        told.push(dir);
    }
}

/// The first directory on the way to a path that mysqld's user cannot pass, and its mode.
pub(in crate::commands) fn closed_on_the_way(site: &Site, path: &Path) -> Option<(PathBuf, u32)> {
    let account = site.account.as_ref()?;
    let place = site.at(path);
    // What is above the root is nobody's way there.
    let below = place.ancestors().skip(1).filter(|dir| dir.starts_with(&site.root));
    let closed = |dir: &&Path| fs::metadata(dir).is_ok_and(|m| m.is_dir() && !may(&m, Some(account), PASS));
    let dir = below.filter(closed).last()?;
    let mode = fs::metadata(dir).map_or(0, |m| m.mode() & 0o7777);
    (dir != site.root || !site.is_below()).then(|| (dir.to_owned(), mode))
}

fn readable(look: &Look<'_>, path: &Path, check: &'static str, what: &str, found: &mut Findings) {
    let place = look.at_root(path);
    let Ok(meta) = fs::metadata(&place) else { return };
    let shown = place.display();
    if !may(&meta, look.site.account.as_ref(), READ) {
        found.wrong(
            check,
            path,
            format!(
                "{what} {shown} cannot be read by {} (owner {}, mode {:04o})",
                look.site.user,
                meta.uid(),
                meta.mode() & 0o7777
            ),
            &format!("mysqld then starts without {COMPONENT}, and says nothing but a line in its log."),
            &[format!("chown root:{} {shown} && chmod 0640 {shown}", look.site.user)],
        );
    }
    if check == "manifest"
        && look.site.account.as_ref().is_some_and(|a| a.uid != 0)
        && may_write(&meta, look.site.account.as_ref())
    {
        found.risk(
            check,
            path,
            format!("{what} {shown} can be changed by {}", look.site.user),
            "Whoever gets into the server can have it load other code at its next start. mysqld warns of it.",
            &[format!("chown root:root {shown} && chmod 0644 {shown}")],
        );
        return;
    }
    let others = meta.mode() & 0o022 != 0;
    let mysqlds = look.site.account.as_ref().is_some_and(|a| a.uid == meta.uid());
    if others || (meta.uid() != 0 && !mysqlds) {
        found.wrong(
            check,
            path,
            format!(
                "{what} {shown} can be changed by others (owner {}, mode {:04o})",
                meta.uid(),
                meta.mode() & 0o7777
            ),
            "Whoever changes it says which code and which keyring the server loads.",
            &[format!("chown root {shown} && chmod go-w {shown}")],
        );
    }
}

/// Whether an account may do that with a file; root may.
pub(super) fn may(meta: &Metadata, account: Option<&Account>, access: u32) -> bool {
    let Some(account) = account else { return true };
    let mode = meta.mode();
    let bits = if account.uid == 0 {
        return true;
    } else if meta.uid() == account.uid {
        mode >> 6
    } else if meta.gid() == account.gid {
        mode >> 3
    } else {
        mode
    };
    bits & access == access
}

/// Whether an account may write there.
pub(super) fn may_write(meta: &Metadata, account: Option<&Account>) -> bool {
    may(meta, account, WRITE)
}
