// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl status` shows of one copy.

use crate::commands::content::Content;
use crate::commands::slot_row::SlotRow;
use serde::Serialize;
use std::path::PathBuf;
use uuid::Uuid;

/// What was found out about one copy.
#[derive(Serialize)]
pub(super) struct CopyStatus {
    pub path: PathBuf,
    pub fine: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(flatten)]
    pub about: Option<About>,
    #[serde(skip)]
    pub content: Option<Content>,
}

/// What a keyring file says of itself.
#[derive(Serialize)]
pub(super) struct About {
    pub id: Uuid,
    pub label: String,
    pub created: u64,
    pub generation: Option<u64>,
    /// Whether the secret vouched for all of this.
    pub authenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
    pub slots: Vec<SlotRow>,
    pub notes: Vec<String>,
    /// Why a server could change nothing here now: the volume is full or mounted read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchangeable: Option<String>,
    /// How it stands to the witness of the data directory that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Stands>,
}

/// How a keyring stands to the witness in a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stands {
    /// The witness has seen this state.
    Same,
    /// The witness has seen an earlier one.
    Newer,
    /// The witness has seen a later one.
    Older,
    /// The witness has seen another keyring.
    Another,
    /// The witness has seen other content of this generation.
    Fork,
    /// The keys of this keyring did not write the witness.
    Unknown,
}

impl Stands {
    pub fn text(self) -> &'static str {
        match self {
            Stands::Same => "has seen this state: the data directory was last used with it",
            Stands::Newer => "has seen an earlier generation",
            Stands::Older => "has seen a later generation",
            Stands::Another => "has seen another keyring",
            Stands::Fork => "has seen another state, from which this copy has diverged",
            Stands::Unknown => {
                "was not written by this keyring (damaged, forged, or from before its data key was renewed): \
                 whether this is the newest cannot be told"
            }
        }
    }
}
