// SPDX-License-Identifier: GPL-2.0-or-later
//! An engine is killed, stopped, cut off and its answers are lost, while a server makes new master keys and a program
//! beside it generates keys in the same keyring. What was acknowledged is there, and nobody gets a wrong answer.

use super::storing::{AFTER_REFUSAL, Storing};
use mysql::prelude::Queryable;
use mysql_plugin_tests::common::Rng;
use mysql_plugin_tests::rig::{Host, Passing, ROTATE, Server, Site, Which, moment, rng, times, wait_until};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many faults befall each engine: KX_FAULTS, or a few.
fn count() -> usize {
    let set = std::env::var("KX_FAULTS").ok();
    set.map_or(times(3, 200), |number| number.parse().expect("KX_FAULTS is a number"))
}

/// When no further fault is to begin: KX_FAULTS_SECONDS from now, if it is set.
fn end() -> Option<Instant> {
    let seconds = std::env::var("KX_FAULTS_SECONDS").ok()?;
    Some(Instant::now() + Duration::from_secs(seconds.parse().expect("KX_FAULTS_SECONDS is a number")))
}

/// A session that makes new master keys, whatever fails.
pub struct Rotating {
    thread: JoinHandle<()>,
    end: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

/// What it did.
#[derive(Debug, Default)]
pub struct Counts {
    pub made: AtomicUsize,
    pub failed: AtomicUsize,
    /// Milliseconds.
    pub longest: AtomicU64,
}

impl Rotating {
    /// With so long a pause after each.
    pub fn start(server: &Server, pause: Duration) -> Rotating {
        let mut conn = server.connect();
        let (end, counts) = <(Arc<AtomicBool>, Arc<Counts>)>::default();
        let (ended, told) = (Arc::clone(&end), Arc::clone(&counts));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                let (count, then) = match conn.query_drop(ROTATE) {
                    Ok(()) => (&told.made, pause),
                    Err(mysql::Error::MySqlError(_)) => (&told.failed, AFTER_REFUSAL),
                    Err(e) => panic!("the server is gone: {e}"),
                };
                let took = began.elapsed();
                told.longest.fetch_max(took.as_millis() as u64, Ordering::Relaxed);
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(then);
            }
        });
        Rotating { thread, end, counts }
    }

    /// Waits until so many more are made.
    pub fn goes_on(&self, more: usize, server: &Server) {
        let made = || self.counts.made.load(Ordering::Relaxed);
        let from = made();
        let done =
            wait_until(Duration::from_secs(120), || made() >= from + more || self.thread.is_finished());
        assert!(done && made() >= from + more, "no master key is made any more: {}", server.log());
    }

    pub fn made(&self) -> usize {
        self.counts.made.load(Ordering::Relaxed)
    }

    fn failed(&self) -> usize {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// Ends it.
    pub fn end(self) -> Arc<Counts> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.counts
    }
}

/// How many faults there were of one kind, and how many rotations were refused by the time the engine worked again.
#[derive(Default)]
struct OfKind {
    faults: usize,
    refused: usize,
}

impl std::fmt::Debug for OfKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} refused)", self.faults, self.refused)
    }
}

/// What befalls an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    KillLeader,
    KillFollower,
    KillMost,
    KillAll,
    StopLeader,
    StopFollower,
    StopAll,
    /// At one endpoint.
    One(Passing),
    /// At all endpoints.
    All(Passing),
}

impl Fault {
    fn any(rng: &mut Rng) -> Fault {
        let passing = Passing::FAULTS[rng.below(Passing::FAULTS.len())];
        match rng.below(12) {
            0 => Fault::KillLeader,
            1 => Fault::KillFollower,
            2 => Fault::KillMost,
            3 => Fault::KillAll,
            4 | 5 => Fault::StopLeader,
            6 => Fault::StopFollower,
            7 => Fault::StopAll,
            8 | 9 => Fault::One(passing),
            _ => Fault::All(passing),
        }
    }

    /// What it is counted as.
    fn kind(self) -> String {
        match self {
            Fault::One(passing) => format!("{passing:?} at one endpoint"),
            Fault::All(passing) => format!("{passing:?} at all endpoints"),
            other => format!("{other:?}"),
        }
    }

    /// It happens, lasts so long, and is over.
    fn happen(self, site: &mut Site, lasts: Duration, rng: &mut Rng) {
        let nodes = site.engine.nodes();
        let leader = site.engine.leader().unwrap_or(0);
        let follower = (leader + 1 + rng.below(nodes.max(2) - 1)) % nodes;
        let all: Vec<usize> = (0..nodes).collect();
        let most = all.iter().copied().filter(|node| nodes == 1 || *node != follower).collect();
        match self {
            Fault::KillLeader => kill(site, vec![leader], lasts),
            Fault::KillFollower => kill(site, vec![follower], lasts),
            Fault::KillMost => kill(site, most, lasts),
            Fault::KillAll => kill(site, all, lasts),
            Fault::StopLeader => stop(site, &[leader], lasts),
            Fault::StopFollower => stop(site, &[follower], lasts),
            Fault::StopAll => stop(site, &all, lasts),
            Fault::One(passing) => {
                let which = rng.below(site.forwarders.len());
                site.forwarders[which].pass(passing);
                std::thread::sleep(lasts);
                site.forwarders[which].pass(Passing::All);
            }
            Fault::All(passing) => {
                site.pass(passing);
                std::thread::sleep(lasts);
                site.pass(Passing::All);
            }
        }
    }
}

fn kill(site: &mut Site, nodes: Vec<usize>, lasts: Duration) {
    nodes.iter().for_each(|node| site.engine.kill(*node));
    std::thread::sleep(lasts);
    nodes.iter().for_each(|node| site.engine.start(*node));
    site.engine.wait_until_whole();
}

fn stop(site: &Site, nodes: &[usize], lasts: Duration) {
    let hangs: Vec<_> = nodes.iter().map(|node| site.engine.pause(*node)).collect();
    std::thread::sleep(lasts);
    drop(hangs);
}

/// Faults of all kinds, one after the other.
pub fn endure(site: &mut Site, prefix: &str, which: Which) {
    let keyring = site.keyring(prefix, &[]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.put_to_use();
    let storing = Storing::start(&keyring);
    let rotating = Rotating::start(&server, Duration::from_millis(100));
    let (mut rng, faults, end) = (rng(), count(), end());
    let mut kinds = BTreeMap::<String, OfKind>::new();
    for n in 0..faults {
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
        let (fault, lasts) = (Fault::any(&mut rng), moment(&mut rng, 100_000, 2_000_000));
        let failed = rotating.failed();
        fault.happen(site, lasts, &mut rng);
        let when = format!("{}, after fault {n}, {fault:?} for {lasts:?}", which.name());
        storing.goes_on(1);
        rotating.goes_on(1, &server);
        storing.check(&keyring, &when);
        server.sql("FLUSH TABLES");
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7, "{when}");
        assert_eq!(server.value::<String>("SELECT keyring_key_fetch('mine')"), "value", "{when}");
        let (made, keys) = (rotating.made(), keyring.ids("INNODBKey-").len());
        assert!(keys > made, "{when}: {keys} master keys, and {made} rotations");
        let kind = kinds.entry(fault.kind()).or_default();
        kind.faults += 1;
        kind.refused += rotating.failed() - failed;
        if faults >= 50 && n % 20 == 19 {
            eprintln!(
                "{when}: {} rotations, {} keys beside",
                rotating.made(),
                storing.look(|t| t.keys.len())
            );
        }
    }
    let faults: usize = kinds.values().map(|kind| kind.faults).sum();
    let counts = rotating.end();
    let beside = storing.end();
    server.stop();
    let (made, failed) = (counts.made.load(Ordering::Relaxed), counts.failed.load(Ordering::Relaxed));
    let keys = keyring.ids("INNODBKey-").len();
    assert!(
        (made + 1..=made + 1 + failed).contains(&keys),
        "{keys} master keys, {made} made and {failed} failed"
    );
    eprintln!(
        "{}: {faults} faults {kinds:?}, {made} rotations acknowledged and {failed} failed, {} keys beside acknowledged and {} \
         failed; 0 lost, 0 wrong answers; longest wait of a rotation {:.1} s, of a store {:.1} s",
        which.name(),
        beside.keys.len(),
        beside.errors.len(),
        counts.longest.load(Ordering::Relaxed) as f64 / 1e3,
        beside.longest.as_secs_f64(),
    );
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
    assert_eq!(keyring.report("verify")["fine"], true);
}

/// Three servers on one engine. Its leader is killed in the middle of their rotations, again and again.
pub fn three_servers(which: Which) {
    let mut site = Site::of(which);
    let each = times(12, 100);
    let fleet: Vec<_> = ["db1", "db2", "db3"]
        .map(|prefix| {
            let keyring = site.keyring(prefix, &[]);
            let host = Host::new().keyring(&keyring);
            let server = host.start();
            server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
            (keyring, host, server)
        })
        .into();
    let rotating: Vec<_> =
        fleet.iter().map(|(_, _, server)| Rotating::start(server, Duration::ZERO)).collect();
    for part in 1..=2 {
        for (session, (_, _, server)) in rotating.iter().zip(&fleet) {
            session.goes_on((part * each / 3).saturating_sub(session.made()).max(1), server);
        }
        let leader = site.engine.leader().unwrap_or(0);
        kill(&mut site, vec![leader], Duration::from_secs(1));
    }
    for (session, (_, _, server)) in rotating.iter().zip(&fleet) {
        session.goes_on(each.saturating_sub(session.made()).max(1), server);
    }
    let counts: Vec<_> = rotating.into_iter().map(Rotating::end).collect();
    let (mut all, mut longest) = (0, 0);
    for ((keyring, host, server), counts) in fleet.into_iter().zip(counts) {
        server.stop();
        let (made, failed) = (counts.made.load(Ordering::Relaxed), counts.failed.load(Ordering::Relaxed));
        let keys = keyring.ids("INNODBKey-").len();
        assert!((made + 1..=made + 1 + failed).contains(&keys), "{keys} master keys of {made} and {failed}");
        (all, longest) = (all + made, longest.max(counts.longest.load(Ordering::Relaxed)));
        let server = host.start();
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
        server.stop();
    }
    eprintln!(
        "three servers on one {}: 2 leaders killed in {all} rotations; 0 lost, 0 wrong answers; longest wait {:.1} s",
        which.name(),
        longest as f64 / 1e3
    );
}
