// SPDX-License-Identifier: GPL-2.0-or-later
//! The remotes file: which engines there are, and how to reach them (docs/REMOTES.md).

mod settings;
mod source;

pub use settings::{EtcdSettings, Kind, Remote, S3Settings, VaultLogin, VaultSettings};
pub use source::{Secret, Source};
