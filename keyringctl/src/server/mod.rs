// SPDX-License-Identifier: GPL-2.0-or-later
//! A running MySQL server: how to connect to it, what it stores, and what of that is encrypted. This module only reads;
//! what changes a server is in `commands`.

mod address;
mod arguments;
mod busy;
mod codes;
mod connection;
mod coverage;
mod creations;
mod datadir_access;
mod figures;
mod files;
mod inventory;
mod keyring;
mod modifiers;
mod names;
mod older;
mod option_file;
mod options;
mod privileges;
mod role;
mod scratch_name;
mod scratch_tablespace;
mod session;
mod session_settings;
mod session_state;

pub use arguments::from_arguments;
pub use busy::{Busy, Call};
pub use codes::{DEADLOCK, LOCK_WAIT_TIMEOUT, NO_SUCH_TABLE, QUERY_INTERRUPTED, SYNTAX, is_gone};
pub use coverage::{
    DataPlace, DoublewritePages, Obstacle, PlaceKind, PlaceState, PlaceSum, Remedy, SettingsTally, Tally,
    coverage, emptied_by_hand, empty_log_table, place_of, stores_nothing, to_innodb,
};
pub use creations::{Creations, StoredProgram};
pub use datadir_access::DatadirAccess;
pub use figures::{Figures, KeyringFigures, audit_failures, retired_fetches};
pub use files::{Below, FileNames, FilePlace, ServerFiles, UnsearchedPlace, is_device};
pub use inventory::{
    AtWork, BinaryLog, Fault, ForeignKey, Inventory, MergeTable, OutsideDirectories, Part, PartPlace,
    RUN_LOCK, Schema, ServerIdentity, Settings, Table, TableLocation, Tablespace, TablespaceKind,
    may_be_file_of, may_be_file_of_partition, tablespace_of,
};
pub use keyring::{LoadedAs, ServerKeyring};
pub use modifiers::{PLUGIN_OPTIONS, is_unknown_to_plugin};
pub use names::{NameCase, Pattern, all_tables_of, concatenated, full_name, pasteable, quoted, quoted_text};
pub use older::{SCHEMA_DEFAULTS, first_known};
pub use option_file::{AbsentFile, OptionFiles, OptionLine, below_root, directories_to, included_by};
pub use options::{ConnectOptions, Protocol, SslMode};
pub use privileges::Privileges;
pub use role::{Channel, ConnectedReplica, Group, RefusedWrites, Role, UNLOGGED};
pub use scratch_name::{KEPT_INDEXES, SCRATCH, ScratchName};
pub use scratch_tablespace::ScratchTablespace;
pub use session::Session;
pub use session::lent::{LentConnection, UsedConnection};
pub use session_settings::NotSet;
pub use session_state::{Loss, NOT_MEASURED};
