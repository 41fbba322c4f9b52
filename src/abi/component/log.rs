// SPDX-License-Identifier: GPL-2.0-or-later
//! The component's lines in the server's error log.
//!
//! `mysql_simple_error_log` is acquired for each line and released after it: minimal hosts of a keyring
//! (`mysql_migrate_keyring`) do not have it, and nothing may be held when the component is unloaded. Without it, lines go
//! to standard error, which the server sends to its error log too. So do the lines of the library's own threads and of
//! status variables: 8.0 and 8.4 call deinit with the registry locked, and deinit waits for both to end.

use super::identity::NAME;
use super::registry;
use crate::abi::level::Level;
use crate::abi::sys::{
    KX_MESSAGE_INITIALIZED, KX_MESSAGE_NOT_AES, KX_MESSAGE_NOT_FOUND, KX_MESSAGE_TEXT, KX_SEVERITY_ERROR,
    KX_SEVERITY_NOTE, KX_SEVERITY_WARNING, kx_simple_error_log,
};
use crate::key::NameRef;
use std::ffi::{CString, c_char, c_int};
use std::io::Write;

/// Writes a line, if this library was loaded as a component. Returns whether it was.
pub(in crate::abi) fn text(level: Level, message: &str) -> bool {
    if !registry::is_started() {
        return false;
    }
    let text = c_string(message.as_bytes());
    if !emit(level, KX_MESSAGE_TEXT, &text, None) {
        to_stderr(level, KX_MESSAGE_TEXT, message);
    }
    true
}

/// Says that the keyring was loaded, with a message number of the server's own, which tools look for.
pub(super) fn initialized() {
    if !emit(Level::Note, KX_MESSAGE_INITIALIZED, &CString::default(), None) {
        to_stderr(Level::Note, KX_MESSAGE_INITIALIZED, "the keyring was loaded");
    }
}

/// Says that `keyring_aes` was asked to use a key that does not exist.
pub(super) fn not_found(name: &NameRef<'_>) {
    let (id, user) = (c_string(name.id()), c_string(name.user()));
    if !emit(Level::Note, KX_MESSAGE_NOT_FOUND, &id, Some(&user)) {
        to_stderr(Level::Note, KX_MESSAGE_NOT_FOUND, &format!("key {name} does not exist"));
    }
}

/// Says that `keyring_aes` was asked to use a key of another type.
pub(super) fn not_aes(name: &NameRef<'_>) {
    let (id, user) = (c_string(name.id()), c_string(name.user()));
    if !emit(Level::Note, KX_MESSAGE_NOT_AES, &id, Some(&user)) {
        to_stderr(Level::Note, KX_MESSAGE_NOT_AES, &format!("key {name} is not an AES key"));
    }
}

/// Writes the server's message of that number, which takes these strings. Returns whether it could.
fn emit(level: Level, number: u32, first: &CString, second: Option<&CString>) -> bool {
    // SAFETY: the type of this service.
    let Some(service) = (unsafe { registry::service::<kx_simple_error_log>(c"mysql_simple_error_log") })
    else {
        return false;
    };
    let severity = match level {
        Level::Error => KX_SEVERITY_ERROR,
        Level::Warning => KX_SEVERITY_WARNING,
        Level::Note => KX_SEVERITY_NOTE,
    } as c_int;
    service.table().emit.is_some_and(|write| {
        // The server shows no more than a dozen bytes of it, as the subsystem.
        let (component, file): (*const c_char, *const c_char) = (c"Keyring".as_ptr(), c"keyring".as_ptr());
        let number = number as c_int;
        // SAFETY: the host's function; the messages named by KX_MESSAGE_... take these strings and nothing
        // else, or fewer.
        let failed = unsafe {
            match second {
                Some(second) => write(component, file, 0, severity, number, first.as_ptr(), second.as_ptr()),
                None => write(component, file, 0, severity, number, first.as_ptr()),
            }
        };
        failed == 0
    })
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect::<Vec<_>>())
        .unwrap_or_default()
}

/// Written at once, so that lines of several threads do not mix.
fn to_stderr(level: Level, number: u32, message: &str) {
    let _ = std::io::stderr().write_all(line(level, number, message).as_bytes());
}

/// A line in the form of the server's error log.
fn line(level: Level, number: u32, message: &str) -> String {
    let level = match level {
        Level::Error => "ERROR",
        Level::Warning => "Warning",
        Level::Note => "Note",
    };
    let now = humantime::format_rfc3339_micros(std::time::SystemTime::now());
    let name = NAME.to_string_lossy();
    let message = message.replace('\n', " ");
    format!("{now} 0 [{level}] [MY-{number:06}] [Keyring] Component {name} reported: '{message}'\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_standard_error_is_one_line_of_the_error_log() {
        let line = line(Level::Warning, 7, "a\nb");
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok());
        let name = "component_keyring_external";
        assert_eq!(rest, format!("0 [Warning] [MY-000007] [Keyring] Component {name} reported: 'a b'\n"));
    }
}
