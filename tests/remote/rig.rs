// SPDX-License-Identifier: GPL-2.0-or-later
//! Programs, and the engines and the volume that hold the copies of their keyring.

use crate::common::sim::Sim;
use crate::common::{CHEAP, Op, PATH, Rng, SECRET, Set, contents, copies, data, secret, unlock};
use crate::engine::{Client, Engine, Kind};
use keyring_external::error::Error;
use keyring_external::format::image::Note;
use keyring_external::format::layout::HEADER_LEN;
use keyring_external::keyring::{Keyring, NewKeyring, Trust, load_all};
use keyring_external::store::places::Places;
use keyring_external::store::remote::head::Head;
use std::path::PathBuf;
use std::sync::Arc;

/// Copies at the two engines.
pub const ONE: &str = "@one/fleet/db1";
pub const TWO: &str = "@two/db1";
/// The head of the first.
pub const HEAD_ONE: &str = "fleet/db1/head";

/// Where the copies of a keyring lie.
pub type Layout = &'static [&'static str];

/// One remote, two remotes, and a file with a remote.
pub const LAYOUTS: [Layout; 3] = [&[ONE], &[ONE, TWO], &[PATH, ONE]];

/// All there is besides programs.
#[derive(Clone, Debug)]
pub struct World {
    pub volume: Sim,
    pub one: Engine,
    pub two: Engine,
}

/// What a program uses.
#[derive(Debug)]
pub struct Program {
    pub places: Places,
    pub one: Arc<Client>,
    pub two: Arc<Client>,
}

pub fn paths(layout: Layout) -> Vec<PathBuf> {
    layout.iter().map(PathBuf::from).collect()
}

impl World {
    pub fn new(rng: Rng) -> Self {
        Self::on(Kind::Numbers, rng)
    }

    /// One whose engines are of this kind.
    pub fn on(kind: Kind, mut rng: Rng) -> Self {
        let (one, two) = (Engine::new(kind, rng.split()), Engine::new(kind, rng.split()));
        Self { volume: Sim::default(), one, two }
    }

    /// A world with the same objects and files that goes its own way.
    pub fn fork(&self) -> Self {
        Self { volume: self.volume.fork(), one: self.one.fork(), two: self.two.fork() }
    }

    /// A program that was just started.
    pub fn program(&self) -> Program {
        let (one, two) = (self.one.client(), self.two.client());
        let places = Places::from(self.volume.fs())
            .with_engine("one", Arc::clone(&one) as _)
            .with_engine("two", Arc::clone(&two) as _);
        Program { places, one, two }
    }

    /// A world with an empty keyring.
    pub fn with_keyring(layout: Layout, rng: Rng) -> Self {
        Self::with_keyring_on(Kind::Numbers, layout, rng)
    }

    pub fn with_keyring_on(kind: Kind, layout: Layout, rng: Rng) -> Self {
        let world = Self::on(kind, rng);
        world.program().create(layout).unwrap();
        world
    }

    /// A world with a keyring of four keys, filled by appending.
    pub fn filled(layout: Layout, rng: Rng) -> (Self, Set) {
        Self::filled_on(Kind::Numbers, layout, rng)
    }

    pub fn filled_on(kind: Kind, layout: Layout, rng: Rng) -> (Self, Set) {
        let world = Self::with_keyring_on(kind, layout, rng);
        let keyring = world.program().load(layout, layout.len()).unwrap();
        for (id, user, t, len) in [
            ("INNODBKey-1", "", "AES", 32),
            ("short", "anna", "SECRET", 1),
            ("short", "bert", "AES", 16),
            ("long", "anna", "SECRET", 300),
        ] {
            Op::Store { id, user, key_type: t, data: data(len as u64, len) }.run(&keyring).unwrap();
        }
        (world, contents(&keyring))
    }

    /// What a program that is started now finds.
    pub fn found(&self, layout: Layout) -> Result<Set, Error> {
        self.program().load(layout, 1).map(|keyring| contents(&keyring))
    }

    /// Carries out what is still on its way.
    pub fn deliver(&self) -> usize {
        self.one.deliver() + self.two.deliver()
    }
}

impl Program {
    pub fn create(&self, layout: Layout) -> Result<(), Error> {
        NewKeyring::new("test", &secret(&SECRET), "test", CHEAP)?.write(&self.places, &paths(layout))
    }

    /// Opens the keyring as a tool does.
    pub fn load(&self, layout: Layout, min_copies: usize) -> Result<Keyring, Error> {
        let read = || unlock().read();
        load_all(&self.places, &paths(layout), min_copies, "test", read, |_, _| {}).map(|(k, _)| k)
    }

    /// What one copy holds, and what is odd about it.
    pub fn look(&self, path: &str) -> Result<(Set, Vec<Note>), Error> {
        let read = || unlock().read();
        let (keyring, notes) = load_all(&self.places, &[path.into()], 1, "test", read, |_, _| {})?;
        Ok((contents(&keyring), notes))
    }

    /// Opens the keyring as a server does: it adopts what others change.
    pub fn serve(&self, layout: Layout, min_copies: u32) -> Result<Keyring, Error> {
        let config = copies::config(&paths(layout), min_copies);
        Keyring::open(&self.places, &config, Trust::Witness, |_, _| {}).map(|(keyring, _)| keyring)
    }
}

pub fn store(id: &'static str) -> Op {
    Op::Store { id, user: "", key_type: "AES", data: data(id.len() as u64, 32) }
}

/// The file that a copy at a remote stands for.
pub fn file(engine: &Engine, prefix: &str) -> Vec<u8> {
    let head = Head::decode(&engine.object(&format!("{prefix}/head")).unwrap()).unwrap();
    let mut file = head.front().0.to_vec();
    for piece in &head.pieces {
        file.extend(engine.object(&format!("{prefix}/{}", piece.name)).unwrap());
    }
    assert_eq!(file.len() as u64, head.file_len());
    assert_eq!(file[..HEADER_LEN], file[HEADER_LEN..2 * HEADER_LEN]);
    file
}
