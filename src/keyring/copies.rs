// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies of an open keyring, and what is known of each: a mirror that went away may come back in
//! the state in which it went, and in no other.

use crate::error::{Error, Result};
use crate::format::commit::Commit;
use crate::store::copy::{Changing, Copy};
use std::path::Path;

/// How much something matters that is reported while a keyring is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Somebody must act.
    Warning,
    /// For the record.
    Note,
}

/// Where reports go: the server's error log, or standard error.
pub type Report = fn(Severity, &str);

/// How a copy stands to the keyring in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is what memory holds.
    Current,
    /// It lags behind, or is damaged in part: the next change writes it anew.
    Behind,
    /// It cannot be used, for this reason.
    Out(String),
}

/// One copy.
#[derive(Debug)]
pub struct Member {
    copy: Copy,
    /// Every state that this program may have left the file in.
    states: Vec<Commit>,
    /// The state in which the keyring was when there was no such file: somebody may have been putting a copy of
    /// that there meanwhile.
    absent_in: Option<Commit>,
    standing: Standing,
    /// It was read whole and is not what memory holds, although its front may be, or that may not be durable:
    /// until a change reached it, the front proves nothing.
    suspect: bool,
}

impl Member {
    /// A copy in the state `commit`.
    pub fn new(copy: Copy, commit: Option<Commit>, standing: Standing) -> Self {
        let suspect = standing == Standing::Behind;
        Self { copy, states: commit.into_iter().collect(), absent_in: None, standing, suspect }
    }

    /// The copy.
    pub fn copy(&self) -> &Copy {
        &self.copy
    }

    /// How it stands.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether a front that is what memory holds says so of the whole file.
    pub fn is_told_by_its_front(&self) -> bool {
        !self.suspect
    }

    /// Whether this program may have left the file in that state, or a copy may just have been made of it.
    pub fn may_be(&self, commit: &Commit) -> bool {
        self.states.contains(commit) || self.absent_in == Some(*commit)
    }

    /// A change reached it.
    pub fn reached(&mut self, commit: Commit, report: Report) {
        self.states.clear();
        self.states.push(commit);
        self.absent_in = None;
        self.suspect = false;
        self.stands(Standing::Current, report);
    }

    /// A change may have reached it.
    pub fn may_have_reached(&mut self, commit: Commit) {
        self.states.push(commit);
    }

    /// Notes how it stands, and reports what is new of that.
    pub fn stands(&mut self, standing: Standing, report: Report) {
        let path = self.copy.path().display();
        match (&self.standing, &standing) {
            (Standing::Current | Standing::Behind, Standing::Out(why)) => {
                report(Severity::Warning, &format!("the copy {path} is out of use: {why}"));
            }
            (Standing::Out(was), Standing::Out(why)) if was != why => {
                report(Severity::Warning, &format!("the copy {path} is still out of use: {why}"));
            }
            (Standing::Out(_) | Standing::Behind, Standing::Current) => {
                report(Severity::Note, &format!("the copy {path} is up to date again"));
            }
            _ => {}
        }
        self.standing = standing;
    }
}

/// How many copies a writing must reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// As many as are configured: somebody will rely on it.
    Enough,
    /// Whichever there are: they are put right, and nothing new is acknowledged.
    Any,
}

/// The copies, and how many of them a change must reach.
#[derive(Debug)]
pub struct Copies {
    members: Vec<Member>,
    min: usize,
    report: Report,
}

/// A copy that is open for the change under way.
#[derive(Debug)]
pub struct Open {
    /// Which one.
    pub index: usize,
    /// The file.
    pub file: Changing,
    /// Whether it is what memory holds, to the last byte.
    pub current: bool,
}

impl Copies {
    /// `min` is at least 1.
    pub fn new(members: Vec<Member>, min: usize, report: Report) -> Self {
        Self { members, min: min.max(1), report }
    }

    /// All of them, the configured order kept.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The path that the keyring is known by: the first copy's.
    pub fn path(&self) -> &Path {
        self.members.first().map_or(Path::new(""), |m| m.copy.path())
    }

    /// Copies that are up to date, and all.
    pub fn count(&self) -> (usize, usize) {
        (self.members.iter().filter(|m| m.standing == Standing::Current).count(), self.members.len())
    }

    /// Takes over what `earlier` knew of copies that cannot be read now: in which state they went.
    pub fn remember(&mut self, earlier: Copies) {
        for old in earlier.members {
            let away = |m: &&mut Member| m.copy.path() == old.copy.path() && m.states.is_empty();
            if let Some(member) = self.members.iter_mut().find(away) {
                member.states = old.states;
                member.suspect |= old.suspect;
            }
        }
    }

    /// Notes how a copy stands.
    pub fn stands(&mut self, index: usize, standing: Standing) {
        if let Some(member) = self.members.get_mut(index) {
            member.stands(standing, self.report);
        }
    }

    /// Notes an error of a copy.
    pub fn fails(&mut self, index: usize, e: &Error) {
        let why = match e {
            // Whoever made a new keyring there would have two.
            Error::Missing { found, .. } if self.members.len() > 1 => {
                format!("{found}. Mount its volume, or put a new copy there with keyringctl sync")
            }
            e => e.to_string(),
        };
        self.stands(index, Standing::Out(why));
    }

    /// There is no file in the place of a copy, while the keyring is in this state.
    pub fn is_absent(&mut self, index: usize, commit: Commit) {
        if let Some(member) = self.members.get_mut(index) {
            member.absent_in = Some(commit);
        }
    }

    /// A change reached these copies.
    pub fn reached(&mut self, open: &[Open], commit: Commit) {
        for copy in open {
            if let Some(member) = self.members.get_mut(copy.index) {
                member.reached(commit, self.report);
            }
        }
    }

    /// A change may have reached this copy.
    pub fn may_have_reached(&mut self, index: usize, commit: Commit) {
        if let Some(member) = self.members.get_mut(index) {
            member.may_have_reached(commit);
        }
    }

    /// This copy may look like the one in memory without being durable: what a failed sync left can be read
    /// until the power is cut.
    pub fn doubt(&mut self, index: usize) {
        if let Some(member) = self.members.get_mut(index) {
            member.suspect = true;
        }
    }

    /// A change counts that failed on copies in its last step: those that it may have reached are doubted.
    pub fn doubt_others(&mut self, open: &[Open], commit: Commit) {
        let reached = |index| open.iter().any(|o| o.index == index);
        for (index, member) in self.members.iter_mut().enumerate() {
            member.suspect |= !reached(index) && member.states.contains(&commit);
        }
    }

    /// Takes a step of a change on every open copy; those that fail it drop out. The first error of those.
    pub fn step(
        &mut self,
        open: &mut Vec<Open>,
        failed_may_hold: Option<Commit>,
        step: impl Fn(&Changing) -> Result<()>,
    ) -> Option<Error> {
        let mut first = None;
        open.retain(|copy| match step(&copy.file) {
            Ok(()) => true,
            Err(e) => {
                if let Some(commit) = failed_may_hold {
                    self.may_have_reached(copy.index, commit);
                }
                self.fails(copy.index, &e);
                first.get_or_insert(e);
                false
            }
        });
        first
    }

    /// Whether so many copies are enough.
    pub fn enough(&self, open: &[Open], reach: Reach) -> bool {
        let needed = match reach {
            Reach::Enough => self.min,
            Reach::Any => 1,
        };
        open.len() >= needed
    }

    /// The error for too few copies: what happened to the only one, or to all.
    pub fn too_few(&self, open: &[Open], cause: Option<Error>) -> Error {
        match cause {
            Some(cause) if self.members.len() == 1 || cause.is_by_another() => cause,
            cause => Error::TooFewCopies {
                reachable: open.len(),
                needed: self.min,
                why: {
                    let out = self.members.iter().filter_map(|m| match &m.standing {
                        Standing::Out(why) => Some(why.clone()),
                        _ => None,
                    });
                    let all: Vec<_> = out.collect();
                    if all.is_empty() {
                        cause.map(|e| e.to_string()).unwrap_or_default()
                    } else {
                        all.join("; ")
                    }
                },
            },
        }
    }
}
