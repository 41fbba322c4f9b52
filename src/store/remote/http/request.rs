// SPDX-License-Identifier: GPL-2.0-or-later
//! Requests and their answers.

use crate::store::remote::objects::{Cause, Trouble};
use std::fmt;
use zeroize::Zeroizing;

/// Maximum length of an answer in bytes, unless a request sets another one.
pub const MAX_ANSWER: usize = 2 * 1024 * 1024;

/// What a request asks an engine to do. Nothing in it is shown by `Debug` except its method and target.
pub struct Request {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, Zeroizing<String>)>,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) change: bool,
    pub(super) limit: usize,
}

impl Request {
    /// A request that changes nothing: if its answer is lost, it can be sent again. `target` is path and query, and
    /// begins with `/`.
    pub fn reading(method: &'static str, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: Vec::new(),
            body: Zeroizing::default(),
            change: false,
            limit: MAX_ANSWER,
        }
    }

    /// A request that may change something. If its answer is lost, it may have been carried out; it is sent again all
    /// the same, and [`Response::sent_before`] tells.
    pub fn changing(method: &'static str, target: impl Into<String>) -> Self {
        Self { change: true, ..Self::reading(method, target) }
    }

    /// Adds a header. `Host`, `Content-Length`, `User-Agent` and `Connection` are set by the client.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Zeroizing::new(value.into())));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Zeroizing::new(bytes.into());
        self
    }

    /// Sets how long the body of the answer may be, instead of [`MAX_ANSWER`].
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, {} bytes)", self.method, self.target, self.body.len())
    }
}

/// An answer of an endpoint. `Debug` shows its status and length only.
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// The endpoint that answered.
    pub endpoint: String,
    /// The request is a change that was sent before, and the answer to that was lost: it may have been carried out, or
    /// be carried out later. So an object that was expected to be absent or unchanged may be what was sent.
    pub sent_before: bool,
}

impl Response {
    /// The value of a header; of the last one, if there are several. `None` as well if it is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().rev().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// A trouble that this answer tells: the request it answers was certainly not carried out. What was sent before may
    /// have been.
    pub fn not_done(&self, cause: Cause, told: impl fmt::Display) -> Trouble {
        Trouble { cause, may_have_happened: self.sent_before, told: format!("{}: {told}", self.endpoint) }
    }

    /// A trouble that this answer tells: the request may have been carried out.
    pub fn unknown(&self, cause: Cause, told: impl fmt::Display) -> Trouble {
        Trouble::unknown(cause, format!("{}: {told}", self.endpoint))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes, {})", self.status, self.body.len(), self.endpoint)
    }
}

/// What an answer means for the endpoints that were not asked.
#[derive(Debug)]
pub enum Verdict {
    /// It is the answer.
    Answer,
    /// Another endpoint may do better: this one has no leader, or is too busy. If none does, this is the trouble.
    Next(Trouble),
}
