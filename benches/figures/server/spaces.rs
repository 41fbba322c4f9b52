// SPDX-License-Identifier: GPL-2.0-or-later
//! Many encrypted tablespaces: a new master key for them, and a start with them.

use super::Site;
use crate::abi::{BOTH, Bench};
use crate::figure::{Row, Table, Unit};
use crate::plan::Plan;
use crate::progress::Progress;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{ROTATE, Server};
use std::time::Instant;

/// Sessions that make tables.
const SESSIONS: u64 = 4;

pub fn measure(bench: &Bench<'_>, plan: &Plan, progress: &Progress) -> Result<Vec<Table>, String> {
    progress.expect(plan.spaces.len() + 1);
    progress.say("encrypted tablespaces: data directories");
    let [ours, peer] = BOTH.map(|which| Site::new(bench, which, "spaces"));
    let sites = [ours?, peer?];
    let servers = sites.each_ref().map(|site| site.host.start());
    servers.iter().for_each(|server| server.sql("CREATE DATABASE many"));
    let mut rows = Vec::new();
    let (mut made, mut creates) = (0, [Vec::new(), Vec::new()]);
    for &spaces in plan.spaces {
        progress.say(&format!("{spaces} encrypted tablespaces"));
        for (server, creates) in servers.iter().zip(&mut creates) {
            creates.extend(create(server, made..spaces)?);
        }
        made = spaces;
        let mut taken = [Vec::new(), Vec::new()];
        for _ in 0..plan.rotations {
            for (server, taken) in servers.iter().zip(&mut taken) {
                let mut conn = server.connect();
                let began = Instant::now();
                conn.query_drop(ROTATE).map_err(|e| format!("{ROTATE}: {e}"))?;
                taken.push(began.elapsed().as_nanos() as f64);
            }
        }
        rows.push(Row::new(ROTATE, Some(spaces), Unit::Time, &taken[0], &taken[1]));
        progress.step();
    }
    rows.insert(0, Row::new("CREATE TABLE ... ENCRYPTION='Y'", None, Unit::Time, &creates[0], &creates[1]));
    servers.into_iter().for_each(Server::stop);
    progress.say(&format!("starts with {made} encrypted tablespaces"));
    let mut taken = [Vec::new(), Vec::new()];
    // The first one finds the files as the statements left them, and is not among them.
    for round in 0..=plan.starts {
        for (site, taken) in sites.iter().zip(&mut taken) {
            let began = Instant::now();
            let server = site.host.start();
            if round > 0 {
                taken.push(began.elapsed().as_nanos() as f64);
            }
            server.stop();
        }
    }
    progress.step();
    rows.push(Row::new("start until a client is answered", Some(made), Unit::Time, &taken[0], &taken[1]));
    Ok(vec![Table {
        title: "Encrypted tablespaces in the server",
        about: format!(
            "One table each, created by {SESSIONS} sessions at a time; both servers alternately, rotations: {}, starts: {}. \
             The server syncs nothing of its own here, so what remains is the keyring's share and InnoDB's work. \
             keyring_external still syncs its file; the peer never does.",
            plan.rotations, plan.starts
        ),
        size: "tablespaces",
        floor: "",
        rows,
    }])
}

/// Makes tables; nanoseconds of each.
fn create(server: &Server, numbers: std::ops::Range<u64>) -> Result<Vec<f64>, String> {
    let connect = server.connector();
    let make = |session: u64| -> mysql::Result<Vec<f64>> {
        let mut conn = connect()?;
        let mut times = Vec::new();
        for number in numbers.clone().filter(|n| n % SESSIONS == session) {
            let began = Instant::now();
            conn.query_drop(format!("CREATE TABLE many.t{number} (a INT) ENCRYPTION='Y'"))?;
            times.push(began.elapsed().as_nanos() as f64);
        }
        Ok(times)
    };
    let made: mysql::Result<Vec<_>> = std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS).map(|s| scope.spawn(move || make(s))).collect();
        sessions.into_iter().map(|s| s.join().expect("no panic")).collect()
    });
    made.map(|times| times.concat()).map_err(|e| format!("CREATE TABLE: {e}"))
}
