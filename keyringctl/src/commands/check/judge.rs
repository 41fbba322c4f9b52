// SPDX-License-Identifier: GPL-2.0-or-later
//! What the copies and the server amount to: pure rules.

use crate::commands::monitor_line::{Figure, Level, Line, joined};
use crate::commands::status::copy_status::{CopyStatus, Wrong};
use crate::error::{Error, Result};
use crate::server::{Figures, KeyringFigures};
use crate::show::{Shown, counted};
use keyring_external::keyring::RELOAD_FAILED;
use std::path::Path;

/// MySQL's errors of a server that runs but serves nobody: too many connections, no thread, no memory, shutdown.
const OUT_OF_SERVICE: [u16; 5] = [1040, 1041, 1053, 1135, 3032];

/// What the administrator demands.
pub(super) struct Limits {
    /// How many copies must be up to date.
    pub min_copies: usize,
    pub max_failures: Option<u64>,
    /// Whether the server must be able to store new keys.
    pub stores: bool,
}

/// Something that is wrong, with what to do.
#[derive(Debug)]
pub(super) struct Problem {
    pub level: Level,
    pub text: String,
}

impl Problem {
    pub(super) fn unknown(text: String) -> Problem {
        Problem { level: Level::Unknown, text }
    }
}

/// What was found out about the copies.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub copies: &'a [CopyStatus],
    /// The data directory that was named, if there is no witness in it.
    pub without_witness: Option<&'a Path>,
    /// The witness in it, if that is damaged.
    pub damaged_witness: Option<&'a Path>,
}

/// Judges all that was found. `problems` are known already.
pub(super) fn line(
    found: Option<Found<'_>>,
    server: Option<&Result<KeyringFigures>>,
    limits: &Limits,
    mut problems: Vec<Problem>,
) -> Line {
    let (mut said, mut figures) = (Vec::new(), Vec::new());
    let copies = found.map(|found| found.copies);
    match server {
        Some(Ok(KeyringFigures::Ours(server))) => {
            let is_wrong = |copy: &CopyStatus| !copy.fine || unchangeable(copy).is_some();
            let tells = copies.is_some_and(|copies| copies.iter().any(is_wrong));
            said.push(of_server(server, tells, limits, &mut problems, &mut figures));
            if let Some(copies) = copies {
                compare(copies, server, &mut problems);
            }
        }
        Some(Ok(KeyringFigures::Other(name))) => problems.push(Problem {
            level: Level::Critical,
            text: format!("the server uses another keyring: {name}. Run keyringctl doctor"),
        }),
        Some(Ok(KeyringFigures::None)) => problems.push(Problem {
            level: Level::Critical,
            text: "the server has not loaded keyring_external: it cannot read encrypted data. Run keyringctl doctor"
                .to_owned(),
        }),
        Some(Err(e)) => problems.push(no_answer(e)),
        None => {}
    }
    if let Some(Found { copies, without_witness, damaged_witness }) = found {
        // A server that is told to store no new key may have its volumes mounted read-only.
        let stores = limits.stores
            && !matches!(server, Some(Ok(KeyringFigures::Ours(server))) if server.state == "READ_ONLY");
        said.push(of_copies(copies, stores, limits, &mut problems, &mut figures));
        problems.extend(without_witness.map(|datadir| no_witness(datadir, stores)));
        problems.extend(damaged_witness.map(|path| {
            let text = format!(
                "the witness {} is damaged: an older keyring would not be noticed. Check its disk; a server that uses the \
                 keyring replaces it",
                path.shown()
            );
            Problem { level: Level::Warning, text }
        }));
    }
    let identity = copies.and_then(identity);
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.level));
    let level = problems.iter().map(|problem| problem.level).max().unwrap_or(Level::Ok);
    // A pager may show only the beginning.
    let wrong = problems.iter().map(|problem| &problem.text).filter(|text| !text.is_empty());
    let texts = said.iter().chain(wrong).chain(&identity);
    Line { level, text: joined(texts.map(String::as_str)), figures }
}

/// Judges the copies. `stores`: the server must be able to store new keys in them.
fn of_copies(
    copies: &[CopyStatus],
    stores: bool,
    limits: &Limits,
    problems: &mut Vec<Problem>,
    figures: &mut Vec<Figure>,
) -> String {
    let is_closed = |copy: &&CopyStatus| copy.wrong == Some(Wrong::NoPermission);
    let good: Vec<_> = copies.iter().filter(|copy| copy.fine).collect();
    let writable = good.iter().filter(|copy| unchangeable(copy).is_none()).count();
    // Those that this user may not read may be up to date.
    let closed = copies.iter().filter(is_closed).count();
    let too_few = if good.len() + closed < limits.min_copies { Level::Critical } else { Level::Warning };
    for copy in copies.iter().filter(|copy| !copy.fine) {
        let level = match copy.wrong {
            Some(Wrong::NoPermission) => Level::Unknown,
            // A server stores no new key, or must not be started with this.
            Some(Wrong::Diverged | Wrong::AnotherKeyring) => Level::Critical,
            Some(Wrong::OtherSecret | Wrong::Unusable | Wrong::Damaged | Wrong::Behind | Wrong::SameFile)
            | None => too_few,
        };
        problems.push(Problem { level, text: format!("{}: {}", copy.path.shown(), what(copy)) });
    }
    let too_few = if writable + closed < limits.min_copies { Level::Critical } else { Level::Warning };
    for copy in good.iter().filter(|_| stores) {
        if let Some(why) = unchangeable(copy) {
            let text = format!("{}: no new key can be stored: {why}", copy.path.shown());
            problems.push(Problem { level: too_few, text });
        }
    }
    let min = limits.min_copies;
    if copies.len() < min {
        let text = format!(
            "the number of copies that are named is {}, but --min-copies demands {min}. Name the others too, or lower it",
            copies.len()
        );
        problems.push(Problem { level: Level::Critical, text });
    }
    let current = Figure::new("copies_current", good.len() as u64);
    figures.push(Figure { ranges: (format!("{}:", copies.len()), format!("{min}:")), ..current });
    figures.push(Figure::new("copies_configured", copies.len() as u64));
    let about =
        || copies.iter().filter(|copy| copy.fine).chain(copies).filter_map(|copy| copy.about.as_ref());
    let generation = about().filter_map(|about| about.generation).max();
    figures.extend(generation.map(|generation| Figure::new("generation", generation)));
    figures.extend(about().find_map(|about| about.keys).map(|keys| Figure::new("keys", keys as u64)));
    let locked = copies.iter().filter(|copy| copy.wrong == Some(Wrong::OtherSecret)).count();
    let locked = match locked {
        0 => String::new(),
        n if n == copies.len() => ": the secret does not open the keyring".to_owned(),
        n => format!(": the secret does not open {n} of them"),
    };
    format!("{}/{} copies up to date{locked}", good.len(), copies.len())
}

/// Nothing tells whether the copies are older than the data. `stores`: the server writes a witness.
fn no_witness(datadir: &Path, stores: bool) -> Problem {
    let text =
        format!("there is no witness in {}: the keyring that it last used is not known", datadir.shown());
    if stores {
        let help = "Check that this is the server's data directory; a server that uses the keyring writes it";
        Problem { level: Level::Warning, text: format!("{text}. {help}") }
    } else {
        Problem { level: Level::Ok, text }
    }
}

/// Which keyring the copies hold, and how far they were looked at.
fn identity(copies: &[CopyStatus]) -> Option<String> {
    let about = copies.iter().filter(|copy| copy.fine).chain(copies).find_map(|copy| copy.about.as_ref())?;
    let label = if about.label.is_empty() { String::new() } else { format!(" ({})", about.label) };
    let generation =
        about.generation.map(|generation| format!(", generation {generation}")).unwrap_or_default();
    let depth =
        if about.authenticated { "every byte authenticated" } else { "not authenticated (no --unlock)" };
    Some(format!("keyring {}{label}{generation}, {depth}", about.id))
}

/// Why no new key can be stored in the copy.
fn unchangeable(copy: &CopyStatus) -> Option<&str> {
    copy.about.as_ref().and_then(|about| about.unchangeable.as_deref())
}

/// What is wrong with a copy.
fn what(copy: &CopyStatus) -> String {
    let notes = copy.about.iter().flat_map(|about| &about.notes).map(String::as_str);
    match &copy.error {
        Some(error) => error.clone(),
        None => format!("it is damaged: {}", joined(notes)),
    }
}

/// Judges what the server says. `copies_tell`: the copies were looked at and tell more than its last error.
fn of_server(
    server: &Figures,
    copies_tell: bool,
    limits: &Limits,
    problems: &mut Vec<Problem>,
    figures: &mut Vec<Figure>,
) -> String {
    let (current, configured) = server.copies;
    let reload_failed = server.last_error.starts_with(RELOAD_FAILED);
    let last = match server.last_error.as_str() {
        "" => String::new(),
        _ if copies_tell || reload_failed => String::new(),
        last => format!(". Its last error: {last}"),
    };
    let too_few = (current as usize) < limits.min_copies;
    let mut add = |level, text| problems.push(Problem { level, text });
    // Other errors may be settled; this one is shown until a reload succeeds.
    if reload_failed {
        let failed = server.last_error.trim_end_matches('.');
        let help =
            "A restart may leave it without a keyring. Mend this, then run ALTER INSTANCE RELOAD KEYRING";
        add(Level::Warning, format!("{failed}. {help}"));
    }
    match server.state.as_str() {
        "ATTACHED" | "READ_ONLY" => {
            if too_few {
                let text = format!(
                    "the server has only {current} of the {} that --min-copies demands",
                    counted(limits.min_copies, "copy")
                );
                add(Level::Critical, text);
            }
        }
        "DEGRADED" => {
            let level = if too_few { Level::Critical } else { Level::Warning };
            // Its last error may be about a copy that is back.
            let text = "run keyringctl doctor on its host, which names the copy and the reason";
            add(level, if copies_tell { "" } else { text }.to_owned());
        }
        "DETACHED" => add(
            Level::Critical,
            format!(
                "the server can reach or change no copy: it reads keys from memory and stores no new one. Do not restart \
                 it before a volume with a copy is mounted and writable{last}"
            ),
        ),
        _ => add(
            Level::Critical,
            format!(
                "the server has no open keyring: it cannot read encrypted data{last}. Run keyringctl doctor"
            ),
        ),
    }
    if let (Some(failures), Some(max)) = (server.failures, limits.max_failures)
        && failures > max
    {
        let text =
            format!("the server has counted {failures} failed operations since it opened the keyring{last}");
        add(Level::Warning, text);
    }
    let copies = Figure::new("server_copies_current", current.into());
    let ranges = (format!("{configured}:"), format!("{}:", limits.min_copies));
    figures.push(Figure { ranges, ..copies });
    figures.push(Figure::new("server_copies_configured", configured.into()));
    figures.push(Figure::new("server_generation", server.generation));
    figures.push(Figure::new("server_keys", server.keys));
    figures.extend(server.failures.map(|failures| Figure {
        is_counter: true,
        ranges: (limits.max_failures.map(|max| max.to_string()).unwrap_or_default(), String::new()),
        ..Figure::new("server_failures", failures)
    }));
    format!("server {} with {current}/{configured} copies", server.state)
}

/// Compares the copies with what the server knew before they were read.
fn compare(copies: &[CopyStatus], server: &Figures, problems: &mut Vec<Problem>) {
    let about = || copies.iter().filter(|copy| copy.fine).filter_map(|copy| copy.about.as_ref());
    let Some(first) = about().next() else { return };
    let newest = about().filter_map(|about| about.generation).max().unwrap_or_default();
    let text = if first.id.to_string() != server.id && !server.id.is_empty() {
        format!("the server uses keyring {}, but these copies are keyring {}", server.id, first.id)
    } else if newest < server.generation {
        format!(
            "the server's keyring has generation {}, but these copies have {newest}: they lack its newest keys",
            server.generation
        )
    } else {
        return;
    };
    let help = "Check the paths and what is mounted there; do not restart the server before";
    problems.push(Problem { level: Level::Critical, text: format!("{text}. {help}") });
}

/// A server that does not answer is as bad as one without a keyring. One that refuses the account, or an option that
/// cannot be used, says nothing about the keyring.
fn no_answer(e: &Error) -> Problem {
    let level = match e {
        Error::Server(e) if e.silent || OUT_OF_SERVICE.contains(&e.code) => Level::Critical,
        _ => Level::Unknown,
    };
    Problem { level, text: e.to_string() }
}

#[cfg(test)]
mod tests;
