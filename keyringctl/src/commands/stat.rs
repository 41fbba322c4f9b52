// SPDX-License-Identifier: GPL-2.0-or-later
//! Filesystem metadata with a time limit, the same as for probing a copy, so that a volume that hangs does not block a
//! command.

use keyring_external::store::deadline;
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

/// Whether the path exists.
pub(super) fn is_there(path: &Path) -> bool {
    metadata(path).is_ok()
}

/// Whether the path certainly does not exist.
pub(super) fn is_missing(path: &Path) -> bool {
    metadata(path).is_err_and(|e| e.kind() == ErrorKind::NotFound)
}
