// SPDX-License-Identifier: GPL-2.0-or-later
//! One line: written, and read again.

use super::event::{Event, EventKind};
use crate::format::audit_key::AuditKey;
use crate::format::crypto::TAG_LEN;
use crate::format::log_note::{LINE_HASH_LEN, LOG_ID_LEN, LogNote};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::time::SystemTime;
use uuid::Uuid;

/// Longest line that is read.
pub(super) const MAX_LINE: usize = 128 * 1024;

/// What precedes the MAC in a line.
const MAC_FIELD: &[u8] = b",\"mac\":\"";
/// The MAC of a line without a keyring. Anybody can write such a line, therefore only [events](EventKind::may_lack_mac) that
/// a program writes without a keyring have it.
const NO_MAC: &str = "none";

/// The hash of a line, without its line feed.
pub fn hash(line: &[u8]) -> [u8; LINE_HASH_LEN] {
    Sha256::digest(line).into()
}

/// What a line says beside its event.
pub(super) struct Head<'a> {
    pub log: [u8; LOG_ID_LEN],
    pub seq: u64,
    pub prev: [u8; LINE_HASH_LEN],
    pub time: SystemTime,
    pub host: &'a str,
    pub server: Option<&'a str>,
    pub who: &'a Value,
    pub keyring: Option<Uuid>,
    pub generation: Option<u64>,
    /// The line that the keyring noted when this one was written.
    pub noted: Option<u64>,
    /// What else the writer found.
    pub found: &'a [(&'static str, Value)],
}

/// Encodes a line, without its line feed.
pub(super) fn encode(head: &Head<'_>, event: &Event, key: Option<&AuditKey>) -> Vec<u8> {
    let mut line = String::with_capacity(700);
    let mut put = |name: &str, value: &Value| {
        // Writing to a String does not fail.
        let _ = write!(line, "{}\"{name}\":{value}", if line.is_empty() { "{" } else { "," });
    };
    put("seq", &head.seq.into());
    put("time", &humantime::format_rfc3339_millis(head.time).to_string().into());
    put("log", &Uuid::from_bytes(head.log).to_string().into());
    put("host", &head.host.into());
    if let Some(server) = head.server {
        put("server", &server.into());
    }
    put("who", head.who);
    put("event", &event.kind().name().into());
    if let Some(keyring) = head.keyring {
        put("keyring", &keyring.to_string().into());
    }
    if let Some(generation) = head.generation {
        put("generation", &generation.into());
    }
    for (name, value) in event.fields() {
        put(name, value);
    }
    if let Some(noted) = head.noted {
        put("noted", &noted.into());
    }
    for (name, value) in head.found {
        put(name, value);
    }
    put("prev", &hex(&head.prev).into());
    let mac = key.map_or(NO_MAC.to_owned(), |key| hex(&key.tag(line.as_bytes())));
    line.push_str(",\"mac\":\"");
    line.push_str(&mac);
    line.push_str("\"}");
    line.into_bytes()
}

/// A line that was read. Nothing of it is authenticated.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number in the log.
    pub seq: u64,
    /// The id of the log.
    pub log: [u8; LOG_ID_LEN],
    /// The hash of the line before.
    pub prev: [u8; LINE_HASH_LEN],
    /// The MAC; `None` if the line was written without a keyring.
    pub mac: Option<[u8; TAG_LEN]>,
    /// All fields.
    pub fields: Map<String, Value>,
}

impl Line {
    /// Reads a line, without its line feed. `None` if it is not one of an audit log.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (_, mac) = split(line)?;
        let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let seq = fields.get("seq")?.as_u64()?;
        let log = *Uuid::parse_str(text("log")?).ok()?.as_bytes();
        let prev = unhex(text("prev")?.as_bytes())?;
        let mac = if mac == NO_MAC.as_bytes() { None } else { Some(unhex(mac)?) };
        Some(Self { seq, log, prev, mac, fields })
    }

    /// A text field.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    /// A field with a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.fields.get(name).and_then(Value::as_u64)
    }

    /// The keyring that the line is about.
    pub fn keyring(&self) -> Option<Uuid> {
        Uuid::parse_str(self.text("keyring")?).ok()
    }

    /// Whether it may have no MAC: it is of an event that a program writes while no keyring is open, and names none.
    pub(super) fn may_lack_mac(&self) -> bool {
        let event = self.text("event");
        EventKind::all().any(|kind| kind.may_lack_mac() && Some(kind.name()) == event)
            && !["keyring", "generation"].iter().any(|name| self.fields.contains_key(*name))
    }

    /// Whether `key` authenticates this line, whose bytes are `line`.
    pub fn is_authentic(line: &[u8], key: &AuditKey) -> bool {
        split(line)
            .and_then(|(body, mac)| Some((body, unhex::<TAG_LEN>(mac)?)))
            .is_some_and(|(body, mac)| key.verify(body, &mac))
    }

    /// What a keyring notes of this line, whose bytes are `line`.
    pub fn note(&self, line: &[u8]) -> LogNote {
        LogNote { log: self.log, seq: self.seq, hash: hash(line) }
    }
}

/// What the MAC of a line covers, and the MAC as text.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_suffix(b"\"}")?;
    let at =
        rest.len().checked_sub(if rest.ends_with(NO_MAC.as_bytes()) { NO_MAC.len() } else { 2 * TAG_LEN })?;
    let (body, mac) = rest.split_at_checked(at)?;
    Some((body.strip_suffix(MAC_FIELD)?, mac))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads what [`hex`] wrote; nothing else, so that no digit can be written in another way.
pub(super) fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    (text.len() == 2 * N).then_some(())?;
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (to, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}
