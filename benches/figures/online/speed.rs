// SPDX-License-Identifier: GPL-2.0-or-later
//! `encrypt apply --jobs 2` beside the same ALTER statements by hand in a loop, without other clients.

use super::by_hand;
use super::load::Way;
use super::site::Site;
use crate::progress::Progress;
use mysql_plugin_tests::rig::told;
use std::time::{Duration, Instant};

/// The time of both.
pub struct Speed {
    pub way: Way,
    pub by_hand: Duration,
    pub tool: Duration,
}

/// Measures both, each on a fresh copy.
pub fn measure(site: &Site, progress: &Progress) -> Result<Vec<Speed>, String> {
    let mut speeds = Vec::new();
    for way in Way::BOTH {
        let name = way.name();
        progress.say(&format!("encrypting, {name}: by hand, in a loop"));
        let (host, server) = site.start()?;
        let began = Instant::now();
        by_hand::encrypt(&host.socket(), way == Way::Online)?;
        let by_hand = began.elapsed();
        server.kill();
        progress.step();
        progress.say(&format!("encrypting, {name}: apply --jobs 2"));
        let (_, server) = site.start()?;
        let began = Instant::now();
        // The tables of codes are in a general tablespace, which only a run without --only encrypts.
        let tables = ["--only", "biobank.*", "--skip", "biobank.code_*"];
        let args = [&["apply"], &tables[..], &["--jobs", "2", "--online", way.option(), "--yes"]].concat();
        let output = site.encrypt(&args).output().map_err(|e| format!("keyringctl: {e}"))?;
        let tool = began.elapsed();
        server.kill();
        progress.step();
        if !output.status.success() {
            progress.print(&format!("keyringctl encrypt {}: {}", args.join(" "), told(&output)));
        }
        speeds.push(Speed { way, by_hand, tool });
    }
    Ok(speeds)
}
