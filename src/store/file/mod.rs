// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies that are files on volumes.

pub mod fs;
pub(crate) mod locked;
mod named;
pub mod own_directory;
pub mod real;
pub(crate) mod replica;
pub mod vacancy;
pub mod volume;
