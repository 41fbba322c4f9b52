// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests stand on: servers, volumes and keyrings in temporary directories.

mod agree;
mod chance;
pub mod component;
pub mod engines;
pub mod exporter;
mod faults;
mod feature;
mod forwarder;
pub mod fuse;
mod host;
mod keyring;
mod kind;
mod last_steps;
mod network;
mod place;
mod power;
mod process;
mod programs;
mod remote;
mod search;
mod server;
mod site;
mod volume;
pub mod worker;

pub use agree::{Asked, agree, agree_with};
pub use chance::{as_test, moment, rng};
pub use feature::{Feature, needs, program, skipped};
pub use forwarder::{Forwarder, Passing};
pub use host::Host;
pub use keyring::Keyring;
pub use kind::Kind;
pub use last_steps::{host_that_persists, last_steps};
pub use network::{Dropping, Network};
pub use place::{place, set_up};
pub use programs::{run, signal, told, wait_until};
pub use remote::{Hang, Remote};
pub use search::{Snapshot, files_with, found_in, hex_forms};
pub use server::Server;
pub use site::{Running, Site, Which, site_directory};
pub use volume::Volume;

/// The statement that makes a new master key and seals every tablespace key with it.
pub const ROTATE: &str = "ALTER INSTANCE ROTATE INNODB MASTER KEY";

/// Whether this is the long run (make test-faults), and how many times a fault is injected in it or else.
pub fn times(normal: usize, long: usize) -> usize {
    if std::env::var_os("KX_LONG").is_some_and(|v| v == "1") { long } else { normal }
}
