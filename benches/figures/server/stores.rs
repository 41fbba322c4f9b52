// SPDX-License-Identifier: GPL-2.0-or-later
//! Stores through keyring_udf, by one session.

use super::Site;
use crate::abi::{BOTH, Bench};
use crate::figure::{Row, Table, Unit};
use crate::names::KEY_HEX;
use crate::plan::Plan;
use crate::progress::Progress;
use mysql::prelude::Queryable;
use std::time::{Duration, Instant};

pub fn measure(bench: &Bench<'_>, plan: &Plan, progress: &Progress) -> Result<Vec<Table>, String> {
    progress.expect(plan.sizes.len() * plan.rounds as usize * BOTH.len());
    progress.say("stores in the server: data directories");
    let [ours, peer] = BOTH.map(|which| Site::new(bench, which, "stores"));
    let sites = [ours?, peer?];
    let mut rows = [Vec::new(), Vec::new()];
    for &keys in plan.sizes {
        progress.say(&format!("stores in the server: {keys} keys"));
        let mut times = [const { Vec::new() }; 2];
        let mut per_second = [const { Vec::new() }; 2];
        for round in 0..plan.rounds {
            for (who, site) in sites.iter().enumerate() {
                site.fill(keys)?;
                let taken = store(site, plan, keys == plan.sizes[0] && round == 0)?;
                per_second[who].push(taken.len() as f64 * 1e9 / taken.iter().sum::<f64>());
                times[who].extend(taken);
                progress.step();
            }
        }
        rows[0].push(Row::new("a store", Some(keys), Unit::Time, &times[0], &times[1]));
        let [ours, peer] = &per_second;
        rows[1].push(Row::new("stores in a second", Some(keys), Unit::PerSecond, ours, peer));
    }
    Ok(vec![Table {
        title: "Stores in the server",
        about: format!(
            "`keyring_key_store` of keyring_udf in one session over a socket, including the statement. Rounds, each \
             with a newly started server: {}. The first store after the start, which rewrites keyring_external's file, \
             is not included.",
            plan.rounds
        ),
        size: "keys",
        floor: "",
        rows: rows.concat(),
    }])
}

/// Nanoseconds of each store.
fn store(site: &Site, plan: &Plan, install: bool) -> Result<Vec<f64>, String> {
    let server = site.host.start();
    if install {
        server.install_udfs();
    }
    let mut conn = server.connect();
    let mut times = Vec::new();
    let began = Instant::now();
    // The first one after a start writes all, and is not among them.
    while times.len() < plan.server_stores + 1
        && (times.len() < 2 || began.elapsed() < Duration::from_millis(plan.change_millis))
    {
        let statement = format!("SELECT keyring_key_store('s{}', 'AES', '{KEY_HEX}')", times.len());
        let one = Instant::now();
        let stored: Option<i32> = conn.query_first(statement).map_err(|e| e.to_string())?;
        times.push(one.elapsed().as_nanos() as f64);
        if stored != Some(1) {
            return Err("keyring_key_store failed".to_owned());
        }
    }
    drop(conn);
    server.stop();
    times.remove(0);
    Ok(times)
}
