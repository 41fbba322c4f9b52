// SPDX-License-Identifier: GPL-2.0-or-later
//! What is measured in a process of its own, so that every library begins afresh and its memory is told from
//! all other: this program runs itself again with a job, and reads what it came to.

use crate::host::Component;
use crate::names::{Name, data};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One keyring, and what is to be done with it.
#[derive(Serialize, Deserialize, Debug)]
pub struct Job {
    /// The component's library.
    pub library: PathBuf,
    /// Where its configuration is.
    pub plugin_dir: PathBuf,
    /// The server's data directory.
    pub datadir: PathBuf,
    /// Keys that it holds.
    pub keys: u64,
    /// What is measured.
    pub task: Task,
}

/// What is measured.
#[derive(Serialize, Deserialize, Debug)]
pub enum Task {
    /// The load itself.
    Load,
    /// Fetches of keys in random order by so many threads: rounds of so many milliseconds.
    Fetch { threads: u32, rounds: u32, millis: u64 },
    /// Stores, generates and removes in turn until there are so many of each or the time is up; after each
    /// store an append of as many bytes to the file `floor`, made durable.
    Change { most: usize, millis: u64, floor: PathBuf, floor_len: usize },
    /// Bytes of so many stores at most; `device` is the file that counts what the device wrote.
    Bytes { most: u64, millis: u64, device: Option<PathBuf>, on: PathBuf },
    /// No time: so many fetches and stores, to be counted from outside.
    Count { fetches: u64, stores: u64 },
}

/// What a job came to. Times are nanoseconds; a list has one value for each sample.
#[derive(Serialize, Deserialize, Debug, Default)]
pub struct Done {
    /// keyring_load.
    pub load: f64,
    /// Bytes of memory that the library and its keys take.
    pub resident: f64,
    /// The most bytes it ever took.
    pub peak: f64,
    /// A fetch, as one thread sees it when no other is at work: means of [`BATCH`] ones.
    pub fetch: Vec<f64>,
    /// Fetches in a second by all threads.
    pub fetches: Vec<f64>,
    /// The first store after a load.
    pub first: f64,
    /// Later ones.
    pub store: Vec<f64>,
    pub generate: Vec<f64>,
    pub remove: Vec<f64>,
    pub floor: Vec<f64>,
    /// Bytes of a store that the kernel was given to write.
    pub written: f64,
    /// Bytes of a store that reached the device.
    pub device: Option<f64>,
    /// Stores that the bytes were counted of.
    pub counted: u64,
}

/// Does a job and prints what it came to.
pub fn work(job: &str) -> Result<(), String> {
    let job: Job = serde_json::from_str(job).map_err(|e| format!("no job: {e}"))?;
    let mut done = Done::default();
    let before = memory("VmRSS:");
    let component = Component::open(&job.library)?;
    let began = Instant::now();
    component.load(&job.plugin_dir, &job.datadir)?;
    done.load = nanos(began);
    done.resident = memory("VmRSS:") - before;
    done.peak = memory("VmHWM:") - before;
    match &job.task {
        Task::Load => {}
        Task::Fetch { threads, rounds, millis } => {
            for _ in 0..*rounds {
                fetch(&component, job.keys, *threads, Duration::from_millis(*millis), &mut done)?;
            }
        }
        Task::Change { most, millis, floor, floor_len } => {
            let floor = (File::create(floor).map_err(|e| e.to_string())?, *floor_len);
            change(&component, job.keys, *most, Duration::from_millis(*millis), &floor, &mut done)?;
        }
        Task::Bytes { most, millis, device, on } => {
            let on = File::open(on).map_err(|e| e.to_string())?;
            let limit = Duration::from_millis(*millis);
            bytes(&component, job.keys, *most, limit, (device.as_deref(), &on), &mut done)?;
        }
        Task::Count { fetches, stores } => {
            let mut name = Name::new(0);
            for i in 0..*fetches {
                name.set(i % job.keys);
                expect(component.fetch(name.c()), "fetch")?;
            }
            for i in 0..*stores {
                store(&component, job.keys + i)?;
            }
        }
    }
    println!("{}", serde_json::to_string(&done).map_err(|e| e.to_string())?);
    Ok(())
}

fn nanos(began: Instant) -> f64 {
    began.elapsed().as_nanos() as f64
}

fn expect(done: bool, what: &str) -> Result<(), String> {
    if done { Ok(()) } else { Err(format!("a {what} failed")) }
}

fn store(component: &Component, i: u64) -> Result<f64, String> {
    let (name, data) = (Name::new(i), data(i));
    let began = Instant::now();
    let stored = component.store(name.c(), &data);
    let took = nanos(began);
    expect(stored, "store").map(|()| took)
}

/// A line of this process's status, in bytes.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let value = status.lines().find_map(|l| l.strip_prefix(line)?.trim().strip_suffix(" kB")?.parse().ok());
    value.unwrap_or(0.0) * 1024.0
}

/// Between two looks at the clock.
const BATCH: u64 = 256;

fn fetch(
    component: &Component,
    keys: u64,
    threads: u32,
    limit: Duration,
    done: &mut Done,
) -> Result<(), String> {
    let (start, stop) = (Barrier::new(threads as usize + 1), AtomicBool::new(false));
    let fetch_all = |seed: u64| {
        let (mut name, mut state, mut count, mut good) = (Name::new(0), seed, 0u64, true);
        let mut batches = Vec::new();
        start.wait();
        let began = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let batch = Instant::now();
            for _ in 0..BATCH {
                // Which key is next is known to nobody, nor to the processor's caches.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                name.set(((u128::from(state) * u128::from(keys)) >> 64) as u64);
                good &= component.fetch(name.c());
            }
            count += BATCH;
            batches.push(nanos(batch) / BATCH as f64);
        }
        (count, nanos(began), good, batches)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=threads)
            .map(|t| scope.spawn(move || fetch_all(0x9e37_79b9_7f4a_7c15 ^ u64::from(t))))
            .collect();
        start.wait();
        std::thread::sleep(limit);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    expect(results.iter().all(|(_, _, good, _)| *good), "fetch")?;
    done.fetches.push(results.iter().map(|(count, took, ..)| *count as f64 * 1e9 / took).sum());
    if let [(.., batches)] = &results[..] {
        done.fetch.extend(batches);
    }
    Ok(())
}

/// Changes of a kind that follow one another.
const RUN: u64 = 5;

fn change(
    component: &Component,
    keys: u64,
    most: usize,
    limit: Duration,
    (floor, floor_len): &(File, usize),
    done: &mut Done,
) -> Result<(), String> {
    let timed = |what: &str, change: &dyn Fn() -> bool| {
        let began = Instant::now();
        let changed = change();
        let took = nanos(began);
        expect(changed, what).map(|()| took)
    };
    let line = vec![b'x'; *floor_len];
    let mut floor_end = 0;
    let mut append = || {
        let began = Instant::now();
        let appended = floor.write_all_at(&line, floor_end).and_then(|()| floor.sync_data());
        floor_end += line.len() as u64;
        appended.map_err(|e| format!("the floor: {e}")).map(|()| nanos(began))
    };
    append()?;
    done.first = store(component, keys)?;
    let began = Instant::now();
    // The keyring keeps its size: what was added is removed.
    while done.store.len() < most && (done.store.is_empty() || began.elapsed() < limit) {
        let (stored, generated) = (keys + 1..keys + 1 + RUN, keys + 1 + RUN..keys + 1 + 2 * RUN);
        for i in stored.clone() {
            done.store.push(store(component, i)?);
            done.floor.push(append()?);
        }
        for i in generated.clone() {
            let name = Name::new(i);
            done.generate.push(timed("generate", &|| component.generate(name.c()))?);
        }
        for i in stored.chain(generated) {
            let name = Name::new(i);
            done.remove.push(timed("remove", &|| component.remove(name.c()))?);
        }
    }
    Ok(())
}

/// Bytes that this process gave to write calls.
fn written() -> f64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|l| l.strip_prefix("wchar: ")?.parse().ok()).unwrap_or(0.0)
}

/// Bytes that a block device wrote since it is there.
fn device_wrote(stat: &std::path::Path) -> Option<f64> {
    const SECTOR: f64 = 512.0;
    let stat = std::fs::read_to_string(stat).ok()?;
    stat.split_whitespace().nth(6)?.parse::<f64>().ok().map(|sectors| sectors * SECTOR)
}

fn bytes(
    component: &Component,
    keys: u64,
    most: u64,
    limit: Duration,
    (device, on): (Option<&std::path::Path>, &File),
    done: &mut Done,
) -> Result<(), String> {
    let sync = || rustix::fs::syncfs(on).map_err(|e| format!("syncfs: {e}"));
    // The first one writes all.
    store(component, keys)?;
    sync()?;
    let (calls, blocks, began) = (written(), device.and_then(device_wrote), Instant::now());
    while done.counted < most && (done.counted == 0 || began.elapsed() < limit) {
        done.counted += 1;
        store(component, keys + done.counted)?;
    }
    let count = done.counted as f64;
    done.written = (written() - calls) / count;
    // What the kernel has not written yet is part of the cost.
    sync()?;
    done.device = device.and_then(device_wrote).zip(blocks).map(|(after, before)| (after - before) / count);
    Ok(())
}
