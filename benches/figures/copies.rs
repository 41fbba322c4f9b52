// SPDX-License-Identifier: GPL-2.0-or-later
//! Several copies: what a store costs with each of them slow, what it costs when some hang, and what queries of the status
//! ask of the volumes. The volumes are directories; the delays are put between the keyring and the files.

use crate::disk::make_private;
use crate::figure::{Row, Table, Unit};
use crate::plan::Plan;
use crate::progress::Progress;
use keyring_external::config::{AuditConfig, Config, DEFAULT_REMOTES};
use keyring_external::keyring::{Keyring, NewKeyring, Trust};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use mysql_plugin_tests::common::hooked::Hooked;
use mysql_plugin_tests::common::{CHEAP, SECRET, key_type, name, secret, secret_file};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a sync takes.
const SYNC: Duration = Duration::from_millis(100);
/// How long the status is asked for.
const ASKED: Duration = Duration::from_secs(5);

/// Measures all of it below `base`.
pub fn measure(base: &Path, plan: &Plan, progress: &Progress) -> Result<Vec<Table>, String> {
    let mut rows = Vec::new();
    let mut one = Vec::new();
    for count in [1, 2, 4, 8] {
        progress.print(&format!("stores on {count} copies"));
        let taken = slow(&base.join(format!("slow{count}")), count, plan.changes.min(20))?;
        if count == 1 {
            one.clone_from(&taken);
        }
        let row = Row::new("a store, each sync 100 ms", Some(count as u64), Unit::Time, &taken, &[]);
        rows.push(row.with_floor(&one));
    }
    progress.print("stores on 8 copies of which 3 hang");
    let (first, next) = hung(&base.join("hung"))?;
    rows.push(Row::new("the first store when 3 hang", Some(8), Unit::Time, &[first], &[]));
    rows.push(Row::new("the next stores", Some(8), Unit::Time, &next, &[]));
    progress.print("queries of the status");
    let (queries, looks, writes) = asked(&base.join("asked"))?;
    let a_second = |count: usize| [count as f64 / ASKED.as_secs_f64()];
    rows.push(Row::new("queries of the status", Some(2), Unit::PerSecond, &a_second(queries), &[]));
    rows.push(Row::new("looks at each copy meanwhile", Some(2), Unit::PerSecond, &a_second(looks), &[]));
    rows.push(Row::new("writes to each copy meanwhile", Some(2), Unit::PerSecond, &a_second(writes), &[]));
    Ok(vec![Table {
        title: "Several copies",
        about: "The peer has no copies. The floor is a store on one copy. A copy that hangs does not answer at all; \
                `min_copies` is 1, and a change is acknowledged when the other copies have it."
            .to_owned(),
        size: "copies",
        floor: "one copy",
        rows,
    }])
}

/// So many copies of a new keyring.
fn made(dir: &Path, count: usize) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for n in 0..count {
        let volume = dir.join(format!("volume{n}"));
        std::fs::create_dir_all(&volume).map_err(|e| e.to_string())?;
        make_private(&volume)?;
        paths.push(volume.join("keyring"));
    }
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let new = NewKeyring::new("", &secret(&SECRET), "bench", CHEAP).map_err(|e| e.to_string())?;
    new.write(&Places::from(&fs), &paths).map_err(|e| e.to_string())?;
    Ok(paths)
}

fn open(fs: &Arc<dyn Fs>, paths: &[PathBuf]) -> Result<Keyring, String> {
    let config = Config {
        path: paths[0].clone(),
        mirrors: paths[1..].to_vec(),
        remotes: DEFAULT_REMOTES.into(),
        min_copies: 1,
        unlock: UnlockSource::File(secret_file(&SECRET)),
        read_only: false,
        allow_same_device: true,
        auto_create: false,
        wait: 0,
        audit: AuditConfig::default(),
        datadir: None,
    };
    let (keyring, _) =
        Keyring::open(&Places::from(fs), &config, Trust::Witness, |_, _| {}).map_err(|e| e.to_string())?;
    store(&keyring, "the first one")?;
    Ok(keyring)
}

/// Nanoseconds of one store.
fn store(keyring: &Keyring, id: &str) -> Result<f64, String> {
    let began = Instant::now();
    keyring.store(name(id, ""), &key_type("AES"), &[7; 32]).map_err(|e| e.to_string())?;
    Ok(began.elapsed().as_nanos() as f64)
}

fn slow(dir: &Path, count: usize, stores: usize) -> Result<Vec<f64>, String> {
    let paths = made(dir, count)?;
    let fs = Hooked::fs(Arc::new(RealFs), |operation, _| {
        if operation == "sync" {
            std::thread::sleep(SYNC);
        }
    });
    let keyring = open(&fs, &paths)?;
    (0..stores).map(|n| store(&keyring, &format!("key {n}"))).collect()
}

fn hung(dir: &Path) -> Result<(f64, Vec<f64>), String> {
    let paths = made(dir, 8)?;
    let hangs = Arc::new(AtomicBool::new(false));
    let (hanging, hung) = (Arc::clone(&hangs), paths[5..].to_vec());
    let fs = Hooked::fs(Arc::new(RealFs), move |_, path| {
        while hung.iter().any(|hung| hung == path) && hanging.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let keyring = open(&fs, &paths)?;
    hangs.store(true, Ordering::Relaxed);
    let first = store(&keyring, "first")?;
    let next: Result<Vec<f64>, String> = (0..20).map(|n| store(&keyring, &format!("next {n}"))).collect();
    hangs.store(false, Ordering::Relaxed);
    Ok((first, next?))
}

/// Queries, and looks and writes at each of two copies.
fn asked(dir: &Path) -> Result<(usize, usize, usize), String> {
    let paths = made(dir, 2)?;
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counted = Arc::clone(&counts);
    let fs = Hooked::fs(Arc::new(RealFs), move |operation, _| {
        let which = match operation {
            "open" => 0,
            "read" => return,
            _ => 1,
        };
        counted[which].fetch_add(1, Ordering::Relaxed);
    });
    let keyring = open(&fs, &paths)?;
    counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    let (began, mut queries) = (Instant::now(), 0);
    while began.elapsed() < ASKED {
        keyring.status();
        queries += 1;
    }
    let of = |which: usize| counts[which].load(Ordering::Relaxed) / 2;
    Ok((queries, of(0), of(1)))
}
