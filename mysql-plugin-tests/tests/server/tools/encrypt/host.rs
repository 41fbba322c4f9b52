// SPDX-License-Identifier: GPL-2.0-or-later
//! The servers whose data is encrypted.

use mysql_plugin_tests::rig::Server;
pub(super) use mysql_plugin_tests::rig::{host_that_persists as host, last_steps};

/// Returns how many tables with their own files are unencrypted.
pub(super) fn tables_in_clear(server: &Server) -> usize {
    server.value(
        "SELECT COUNT(*) FROM information_schema.innodb_tablespaces WHERE space_type = 'Single' AND encryption = 'N'",
    )
}
