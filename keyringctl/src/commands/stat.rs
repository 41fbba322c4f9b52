// SPDX-License-Identifier: GPL-2.0-or-later
//! Filesystem metadata with a time limit, the same as for probing a copy, so that a volume that hangs does not block a
//! command.

use super::store_places::store_places;
use keyring_external::store::deadline;
use keyring_external::store::places::is_remote;
use keyring_external::store::tasks::PROBE_WAIT;
use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// As [`std::fs::metadata`], with the time limit.
///
/// # Errors
/// As that, or [`ErrorKind::TimedOut`] if the volume does not answer, or has not answered since an earlier call.
pub(super) fn metadata(path: &Path) -> io::Result<Metadata> {
    in_time(path, |path| std::fs::metadata(path))
}

/// As [`std::fs::canonicalize`], with the time limit.
///
/// # Errors
/// As [`metadata`].
pub(super) fn real(path: &Path) -> io::Result<PathBuf> {
    in_time(path, |path| std::fs::canonicalize(path))
}

fn in_time<T: Send + 'static>(
    path: &Path,
    look: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let place = path.to_owned();
    deadline::run(path, PROBE_WAIT, move || look(&place)).unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// Whether there is something at the path, or a copy of this name at a remote.
pub(super) fn is_there(path: &Path) -> bool {
    if is_remote(path) { at_remote(path) == Some(true) } else { metadata(path).is_ok() }
}

/// Whether a remote holds a copy of this name. `None` if it does not say.
fn at_remote(name: &Path) -> Option<bool> {
    let copy = store_places().replica(name).ok()?;
    copy.within(PROBE_WAIT, |copy, until| copy.is_there(until)).ok()
}

/// Whether there certainly is nothing at the path, and no copy of this name at a remote.
pub(super) fn is_missing(path: &Path) -> bool {
    if is_remote(path) {
        return at_remote(path) == Some(false);
    }
    metadata(path).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}
