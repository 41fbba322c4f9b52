// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tries of one request brought: which answers count, and what is told if none does.

use super::request::{Response, Verdict};
use crate::store::remote::objects::{Cause, Trouble};

/// Whether a server that speaks TLS says so in answer to a request in clear text.
pub(super) fn wants_tls(body: &[u8]) -> bool {
    let says = String::from_utf8_lossy(body).to_ascii_lowercase();
    says.contains("http request") && says.contains("https")
}

/// Whether the answer to a request that is the same at all endpoints counts.
pub(super) fn usual(change: bool, response: &Response) -> Verdict {
    match response.status {
        429 => Verdict::Next(response.not_done(Cause::Unwell, "is too busy (HTTP status 429)")),
        status @ (502..=504) => {
            let told = format!("is not able to answer now (HTTP status {status})");
            Verdict::Next(response.unknown(Cause::Unwell, told))
        }
        status @ 500 if !change => {
            Verdict::Next(response.not_done(Cause::Unwell, format!("failed (HTTP status {status})")))
        }
        _ => Verdict::Answer,
    }
}

/// What all tries brought.
#[derive(Default)]
pub(super) struct Told {
    all: Vec<(Cause, String)>,
}

impl Told {
    pub(super) fn add(&mut self, cause: Cause, told: String) {
        let told = (cause, told);
        // The latest news of several rounds.
        self.all.retain(|earlier| *earlier != told);
        self.all.push(told);
    }

    /// The trouble of a request that no endpoint answered.
    pub(super) fn trouble(mut self, may_have_happened: bool) -> Trouble {
        // What was answered says more than that something was not reached.
        let cause = self.all.iter().rev().map(|(cause, _)| *cause).find(|cause| *cause != Cause::Unreachable);
        let cause = cause.unwrap_or(Cause::Unreachable);
        let first = self.all.len().saturating_sub(8);
        let all: Vec<String> = self.all.drain(first..).map(|(_, told)| told).collect();
        let told = if all.is_empty() {
            "there was no time left to ask an endpoint".to_owned()
        } else {
            all.join("; ")
        };
        Trouble { cause, may_have_happened, told }
    }
}
