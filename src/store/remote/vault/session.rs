// SPDX-License-Identifier: GPL-2.0-or-later
//! The token: read from its source or got by a login, remembered in memory that is wiped, renewed when more than half
//! of its time has passed, and got anew when the engine refuses it. All within a call: no thread does it later.

use super::refusal::{Refusal, errors};
use crate::store::remote::objects::Cause;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// A token, and how long it is valid.
#[derive(Clone)]
pub(super) struct Token {
    text: Zeroizing<String>,
    /// When it was got or renewed, as far as that is known.
    since: Instant,
    /// How long it is valid from then on. `None`: for ever, or that is not known.
    valid: Option<Duration>,
    renewable: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(valid {:?}, renewable {})", self.valid, self.renewable)
    }
}

impl Token {
    /// A token about which nothing is known yet.
    pub(super) fn new(text: &str) -> Self {
        Self { text: Zeroizing::new(text.to_owned()), since: Instant::now(), valid: None, renewable: false }
    }

    /// What is sent as `X-Vault-Token`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Reads the answer to a login or a renewal that was sent at `since`.
    pub(super) fn granted(body: &[u8], since: Instant) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            auth: Auth<'a>,
        }
        #[derive(Deserialize)]
        struct Auth<'a> {
            client_token: &'a str,
            #[serde(default)]
            lease_duration: u64,
            #[serde(default)]
            renewable: bool,
        }
        let Answer { auth } = serde_json::from_slice(body).ok()?;
        let valid = (auth.lease_duration > 0).then(|| Duration::from_secs(auth.lease_duration));
        Some(Self {
            text: Zeroizing::new(auth.client_token.to_owned()),
            since,
            valid,
            renewable: auth.renewable,
        })
    }

    /// Adds what the engine says about it, in its answer at `auth/token/lookup-self` to a request sent at `asked`.
    #[must_use]
    pub(super) fn looked_up(mut self, body: &[u8], asked: Instant) -> Self {
        if let Some(about) = About::read(body) {
            self.since = asked;
            self.valid = (about.ttl > 0).then(|| Duration::from_secs(about.ttl));
            self.renewable = about.renewable;
        }
        self
    }

    /// The same, which the engine does not renew.
    #[must_use]
    pub(super) fn not_renewable(self) -> Self {
        Self { renewable: false, ..self }
    }

    /// Whether more than half of its time has passed, and it can be renewed.
    pub(super) fn wants_renewal(&self, now: Instant) -> bool {
        self.renewable
            && self.valid.is_some_and(|valid| now.saturating_duration_since(self.since) > valid / 2)
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.valid.is_some_and(|valid| now.saturating_duration_since(self.since) >= valid)
    }
}

/// What the engine says about a token.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct About {
    /// Seconds that it is still valid; 0: for ever.
    pub(super) ttl: u64,
    /// How long it may become by renewals; 0: as long as the engine allows.
    pub(super) explicit_max_ttl: u64,
    pub(super) renewable: bool,
    /// How often it can still be used; 0: without limit.
    pub(super) num_uses: i64,
    pub(super) policies: Vec<String>,
}

impl About {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            data: About,
        }
        Some(serde_json::from_slice::<Answer>(body).ok()?.data)
    }
}

/// The body of a login with AppRole.
pub(super) fn login_body(role_id: &str, secret_id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Login<'a> {
        role_id: &'a str,
        secret_id: &'a str,
    }
    // Text is always written.
    serde_json::to_vec(&Login { role_id, secret_id }).unwrap_or_default()
}

/// Why a login was refused, if it was.
pub(super) fn login_refused(status: u16, body: &[u8], mount: &str) -> Option<Refusal> {
    let said = errors(body);
    let told = match status {
        400 if ["invalid role or secret ID", "invalid secret id", "invalid role ID"].iter().any(|t| said.contains(t)) => {
            "refuses the login: the role id or secret id is wrong, has expired or was used up. Make a new secret id, and \
             set secret_id_ttl and secret_id_num_uses of the role to 0"
                .to_owned()
        }
        400 => format!("refuses the login: {said}"),
        403 | 404 => format!(
            "refuses the login at auth/{mount}. Check mount of approle and namespace in the remotes file, and from which \
             addresses the role may log in"
        ),
        _ => return None,
    };
    Some(Refusal::new(Cause::Credentials, told))
}
