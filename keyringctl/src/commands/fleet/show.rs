// SPDX-License-Identifier: GPL-2.0-or-later
//! How the keyrings of a fleet are shown: a table, then what is wrong; or metrics.

use super::entry::{About, Entry, Kind, Weight, count};
use crate::commands::output::{self, Output, time};
use crate::commands::prometheus::{Labels, Metrics};
use crate::show::{Shown, counted};
use keyring_external::keyring::now;

/// Prints the table, what is wrong with which keyring, and a line with the numbers.
pub(super) fn table(entries: &[Entry], out: &mut Output) {
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    if !rows.is_empty() {
        output::table(
            out,
            &["state", "keyring", "label", "id", "generation", "last change", "bytes", "slots", "copies"],
            &rows,
        );
    }
    for entry in entries {
        for problem in &entry.problems {
            let level = if problem.level == Weight::Error { "ERROR" } else { "WARNING" };
            out.line(format_args!("{level:<8}{}: {}", entry.path.shown(), problem.what));
        }
    }
    out.line(summary(entries));
}

/// How many keyrings there are, and how many of them have problems.
pub(super) fn summary(entries: &[Entry]) -> String {
    let (errors, warnings) = (count(entries, Weight::Error), count(entries, Weight::Warning));
    let keyrings = counted(entries.len(), "keyring");
    match errors + warnings {
        // Nothing is wrong with them, but something is with the place.
        0 if entries.is_empty() => keyrings,
        0 => format!("{keyrings}, nothing wrong as far as their heads tell without a secret"),
        _ => format!("{keyrings}: {errors} with errors, {warnings} with warnings"),
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let state = match entry.worst() {
        Some(Weight::Error) => "FAILED",
        Some(Weight::Warning) => "WARNING",
        None => "OK",
    };
    let about = |value: &dyn Fn(&About) -> String| entry.about.as_ref().map(value).unwrap_or_default();
    vec![
        state.to_owned(),
        entry.path.shown(),
        about(&|a| a.label.escape_debug().to_string()),
        about(&|a| a.id.to_string()),
        about(&|a| a.generation.map(|n| n.to_string()).unwrap_or_default()),
        about(&|a| time(a.changed)),
        about(&|a| a.size.to_string()),
        about(&|a| a.slots.len().to_string()),
        (entry.copies_in_all + 1).to_string(),
    ]
}

/// The same as metrics.
pub(super) fn metrics(entries: &[Entry], remotes_failed: usize) -> Metrics {
    let mut metrics = Metrics::default();
    let mut each = |name: &str, help: &str, value: &dyn Fn(&Entry) -> Option<u64>| {
        metrics.family(name, help);
        for entry in entries {
            let about = entry.about.as_ref();
            let id = about.map_or_else(String::new, |a| a.id.to_string());
            let label = about.map_or("", |a| &a.label);
            let labels: Labels<'_> = &[("path", &entry.path.label()), ("keyring", &id), ("label", &label)];
            value(entry).into_iter().for_each(|value| metrics.sample(name, labels, value));
        }
    };
    let about = |value: fn(&About) -> Option<u64>| move |e: &Entry| e.about.as_ref().and_then(value);
    each(
        "keyring_external_fleet_fine",
        "Whether nothing is wrong with a keyring at a remote, as far as its head tells without a secret.",
        &|e| Some(u64::from(e.problems.is_empty())),
    );
    each(
        "keyring_external_fleet_generation",
        "How many changes a keyring at a remote has had.",
        &about(|a| a.generation),
    );
    each(
        "keyring_external_fleet_changed_time_seconds",
        "When a keyring at a remote was changed last, in seconds since 1970.",
        &about(|a| Some(a.changed)),
    );
    each(
        "keyring_external_fleet_bytes",
        "Size of a keyring at a remote, as a file.",
        &about(|a| Some(a.size)),
    );
    each(
        "keyring_external_fleet_slots",
        "Unlock slots of a keyring at a remote.",
        &about(|a| Some(a.slots.len() as u64)),
    );
    each("keyring_external_fleet_copies", "Copies of the same keyring among those looked at.", &|e| {
        Some(e.copies_in_all as u64 + 1)
    });
    let name = "keyring_external_fleet_problems";
    metrics.family(name, "Keyrings with a problem of a kind.");
    for kind in Kind::ALL {
        let number = entries.iter().filter(|e| e.problems.iter().any(|p| p.kind == kind)).count();
        metrics.sample(name, &[("kind", &kind.name())], number);
    }
    let name = "keyring_external_fleet_keyrings";
    metrics.family(name, "Keyrings at the remotes that were looked at.");
    metrics.sample(name, &[], entries.len());
    let name = "keyring_external_fleet_remotes_failed";
    metrics.family(name, "Remotes that could not be looked at.");
    metrics.sample(name, &[], remotes_failed);
    let name = "keyring_external_fleet_time_seconds";
    metrics.family(name, "Time of these metrics, in seconds since 1970.");
    metrics.sample(name, &[], now());
    metrics
}
