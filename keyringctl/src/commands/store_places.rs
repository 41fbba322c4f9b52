// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the copies that a command names lie: in the filesystem, and at the remotes of the file that `--remotes` names.

use crate::show::Shown;
use keyring_external::config::DEFAULT_REMOTES;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The remotes file of `--remotes`.
static GIVEN: OnceLock<PathBuf> = OnceLock::new();

thread_local! {
    /// The remotes file that the server is configured with which this command looks at. Commands do that in one thread;
    /// tests look at several servers side by side.
    static OF_SERVER: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// The remotes file of this process, from its command line.
pub(crate) fn give_remotes(file: PathBuf) {
    // Called once.
    let _ = GIVEN.set(file);
}

/// The server that the command looks at is configured with this remotes file. It is used unless `--remotes` names one.
pub(crate) fn use_remotes_of_server(file: &Path) {
    OF_SERVER.replace(Some(file.to_owned()));
}

/// The remotes file that the command line names.
pub(crate) fn given_remotes() -> Option<PathBuf> {
    GIVEN.get().cloned()
}

/// The remotes file that this process uses.
pub(crate) fn remotes_file() -> PathBuf {
    let of_server = || OF_SERVER.with_borrow(Clone::clone);
    GIVEN.get().cloned().or_else(of_server).unwrap_or_else(|| DEFAULT_REMOTES.into())
}

/// The option that names the remotes file in a command, if the command line of this run has it.
pub(crate) fn remotes_option() -> String {
    GIVEN.get().map_or_else(String::new, |file| format!(" --remotes {}", file.shown()))
}

/// Whether the remotes file of a server is known.
pub(crate) fn knows_server() -> bool {
    OF_SERVER.with_borrow(Option::is_some)
}

/// Where the copies of this process lie.
pub(crate) fn store_places() -> Places {
    Places::new(Arc::new(RealFs), &remotes_file())
}
