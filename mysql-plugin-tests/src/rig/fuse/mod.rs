// SPDX-License-Identifier: GPL-2.0-or-later
//! A volume that a filesystem of these tests serves through the kernel (FUSE): it fails at any request
//! that a test names, and it loses its power and with that what was not synced, or a part of that.

mod life;
mod locks;
mod serve;
mod volume;

pub use life::{Life, Start};
pub use volume::{EIO, Fuse};
