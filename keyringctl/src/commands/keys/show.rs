// SPDX-License-Identifier: GPL-2.0-or-later
//! Prints keys with what needs them, and what could not be read.

use super::dates::age;
use super::judge::{JudgedKey, Need};
use super::named::Named;
use crate::commands::output::{Output, counted, table, time};
use crate::show::Shown;

/// Most places that could not be read that the text names.
const MOST_LINES: usize = 50;

/// Prints the keys, and what needs each.
pub(super) fn print_keys(keys: &[JudgedKey], verbose: bool, out: &mut Output) {
    let cells: Vec<_> = keys
        .iter()
        .map(|key| {
            let name = match key.user.is_empty() {
                true => key.id.clone(),
                false => format!("{} of user {}", key.id, key.user),
            };
            let retired = key.retired.map(time).unwrap_or_default();
            vec![name, key.kind.name().to_owned(), age(key.age_days), retired, key.why()]
        })
        .collect();
    table(out, &["KEY ID", "FOR", "AGE", "RETIRED", "NEEDED BY"], &cells);
    let unneeded = keys.iter().filter(|key| key.need == Need::Nothing).count();
    out.line(format_args!("{}, {unneeded} of them needed by nothing", counted(keys.len(), "key")));
    if verbose {
        for key in keys.iter().filter(|key| !key.files.is_empty()) {
            out.line(format_args!("{} is needed by", key.id.shown()));
            key.files.iter().for_each(|file| out.line(format_args!("  {}", file.shown())));
        }
    }
}

/// Prints what could not be read, and what that means.
pub(super) fn print_unread(named: &Named, out: &mut Output) {
    for unread in named.unread.iter().take(MOST_LINES) {
        out.line(format_args!("NOT READ {}: {}", unread.path.shown(), unread.why));
    }
    let more = named.unread.len().saturating_sub(MOST_LINES);
    if more > 0 {
        out.line(format_args!("NOT READ {more} more: --json lists them"));
    }
    if !named.unread.is_empty() {
        out.line("  -> as long as this cannot be read, no key counts as unneeded");
    }
}
