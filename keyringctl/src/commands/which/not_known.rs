// SPDX-License-Identifier: GPL-2.0-or-later
//! What to do if the files do not name all keys that they need.

use super::advice::{Advice, Place};
use super::candidate::{Candidate, Opened};
use crate::commands::needs::{NAME_LOG, Unnamed, sentence};
use crate::commands::status::copy_status::WitnessSays;
use crate::show::Shown;

impl Place<'_> {
    /// The best copy has every key that files name, but they may need others.
    pub(super) fn not_known(&self, best: &Candidate, how: &Opened, why: Unnamed) -> Advice {
        let path = best.path.shown();
        let than_last = match (best.says, self.witness) {
            (Some(WitnessSays::Older), Some(w)) => {
                let generation = best.generation().unwrap_or_default();
                format!(
                    "it has generation {generation}, and the server last used generation {}",
                    w.generation
                )
            }
            (Some(WitnessSays::Fork), _) => {
                "it has diverged from the keyring that the server last used".to_owned()
            }
            (Some(WitnessSays::Another), Some(w)) => format!("the server last used keyring {}", w.id),
            _ => "it is not known which keyring the server last used".to_owned(),
        };
        let mut text = vec![
            format!("It is not known whether {path} has every key: {than_last}"),
            sentence(&why.text(self.datadir)),
        ];
        let mut advice =
            Advice { situation: "in_use", right: None, text: Vec::new(), next: Vec::new(), then: None };
        match why {
            Unnamed::InUse => {
                text.push(
                    "Do not stop the server: it may have the only copy of its newest keys in its memory. See what it uses, and \
                     look for the newest copy:"
                        .to_owned(),
                );
                advice.next.push("keyringctl doctor".to_owned());
                advice.then = Some("Then name the newest copy to keyringctl which too".to_owned());
            }
            Unnamed::NotShutDown => {
                advice.situation = "not_shut_down";
                text.push(
                    "Look for the newest copy, and name it to keyringctl which. With that copy, start the server and shut \
                     it down; then older copies can be compared with the files. Only if there is no newer copy, copy the data \
                     directory first, and then, with the server stopped:"
                        .to_owned(),
                );
                advice.next.push(self.accept(&best.path, &how.secret.option()) + " --accept-missing-keys");
            }
            Unnamed::NoLog | Unnamed::LogNotRead => return self.log_not_known(best, why),
        }
        advice.text = text;
        advice
    }

    /// What the redo log needs is not known, whatever the witness says of the copy.
    fn log_not_known(&self, best: &Candidate, why: Unnamed) -> Advice {
        let mut text = vec![
            format!("It is not known whether {} has every key", best.path.shown()),
            sentence(&why.text(self.datadir)),
        ];
        text.extend(match why {
            Unnamed::NoLog if self.in_use => Some(
                "Do not stop the server that runs on it. Name the directory of its redo log with --also"
                    .to_owned(),
            ),
            Unnamed::NoLog => Some(NAME_LOG.to_owned() + ": restore a backup of the data"),
            _ => Some("keyringctl drill shows whether a server recovers".to_owned()),
        });
        Advice { situation: "log_not_read", right: None, text, next: Vec::new(), then: None }
    }
}
