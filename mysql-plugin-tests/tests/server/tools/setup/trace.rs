// SPDX-License-Identifier: GPL-2.0-or-later
//! Which files a traced program opened, and how: the output of `strace -f -y`.

use keyringctl::host::needs::Need;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A file that was opened, renamed, removed or locked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Opened {
    pub path: PathBuf,
    /// AppArmor's letters.
    pub access: &'static str,
}

impl Opened {
    /// Whether it is there for the keyring.
    pub fn is_the_keyrings(&self) -> bool {
        let path = self.path.to_string_lossy();
        // The server's own tables about keyrings are none.
        let tables = path.ends_with(".sdi") || path.ends_with(".ibd");
        !tables
            && (path.contains("keyring_external") || path.starts_with("/mnt/") || path.ends_with("mysqld.my"))
    }

    /// What a profile must grant for it.
    pub fn need(&self) -> Need {
        let owned = self.path.starts_with("/mnt")
            || self.path.starts_with("/var")
            || self.path.ends_with("keyring_external.secret");
        Need { path: self.path.clone(), access: self.access, what: "seen by strace", owned }
    }
}

/// All that was done with success to absolute paths.
pub fn opened(trace: &str) -> BTreeSet<Opened> {
    let mut all = BTreeSet::new();
    let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
    for line in trace.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(begin) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, begin);
        } else if let Some(rest) = call.strip_prefix("<... ").and_then(|c| c.split_once("resumed>")) {
            let begin = unfinished.remove(pid).unwrap_or_default();
            take(&format!("{begin}{}", rest.1), &mut all);
        } else {
            take(call, &mut all);
        }
    }
    all
}

fn take(call: &str, all: &mut BTreeSet<Opened>) {
    let Some((name, args)) = call.split_once('(') else { return };
    let Some((args, result)) = args.rsplit_once(" = ") else { return };
    if result.starts_with('-') {
        return;
    }
    let paths: Vec<&str> = args.split('"').skip(1).step_by(2).collect();
    let mut add = |path: &str, access| {
        let path = Path::new(path);
        if path.is_absolute() {
            all.insert(Opened { path: path.to_owned(), access });
        }
    };
    match (name, paths.as_slice()) {
        ("open" | "openat" | "creat", [path, ..]) => {
            let flag = |f| args.rsplit('"').next().unwrap_or_default().contains(f);
            let access = if path.ends_with(".so") {
                "mr"
            } else if flag("O_RDWR") {
                "rw"
            } else if flag("O_WRONLY") || name == "creat" {
                "w"
            } else {
                "r"
            };
            // The kernel names a directory with a slash at its end.
            let is_directory = flag("O_DIRECTORY") || is_directory(path);
            add(&if is_directory { format!("{path}/") } else { (*path).to_owned() }, access);
        }
        ("unlink" | "unlinkat", [path, ..]) => add(path, "w"),
        ("rename" | "renameat" | "renameat2", [from, to, ..]) => {
            add(from, "rw");
            add(to, "w");
        }
        // Its file is named by -y: flock(5</path>, LOCK_EX).
        ("flock", _) => {
            if let Some((path, _)) = args.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
                add(path, "k");
            }
        }
        _ => {}
    }
}

/// The keyring's directories are opened to be synced, without a flag that says so.
fn is_directory(path: &str) -> bool {
    path.starts_with("/mnt/") && path.ends_with("/keys")
}
