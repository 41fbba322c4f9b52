// SPDX-License-Identifier: GPL-2.0-or-later
//! One way of encrypting a biobank while clients write to it, and the proof that nothing was lost or left.

use super::rows;
use super::site::{Site, wait_for_purge};
use super::target::Target;
use super::watch::{Seen, Watch};
use super::writers::{Write, Writers, Written};
use crate::plan::Plan;
use crate::progress::Progress;
use mysql_plugin_tests::biobank::files_with_names;
use mysql_plugin_tests::rig::{last_steps, told};
use std::sync::Arc;
use std::time::Duration;

/// How tables are encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Each by a copy.
    Copy,
    /// Online, if the table allows it and it is worth it.
    Online,
}

impl Way {
    pub const BOTH: [Way; 2] = [Way::Copy, Way::Online];

    pub fn name(self) -> &'static str {
        match self {
            Way::Copy => "COPY",
            Way::Online => "online",
        }
    }

    /// What `--online` takes for it.
    pub fn option(self) -> &'static str {
        match self {
            Way::Copy => "never",
            Way::Online => "auto",
        }
    }
}

/// What was seen of it.
pub struct Run {
    pub way: Way,
    pub written: Written,
    pub seen: Seen,
    /// When `encrypt apply` began and ended, since the load began.
    pub from: Duration,
    pub to: Duration,
    /// When the load ended.
    pub end: Duration,
    /// Rows that are not as they should be, unencrypted data, planted names.
    pub wrong: Vec<String>,
}

impl Run {
    /// The writes that were under way while `encrypt apply` ran.
    pub fn meanwhile(&self) -> impl Iterator<Item = &Write> {
        self.written.writes.iter().filter(|w| w.end() >= self.from && w.start <= self.to)
    }

    /// The writes before it, when the server had got warm.
    pub fn before(&self) -> impl Iterator<Item = &Write> {
        self.written.writes.iter().filter(|w| w.start >= self.from / 4 && w.end() < self.from)
    }
}

/// Encrypts all of a fresh copy that way.
pub fn encrypt(
    site: &Site,
    targets: &Arc<Vec<Target>>,
    way: Way,
    plan: &Plan,
    progress: &Progress,
) -> Result<Run, String> {
    let name = way.name();
    progress.say(&format!("encrypting under load, {name}: a fresh copy"));
    let (host, server) = site.start()?;
    let sums = rows::sums(&host.socket(), targets)?;
    let warm = Duration::from_secs(plan.load_seconds);
    progress.say(&format!("encrypting under load, {name}: writers"));
    let writers = Writers::start(host.socket(), targets);
    let watch = Watch::start(host.socket(), writers.began);
    std::thread::sleep(warm);
    let from = writers.began.elapsed();
    progress.say(&format!("encrypting under load, {name}: apply"));
    let mut wrong = Vec::new();
    let args = ["apply", "--online", way.option(), "--purge-binary-logs", "--yes"];
    let output = site.encrypt(&args).output().map_err(|e| format!("keyringctl: {e}"))?;
    // The old doublewrite files go with the last steps.
    let left = "INCOMPLETE. Still unencrypted: doublewrite files (*.dblwr). See below";
    if !output.status.success() && !told(&output).contains(left) {
        wrong.push(format!("keyringctl encrypt {}: {}", args.join(" "), told(&output)));
    }
    let to = writers.began.elapsed();
    std::thread::sleep(warm / 2);
    let end = writers.began.elapsed();
    let written = writers.stop()?;
    let seen = watch.stop()?;
    progress.say(&format!("encrypting under load, {name}: comparing rows"));
    wrong.extend(written.failed.iter().map(|failed| format!("a writer's statement failed: {failed}")));
    wrong.extend(rows::wrong(&host.socket(), targets, &sums, &written.rows)?);
    progress.say(&format!("encrypting under load, {name}: the last steps, verify"));
    wait_for_purge(&server);
    let (host, server) = last_steps(host, server);
    let verify =
        site.encrypt(&["verify", &site.unlock()]).output().map_err(|e| format!("keyringctl: {e}"))?;
    if !verify.status.success() {
        wrong.push(format!("keyringctl encrypt verify: {}", told(&verify)));
    }
    wrong.extend(rows::wrong(&host.socket(), targets, &sums, &written.rows)?);
    let in_use = files_with_names(host.dir());
    server.stop();
    let stopped = files_with_names(host.dir());
    wrong.extend(
        in_use.iter().chain(&stopped).map(|file| format!("{} contains a planted name", file.display())),
    );
    Ok(Run { way, written, seen, from, to, end, wrong })
}
