// SPDX-License-Identifier: GPL-2.0-or-later
//! Facts for tests: a server on which everything is in order.

use super::access::{Ability, Access, Account, Right};
use super::audit::{AuditFacts, NotedLine, VerifiedLog};
use super::copies::{CopyFacts, CopyFile, Volume};
use super::facts::{Facts, FileFacts, WitnessFacts};
use super::keys::{MasterKey, Purpose};
use super::known::Known;
use super::modules::Modules;
use super::origin::Origin;
use super::tables::TableRow;
use super::transit::Transit;
use crate::commands::drill::history::DrillEntry;
use crate::commands::encrypt::verify::files::FileTotals;
use crate::commands::keys::ServerNeeds;
use crate::server::{
    DataPlace, LoadedAs, PlaceKind, PlaceState, Remedy, ServerIdentity, ServerKeyring, Tally,
};
use keyring_external::audit::verify::{Bound, Counts, Verification};
use serde_json::json;
use uuid::Uuid;

/// The time of the measurement: 2026-06-01.
pub(super) const NOW: u64 = 1_780_272_000;

pub(super) fn item(kind: PlaceKind, name: &str, state: PlaceState) -> DataPlace {
    let remedy = if state == PlaceState::Clear { Remedy::Apply } else { Remedy::None };
    DataPlace {
        kind,
        name: name.to_owned(),
        bytes: 1 << 20,
        state,
        about: String::new(),
        remedy,
        files: Vec::new(),
    }
}

pub(super) fn copy(path: &str, device: &str) -> CopyFacts {
    CopyFacts {
        path: path.into(),
        volume: Known::Measured(Volume {
            mounted_at: "/mnt/a".into(),
            filesystem: "ext4".to_owned(),
            source: "/dev/sdb1".to_owned(),
            device: device.to_owned(),
            read_only: false,
            volatile: false,
            apart_from_data: true,
        }),
        remote: None,
        file: Known::Measured(CopyFile {
            id: Uuid::nil(),
            label: "main".to_owned(),
            created: NOW - 1000,
            written: Some(NOW - 10),
            generation: Some(7),
            same_file_as: None,
            diverged_from: Vec::new(),
            damaged: false,
            slots: Vec::new(),
            has_recovery_slot: true,
            verified: Known::Measured(Vec::new()),
        }),
    }
}

pub(super) fn fine() -> Facts {
    let places = vec![item(PlaceKind::Table, "clinic.visits", PlaceState::Encrypted)];
    Facts {
        measured: NOW,
        program: "0",
        origin: Origin {
            account: "root@localhost".to_owned(),
            client: "root@localhost".to_owned(),
            user: "root".to_owned(),
            sudo_user: Some("anna".to_owned()),
            host: "db".to_owned(),
            command: "keyringctl report --html encryption.html".to_owned(),
        },
        server: ServerIdentity {
            version: "9.7.4".to_owned(),
            uuid: "u".to_owned(),
            hostname: "db".to_owned(),
            datadir: "/var/lib/mysql/".to_owned(),
        },
        way: "/run/mysqld/mysqld.sock".to_owned(),
        tally: Tally::of(&places),
        places,
        schemas: Vec::new(),
        tables: vec![TableRow {
            schema: "clinic".to_owned(),
            name: "visits".to_owned(),
            state: PlaceState::Encrypted,
            bytes: 1 << 20,
            about: "3 partitions".to_owned(),
        }],
        keyring: ServerKeyring {
            way: LoadedAs::Component,
            state: "ATTACHED".to_owned(),
            id: Uuid::nil().to_string(),
            generation: 7,
            keys: 1,
            copies: (2, 2),
            paths: vec!["/mnt/a/k".into(), "/mnt/b/k".into()],
            remotes: None,
            last_error: String::new(),
            started: None,
        },
        copies: vec![copy("/mnt/a/k", "8:17"), copy("/mnt/b/k", "8:33")],
        keys: Known::Measured(vec![MasterKey {
            id: "INNODBKey-u-1".to_owned(),
            purpose: Purpose::Innodb,
            key_type: "AES".to_owned(),
            bits: 256,
            stored: NOW - 1000,
            retired: None,
        }]),
        needs: Known::Measured(ServerNeeds { keys: Vec::new(), unread: 0 }),
        retired_fetches: Some(0),
        audit: Known::Measured(audit()),
        witness: Known::Measured(Some(WitnessFacts { id: Uuid::nil(), generation: 7 })),
        files: Known::Measured(FileFacts {
            directories: vec!["/var/lib/mysql".into()],
            seen: FileTotals::default(),
            findings: Vec::new(),
        }),
        drills: Known::Measured(vec![drill()]),
        transit: Transit {
            require_secure_transport: Some(true),
            tls_version: "TLSv1.2,TLSv1.3".to_owned(),
            certificate: "server-cert.pem".to_owned(),
            not_before: "Nov 24 12:07:58 2025 GMT".to_owned(),
            not_after: "Nov 21 12:07:58 2036 GMT".to_owned(),
            connections: Known::Measured(vec![("Socket".to_owned(), 1)]),
            replication: Known::Measured(Vec::new()),
            replicas: Known::Measured(Vec::new()),
            certificates: Vec::new(),
        },
        access: Known::Measured(Access {
            accounts: vec![administrator()],
            secure_file_priv: Some("/var/lib/mysql-files/".to_owned()),
        }),
        modules: Modules::of_this_build(),
        max_age: None,
        unlock: " --unlock file:/s".to_owned(),
        accepted: Vec::new(),
        steps: Vec::new(),
    }
}

/// The account of the administrator.
pub(super) fn administrator() -> Account {
    let right = |ability, privilege: &str| Right { ability, privilege: privilege.to_owned(), through: None };
    Account {
        user: "root".to_owned(),
        host: "localhost".to_owned(),
        locked: false,
        plugin: "auth_socket".to_owned(),
        no_password: false,
        tls: String::new(),
        rights: vec![right(Ability::Rotate, "ENCRYPTION_KEY_ADMIN"), right(Ability::Files, "FILE")],
    }
}

/// A drill that passed.
pub(super) fn drill() -> DrillEntry {
    DrillEntry {
        time: NOW - 86_400,
        host: "restore".to_owned(),
        passed: true,
        backup: "/backup/monday".to_owned(),
        kind: "datadir".to_owned(),
        keyring: None,
        generation: None,
        mysqld: "9.7.4".to_owned(),
        tables: 4,
        rows: 9,
        tables_failed: 0,
        failed: Vec::new(),
        faults: Vec::new(),
        recorded: None,
        seconds: 3,
        program: "0".to_owned(),
    }
}

/// A log without faults.
pub(super) fn audit() -> AuditFacts {
    let bound = |seq, time: &str| Bound { seq, time: time.to_owned() };
    let checked = Verification {
        log: Uuid::nil().into_bytes(),
        counts: Counts { lines: 3, authentic: 2, by_chain: 1, without_mac: 0 },
        range: Some((bound(1, "2026-05-31T00:00:00.000Z"), bound(3, "2026-05-31T00:00:01.000Z"))),
        compared_with_note: true,
        findings: Vec::new(),
        remarks: Vec::new(),
    };
    let log = VerifiedLog { document: json!({}), checked, findings: Vec::new(), remarks: Vec::new() };
    AuditFacts {
        file: Some("/v/audit.log".into()),
        files: vec!["/v/audit.log".into()],
        unreadable: Vec::new(),
        unreadable_why: Vec::new(),
        note: Some(NotedLine { log: Uuid::nil(), number: 3 }),
        logs: vec![log],
        failures: Some(0),
        events: Vec::new(),
        destroyed: Vec::new(),
    }
}
