// SPDX-License-Identifier: GPL-2.0-or-later
//! The bodies of the fuzz targets. Each hands arbitrary bytes to the code that parses them, and panics if that code
//! breaks a promise. libFuzzer calls them from `fuzz_targets/`; a test of keyringctl calls them with the seeds.
//!
//! Almost everything that the project parses is authenticated, encrypted or checksummed, so the code would refuse a
//! plain mutation before it reads any field. A body therefore tries its input as it is, and once more with repaired
//! checksums, MACs and encryption (`authentic`), as a malicious holder of the keys would write it.

mod archive;
mod authentic;
mod foreign;
mod host;
mod innodb;
mod keyring;
mod seeds;
mod settings;
#[path = "../../tests/vectors/text.rs"]
#[allow(dead_code)]
mod vectors;

pub use archive::archive;
pub use foreign::{component_keyring_file, keyring_file, percona};
pub use host::host;
pub use innodb::{binlog, redo, tablespace};
pub use keyring::{head, header, image, records};
pub use seeds::seeds;
pub use settings::{config, option_file};

/// A fuzz target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All fuzz targets.
pub const TARGETS: &[Target] = &[
    ("image", image),
    ("header", header),
    ("records", records),
    ("head", head),
    ("keyring_file", keyring_file),
    ("component_keyring_file", component_keyring_file),
    ("percona", percona),
    ("tablespace", tablespace),
    ("redo", redo),
    ("binlog", binlog),
    ("archive", archive),
    ("config", config),
    ("option_file", option_file),
    ("host", host),
];
