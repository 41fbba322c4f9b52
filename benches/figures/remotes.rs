// SPDX-License-Identifier: GPL-2.0-or-later
//! Keyrings at real engines: what a store, a load and a new master key take there, beside what the engine takes for the
//! same writes and reads when curl asks for them over one connection.

mod floor;

use crate::figure::{Row, Table, Unit};
use crate::names::Name;
use crate::plan::Plan;
use crate::progress::Progress;
use floor::Floor;
use keyring_external::format::records::KeyRecord;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::Keyring as Open;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Site, Which};
use std::time::Instant;

/// Keys of the keyring that is loaded.
const KEYS: u64 = 10_000;
/// Stores and pairs of writes take turns, so many at once.
const TURN: usize = 10;
/// Bytes of the piece that a store writes anew, on average: it grows to 32 KiB, record by record.
const PIECE: usize = 16 << 10;
/// Bytes of a head with a few pieces.
const HEAD: usize = 4_500;
/// Bytes of a piece that was written whole.
const FULL: usize = 256 << 10;

/// Measures all engines that there are.
pub fn measure(plan: &Plan, progress: &Progress) -> Result<Vec<Table>, String> {
    let mut rows = Vec::new();
    for which in Which::ALL {
        if let Some(why) = which.why_not() {
            progress.print(&format!("{}: {why}", which.name()));
            continue;
        }
        progress.say(which.name());
        let site = Site::without_forwarders(which);
        let floor = Floor::new(&site)?;
        rows.extend(changes(&site, &floor, which, plan)?);
        rows.push(load(&site, &floor, which, plan)?);
        rows.push(rotation(&site, &floor, which, plan)?);
    }
    Ok(vec![Table {
        title: "Keyrings at a remote",
        about: format!(
            "Engines on this machine, over TLS on loopback: etcd and OpenBao with three nodes, SeaweedFS with one. The \
             floor is what curl takes over one kept connection: for a store and a new master key two writes, of {PIECE} \
             and of {HEAD} bytes, taken in turn with the stores; for a load the head and as many pieces of 256 KiB as \
             the keyring has, one after the other. A load opens a connection, and decrypts and authenticates."
        ),
        size: "keys",
        floor: "two writes, or the reads",
        rows,
    }])
}

fn generate(open: &Open, n: usize) -> Result<f64, String> {
    let id = format!("key {n}");
    let name = NameRef::new(id.as_bytes(), b"").map_err(|e| e.to_string())?;
    let key_type = KeyType::new(b"AES").map_err(|e| e.to_string())?;
    let began = Instant::now();
    open.generate(name, &key_type, 32).map_err(|e| e.to_string())?;
    Ok(began.elapsed().as_nanos() as f64)
}

fn changes(site: &Site, floor: &Floor, which: Which, plan: &Plan) -> Result<Vec<Row>, String> {
    let keyring = site.keyring("stores", &[]);
    let open = keyring.open();
    // The first store after a load may rewrite, and opens the connection.
    generate(&open, usize::MAX)?;
    let (mut stores, mut writes) = (Vec::new(), Vec::new());
    while stores.len() < plan.server_stores {
        for _ in 0..TURN {
            stores.push(generate(&open, stores.len())?);
        }
        writes.extend(floor.pairs_of_writes(TURN, PIECE, HEAD)?);
    }
    let row = Row::new(&format!("a store, {}", which.name()), None, Unit::Time, &stores, &[]);
    Ok(vec![row.with_floor(&writes)])
}

fn load(site: &Site, floor: &Floor, which: Which, plan: &Plan) -> Result<Row, String> {
    let keyring = site.keyring("loads", &[]);
    fill(&keyring)?;
    let (mut loads, mut reads) = (Vec::new(), Vec::new());
    let pieces = (KEYS as usize * crate::names::record_len()).div_ceil(FULL);
    floor.put_pieces(pieces, FULL)?;
    for _ in 0..plan.loads * plan.rounds {
        let began = Instant::now();
        let open = keyring.open();
        loads.push(began.elapsed().as_nanos() as f64);
        if open.names().len() as u64 != KEYS {
            return Err("the keyring was not loaded".to_owned());
        }
        reads.push(floor.reads(pieces)?);
    }
    let row = Row::new(&format!("a load, {}", which.name()), Some(KEYS), Unit::Time, &loads, &[]);
    Ok(row.with_floor(&reads))
}

/// Puts all keys into a keyring, in one change.
fn fill(keyring: &Keyring) -> Result<(), String> {
    let key_type = KeyType::new(b"AES").map_err(|e| e.to_string())?;
    let names: Vec<_> = (0..KEYS).map(Name::new).collect();
    let data: Vec<_> = (0..KEYS).map(crate::names::data).collect();
    let records = names.iter().zip(&data).map(|(name, data)| {
        let name = NameRef::new(name.c().to_bytes(), b"").map_err(|e| e.to_string())?;
        Ok(KeyRecord { name, key_type: &key_type, created: 1, retired: None, data })
    });
    let records = records.collect::<Result<Vec<_>, String>>()?;
    keyring.open().store_all(&records).map_err(|e| e.to_string())
}

fn rotation(site: &Site, floor: &Floor, which: Which, plan: &Plan) -> Result<Row, String> {
    let keyring = site.keyring("rotations", &[]);
    let server = Host::new().keyring(&keyring).start();
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'");
    let mut conn = server.connect();
    let mut taken = Vec::new();
    for _ in 0..plan.rotations {
        let began = Instant::now();
        conn.query_drop(ROTATE).map_err(|e| format!("{ROTATE}: {e}"))?;
        taken.push(began.elapsed().as_nanos() as f64);
    }
    server.stop();
    let writes = floor.pairs_of_writes(plan.rotations as usize, PIECE, HEAD)?;
    let row = Row::new(&format!("{ROTATE}, {}", which.name()), None, Unit::Time, &taken, &[]);
    Ok(row.with_floor(&writes))
}
