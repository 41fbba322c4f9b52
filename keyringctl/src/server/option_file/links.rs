// SPDX-License-Identifier: GPL-2.0-or-later
//! Follows links in an image below a directory: an absolute link there means a path in the image.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The most links on the way to a file, as in the kernel.
const LINKS: usize = 40;

/// Follows the links in `path`, which is below `root`, as they would be followed if `root` were the root directory. Returns
/// `path` itself if `root` is that, or if `path` is not below `root` or has too many links.
pub fn below_root(root: &Path, path: &Path) -> PathBuf {
    if root == Path::new("/") {
        return path.to_owned();
    }
    follow(root, path, |_| {}).unwrap_or_else(|| path.to_owned())
}

/// Returns the directories that are passed on the way to a path, through its links too, without `root` itself.
pub fn directories_to(root: &Path, path: &Path) -> Vec<PathBuf> {
    let mut passed = Vec::new();
    let _ = follow(root, path, |dir| {
        if dir != root && !passed.iter().any(|known| known == dir) {
            passed.push(dir.to_owned());
        }
    });
    passed
}

/// Follows links, and tells the directories in which it looks names up.
fn follow(root: &Path, path: &Path, mut pass: impl FnMut(&Path)) -> Option<PathBuf> {
    let mut real = root.to_owned();
    // The names that are still to come, the last one first.
    let mut open: Vec<OsString> = names(path.strip_prefix(root).ok()?);
    let mut links = 0;
    while let Some(name) = open.pop() {
        pass(&real);
        if name == ".." {
            if real != root {
                real.pop();
            }
            continue;
        }
        let Ok(target) = fs::read_link(real.join(&name)) else {
            real.push(name);
            continue;
        };
        links += 1;
        if links > LINKS {
            return None;
        }
        if target.is_absolute() {
            real = root.to_owned();
        }
        open.extend(names(&target));
    }
    Some(real)
}

/// The names in a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir));
    let mut names: Vec<_> = names.map(|c| c.as_os_str().to_owned()).collect();
    names.reverse();
    names
}
