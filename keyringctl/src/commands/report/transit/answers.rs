// SPDX-License-Identifier: GPL-2.0-or-later
//! What a server answers about its connections.

use std::time::UNIX_EPOCH;

/// Why a table of performance_schema was not read, and what to do.
pub(super) fn denied(why: &str, table: &str) -> String {
    format!("{why}: as an administrator, grant the account SELECT on performance_schema.{table}")
}

/// Converts OpenSSL's format of a time, `Nov 21 12:07:58 2036 GMT`, to seconds since 1970.
pub(super) fn seconds(text: &str) -> Option<u64> {
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
