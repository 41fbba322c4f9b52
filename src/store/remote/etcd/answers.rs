// SPDX-License-Identifier: GPL-2.0-or-later
//! Answers of etcd's JSON gateway. In them 64-bit numbers are strings, bytes are base64, and what is false, zero or empty
//! is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// What every answer begins with. etcd's cluster ids and revisions are never zero.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Header {
    cluster_id: Number,
    pub(super) revision: Number,
}

impl Header {
    /// Whether etcd may have written this.
    fn is_plausible(&self) -> bool {
        self.cluster_id.0 != 0 && self.revision.0 != 0
    }
}

/// A 64-bit number that is not negative.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Number(pub(super) u64);

/// Bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A key and its value.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct KeyValue {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) mod_revision: Number,
}

/// The answer to a range: keys in order.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Range {
    header: Header,
    pub(super) kvs: Vec<KeyValue>,
    pub(super) more: bool,
}

/// The answer to a transaction.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Txn {
    pub(super) header: Header,
    pub(super) succeeded: bool,
    responses: Vec<Response>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Response {
    response_range: Option<Range>,
}

impl Txn {
    /// The key that its only range found.
    pub(super) fn found(&self) -> Option<&KeyValue> {
        self.responses.first()?.response_range.as_ref()?.kvs.first()
    }
}

/// The answer to an authentication.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Authenticated {
    header: Header,
    pub(super) token: String,
}

/// An error. Gateways differ in which of the two texts there is.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Failed {
    error: String,
    message: String,
    /// The code of gRPC.
    pub(super) code: u32,
}

impl Failed {
    /// What etcd says.
    pub(super) fn text(&self) -> &str {
        if self.message.is_empty() { &self.error } else { &self.message }
    }
}

/// An answer that etcd may have given.
pub(super) trait Plausible: for<'a> Deserialize<'a> {
    /// Its header.
    fn header(&self) -> &Header;
}

impl Plausible for Range {
    fn header(&self) -> &Header {
        &self.header
    }
}

impl Plausible for Txn {
    fn header(&self) -> &Header {
        &self.header
    }
}

impl Plausible for Authenticated {
    fn header(&self) -> &Header {
        &self.header
    }
}

/// Reads an answer. `None` if it is none of etcd's: an object that only lacks something is no answer.
pub(super) fn read<T: Plausible>(body: &[u8]) -> Option<T> {
    serde_json::from_slice::<T>(body).ok().filter(|answer| answer.header().is_plausible())
}

/// Bytes as etcd takes them.
pub(super) fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a string of digits")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| text.parse().ok()).flatten().map(Number).ok_or_else(|| E::custom("no number"))
            }
        }
        from.deserialize_any(Digits)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
                STANDARD.decode(text).map(Bytes).map_err(|_| E::custom("no base64"))
            }
        }
        from.deserialize_str(Text)
    }
}
