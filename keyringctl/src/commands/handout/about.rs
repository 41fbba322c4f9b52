// SPDX-License-Identifier: GPL-2.0-or-later
//! What a page says beside the characters of its share.

use crate::commands::output::time;
use keyring_external::custodians::{Custodians, Share};
use keyring_external::format::header::ClaimedHeader;
use zeroize::Zeroizing;

/// What custodians are for.
pub(super) const COMMAND: &str = "keyringctl slot add KEYRING --custodians --new SOURCE";
/// How many groups a line of a page has.
pub(super) const GROUPS_OF_LINE: usize = 4;

/// The keyring and the set of shares.
pub(super) struct About {
    /// The keyring's id.
    pub id: String,
    label: String,
    /// The day on which the shares were made.
    date: String,
    set: String,
    custodians: Option<Custodians>,
}

impl About {
    pub(super) fn new(shares: &[Share], header: &ClaimedHeader, created: u64) -> Self {
        let time = time(created);
        let first = shares.first();
        Self {
            id: header.id.to_string(),
            label: header.label.clone(),
            date: time.split_once('T').map_or(time.clone(), |(date, _)| date.to_owned()),
            set: first.map(Share::set).unwrap_or_default(),
            custodians: first.map(Share::custodians),
        }
    }

    pub(super) fn set(&self) -> &str {
        &self.set
    }

    /// How many shares are needed, and how many there are.
    pub(super) fn needed(&self) -> (u8, u8) {
        self.custodians.map_or((0, 0), |of| (of.threshold(), of.shares()))
    }

    pub(super) fn title(&self, share: &Share) -> String {
        let (needed, all) = self.needed();
        format!("Share {} of {all}. Any {needed} of them unlock the keyring together", share.number())
    }

    /// What a page says about the keyring.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("keyring", self.id.clone())];
        if !self.label.is_empty() {
            facts.insert(0, ("label", self.label.clone()));
        }
        facts.extend([("set", self.set.clone()), ("created", self.date.clone())]);
        facts
    }

    /// What a page tells its custodian.
    pub(super) fn advice(&self) -> [String; 3] {
        let (needed, _) = self.needed();
        [
            "This page alone unlocks nothing, and tells nothing about the secret.".to_owned(),
            "Keep it on paper, locked away where nobody else gets at it: not in a computer, not with another share, not with \
             the server. Give it to nobody; type it yourself."
                .to_owned(),
            format!(
                "It is needed if the server's unlock secret is lost. Then {needed} custodians type their shares when this \
                 command, run on the server, asks for them:"
            ),
        ]
    }
}

/// The characters of a share.
pub(super) fn text(share: &Share) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(80));
    // Writing to a String does not fail.
    let _ = share.write_to(&mut *text);
    text
}

/// The characters of a share in lines, each with the numbers of its groups.
pub(super) fn lines(text: &str) -> Vec<(String, Zeroizing<String>)> {
    let groups: Vec<_> = text.split('-').collect();
    let lines = groups.chunks(GROUPS_OF_LINE).enumerate();
    lines
        .map(|(at, groups)| {
            let first = at * GROUPS_OF_LINE + 1;
            (format!("groups {first}-{}", first + groups.len() - 1), Zeroizing::new(groups.join("-")))
        })
        .collect()
}
