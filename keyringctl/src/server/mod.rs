// SPDX-License-Identifier: GPL-2.0-or-later
//! A running MySQL server: how to connect to it, what it stores, and what of that is encrypted. This module only reads;
//! what changes a server is in `commands`.

mod coverage;
mod files;
mod here;
mod inventory;
mod keyring;
mod names;
mod option_file;
mod options;
mod session;

pub use coverage::{Item, Kind, Remedy, State, coverage};
pub use files::ServerFiles;
pub use here::Here;
pub use inventory::{
    About, BinaryLog, ForeignKey, Inventory, Place, Schema, Settings, Table, Tablespace, TablespaceKind,
};
pub use keyring::{ServerKeyring, Way};
pub use names::{Pattern, quoted, quoted_text};
pub use option_file::{Entry, OptionFile};
pub use options::{Options, Protocol, SslMode};
pub use session::{LOCK_WAIT_TIMEOUT, Session};
