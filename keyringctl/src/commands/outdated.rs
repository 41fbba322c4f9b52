// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy that is behind or damaged, before it gets the state of the newest copy: what it is, and what it loses.

use super::consent::{Effect, Plan};
use super::output::counted;
use super::secret;
use super::slot_row::{self, SlotRow};
use crate::show::Shown;
use keyring_external::error::Refusal;
use keyring_external::keyring::{Keyring, inspect, load_with};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::places::Places;
use std::path::Path;

/// A copy that is written over.
pub(super) struct Outdated {
    /// What it is now.
    pub now: String,
    /// The keyring in it; `None` if it could not be opened.
    pub keyring: Option<Keyring>,
    /// Whether it is damaged.
    pub is_damaged: bool,
    /// Whether it is as new as the newest copy, and only damaged.
    pub is_repair: bool,
    /// Its slots that the newest copy lacks.
    pub lost_slots: Vec<SlotRow>,
}

impl Outdated {
    /// Looks at the copy at `path`; `newest` is the keyring as it will be there, which `secret` from `source` unlocked.
    pub(super) fn look(
        places: &Places,
        path: &Path,
        newest: &Keyring,
        source: &secret::Args,
        secret: &UnlockSecret,
    ) -> Outdated {
        let claims = inspect(places, path).ok();
        let claimed = claims.as_ref().and_then(|claims| claims.commit).map(|commit| commit.generation);
        let lost_slots =
            claims.map(|claims| slot_row::lost(&claims.header.slots, &newest.slots())).unwrap_or_default();
        let present = newest.known_status().generation;
        let (keyring, generation, keys, what) =
            match load_with(places, path, &source.name(), || source.read_again(secret)) {
                Ok((keyring, notes)) => {
                    let status = keyring.known_status();
                    let what = if notes.is_empty() { "" } else { DAMAGED };
                    (Some(keyring), Some(status.generation), Some(counted(status.keys, "key")), what)
                }
                Err(e) => {
                    let what = match e.refusal() {
                        Some(Refusal::WrongSecret { .. }) => "cannot be opened with this secret",
                        Some(Refusal::Damaged { .. } | Refusal::NotAKeyring { .. }) => DAMAGED,
                        _ => "cannot be read",
                    };
                    (None, claimed, None, what)
                }
            };
        let is_damaged = what == DAMAGED;
        let generation_text = generation.map(|generation| format!("generation {generation}"));
        let what = Some(what.to_owned()).filter(|what| !what.is_empty());
        let parts: Vec<_> = [generation_text, keys, what].into_iter().flatten().collect();
        let is_repair = generation == Some(present) && (is_damaged || keyring.is_some());
        Outdated { now: parts.join(", "), keyring, is_damaged, is_repair, lost_slots }
    }

    /// Adds a row for each slot that the copy at `path` loses.
    pub(super) fn plan_slots(&self, path: &Path, plan: &mut Plan) {
        plan_lost(&self.lost_slots, path, plan);
    }
}

const DAMAGED: &str = "damaged";

/// Adds a row for each of the `slots` that the copy at `path` loses.
pub(super) fn plan_lost(slots: &[SlotRow], path: &Path, plan: &mut Plan) {
    for row in slots {
        plan.effect(Effect::new(
            format!("slot {} of {}", row.number, path.shown()),
            row.identity(),
            "removed: its secret no longer unlocks this copy",
        ));
    }
}
