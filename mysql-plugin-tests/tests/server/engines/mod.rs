// SPDX-License-Identifier: GPL-2.0-or-later
//! Keyrings at a remote, on real engines.

use mysql_plugin_tests::rig::{Site, Which};

pub mod copies;
pub mod endurance;
pub mod lifecycle;
pub mod network;
pub mod partitions;
pub mod storing;
pub mod troubles;

/// What is asked of each engine, of one that is started once.
pub fn in_use(which: Which) {
    let mut site = Site::of(which);
    copies::one_copy(&mut site, "db1");
    if which == Which::Etcd {
        lifecycle::daemonized(&site, "db4");
    }
    if which != Which::SeaweedFs {
        lifecycle::credentials_end(&site, "db5");
    }
    // Of etcd, one with a quota is asked, which the other tests would use up.
    if which != Which::Etcd {
        troubles::full_or_sealed(&site, "db2", which);
    }
    endurance::endure(&mut site, "db3", which);
}

/// An etcd that soon refuses what takes room.
pub fn full() {
    troubles::full_or_sealed(&Site::small(Which::Etcd), "db1", Which::Etcd);
}
