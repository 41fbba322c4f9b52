// SPDX-License-Identifier: GPL-2.0-or-later
//! A look at one endpoint, for `keyringctl doctor`: whether it answers, until when its certificate is valid, and what
//! time it has.

use super::broken::Broken;
use super::connection::{Connection, How};
use super::der::not_after;
use super::exchange::exchange;
use super::request::Request;
use std::time::Instant;

/// What a look at an endpoint showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The HTTP status of its answer, or why there is none.
    pub answered: Result<u16, String>,
    /// When its certificate ends, in seconds since 1970.
    pub certificate_ends: Option<u64>,
    /// The `Date` of its answer.
    pub date: Option<String>,
}

impl Seen {
    /// Nothing was seen, because of this.
    pub(super) fn nothing(why: String) -> Self {
        Self { answered: Err(why), certificate_ends: None, date: None }
    }

    /// Looks at an endpoint over a connection of its own, by `until`.
    pub(super) fn look(how: &How<'_>, until: Instant) -> Self {
        let mut seen = Self::nothing(String::new());
        seen.answered = seen.ask(how, until).map_err(|broken| broken.why);
        seen
    }

    fn ask(&mut self, how: &How<'_>, until: Instant) -> Result<u16, Broken> {
        let mut connection = Connection::open(how, until)?;
        self.certificate_ends = connection.certificate().and_then(not_after);
        let request = Request::reading("GET", "/");
        let answered = exchange(&mut connection, &how.endpoint.authority(), &request, true, until, until)?;
        let date = answered.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("date"));
        self.date = date.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        Ok(answered.status)
    }
}
