// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring, which the server's calls and `keyringctl` work on. A change is first made durable in the
//! store, then in memory. Keys are read from memory only.
#![warn(unreachable_pub)]

mod adopt;
mod audit;
mod choose;
mod claims;
mod clock;
mod find;
mod keys;
mod lineage;
mod loading;
mod log;
mod maintain;
mod many;
mod memory;
mod merge;
mod new;
mod open;
mod readings;
mod relation;
mod reopen;
mod replicas;
mod retire;
mod sealing;
mod shared;
mod slots;
mod status;
mod successor;
mod trust;
mod until;
mod witness;
mod writer;

pub use claims::{Claims, inspect};
pub use clock::now;
pub use find::FoundKey;
pub use log::{Log, Severity};
pub use merge::{Conflict, KeyComparison, KeyFacts, MergeResult, Merging, Take, UnsharedKey};
pub use new::NewKeyring;
pub use open::{check_copies, load, load_all, load_beside_others, load_with};
pub use relation::Relation;
pub use replicas::Standing;
pub use sealing::{MIN_PASSPHRASE, SET_IN_NAME_LEN, set_in_name};
pub use shared::Keyring;
pub use slots::{Renewed, Verifier};
pub use status::{KeyringState, RELOAD_FAILED, Status};
pub use trust::Trust;
pub use witness::{Witnessed, check_claims_by_witness, witness_claims};
