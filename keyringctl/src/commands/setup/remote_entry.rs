// SPDX-License-Identifier: GPL-2.0-or-later
//! An entry of the remotes file: its fields in the order of the answers, and how it is added to the file.

use keyring_external::store::remote::remotes::Remotes;
use serde_json::{Value, json};

/// What one remote is, field by field.
#[derive(Clone)]
pub(super) struct RemoteEntry {
    name: String,
    fields: Vec<(&'static str, Value)>,
}

impl RemoteEntry {
    pub(super) fn new(name: &str, kind: &str) -> Self {
        Self { name: name.to_owned(), fields: vec![("kind", kind.into())] }
    }

    pub(super) fn set(&mut self, field: &'static str, value: impl Into<Value>) {
        self.fields.retain(|(name, _)| *name != field);
        self.fields.push((field, value.into()));
    }

    fn kind(&self) -> &str {
        self.fields.first().and_then(|(_, kind)| kind.as_str()).unwrap_or_default()
    }

    /// Checks one field, whatever others are still missing.
    pub(super) fn check(&self, field: &'static str, value: impl Into<Value>) -> Result<(), String> {
        let mut probe = Self::new(&self.name, self.kind());
        probe.set("endpoints", json!(["https://localhost"]));
        let needed: &[&'static str] = match (self.kind(), field) {
            ("s3", _) => &["access_key", "secret_key"],
            ("vault", "approle") => &[],
            ("vault", _) => &["token"],
            ("etcd", "user" | "password") => &["password"],
            _ => &[],
        };
        needed.iter().for_each(|field| probe.set(field, "env:X"));
        match (self.kind(), field) {
            ("s3", _) => probe.set("bucket", "bucket"),
            ("etcd", "password") => probe.set("user", "x"),
            _ => {}
        }
        match field {
            "cert" => probe.set("key", "/x"),
            "key" => probe.set("cert", "/x"),
            _ => {}
        }
        probe.set(field, value);
        Remotes::check(probe.added_to("").unwrap_or_default().as_bytes())
    }

    /// The text of a remotes file with this entry after all others, which stay as they are. `None` if that text is no
    /// object.
    pub(super) fn added_to(&self, text: &str) -> Option<String> {
        let before = match text.trim() {
            "" => "{",
            text => text.strip_suffix('}')?.trim_end(),
        };
        let comma = if before == "{" { "" } else { "," };
        let fields: Vec<_> =
            self.fields.iter().map(|(name, value)| format!("    {}: {value}", json!(name))).collect();
        Some(format!("{before}{comma}\n  {}: {{\n{}\n  }}\n}}\n", json!(self.name), fields.join(",\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd(name: &str) -> RemoteEntry {
        let mut entry = RemoteEntry::new(name, "etcd");
        entry.set("endpoints", json!(["https://a:2379"]));
        entry
    }

    #[test]
    fn an_entry_is_added_and_the_others_stay_as_they_are_written() {
        let one = etcd("a").added_to("").unwrap();
        assert_eq!(
            one,
            "{\n  \"a\": {\n    \"kind\": \"etcd\",\n    \"endpoints\": [\"https://a:2379\"]\n  }\n}\n"
        );
        let odd = "{ \"z\" :{\"kind\":\"etcd\",\n\t\"endpoints\": [\"https://z\"]}}";
        let both = etcd("a").added_to(odd).unwrap();
        assert!(both.starts_with(&odd[..odd.len() - 1]), "{both}");
        for text in [one, both, etcd("a").added_to(" { } \n").unwrap()] {
            assert_eq!(Remotes::check(text.as_bytes()), Ok(()), "{text}");
        }
        assert_eq!(etcd("a").added_to("[]"), None);
    }

    #[test]
    fn each_field_is_checked_on_its_own() {
        let (s3, vault, etcd) =
            (RemoteEntry::new("r", "s3"), RemoteEntry::new("r", "vault"), RemoteEntry::new("r", "etcd"));
        assert_eq!(s3.check("bucket", "biobank-keys"), Ok(()));
        assert!(s3.check("bucket", "B").unwrap_err().contains("bucket"));
        assert!(s3.check("secret_key", "AKIA").unwrap_err().contains("never the secret itself"));
        assert_eq!(s3.check("region", "eu-central-1"), Ok(()));
        assert_eq!(vault.check("mount", "kv/keys"), Ok(()));
        assert_eq!(vault.check("approle", json!({ "role_id": "x", "secret_id": "file:/s" })), Ok(()));
        assert!(vault.check("token", "file:relative").unwrap_err().contains("full path"));
        assert_eq!(etcd.check("user", "db1"), Ok(()));
        assert_eq!(etcd.check("password", "credential:etcd"), Ok(()));
        assert!(etcd.check("ca", "ca.pem").unwrap_err().contains("begins with /"));
        assert_eq!(etcd.check("cert", "/etc/x.pem"), Ok(()));
        assert!(etcd.check("endpoints", json!(["http://10.0.0.5:1"])).unwrap_err().contains("https://"));
    }
}
