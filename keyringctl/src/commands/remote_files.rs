// SPDX-License-Identifier: GPL-2.0-or-later
//! The files that the remotes file names and that mysqld reads to reach the copies of a keyring.

use super::apart::remote_of;
use super::store_places::remotes_file;
use crate::host::Host;
use keyring_external::store::remote::remotes::Remotes;
use keyring_external::unlock::UnlockSource;
use std::path::PathBuf;

/// Certificates, keys and secrets of the remotes that a server uses; none if the remotes file cannot be read.
pub(super) fn remote_files(host: &Host) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    if !host.uses_remotes() {
        return all;
    }
    let Ok(remotes) = Remotes::read(&remotes_file()) else { return all };
    for name in host.at_remotes().filter_map(|(_, copy)| remote_of(copy)) {
        let Ok(remote) = remotes.get(name) else { continue };
        let tls = &remote.client.tls;
        all.extend([&tls.ca, &tls.cert, &tls.key].into_iter().flatten().cloned());
        for source in remote.sources() {
            if let UnlockSource::File(file) = source.source() {
                all.push(file.clone());
            }
        }
    }
    all.sort();
    all.dedup();
    all
}
