// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyring_component_metadata_query`: lists the rows of `performance_schema.keyring_component_status`. They exist even
//! if no keyring is open, and hold no secret.

use super::cursor::Cursor;
use super::identity::{AUTHOR, LICENSE, NAME};
use super::load;
use crate::abi::guard::{Failed, guard, guard_yes_no};
use crate::abi::handles::Handles;
use crate::abi::instance;
use crate::abi::pointers::{Shared, put_c_bytes};
use crate::abi::sys::kx_keyring_component_metadata_query;
use crate::keyring::KeyringState;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

/// Longest value in bytes that the table's column can hold.
const MAX_VALUE: usize = 1023;

pub(super) static SERVICE: Shared<kx_keyring_component_metadata_query> =
    Shared::new(kx_keyring_component_metadata_query {
        init: Some(init),
        deinit: Some(deinit),
        is_valid: Some(is_valid),
        next: Some(next),
        get_length: Some(get_length),
        get: Some(get),
    });

type Row = (&'static str, String);

static QUERIES: Handles<Cursor<Row>> = Handles::new(0x4d00_0000_0000);

fn rows() -> Vec<Row> {
    let text = |text: &CStr| text.to_string_lossy().into_owned();
    let status = instance::status();
    let load::LastLoad { config } = load::last_load().unwrap_or_default();
    let shown = |path: &std::path::Path| path.display().to_string();
    let of = |value: Option<String>| value.unwrap_or_default();
    let rows = vec![
        ("Component_name", text(NAME)),
        ("Author", text(AUTHOR)),
        ("License", text(LICENSE)),
        ("Implementation_name", text(NAME)),
        ("Version", env!("CARGO_PKG_VERSION").to_owned()),
        ("Component_status", if status.is_some() { "Active" } else { "Disabled" }.to_owned()),
        ("Data_file", of(config.as_ref().map(|c| shown(&c.path)))),
        ("Read_only", of(config.as_ref().map(|c| if c.read_only { "Yes" } else { "No" }.to_owned()))),
        (
            "Mirrors",
            of(config.as_ref().map(|c| c.mirrors.iter().map(|p| shown(p)).collect::<Vec<_>>().join(":"))),
        ),
        ("State", status.as_ref().map_or(KeyringState::Unavailable, |s| s.state).to_string()),
        ("Keyring_id", of(status.as_ref().map(|s| s.id.to_string()))),
        ("Generation", of(status.as_ref().map(|s| s.generation.to_string()))),
        ("Keys", of(status.as_ref().map(|s| s.keys.to_string()))),
        ("Copies", of(status.as_ref().map(|s| format!("{}/{}", s.copies.0, s.copies.1)))),
        ("Last_error", instance::last_error(status.as_ref())),
    ];
    rows.into_iter().map(|(key, value)| (key, presentable(value))).collect()
}

/// The value without NUL, and no longer than [`MAX_VALUE`].
fn presentable(value: String) -> String {
    let mut value = value.replace('\0', " ");
    let mut len = value.len().min(MAX_VALUE);
    while !value.is_char_boundary(len) {
        len -= 1;
    }
    value.truncate(len);
    value
}

unsafe extern "C" fn init(iterator: *mut *mut c_void) -> c_int {
    guard(|| {
        if iterator.is_null() {
            return Err(Failed);
        }
        // SAFETY: not NULL, so it is the caller's variable.
        unsafe { *iterator = null_mut() };
        let handle = QUERIES.open(Cursor::new(rows()));
        // SAFETY: as above.
        unsafe { *iterator = handle };
        Ok(())
    })
}

unsafe extern "C" fn deinit(iterator: *mut c_void) -> c_int {
    guard(|| {
        QUERIES.close(iterator);
        Ok(())
    })
}

/// 1 if it is at a row.
unsafe extern "C" fn is_valid(iterator: *mut c_void) -> c_int {
    guard_yes_no(|| QUERIES.with(iterator, |rows| rows.current().is_some()) == Some(true))
}

unsafe extern "C" fn next(iterator: *mut c_void) -> c_int {
    guard(|| QUERIES.with(iterator, Cursor::step).flatten().ok_or(Failed))
}

fn current(iterator: *mut c_void) -> Result<Row, Failed> {
    QUERIES.with(iterator, |rows| rows.current().cloned()).flatten().ok_or(Failed)
}

/// The lengths include the terminators.
unsafe extern "C" fn get_length(
    iterator: *mut c_void,
    key_size: *mut usize,
    value_size: *mut usize,
) -> c_int {
    guard(|| {
        let (key, value) = current(iterator)?;
        if key_size.is_null() || value_size.is_null() {
            return Err(Failed);
        }
        // SAFETY: not NULL, so they are the caller's variables.
        unsafe {
            *key_size = key.len() + 1;
            *value_size = value.len() + 1;
        }
        Ok(())
    })
}

unsafe extern "C" fn get(
    iterator: *mut c_void,
    key: *mut c_char,
    key_room: usize,
    value: *mut c_char,
    value_room: usize,
) -> c_int {
    guard(|| {
        let (name, text) = current(iterator)?;
        if key.is_null() || value.is_null() || name.len() >= key_room || text.len() >= value_room {
            return Err(Failed);
        }
        // SAFETY: the caller's buffers, whose room was compared.
        unsafe {
            put_c_bytes(key, name.as_bytes());
            put_c_bytes(value, text.as_bytes());
        }
        Ok(())
    })
}
