// SPDX-License-Identifier: GPL-2.0-or-later
//! The one keyring that this loaded library serves.

use super::services::{Level, log};
use crate::config::Config;
use crate::error::Result;
use crate::keyring::{Keyring, Severity, Trust};
use crate::secret;
use crate::store::fs::Fs;
use crate::store::real::RealFs;
use std::sync::{Arc, PoisonError, RwLock};

static CURRENT: RwLock<Option<Arc<Keyring>>> = RwLock::new(None);

/// The open keyring.
pub(super) fn get() -> Option<Arc<Keyring>> {
    CURRENT.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Puts another one in its place, or none. The old one goes when the last call on it has ended.
pub(super) fn set(keyring: Option<Arc<Keyring>>) {
    let old = std::mem::replace(&mut *CURRENT.write().unwrap_or_else(PoisonError::into_inner), keyring);
    drop(old);
}

/// Opens the keyring of `config` and tells the log what it found.
pub(super) fn open(config: &Config, trust: Trust) -> Result<Arc<Keyring>> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let (keyring, notes) = Keyring::open(&fs, config, trust, report)?;
    let status = keyring.status();
    log(
        Level::Note,
        &format!(
            "opened the keyring {} at {}: {} keys, generation {}",
            status.id,
            config.path.display(),
            status.keys,
            status.generation
        ),
    );
    for note in notes {
        let level = if note.wants_rewrite() { Level::Warning } else { Level::Note };
        log(level, &format!("{}: {note}", config.path.display()));
    }
    if secret::lock_failure_to_report() {
        log(
            Level::Warning,
            "some memory that holds keys could not be locked and may be written to swap: raise the server's \
             limit (LimitMEMLOCK= in its systemd unit, or ulimit -l)",
        );
    }
    // The keyring can be used all the same.
    if let Err(e) = keyring.settle() {
        log(Level::Warning, &e.to_string());
    }
    Ok(Arc::new(keyring))
}

/// Takes what a keyring in use reports to the error log.
fn report(severity: Severity, message: &str) {
    let level = match severity {
        Severity::Warning => Level::Warning,
        Severity::Note => Level::Note,
    };
    log(level, message);
}
