// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks for the shares of custodians, one after the other, until there are enough. Says at once which one is wrong.

use super::prompt::has_terminal;
use crate::commands::store_places::store_places;
use crate::show::{self, Shown, counted, visible};
use keyring_external::custodians::{Custodians, Share, unlock_secret};
use keyring_external::error::{Error, Failure, Result};
use keyring_external::format::FormatError;
use keyring_external::format::slots::{Slot, SlotKind, SlotOutcome};
use keyring_external::format::unlocking::Unlocking;
use keyring_external::keyring::inspect;
use keyring_external::secret::UnlockSecret;
use keyring_external::unlock::MAX_UNLOCK;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

/// The name of their secret in messages.
pub(super) const SHARES: &str = "the custodians' shares";
/// How often one share is asked for: it is long, and typed without seeing it.
const TRIES: usize = 5;

/// Reads shares until they unlock the keyring, as far as that can be told before it is opened. Without a terminal, each
/// is a line of standard input.
pub(super) fn read(path: &Path) -> Result<UnlockSecret> {
    let mut given = Given::new(path);
    if has_terminal() { ask(&mut given) } else { read_lines(&mut given, &mut std::io::stdin().lock()) }
}

fn ask(given: &mut Given) -> Result<UnlockSecret> {
    let mut tries_left = TRIES;
    loop {
        let mut typed = rpassword::prompt_password(visible(given.question()))
            .map_err(|e| unusable(&format!("cannot read from the terminal: {e}")))?;
        let added = if typed.is_empty() { None } else { Some(given.add(typed.as_bytes())) };
        typed.zeroize();
        match added {
            // Nobody else can be asked: opening the keyring says what is wrong.
            None if given.is_enough() => return given.all_that_can_be_tried(),
            Some(Ok(note)) => {
                tries_left = TRIES;
                note.iter().for_each(show::warn);
            }
            wrong => {
                let why = wrong.and_then(std::result::Result::err);
                let why = why.unwrap_or_else(|| "the input was empty".to_owned());
                tries_left -= 1;
                if tries_left == 0 {
                    return Err(unusable(&why));
                }
                show::warn(format_args!("{why}: try again"));
                continue;
            }
        }
        if let Some(secret) = given.enough()? {
            return Ok(secret);
        }
        if given.is_complete() {
            return given.all_that_can_be_tried();
        }
    }
}

fn read_lines(given: &mut Given, input: &mut impl BufRead) -> Result<UnlockSecret> {
    for number in 1.. {
        // Another program may read what follows the last share that is needed.
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_UNLOCK));
        input
            .take(MAX_UNLOCK as u64)
            .read_until(b'\n', &mut line)
            .map_err(|e| unusable(&format!("cannot read standard input: {e}")))?;
        if line.trim_ascii().is_empty() {
            break;
        }
        match given.add(&line) {
            Ok(note) => note.iter().for_each(show::warn),
            Err(why) => return Err(unusable(&format!("line {number} of standard input: {why}"))),
        }
        if let Some(secret) = given.enough()? {
            return Ok(secret);
        }
    }
    if given.is_enough() {
        return given.all_that_can_be_tried();
    }
    let why = match given.fullest() {
        None => "standard input is empty. Pipe the shares in, one a line, or run this command on a terminal"
            .to_owned(),
        Some(set) => format!(
            "standard input has {} of set {}, and {} are needed. Give one a line",
            counted(set.numbers().len(), "share"),
            set.name(),
            set.custodians().threshold()
        ),
    };
    Err(unusable(&why))
}

fn unusable(why: &str) -> Error {
    Failure::Unlock { source_name: SHARES.to_owned(), why: why.to_owned() }.into()
}

/// The shares that were given so far, for a keyring.
struct Given {
    path: PathBuf,
    /// The keyring's id and its slots for custodians, if the file could be read.
    known: Option<(Uuid, Vec<(Slot, Custodians)>)>,
    sets: Vec<Set>,
}

/// Shares that were made together.
struct Set(Vec<Share>);

impl Set {
    fn custodians(&self) -> Custodians {
        self.0[0].custodians()
    }

    fn name(&self) -> String {
        self.0[0].set()
    }

    /// The numbers of its shares. Two shares may say that they have one number.
    fn numbers(&self) -> Vec<u8> {
        let mut numbers: Vec<_> = self.0.iter().map(Share::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn is_enough(&self) -> bool {
        self.numbers().len() >= usize::from(self.custodians().threshold())
    }

    /// The first choice of as many of its shares as are needed that `opens` accepts.
    fn find<T>(
        &self,
        opens: &mut dyn FnMut(&[&Share]) -> Result<Option<T>>,
    ) -> Result<Option<(Vec<&Share>, T)>> {
        self.find_more(&mut Vec::new(), 0, opens)
    }

    fn find_more<'a, T>(
        &'a self,
        chosen: &mut Vec<&'a Share>,
        from: usize,
        opens: &mut dyn FnMut(&[&Share]) -> Result<Option<T>>,
    ) -> Result<Option<(Vec<&'a Share>, T)>> {
        if chosen.len() == usize::from(self.custodians().threshold()) {
            return Ok(opens(chosen)?.map(|found| (chosen.clone(), found)));
        }
        for (at, share) in self.0.iter().enumerate().skip(from) {
            if chosen.iter().all(|other| other.number() != share.number()) {
                chosen.push(share);
                let found = self.find_more(chosen, at + 1, opens)?;
                chosen.pop();
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }
}

impl Given {
    fn new(path: &Path) -> Self {
        let header = inspect(&store_places(), path).ok().map(|claims| claims.header);
        let known = header.map(|header| {
            let custodians = |slot: &Slot| match slot.kind {
                SlotKind::Custodians(custodians) => Some((slot.clone(), custodians)),
                _ => None,
            };
            (header.id, header.slots.iter().filter_map(|(_, slot)| custodians(slot)).collect::<Vec<_>>())
        });
        if known.as_ref().is_some_and(|(_, slots)| slots.is_empty()) {
            show::warn(format_args!(
                "{} has no unlock slot for custodians: see keyringctl slot list {}",
                path.shown(),
                path.shown()
            ));
        }
        Self { path: path.to_owned(), known, sets: Vec::new() }
    }

    fn slots(&self) -> &[(Slot, Custodians)] {
        self.known.as_ref().map_or(&[], |(_, slots)| slots)
    }

    fn fullest(&self) -> Option<&Set> {
        self.sets.iter().rev().max_by_key(|set| set.numbers().len())
    }

    fn is_enough(&self) -> bool {
        self.sets.iter().any(Set::is_enough)
    }

    /// Whether all shares of a set were given.
    fn is_complete(&self) -> bool {
        self.sets.iter().any(|set| set.numbers().len() == usize::from(set.custodians().shares()))
    }

    /// The question for the next share.
    fn question(&self) -> String {
        let path = self.path.shown();
        match (self.fullest(), self.slots()) {
            (Some(set), _) if set.is_enough() => {
                format!("Share of another custodian of {path} (Enter alone to stop): ")
            }
            (Some(set), _) => {
                let (next, of) = (set.numbers().len() + 1, set.custodians().threshold());
                format!("Share {next} of the {of} that are needed for {path}: ")
            }
            (None, [(_, custodians)]) => {
                format!("Share 1 of the {} that are needed for {path}: ", custodians.threshold())
            }
            (None, _) => format!("Share of a custodian of {path}: "),
        }
    }

    /// Takes a share. Returns a warning about it, or why it cannot be used.
    fn add(&mut self, typed: &[u8]) -> std::result::Result<Option<String>, String> {
        let share = Share::parse(typed).map_err(|e| e.to_string())?;
        let (number, custodians) = (share.number(), share.custodians());
        if let Some((id, slots)) = &self.known {
            if !share.is_of(id) {
                return Err(format!(
                    "share {number} is of another keyring, whose id begins with {}. {} is keyring {id}",
                    share.keyring(),
                    self.path.shown()
                ));
            }
            if !slots.is_empty() && slots.iter().all(|(_, of)| *of != custodians) {
                let of: Vec<_> = slots.iter().map(|(_, of)| of.to_string()).collect();
                return Err(format!(
                    "share {number} is of custodians {custodians}, and {} has custodians {}. It belongs to a slot that was \
                     removed",
                    self.path.shown(),
                    of.join(", ")
                ));
            }
        }
        let Some(set) = self.sets.iter_mut().find(|set| set.0[0].is_of_set_of(&share)) else {
            let warning = self.fullest().map(|other| {
                format!(
                    "share {number} is of set {}, the shares before it are of set {}. Shares of different sets do not \
                     work together: {} of one set are needed",
                    share.set(),
                    other.name(),
                    custodians.threshold()
                )
            });
            self.sets.push(Set(vec![share]));
            return Ok(warning);
        };
        if set.0.iter().any(|other| other.is(&share)) {
            return Err(format!("share {number} was given already. Give the share of another custodian"));
        }
        let contradicts = set.0.iter().any(|other| other.number() == number);
        set.0.push(share);
        Ok(contradicts.then(|| {
            format!("share {number} was given already with other characters: one of the two is wrong")
        }))
    }

    /// The secret, if enough shares were given and it unlocks a slot, or if that cannot be told. Says which of the given
    /// shares are wrong.
    fn enough(&self) -> Result<Option<UnlockSecret>> {
        for set in self.sets.iter().filter(|set| set.is_enough()) {
            if self.slots().is_empty() {
                return self.all_that_can_be_tried().map(Some);
            }
            if let Some((right, _)) =
                set.find(&mut |shares| self.unlocks(shares).map(|yes| yes.then_some(())))?
            {
                self.warn_of_wrong_ones(set, &right)?;
                return Ok(Some(unlock_secret(right)?));
            }
            let more = if self.is_complete() { "" } else { ". The share of another custodian shows which" };
            show::warn(format_args!(
                "shares {} of set {} do not unlock {}, although their check characters are right: at least one of them is \
                 wrong, or the set was replaced{more}",
                list(&set.numbers()),
                set.name(),
                self.path.shown()
            ));
        }
        Ok(None)
    }

    fn unlocks(&self, shares: &[&Share]) -> Result<bool> {
        let Some((id, slots)) = &self.known else { return Ok(false) };
        let secret = Unlocking::new(unlock_secret(shares.iter().copied())?);
        for (slot, _) in slots {
            // A slot that was altered belongs to the secret; opening the keyring says what is wrong with it.
            if !matches!(secret.open(slot, id).map_err(FormatError::in_memory)?, SlotOutcome::Wrong) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn warn_of_wrong_ones(&self, set: &Set, right: &[&Share]) -> Result<()> {
        let kept = &right[1..];
        for share in set.0.iter().filter(|share| right.iter().all(|other| !other.is(share))) {
            let others: Vec<_> =
                kept.iter().copied().filter(|other| other.number() != share.number()).collect();
            let is_right = others.len() == kept.len() && {
                let with_it: Vec<_> = others.into_iter().chain([share]).collect();
                self.unlocks(&with_it)?
            };
            if !is_right {
                let numbers: Vec<_> = right.iter().map(|share| share.number()).collect();
                show::warn(format_args!(
                    "share {}, as it was given, is wrong although its check characters are right: shares {} unlock {} \
                     without it. Compare what was typed with the page; if they are the same, the page was altered",
                    share.number(),
                    list(&numbers),
                    self.path.shown()
                ));
            }
        }
        Ok(())
    }

    /// The first shares of a set that has enough, whatever they lead to.
    fn all_that_can_be_tried(&self) -> Result<UnlockSecret> {
        let set = self.sets.iter().find(|set| set.is_enough());
        let first = set.map(|set| set.find(&mut |_| Ok(Some(())))).transpose()?.flatten();
        let Some((shares, ())) = first else { return Err(unusable("too few shares were given")) };
        Ok(unlock_secret(shares)?)
    }
}

/// Numbers in a sentence.
fn list(numbers: &[u8]) -> String {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let numbers: Vec<_> = numbers.iter().map(u8::to_string).collect();
    numbers.join(", ")
}
