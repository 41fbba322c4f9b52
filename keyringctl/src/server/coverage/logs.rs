// SPDX-License-Identifier: GPL-2.0-or-later
//! Logs, and the settings that decide whether later data is encrypted.

use super::doublewrite::{self, DoublewritePages};
use super::item::{DataPlace, PlaceKind, PlaceState, Remedy};
use crate::server::{Inventory, Settings};
use crate::show::{Shown, counted};
use std::path::Path;

pub(super) fn items(inventory: &Inventory, pages: &DoublewritePages) -> Vec<DataPlace> {
    let settings = &inventory.settings;
    let mut items = vec![redo(settings), binary_logs(inventory)];
    items.extend(relay_logs(inventory));
    items.push(doublewrite::item(settings, pages));
    items.push(query_log(
        settings,
        PlaceKind::GeneralLog,
        "general_log",
        "general_log_file",
        "every statement",
    ));
    items.push(query_log(
        settings,
        PlaceKind::SlowLog,
        "slow_query_log",
        "slow_query_log_file",
        "slow statements",
    ));
    items.push(DataPlace {
        kind: PlaceKind::ErrorLog,
        name: format!("error log {}", settings.get("log_error").unwrap_or_default().shown()),
        bytes: 0,
        state: PlaceState::Cannot,
        about: "MySQL cannot encrypt the error log. It contains no rows, but may contain names of tables and parts of statements".to_owned(),
        remedy: Remedy::None, files: Vec::new() });
    items.push(DataPlace {
        kind: PlaceKind::Dumps,
        name: "dumps and exports".to_owned(),
        bytes: 0,
        state: PlaceState::Cannot,
        about: "mysqldump and SELECT INTO OUTFILE write unencrypted files; old backups are unencrypted too"
            .to_owned(),
        remedy: Remedy::ByHand("encrypt new dumps as you create them; find and destroy old ones".to_owned()),
        files: Vec::new(),
    });
    for (name, about) in [
        ("default_table_encryption", "new schemas are unencrypted"),
        ("table_encryption_privilege_check", "anyone who may create a table may create it unencrypted"),
    ] {
        items.push(setting(settings, name, about));
    }
    items.extend(
        ["innodb_redo_log_encrypt", "innodb_undo_log_encrypt"].iter().filter_map(|name| late(settings, name)),
    );
    // One setting is one item.
    items.push(late(settings, "innodb_change_buffering").unwrap_or_else(|| change_buffer(settings)));
    items
}

/// Returns an item for a value that only SET PERSIST or SET GLOBAL has set. InnoDB applies it only when startup is almost
/// complete. Until then it writes unencrypted data: undo and redo of the server's own tables, and after a crash old values
/// of rows.
fn late(settings: &Settings, name: &str) -> Option<DataPlace> {
    let value =
        settings.get(name).filter(|v| v.eq_ignore_ascii_case("ON") || v.eq_ignore_ascii_case("none"))?;
    if let Some(why) = settings.no_sources() {
        return Some(DataPlace {
            kind: PlaceKind::LateSetting,
            name: name.to_owned(),
            bytes: 0,
            state: PlaceState::Unknown,
            about: format!("the server did not say where its value comes from: {why}"),
            remedy: Remedy::ByHand(
                "grant the account SELECT on performance_schema.variables_info, then run this again"
                    .to_owned(),
            ),
            files: Vec::new(),
        });
    }
    settings.is_late(name).then(|| DataPlace {
        kind: PlaceKind::LateSetting,
        name: name.to_owned(),
        bytes: 0,
        state: PlaceState::Clear,
        about: "set only with SET PERSIST or SET GLOBAL, which the server applies too late during startup: after a crash, it first writes old values of rows unencrypted"
            .to_owned(),
        remedy: Remedy::ByHand(format!(
            "add to the group [mysqld] of the server's option file: {name} = {value}; then run in the server: RESET PERSIST IF EXISTS {name}; and restart it when you can"
        )), files: Vec::new() })
}

/// How a group gets another value of `default_table_encryption`. It takes no member back that has another one.
fn in_all_members() -> Remedy {
    Remedy::ByHand(
        "all members of a group must have the same value, and it cannot be changed while group replication runs. When all members are encrypted, run on each of them, the primary last: STOP GROUP_REPLICATION; SET PERSIST default_table_encryption = ON; then start the group again, beginning with the former primary: SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION; SET GLOBAL group_replication_bootstrap_group = OFF; and on the others: START GROUP_REPLICATION;"
            .to_owned(),
    )
}

fn setting(settings: &Settings, name: &str, about: &str) -> DataPlace {
    let (on, lasts) = (settings.is_on(name), settings.lasts(name));
    let remedy = match name {
        _ if on && lasts => Remedy::None,
        "default_table_encryption" if settings.is_in_group() => in_all_members(),
        _ => Remedy::Apply,
    };
    DataPlace {
        kind: PlaceKind::Setting,
        name: name.to_owned(),
        bytes: 0,
        state: if on && lasts { PlaceState::Encrypted } else { PlaceState::Clear },
        about: match (on, lasts) {
            (true, true) => "ON".to_owned(),
            (true, false) => format!("ON, but OFF again after the next start: then {about}"),
            (false, _) => format!("OFF: {about}"),
        },
        remedy,
        files: Vec::new(),
    }
}

fn redo(settings: &Settings) -> DataPlace {
    let on = settings.is_on("innodb_redo_log_encrypt");
    DataPlace {
        kind: PlaceKind::Redo,
        name: "redo log".to_owned(),
        bytes: settings.number("innodb_redo_log_capacity").unwrap_or(0),
        state: if on { PlaceState::Encrypted } else { PlaceState::Clear },
        about: "changes of rows".to_owned(),
        remedy: if on { Remedy::None } else { Remedy::Apply },
        files: Vec::new(),
    }
}

fn binary_logs(inventory: &Inventory) -> DataPlace {
    let (clear, encrypted): (Vec<_>, Vec<_>) = inventory.binary_logs.iter().partition(|log| !log.encrypted);
    let bytes = inventory.binary_logs.iter().map(|log| log.bytes).fold(0, u64::saturating_add);
    let on = inventory.settings.is_on("binlog_encryption");
    let (state, about, remedy) = match (on, clear.len()) {
        _ if !inventory.settings.is_on("log_bin") => (PlaceState::Unused, "off".to_owned(), Remedy::None),
        (true, 0) if !inventory.settings.lasts("binlog_encryption") => (
            PlaceState::Clear,
            "binlog_encryption is ON, but OFF again after the next start".to_owned(),
            Remedy::Apply,
        ),
        (true, 0) => (PlaceState::Encrypted, counted(encrypted.len(), "file"), Remedy::None),
        (true, old) => (
            PlaceState::Clear,
            format!(
                "{old} of {} {} so until purged",
                counted(old + encrypted.len(), "file"),
                if old == 1 { "is unencrypted, and remains" } else { "are unencrypted, and remain" }
            ),
            Remedy::ByHand(
                "when all replicas and backups have them: keyringctl encrypt apply --purge-binary-logs"
                    .to_owned(),
            ),
        ),
        (false, 0) => (PlaceState::Clear, "0 files".to_owned(), Remedy::Apply),
        (false, all) => (
            PlaceState::Clear,
            format!(
                "{}; apply encrypts new ones, and leaves these until they are purged",
                counted(all, "file")
            ),
            Remedy::Apply,
        ),
    };
    DataPlace {
        kind: PlaceKind::BinaryLog,
        name: "binary logs".to_owned(),
        bytes,
        state,
        about,
        remedy,
        files: Vec::new(),
    }
}

fn relay_logs(inventory: &Inventory) -> Option<DataPlace> {
    let on = inventory.settings.is_on("binlog_encryption");
    inventory.relay_log_bytes.map(|bytes| DataPlace {
        kind: PlaceKind::RelayLog,
        name: "relay logs".to_owned(),
        bytes,
        state: if on { PlaceState::Encrypted } else { PlaceState::Clear },
        about: "encrypted with binlog_encryption; the replica removes old files after applying them"
            .to_owned(),
        remedy: if on { Remedy::None } else { Remedy::Apply },
        files: Vec::new(),
    })
}

/// With change buffering, entries of secondary indexes wait unencrypted in ibdata1, also those of encrypted tables.
fn change_buffer(settings: &Settings) -> DataPlace {
    let none = settings.get("innodb_change_buffering").is_none_or(|v| v.eq_ignore_ascii_case("none"));
    DataPlace {
        kind: PlaceKind::ChangeBuffer,
        name: "innodb_change_buffering".to_owned(),
        bytes: 0,
        state: if none { PlaceState::Encrypted } else { PlaceState::Clear },
        about: if none {
            "none".to_owned()
        } else {
            "entries of secondary indexes, also of encrypted tables, are stored unencrypted in ibdata1"
                .to_owned()
        },
        remedy: if none { Remedy::None } else { Remedy::Apply },
        files: Vec::new(),
    }
}

/// What must come before a log is switched off: at each start, the server logs until it applies the persisted value.
pub(super) fn off_at_start(switch: &str, settings: &Settings) -> String {
    if settings.is_option(switch) {
        format!("remove {switch} from the server's option file, then run: ")
    } else {
        String::new()
    }
}

fn query_log(settings: &Settings, kind: PlaceKind, switch: &str, file: &str, what: &str) -> DataPlace {
    let on =
        settings.is_on(switch) && settings.get("log_output").is_none_or(|o| !o.eq_ignore_ascii_case("NONE"));
    let path = settings.get(file).unwrap_or_default();
    // A relative path is below the data directory.
    let place = Path::new(settings.get("datadir").unwrap_or_default()).join(path);
    DataPlace {
        kind,
        name: format!("{} {}", kind.to_string().replace('-', " "), path.shown()),
        bytes: 0,
        state: if on { PlaceState::Clear } else { PlaceState::Unused },
        about: if on {
            format!("ON: {what} with values, in a log that MySQL cannot encrypt")
        } else {
            "off; an old file may still exist".to_owned()
        },
        remedy: if on {
            let first = off_at_start(switch, settings);
            Remedy::ByHand(format!("{first}mysql -e 'SET PERSIST {switch} = OFF' && rm -f {}", place.shown()))
        } else {
            Remedy::None
        },
        files: Vec::new(),
    }
}
