// SPDX-License-Identifier: GPL-2.0-or-later
//! The Dockerfile: which files a stage of it copies, and where to.

use mysql_plugin_tests::rig::place;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of files for containers in this checkout.
pub(super) fn folder() -> PathBuf {
    checkout().join("packaging/container")
}

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file that a stage gets.
#[derive(Debug)]
pub(super) struct Copied {
    /// Where it is on this machine.
    pub source: PathBuf,
    /// Its path in the image.
    pub target: String,
    pub mode: u32,
}

/// What the stage `name` copies. Its base image must be the one that `from` begins with.
pub(super) fn stage(name: &str, from: &str) -> Vec<Copied> {
    let text = fs::read_to_string(folder().join("Dockerfile")).unwrap();
    let head = format!(" AS {name}");
    let mut lines = text.lines().skip_while(|line| !(line.starts_with("FROM ") && line.ends_with(&head)));
    let first = lines.next().unwrap_or_else(|| panic!("the Dockerfile has no stage {name}"));
    assert!(first.starts_with(&format!("FROM {from}")), "{first}");
    let lines = lines.take_while(|line| !line.starts_with("FROM "));
    lines.filter_map(|line| line.strip_prefix("COPY ")).flat_map(copies).collect()
}

/// What a COPY instruction copies.
fn copies(arguments: &str) -> Vec<Copied> {
    let (options, mut paths): (Vec<_>, Vec<_>) =
        arguments.split_whitespace().partition(|word| word.starts_with("--"));
    let option =
        |name| options.iter().find_map(|o| o.strip_prefix("--")?.strip_prefix(name)?.strip_prefix('='));
    let mode = option("chmod").map(|m| u32::from_str_radix(m, 8).unwrap());
    let mode = mode.unwrap_or_else(|| panic!("the mode would be that of the checkout: COPY {arguments}"));
    let to = paths.pop().unwrap();
    let copied = |path: &&str| {
        let name = path.rsplit('/').next().unwrap();
        let source = match option("from") {
            // What the package holds.
            Some(stage) => {
                assert_eq!(stage, "build");
                if name == "keyringctl" { place().keyringctl.clone() } else { place().plugins.join(name) }
            }
            None => checkout().join(path),
        };
        assert!(source.is_file(), "COPY {arguments}: {} is not there", source.display());
        let target = if to.ends_with('/') { format!("{to}{name}") } else { to.to_owned() };
        Copied { source, target, mode }
    };
    paths.iter().map(copied).collect()
}
