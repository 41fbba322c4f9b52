// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring with a copy on each of two volumes of these tests, what was acknowledged of it, and the
//! comparison of both.

use super::serve::DIRECTORY;
use super::volume::Fuse;
use crate::common::sim::Sim;
use crate::common::{Op, Rng, Set, contents, put, unlock};
use crate::rig::{place, told};
use keyring_external::config::{AuditConfig, Config, DEFAULT_REMOTES};
use keyring_external::error::{BadRequest, Error, Refusal, Result};
use keyring_external::keyring::{Keyring, Trust, load};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// What the kernel calls the error that is injected.
const TOLD: &str = "Input/output error";
const WITNESS: &str = "keyring_external.witness";

/// The keyring, its volumes, and what was promised.
pub struct Life {
    volumes: [Fuse; 2],
    datadir: TempDir,
    witness: Option<Vec<u8>>,
    open: Option<Keyring>,
    pub promised: Promised,
    /// What the run of a scenario is called in messages.
    pub what: String,
}

/// What was acknowledged.
#[derive(Clone, Default)]
pub struct Promised {
    /// There is a keyring.
    made: bool,
    /// There is a copy on the second volume.
    mirrored: bool,
    min_copies: u32,
    /// The keys.
    keys: Set,
    /// Changes that failed since the last that was acknowledged: each has happened or not.
    doubtful: Vec<Op>,
    /// All keys that there ever were, oldest first: what a copy that is alone may hold.
    before: Vec<Set>,
    /// Steps that failed, and that were acknowledged.
    pub failed: usize,
    pub acknowledged: usize,
}

/// A state to begin from: the volumes, the witness and what was promised.
#[derive(Clone)]
pub struct Start {
    volumes: [Sim; 2],
    witness: Option<Vec<u8>>,
    promised: Promised,
}

impl Start {
    /// Nothing anywhere.
    pub fn empty() -> Start {
        let promised = Promised { min_copies: 1, ..Promised::default() };
        Start { volumes: Default::default(), witness: None, promised }
    }

    /// The same without the second copy.
    pub fn with_one_copy(&self) -> Start {
        let mut start = self.clone();
        start.volumes[1] = Sim::default();
        start.promised.mirrored = false;
        start
    }

    /// The same with what an interrupted write left beside the first copy.
    pub fn with_leftover(&self) -> Start {
        let start = self.clone();
        start.volumes[0].put(Path::new(DIRECTORY).join("keyring.new"), vec![7; 20_000]);
        start
    }

    /// The same, and so many copies must be reached.
    pub fn with_min_copies(&self, min_copies: u32) -> Start {
        let mut start = self.clone();
        start.promised.min_copies = min_copies;
        start
    }
}

impl Life {
    /// Two empty volumes.
    pub fn new() -> Life {
        let datadir = tempfile::Builder::new().prefix("d").tempdir_in(&place().run).unwrap();
        let (volumes, promised) = ([Fuse::new(), Fuse::new()], Promised::default());
        Life { volumes, datadir, witness: None, open: None, promised, what: String::new() }
    }

    /// Goes back to a state.
    pub fn begin(&mut self, start: &Start) {
        self.open = None;
        self.come_back(&start.volumes);
        self.witness = start.witness.clone();
        self.promised = start.promised.clone();
        self.put_witness();
    }

    /// The state now. Nothing is in doubt.
    pub fn state(&mut self) -> Start {
        self.open = None;
        assert_eq!(self.promised.failed, 0, "{}", self.what);
        let promised = Promised { acknowledged: 0, ..self.promised.clone() };
        let volumes = [0, 1].map(|n| self.volumes[n].durable());
        Start { volumes, witness: self.read_witness(), promised }
    }

    fn witness_path(&self) -> PathBuf {
        self.datadir.path().join(WITNESS)
    }

    fn read_witness(&self) -> Option<Vec<u8>> {
        fs::read(self.witness_path()).ok()
    }

    fn put_witness(&self) {
        match &self.witness {
            Some(bytes) => fs::write(self.witness_path(), bytes).unwrap(),
            None => drop(fs::remove_file(self.witness_path())),
        }
    }

    fn paths(&self) -> [PathBuf; 2] {
        [0, 1].map(|n| self.volumes[n].keys().join("keyring"))
    }

    fn config(&self) -> Config {
        let [path, mirror] = self.paths();
        Config {
            path,
            mirrors: self.promised.mirrored.then_some(mirror).into_iter().collect(),
            remotes: DEFAULT_REMOTES.into(),
            min_copies: self.promised.min_copies,
            unlock: unlock(),
            read_only: false,
            allow_same_device: false,
            auto_create: false,
            wait: 0,
            audit: AuditConfig::default(),
            datadir: Some(self.datadir.path().to_owned()),
        }
    }

    fn try_open(&self) -> Result<Keyring> {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let (keyring, _) = Keyring::open(&Places::from(&fs), &self.config(), Trust::Witness, |_, _| {})?;
        Ok(keyring)
    }

    fn fails(&mut self, text: &str) {
        self.promised.failed += 1;
        assert!(text.contains(TOLD), "{}: the error is told as {text}", self.what);
    }

    /// Runs `keyringctl`; whether it said that all is done.
    fn ctl(&mut self, command: &str) -> bool {
        let [path, mirror] = self.paths();
        let output = Command::new(&place().keyringctl)
            .arg(command)
            .arg(path)
            .arg("--mirror")
            .arg(mirror)
            .args(["--unlock", &unlock().to_string()])
            .args(if command == "sync" { &["--create", "--yes"][..] } else { &[] })
            .output()
            .unwrap();
        let done = output.status.success();
        if done {
            self.promised.acknowledged += 1;
        } else {
            let text = told(&output);
            // The error was over when it looked again.
            let over = text.contains("create a new one: keyringctl sync");
            self.fails(if over { TOLD } else { &text });
        }
        done
    }

    // The steps of a scenario.

    /// `keyringctl init`, with a copy on each volume.
    pub fn init(&mut self) {
        let done = self.ctl("init");
        self.promised.made = done;
        self.promised.mirrored = done;
    }

    /// `keyringctl sync`, which makes the copy on the second volume.
    pub fn sync(&mut self) {
        self.promised.mirrored |= self.ctl("sync");
    }

    /// Opens it as a server does, with another try when that fails.
    pub fn load(&mut self) {
        for _ in 0..2 {
            match self.try_open().and_then(|keyring| keyring.bring_up_to_date().map(|()| keyring)) {
                Ok(keyring) => {
                    self.promised.acknowledged += 1;
                    self.judge(&contents(&keyring), "loaded");
                    self.open = Some(keyring);
                    return;
                }
                Err(e) => self.fails(&e.to_string()),
            }
        }
    }

    /// Makes a change.
    pub fn change(&mut self, op: Op) {
        let Some(keyring) = self.open.take() else { return };
        match op.run(&keyring) {
            Ok(()) => {
                let found = contents(&keyring);
                let keys = op.after(&self.promised.keys, &found);
                assert_eq!(found, keys, "{}: {op:?}", self.what);
                self.promised.before.push(std::mem::replace(&mut self.promised.keys, keys));
                self.promised.doubtful.clear();
                self.promised.acknowledged += 1;
            }
            // The key that it was to remove was not stored.
            Err(Error::BadRequest(BadRequest::NoSuchKey { .. })) if self.promised.failed > 0 => {}
            Err(e) => {
                self.fails(&e.to_string());
                let memory = contents(&keyring);
                assert_eq!(memory, self.promised.keys, "{}: {op:?} failed and changed memory", self.what);
                self.promised.doubtful.push(op);
            }
        }
        self.open = Some(keyring);
    }

    /// Ends the program that has it open.
    pub fn close(&mut self) {
        self.open = None;
        self.witness = self.read_witness();
    }

    // What is found afterwards.

    /// What was found is what was acknowledged, or that and a change in doubt.
    fn judge(&mut self, found: &Set, when: &str) {
        let p = &mut self.promised;
        if *found == p.keys {
            return;
        }
        let after = p.doubtful.iter().any(|op| *found == op.after(&p.keys, found));
        assert!(after, "{}, {when}: acknowledged {:#?}, found {found:#?}", self.what, p.keys);
        // It has happened, for good.
        p.keys = found.clone();
    }

    /// A copy that is looked at alone holds what there was at some time.
    fn judge_alone(&self, index: usize, found: &Set, when: &str) {
        let p = &self.promised;
        let known = p
            .before
            .iter()
            .chain([&p.keys])
            .any(|set| found == set || p.doubtful.iter().any(|op| *found == op.after(set, found)));
        assert!(known, "{}, {when}: copy {index} holds {found:#?}", self.what);
    }

    /// Checks all that was promised, when no fault is there any more, and that all goes on.
    pub fn check(&mut self, when: &str) {
        let promised = self.promised.clone();
        self.put_witness();
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let copies = self.paths();
        for (index, path) in copies.iter().enumerate() {
            let due = if index == 0 { promised.made } else { promised.mirrored };
            match load(&Places::from(&fs), path, &unlock()) {
                Ok((copy, _)) => self.judge_alone(index, &contents(&copy), when),
                Err(Error::Refusal(Refusal::Missing { .. })) if !due => {}
                Err(e) => panic!("{}, {when}: copy {index} does not open: {e}", self.what),
            }
        }
        if !promised.made {
            self.init_again(&copies, when);
        } else if !promised.mirrored && self.volumes[1].bytes("keyring.new").is_some() {
            // As the message says.
            fs::remove_file(copies[1].with_extension("new")).unwrap();
        }
        let open = self.try_open().unwrap_or_else(|e| panic!("{}, {when}: {e}", self.what));
        open.bring_up_to_date().unwrap_or_else(|e| panic!("{}, {when}: {e}", self.what));
        let mut keys = contents(&open);
        self.judge(&keys, when);
        let next = Op::Store { id: "next", user: "", key_type: "AES", data: vec![7; 32] };
        next.run(&open).unwrap_or_else(|e| panic!("{}, {when}, next: {e}", self.what));
        put(&mut keys, "next", "", "AES", &[7; 32]);
        assert_eq!(contents(&open), keys, "{}, {when}", self.what);
        let status = open.status();
        let all = 1 + usize::from(self.promised.mirrored);
        assert_eq!(status.copies, (all, all), "{}, {when}: {status:?}", self.what);
        drop(open);
        let [a, b] = [0, 1].map(|n| self.volumes[n].bytes("keyring"));
        assert!(!self.promised.mirrored || a == b, "{}, {when}: the copies differ", self.what);
        for path in copies.iter().take(all) {
            let (copy, notes) = load(&Places::from(&fs), path, &unlock()).unwrap();
            assert_eq!((contents(&copy), notes), (keys.clone(), vec![]), "{}, {when}", self.what);
        }
        self.promised = promised;
    }

    /// What a failed init left must not be in the way, but for what its message names.
    fn init_again(&mut self, copies: &[PathBuf], when: &str) {
        for path in copies {
            let _ = fs::remove_file(path);
            let _ = fs::remove_file(path.with_extension("new"));
        }
        self.what.push_str(when);
        self.init();
        assert!(self.promised.made, "{}", self.what);
    }

    /// What a power cut on both volumes now may leave, some of it.
    pub fn after_cut(&self, rng: &mut Rng, most: usize) -> Vec<[Sim; 2]> {
        let left = [0, 1].map(|n| self.volumes[n].after_cut(rng, most));
        // The first of each: nothing that was not synced arrived.
        let mut states = vec![[0, 1].map(|n| left[n][0].clone())];
        while states.len() < most.min(left[0].len().max(left[1].len())) {
            states.push([0, 1].map(|n| left[n][rng.below(left[n].len())].clone()));
        }
        states
    }

    /// Has the volumes come back as a power cut left them.
    pub fn come_back(&mut self, state: &[Sim; 2]) {
        for (volume, sim) in self.volumes.iter_mut().zip(state) {
            volume.comes_back_as(sim);
        }
    }

    /// No request fails any more.
    pub fn heal(&self) {
        self.volumes.iter().for_each(Fuse::heal);
    }

    /// A volume: 0 has the copy that is named first.
    pub fn volume(&self, number: usize) -> &Fuse {
        &self.volumes[number]
    }
}
