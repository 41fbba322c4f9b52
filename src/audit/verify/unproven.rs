// SPDX-License-Identifier: GPL-2.0-or-later
//! Lines of which nothing proves who wrote them, although nothing is wrong with them.

use super::finding::{Finding, Trouble};
use super::input::{Known, Physical};
use super::status::Status;
use crate::audit::file::{AFTER_UNCHECKED, LAST_KNOWN};
use crate::audit::line::{Line, hash, unhex};
use crate::format::log_note::LINE_HASH_LEN;

/// The remarks about such lines. A line that a writer knew of and that is another now is `wrong`.
pub(super) fn remarks(
    lines: &[Physical<'_>],
    statuses: &[Status],
    known: &Known,
    wrong: &mut Vec<Finding>,
) -> Vec<Finding> {
    let mut remarks = Vec::new();
    if known.key.is_some() {
        remarks.extend(never_checked(lines, statuses, known, wrong));
    }
    let unproven = without_mac(lines, statuses).map(|(line, _)| line);
    remarks.extend(of_lines(Trouble::WithoutMac, unproven).map(|remark| {
        let uncovered = without_mac(lines, statuses).filter(|(_, status)| **status == Status::Unchecked);
        Finding { detail: Some(uncovered.count().to_string()), ..remark }
    }));
    let of_other = trusted(lines, statuses).map(|(line, _)| line).filter(|line| {
        let of = line.line.as_ref().and_then(Line::keyring);
        known.keyring.is_some() && of.is_some() && of != known.keyring
    });
    remarks.extend(of_lines(Trouble::OfOtherKeyring, of_other));
    remarks
}

/// The lines that can be relied on, with what is known of each.
pub(super) fn trusted<'a>(
    lines: &'a [Physical<'a>],
    statuses: &'a [Status],
) -> impl Iterator<Item = (&'a Physical<'a>, &'a Status)> {
    lines.iter().zip(statuses).filter(|(_, status)| status.is_trusted())
}

/// The lines without a MAC that may lack it.
pub(super) fn without_mac<'a>(
    lines: &'a [Physical<'a>],
    statuses: &'a [Status],
) -> impl Iterator<Item = (&'a Physical<'a>, &'a Status)> {
    trusted(lines, statuses).filter(|(line, _)| line.line.as_ref().is_some_and(|line| line.mac.is_none()))
}

/// The lines before those whose writers could not check them, if this cannot either. One pass, however many such writers
/// somebody makes up.
fn never_checked(
    lines: &[Physical<'_>],
    statuses: &[Status],
    known: &Known,
    wrong: &mut Vec<Finding>,
) -> Vec<Finding> {
    let mut remarks = Vec::new();
    // The line whose writer could not check what precedes it, and the lines before it, from the last to the first.
    let mut writer: Option<(&Line, Vec<&Physical<'_>>)> = None;
    let mut tell = |(writer, found): (&Line, Vec<&Physical<'_>>)| {
        let remark = of_lines(Trouble::NeverChecked, found.into_iter().rev());
        remarks.extend(remark.map(|remark| Finding { detail: Some(writer.seq.to_string()), ..remark }));
    };
    for (physical, status) in lines.iter().zip(statuses).rev() {
        let Some(line) = physical.line.as_ref().filter(|_| status.is_trusted()) else { continue };
        if let Some((after, found)) = &mut writer {
            // The keyring noted it then, and through its hash all lines before it.
            let noted = last_known(after).filter(|(seq, _)| *seq == line.seq);
            if let Some((seq, _)) = noted.filter(|(_, noted)| hash(physical.bytes) != *noted)
                && !status.is_certain()
                && !wrong.iter().any(|finding| finding.place == Some(physical.place))
            {
                wrong.push(Finding {
                    seqs: Some((seq, seq)),
                    ..Finding::at(Trouble::Changed, physical.place)
                });
            }
            if noted.is_some() || status.is_certain() {
                writer.take().into_iter().for_each(&mut tell);
            } else if *status == Status::ByChain && line.mac.is_some() && line.keyring() == known.keyring {
                found.push(physical);
            }
        }
        if writer.is_none() && line.mac.is_some() && line.fields.contains_key(AFTER_UNCHECKED) {
            writer = Some((line, Vec::new()));
        }
    }
    writer.into_iter().for_each(tell);
    remarks.reverse();
    remarks
}

/// The number and hash of the last line that a writer knew of.
fn last_known(line: &Line) -> Option<(u64, [u8; LINE_HASH_LEN])> {
    let known = line.fields.get(LAST_KNOWN)?;
    Some((known.get("seq")?.as_u64()?, unhex(known.get("hash")?.as_str()?.as_bytes())?))
}

/// One finding about all of these lines, which may be in any order.
pub(super) fn of_lines<'a>(
    trouble: Trouble,
    lines: impl Iterator<Item = &'a Physical<'a>>,
) -> Option<Finding> {
    let found: Vec<_> =
        lines.filter_map(|physical| Some((physical.place, physical.line.as_ref()?))).collect();
    let (_, first) = found.iter().min_by_key(|(_, line)| line.seq)?;
    let (_, last) = found.iter().max_by_key(|(_, line)| line.seq)?;
    let time = |line: &Line| line.text("time").map(str::to_owned);
    Some(Finding {
        seqs: Some((first.seq, last.seq)),
        count: Some(found.len() as u64),
        times: (time(first), time(last).filter(|_| found.len() > 1)),
        ..Finding::at(trouble, found.first()?.0)
    })
}
