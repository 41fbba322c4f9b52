// SPDX-License-Identifier: GPL-2.0-or-later
//! Faults that are injected while a keyring is changed: power cuts, full and failing disks, pulled and hung volumes, kills.

pub mod disk;
pub mod eio;
pub mod full;
pub mod fuse;
pub mod hung;
pub mod kill;
pub mod mounts;
pub mod power;
pub mod power_cut;
pub mod rotation;
pub mod server;
