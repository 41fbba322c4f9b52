// SPDX-License-Identifier: GPL-2.0-or-later
//! What to do if no copy has every key, or none opens.

use super::advice::{Advice, Place, merge};
use super::candidate::{Candidate, Obstacle, Opened};
use crate::commands::needs::LOG_LACKS_KEY;
use crate::commands::output::counted;
use crate::show::Shown;
use keyring_external::keyring::Relation;
use keyring_external::store::places::is_remote;

impl Place<'_> {
    /// Copies were opened, but each lacks keys.
    pub(super) fn without_keys(&self, opened: &[(&Candidate, &Opened)]) -> Advice {
        let datadir = self.datadir.shown();
        let mut advice = Advice {
            situation: "keys_missing",
            right: None,
            text: vec![format!("No copy has every master key that the files in {datadir} need")],
            next: Vec::new(),
            then: None,
        };
        if self.in_use {
            advice.text.insert(
                0,
                "A server runs on this data directory: do not stop it. It may hold the keys in its memory: dump its tables \
                 now, or decrypt them with ALTER TABLE ... ENCRYPTION='N'"
                    .to_owned(),
            );
        }
        for (i, (one, how)) in opened.iter().enumerate() {
            let completes = |(other, theirs): &&(&Candidate, &Opened)| {
                one.relation_to(other) == Relation::Diverged
                    && how.needs.missing.keys().all(|key| !theirs.needs.missing.contains_key(key))
            };
            if let Some((other, _)) = opened.iter().skip(i + 1).find(completes) {
                advice.situation = "diverged";
                advice.text.push(format!(
                    "{} and {} have diverged, and together they have every key. Merge them; both files are kept as they \
                     were, next to the copies:",
                    one.path.shown(),
                    other.path.shown()
                ));
                advice.next.push(merge(one, how, other));
                advice.then = Some("Then run keyringctl which again".to_owned());
                return advice;
            }
        }
        for (copy, _) in opened {
            if let (Some((id, label)), Some(w)) = (copy.identity(), self.witness)
                && id != w.id
            {
                advice.text.push(format!(
                    "{} is keyring {id}{}, which belongs to another server: {datadir} was last used with keyring {}",
                    copy.path.shown(),
                    if label.is_empty() { String::new() } else { format!(" ({})", label.escape_debug()) },
                    w.id
                ));
            }
        }
        advice.text.push(
            "Find another copy or backup of the keyring, and name it to keyringctl which too".to_owned(),
        );
        // What is given up is given up with the server stopped.
        if self.in_use {
            return advice;
        }
        let lack = |how: &Opened| (how.needs.lacks_for_log(), how.needs.missing.len());
        if let Some((best, how)) = opened.iter().min_by_key(|(_, how)| lack(how)) {
            if how.needs.lacks_for_log() {
                advice.text.push(format!(
                    "{LOG_LACKS_KEY}. If there is no other copy, restore a backup of the data"
                ));
                return advice;
            }
            let files: usize = how.needs.missing.values().map(Vec::len).sum();
            advice.text.push(format!(
                "Only if there is none, give up the {} that {} cannot decrypt, with the server stopped:",
                counted(files, "file"),
                best.path.shown()
            ));
            advice.next.push(self.accept(&best.path, &how.secret.option()) + " --accept-missing-keys");
        }
        advice
    }

    /// No copy was opened.
    pub(super) fn none_opens(&self, all: &[Candidate]) -> Advice {
        let mut advice = Advice {
            situation: "none_opens",
            right: None,
            text: vec!["No copy could be opened: see above".to_owned()],
            next: Vec::new(),
            then: None,
        };
        let with = |obstacle| all.iter().filter(move |c| c.obstacle == Some(obstacle));
        for copy in with(Obstacle::Missing) {
            advice.text.push(match is_remote(&copy.path) {
                true => format!("Check the name of {}, or name the backup of it instead", copy.path.shown()),
                false => {
                    format!("Mount the volume of {}, or name the backup of it instead", copy.path.shown())
                }
            });
        }
        let locked: Vec<_> = with(Obstacle::Secret).map(|c| c.path.shown()).collect();
        if !locked.is_empty() {
            advice.text.push(format!(
                "The secret fits none of the unlock slots of {}. Try the recovery key (for custodians: --custodians), or name another secret with --unlock:",
                locked.join(", ")
            ));
            let datadir = self.datadir.shown();
            advice.next.push(format!("keyringctl which {} --datadir {datadir} --recovery", locked.join(" ")));
        }
        advice
    }
}
