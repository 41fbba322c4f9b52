// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies at a remote: an S3 bucket, a Vault or OpenBao KV mount, or an etcd cluster. A copy is one *head*, which is
//! replaced only if it still is what was read, and *pieces*, which never change. The engine sees sealed bytes only.

pub(crate) mod by_name;
mod cleanup;
pub mod etcd;
pub mod examine;
mod folder;
pub mod head;
pub mod http;
mod locked;
pub mod objects;
pub mod open;
pub mod probe;
pub mod remotes;
mod replace;
pub mod replica;
pub mod s3;
pub mod set_aside;
mod stamp;
mod vacancy;
pub mod vault;
