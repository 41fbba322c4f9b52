// SPDX-License-Identifier: GPL-2.0-or-later
//! How the component calls itself.

use std::ffi::CStr;

/// The component's name, and the name of its implementation of every service.
pub(super) const NAME: &CStr = c"component_keyring_external";
pub(super) const AUTHOR: &CStr = c"The keyring_external developers";
pub(super) const LICENSE: &CStr = c"GPL";
