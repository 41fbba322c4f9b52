// SPDX-License-Identifier: GPL-2.0-or-later
//! The values of the system variables, and the configuration that they make.

use crate::abi::pointers::{Shared, c_bytes};
use crate::config::{AuditConfig, Config, DEFAULT_REMOTES, check_path};
use crate::error::{BadRequest, Error, Result};
use std::ffi::{OsStr, c_char, c_uint};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

/// Longest path that a variable can hold.
pub(super) const MAX_PATH: usize = 4096;
/// Longest text of any other variable.
const MAX_TEXT: usize = 65536;

// The server fills these before it calls init.
pub(super) static DATA: Shared<*mut c_char> = Shared::new(null_mut());
pub(super) static UNLOCK: Shared<*mut c_char> = Shared::new(null_mut());
pub(super) static MIRRORS: Shared<*mut c_char> = Shared::new(null_mut());
pub(super) static REMOTES: Shared<*mut c_char> = Shared::new(null_mut());
pub(super) static MIN_COPIES: Shared<c_uint> = Shared::new(1);
pub(super) static READ_ONLY: Shared<bool> = Shared::new(false);
pub(super) static SAME_DEVICE: Shared<bool> = Shared::new(false);
pub(super) static AUTO_CREATE: Shared<bool> = Shared::new(false);
pub(super) static WAIT: Shared<c_uint> = Shared::new(0);
pub(super) static AUDIT_LOG: Shared<*mut c_char> = Shared::new(null_mut());
pub(super) static AUDIT_LOG_FORWARD: Shared<*mut c_char> = Shared::new(null_mut());

/// The configuration that the variables make at `init`.
pub(super) fn config() -> Result<Config> {
    // SAFETY: NULL or the server's C string, which stays until the next update. Only init calls this, before any.
    config_for(unsafe { c_bytes(value(&DATA).cast_const(), MAX_PATH) })
}

/// The configuration that the variables make, with `data` as the path of the keyring file.
pub(super) fn config_for(data: &[u8]) -> Result<Config> {
    let path = path(data)?;
    let unlock = text(&UNLOCK, "unlock")?;
    if unlock.is_empty() {
        return Err(BadRequest::Config(
            "keyring_external_unlock is not set: name the source of the unlock secret, such as \
             file:/etc/mysql/keyring.secret"
                .to_owned(),
        )
        .into());
    }
    Ok(Config {
        path,
        mirrors: text(&MIRRORS, "mirrors")?.split(':').filter(|p| !p.is_empty()).map(PathBuf::from).collect(),
        remotes: remotes()?,
        min_copies: value(&MIN_COPIES),
        unlock: unlock.parse()?,
        read_only: read_only(),
        allow_same_device: value(&SAME_DEVICE),
        auto_create: value(&AUTO_CREATE),
        wait: value(&WAIT),
        audit: audit()?,
        // mysqld changes into its data directory before it loads any plugin.
        datadir: std::env::current_dir().ok(),
    })
}

/// The value of `read_only`. A check function, which runs without a lock, may read it while an update writes it.
pub(super) fn read_only() -> bool {
    READ_ONLY.flag().load(Ordering::Relaxed)
}

/// The value of a variable that does not change while the plugin runs.
fn value<T: Copy>(of: &Shared<T>) -> T {
    // SAFETY: the server fills the value before init. After that it changes only `data`, in the update function, which
    // it calls for an initialised plugin only, and which is read here in init only; and `read_only`, which has a
    // function of its own.
    unsafe { *of.get() }
}

fn text(of: &Shared<*mut c_char>, name: &str) -> Result<String> {
    // SAFETY: NULL or the server's C string, which stays: the variable does not change while the plugin runs.
    let bytes = unsafe { c_bytes(value(of).cast_const(), MAX_TEXT) };
    let wrong = |why| Error::BadRequest(BadRequest::Config(format!("keyring_external_{name} {why}")));
    if bytes.len() > MAX_TEXT {
        return Err(wrong("is too long"));
    }
    String::from_utf8(bytes.to_vec()).map_err(|_| wrong("is not UTF-8"))
}

/// The path of the remotes file.
fn remotes() -> Result<PathBuf> {
    let path = PathBuf::from(text(&REMOTES, "remotes")?);
    if path.as_os_str().is_empty() {
        return Ok(DEFAULT_REMOTES.into());
    }
    if !path.is_absolute() {
        return Err(BadRequest::Config("keyring_external_remotes must be an absolute path".to_owned()).into());
    }
    Ok(path)
}

/// The settings of the audit log.
fn audit() -> Result<AuditConfig> {
    let names = ["keyring_external_audit_log", "keyring_external_audit_log_forward"];
    let forward = text(&AUDIT_LOG_FORWARD, "audit_log_forward")?;
    AuditConfig::parse(text(&AUDIT_LOG, "audit_log")?.into(), &forward, names)
}

fn path(data: &[u8]) -> Result<PathBuf> {
    let path = PathBuf::from(OsStr::from_bytes(data));
    let wrong = match data.len() {
        0 => "is not set: give the path of the keyring file on its external volume, or @NAME/PREFIX",
        n if n > MAX_PATH => "is too long",
        _ => {
            check_path(&path, "keyring_external_data")?;
            return Ok(path);
        }
    };
    Err(BadRequest::Config(format!("keyring_external_data {wrong}")).into())
}
