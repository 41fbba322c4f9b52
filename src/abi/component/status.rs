// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_component_status`: whether the keyring can be used.

use crate::abi::guard::guard_yes_no;
use crate::abi::instance;
use crate::abi::pointers::Shared;
use crate::abi::sys::kx_keyring_component_status;
use std::ffi::c_int;

pub(super) static SERVICE: Shared<kx_keyring_component_status> =
    Shared::new(kx_keyring_component_status { keyring_initialized: Some(keyring_initialized) });

/// 1 if it can.
unsafe extern "C" fn keyring_initialized() -> c_int {
    guard_yes_no(|| instance::get().is_some())
}
