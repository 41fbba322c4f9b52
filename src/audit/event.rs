// SPDX-License-Identifier: GPL-2.0-or-later
//! What a line of the audit log tells.

use crate::key::{KeyType, NameRef};
use serde_json::Value;

/// Longest text in a field, in characters. A longer one is truncated.
const MAX_TEXT: usize = 1000;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// A file of the log begins: the first one, or after a rotation.
    SegmentStarted,
    /// A program opened the keyring.
    Opened,
    /// The server could not open a keyring.
    OpenFailed,
    /// The server closed the keyring.
    Closed,
    /// A key is stored.
    KeyStored,
    /// A key is generated.
    KeyGenerated,
    /// A key is removed.
    KeyRemoved,
    /// Several keys are stored at once.
    KeysStored,
    /// A key is retired.
    KeyRetired,
    /// A retired key is in use again.
    KeyUnretired,
    /// A retired key is destroyed.
    KeyDestroyed,
    /// An unlock slot is added.
    SlotAdded,
    /// An unlock slot is removed.
    SlotRemoved,
    /// An unlock slot gets another secret.
    SlotChanged,
    /// The data key is renewed.
    Rekey,
    /// Diverged copies are merged.
    Merged,
    /// The copies are rewritten with the same keys.
    Rewritten,
    /// An announced change did not succeed.
    ChangeFailed,
    /// A change was refused before anything was written.
    Refused,
    /// A change that another program made was adopted.
    ChangeAdopted,
    /// A copy cannot be used any more.
    CopyDetached,
    /// A copy can be used again.
    CopyAttached,
    /// A copy was brought up to date.
    CopyUpdated,
    /// Copies were created.
    CopiesCreated,
    /// Keys were exported.
    Export,
    /// A backup was written.
    Backup,
    /// A restore was tried.
    Drill,
    /// The witness was replaced by hand.
    WitnessAccepted,
}

/// All kinds, with their names in a line; whether such a line announces a change of the keyring, which notes it; and whether
/// such a line may lack a MAC, because a program writes it while no keyring is open.
const KINDS: &[(EventKind, &str, bool, bool)] = &[
    (EventKind::SegmentStarted, "segment_started", false, true),
    (EventKind::Opened, "opened", false, false),
    (EventKind::OpenFailed, "open_failed", false, true),
    (EventKind::Closed, "closed", false, false),
    (EventKind::KeyStored, "key_stored", true, false),
    (EventKind::KeyGenerated, "key_generated", true, false),
    (EventKind::KeyRemoved, "key_removed", true, false),
    (EventKind::KeysStored, "keys_stored", true, false),
    (EventKind::KeyRetired, "key_retired", true, false),
    (EventKind::KeyUnretired, "key_unretired", true, false),
    (EventKind::KeyDestroyed, "key_destroyed", true, false),
    (EventKind::SlotAdded, "slot_added", true, false),
    (EventKind::SlotRemoved, "slot_removed", true, false),
    (EventKind::SlotChanged, "slot_changed", true, false),
    (EventKind::Rekey, "rekey", true, false),
    (EventKind::Merged, "merged", true, false),
    (EventKind::Rewritten, "rewritten", true, false),
    (EventKind::ChangeFailed, "change_failed", false, false),
    (EventKind::Refused, "refused", false, false),
    (EventKind::ChangeAdopted, "change_adopted", false, false),
    (EventKind::CopyDetached, "copy_detached", false, false),
    (EventKind::CopyAttached, "copy_attached", false, false),
    (EventKind::CopyUpdated, "copy_updated", false, false),
    (EventKind::CopiesCreated, "copies_created", false, false),
    (EventKind::Export, "export", false, false),
    (EventKind::Backup, "backup", false, false),
    (EventKind::Drill, "drill", false, true),
    (EventKind::WitnessAccepted, "witness_accepted", false, false),
];

impl EventKind {
    /// All kinds.
    pub fn all() -> impl Iterator<Item = EventKind> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    /// Its name in a line.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// Whether such a line announces a change of the keyring, which notes it.
    pub fn is_change(self) -> bool {
        self.entry().2
    }

    /// Whether such a line may lack a MAC: a program writes it while no keyring is open. Anybody can write such a line.
    pub fn may_lack_mac(self) -> bool {
        self.entry().3
    }

    fn entry(self) -> (EventKind, &'static str, bool, bool) {
        // Each kind is in the list.
        KINDS.iter().find(|(kind, ..)| *kind == self).copied().unwrap_or((self, "unknown", false, false))
    }
}

/// What a line of the audit log tells. It never holds a secret.
#[derive(Clone, Debug)]
pub struct Event {
    kind: EventKind,
    fields: Vec<(&'static str, Value)>,
}

impl Event {
    /// Such an event.
    pub fn new(kind: EventKind) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// With the name of a key, never its bytes.
    #[must_use]
    pub fn key(self, name: &NameRef<'_>) -> Self {
        let event = self.with("key", name.id().escape_ascii().to_string());
        match name.user() {
            [] => event,
            user => event.with("key_user", user.escape_ascii().to_string()),
        }
    }

    /// With the type of a key.
    #[must_use]
    pub fn key_type(self, key_type: &KeyType) -> Self {
        self.with("type", key_type.bytes().escape_ascii().to_string())
    }

    /// With another field. The value must not be a secret; a text is truncated after 1000 characters.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, truncated(value.into())));
        self
    }

    /// What happened.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The fields.
    pub fn fields(&self) -> &[(&'static str, Value)] {
        &self.fields
    }
}

/// A value whose texts are not longer than [`MAX_TEXT`].
fn truncated(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_TEXT => {
            Value::String(text.chars().take(MAX_TEXT).chain(['…']).collect())
        }
        Value::Array(values) => values.into_iter().take(100).map(truncated).collect(),
        value => value,
    }
}
