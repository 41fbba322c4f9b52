// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether connections to the server are encrypted, as the server reports it.

use super::known::Known;
use crate::error::{Error, Result};
use crate::server::Session;
use serde::Serialize;
use std::time::UNIX_EPOCH;

/// Connections and their encryption.
#[derive(Serialize)]
pub(super) struct Transit {
    pub require_secure_transport: Option<bool>,
    /// The allowed versions of TLS, separated by commas.
    pub tls_version: String,
    /// The file of the server's certificate; empty if there is none.
    pub certificate: String,
    /// In the server's format: `Nov 21 12:07:58 2036 GMT`.
    pub not_before: String,
    pub not_after: String,
    /// The clients' connections at that moment, by `TCP/IP`, `SSL/TLS`, `Socket`.
    pub connections: Known<Vec<(String, u64)>>,
}

/// Why the report does not name the certificate's issuer.
pub(super) const NO_ISSUER: &str =
    "the server does not report it. On the server, run: openssl x509 -noout -issuer -subject -in";

/// Why the connections are not counted.
pub(super) const HIDDEN: &str =
    "the server does not list its connections: start it with performance_schema = ON";

impl Transit {
    pub(super) fn query(session: &mut Session) -> Result<Transit> {
        let status = session.rows::<(String, String)>("SHOW GLOBAL STATUS LIKE 'Ssl_server_not_%'")?;
        let status = |name: &str| {
            let found = status.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let required = session.variable("require_secure_transport")?;
        Ok(Transit {
            require_secure_transport: required.map(|v| v == "ON"),
            tls_version: session.variable("tls_version")?.unwrap_or_default(),
            certificate: session.variable("ssl_cert")?.unwrap_or_default(),
            not_before: status("Ssl_server_not_before"),
            not_after: status("Ssl_server_not_after"),
            connections: connections(session)?,
        })
    }

    /// Returns when the certificate expires, in seconds since 1970; `None` if there is none or the format is unknown.
    pub(super) fn expires(&self) -> Option<u64> {
        seconds(&self.not_after)
    }
}

/// Counts the clients' connections. The account may not be allowed to read them, or the server may not collect them.
fn connections(session: &mut Session) -> Result<Known<Vec<(String, u64)>>> {
    let counted = session.rows(
        "SELECT CONNECTION_TYPE, COUNT(*) FROM performance_schema.threads
         WHERE TYPE = 'FOREGROUND' AND CONNECTION_TYPE IS NOT NULL GROUP BY 1 ORDER BY 1",
    );
    Ok(match counted {
        // This one exists.
        Ok(none) if none.is_empty() => Known::NotMeasured(HIDDEN.to_owned()),
        Ok(counted) => Known::Measured(counted),
        Err(Error::Server(e)) if e.code != 0 => Known::NotMeasured(format!(
            "{}: as an administrator, grant the account SELECT on performance_schema.threads",
            e.why
        )),
        Err(e) => return Err(e),
    })
}

/// Converts OpenSSL's format of a time, `Nov 21 12:07:58 2036 GMT`, to seconds since 1970.
fn seconds(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_whitespace();
    let (month, day, time, year) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    let day: u8 = day.parse().ok()?;
    let time = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day:02}T{time}Z")).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::output::time;

    #[test]
    fn the_time_of_a_certificate_is_read() {
        let read = |text| seconds(text).map(time);
        assert_eq!(read("Nov 21 12:07:58 2036 GMT").as_deref(), Some("2036-11-21T12:07:58Z"));
        assert_eq!(read("Jan  1 00:00:00 2030 GMT").as_deref(), Some("2030-01-01T00:00:00Z"));
        assert_eq!(read(""), None);
        assert_eq!(read("soon"), None);
        assert_eq!(read("Foo 21 12:07:58 2036 GMT"), None);
    }
}
