// SPDX-License-Identifier: GPL-2.0-or-later
//! What is wrong with a log, or remarkable in it.

use crate::format::log_note::LogNote;
use serde::Serialize;

/// Where a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Place {
    /// Which of the files, counted from 0.
    pub file: usize,
    /// Which line of it, counted from 1.
    pub line: usize,
}

/// A kind of finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The line was changed, or is no line of this log.
    Changed,
    /// Of two lines, one was changed; without the secret it is not known which.
    ChangedOneOfTwo,
    /// A line does not continue the line before it, although its number does.
    Contradicts,
    /// Lines are missing.
    Missing,
    /// The line stands after a later one.
    Moved,
    /// The line was there before.
    Repeated,
    /// The last line is incomplete.
    Incomplete,
    /// Lines are missing at the end: the keyring notes a later one.
    CutAtEnd,
    /// The line is not the one that the keyring notes.
    DiffersFromNote,
    /// The keyring notes a line of a log that was not given.
    NotedLogNotGiven,
    /// The log began when the keyring noted a line of another log, which was not given.
    EarlierLogNotGiven,
    /// The first file does not begin as every file of a log does: the lines before this one were removed from it.
    CutAtBeginning,
    /// The lines have MACs of a key that is not known, and nothing that can be checked follows them: they were written before
    /// the data key was renewed without this log, or by somebody else. With `detail`, the number of the noted line, the
    /// keyring proves that it was renewed after that line.
    NotCheckable,
    /// The data key was renewed after the line that the keyring notes, and no line keeps the key from before. The noted line
    /// and the hashes vouch for the lines up to it.
    KeyNotKept,
    /// The keyring was changed after the line that it notes (`count` times at most, up to the generation in `detail`), and no
    /// line announces that: the log could not be written, or a program was not given it.
    NotAnnounced,
    /// Earlier lines are in files that were not given.
    EarlierNotGiven,
    /// An interrupted write left an incomplete line.
    Interrupted,
    /// Lines could not be written.
    Unwritten,
    /// Nobody could check these lines when the line with the number `detail` was written after them, because their MACs are of
    /// no key that is known: that line proves only that they have not changed since.
    NeverChecked,
    /// Lines (`count`) have no MAC: they were written while no keyring was open. Anybody who can write to the log can have
    /// written them. `detail` is how many of them no line after them covers.
    WithoutMac,
    /// Lines (`count`) are about another keyring, whose key is not known.
    OfOtherKeyring,
    /// The change that the line announced is not confirmed: the program ended, or it failed without saying so.
    Unconfirmed,
}

/// A finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it is.
    pub trouble: Trouble,
    /// The line that it is about, or before which lines are missing.
    pub place: Option<Place>,
    /// The numbers of the lines that it is about: the first and the last.
    pub seqs: Option<(u64, u64)>,
    /// How many lines it is about, if not all of these numbers.
    pub count: Option<u64>,
    /// Since when and until when, as far as the lines around it tell.
    pub times: (Option<String>, Option<String>),
    /// More, for people.
    pub detail: Option<String>,
}

impl Finding {
    pub(super) fn new(trouble: Trouble) -> Self {
        Self { trouble, place: None, seqs: None, count: None, times: (None, None), detail: None }
    }

    pub(super) fn at(trouble: Trouble, place: Place) -> Self {
        Self { place: Some(place), ..Self::new(trouble) }
    }

    pub(super) fn of_note(trouble: Trouble, note: LogNote) -> Self {
        Self { seqs: Some((note.seq, note.seq)), ..Self::new(trouble) }
    }
}
