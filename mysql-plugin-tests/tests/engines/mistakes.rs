// SPDX-License-Identifier: GPL-2.0-or-later
//! What is said of each mistake in the description of a remote.

use crate::opened::{name, open, soon, trouble};
use mysql_plugin_tests::rig::engines::Engine;
use std::path::Path;

/// Each has its cause and its message, and nothing is done.
pub fn are_told(engine: &dyn Engine, dir: &Path) {
    for mistake in engine.mistakes() {
        let what = mistake.what;
        let asked = |ask: &dyn Fn() -> Result<(), keyring_external::store::remote::objects::Trouble>| {
            let trouble = trouble(what, ask());
            assert_eq!(trouble.cause, mistake.cause, "{what}: {trouble}");
            assert!(!trouble.may_have_happened, "{what}: {trouble}");
            for part in &mistake.told {
                assert!(
                    trouble.told.contains(part.as_str()),
                    "{what}: \"{trouble}\" does not say \"{part}\""
                );
            }
            assert!(!trouble.told.ends_with('.') && !trouble.told.contains('\n'), "{what}: {trouble}");
            println!("{what}: {trouble}");
        };
        let objects = || open(dir, &mistake.remote);
        asked(&|| objects()?.get(&name("head"), soon()).map(drop));
        asked(&|| objects()?.put(&name("head"), b"x", None, soon()).map(drop));
    }
}
