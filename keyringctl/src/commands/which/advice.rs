// SPDX-License-Identifier: GPL-2.0-or-later
//! What to do, as it follows from what the copies hold.

use super::candidate::{Candidate, Obstacle, Opened};
use crate::commands::apart::is_one_file;
use crate::commands::missing;
use crate::commands::output::counted;
use crate::commands::redo_directory::also_options;
use crate::commands::secret;
use crate::commands::stat;
use crate::commands::status::copy_status::WitnessSays;
use crate::show::Shown;
use keyring_external::format::witness::Witness;
use keyring_external::keyring::Relation;
use keyring_external::store::places::is_remote;
use std::path::{Path, PathBuf};

/// What the copies are for.
pub(super) struct Place<'a> {
    pub datadir: &'a Path,
    /// What the witness claims.
    pub witness: Option<&'a Witness>,
    /// The copies that the server of this data directory is configured with. None if that is not known.
    pub configured: &'a [PathBuf],
    /// Further directories with files of the server.
    pub also: &'a [PathBuf],
    /// Whether a server runs on the data directory.
    pub in_use: bool,
}

/// What to do.
pub(super) struct Advice {
    /// A name for programs.
    pub situation: &'static str,
    /// The right copy: it has every key that the files need.
    pub right: Option<usize>,
    pub text: Vec<String>,
    /// The commands to run, in this order.
    pub next: Vec<String>,
    /// What comes after them.
    pub then: Option<String>,
}

/// Finds out what to do.
pub(super) fn advise(all: &[Candidate], place: &Place<'_>) -> Advice {
    let opened = || all.iter().enumerate().filter_map(|(i, c)| Some((i, c, c.opened.as_ref()?)));
    let complete: Vec<_> = opened().filter(|(_, c, _)| c.is_complete()).collect();
    let is_newest =
        |one: &Candidate| complete.iter().all(|(_, other, _)| one.relation_to(other) != Relation::Ancestor);
    let rank = |c: &Candidate| (trust(c.says), !place.is_configured(&c.path));
    let right = complete.iter().filter(|(_, c, _)| is_newest(c)).min_by_key(|(_, c, _)| rank(c));
    match (right, opened().next()) {
        (Some((_, best, how)), _) if let Some(why) = best.unnamed() => place.not_known(best, how, why),
        (Some((i, right, how)), _) => place.with_right(*i, right, how, all),
        (None, Some(_)) => place.without_keys(&opened().map(|(_, c, o)| (c, o)).collect::<Vec<_>>()),
        (None, None) => place.none_opens(all),
    }
}

/// How a running server opens the keyring again.
const RELOAD: &str = "run ALTER INSTANCE RELOAD KEYRING (component) or restart it (plugin)";

/// The lower, the better: how a server takes a copy of which the witness says this.
fn trust(says: Option<WitnessSays>) -> u8 {
    match says {
        Some(WitnessSays::Same) => 0,
        Some(WitnessSays::Newer) => 1,
        None | Some(WitnessSays::Unknown) => 2,
        Some(WitnessSays::Older) => 3,
        Some(WitnessSays::Fork) => 4,
        Some(WitnessSays::Another) => 5,
    }
}

impl Place<'_> {
    /// The command that accepts a copy for the data directory.
    pub(super) fn accept(&self, copy: &Path, unlock: &str) -> String {
        let (copy, datadir) = (copy.shown(), self.datadir.shown());
        format!("keyringctl witness accept {copy} --datadir {datadir}{}{unlock}", also_options(self.also))
    }

    fn is_configured(&self, path: &Path) -> bool {
        self.configured.iter().any(|copy| is_one_file(copy, path))
    }

    /// The candidate at a configured path.
    fn candidate<'c>(&self, copy: &Path, all: &'c [Candidate]) -> Option<&'c Candidate> {
        all.iter().find(|c| is_one_file(&c.path, copy))
    }

    /// A copy has every key.
    fn with_right(&self, i: usize, right: &Candidate, how: &Opened, all: &[Candidate]) -> Advice {
        let (path, datadir, unlock) = (right.path.shown(), self.datadir.shown(), how.secret.option());
        let mut advice = Advice {
            situation: "right_copy",
            right: Some(i),
            text: vec![match how.needs.needed() {
                0 if how.needs.may_need_more() => {
                    format!("{path} can be used: no file in {datadir} names a master key yet")
                }
                0 => format!("{path} can be used: the files in {datadir} need no master key"),
                1 => format!("{path} is right: it has the master key that the files in {datadir} need"),
                n => format!("{path} is right: it has all {n} master keys that the files in {datadir} need"),
            }],
            next: Vec::new(),
            then: None,
        };
        // A diverged copy that the server does not use is of no concern.
        let concerns = |other: &&Candidate| {
            let is_used = self.configured.is_empty() || self.is_configured(&other.path);
            right.relation_to(other) == Relation::Diverged
                && (is_used || right.says == Some(WitnessSays::Fork))
        };
        if let Some(other) = all.iter().filter(concerns).find(|other| other.opened.is_some()) {
            advice.situation = "diverged";
            advice.text.push(format!(
                "{} has diverged from it: each may hold keys that the other does not have, and a server opens neither. \
                 Merge them; both files are kept as they were, next to the copies:",
                other.path.shown()
            ));
            advice.next.push(merge(right, how, other));
            advice.then = Some("Then run keyringctl which again".to_owned());
            return advice;
        }
        let used = self.restore(right, how, all, &mut advice);
        self.witness_refuses(right, &used, &unlock, &mut advice);
        if advice.next.is_empty() {
            advice.then = Some(match self.in_use {
                true => format!("A server is running on {datadir}. If it has no open keyring, {RELOAD}"),
                false => "Nothing needs to be done: the server opens it".to_owned(),
            });
        } else if advice.then.is_none() {
            advice.then = Some(match self.in_use {
                true => format!("Then, if the running server has no open keyring, {RELOAD}"),
                false => "Then start the server".to_owned(),
            });
        }
        advice
    }

    /// Adds the commands that bring the configured copies to the state of the right one. Returns the path at which the
    /// server then finds it.
    fn restore(&self, right: &Candidate, how: &Opened, all: &[Candidate], advice: &mut Advice) -> PathBuf {
        let (path, unlock) = (&right.path, how.secret.option());
        if self.configured.is_empty() {
            let behind = all.iter().filter(|c| c.path != *path && c.relation_to(right) == Relation::Ancestor);
            for copy in behind {
                advice.text.push(format!(
                    "{} is behind it. If that is a copy of the server and not a backup, bring it up to date: keyringctl \
                     sync {} --mirror {}{unlock}",
                    copy.path.shown(),
                    path.shown(),
                    copy.path.shown()
                ));
            }
            return path.clone();
        }
        let right_is_used = self.is_configured(path);
        let mut outdated = Vec::new();
        for copy in self.configured.iter().filter(|copy| !is_one_file(copy, path)) {
            let mut is_created = true;
            let (obstacle, relation) = match self.candidate(copy, all) {
                Some(c) => (c.obstacle, c.relation_to(right)),
                None => (Some(Obstacle::Missing).filter(|_| stat::is_missing(copy)), Relation::Unknown),
            };
            match (obstacle, relation) {
                (None, Relation::Same) => continue,
                (Some(Obstacle::Missing), _) => {
                    let first = if is_remote(copy) {
                        "Check its name"
                    } else {
                        "If its volume is only not mounted, mount it and run keyringctl which again"
                    };
                    advice.text.push(format!("{} is missing. {first}", copy.shown()));
                    advice.next.extend(missing::directory(copy, Some(path)));
                }
                (Some(Obstacle::Unreadable), _) => {
                    advice.text.push(format!("{} cannot be read now: see above", copy.shown()));
                    continue;
                }
                (None, Relation::Ancestor) if right_is_used => {
                    is_created = false;
                    advice.text.push(format!("{} is behind it", copy.shown()));
                }
                _ if is_remote(copy) => {
                    advice.text.push(format!(
                        "{0} is another state: it is kept, but do not use it. To put the right copy there, first move the \
                         objects below {0} away with a tool of the engine, or configure another name",
                        copy.shown()
                    ));
                    continue;
                }
                _ => {
                    advice.text.push(format!("{} is set aside: it is kept, but not used", copy.shown()));
                    advice.next.push(format!("mv {} {}", copy.shown(), set_aside(copy).shown()));
                }
            }
            outdated.push((copy.clone(), is_created));
        }
        let mut source = path.clone();
        let mut outdated = outdated.into_iter();
        if !right_is_used && let Some((first, _)) = outdated.next() {
            advice.next.push(format!("keyringctl backup {} {}{unlock}", path.shown(), first.shown()));
            source = first;
        }
        let (mirrors, created): (Vec<_>, Vec<_>) =
            outdated.map(|(copy, is_new)| (copy.shown(), is_new)).unzip();
        if !mirrors.is_empty() {
            let (source, mirrors) = (source.shown(), mirrors.join(" --mirror "));
            let create = if created.contains(&true) { " --create" } else { "" };
            // The witness is accepted after that.
            let older = match right.says {
                Some(WitnessSays::Older | WitnessSays::Fork | WitnessSays::Another) => " --accept-older",
                _ => "",
            };
            advice.next.push(format!("keyringctl sync {source} --mirror {mirrors}{unlock}") + create + older);
        }
        source
    }

    /// Adds what to do if the server would refuse the right copy because of the witness.
    fn witness_refuses(&self, right: &Candidate, used: &Path, unlock: &str, advice: &mut Advice) {
        let generation = right.generation().unwrap_or_default();
        let (last, last_id) = self.witness.map_or((0, String::new()), |w| (w.generation, w.id.to_string()));
        let datadir = self.datadir.shown();
        let why = match right.says {
            Some(WitnessSays::Older) => {
                advice.situation = "older_than_witness";
                format!(
                    "It is older: {datadir} was last used with generation {last}, and this copy has {generation}. First look \
                     for a newer copy, and name it to keyringctl which. Without one, {} of the keyring are lost for \
                     good; no file in {datadir} needs a key that is lost. With the server stopped, accept this copy:",
                    counted(usize::try_from(last.saturating_sub(generation)).unwrap_or(usize::MAX), "change")
                )
            }
            Some(WitnessSays::Fork) => {
                advice.situation = "diverged_from_witness";
                format!(
                    "It has diverged: {datadir} was last used with another state of this keyring, generation {last}. Look \
                     for that copy, and name it to keyringctl which. Only if it is lost for good, accept this copy, with \
                     the server stopped:"
                )
            }
            Some(WitnessSays::Another) => {
                advice.situation = "another_keyring";
                format!(
                    "It is another keyring: {datadir} was last used with keyring {last_id}. To use this one from now on, \
                     accept it, with the server stopped:"
                )
            }
            Some(WitnessSays::Same | WitnessSays::Newer | WitnessSays::Unknown) | None => return,
        };
        advice.text.push(why);
        advice.next.push(self.accept(used, unlock));
        advice.then = Some("Then start the server".to_owned());
    }
}

/// The command that merges two copies.
pub(super) fn merge(one: &Candidate, how: &Opened, other: &Candidate) -> String {
    let source = |secret: &secret::Args| secret.unlock.clone().filter(|_| !secret.is_on_paper());
    let theirs = other.opened.as_ref().and_then(|opened| source(&opened.secret));
    let other_unlock = match theirs {
        Some(theirs) if Some(&theirs) != how.secret.unlock.as_ref() => {
            format!(" --other-unlock {}", theirs.to_string().shown())
        }
        _ => String::new(),
    };
    let (first, second, unlock) = (one.path.shown(), other.path.shown(), how.secret.option());
    format!("keyringctl sync {first} --mirror {second} --merge{unlock}") + &other_unlock
}

/// The path at which a file is kept that is not used.
fn set_aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".set-aside");
    name.into()
}
