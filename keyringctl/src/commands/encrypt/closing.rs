// SPDX-License-Identifier: GPL-2.0-or-later
//! The end of a run of `encrypt apply`: a summary, what is left, and whether that is what the run was asked for.

use super::apply_report::{ApplyReport, FailedStep, Summary};
use super::direction::Direction;
use super::scope::Scope;
use super::{selection, sizes};
use crate::commands::command_line::command_line;
use crate::commands::output::{Output, counted};
use crate::server::{DataPlace, Inventory, PlaceKind, PlaceState, Remedy, Table, Tally};
use std::time::Duration;

/// How many names a line lists.
const MOST: usize = 10;

/// Adds what is left, as the server and its files show it now. `took`: how long the run was.
pub(super) fn take_stock(
    account: &mut ApplyReport,
    scope: &Scope<'_>,
    inventory: &Inventory,
    places: &[DataPlace],
    took: Duration,
) {
    let asked = || places.iter().filter(|place| scope.asks_for(place, inventory));
    account.tally =
        Tally::of(places.iter().filter(|place| scope.covers_all() || scope.asks_for(place, inventory)));
    account.summary.bytes = account.done.iter().map(|step| step.bytes).fold(0, u64::saturating_add);
    account.summary.seconds = took.as_secs_f64();
    let left = || places.iter().filter(|place| scope.is_left(place, inventory));
    account.left = left().map(name).collect();
    // Of a table that is decrypted, a part may be left.
    let tables = scope.tables(inventory).into_iter().map(Table::full_name);
    let tables: Vec<_> = tables.filter(|table| !account.left.contains(table)).collect();
    account.left.extend(tables);
    for failed in &mut account.failed {
        let is_it = |t: &&Table| t.full_name() == failed.what;
        let table = inventory.tables.iter().find(is_it);
        failed.by_hand |= table.is_some_and(|table| inventory.obstacle(table).is_some());
    }
    for step in selection::not_rewritten(scope.only, scope.skip, scope.direction, inventory, places) {
        let is_discarded = |t: &Table| t.full_name() == step.what && t.discarded().next().is_some();
        if !inventory.tables.iter().any(is_discarded) && !account.left.contains(&step.what) {
            account.left.push(step.what.clone());
        }
        if !account.failed.iter().any(|failed| failed.what == step.what) {
            account.failed.push(step);
        }
    }
    let is_by_hand = |name: &String| account.failed.iter().any(|f| f.by_hand && f.what == *name);
    account.is_for_apply = match scope.direction {
        Direction::Undo => account.left.iter().any(|name| !is_by_hand(name)),
        Direction::Encrypt => left().any(|place| place.remedy == Remedy::Apply),
    };
    let unknown = asked().filter(|place| place.state == PlaceState::Unknown);
    account.not_checked = unknown
        .map(|place| FailedStep { what: place.name.clone(), why: place.about.clone(), by_hand: false })
        .collect();
    if scope.covers_all() && scope.direction == Direction::Encrypt {
        let is_out = |p: &&DataPlace| {
            matches!(p.state, PlaceState::Clear | PlaceState::HalfDone) && !scope.asks_for(p, inventory)
        };
        account.left_out = places.iter().filter(is_out).map(name).collect();
        account.left_out_settings = places.iter().filter(is_out).filter(|p| p.kind.is_setting()).count();
    }
    account.to_set = asked().filter(|place| place.kind.is_setting() && place.is_left()).count();
}

fn name(place: &DataPlace) -> String {
    match place.kind {
        PlaceKind::Schema => format!("schema {}", place.name),
        _ => place.name.clone(),
    }
}

/// Prints the summary and the verdict.
pub(super) fn print(account: &ApplyReport, scope: &Scope<'_>, out: &mut Output) {
    out.line("");
    out.line(account.summary.line(scope.direction));
    let [places, settings] = account.tally.lines();
    if scope.covers_all() {
        out.line(places);
        out.line(settings);
    } else {
        out.line(format_args!("Of what was requested, {places}"));
    }
    out.line("");
    verdict(account, scope, out);
    for failed in &account.failed {
        out.line(format_args!("  {}: {}", failed.what, failed.why));
    }
    for unknown in &account.not_checked {
        out.line(format_args!("  {}: NOT CHECKED: {}", unknown.what, unknown.why));
    }
    if !account.interrupted
        && (account.failed.iter().any(|f| !f.by_hand) || account.is_for_apply && !account.left.is_empty())
    {
        out.line(format_args!("To try again, run: {}", command_line()));
    }
    if !account.checklist.is_empty() {
        out.block("\nLeft after apply");
        account.checklist.iter().flat_map(|step| step.lines()).for_each(|line| out.line(line));
        out.block("\nTo do these one by one, run: keyringctl encrypt finish");
    }
    if account.next_steps.is_empty() {
        return;
    }
    out.block("\nNext steps");
    for (i, step) in account.next_steps.iter().enumerate() {
        // A statement at the end is copied with its semicolon, and a full stop behind it would be an error.
        let end = if step.ends_with(';') { "" } else { "." };
        for line in format!("{}. {step}{end}", i + 1).lines() {
            out.line(line);
        }
    }
}

fn verdict(account: &ApplyReport, scope: &Scope<'_>, out: &mut Output) {
    let still = if scope.direction == Direction::Undo { "Still encrypted" } else { "Still unencrypted" };
    let left = match account.left_out() {
        Some(out) => format!("{}; left out with --skip: {out}", listed(&account.left)),
        None => listed(&account.left),
    };
    if account.interrupted {
        let done = counted(account.done.len(), "step");
        out.line(format_args!(
            "Stopped. {done} done, {} left. To continue, run: {}",
            account.left.len(),
            command_line()
        ));
    } else if account.is_fine() {
        out.line(format_args!(
            "OK: everything requested is {}.{}",
            scope.direction.done(),
            also(account, scope)
        ));
    } else if !account.failed.is_empty() {
        out.line(format_args!("FAILED: {}. {still}: {left}", counted(account.failed.len(), "step")));
    } else if account.is_for_apply && !account.left.is_empty() {
        out.line(format_args!("FAILED. {still}: {left}"));
    } else if !account.left.is_empty() {
        out.line(format_args!("INCOMPLETE. {still}: {left}. See below what is left to do."));
    } else {
        out.line("INCOMPLETE. Not everything could be checked:");
    }
}

/// What a run that did everything requested has left all the same.
fn also(account: &ApplyReport, scope: &Scope<'_>) -> String {
    if !scope.covers_all() || scope.direction == Direction::Undo {
        return String::new();
    }
    let mut also = String::new();
    if let Some(out) = account.left_out() {
        also.push_str(&format!(" Left out with --skip: {out}."));
    }
    if account.to_set > 0 {
        also.push_str(&format!(" {} still to be set: see below.", counted(account.to_set, "setting")));
    }
    also
}

impl ApplyReport {
    /// What `--skip` left out, counted as the tally counts it, and by name.
    fn left_out(&self) -> Option<String> {
        let places = self.left_out.len() - self.left_out_settings;
        let counts = [(places, "place"), (self.left_out_settings, "setting")];
        let counts: Vec<_> =
            counts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| counted(n, what)).collect();
        (!counts.is_empty()).then(|| format!("{} ({})", counts.join(" and "), listed(&self.left_out)))
    }
}

/// Formats names in one line, only the first of many.
fn listed(names: &[String]) -> String {
    match names.len() {
        0 => "nothing".to_owned(),
        n if n <= MOST => names.join(", "),
        n => format!("{} and {} more", names[..MOST].join(", "), n - MOST),
    }
}

impl Summary {
    /// What the run has done, in one sentence.
    fn line(&self, direction: Direction) -> String {
        let speed = match self.bytes {
            0 => String::new(),
            bytes => format!(", {}/s", sizes::bytes((bytes as f64 / self.seconds.max(0.001)) as u64)),
        };
        format!(
            "{} {} in this run, {} in {}{speed}.",
            counted(self.tables, "table"),
            direction.done(),
            sizes::bytes(self.bytes),
            sizes::time(Duration::from_secs_f64(self.seconds))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_skip_left_out_is_counted_as_in_the_tally_and_named() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let account = |left_out, left_out_settings| ApplyReport {
            left: names(&["binary logs"]),
            left_out: names(left_out),
            left_out_settings,
            ..ApplyReport::default()
        };
        assert_eq!(account(&[], 0).left_out(), None);
        let one = account(&["clinic.pat", "schema clinic"], 1);
        assert_eq!(one.left_out().unwrap(), "1 place and 1 setting (clinic.pat, schema clinic)");
        assert_eq!(account(&["a.b", "a.c"], 0).left_out().unwrap(), "2 places (a.b, a.c)");
        assert_eq!(account(&["schema a"], 1).left_out().unwrap(), "1 setting (schema a)");
    }
}
