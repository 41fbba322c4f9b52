// SPDX-License-Identifier: GPL-2.0-or-later
//! The facts of a report: everything that was measured, and why something was not. Their JSON holds all facts of the page.

use super::access::Access;
use super::age::MaxAge;
use super::audit::AuditFacts;
use super::copies::CopyFacts;
use super::keys::{MasterKey, Purpose};
use super::known::Known;
use super::modules::Modules;
use super::origin::Origin;
use super::tables::{SchemaRow, TableRow};
use super::transit::Transit;
use crate::commands::drill::history::DrillEntry;
use crate::commands::encrypt::verify::files::FileTotals;
use crate::commands::encrypt::verify::finding::VerifyFinding;
use crate::commands::keys::ServerNeeds;
use crate::server::{DataPlace, PlaceKind, PlaceState, ServerIdentity, ServerKeyring, Tally};
use serde::Serialize;
use std::path::PathBuf;
use uuid::Uuid;

/// All facts.
#[derive(Serialize)]
pub(super) struct Facts {
    /// The time of the measurement, in seconds since 1970.
    pub measured: u64,
    /// The version of keyringctl.
    pub program: &'static str,
    /// Who made the report, and from where.
    pub origin: Origin,
    pub server: ServerIdentity,
    /// The server's socket or address.
    pub way: String,
    /// Every place, as the server reports it.
    pub places: Vec<DataPlace>,
    /// How many places and settings are in which state.
    pub tally: Tally,
    pub schemas: Vec<SchemaRow>,
    /// Every table.
    pub tables: Vec<TableRow>,
    pub keyring: ServerKeyring,
    pub copies: Vec<CopyFacts>,
    /// The server's own keys, the oldest first.
    pub keys: Known<Vec<MasterKey>>,
    /// All keys by age, and what needs each, as far as the files of this server tell.
    pub needs: Known<ServerNeeds>,
    /// How many fetches of a retired key the server counts; `None` if it does not say.
    pub retired_fetches: Option<u64>,
    pub audit: Known<AuditFacts>,
    pub witness: Known<Option<WitnessFacts>>,
    pub files: Known<FileFacts>,
    pub transit: Transit,
    /// The accounts that may rotate master keys, change the keyring or get around it.
    pub access: Known<Access>,
    pub modules: Modules,
    /// How old a master key in use may be, in seconds; `None`: its age is not judged.
    pub max_age: Option<MaxAge>,
    /// The restore drills that are recorded, the oldest first.
    pub drills: Known<Vec<DrillEntry>>,
    /// The option that names the secret in the commands of remedies.
    #[serde(skip)]
    pub unlock: String,
    /// Kinds of places that the administrator accepts as unencrypted.
    pub accepted: Vec<PlaceKind>,
    pub steps: Vec<MeasurementStep>,
}

impl Facts {
    /// The master keys in use, one of each purpose, whose age matters: that of the binary logs only while they are encrypted.
    pub(super) fn in_use(&self) -> Vec<&MasterKey> {
        let encrypts_logs = self.places.iter().any(|place| {
            matches!(place.kind, PlaceKind::BinaryLog | PlaceKind::RelayLog)
                && place.state == PlaceState::Encrypted
        });
        let keys = self.keys.measured().map(Vec::as_slice).unwrap_or_default();
        let newest = |purpose| keys.iter().rfind(|key| key.purpose == purpose);
        let of_logs = newest(Purpose::BinaryLogs).filter(|_| encrypts_logs);
        newest(Purpose::Innodb).into_iter().chain(of_logs).collect()
    }

    /// Whether a key is older than the policy allows; `None` without a policy.
    pub(super) fn is_too_old(&self, key: &MasterKey) -> Option<bool> {
        self.max_age.as_ref().map(|policy| self.measured.saturating_sub(key.stored) > policy.seconds())
    }

    /// Returns whether the administrator accepts unencrypted places of this kind.
    pub(super) fn accepts(&self, kind: PlaceKind) -> bool {
        self.accepted.contains(&kind)
    }
}

/// One step of the measurement.
#[derive(Serialize)]
pub(super) struct MeasurementStep {
    pub what: &'static str,
    pub how: String,
    /// Why it was not done.
    pub not_done: Option<String>,
}

impl MeasurementStep {
    pub(super) fn new<T>(what: &'static str, how: impl Into<String>, known: &Known<T>) -> MeasurementStep {
        MeasurementStep { what, how: how.into(), not_done: known.why_not().map(str::to_owned) }
    }
}

/// The witness in the data directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct WitnessFacts {
    pub id: Uuid,
    pub generation: u64,
}

/// What was found in the server's files, page by page.
#[derive(Serialize)]
pub(super) struct FileFacts {
    #[serde(serialize_with = "crate::show::paths")]
    pub directories: Vec<PathBuf>,
    pub seen: FileTotals,
    /// What is unencrypted in them, or cannot be decrypted with the keyring.
    pub findings: Vec<VerifyFinding>,
}
