// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_generator`: generates keys of random bytes.

use super::arguments::{key_type, name};
use super::failure::logging;
use crate::abi::guard::guard;
use crate::abi::instance;
use crate::abi::pointers::Shared;
use crate::abi::sys::kx_keyring_generator;
use std::ffi::{c_char, c_int};

pub(super) static SERVICE: Shared<kx_keyring_generator> =
    Shared::new(kx_keyring_generator { generate: Some(generate) });

unsafe extern "C" fn generate(
    data_id: *const c_char,
    auth_id: *const c_char,
    type_: *const c_char,
    size: usize,
) -> c_int {
    guard(|| {
        logging("generating", || {
            // SAFETY: the server passes NULL or C strings.
            let (name, key_type) = unsafe { (name(data_id, auth_id)?, key_type(type_)?) };
            instance::settle_and_change(|keyring| keyring.generate(name, &key_type, size))
        })
    })
}
