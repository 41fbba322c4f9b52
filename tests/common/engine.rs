// SPDX-License-Identifier: GPL-2.0-or-later
//! A simulated engine for copies at a remote. It keeps what programs see apart from what they are told: it fails, does
//! what it was asked and loses the answer, loses the request, or carries a put out long after the program gave up, if
//! the put's condition holds then. Lists may be stale. It can be restored to an older snapshot, and programs can be cut
//! off. A get shows what the last put left, as every engine's does.

use crate::common::Rng;
use keyring_external::store::remote::objects::{
    Answer, Cause, MAX_OBJECT, Now, Object, Objects, Put, Trouble, Version,
};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// How many of the last changes a stale list may not show.
const LAG: usize = 6;

/// What is asked of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Get,
    Put,
    List,
    Delete,
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub what: What,
    /// The object, the folder, or the first of the objects.
    pub name: String,
}

/// How a request fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is refused and not carried out.
    Refused(Cause),
    /// It is not carried out, and the answer is that there is no room, which does not tell.
    NoRoom,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is lost itself, and nobody knows.
    RequestLost,
    /// It is lost, and carried out later.
    Late,
    /// The program dies, before the request is carried out or after.
    Death(Effect),
}

/// What becomes of the last request of a program that dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    None,
    Whole,
    /// It is carried out later.
    Late,
}

/// How a program dies.
pub const DEATHS: [Effect; 3] = [Effect::None, Effect::Whole, Effect::Late];

/// All faults of a request whose outcome its program cannot know.
pub const UNKNOWN: [Fault; 3] = [Fault::AnswerLost, Fault::RequestLost, Fault::Late];

/// What an engine can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Its versions are numbers, as Vault's.
    Numbers,
    /// Its versions are numbers, and it can put two objects in one step, as etcd.
    Pairs,
    /// The version of an object tells its bytes, as with S3, and it does not send an object that is known.
    Tags,
}

pub const KINDS: [Kind; 3] = [Kind::Numbers, Kind::Pairs, Kind::Tags];

/// How often requests fail by chance, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    pub refused: usize,
    pub answer_lost: usize,
    pub request_lost: usize,
    pub late: usize,
    /// Whether lists may be stale.
    pub stale: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Kept {
    bytes: Arc<[u8]>,
    version: u64,
}

/// A put that is still on its way.
#[derive(Clone, Debug)]
struct Delayed {
    name: String,
    bytes: Arc<[u8]>,
    was: Option<u64>,
    /// What is put in the same step if it does not exist.
    new: Option<(String, Arc<[u8]>)>,
}

type Kepts = BTreeMap<String, Kept>;

#[derive(Debug)]
struct World {
    objects: Kepts,
    revision: u64,
    rng: Rng,
    odds: Odds,
    /// Which requests fail, counted over all programs since the last [`Engine::plan`].
    planned: Vec<(usize, Fault)>,
    requests: Vec<Request>,
    delayed: Vec<Delayed>,
    kind: Kind,
    /// Whether a delayed put is carried out only by [`Engine::deliver`], and not by chance before any request.
    held: bool,
    /// Before each of the last changes: the name, and what it was.
    changes: Vec<(String, Option<Kept>)>,
}

/// What an engine holds at a moment.
#[derive(Clone)]
pub struct Snapshot(Kepts, u64);

/// An engine. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Mutex<World>>);

type Hook = dyn Fn(&Request) + Send + Sync;

/// A program's way to the engine.
pub struct Client {
    engine: Engine,
    cut: AtomicBool,
    dead: AtomicBool,
    before: Mutex<Option<Arc<Hook>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

fn trouble(fault: Fault) -> Trouble {
    match fault {
        Fault::Refused(cause) => Trouble::not_done(cause, format!("the simulated engine refuses: {cause:?}")),
        Fault::NoRoom => Trouble::unknown(Cause::Full, "the simulated engine has no room"),
        _ => Trouble::unknown(Cause::Unreachable, "the simulated engine does not answer"),
    }
}

impl World {
    fn set(&mut self, name: &str, kept: Option<Kept>) {
        let was = match kept {
            Some(kept) => self.objects.insert(name.to_owned(), kept),
            None => self.objects.remove(name),
        };
        self.changes.push((name.to_owned(), was));
        let old = self.changes.len().saturating_sub(LAG);
        self.changes.drain(..old);
    }

    fn put(&mut self, Delayed { name, bytes, was, new }: Delayed) -> Put {
        let another = new.as_ref().is_some_and(|(new, _)| self.objects.contains_key(new));
        if another || self.objects.get(&name).map(|kept| kept.version) != was {
            return Put::Conflict;
        }
        if let Some((new, bytes)) = new {
            let version = self.next_version(&bytes);
            self.set(&new, Some(Kept { bytes, version }));
        }
        let version = self.next_version(&bytes);
        self.set(&name, Some(Kept { bytes, version }));
        Put::Done(Version(version.to_string()))
    }

    /// The version of an object that gets these bytes.
    fn next_version(&mut self, bytes: &[u8]) -> u64 {
        self.revision += 1;
        match self.kind {
            Kind::Tags => {
                let mut hasher = DefaultHasher::new();
                bytes.hash(&mut hasher);
                hasher.finish()
            }
            Kind::Numbers | Kind::Pairs => self.revision,
        }
    }

    fn deliver(&mut self, index: usize) {
        let put = self.delayed.remove(index);
        self.put(put);
    }

    /// The objects as a list shows them.
    fn listed(&mut self) -> Kepts {
        let mut shown = self.objects.clone();
        if self.odds.stale {
            for (name, was) in self.changes.clone().into_iter().rev() {
                if self.rng.below(2) == 0 {
                    match was {
                        Some(kept) => shown.insert(name, kept),
                        None => shown.remove(&name),
                    };
                }
            }
        }
        shown
    }

    /// Counts a request, and says how it fails.
    fn begin(&mut self, request: Request) -> Option<Fault> {
        self.requests.push(request);
        let number = self.requests.len();
        while !self.held && !self.delayed.is_empty() && self.rng.below(4) == 0 {
            let index = self.rng.below(self.delayed.len());
            self.deliver(index);
        }
        if let Some((_, fault)) = self.planned.iter().find(|(at, _)| *at == number) {
            return Some(*fault);
        }
        let Odds { refused, answer_lost, request_lost, late, .. } = self.odds;
        let mut dice = self.rng.below(1000);
        let causes = [Cause::Unreachable, Cause::NoMajority, Cause::Unwell, Cause::Full, Cause::Credentials];
        let cause = causes[self.rng.below(causes.len())];
        let faults = [
            (refused, Fault::Refused(cause)),
            (answer_lost, Fault::AnswerLost),
            (request_lost, Fault::RequestLost),
            (late, Fault::Late),
        ];
        for (odds, fault) in faults {
            if dice < odds {
                return Some(fault);
            }
            dice -= odds;
        }
        None
    }
}

impl Engine {
    pub fn new(kind: Kind, rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(World {
            objects: Kepts::new(),
            revision: 0,
            rng,
            odds: Odds::default(),
            planned: Vec::new(),
            requests: Vec::new(),
            delayed: Vec::new(),
            kind,
            held: false,
            changes: Vec::new(),
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// A program's way to the engine.
    pub fn client(&self) -> Arc<Client> {
        let (cut, dead) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Client { engine: self.clone(), cut, dead, before: Mutex::default() })
    }

    /// An engine with the same objects that goes its own way.
    pub fn fork(&self) -> Engine {
        let engine = Engine::new(self.world().kind, Rng(7));
        engine.restore(&self.snapshot());
        engine
    }

    /// Counts requests from now on, and lets these fail.
    pub fn plan(&self, planned: &[(usize, Fault)]) {
        let mut world = self.world();
        world.planned = planned.to_vec();
        world.requests.clear();
    }

    pub fn set_odds(&self, odds: Odds) {
        self.world().odds = odds;
    }

    /// Holds delayed puts back until [`Engine::deliver`].
    pub fn hold_delayed(&self) {
        self.world().held = true;
    }

    /// The requests since the last plan.
    pub fn requests(&self) -> Vec<Request> {
        self.world().requests.clone()
    }

    /// Carries out all puts that are still on their way, the last ones first.
    pub fn deliver(&self) -> usize {
        let mut world = self.world();
        let count = world.delayed.len();
        for index in (0..count).rev() {
            world.deliver(index);
        }
        count
    }

    pub fn snapshot(&self) -> Snapshot {
        let world = self.world();
        Snapshot(world.objects.clone(), world.revision)
    }

    /// Restores a snapshot as etcd does: versions go back too.
    pub fn restore(&self, snapshot: &Snapshot) {
        let mut world = self.world();
        world.objects = snapshot.0.clone();
        world.revision = snapshot.1;
        world.changes.clear();
    }

    /// Brings back an older version of one object, as a bucket with versions can.
    pub fn restore_one(&self, snapshot: &Snapshot, name: &str) {
        let bytes = snapshot.0.get(name).map(|kept| kept.bytes.to_vec());
        self.overwrite(name, bytes.as_deref());
    }

    /// Changes an object behind everybody's back, as an administrator or a broken disk does.
    pub fn overwrite(&self, name: &str, bytes: Option<&[u8]>) {
        let mut world = self.world();
        let version = world.next_version(bytes.unwrap_or_default());
        world.set(name, bytes.map(|bytes| Kept { bytes: bytes.into(), version }));
    }

    /// Changes an object, and leaves its version as it is.
    pub fn corrupt(&self, name: &str, bytes: &[u8]) {
        let mut world = self.world();
        if let Some(kept) = world.objects.get_mut(name) {
            kept.bytes = bytes.into();
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.world().objects.keys().cloned().collect()
    }

    pub fn object(&self, name: &str) -> Option<Vec<u8>> {
        self.world().objects.get(name).map(|kept| kept.bytes.to_vec())
    }

    /// All objects with their bytes.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.world().objects.iter().map(|(name, kept)| (name.clone(), kept.bytes.to_vec())).collect()
    }
}

impl Client {
    /// Cuts the program off, or connects it again.
    pub fn cut_off(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// Calls this before each request of the program. A hook that sets another one replaces itself.
    pub fn before(&self, hook: impl Fn(&Request) + Send + Sync + 'static) {
        *self.before.lock().unwrap() = Some(Arc::new(hook));
    }

    /// Nothing more of the program happens. This is no panic, which would be printed.
    fn die(&self, world: Option<MutexGuard<'_, World>>) -> ! {
        self.dead.store(true, Ordering::SeqCst);
        drop(world);
        std::panic::resume_unwind(Box::new("the program is dead"));
    }

    /// Whether the program died. Other clients of it must be told.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn begin(&self, what: What, name: &str) -> Result<(MutexGuard<'_, World>, Option<Fault>), Trouble> {
        if self.is_dead() {
            self.die(None);
        }
        let request = Request { what, name: name.to_owned() };
        let hook = self.before.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(&request);
        }
        if self.cut.load(Ordering::SeqCst) {
            return Err(trouble(Fault::Refused(Cause::Unreachable)));
        }
        let mut world = self.engine.world();
        let fault = world.begin(request);
        match fault {
            Some(Fault::Refused(_)) => Err(trouble(fault.unwrap())),
            Some(Fault::Death(Effect::None)) => self.die(Some(world)),
            fault => Ok((world, fault)),
        }
    }
}

fn put_of(new: Option<(&str, &[u8])>, name: &str, bytes: &[u8], was: Option<&Version>) -> Delayed {
    let was = was.map(|version| version.0.parse().expect("a version of this engine"));
    let new = new.map(|(name, bytes)| (name.to_owned(), bytes.into()));
    Delayed { name: name.to_owned(), bytes: bytes.into(), was, new }
}

impl Client {
    fn put_now_or_later(&self, put: Delayed) -> Answer<Put> {
        let (mut world, fault) = self.begin(What::Put, &put.name)?;
        match fault {
            None => return Ok(world.put(put)),
            Some(Fault::AnswerLost | Fault::Death(Effect::Whole)) => drop(world.put(put)),
            Some(Fault::Late | Fault::Death(Effect::Late)) => world.delayed.push(put),
            Some(_) => {}
        }
        match fault {
            Some(Fault::Death(_)) => self.die(Some(world)),
            Some(Fault::NoRoom) => Err(trouble(Fault::NoRoom)),
            _ => Err(trouble(Fault::AnswerLost)),
        }
    }
}

impl Objects for Client {
    fn get(&self, name: &str, _until: Instant) -> Answer<Option<Object>> {
        let (world, fault) = self.begin(What::Get, name)?;
        match fault {
            Some(Fault::Death(_)) => self.die(Some(world)),
            Some(fault) => return Err(trouble(fault)),
            None => {}
        }
        let object =
            |kept: &Kept| Object { bytes: kept.bytes.to_vec(), version: Version(kept.version.to_string()) };
        Ok(world.objects.get(name).map(object))
    }

    fn get_if_changed(&self, name: &str, known: &Version, until: Instant) -> Answer<Now> {
        let says_same = self.engine.world().kind == Kind::Tags;
        Ok(match self.get(name, until)? {
            Some(object) if says_same && object.version == *known => Now::Same,
            object => Now::Object(object),
        })
    }

    fn put(&self, name: &str, bytes: &[u8], was: Option<&Version>, _until: Instant) -> Answer<Put> {
        assert!(bytes.len() <= MAX_OBJECT, "an object of {} bytes", bytes.len());
        self.put_now_or_later(put_of(None, name, bytes, was))
    }

    fn put_with(
        &self,
        new: (&str, &[u8]),
        name: &str,
        bytes: &[u8],
        was: &Version,
        _until: Instant,
    ) -> Answer<Option<Put>> {
        if self.engine.world().kind != Kind::Pairs {
            return Ok(None);
        }
        assert!(bytes.len() <= MAX_OBJECT && new.1.len() <= MAX_OBJECT);
        self.put_now_or_later(put_of(Some(new), name, bytes, Some(was))).map(Some)
    }

    fn list(&self, folder: &str, _until: Instant) -> Answer<Vec<String>> {
        let (mut world, fault) = self.begin(What::List, folder)?;
        match fault {
            Some(Fault::Death(_)) => self.die(Some(world)),
            Some(fault) => return Err(trouble(fault)),
            None => {}
        }
        let below = format!("{folder}/");
        Ok(world.listed().into_keys().filter(|name| name.starts_with(&below)).collect())
    }

    fn delete(&self, names: &[String], _until: Instant) -> Answer<()> {
        let first = names.first().cloned().unwrap_or_default();
        let (mut world, fault) = self.begin(What::Delete, &first)?;
        // A delete that is lost half-way deletes some.
        let some = match fault {
            None => names.len(),
            Some(Fault::AnswerLost | Fault::Death(_)) => 1 + world.rng.below(names.len().max(1)),
            Some(_) => 0,
        };
        names.iter().take(some).for_each(|name| world.set(name, None));
        match fault {
            None => Ok(()),
            Some(Fault::Death(_)) => self.die(Some(world)),
            Some(_) => Err(trouble(Fault::AnswerLost)),
        }
    }
}
