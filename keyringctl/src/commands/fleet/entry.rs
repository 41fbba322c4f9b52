// SPDX-License-Identifier: GPL-2.0-or-later
//! One keyring at a remote, as its head shows it without a secret.

use crate::commands::slot_row::{self, SlotRow};
use crate::commands::store_places::remotes_option;
use crate::show::Shown;
use keyring_external::format::FormatError;
use keyring_external::format::commit;
use keyring_external::format::header::{self, VERSION};
use keyring_external::keyring::Claims;
use keyring_external::store::remote::head::{Head, Piece};
use serde::Serialize;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// How serious a problem of a keyring is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Weight {
    Warning,
    Error,
}

/// What kind of problem it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The engine did not give its head.
    Unread,
    /// There are pieces of a keyring, but no head.
    NoHead,
    /// The head cannot be used, or a piece is missing.
    Damaged,
    /// Two copies were changed independently.
    Diverged,
    /// Another copy holds a later state.
    Behind,
    /// Another copy is newer, and nothing shows that it holds all keys of this one.
    PerhapsDiverged,
    /// Its objects were copied to or from another prefix.
    SameReplica,
    /// Nobody has changed it for long.
    Stale,
}

impl Kind {
    /// All kinds, in the order of their numbers in metrics.
    pub(super) const ALL: [Kind; 8] = [
        Kind::Unread,
        Kind::NoHead,
        Kind::Damaged,
        Kind::Diverged,
        Kind::Behind,
        Kind::PerhapsDiverged,
        Kind::SameReplica,
        Kind::Stale,
    ];

    pub(super) fn weight(self) -> Weight {
        match self {
            Kind::Unread | Kind::NoHead | Kind::Damaged | Kind::Diverged => Weight::Error,
            Kind::Behind | Kind::PerhapsDiverged | Kind::SameReplica | Kind::Stale => Weight::Warning,
        }
    }

    /// Its name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Unread => "unread",
            Kind::NoHead => "no_head",
            Kind::Damaged => "damaged",
            Kind::Diverged => "diverged",
            Kind::Behind => "behind",
            Kind::PerhapsDiverged => "perhaps_diverged",
            Kind::SameReplica => "same_replica",
            Kind::Stale => "stale",
        }
    }
}

/// A problem of a keyring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Problem {
    pub kind: Kind,
    pub level: Weight,
    /// What was found, and what to do: sentences without a full stop at the end.
    pub what: String,
}

/// A keyring at a remote, or what is left of one.
#[derive(Serialize)]
pub(super) struct Entry {
    /// Its name: `@NAME/PREFIX`.
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    #[serde(flatten)]
    pub about: Option<About>,
    /// Other places with a copy of the same keyring, at most [`Entry::MOST_COPIES`].
    #[serde(serialize_with = "paths")]
    pub copies: Vec<PathBuf>,
    /// How many other places there are.
    pub copies_in_all: usize,
    pub problems: Vec<Problem>,
    /// What it claims to be, if its head can be read.
    #[serde(skip)]
    pub claims: Option<Claims>,
}

/// What the head of a keyring says. Nothing of it is authenticated.
#[derive(Serialize)]
pub(super) struct About {
    pub id: Uuid,
    pub label: String,
    pub created: u64,
    /// When the head was written last, by the clock of the server that did.
    pub changed: u64,
    pub generation: Option<u64>,
    /// The bytes that the same keyring has as a file.
    pub size: u64,
    pub pieces: usize,
    pub sequence: u64,
    /// The random id of this copy, which no other copy has.
    pub replica: String,
    pub slots: Vec<SlotRow>,
}

impl Entry {
    /// How many other places an entry names. A server has at most eight copies.
    pub(super) const MOST_COPIES: usize = 8;

    /// A keyring of which nothing is known yet.
    pub(super) fn at(path: &Path) -> Entry {
        Entry {
            path: path.to_owned(),
            about: None,
            copies: Vec::new(),
            copies_in_all: 0,
            problems: Vec::new(),
            claims: None,
        }
    }

    /// What to do about a copy that cannot be used.
    pub(super) fn remedy(path: &Path) -> String {
        format!(
            "Bring it up to date from another copy (keyringctl sync COPY --mirror {path}{remotes}). If that is refused, or \
             there is only a backup, make room first: keyringctl set-aside {path}{remotes}, which keeps what is there",
            path = path.shown(),
            remotes = remotes_option()
        )
    }

    /// What is wrong with a copy of which only pieces are left, and what to do.
    pub(super) fn without_head(path: &Path) -> String {
        format!(
            "there are pieces of a keyring, but no head: somebody deleted the head, or the creation was interrupted. If a \
             server uses it, put the head back with the engine's means (docs/REMOTES.md, Pieces without a head). \
             Otherwise make room, which keeps the pieces: keyringctl set-aside {path}{remotes}. Then create it again: \
             keyringctl sync COPY --mirror {path}{remotes} --create",
            path = path.shown(),
            remotes = remotes_option()
        )
    }

    /// Adds a problem.
    pub(super) fn add(&mut self, kind: Kind, what: impl Into<String>) {
        self.problems.push(Problem { kind, level: kind.weight(), what: what.into() });
    }

    /// The keyring whose head has these bytes. Returns the pieces that the head names, too.
    pub(super) fn read(path: &Path, bytes: &[u8]) -> (Entry, Vec<Piece>) {
        let mut entry = Entry::at(path);
        let restore = Entry::remedy(path);
        let Some(head) = Head::decode(bytes) else {
            entry.add(Kind::Damaged, format!("its head is not one of a keyring, or is damaged. {restore}"));
            return (entry, Vec::new());
        };
        let front = head.front().0;
        let header = match header::read(&front) {
            Ok(copies) => copies.readable.into_iter().next().map(|copy| copy.claims().clone()),
            Err(e) => {
                let what = match e {
                    FormatError::Newer(version) => format!(
                        "its format version is {version}, and this program reads up to {VERSION}. Use a newer keyringctl"
                    ),
                    e => format!("its header cannot be read ({e}). {restore}"),
                };
                entry.add(Kind::Damaged, what);
                None
            }
        };
        let Some(header) = header else { return (entry, Vec::new()) };
        let commit = commit::claimed(&front);
        let size = head.file_len();
        match commit {
            None => entry.add(Kind::Damaged, format!("neither of its commit slots can be read. {restore}")),
            Some(commit) if commit.length > size => entry.add(
                Kind::Damaged,
                format!("it must have {} bytes, but its pieces have {size}. {restore}", commit.length),
            ),
            Some(_) => {}
        }
        entry.about = Some(About {
            id: header.id,
            label: header.label.clone(),
            created: header.created,
            changed: head.written,
            generation: commit.map(|commit| commit.generation),
            size,
            pieces: head.pieces.len(),
            sequence: head.sequence,
            replica: Uuid::from_bytes(head.replica).simple().to_string(),
            slots: slot_row::rows(&header.slots),
        });
        entry.claims = Some(Claims { header, commit, damaged: false });
        (entry, head.pieces)
    }

    /// The worst of its problems.
    pub(super) fn worst(&self) -> Option<Weight> {
        self.problems.iter().map(|problem| problem.level).max()
    }
}

/// How many entries have a problem of this weight as their worst.
pub(super) fn count(entries: &[Entry], weight: Weight) -> usize {
    entries.iter().filter(|entry| entry.worst() == Some(weight)).count()
}

fn paths<S: serde::Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(crate::show::exact_paths(paths))
}
