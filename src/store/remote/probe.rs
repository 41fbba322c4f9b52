// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether an engine does what a keyring needs: of several puts that build on one version exactly one succeeds, a read
//! shows the last put, and a deleted object is gone. There are object stores that take the conditions of a put and
//! ignore them; there two servers would overwrite each other's keys. So this runs before a key depends on an engine.

use super::objects::{Answer, Cause, MAX_OBJECT, Object, Objects, Put, Trouble, Version};
use std::fmt;
use std::time::Instant;

/// How many puts race.
const RACERS: usize = 4;
/// How often they race. A store that first looks and then writes loses only some races.
const ROUNDS: usize = 3;
/// How many rounds may pass without a winner before the engine counts as too busy to tell.
const FRUITLESS: usize = 3;

/// What a test of an engine found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The engine does what a keyring needs.
    Honoured,
    /// It does not: a keyring there could lose keys.
    Broken(Broken),
}

/// A promise of [`Objects`] that an engine broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// It put an object that should have been absent over one that exists.
    CreatedTwice,
    /// It replaced an object although another version was named.
    StaleReplaced,
    /// Of several puts at the same time that build on one version, more than one succeeded.
    RaceHadWinners,
    /// A read after a put showed something else than what was put.
    ReadOther,
    /// It kept the version of an object although the object changed.
    SameVersion,
    /// It replaced an object that does not exist.
    ReplacedNothing,
    /// A read showed an object that had been deleted.
    DeletedIsThere,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreatedTwice => "it overwrites an object although the request says that there must be none",
            Self::StaleReplaced => "it overwrites an object although the request names an older version",
            Self::RaceHadWinners => {
                "of several programs that change an object at the same time, more than one succeeds"
            }
            Self::ReadOther => "it does not return what was written last",
            Self::SameVersion => "it gives an object the same version after a change",
            Self::ReplacedNothing => "it replaces an object that was deleted",
            Self::DeletedIsThere => "it still returns an object that was deleted",
        })
    }
}

/// Tests an engine with an object of its own, `FOLDER/probe-RANDOM`, which it deletes at the end: creates and replaces
/// it in races and with versions that are no longer current, and reads it after each change. It needs the rights that a
/// keyring below `folder` needs, and no more; an empty folder is the top. It sends some 50 small requests.
///
/// # Errors
/// [`Trouble`]: nothing is known then. An object `probe-RANDOM` may be left.
pub fn honours_conditions(objects: &dyn Objects, folder: &str, until: Instant) -> Answer<Verdict> {
    let name = match folder {
        "" => format!("probe-{}", random()?),
        _ => format!("{folder}/probe-{}", random()?),
    };
    let probe = Probe { objects, name, until };
    let found = probe.run();
    let deleted = objects.delete(std::slice::from_ref(&probe.name), until);
    match found {
        Ok(()) => deleted.map(|()| Verdict::Honoured),
        Err(Stop::Broken(what)) => Ok(Verdict::Broken(what)),
        Err(Stop::Trouble(trouble)) => Err(trouble),
    }
}

/// Why a test ends early.
enum Stop {
    Broken(Broken),
    Trouble(Trouble),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

struct Probe<'a> {
    objects: &'a dyn Objects,
    name: String,
    until: Instant,
}

impl Probe<'_> {
    fn run(&self) -> Result<(), Stop> {
        let first = self.put(&random()?, None)?.ok_or_else(|| self.unclear())?;
        if self.put(&random()?, None)?.is_some() {
            return Err(Broken::CreatedTwice.into());
        }
        let second = self.put(&random()?, Some(&first))?.ok_or_else(|| self.unclear())?;
        if second == first {
            return Err(Broken::SameVersion.into());
        }
        if self.put(&random()?, Some(&first))?.is_some() {
            return Err(Broken::StaleReplaced.into());
        }
        self.delete()?;
        if self.put(&random()?, Some(&second))?.is_some() {
            return Err(Broken::ReplacedNothing.into());
        }
        for _ in 0..ROUNDS {
            let created = self.race(None)?;
            self.race(Some(&created))?;
            self.delete()?;
        }
        // The largest object, which a limit of the engine or of something before it could refuse.
        let large = vec![0x6b; MAX_OBJECT];
        match self.objects.put(&self.name, &large, None, self.until)? {
            Put::Done(_) if self.get()?.is_some_and(|found| found.bytes == large) => Ok(()),
            _ => Err(Broken::ReadOther.into()),
        }
    }

    /// Puts the object several times at once, with different bytes, over `was`. Returns the version of the one that
    /// succeeded.
    fn race(&self, was: Option<&Version>) -> Result<Version, Stop> {
        for _ in 0..FRUITLESS {
            let texts = (0..RACERS).map(|_| random()).collect::<Answer<Vec<_>>>()?;
            let outcomes: Vec<Answer<Option<Version>>> = std::thread::scope(|scope| {
                let racers: Vec<_> = texts.iter().map(|text| scope.spawn(|| self.put(text, was))).collect();
                racers.into_iter().map(|racer| racer.join().unwrap_or_else(|_| Err(self.unclear()))).collect()
            });
            let mut winners = Vec::new();
            for (outcome, text) in outcomes.into_iter().zip(&texts) {
                winners.extend(outcome?.map(|version| (version, text)));
            }
            let found = self.get()?;
            let found = found.as_ref().map(|Object { bytes, version }| (version, bytes.as_slice()));
            match winners.as_slice() {
                // Each of them may have met another that was about to succeed; then none did.
                [] if found.map(|(version, _)| version) == was => {}
                [] => return Err(Broken::ReadOther.into()),
                [(version, text)] if found == Some((version, text.as_bytes())) => return Ok(version.clone()),
                [_] => return Err(Broken::ReadOther.into()),
                _ => return Err(Broken::RaceHadWinners.into()),
            }
        }
        Err(Stop::Trouble(self.unclear()))
    }

    /// Puts the object over `was`. `None` if the engine refused it.
    fn put(&self, text: &str, was: Option<&Version>) -> Answer<Option<Version>> {
        match self.objects.put(&self.name, text.as_bytes(), was, self.until)? {
            Put::Done(version) => Ok(Some(version)),
            Put::Conflict => Ok(None),
        }
    }

    fn get(&self) -> Answer<Option<Object>> {
        self.objects.get(&self.name, self.until)
    }

    fn delete(&self) -> Result<(), Stop> {
        self.objects.delete(std::slice::from_ref(&self.name), self.until)?;
        match self.get()? {
            None => Ok(()),
            Some(_) => Err(Broken::DeletedIsThere.into()),
        }
    }

    fn unclear(&self) -> Trouble {
        let told = format!(
            "cannot tell whether the engine honours conditional writes: it refuses every request that changes {}. Check \
             whether another program uses that object, then try again",
            self.name
        );
        Trouble::not_done(Cause::Unwell, told)
    }
}

/// Returns text that nobody else has.
fn random() -> Answer<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|e| Trouble::not_done(Cause::Settings, format!("no randomness from the system: {e}")))?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Barrier, Mutex};
    use std::time::Duration;

    /// How many puts come one after the other before the first race.
    const BEFORE_RACES: usize = 5;

    /// An engine that breaks one promise.
    #[derive(Debug, Default)]
    struct Store {
        broken: Option<Broken>,
        objects: Mutex<Kept>,
        /// Makes the racers look before any of them writes.
        meet: Option<Barrier>,
        puts: AtomicUsize,
    }

    #[derive(Debug, Default)]
    struct Kept {
        now: HashMap<String, (u64, Vec<u8>)>,
        before: HashMap<String, (u64, Vec<u8>)>,
        changes: u64,
    }

    impl Objects for Store {
        fn get(&self, name: &str, _: Instant) -> Answer<Option<Object>> {
            let kept = self.objects.lock().unwrap();
            let found = match (kept.now.get(name), self.broken) {
                (Some(_), Some(Broken::ReadOther)) => kept.before.get(name).or(kept.now.get(name)),
                (None, Some(Broken::DeletedIsThere)) => kept.before.get(name),
                (found, _) => found,
            };
            Ok(found.map(|(version, bytes)| Object {
                bytes: bytes.clone(),
                version: Version(version.to_string()),
            }))
        }

        fn put(&self, name: &str, bytes: &[u8], was: Option<&Version>, _: Instant) -> Answer<Put> {
            let looked = self.objects.lock().unwrap().now.get(name).map(|(version, _)| *version);
            if let Some(meet) = &self.meet
                && self.puts.fetch_add(1, Ordering::Relaxed) >= BEFORE_RACES
            {
                meet.wait();
            }
            let mut kept = self.objects.lock().unwrap();
            let now = match self.meet {
                Some(_) => looked,
                None => kept.now.get(name).map(|(version, _)| *version),
            };
            let fits = match (was, now) {
                (None, None) => true,
                (None, Some(_)) => self.broken == Some(Broken::CreatedTwice),
                (Some(_), None) => self.broken == Some(Broken::ReplacedNothing),
                (Some(was), Some(now)) => {
                    was.0 == now.to_string() || self.broken == Some(Broken::StaleReplaced)
                }
            };
            if !fits {
                return Ok(Put::Conflict);
            }
            if let Some(old) = kept.now.get(name).cloned() {
                kept.before.insert(name.to_owned(), old);
            }
            if self.broken != Some(Broken::SameVersion) {
                kept.changes += 1;
            }
            let version = kept.changes;
            kept.now.insert(name.to_owned(), (version, bytes.to_vec()));
            Ok(Put::Done(Version(version.to_string())))
        }

        fn list(&self, _: &str, _: Instant) -> Answer<Vec<String>> {
            Ok(self.objects.lock().unwrap().now.keys().cloned().collect())
        }

        fn delete(&self, names: &[String], _: Instant) -> Answer<()> {
            let mut kept = self.objects.lock().unwrap();
            for name in names {
                if let Some(old) = kept.now.remove(name) {
                    kept.before.insert(name.clone(), old);
                }
            }
            Ok(())
        }
    }

    fn verdict(store: &Store) -> Verdict {
        honours_conditions(store, "db1", Instant::now() + Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn an_engine_that_honours_conditions_passes_and_nothing_is_left() {
        let store = Store::default();
        assert_eq!(verdict(&store), Verdict::Honoured);
        assert!(store.list("db1", Instant::now()).unwrap().is_empty());
    }

    #[test]
    fn each_broken_promise_is_found() {
        for broken in [
            Broken::CreatedTwice,
            Broken::StaleReplaced,
            Broken::ReadOther,
            Broken::SameVersion,
            Broken::ReplacedNothing,
            Broken::DeletedIsThere,
        ] {
            let store = Store { broken: Some(broken), ..Store::default() };
            assert_eq!(verdict(&store), Verdict::Broken(broken));
            assert!(store.list("db1", Instant::now()).unwrap().is_empty(), "{broken:?} left an object");
        }
    }

    /// One that first looks and then writes passes any test without a race.
    #[test]
    fn an_engine_that_looks_before_it_writes_is_found() {
        let store = Store { meet: Some(Barrier::new(RACERS)), ..Store::default() };
        assert_eq!(verdict(&store), Verdict::Broken(Broken::RaceHadWinners));
    }
}
