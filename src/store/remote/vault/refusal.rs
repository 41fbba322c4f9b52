// SPDX-License-Identifier: GPL-2.0-or-later
//! Answers of Vault and OpenBao that are not what was asked for, and what they mean. Any bytes can come here.

use crate::store::remote::objects::Cause;
use serde::Deserialize;

/// Maximum length of what the engine says itself that is repeated in a message, in characters.
const MAX_TOLD: usize = 200;

/// An answer that is neither what was asked for nor one of the answers that the caller looks at: 404 to a read, 400 to
/// a check-and-set, 403.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) cause: Cause,
    /// What to say behind the name of the endpoint.
    pub(super) told: String,
    /// The request was certainly not carried out.
    pub(super) certain: bool,
    /// Another node may do better.
    pub(super) elsewhere: bool,
}

impl Refusal {
    pub(super) fn new(cause: Cause, told: impl Into<String>) -> Self {
        Self { cause, told: told.into(), certain: true, elsewhere: false }
    }

    pub(super) fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    fn uncertain(mut self) -> Self {
        self.certain = false;
        self
    }
}

/// What the engine says is wrong: the texts of `errors`, on one line. Empty if there are none.
pub(super) fn errors(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        errors: Vec<String>,
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else { return String::new() };
    let words = answer.errors.iter().flat_map(|text| text.split_whitespace());
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect()
}

/// Whether a put was refused because the object is not the version that it named.
pub(super) fn is_conflict(status: u16, body: &[u8]) -> bool {
    status == 400 && errors(body).contains("check-and-set parameter did not match")
}

/// Returns what is wrong if the answer does not come from a node that did what was asked.
pub(super) fn refusal(status: u16, body: &[u8]) -> Option<Refusal> {
    let said = errors(body);
    let is = |part: &str| said.contains(part);
    let saying = |what: &str| if said.is_empty() { what.to_owned() } else { format!("{what}: {said}") };
    Some(match status {
        200..=299 | 403 => return None,
        400 if is("check-and-set parameter did not match") => return None,
        // Both engines convert a new mount for some moments; a standby waits for the active node to do it.
        400 if is("from non-versioned") => {
            Refusal::new(Cause::Unwell, "is still preparing the mount. Try again in a moment").elsewhere()
        }
        400 if is("missing client token") => Refusal::new(Cause::Credentials, saying("got no token")),
        404 if is("no handler for route") || is("unsupported path") => Refusal::new(
            Cause::NotTheEngine,
            "has no KV version 2 mount of that name. Check mount and namespace in the remotes file",
        ),
        // A secret that does not exist or was deleted. Whoever puts or logs in looks again.
        404 if is_vaults(body) => return None,
        405 => Refusal::new(
            Cause::NotTheEngine,
            "has a mount of that name that is not KV version 2. Check mount in the remotes file",
        ),
        400 => Refusal::new(Cause::NotTheEngine, saying("refuses the request")),
        412 => Refusal::new(Cause::Unwell, "has not received the latest changes yet").elsewhere(),
        413 => Refusal::new(
            Cause::Settings,
            "takes no request of this size. Raise max_request_size of its listener to 1 MiB or more",
        ),
        429 => Refusal::new(Cause::Unwell, saying("has had too many requests")).elsewhere(),
        301 | 302 | 303 | 307 | 308 | 472 | 473 => {
            Refusal::new(Cause::NoMajority, "is a standby node and does not reach an active one").elsewhere()
        }
        500 if is("active cluster node not found") => {
            Refusal::new(Cause::NoMajority, "is a standby node, and the cluster has no active one")
                .elsewhere()
        }
        500 if is("value being too large") => Refusal::new(
            Cause::Settings,
            "takes no value of this size. Raise max_entry_size of its storage to 1 MiB or more",
        ),
        500 if is("no space left on device") => {
            Refusal::new(Cause::Full, "has no room on its disk").uncertain().elsewhere()
        }
        // The entry may be in the log, and be committed by the next leader.
        500 if is("leadership lost") || is("not the leader") || is("no leader") => {
            Refusal::new(Cause::NoMajority, "lost the leadership of the cluster").uncertain().elsewhere()
        }
        500 if is("context deadline exceeded") || is("context canceled") => {
            Refusal::new(Cause::NoMajority, saying("did not finish in time")).uncertain().elsewhere()
        }
        501 => Refusal::new(Cause::Sealed, "is not initialized").elsewhere(),
        503 if is("sealed") => Refusal::new(Cause::Sealed, "is sealed. Unseal it").elsewhere(),
        500 | 502..=504 => Refusal::new(Cause::Unwell, saying(&format!("answers with error {status}")))
            .uncertain()
            .elsewhere(),
        _ => Refusal::new(
            Cause::NotTheEngine,
            saying(&format!("answers with status {status}, not like Vault or OpenBao")),
        )
        .uncertain(),
    })
}

/// Whether it has the form of an answer about something that does not exist.
fn is_vaults(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Any {
        errors: Option<Vec<String>>,
        data: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Any>(body).is_ok_and(|any| any.errors.is_some() || any.data.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What OpenBao 2.7.2 answered: status, body, cause, whether the request certainly did nothing, whether another
    /// node may do better.
    const RECORDED: &[(u16, &str, Cause, bool, bool)] = &[
        (503, r#"{"errors":["Vault is sealed"]}"#, Cause::Sealed, true, true),
        (307, "", Cause::NoMajority, true, true),
        (
            500,
            r#"{"errors":["local node not active but active cluster node not found"]}"#,
            Cause::NoMajority,
            true,
            true,
        ),
        // The put of which this was said was there when the cluster had a leader again.
        (
            500,
            r#"{"errors":["1 error occurred:\n\t* leadership lost while committing log\n\n"]}"#,
            Cause::NoMajority,
            false,
            true,
        ),
        (
            404,
            r#"{"errors":["no handler for route \"nope/data/x/head\". route entry not found."]}"#,
            Cause::NotTheEngine,
            true,
            false,
        ),
        (
            404,
            r#"{"errors":["1 error occurred:\n\t* unsupported path\n\n"]}"#,
            Cause::NotTheEngine,
            true,
            false,
        ),
        (404, "404 page not found", Cause::NotTheEngine, false, false),
        (
            400,
            r#"{"errors":["Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service when the primary is finished."]}"#,
            Cause::Unwell,
            true,
            true,
        ),
        (
            500,
            r#"{"errors":["1 error occurred:\n\t* put failed due to value being too large; got 156 bytes, max 1048576 bytes\n\n"]}"#,
            Cause::Settings,
            true,
            false,
        ),
        (413, "", Cause::Settings, true, false),
        (429, r#"{"errors":[]}"#, Cause::Unwell, true, true),
        (502, "<html>Bad Gateway</html>", Cause::Unwell, false, true),
        (418, "", Cause::NotTheEngine, false, false),
    ];

    #[test]
    fn each_recorded_answer_has_its_cause_and_its_certainty() {
        for (status, body, cause, certain, elsewhere) in RECORDED {
            let refused = refusal(*status, body.as_bytes()).expect(body);
            assert_eq!(
                (refused.cause, refused.certain, refused.elsewhere),
                (*cause, *certain, *elsewhere),
                "{body}"
            );
            assert!(!refused.told.is_empty() && !refused.told.ends_with('.'), "{}", refused.told);
        }
        assert_eq!(refusal(200, b"anything"), None);
        assert_eq!(refusal(404, br#"{"errors":[]}"#), None);
        let stale = br#"{"errors":["check-and-set parameter did not match the current version"]}"#;
        assert_eq!(refusal(400, stale), None);
        assert!(is_conflict(400, stale) && !is_conflict(400, b"{}") && !is_conflict(200, stale));
    }

    #[test]
    fn what_the_engine_says_is_one_short_line() {
        let long = format!(r#"{{"errors":["a\n\tb\u0007","{}"]}}"#, "x".repeat(5000));
        let said = errors(long.as_bytes());
        assert!(said.starts_with("a b x") && said.chars().count() <= MAX_TOLD, "{said}");
        for body in ["", "[]", r#"{"errors":{}}"#, r#"{"errors":[1]}"#, "\u{0}"] {
            assert_eq!(errors(body.as_bytes()), "");
        }
    }
}
