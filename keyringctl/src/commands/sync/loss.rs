// SPDX-License-Identifier: GPL-2.0-or-later
//! What bringing copies up to date writes over: which copy is the source, which are replaced, and which keys only they hold.

use crate::commands::consent::{Effect, Plan};
use crate::commands::outdated::Outdated;
use crate::commands::output::counted;
use crate::commands::secret;
use crate::show::Shown;
use keyring_external::key::KeyName;
use keyring_external::keyring::{Keyring, Standing};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::places::Places;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Most lost keys that a note names.
const MOST_KEYS: usize = 10;

/// The keyring as it was opened, before anything is written.
pub(super) struct Before<'a> {
    pub places: &'a Places,
    pub keyring: &'a Keyring,
    pub secret: &'a UnlockSecret,
    pub source: &'a secret::Args,
    /// The copies to create.
    pub absent: &'a [PathBuf],
    /// The copies that the server on this host is configured with; empty if there is none.
    pub configured: &'a [PathBuf],
}

impl Before<'_> {
    /// Returns what is created and written over, and whether a copy loses a slot.
    pub(super) fn plan(&self) -> (Plan, bool) {
        let standings = self.keyring.standings();
        let source = source(self.keyring);
        let status = self.keyring.known_status();
        let newest = format!("generation {}, {}", status.generation, counted(status.keys, "key"));
        let mut plan = Plan::new("Write these copies?");
        plan.note(format!("The source is {}, the newest intact copy: {newest}.", source.shown()));
        let (mut replaced, mut loses_slots) = (Vec::new(), false);
        for (path, _) in standings.iter().filter(|(_, standing)| *standing == Standing::Behind) {
            let old = Outdated::look(self.places, path, self.keyring, self.source, self.secret);
            let lost = self.lost_keys(&old);
            plan.effect(Effect::new(path.shown(), &old.now, format!("written over: {newest}")));
            old.plan_slots(path, &mut plan);
            self.tell_loss(path, &source, (&old, lost.as_deref()), &mut plan);
            replaced.push(json!({
                "path": path.exact(),
                "lost": lost.as_deref().map(exact),
                "lost_slots": old.lost_slots,
            }));
            loses_slots |= !old.lost_slots.is_empty();
        }
        for path in self.absent {
            plan.effect(Effect::new(path.shown(), "does not exist", format!("created: {newest}")));
        }
        plan.detail(
            "source",
            json!({ "path": source.exact(), "generation": status.generation, "keys": status.keys }),
        );
        plan.detail("written_over", replaced.into());
        (plan, loses_slots)
    }

    /// The keys that a copy holds and the source does not; `None` if it could not be opened.
    fn lost_keys(&self, old: &Outdated) -> Option<Vec<KeyName>> {
        let compared = old.keyring.as_ref()?.compare(self.keyring);
        let only = compared.only_here.into_iter().map(|key| key.name);
        let others = compared.conflicts.into_iter().map(|conflict| conflict.name);
        Some(only.chain(others).collect())
    }

    fn tell_loss(
        &self,
        path: &Path,
        source: &Path,
        (old, lost): (&Outdated, Option<&[KeyName]>),
        plan: &mut Plan,
    ) {
        match lost {
            // However much of it can be read, it holds nothing that the source does not have.
            None if old.is_damaged => {}
            None => plan.note(format!(
                "Whether {} holds keys that {} does not is not known: it was not opened.",
                path.shown(),
                source.shown()
            )),
            Some([]) => {}
            Some(lost) => {
                let names: Vec<_> = lost.iter().take(MOST_KEYS).map(ToString::to_string).collect();
                let more = match lost.len().saturating_sub(MOST_KEYS) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                plan.note(format!(
                    "{} holds {} that {} does not, and that will be lost there: {}{more}.",
                    path.shown(),
                    counted(lost.len(), "key"),
                    source.shown(),
                    names.join(", ")
                ));
            }
        }
        let is_configured =
            self.configured.iter().any(|copy| crate::commands::apart::is_one_file(copy, path));
        if !is_configured && !old.is_repair {
            plan.note(format!(
                "{} is not one of the copies that a server on this host is configured with. If it is a backup that you keep on purpose, answer \
                 no: it would no longer be the keyring of its time.",
                path.shown()
            ));
        }
    }
}

/// The first of the copies that hold the state that counts.
pub(super) fn source(keyring: &Keyring) -> PathBuf {
    let current = keyring.standings().into_iter().find(|(_, standing)| standing.is_up_to_date());
    current.map_or_else(|| keyring.path(), |(path, _)| path)
}

fn exact(keys: &[KeyName]) -> Value {
    keys.iter().map(|key| json!(key.to_string())).collect()
}
