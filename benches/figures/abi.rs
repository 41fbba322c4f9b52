// SPDX-License-Identifier: GPL-2.0-or-later
//! Both components through the C ABI, each job in a process of its own, ours and the peer's in turn so that
//! drift hits both alike.

use crate::disk::{Disk, make_private, settle};
use crate::figure::{Row, Table, Unit};
use crate::launch::Launcher;
use crate::names;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::work::{Done, Job, Task};
use std::fs;
use std::path::{Path, PathBuf};

/// The two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    Ours,
    Peer,
}

/// Name of the witness in a data directory.
const WITNESS: &str = "keyring_external.witness";

pub const BOTH: [Which; 2] = [Which::Ours, Which::Peer];

impl Which {
    /// The component's name.
    pub fn component(self) -> &'static str {
        match self {
            Which::Ours => "component_keyring_external",
            Which::Peer => "component_keyring_file",
        }
    }
}

/// Where the libraries and files are.
pub struct Bench<'a> {
    pub launcher: &'a Launcher,
    pub disk: &'a Disk,
    /// A directory beside the disk: data directories, configurations, the unlock secret.
    pub base: &'a Path,
    /// The libraries, ours first.
    pub libraries: [PathBuf; 2],
}

/// A keyring of one size, and its server's directories.
struct Place {
    which: Which,
    keys: u64,
    library: PathBuf,
    template: PathBuf,
    file: PathBuf,
    dir: PathBuf,
}

impl Place {
    fn new(bench: &Bench<'_>, which: Which, keys: u64) -> Result<Place, String> {
        let dir = bench.base.join(format!("{which:?}{keys}"));
        let on_disk = bench.disk.dir().join(format!("{which:?}{keys}"));
        for dir in [&dir, &dir.join("data"), &on_disk] {
            fs::create_dir_all(dir).map_err(|e| e.to_string())?;
            make_private(dir)?;
        }
        let place = Place {
            which,
            keys,
            library: bench.libraries[which as usize].clone(),
            template: dir.join("template"),
            file: on_disk.join("keyring"),
            dir,
        };
        match which {
            Which::Ours => {
                let secret = bench.base.join("secret");
                if !place.template.exists() {
                    names::make_ours(&place.template, &secret, keys, Some(&place.dir))?;
                }
                place.configure(&format!(
                    r#"{{"path": "{}", "unlock": "file:{}", "allow_same_device": true}}"#,
                    place.file.display(),
                    secret.display()
                ))?;
            }
            Which::Peer => {
                names::make_peers(&place.template, keys)?;
                place.configure(&format!(r#"{{"path": "{}", "read_only": false}}"#, place.file.display()))?;
            }
        }
        // The mark of a data directory: without it there is no witness to write.
        fs::write(place.dir.join("data/mysql.ibd"), b"").map_err(|e| e.to_string())?;
        Ok(place)
    }

    fn configure(&self, text: &str) -> Result<(), String> {
        let file = self.dir.join(format!("{}.cnf", self.which.component()));
        fs::write(file, text).map_err(|e| e.to_string())
    }

    /// Runs a job on a fresh copy of the keyring and its witness.
    fn run(&self, bench: &Bench<'_>, task: Task) -> Result<Done, String> {
        self.renew()?;
        bench.launcher.run(&self.job(task))
    }

    fn renew(&self) -> Result<(), String> {
        self.copy().map_err(|e| format!("{}: {e}", self.file.display()))?;
        settle(&self.file)
    }

    fn copy(&self) -> std::io::Result<()> {
        let witness = self.dir.join("data").join(WITNESS);
        for left in [witness.clone(), self.file.with_extension("backup")] {
            match fs::remove_file(left) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        // A keyring of ours is one that its server used before: it writes one without a witness anew.
        if self.which == Which::Ours {
            fs::copy(self.dir.join(WITNESS), &witness)?;
        }
        fs::copy(&self.template, &self.file).map(drop)
    }

    fn job(&self, task: Task) -> Job {
        Job {
            library: self.library.clone(),
            plugin_dir: self.dir.clone(),
            datadir: self.dir.join("data"),
            keys: self.keys,
            task,
        }
    }
}

/// A job for our component on a fresh keyring of that many keys, to be run behind another program.
pub fn job_of_ours(bench: &Bench<'_>, keys: u64, task: Task) -> Result<Job, String> {
    let place = Place::new(bench, Which::Ours, keys)?;
    place.renew()?;
    Ok(place.job(task))
}

/// What was measured of one keyring.
#[derive(Default)]
struct Taken {
    done: Done,
    loads: Vec<f64>,
    residents: Vec<f64>,
    peaks: Vec<f64>,
    firsts: Vec<f64>,
    /// By number of threads.
    fetches: Vec<(u32, Vec<f64>)>,
    bytes: Done,
}

/// Numbers of threads that fetch.
const THREADS: [u32; 2] = [1, 4];

/// Measures both.
pub fn measure(bench: &Bench<'_>, plan: &Plan, progress: &Progress) -> Result<Vec<Table>, String> {
    let mut rows = Tables::default();
    progress.expect(plan.sizes.len() * plan.rounds as usize * BOTH.len());
    for &keys in plan.sizes {
        let mut taken = [Taken::default(), Taken::default()];
        progress.say(&format!("through the C ABI: {keys} keys"));
        let places = BOTH.map(|which| Place::new(bench, which, keys));
        for round in 0..plan.rounds {
            for place in &places {
                let place = place.as_ref().map_err(Clone::clone)?;
                let taken = &mut taken[place.which as usize];
                take(bench, plan, place, round, taken)?;
                progress.step();
            }
        }
        rows.add(keys, &taken);
        for place in places.into_iter().flatten() {
            let _ = fs::remove_dir_all(place.file.parent().unwrap_or(&place.file));
        }
    }
    Ok(rows.finish(bench))
}

fn take(bench: &Bench<'_>, plan: &Plan, place: &Place, round: u32, taken: &mut Taken) -> Result<(), String> {
    for _ in 0..plan.loads {
        let done = place.run(bench, Task::Load)?;
        taken.loads.push(done.load);
        taken.residents.push(done.resident);
        taken.peaks.push(done.peak);
    }
    for threads in THREADS {
        let task = Task::Fetch { threads, rounds: plan.fetch_rounds, millis: plan.fetch_millis };
        let done = place.run(bench, task)?;
        taken.done.fetch.extend(done.fetch);
        match taken.fetches.iter_mut().find(|(t, _)| *t == threads) {
            Some((_, all)) => all.extend(done.fetches),
            None => taken.fetches.push((threads, done.fetches)),
        }
    }
    let floor = bench.disk.dir().join("floor");
    let (most, millis) = (plan.changes, plan.change_millis);
    let floor_len = names::record_len();
    let done = place.run(bench, Task::Change { most, millis, floor: floor.clone(), floor_len })?;
    let _ = fs::remove_file(floor);
    taken.firsts.push(done.first);
    taken.done.store.extend(done.store);
    taken.done.generate.extend(done.generate);
    taken.done.remove.extend(done.remove);
    taken.done.floor.extend(done.floor);
    if round == 0 {
        let (most, device, on) = (20, bench.disk.counter(), bench.disk.dir().to_owned());
        taken.bytes = place.run(bench, Task::Bytes { most, millis, device, on })?;
    }
    Ok(())
}

/// The tables that grow with the sizes.
#[derive(Default)]
struct Tables {
    fetch: Vec<Row>,
    change: Vec<Row>,
    load: Vec<Row>,
    bytes: Vec<Row>,
}

impl Tables {
    fn add(&mut self, keys: u64, [ours, peer]: &[Taken; 2]) {
        let row = |what: &str, unit, of: &dyn Fn(&Taken) -> Vec<f64>| {
            Row::new(what, Some(keys), unit, &of(ours), &of(peer))
        };
        // What stood beside ours. Beside the peer's, a sync of the floor's file has to write what the peer left unwritten.
        let floor = ours.done.floor.clone();
        self.fetch.push(row("a fetch", Unit::Time, &|t| t.done.fetch.clone()));
        for (i, threads) in THREADS.iter().enumerate() {
            let what = format!("fetches, {threads} thread{}", if *threads == 1 { "" } else { "s" });
            let of = |t: &Taken| t.fetches.get(i).map(|(_, all)| all.clone()).unwrap_or_default();
            self.fetch.push(row(&what, Unit::PerSecond, &of));
        }
        self.change.extend([
            row("a store", Unit::Time, &|t| t.done.store.clone()).with_floor(&floor),
            row("a generate", Unit::Time, &|t| t.done.generate.clone()).with_floor(&floor),
            row("a remove", Unit::Time, &|t| t.done.remove.clone()).with_floor(&floor),
            row("the first store after a load", Unit::Time, &|t| t.firsts.clone()).with_floor(&floor),
        ]);
        self.load.extend([
            row("keyring_load", Unit::Time, &|t| t.loads.clone()),
            row("memory resident", Unit::Bytes, &|t| t.residents.clone()),
            row("memory at most", Unit::Bytes, &|t| t.peaks.clone()),
        ]);
        self.bytes.push(row("given to write calls", Unit::Bytes, &|t| vec![t.bytes.written]));
        self.bytes.push(row("written to the device", Unit::Bytes, &|t| t.bytes.device.into_iter().collect()));
    }

    fn finish(self, bench: &Bench<'_>) -> Vec<Table> {
        let table = |title, about: String, floor, mut rows: Vec<Row>| {
            let mut order: Vec<String> = Vec::new();
            for row in &rows {
                if !order.contains(&row.what) {
                    order.push(row.what.clone());
                }
            }
            rows.sort_by_key(|row| (order.iter().position(|what| *what == row.what), row.size));
            Table { title, about, size: "keys", floor, rows }
        };
        let is = &bench.disk.is;
        vec![
            table(
                "Fetch",
                "Opens a reader, asks it for lengths and bytes, and closes it, for keys in random order. A fetch is the \
                 mean of 256, in one thread. The server's own locks are not included."
                    .to_owned(),
                "",
                self.fetch,
            ),
            table(
                "Store, generate, remove",
                format!(
                    "On {is}. The floor is an append of as many bytes as a store in keyring_external appends ({}) and an \
                     fdatasync, to another file there, after each of these stores. The first store after a load \
                     rewrites the keyring, as a remove does; later ones append. component_keyring_file syncs nothing: \
                     a power failure takes back the keys that its figures show.",
                    names::record_len()
                ),
                "floor",
                self.change,
            ),
            table(
                "Load",
                "The keyring opens with a random secret; its file is in the page cache. A passphrase adds the time of its \
                 Argon2id. Memory is what the process uses more than before it opened the library."
                    .to_owned(),
                "",
                self.load,
            ),
            table(
                "Bytes of a store",
                format!("On {is}. What the kernel had not written at the end was flushed and counted."),
                "",
                self.bytes,
            ),
        ]
    }
}
