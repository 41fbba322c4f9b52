// SPDX-License-Identifier: GPL-2.0-or-later
//! What keyringctl does beside a server: checks, setup, encryption, reports, proofs, migration; the files for containers;
//! and which backup of a keyring belongs to which data.

pub mod administered;
pub mod backup;
pub mod check;
pub mod container;
pub mod drill;
pub mod encrypt;
pub mod migrate_offline;
pub mod report;
pub mod retention;
pub mod retention_log;
pub mod setup;
pub mod verify_datadir;
