// SPDX-License-Identifier: GPL-2.0-or-later
//! The bodies of the fuzz targets: each takes any bytes, hands them to the code that parses them, and panics when that
//! code breaks a promise. `fuzz_targets/` calls them from libFuzzer; a test of the project calls them with the seeds.
//!
//! Almost everything that the project parses is authenticated, encrypted or checksummed, so that a plain mutation is
//! refused before it reaches any field. The bodies therefore take an input twice where that matters: as it is, and with
//! its checksums, MACs and encryption made good (`authentic`), as a faulty or malicious holder of the keys would.

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

pub use foreign::{component_keyring_file, keyring_file, percona};
pub use host::host;
pub use innodb::{binlog, redo, tablespace};
pub use keyring::{header, image, records};
pub use seeds::seeds;
pub use settings::{config, option_file};

/// A fuzz target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("image", image),
    ("header", header),
    ("records", records),
    ("keyring_file", keyring_file),
    ("component_keyring_file", component_keyring_file),
    ("percona", percona),
    ("tablespace", tablespace),
    ("redo", redo),
    ("binlog", binlog),
    ("config", config),
    ("option_file", option_file),
    ("host", host),
];
