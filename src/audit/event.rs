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

/// All kinds, with their names in a line, and whether such a line announces a change of the keyring, which notes it.
const KINDS: &[(EventKind, &str, bool)] = &[
    (EventKind::SegmentStarted, "segment_started", false),
    (EventKind::Opened, "opened", false),
    (EventKind::OpenFailed, "open_failed", false),
    (EventKind::Closed, "closed", false),
    (EventKind::KeyStored, "key_stored", true),
    (EventKind::KeyGenerated, "key_generated", true),
    (EventKind::KeyRemoved, "key_removed", true),
    (EventKind::KeysStored, "keys_stored", true),
    (EventKind::KeyRetired, "key_retired", true),
    (EventKind::KeyUnretired, "key_unretired", true),
    (EventKind::KeyDestroyed, "key_destroyed", true),
    (EventKind::SlotAdded, "slot_added", true),
    (EventKind::SlotRemoved, "slot_removed", true),
    (EventKind::SlotChanged, "slot_changed", true),
    (EventKind::Rekey, "rekey", true),
    (EventKind::Merged, "merged", true),
    (EventKind::Rewritten, "rewritten", true),
    (EventKind::ChangeFailed, "change_failed", false),
    (EventKind::Refused, "refused", false),
    (EventKind::ChangeAdopted, "change_adopted", false),
    (EventKind::CopyDetached, "copy_detached", false),
    (EventKind::CopyAttached, "copy_attached", false),
    (EventKind::CopyUpdated, "copy_updated", false),
    (EventKind::CopiesCreated, "copies_created", false),
    (EventKind::Export, "export", false),
    (EventKind::Backup, "backup", false),
    (EventKind::Drill, "drill", false),
    (EventKind::WitnessAccepted, "witness_accepted", false),
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

    fn entry(self) -> (EventKind, &'static str, bool) {
        // Each kind is in the list.
        KINDS.iter().find(|(kind, ..)| *kind == self).copied().unwrap_or((self, "unknown", false))
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
