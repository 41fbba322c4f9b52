// SPDX-License-Identifier: GPL-2.0-or-later
//! What keyringctl does beside a server: checks, setup, encryption, reports, proofs, migration.

pub mod check;
pub mod encrypt;
pub mod migrate_offline;
pub mod report;
pub mod setup;
pub mod verify_datadir;
