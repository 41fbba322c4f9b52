// SPDX-License-Identifier: GPL-2.0-or-later
//! The picture of the chain of keys: what encrypts the data, what wraps each key, what unlocks the keyring, and where its
//! copies are. It is drawn twice, for wide and for narrow windows; the page shows one of them.

mod draw;
mod stage;
mod text;

use super::copies::CopyFacts;
use super::facts::Facts;
use super::keys::Purpose;
use crate::commands::encrypt::sizes;
use crate::commands::output::{counted, time};
use crate::server::{PlaceKind, PlaceState, PlaceSum, Tally};
use crate::show::{Shown, visible};
use draw::{Layout, drawing};
use maud::{Markup, html};
use stage::{Band, Block, Line, Stage};

/// The most slots and copies that are drawn one by one.
const DRAWN: usize = 8;

/// The picture, and what it shows as text.
pub(super) fn chain(facts: &Facts) -> Markup {
    let stages = stages(facts);
    let mut slots = facts.copies.iter().filter_map(|copy| copy.file.measured()).flat_map(|file| &file.slots);
    html! {
        figure class="chain" {
            (drawing(&stages, &description(&stages), Layout::WIDE))
            (drawing(&stages, &description(&stages), Layout::NARROW))
            figcaption {
                "To read data, one needs a file of the server, a copy of the keyring, and the secret of one slot"
                @if slots.any(|slot| slot.custodians().is_some()) { " (of custodians: enough of their shares)" }
                "."
            }
        }
    }
}

fn stages(facts: &Facts) -> Vec<Stage> {
    let block = |title: &str, lines: Vec<Line>| Block { title: title.to_owned(), lines };
    let words = |text: String| Line::Words(text);
    let is_log = |kind| matches!(kind, PlaceKind::BinaryLog | PlaceKind::RelayLog);
    let state = |logs: bool| {
        let of = facts.places.iter().filter(|place| is_log(place.kind) == logs && !place.kind.is_setting());
        encrypted(Tally::of(of.filter(|place| place.state != PlaceState::Unused)))
    };
    let copies = facts.copies.len();
    let slots = facts.copies.iter().find_map(|copy| copy.file.measured()).map(|file| &file.slots);
    let mut slot_blocks: Vec<_> = slots
        .into_iter()
        .flatten()
        .take(DRAWN)
        .map(|slot| block(&format!("Slot {}", slot.number), vec![words(slot.short())]))
        .collect();
    let not_drawn = slots.map_or(0, |slots| slots.len().saturating_sub(DRAWN));
    if not_drawn > 0 {
        slot_blocks.push(block("More slots", vec![words(counted(not_drawn, "more slot"))]));
    }
    if slot_blocks.is_empty() {
        let why = if slots.is_none() { "not checked" } else { "there are none" };
        slot_blocks.push(block("Unlock slots", vec![words(why.to_owned())]));
    }
    let mut places: Vec<_> =
        facts.copies.iter().take(DRAWN).enumerate().map(|(i, copy)| place(i + 1, copy)).collect();
    if copies > DRAWN {
        places.push(block("More copies", vec![words(counted(copies - DRAWN, "more copy"))]));
    }
    if places.is_empty() {
        places.push(block("Copies", vec![words("not known".to_owned())]));
    }
    vec![
        Stage {
            band: Band::Server,
            blocks: vec![
                block("Tables, redo and undo logs", vec![words(state(false))]),
                block("Binary and relay logs", vec![words(state(true))]),
            ],
            arrow: "encrypted with",
        },
        Stage {
            band: Band::Server,
            blocks: vec![
                block(
                    "Tablespace keys",
                    vec![words("one for each tablespace, in its first page".to_owned())],
                ),
                block("File passwords", vec![words("one for each log file, in its header".to_owned())]),
            ],
            arrow: "wrapped with",
        },
        Stage {
            band: Band::Keyring,
            blocks: vec![
                master(facts, "InnoDB master key", Purpose::Innodb),
                master(facts, "Binary log master key", Purpose::BinaryLogs),
            ],
            arrow: "encrypted and authenticated with",
        },
        Stage {
            band: Band::Keyring,
            blocks: vec![block(
                "Data key",
                vec![words("random, one for each keyring; unencrypted only in locked memory".to_owned())],
            )],
            arrow: "wrapped in each of",
        },
        Stage { band: Band::Keyring, blocks: slot_blocks, arrow: "all of this keyring is in each of" },
        Stage { band: Band::Places, blocks: places, arrow: "" },
    ]
}

/// How much is encrypted.
fn encrypted(tally: Tally) -> String {
    let Tally { encrypted, half_done, unencrypted, not_supported, not_checked, .. } = tally;
    let rest =
        [&unencrypted, &not_supported, &not_checked].map(|sum: &PlaceSum| sum.places).iter().sum::<usize>();
    let done = encrypted.places + half_done.places;
    let bytes = encrypted.bytes.saturating_add(half_done.bytes);
    match (done, rest) {
        (0, 0) => "there are none".to_owned(),
        (0, _) => "not encrypted".to_owned(),
        (_, 0) => format!("encrypted, {}", sizes::bytes(bytes)),
        (_, _) => {
            format!("{done} of {} encrypted, {}", counted(done + rest, "place"), sizes::bytes(bytes))
        }
    }
}

fn master(facts: &Facts, title: &str, purpose: Purpose) -> Block {
    let line = match facts.keys.measured() {
        None => "not checked".to_owned(),
        Some(keys) => {
            let keys: Vec<_> = keys.iter().filter(|key| key.purpose == purpose).collect();
            match (keys.last(), keys.len()) {
                (None, _) => "there is none".to_owned(),
                (Some(newest), 1) => format!("1 key, since {}", day(newest.stored)),
                (Some(newest), n) => format!("{n} keys, the newest since {}", day(newest.stored)),
            }
        }
    };
    Block { title: title.to_owned(), lines: vec![Line::Words(line)] }
}

fn day(seconds: u64) -> String {
    time(seconds).split('T').next().unwrap_or_default().to_owned()
}

fn place(number: usize, copy: &CopyFacts) -> Block {
    let mut lines = vec![Line::Path(copy.path.shown())];
    if let Some(remote) = copy.remote.as_ref().and_then(|remote| remote.measured()) {
        lines.push(Line::Words(visible(&remote.engine)));
    } else if let Some(volume) = copy.volume.measured() {
        lines.push(Line::Path(format!("{} on {}", visible(&volume.filesystem), visible(&volume.source))));
        if !volume.apart_from_data {
            lines.push(Line::Words("on the data directory's filesystem".to_owned()));
        }
    }
    Block { title: format!("Copy {number}"), lines }
}

/// The chain as text, for those who do not see it.
fn description(stages: &[Stage]) -> String {
    let sentence = |stage: &Stage| {
        let blocks = stage.blocks.iter().map(|block| {
            let lines = block.lines.iter().map(|line| match line {
                Line::Words(text) | Line::Path(text) => text.as_str(),
            });
            format!("{} ({})", block.title, lines.collect::<Vec<_>>().join(", "))
        });
        let arrow = if stage.arrow.is_empty() { String::new() } else { format!(", {}:", stage.arrow) };
        format!("{}{arrow}", blocks.collect::<Vec<_>>().join("; "))
    };
    format!("{}.", stages.iter().map(sentence).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::report::known::Known;
    use crate::commands::report::sample::{copy, fine, item};

    #[test]
    fn the_chain_shows_what_was_measured() {
        let mut facts = fine();
        facts.places.push(item(PlaceKind::BinaryLog, "binlog.1", PlaceState::Clear));
        let shown = chain(&facts).into_string();
        for text in
            ["InnoDB master key", "1 key, since 2026-05-31", "not encrypted", "/mnt/a/k", "ext4 on /dev/sdb1"]
        {
            assert!(shown.contains(text), "{text}: {shown}");
        }
        facts.keys = Known::NotMeasured("no secret".to_owned());
        facts.copies.clear();
        let shown = chain(&facts).into_string();
        assert!(shown.contains("not checked") && shown.contains("not known") && !shown.contains("NaN"));
    }

    #[test]
    fn many_copies_are_counted() {
        let mut facts = fine();
        facts.copies = (0..12).map(|i| copy(&format!("/mnt/{i}/k"), "8:1")).collect();
        let shown = chain(&facts).into_string();
        assert!(
            shown.contains("4 more copies") && shown.contains("Copy 8") && !shown.contains("Copy 9"),
            "{shown}"
        );
    }
}
