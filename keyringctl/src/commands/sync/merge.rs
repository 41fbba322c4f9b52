// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl sync --merge`: merges the keys of copies that have diverged.

use super::args::Args;
use super::server_slot::{self, Written};
use crate::commands::audit_trail;
use crate::commands::consent::{Decision, Effect, Plan};
use crate::commands::copies::Copies;
use crate::commands::outdated;
use crate::commands::output::{Output, counted, stderr_report, time};
use crate::commands::secret::{self, Once};
use crate::commands::slot_row;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::{Shown, exact_paths};
use keyring_external::key::KeyName;
use keyring_external::keyring::{Conflict, KeyFacts, Keyring, Merging, Take, UnsharedKey};
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The result of a merge.
pub(super) enum Merged {
    /// The copies were merged, as the value describes it in JSON. Bring the others up to date.
    Done(Value),
    /// No two copies have diverged. Bring the copies up to date as usual.
    NothingToMerge,
    /// Nothing was written: this is the result of the command.
    NothingWritten(Verdict),
}

/// The unlock secrets, each of which is read once.
struct Secrets<'a, 'b> {
    first: &'a mut Once<'b>,
    /// Of all copies but the first, if they need another one.
    other: Option<Once<'a>>,
}

impl Secrets<'_, '_> {
    /// Opens the copy at `path`.
    fn open(
        &mut self,
        places: &Places,
        path: &Path,
        is_first: bool,
    ) -> keyring_external::error::Result<Keyring> {
        let opened = match self.other.as_mut().filter(|_| !is_first) {
            Some(other) => other.load(places, path),
            None => self.first.load(places, path),
        };
        opened.map(|(keyring, _)| keyring)
    }
}

/// Merges the copies at `paths`, all of which exist, if the administrator wants it. Those at `absent` are created
/// afterwards. `copies` are all of them.
pub(super) fn run(
    args: &Args,
    secret: &mut Once<'_>,
    places: &Places,
    (copies, paths, absent): (&Copies, &[PathBuf], &[PathBuf]),
    out: &mut Output,
) -> Result<Merged> {
    let source = secret.args();
    let others = args
        .other_unlock
        .clone()
        .map(|unlock| secret::Args { unlock: Some(unlock), ..secret::Args::default() });
    let mut secrets = Secrets { first: secret, other: others.as_ref().map(Once::new) };
    let first = paths.first().cloned().unwrap_or_default();
    let Some(merging) = Merging::read(places, paths, |path| secrets.open(places, path, *path == first))?
    else {
        out.line("There is nothing to merge: these copies have not diverged");
        return Ok(Merged::NothingToMerge);
    };
    let sides = Sides::new(&merging);
    let decided = sides.decisions(&args.take, &merging.merge().conflicts)?;
    sides.print(&merging, &decided, out);
    let mut document = sides.document(&merging, &decided);
    let is_undecided = |conflict: &Conflict| !decided.contains_key(&conflict.name);
    let undecided = merging.merge().conflicts.iter().any(is_undecided);
    if undecided {
        out.line("Nothing was written. To find out which of two keys the data needs, run keyringctl verify with --datadir on each copy. The key that you do not take stays in the file that is kept.");
        out.document(&json!({ "merge": document }));
        return Ok(Merged::NothingWritten(Verdict::NotFine));
    }
    let lost = slot_row::lost(&merging.there().slots(), &merging.here().slots());
    document["lost_slots"] = json!(lost);
    let mut plan = sides.plan(&merging, paths, absent, &document);
    outdated::plan_lost(&lost, &sides.there, &mut plan);
    let written = Written { slots_of: merging.here(), copies, loses_slots: !lost.is_empty() };
    let swap = |servers: &UnlockSource| {
        let fits_there = !merging.there().slots_of(&secret::read_source(servers)?)?.is_empty();
        Ok(if fits_there {
            sides.swapped(args, source, servers)
        } else {
            server_slot::to_add(merging.here(), source, servers)
        })
    };
    let plan = written.check(plan, (args.force, &args.consent), swap, out)?;
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(Merged::NothingWritten(Verdict::Fine));
    }
    audit_trail::attach(merging.here());
    let merged = merging.write(stderr_report, |name| decided.get(name).copied())?;
    for path in paths {
        // Read the copies back from the volumes. All of them have the slots of the first copy now.
        let found = secrets.open(places, path, true)?.len();
        if found != merged.keys {
            return Err(Error::Usage(format!(
                "{} holds {}, but {} were written. Check its volume (dmesg) or remote, and compare with the kept files: {}",
                path.shown(),
                counted(found, "key"),
                merged.keys,
                joined(&merged.kept)
            )));
        }
    }
    out.line(format_args!("Merged: {}, generation {}", counted(merged.keys, "key"), merged.generation));
    out.line(format_args!("The unlock slots and the data key are those of {}", sides.here.shown()));
    if !lost.is_empty() {
        out.line(format_args!(
            "Secrets that had a slot only in {} no longer unlock the keyring. See the slots with keyringctl slot list",
            sides.there.shown()
        ));
    }
    out.line(format_args!(
        "The previous copies are kept in {}. Remove them once keyringctl verify --datadir has shown that the keyring decrypts the data",
        joined(&merged.kept)
    ));
    document["written"] = json!(true);
    document["generation"] = json!(merged.generation);
    document["keys"] = json!(merged.keys);
    document["kept"] = json!(exact_paths(&merged.kept));
    Ok(Merged::Done(document))
}

/// "1 key is", "2 keys are".
fn keys_are(keys: usize) -> String {
    counted(keys, "key") + if keys == 1 { " is" } else { " are" }
}

fn joined(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.shown()).collect::<Vec<_>>().join(" and ")
}

/// The two copies that have diverged.
struct Sides {
    here: PathBuf,
    there: PathBuf,
}

impl Sides {
    fn new(merging: &Merging) -> Sides {
        Sides { here: merging.here().path(), there: merging.there().path() }
    }

    fn path(&self, take: Take) -> &Path {
        match take {
            Take::Here => &self.here,
            Take::There => &self.there,
        }
    }

    /// What the merge writes.
    fn plan(&self, merging: &Merging, paths: &[PathBuf], absent: &[PathBuf], document: &Value) -> Plan {
        let mut plan = Plan::new("Merge?");
        for path in paths {
            let side = [merging.here(), merging.there()].into_iter().find(|side| side.path() == *path);
            let effect = match side.map(Keyring::known_status) {
                Some(status) => Effect::new(
                    path.shown(),
                    format!("generation {}, {}", status.generation, counted(status.keys, "key")),
                    "the merged keyring; the file as it was is kept beside it",
                ),
                None => Effect::new(path.shown(), "a copy of one of the two", "the merged keyring"),
            };
            plan.effect(effect);
        }
        for path in absent {
            plan.effect(Effect::new(path.shown(), "does not exist", "created: the merged keyring"));
        }
        plan.note(format!("The unlock slots and the data key of {} are kept.", self.here.shown()));
        plan.detail("merge", document.clone());
        plan
    }

    /// The advice to name the other copy first, because the server's secret, from `servers`, fits a slot of it.
    fn swapped(&self, args: &Args, first: &secret::Args, servers: &UnlockSource) -> [String; 2] {
        let other = first.unlock.as_ref().filter(|first| *first != servers);
        let other =
            other.map_or_else(String::new, |other| format!(" --other-unlock {}", other.to_string().shown()));
        let takes: String = args.take.iter().map(|take| format!(" --take {}", take.shown())).collect();
        let unlock = secret::Args { unlock: Some(servers.clone()), ..secret::Args::default() }.option();
        let (here, there) = (self.here.shown(), self.there.shown());
        [
            format!("To keep the slots of {there}, one of which the server's secret fits, name it first:"),
            format!("keyringctl sync {there} --mirror {here} --merge{unlock}") + &other + &takes,
        ]
    }

    /// The value of --take that keeps the key `name` of one side.
    fn choice(&self, name: &KeyName, take: Take) -> OsString {
        let mut choice = OsString::from(format!("{}=", label(name)));
        choice.push(self.path(take));
        choice
    }

    /// Parses the values of --take.
    fn decisions(&self, given: &[OsString], conflicts: &[Conflict]) -> Result<BTreeMap<KeyName, Take>> {
        let mut decided = BTreeMap::new();
        for value in given {
            let fits = |name: &KeyName, take| {
                let start = format!("{}=", label(name));
                let path = value.as_bytes().strip_prefix(start.as_bytes()).map(OsStr::from_bytes);
                path.and_then(|path| std::path::absolute(path).ok())
                    .is_some_and(|path| path == self.path(take))
            };
            let choices = conflicts.iter().flat_map(|c| [(&c.name, Take::Here), (&c.name, Take::There)]);
            let Some((name, take)) = choices.into_iter().find(|(name, take)| fits(name, *take)) else {
                return Err(Error::Usage(format!(
                    "--take {} names no key that differs between the two copies: run this command without --take to \
                     list these keys",
                    value.shown()
                )));
            };
            if decided.insert(name.clone(), take).is_some_and(|before| before != take) {
                return Err(Error::Usage(format!(
                    "--take was given for both keys named {name}: only one of them can be kept"
                )));
            }
        }
        Ok(decided)
    }

    fn print(&self, merging: &Merging, decided: &BTreeMap<KeyName, Take>, out: &mut Output) {
        let merge = merging.merge();
        let generation = |keyring: &Keyring| keyring.status().generation;
        out.line(format_args!(
            "keyring {}: {} (generation {}) and {} (generation {}) have diverged",
            merging.here().id(),
            self.here.shown(),
            generation(merging.here()),
            self.there.shown(),
            generation(merging.there())
        ));
        out.line(format_args!("{} the same in both", keys_are(merge.alike)));
        for (only, at, other) in
            [(&merge.only_here, &self.here, &self.there), (&merge.only_there, &self.there, &self.here)]
        {
            out.line(format_args!("{} only in {}", keys_are(only.len()), at.shown()));
            for key in only {
                let restored = match key.was_removed {
                    true => {
                        format!("; its date shows that it was removed from {}; it is restored", other.shown())
                    }
                    false => String::new(),
                };
                out.line(format_args!("    {}: {}{restored}", key.name, about(&key.about)));
            }
        }
        out.line(format_args!(
            "{} with a different key in each copy",
            counted(merge.conflicts.len(), "name")
        ));
        for conflict in &merge.conflicts {
            let kept = |take| match decided.get(&conflict.name) {
                Some(taken) if *taken == take => "KEEP  ",
                Some(_) => "DROP  ",
                None => "",
            };
            out.line(format_args!("    {}", conflict.name));
            for (take, key) in [(Take::Here, &conflict.here), (Take::There, &conflict.there)] {
                out.line(format_args!("        {}{}: {}", kept(take), self.path(take).shown(), about(key)));
            }
            if !decided.contains_key(&conflict.name) {
                let option = |take| format!("--take {}", self.choice(&conflict.name, take).shown());
                out.line(format_args!("        add one of: {}", option(Take::Here)));
                out.line(format_args!("                or: {}", option(Take::There)));
            }
        }
    }

    fn document(&self, merging: &Merging, decided: &BTreeMap<KeyName, Take>) -> Value {
        let merge = merging.merge();
        let about = |key: &KeyFacts| {
            json!({
                "type": key.key_type.bytes().escape_ascii().to_string(),
                "length": key.len,
                "created": key.created,
            })
        };
        let named = |name: &KeyName, mut value: Value| {
            let name = name.as_ref();
            value["id"] = json!(name.id().escape_ascii().to_string());
            value["user"] = json!(name.user().escape_ascii().to_string());
            value
        };
        let only = |keys: &[UnsharedKey]| {
            let row = |key: &UnsharedKey| {
                let mut value = named(&key.name, about(&key.about));
                value["was_removed"] = json!(key.was_removed);
                value
            };
            keys.iter().map(row).collect::<Vec<_>>()
        };
        let conflicts = merge.conflicts.iter().map(|c| {
            let take = decided.get(&c.name).map(|take| self.path(*take).exact());
            named(
                &c.name,
                json!({
                    "here": about(&c.here),
                    "there": about(&c.there),
                    "taken": take,
                    "take": [self.choice(&c.name, Take::Here).exact(), self.choice(&c.name, Take::There).exact()],
                }),
            )
        });
        json!({
            "diverged": true,
            "here": self.here.exact(),
            "there": self.there.exact(),
            "alike": merge.alike,
            "only_here": only(&merge.only_here),
            "only_there": only(&merge.only_there),
            "conflicts": conflicts.collect::<Vec<_>>(),
            "written": false,
        })
    }
}

/// A key's name as --take takes it: `ID`, or `ID,user=USER`.
fn label(name: &KeyName) -> String {
    let name = name.as_ref();
    let (id, user) = (name.id().escape_ascii(), name.user().escape_ascii());
    if name.user().is_empty() { id.to_string() } else { format!("{id},user={user}") }
}

fn about(key: &KeyFacts) -> String {
    format!(
        "{}, {}, stored {}",
        key.key_type.bytes().escape_ascii(),
        counted(key.len, "byte"),
        time(key.created)
    )
}
