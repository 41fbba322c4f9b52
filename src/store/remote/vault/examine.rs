// SPDX-License-Identifier: GPL-2.0-or-later
//! What Vault or OpenBao says about itself, for `keyringctl doctor`.

use super::Vault;
use super::access::{Ask, look_up};
use super::answers;
use super::session::About;
use crate::store::remote::examine::{Examine, Observation, Subject, Weight};
use std::time::{Duration, Instant};

/// A token that ends sooner, and cannot be renewed, is worth a warning.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

impl Examine for Vault {
    fn examine(&self, prefix: &str, until: Instant) -> Vec<Observation> {
        let mut all = Vec::new();
        self.nodes(until, &mut all);
        // Without a token nothing more can be asked; why there is none is told by whoever reads the head.
        if let Ok(response) = self.access.ask_with_token(&look_up(), until) {
            let about = About::read(&response.body).filter(|_| response.status == 200);
            self.token_seen(about.as_ref(), &mut all);
            self.rights(prefix, about.as_ref(), until, &mut all);
            self.versions(prefix, until, &mut all);
        }
        all
    }
}

impl Vault {
    fn token_seen(&self, about: Option<&About>, all: &mut Vec<Observation>) {
        let note =
            |weight, what: String, why: &str| Observation::new(Subject::Credentials, weight, what, why);
        let Some(about) = about else {
            all.push(note(
                Weight::Note,
                "the token may not look itself up".to_owned(),
                "how long it is valid is not known, so it cannot be renewed in time",
            ));
            return;
        };
        let by_login = self.access.logs_in();
        let left = Duration::from_secs(about.ttl);
        if about.num_uses > 0 {
            all.push(
                note(
                    Weight::Warning,
                    format!("the token can be used {} more times only", about.num_uses),
                    "each start, store and look of a server uses it several times",
                )
                .fix("set token_num_uses of the role to 0"),
            );
        }
        if about.ttl > 0 && !by_login && !about.renewable && left < SOON {
            all.push(
                note(
                    Weight::Warning,
                    format!("the token ends in {}, and cannot be renewed", spelled(left)),
                    "from then on keys can be neither stored nor read until a new token is written to its source",
                )
                .fix("use approle, or bao token create -period=24h"),
            );
        } else if about.ttl > 0 && !by_login && about.explicit_max_ttl > 0 {
            all.push(note(
                Weight::Note,
                format!(
                    "the token ends {} after it was made, however often it is renewed",
                    spelled(Duration::from_secs(about.explicit_max_ttl))
                ),
                "a new one must be written to its source before that",
            ));
        }
        if about.policies.iter().any(|policy| policy == "root") {
            all.push(
                Observation::new(
                    Subject::Rights,
                    Weight::Error,
                    "the token is a root token",
                    "whoever reads it from this server controls the whole engine",
                )
                .fix("make a token or role with the policy in docs/REMOTES.md"),
            );
        }
    }

    /// What the token may do, in the keyring and beside it.
    fn rights(&self, prefix: &str, about: Option<&About>, until: Instant, all: &mut Vec<Observation>) {
        if about.is_some_and(|about| about.policies.iter().any(|policy| policy == "root")) {
            return;
        }
        let mount = &self.mount;
        let data = format!("{mount}/data/{prefix}/head");
        let metadata = format!("{mount}/metadata/{prefix}/head");
        let folder = format!("{mount}/metadata/{prefix}/pieces/");
        let beside = format!("{mount}/data/{prefix}-other/head");
        let ask = Ask::changing("POST", "/v1/sys/capabilities-self".to_owned())
            .body(serde_json::json!({"paths": [data, metadata, folder, beside]}).to_string().into_bytes());
        let asked = self.access.ask_with_token(&ask, until).ok();
        let Some(may) = asked.and_then(|response| answers::capabilities(&response.body)) else {
            all.push(Observation::new(
                Subject::Rights,
                Weight::Note,
                "the token may not ask what it may do",
                "whether its policy is complete and narrow could not be looked at",
            ));
            return;
        };
        let lacks = |path: &str, wanted: &[&'static str]| -> Vec<&'static str> {
            let has = may.get(path).map_or(&[][..], Vec::as_slice);
            wanted.iter().filter(|want| !has.iter().any(|have| have == *want)).copied().collect()
        };
        for (path, below, wanted, weight, why) in [
            (
                &data,
                "data",
                &["create", "read", "update"][..],
                Weight::Error,
                "keys can be neither stored nor read without",
            ),
            (
                &metadata,
                "metadata",
                &["delete"][..],
                Weight::Error,
                "a keyring cannot be written anew without, because old pieces must go",
            ),
            (
                &folder,
                "metadata",
                &["list"][..],
                Weight::Error,
                "a keyring cannot be written anew without, because old pieces must be found",
            ),
            (
                &metadata,
                "metadata",
                &["update"][..],
                Weight::Warning,
                "a new head cannot be set to keep one version, so old versions of it stay: removed unlock slots too",
            ),
        ] {
            let missing = lacks(path, wanted);
            if !missing.is_empty() {
                all.push(
                    Observation::new(
                        Subject::Rights,
                        weight,
                        format!("the token's policy does not allow {} on {path}", missing.join(", ")),
                        why,
                    )
                    .fix(format!(
                        "add to the policy: path \"{mount}/{below}/{prefix}/*\" {{ capabilities = {} }}",
                        all_of(below)
                    )),
                );
            }
        }
        if lacks(&beside, &["read"]).is_empty() {
            all.push(
                Observation::new(
                    Subject::Rights,
                    Weight::Warning,
                    format!("the token may also use {beside}"),
                    "whoever has it can read, change and delete what other servers keep there",
                )
                .fix("narrow the policy to the keyring's prefix: see docs/REMOTES.md"),
            );
        }
    }

    /// Whether old versions of the head are kept.
    fn versions(&self, prefix: &str, until: Instant, all: &mut Vec<Observation>) {
        let mount = &self.mount;
        let ask = Ask::reading("GET", self.path("metadata", &format!("{prefix}/head")));
        let Ok(response) = self.access.ask_with_token(&ask, until) else { return };
        let fix =
            format!("bao kv metadata put -mount={mount} -max-versions=1 -cas-required=true {prefix}/head");
        match answers::kept(&response.body) {
            Some(kept) if response.status == 200 && kept.max_versions != 1 => all.push(
                Observation::new(
                    Subject::History,
                    Weight::Warning,
                    format!("the mount keeps {} versions of {mount}/{prefix}/head", kept.said()),
                    "an unlock slot that was removed is still in the old versions",
                )
                .fix(fix),
            ),
            Some(kept) if response.status == 200 && !kept.cas_required => all.push(
                Observation::new(
                    Subject::History,
                    Weight::Note,
                    format!("{mount}/{prefix}/head can be overwritten without naming its version"),
                    "a person who puts something there by mistake destroys the copy",
                )
                .fix(fix),
            ),
            _ if response.status == 403 => all.push(
                Observation::new(
                    Subject::History,
                    Weight::Note,
                    format!("the token may not read {mount}/metadata/{prefix}/head"),
                    "whether the mount keeps old versions of the head could not be looked at",
                )
                .fix(fix),
            ),
            _ => {}
        }
    }
}

fn all_of(below: &str) -> &'static str {
    match below {
        "data" => r#"["create", "read", "update"]"#,
        _ => r#"["create", "read", "update", "delete", "list"]"#,
    }
}

fn spelled(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
