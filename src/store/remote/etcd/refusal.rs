// SPDX-License-Identifier: GPL-2.0-or-later
//! What an answer of etcd means that is not 200.

use super::answers::Failed;
use crate::store::remote::objects::Cause;
use std::fmt;

/// Maximum number of characters of an answer that a message quotes.
const QUOTED: usize = 200;

/// What happened to the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It was not carried out, and another node says the same.
    Refused,
    /// It was not carried out: etcd does not know the token, or what it stands for has changed. A new one may do.
    Token,
    /// It was not carried out here and now; another node, or the same one later, may do it.
    Elsewhere,
    /// It may have been carried out; ask another node.
    Unknown,
}

/// Who has sent a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who<'a> {
    /// The remotes file names no user.
    Nobody,
    /// The user that it names, who has not logged in: etcd did not ask for users.
    NotAsked(&'a str),
    /// The user that it names.
    User(&'a str),
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("the client"),
            Self::NotAsked(user) | Self::User(user) => write!(f, "user {user:?}"),
        }
    }
}

/// An answer that is not 200.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) cause: Cause,
    pub(super) fate: Fate,
    /// What happened and what to do next, to be put behind the name of the endpoint.
    pub(super) told: String,
    /// Users do not authenticate at this cluster.
    pub(super) authentication_off: bool,
}

/// The codes of gRPC that etcd uses.
mod code {
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
    pub(super) const PERMISSION_DENIED: u32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(super) const FAILED_PRECONDITION: u32 = 9;
    pub(super) const UNIMPLEMENTED: u32 = 12;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const DATA_LOSS: u32 = 15;
    pub(super) const UNAUTHENTICATED: u32 = 16;
}

impl Refusal {
    /// Reads an answer. `who` has asked, `about` is the key that was asked for.
    pub(super) fn of(status: u16, body: &[u8], who: Who<'_>, about: &str) -> Self {
        let failed: Failed = serde_json::from_slice(body).unwrap_or_default();
        if failed.text().is_empty() {
            return Self::without_code(status, body);
        }
        let says = quoted(failed.text());
        if matches!(status, 404 | 405 | 501) {
            return Self::not_etcd(&says);
        }
        let text = failed.text().to_ascii_lowercase();
        match failed.code {
            code::UNAUTHENTICATED => Self::token(format!("refuses the login of {who} ({says})")),
            // The rights of some user were changed since the login.
            code::INVALID_ARGUMENT if text.contains("revision") && text.contains("old") => {
                Self::token(format!("refuses the login of {who} ({says})"))
            }
            // A put without a login is told the one, a get the other.
            code::INVALID_ARGUMENT if text.contains("user name is empty") => Self::not_logged_in(who, &says),
            code::PERMISSION_DENIED if !matches!(who, Who::User(_)) => Self::not_logged_in(who, &says),
            code::INVALID_ARGUMENT if text.contains("authentication failed") => Self::refused(
                Cause::Credentials,
                format!(
                    "refuses the password of {who}, or has no such user: check \"user\" and \"password\" in the remotes \
                     file ({says})"
                ),
            ),
            code::PERMISSION_DENIED => Self::refused(
                Cause::NotAllowed,
                format!(
                    "does not allow {who} to use the key {about}: grant it to the user's role with etcdctl role \
                     grant-permission ROLE readwrite --prefix PREFIX/ ({says})"
                ),
            ),
            _ if text.contains("too large") || text.contains("larger than max") => Self::refused(
                Cause::Unwell,
                format!(
                    "refuses a request as too large: set its option --max-request-bytes to the default of 1.5 MiB or \
                     more ({says})"
                ),
            ),
            // The member at which the quota is exceeded carries the request out, and then answers so.
            code::RESOURCE_EXHAUSTED if text.contains("space") => Self::unknown(
                Cause::Full,
                format!(
                    "has no space left: raise its quota or remove data, then run etcdctl compact, defrag and alarm \
                     disarm ({says})"
                ),
            ),
            code::RESOURCE_EXHAUSTED => Self::elsewhere(Cause::Unwell, format!("is too busy ({says})")),
            code::FAILED_PRECONDITION if text.contains("not enabled") => Self {
                authentication_off: true,
                ..Self::refused(Cause::Credentials, format!("does not ask for users ({says})"))
            },
            code::UNIMPLEMENTED => Self::not_etcd(&says),
            code::DATA_LOSS => Self::unknown(
                Cause::Unwell,
                format!("has the alarm CORRUPT: its members differ; restore the cluster ({says})"),
            ),
            code::UNAVAILABLE | code::DEADLINE_EXCEEDED => Self::no_majority(&says),
            // Without a leader a node may end a request so, too.
            _ if text.contains("deadline exceeded") || text.contains("timed out") => Self::no_majority(&says),
            code::INVALID_ARGUMENT | code::FAILED_PRECONDITION => {
                Self::refused(Cause::Unwell, format!("refuses the request ({says})"))
            }
            _ => Self::unknown(Cause::Unwell, format!("answers with HTTP status {status} ({says})")),
        }
    }

    /// Users must authenticate, and nobody has.
    fn not_logged_in(who: Who<'_>, says: &str) -> Self {
        match who {
            Who::Nobody => Self::refused(
                Cause::Credentials,
                format!(
                    "requires a user: set \"user\" and \"password\" for this remote in the remotes file ({says})"
                ),
            ),
            Who::User(_) | Who::NotAsked(_) => Self::token(format!("asks for the login of {who} ({says})")),
        }
    }

    /// The gateway itself answers in plain text, as does whatever stands before it.
    fn without_code(status: u16, body: &[u8]) -> Self {
        let says = quoted(&String::from_utf8_lossy(body.get(..4 * QUOTED).unwrap_or(body)));
        match status {
            400 if says.to_ascii_lowercase().contains("commonname") => Self::refused(
                Cause::Credentials,
                "refuses a client certificate with a common name when users authenticate: make one without it (openssl \
                 req -subj / -addext subjectAltName=DNS:HOST), and set \"user\" and \"password\" in the remotes file"
                    .to_owned(),
            ),
            404 | 405 | 501 => Self::not_etcd(&says),
            429 => Self::elsewhere(Cause::Unwell, "is too busy (HTTP status 429)".to_owned()),
            413 => Self::refused(Cause::Unwell, "refuses a request as too large (HTTP status 413)".to_owned()),
            500.. => Self::unknown(Cause::Unwell, format!("answers with HTTP status {status} ({says})")),
            _ => Self::refused(
                Cause::NotTheEngine,
                format!("answers with HTTP status {status}, not as etcd does ({says}): check the endpoint"),
            ),
        }
    }

    /// A body that came with 200 and cannot be read.
    pub(super) fn unreadable() -> Self {
        Self::unknown(
            Cause::NotTheEngine,
            "gives an answer that is not etcd's: check the endpoint".to_owned(),
        )
    }

    fn not_etcd(says: &str) -> Self {
        Self::refused(
            Cause::NotTheEngine,
            format!(
                "has no v3 JSON gateway: etcd 3.4 or later is needed, and a configuration file of etcd 3.4 must contain \
                 enable-grpc-gateway: true ({says})"
            ),
        )
    }

    fn no_majority(says: &str) -> Self {
        Self::unknown(
            Cause::NoMajority,
            format!(
                "has no leader or no majority of its members ({says}): check them with etcdctl endpoint status"
            ),
        )
    }

    fn refused(cause: Cause, told: String) -> Self {
        Self { cause, fate: Fate::Refused, told, authentication_off: false }
    }

    fn token(told: String) -> Self {
        Self { fate: Fate::Token, ..Self::refused(Cause::Credentials, told) }
    }

    fn elsewhere(cause: Cause, told: String) -> Self {
        Self { fate: Fate::Elsewhere, ..Self::refused(cause, told) }
    }

    fn unknown(cause: Cause, told: String) -> Self {
        Self { fate: Fate::Unknown, ..Self::refused(cause, told) }
    }
}

/// The beginning of a text of someone else's, on one line.
fn quoted(text: &str) -> String {
    let line: String =
        text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect();
    let line = line.trim();
    if line.is_empty() { "no text".to_owned() } else { line.to_owned() }
}
