// SPDX-License-Identifier: GPL-2.0-or-later
//! Opens the library as mysqld opens a plugin and a component.

#[path = "hosts/component.rs"]
mod component;
#[path = "hosts/dir.rs"]
mod dir;
#[path = "hosts/plugin.rs"]
mod plugin;
#[path = "hosts/status.rs"]
pub mod status;

pub use component::Component;
pub use dir::Dir;
pub use plugin::Plugin;
