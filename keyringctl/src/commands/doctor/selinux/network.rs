// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether SELinux lets a program that prints the secret use the network.

use super::examination::Examination;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use keyring_external::unlock::UnlockSource;
use std::fs;

pub(super) const BOOLEAN: &str = "selinux-boolean";

/// Each lets mysqld connect to more than MySQL's own ports. Older policies have only the second.
const BOOLEANS: [&str; 2] = ["mysql_connect_http", "mysql_connect_any"];

impl Examination<'_> {
    /// Reports that a program that prints the secret may not use the network: it runs with mysqld's restrictions.
    pub(super) fn booleans(&self, found: &mut Findings) {
        let UnlockSource::Command(words) = &self.view.host.unlock else { return };
        let read = |name| {
            let value = fs::read_to_string(self.view.sys.join("fs/selinux/booleans").join(name)).ok()?;
            Some(value.trim_start().starts_with('1'))
        };
        let known: Vec<_> = BOOLEANS.into_iter().filter_map(|name| Some((name, read(name)?))).collect();
        if known.is_empty() || known.iter().any(|(_, on)| *on) {
            return;
        }
        let program = words.first().map(String::as_str).unwrap_or_default();
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        let mut fix = vec!["if the program fetches the secret over the network, one of:".to_owned()];
        fix.extend(names.iter().map(|name| format!("setsebool -P {name} on{}", meaning(name))));
        found.add(
            FindingLevel::Note,
            BOOLEAN,
            format!(
                "{program}, which prints the secret, runs with mysqld's restrictions and cannot connect to other machines ({} off{})",
                names.join(" and "),
                self.only_logged()
            ),
            "If it fetches the secret over the network, mysqld has no secret after a restart.",
            &fix,
        );
    }
}

/// What a boolean allows.
fn meaning(boolean: &str) -> &'static str {
    if boolean == BOOLEANS[0] { "    # ports of HTTP and HTTPS only" } else { "    # all ports" }
}
