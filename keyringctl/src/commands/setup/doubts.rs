// SPDX-License-Identifier: GPL-2.0-or-later
//! What is missing on the host for what setup is about to write: paths that do not exist, and a server in a snap.

use crate::commands::doctor::finding::{Finding, Findings};
use crate::commands::doctor::option_access::{self, Effect};
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::show::Shown;
use std::path::Path;

const MISSING: &str = "missing-path";

/// Refuses a server whose files cannot be changed, or whose option files mysqld would refuse.
pub(super) fn refuse(site: &Site) -> Result<()> {
    if site.is_snap() {
        return Err(Error::Usage(format!(
            "{} is in a snap. A snap is read-only and confined: it can load no other keyring, and cannot open files on \
             other volumes. Install MySQL from packages. Nothing was changed",
            site.mysqld.shown()
        )));
    }
    match &site.option_error {
        Some(why) => {
            Err(Error::Usage(format!("cannot read the server's options: {why}. Nothing was changed")))
        }
        None => Ok(()),
    }
}

/// Returns a warning for each path that does not exist but that mysqld needs.
pub(super) fn missing(site: &Site, host: &Host) -> Vec<Finding> {
    let mut found = Findings::default();
    let mut check = |path: &Path, what: &str, why: &str, fix: String| {
        if !site.real(path).exists() {
            found.warning(
                MISSING,
                path,
                format!("{what} {} does not exist", site.at(path).shown()),
                why,
                &[fix],
            );
        }
    };
    check(
        &host.mysqld,
        "the mysqld program",
        "Its manifest, options and plugins are then perhaps elsewhere too.",
        "install MySQL first, or name the program: --mysqld PATH".to_owned(),
    );
    check(
        &host.datadir,
        "the data directory",
        "If the server uses another one, setup did not find its option files.",
        "create it, or name the one that the server uses: --datadir DIR".to_owned(),
    );
    check(
        &host.plugin_dir,
        "the plugin directory",
        "mysqld loads the keyring from its plugin directory only.",
        "name the one that the server shows (SELECT @@plugin_dir): --plugin-dir DIR".to_owned(),
    );
    if site.at(&host.plugin_dir).is_dir() {
        let dir = host.plugin_dir.shown();
        check(
            &host.plugin_dir.join(host.way.library()),
            "the library",
            "mysqld cannot load the keyring.",
            format!(
                "install the package keyring-external, or in the source directory: make install PLUGIN_DIR={dir}. If mysqld's plugins are elsewhere: --plugin-dir DIR"
            ),
        );
    }
    option_access::report(site, &[Effect::Others], &mut found);
    found.into_all()
}
