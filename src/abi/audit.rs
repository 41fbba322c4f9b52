// SPDX-License-Identifier: GPL-2.0-or-later
//! The audit log of the server.

use super::level::Level;
use super::services::log;
use crate::audit::{AuditLog, Event, EventKind, Reports, Settings};
use crate::config::{AuditConfig, Config};
use crate::error::Error;
use crate::keyring::Keyring;
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The log that the server is configured with, and these settings. It is kept as long as they stay, so that its numbers go
/// on when another keyring is opened.
static CURRENT: Mutex<Option<(AuditConfig, Arc<AuditLog>)>> = Mutex::new(None);

/// Keyrings that were replaced. That this is in the log is still due: they are replaced where nobody may wait for a disk.
static REPLACED: Mutex<Vec<Arc<Keyring>>> = Mutex::new(Vec::new());

const REPORTS: Reports =
    Reports { failing: |text| log(Level::Warning, text), recovered: |text| log(Level::Note, text) };

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many lines could not be written or passed on.
pub(super) fn failures() -> u64 {
    locked(&CURRENT).as_ref().map_or(0, |(_, log)| log.failures())
}

/// The log for this configuration.
pub(super) fn of(config: &Config) -> Option<Arc<AuditLog>> {
    let path = config.audit.path.clone()?;
    let mut current = locked(&CURRENT);
    if let Some((settings, log)) = current.as_ref()
        && *settings == config.audit
    {
        return Some(Arc::clone(log));
    }
    let datadir = config.datadir.as_deref();
    let settings = Settings {
        path,
        forward: config.audit.forward,
        server: datadir.and_then(server_uuid),
        who: json!({ "program": "mysqld", "pid": std::process::id() }),
        owner: datadir.and_then(|dir| std::fs::metadata(dir).ok()).map(|meta| (meta.uid(), meta.gid())),
    };
    let log = Arc::new(AuditLog::new(settings, REPORTS));
    *current = Some((config.audit.clone(), Arc::clone(&log)));
    Some(log)
}

/// The server's UUID, from the file where it keeps it. A new server has none yet.
fn server_uuid(datadir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(datadir.join("auto.cnf")).ok()?;
    text.lines().find_map(|line| line.trim().strip_prefix("server-uuid=").map(|uuid| uuid.trim().to_owned()))
}

/// Has the changes of a keyring announced in the log, and says that it was opened.
pub(super) fn opened(keyring: &Keyring, config: &Config, why: &'static str) {
    let Some(log) = of(config) else { return };
    keyring.audit_to(log);
    let copies: Vec<_> =
        std::iter::once(&config.path).chain(&config.mirrors).map(|copy| copy.display().to_string()).collect();
    let event =
        Event::new(EventKind::Opened).with("why", why).with("keys", keyring.len()).with("copies", copies);
    keyring.record(&event);
}

/// Says that a keyring could not be opened.
pub(super) fn not_opened(config: &Config, why: &'static str, e: &Error) {
    if let Some(log) = of(config) {
        let event = Event::new(EventKind::OpenFailed).with("why", why);
        let event = event.with("path", config.path.display().to_string()).with("error", e.to_string());
        let _ = log.write(None, &event);
    }
}

/// Says that a keyring was closed.
pub(super) fn closed(keyring: &Keyring, why: &'static str) {
    keyring.record(&Event::new(EventKind::Closed).with("why", why));
}

/// A keyring was replaced. [`write_replaced`] says so in the log.
pub(super) fn replaced(keyring: Arc<Keyring>) {
    locked(&REPLACED).push(keyring);
}

/// Says which keyrings were replaced.
pub(super) fn write_replaced() {
    let replaced = std::mem::take(&mut *locked(&REPLACED));
    replaced.iter().for_each(|keyring| closed(keyring, "another keyring took its place"));
}
