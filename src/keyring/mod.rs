// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring: what the server's calls and `keyringctl` come down to. A change goes to the store
//! first and into memory when it is durable there; reads are answered from memory alone.

mod catch_up;
mod choose;
mod claims;
mod clock;
mod copies;
mod find;
mod keys;
mod kinship;
mod lineage;
mod loading;
mod many;
mod memory;
mod merge;
mod new;
mod open;
mod readings;
mod reopen;
mod report;
mod shared;
mod slots;
mod status;
mod successor;
mod tend;
mod trust;
mod witness;
mod writer;

pub use claims::{Claims, inspect};
pub use clock::now;
pub use copies::Standing;
pub use find::Found;
pub use kinship::Kinship;
pub use merge::{About, Conflict, Merge, Merged, Merging, OnlyOne, Take};
pub use new::NewKeyring;
pub use open::{load, load_all, load_beside_others, load_with};
pub use report::{Report, Severity};
pub use shared::Keyring;
pub use slots::{Renewed, Verifier};
pub use status::{Counters, State, Status};
pub use trust::Trust;
pub use witness::{Testimony, hear_claims, witness_claims};
