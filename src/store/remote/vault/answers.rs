// SPDX-License-Identifier: GPL-2.0-or-later
//! The bodies of requests, and of answers that bring what was asked for. Any bytes can come here.

use crate::store::remote::objects::Version;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// The field of a secret that holds an object's bytes, in base64.
const FIELD: &str = "keyring_external";
/// What is said of a value that holds no object.
const NO_BASE64: &str = "its value is not valid base64";

/// What a read of a secret found.
#[derive(PartialEq, Eq)]
pub(super) enum Found {
    /// An object.
    Object(Vec<u8>, Version),
    /// None. If it was deleted in a way that keeps its history, this is the number of the last version: the next put
    /// has to name that.
    Nothing(u64),
    /// Something that keyring_external did not write.
    Foreign(&'static str),
    /// No answer of a KV version 2 mount.
    Other(&'static str),
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
    #[serde(default)]
    created_time: String,
}

impl Metadata {
    /// A mount numbers the versions of a secret that was deleted and made again from 1 anew. The time tells the two
    /// apart.
    fn version(&self) -> Version {
        let time = self.created_time.chars().filter(|c| c.is_ascii_graphic()).take(40);
        Version(format!("{}@{}", self.version, time.collect::<String>()))
    }
}

/// The number by which a put names a version.
pub(super) fn number(version: &Version) -> Option<u64> {
    version.0.split('@').next()?.parse().ok()
}

/// Reads the answer to a read of a secret: of status 200, or 404.
pub(super) fn found(status: u16, body: &[u8]) -> Found {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        data: Option<Data<'a>>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        data: Option<Fields<'a>>,
        metadata: Option<Metadata>,
    }
    #[derive(Deserialize)]
    struct Fields<'a> {
        keyring_external: Option<&'a str>,
    }
    let Ok(Answer { data }) = serde_json::from_slice::<Answer<'_>>(body) else {
        return match status {
            404 => Found::Nothing(0),
            _ if is_any_secret(body) => Found::Foreign(NO_BASE64),
            _ => Found::Other("the answer cannot be read"),
        };
    };
    match data {
        Some(Data { data: None, metadata: Some(metadata) }) => Found::Nothing(metadata.version),
        _ if status == 404 => Found::Nothing(0),
        Some(Data { data: Some(fields), metadata: Some(metadata) }) => {
            match fields.keyring_external.map(|text| BASE64_STANDARD.decode(text)) {
                Some(Ok(bytes)) => Found::Object(bytes, metadata.version()),
                Some(Err(_)) => Found::Foreign(NO_BASE64),
                None => Found::Foreign("it is a secret of another program"),
            }
        }
        // KV version 1 returns what was put as it is.
        _ => Found::Other("the mount is not KV version 2"),
    }
}

/// Whether this is the answer to a read of a secret, whatever is in it: characters that JSON escapes, too.
fn is_any_secret(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "data")]
        _data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "data")]
        _data: IgnoredAny,
        #[serde(rename = "metadata")]
        _metadata: Metadata,
    }
    serde_json::from_slice::<Answer>(body).is_ok()
}

/// The body of a put.
pub(super) fn put_body(bytes: &[u8], cas: u64) -> Vec<u8> {
    let start = format!("{{\"options\":{{\"cas\":{cas}}},\"data\":{{\"{FIELD}\":\"");
    let mut body = Vec::with_capacity(start.len() + bytes.len().div_ceil(3) * 4 + 3);
    body.extend_from_slice(start.as_bytes());
    body.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
    body.extend_from_slice(b"\"}}");
    body
}

/// The version that a put made. `None` if the answer does not tell: KV version 1 has no versions.
pub(super) fn put_version(body: &[u8]) -> Option<Version> {
    #[derive(Deserialize)]
    struct Answer {
        data: Metadata,
    }
    Some(serde_json::from_slice::<Answer>(body).ok()?.data.version())
}

/// The names in an answer to a list; those of folders end with `/`.
pub(super) fn listed(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Answer {
        data: Keys,
    }
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<String>,
    }
    Some(serde_json::from_slice::<Answer>(body).ok()?.data.keys)
}

/// What a token may do at paths.
pub(super) fn capabilities(body: &[u8]) -> Option<BTreeMap<String, Vec<String>>> {
    #[derive(Deserialize)]
    struct Answer {
        data: BTreeMap<String, Vec<String>>,
    }
    Some(serde_json::from_slice::<Answer>(body).ok()?.data)
}

/// How many versions of a secret are kept.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Kept {
    pub(super) max_versions: u64,
    pub(super) cas_required: bool,
}

impl Kept {
    pub(super) fn said(&self) -> String {
        if self.max_versions == 0 {
            "10 (or as many as its own setting says)".to_owned()
        } else {
            self.max_versions.to_string()
        }
    }
}

/// Reads the metadata of a secret.
pub(super) fn kept(body: &[u8]) -> Option<Kept> {
    #[derive(Deserialize)]
    struct Answer {
        data: Kept,
    }
    Some(serde_json::from_slice::<Answer>(body).ok()?.data)
}

/// A mount, as `sys/internal/ui/mounts` describes it.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Mount {
    r#type: String,
    options: Option<Options>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Options {
    version: String,
}

/// Reads the description of a mount.
pub(super) fn mount(body: &[u8]) -> Option<Mount> {
    #[derive(Deserialize)]
    struct Answer {
        data: Mount,
    }
    Some(serde_json::from_slice::<Answer>(body).ok()?.data)
}

impl Mount {
    pub(super) fn is_kv2(&self) -> bool {
        self.is_kv() && self.options.as_ref().is_some_and(|options| options.version == "2")
    }

    fn is_kv(&self) -> bool {
        matches!(self.r#type.as_str(), "kv" | "generic")
    }

    /// Why it cannot be used.
    pub(super) fn refused(&self, name: &str) -> String {
        if self.is_kv() {
            format!(
                "has mount {name} as KV version 1, which would overwrite what another server wrote. Run bao kv \
                 enable-versioning {name}, or name a KV version 2 mount in the remotes file"
            )
        } else {
            format!(
                "has mount {name}, but it is not a KV mount. Name a KV version 2 mount in the remotes file"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenBao 2.7.2's answer to a read.
    const READ: &str = r#"{"request_id":"ce5bd769","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":{"keyring_external":"AQID"},"metadata":{"created_time":"2026-11-27T02:08:56.231810333Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}},"wrap_info":null,"warnings":null,"auth":null}"#;
    const PUT: &str = r#"{"request_id":"ee210fd3","lease_id":"","renewable":false,"lease_duration":0,"data":{"created_time":"2026-11-27T02:08:56.231810333Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2},"wrap_info":null,"warnings":null,"auth":null}"#;
    const DELETED: &str = r#"{"data":{"data":null,"metadata":{"created_time":"2026-11-27T02:08:55.335510219Z","custom_metadata":null,"deletion_time":"2026-11-27T02:08:55.400853042Z","destroyed":false,"version":4}}}"#;

    fn read(status: u16, body: &str) -> Found {
        found(status, body.as_bytes())
    }

    #[test]
    fn a_read_returns_the_version_that_the_put_returned() {
        let version = put_version(PUT.as_bytes()).unwrap();
        assert!(matches!(read(200, READ), Found::Object(bytes, v) if bytes == [1, 2, 3] && v == version));
        assert_eq!(number(&version), Some(2));
        let again = put_version(PUT.replace("02:08:56", "02:09:56").as_bytes()).unwrap();
        assert_ne!(version, again, "deleted and made again");
    }

    #[test]
    fn a_deleted_secret_is_absent_and_its_last_version_is_known() {
        assert!(matches!(read(404, DELETED), Found::Nothing(4)));
        assert!(matches!(read(404, r#"{"errors":[]}"#), Found::Nothing(0)));
    }

    #[test]
    fn what_another_program_put_is_not_an_object() {
        let is_foreign = |body: &str| matches!(read(200, body), Found::Foreign(_));
        assert!(is_foreign(&READ.replace("keyring_external", "password")));
        assert!(is_foreign(&READ.replace("AQID", "A-ID")));
        assert!(is_foreign(&READ.replace("AQID", r"\u003chtml\u003e")));
        let is_other = |body: &str| matches!(read(200, body), Found::Other(_));
        // KV version 1 returns the body of a put.
        assert!(is_other(r#"{"data":{"data":{"keyring_external":"AQID"},"options":{"cas":0}}}"#));
        for body in
            ["", "null", "[", "{}", r#"{"data":7}"#, r#"{"data":{"data":{},"metadata":{"version":-1}}}"#]
        {
            assert!(is_other(body), "{body}");
            assert_eq!(put_version(body.as_bytes()), None);
            assert_eq!(listed(body.as_bytes()), None);
        }
    }

    #[test]
    fn every_prefix_and_every_changed_byte_of_an_answer_is_survived() {
        for body in [READ, PUT, DELETED] {
            for n in 0..body.len() {
                let mut changed = body.as_bytes().to_vec();
                changed[n] ^= 0x15;
                for bytes in [&body.as_bytes()[..n], &changed] {
                    let _ = (
                        found(200, bytes),
                        found(404, bytes),
                        put_version(bytes),
                        listed(bytes),
                        mount(bytes),
                    );
                    let _ = (capabilities(bytes), kept(bytes));
                }
            }
        }
    }

    #[test]
    fn a_mount_is_told_by_type_and_version() {
        let described = |kind: &str, options: &str| {
            mount(format!(r#"{{"data":{{"type":"{kind}","options":{options}}}}}"#).as_bytes()).unwrap()
        };
        assert!(described("kv", r#"{"version":"2"}"#).is_kv2());
        assert!(described("kv", r#"{"version":"1"}"#).refused("secret").contains("version 1"));
        assert!(described("kv", "null").refused("secret").contains("version 1"));
        assert!(described("transit", "{}").refused("secret").contains("not a KV mount"));
    }

    #[test]
    fn a_put_names_version_and_bytes() {
        let body: serde_json::Value = serde_json::from_slice(&put_body(&[1, 2, 3], 7)).unwrap();
        assert_eq!(body, serde_json::json!({"options": {"cas": 7}, "data": {"keyring_external": "AQID"}}));
        assert_eq!(number(&Version("x".to_owned())), None);
    }
}
