// SPDX-License-Identifier: GPL-2.0-or-later
//! The files in packaging/container, in a chroot with the layout of MySQL's official image: what they say is read from
//! them, and what the image's entrypoint and the kubelet do with it is done.

mod compose;
mod dockerfile;
mod image;
mod kubernetes;
mod patient;

pub use compose::{component, plugin};
pub use image::why_not;
pub use kubernetes::stateful_set;
