// SPDX-License-Identifier: GPL-2.0-or-later
//! A process that generates and removes keys without a pause, and tells of each before and after; what
//! it told is compared with what the keyring holds when a fault has ended the process or its volume.

use super::Keyring;
use super::programs::{signal, wait_until};
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::Keyring as Open;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Says that this process is a worker, and where its keyring is.
const WORKER: &str = "KX_WORKER";
/// Owner of its keys.
const OWNER: &[u8] = b"worker";
/// So many keys are kept.
const KEPT: usize = 12;

/// Carries out the work when this process is a worker.
pub fn work_if_asked() -> Option<ExitCode> {
    let setting = std::env::var(WORKER).ok()?;
    let mut fields = setting.split('|');
    let (round, min, secret) = (fields.next()?, fields.next()?, fields.next()?);
    let mut paths = fields.map(PathBuf::from);
    let keyring = Keyring {
        path: paths.next()?,
        secret: PathBuf::from(secret),
        mirrors: paths.collect(),
        min_copies: min.parse().ok()?,
        remotes: None,
    };
    work(&keyring, round);
    Some(ExitCode::SUCCESS)
}

fn work(keyring: &Keyring, round: &str) {
    let mut out = std::io::stdout();
    let mut say = move |text: String| writeln!(out, "{text}").and_then(|()| out.flush()).is_ok();
    let open = match keyring.try_open() {
        Ok(open) => open,
        Err(e) => {
            say(format!("! {e}"));
            return;
        }
    };
    let mut names: Vec<String> = names_in(&open).into_iter().collect();
    say("ready".to_owned());
    for n in 0.. {
        let done = if names.len() < KEPT || n % 3 == 0 {
            let id = format!("{round}.{n}");
            say(format!("+ {id}"));
            open.generate(name(&id), &KeyType::new(b"AES").unwrap(), 32).map(|()| {
                let bytes = open.fetch(&name(&id), |key| hex(key.data)).unwrap();
                say(format!("= {id} {bytes}"));
                names.push(id);
            })
        } else {
            let id = names.remove((n * 7) % names.len());
            say(format!("- {id}"));
            open.remove(name(&id)).map(|()| {
                say(format!("= {id}"));
            })
        };
        if let Err(e) = done {
            say(format!("! {e}"));
            return;
        }
    }
}

fn name(id: &str) -> NameRef<'_> {
    NameRef::new(id.as_bytes(), OWNER).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn names_in(open: &Open) -> Vec<String> {
    let mine = open.names().into_iter().filter(|n| n.as_ref().user() == OWNER);
    mine.map(|n| String::from_utf8_lossy(n.as_ref().id()).into_owned()).collect()
}

/// Changes that are acknowledged before a fault.
const LEAST: u64 = 3;

/// What was acknowledged so far.
#[derive(Debug, Default)]
pub struct Book {
    /// Each key and its bytes.
    keys: BTreeMap<String, String>,
    /// The change that had begun and was not acknowledged: the name, and whether it was to be there.
    in_flight: Option<(String, bool)>,
    pub acknowledged: usize,
    pub faults: usize,
    pub interrupted: usize,
    /// All that was told, with the number of the fault.
    told: Vec<(usize, String)>,
    /// What the last worker failed with.
    pub error: Option<String>,
}

impl Book {
    /// Has a worker work on the keyring, and `fault` happen that long after its first changes.
    pub fn round(&mut self, keyring: &Keyring, after: Duration, fault: impl FnOnce(&Worker)) {
        self.faults += 1;
        let mut worker = Worker::start(keyring, self.faults);
        let mut lines = BufReader::new(worker.child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        assert_eq!(first, "ready", "the worker did not begin");
        let acknowledged = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&acknowledged);
        let count = move |line: &String| {
            counter.fetch_add(u64::from(line.starts_with('=')), Ordering::Relaxed);
        };
        let reading = std::thread::spawn(move || lines.inspect(count).collect::<Vec<_>>());
        // However slow the machine is, there is something to lose.
        wait_until(Duration::from_secs(60), || {
            acknowledged.load(Ordering::Relaxed) >= LEAST || reading.is_finished()
        });
        std::thread::sleep(after);
        fault(&worker);
        // A worker that notices nothing does not keep the test: it is ended, and has no error.
        wait_until(Duration::from_secs(15), || reading.is_finished());
        drop(worker);
        let lines = reading.join().unwrap();
        self.note(&lines);
    }

    fn note(&mut self, lines: &[String]) {
        self.error = None;
        for line in lines {
            self.told.push((self.faults, line.clone()));
            let (mark, rest) = line.split_at(2);
            match mark {
                "+ " => self.in_flight = Some((rest.to_owned(), true)),
                "- " => self.in_flight = Some((rest.to_owned(), false)),
                "= " => {
                    self.acknowledged += 1;
                    match (self.in_flight.take(), rest.split_once(' ')) {
                        (Some((id, true)), Some((_, bytes))) => drop(self.keys.insert(id, bytes.to_owned())),
                        (Some((id, false)), None) => drop(self.keys.remove(&id)),
                        odd => panic!("{odd:?} at {line}"),
                    }
                }
                "! " => self.error = Some(rest.to_owned()),
                _ => panic!("the worker said {line}"),
            }
        }
        self.interrupted += usize::from(self.in_flight.is_some());
    }

    /// The keyring holds what was acknowledged, byte for byte, and nothing else; the change in flight has
    /// happened or not.
    pub fn check(&mut self, keyring: &Keyring) {
        let copies: Vec<_> = keyring
            .paths()
            .iter()
            .map(|path| match keyring.copy(path).try_open() {
                Ok(copy) => format!("generation {}: {:?}", copy.status().generation, names_in(&copy)),
                Err(e) => e.to_string(),
            })
            .collect();
        self.told.push((self.faults, format!("  found {copies:#?}")));
        let open = keyring.try_open().unwrap_or_else(|e| panic!("after fault {}: {e}", self.faults));
        let mut found: BTreeMap<String, String> = names_in(&open)
            .into_iter()
            .map(|id| {
                let bytes = open.fetch(&name(&id), |key| hex(key.data)).unwrap();
                (id, bytes)
            })
            .collect();
        if let Some((id, stored)) = self.in_flight.take() {
            match (stored, found.get(&id)) {
                // Generated after all: its bytes were told to nobody.
                (true, Some(bytes)) => drop(self.keys.insert(id, bytes.clone())),
                (false, None) => drop(self.keys.remove(&id)),
                _ => {}
            }
        }
        for (id, bytes) in &self.keys {
            match found.remove(id) {
                None => panic!("after fault {}: {id} is lost: {}", self.faults, self.story_of(id)),
                Some(other) => assert_eq!(other, *bytes, "after fault {}: {id} has other bytes", self.faults),
            }
        }
        if let Some(id) = found.keys().next() {
            panic!("after fault {}: {id} is back: {}", self.faults, self.story_of(id));
        }
        open.bring_up_to_date().unwrap_or_else(|e| panic!("after fault {}: {e}", self.faults));
    }

    /// All that was told of a key, and the last that was told at all.
    pub fn story_of(&self, id: &str) -> String {
        let about = |line: &str| line.split(' ').nth(1) == Some(id) || line.starts_with('!');
        let mut story: Vec<_> = self.told.iter().filter(|(_, line)| about(line)).collect();
        story.extend(self.told.iter().rev().take(6).rev());
        story.iter().map(|(n, line)| format!("\n    {n}: {line}")).collect()
    }

    /// Tells what was done.
    pub fn report(&self, what: &str) {
        eprintln!(
            "{what}: {} faults, {} changes acknowledged, {} in flight; 0 lost, 0 false",
            self.faults, self.acknowledged, self.interrupted
        );
        assert!(self.acknowledged >= LEAST as usize * self.faults, "too few changes to prove anything");
    }
}

/// A worker's process.
#[derive(Debug)]
pub struct Worker {
    child: Child,
}

impl Worker {
    fn start(keyring: &Keyring, round: usize) -> Worker {
        let paths: Vec<_> = keyring.paths().iter().map(|p| p.display().to_string()).collect();
        let setting =
            format!("{round}|{}|{}|{}", keyring.min_copies, keyring.secret.display(), paths.join("|"));
        let child = Command::new(std::env::current_exe().unwrap())
            .env(WORKER, setting)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Worker { child }
    }

    /// kill -9.
    pub fn kill(&self) {
        signal(self.child.id(), Signal::KILL);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
