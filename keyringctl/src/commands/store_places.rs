// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the copies that a command names lie: in the filesystem, and at the remotes of the file that `--remotes` names.

use keyring_external::config::DEFAULT_REMOTES;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use std::path::Path;
use std::sync::Arc;

/// Where the copies of this process lie.
pub(crate) fn store_places() -> Places {
    Places::new(Arc::new(RealFs), Path::new(DEFAULT_REMOTES))
}
