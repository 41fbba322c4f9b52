// SPDX-License-Identifier: GPL-2.0-or-later
//! Judges one tablespace: its first page, its key, and pages decrypted with that key.

use super::info::{Info, MasterKey, SpaceKey};
use super::page::{self, Form};
use super::page0::{self, Change, FRONT, Geometry, Page0};
use super::read::Source;
use super::{Depth, Kind, MasterKeys, PageCounts, State};
use std::io;

/// Bytes that are read first: page 0 of the default size.
const FIRST: usize = 16 * 1024;
/// How many pages are looked at for one that is encrypted: so many from the beginning, then so many spread over the file.
const NEAR: u32 = 40;
const SPREAD: u32 = 64;
/// When so many pages do not open, it is not worth looking at more.
const MOST_BAD: usize = 4;
/// Pages that are read at once when all are.
const AT_ONCE: u32 = 32;

/// What was found out about a file.
#[derive(Debug)]
pub(super) struct Verdict {
    pub kind: Kind,
    pub state: State,
    pub key: Option<String>,
    pub checked_page: Option<u64>,
    pub in_clear: bool,
    pub pages: Option<PageCounts>,
    pub notes: Vec<String>,
    /// A number that another reading of the same bytes comes to, too.
    pub seen: u32,
}

impl Verdict {
    pub fn new(kind: Kind, state: State) -> Verdict {
        Verdict {
            kind,
            state,
            key: None,
            checked_page: None,
            in_clear: false,
            pages: None,
            notes: Vec::new(),
            seen: 0,
        }
    }

    pub fn damaged(kind: Kind, why: impl Into<String>) -> Verdict {
        let mut verdict = Verdict::new(kind, State::Damaged);
        verdict.notes.push(why.into());
        verdict
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Takes in bytes that it came from.
    pub fn saw(&mut self, bytes: &[u8]) {
        self.seen = crc32c::crc32c_append(self.seen, bytes);
    }
}

/// What the keyring does to encryption information.
pub(super) enum Opening {
    /// A key of the keyring opens it, the one of that id.
    Opened(SpaceKey, String),
    /// A constant that everybody knows opens it.
    Public(SpaceKey),
    /// There is no key of that id.
    Missing(String),
    /// The key of that id does not open it.
    Wrong(String),
}

/// Opens encryption information with the keys of a keyring.
///
/// # Errors
/// When the system has no memory.
pub(super) fn open_info(info: &Info, keys: &dyn MasterKeys) -> io::Result<Opening> {
    let candidates = match info.master_key() {
        MasterKey::Named(id) => vec![id],
        MasterKey::OfServerId(number) => {
            let mut ids = keys.ids();
            ids.retain(|id| MasterKey::may_be(id, number));
            ids.sort();
            if ids.is_empty() {
                ids.push(format!("INNODBKey-SERVER_ID-{number}"));
            }
            ids
        }
        MasterKey::Public => {
            let opened = info.open_public()?;
            return Ok(opened.map_or_else(|| Opening::Wrong("DefaultMasterKey".to_owned()), Opening::Public));
        }
    };
    let mut answer = None;
    for id in candidates {
        let mut opened = Ok(None);
        let there = keys.look(&id, &mut |master| opened = info.open(master));
        match opened? {
            Some(key) => return Ok(Opening::Opened(key, id)),
            None if there => answer = Some(Opening::Wrong(id)),
            None => drop(answer.get_or_insert(Opening::Missing(id))),
        }
    }
    Ok(answer.unwrap_or(Opening::Missing(String::new())))
}

/// A tablespace that was opened, for the pages of it that lie in other files.
pub(super) struct OpenSpace<'a> {
    pub space: u32,
    pub geometry: Geometry,
    pub key: &'a SpaceKey,
}

/// Judges a tablespace; hands its key to `opened`.
///
/// # Errors
/// What the filesystem answers.
pub(super) fn judge(
    source: &Source,
    kind: Kind,
    keys: &dyn MasterKeys,
    depth: Depth,
    opened: &mut dyn FnMut(OpenSpace<'_>),
) -> io::Result<Verdict> {
    let mut front = source.read(0, FIRST)?;
    if kind == Kind::Temporary && (front.len() < FRONT || page::form(&front) == Form::Empty) {
        return Ok(Verdict::new(kind, State::Empty));
    }
    if kind == Kind::System && super::bytes::be32(&front, page::NUMBER).is_some_and(|number| number > 0) {
        // The second file and later ones of the system tablespace have no header of their own.
        return Ok(Verdict::new(kind, State::NotEncrypted));
    }
    if front.is_empty() {
        return Ok(Verdict::damaged(kind, "it is empty"));
    }
    if page::form(&front) == Form::Empty {
        return Ok(Verdict::damaged(kind, "its first page is empty"));
    }
    if let Ok(geometry) = page0::geometry(&front)
        && geometry.physical > front.len()
    {
        front = source.read(0, geometry.physical)?;
    }
    let mut verdict = match Page0::parse(&front, kind != Kind::Temporary) {
        Ok(page0) => judge_page0(source, &page0, kind, keys, depth, opened)?,
        Err(why) => Verdict::damaged(kind, why),
    };
    verdict.saw(&front);
    Ok(verdict)
}

fn judge_page0(
    source: &Source,
    page0: &Page0,
    kind: Kind,
    keys: &dyn MasterKeys,
    depth: Depth,
    opened: &mut dyn FnMut(OpenSpace<'_>),
) -> io::Result<Verdict> {
    let kind = if kind == Kind::Table && page0.shared { Kind::General } else { kind };
    let pages = source.len() / page0.geometry.physical as u64;
    let fixed_size = !matches!(kind, Kind::System | Kind::Temporary);
    if fixed_size && pages < u64::from(page0.size) {
        let why = format!("it is cut short: it has {pages} of its {} pages", page0.size);
        return Ok(Verdict::damaged(kind, why));
    }
    let Some(info) = &page0.info else {
        if page0.encrypted {
            return Ok(Verdict::damaged(
                kind,
                "it says that it is encrypted, but holds no encryption information",
            ));
        }
        let mut verdict = Verdict::new(kind, State::NotEncrypted);
        verdict.in_clear = fixed_size;
        return Ok(verdict);
    };
    let mut verdict = Verdict::new(kind, State::Opened);
    let key = match open_info(info, keys)? {
        Opening::Opened(key, id) => {
            verdict.key = Some(id);
            key
        }
        Opening::Public(key) => {
            verdict.state = State::NotEncrypted;
            verdict.in_clear = true;
            verdict.note(
                "its key is sealed with a constant that is part of MySQL's source: start the server once with its keyring",
            );
            key
        }
        Opening::Missing(id) => {
            verdict.state = State::KeyMissing;
            verdict.key = Some(id);
            return Ok(verdict);
        }
        Opening::Wrong(id) => {
            verdict.state = State::WrongKey;
            verdict.key = Some(id);
            if page0.sum == page::Sum::None {
                verdict.note("its first page has no checksum, so that it may be damaged instead");
            }
            return Ok(verdict);
        }
    };
    let limit = pages.min(u64::from(page0.size.max(1))).min(u64::from(u32::MAX)) as u32;
    let space = Space { source, page0, key: &key, limit };
    match depth {
        Depth::OnePage => space.prove(&mut verdict)?,
        Depth::EveryPage => space.prove_all(&mut verdict)?,
    }
    match page0.change {
        Change::None => {}
        Change::Encrypting(done) => {
            verdict.in_clear = true;
            verdict.note(format!(
                "its encryption is under way, {done} pages are done: the server goes on with it"
            ));
        }
        Change::Decrypting(done) => {
            verdict.in_clear = true;
            verdict.note(format!("it is being decrypted, {done} pages are done"));
        }
    }
    if verdict.state == State::Opened || verdict.state == State::NotEncrypted {
        opened(OpenSpace { space: page0.space, geometry: page0.geometry, key: &key });
    }
    Ok(verdict)
}

/// A tablespace with the key that its header held.
struct Space<'a> {
    source: &'a Source,
    page0: &'a Page0,
    key: &'a SpaceKey,
    /// How many pages there are.
    limit: u32,
}

impl Space<'_> {
    fn opens(&self, page: &[u8], number: u32) -> bool {
        page::opens(page, number, self.page0.space, self.page0.geometry, self.key)
    }

    /// Looks for one encrypted page and decrypts it.
    fn prove(&self, verdict: &mut Verdict) -> io::Result<()> {
        let size = self.page0.geometry.physical;
        let used = if self.page0.free_limit > 0 { self.limit.min(self.page0.free_limit) } else { self.limit };
        // The first pages of tables come first; 1 and 2 describe the tablespace.
        let near = [4, 3].into_iter().chain(5..NEAR).chain([2, 1]);
        let spread = (0..SPREAD).map(|i| NEAR + (u64::from(i) * u64::from(used) / u64::from(SPREAD)) as u32);
        let mut bad: Vec<u32> = Vec::new();
        let (mut clear, mut looked) = (0, 0);
        for number in near.chain(spread).filter(|number| *number < used) {
            let page = self.source.read(u64::from(number) * size as u64, size)?;
            looked += 1;
            match page::form(&page) {
                Form::Empty => {}
                Form::Clear => clear += 1,
                Form::Encrypted if self.opens(&page, number) => {
                    verdict.checked_page = Some(u64::from(number));
                    break;
                }
                Form::Encrypted => {
                    verdict.saw(&page);
                    bad.push(number);
                    if bad.len() >= MOST_BAD {
                        break;
                    }
                }
            }
        }
        if clear > 0 {
            verdict.in_clear = true;
            verdict.note(format!("{clear} of the {looked} pages looked at are in clear"));
        }
        match (&bad[..], verdict.checked_page) {
            ([], Some(_)) => {}
            ([], None) => verdict.note(format!("none of the {looked} pages looked at is encrypted")),
            (bad, checked) => verdict.spoilt(bad, checked),
        }
        Ok(())
    }

    /// Decrypts all pages.
    fn prove_all(&self, verdict: &mut Verdict) -> io::Result<()> {
        let size = self.page0.geometry.physical;
        let mut counts = PageCounts::default();
        let mut bad: Vec<u32> = Vec::new();
        for first in (0..self.limit).step_by(AT_ONCE as usize) {
            let pages = self.source.read(u64::from(first) * size as u64, size * AT_ONCE as usize)?;
            for (number, page) in
                (first..self.limit).zip(pages.chunks(size)).filter(|(number, _)| *number > 0)
            {
                match page::form(page) {
                    Form::Empty => counts.empty += 1,
                    Form::Clear => counts.clear += 1,
                    // A page that is being written is there the second time.
                    Form::Encrypted
                        if self.opens(page, number)
                            || self
                                .opens(&self.source.read(u64::from(number) * size as u64, size)?, number) =>
                    {
                        counts.encrypted += 1;
                        verdict.checked_page.get_or_insert(u64::from(number));
                    }
                    Form::Encrypted => {
                        counts.damaged += 1;
                        verdict.saw(page);
                        if bad.len() < MOST_BAD {
                            bad.push(number);
                        }
                    }
                }
            }
        }
        verdict.in_clear |= counts.clear > 0;
        if counts.clear > 0 {
            verdict.note(format!("{} of its pages are in clear", counts.clear));
        }
        if !bad.is_empty() {
            verdict.spoilt(&bad, verdict.checked_page);
        }
        verdict.pages = Some(counts);
        Ok(())
    }
}

impl Verdict {
    /// Pages do not open with the key that the header holds.
    fn spoilt(&mut self, bad: &[u32], checked: Option<u64>) {
        self.state = State::Damaged;
        let bad: Vec<_> = bad.iter().map(u32::to_string).collect();
        let bad = bad.join(", ");
        self.note(match checked {
            Some(good) => {
                format!("damaged pages, such as {bad}; its key is right, page {good} opens with it")
            }
            None => format!("its header opens, but no page does: {bad} do not open with its key"),
        });
    }
}
