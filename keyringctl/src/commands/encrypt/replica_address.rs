// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a replica is.

use std::fmt;
use std::str::FromStr;

/// A replica's host and port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ReplicaAddress {
    pub host: String,
    pub port: u16,
}

impl ReplicaAddress {
    /// The port that is meant if none is named.
    pub(super) const PORT: u16 = 3306;
}

impl fmt::Display for ReplicaAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brackets = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}{}{}:{}", brackets.0, self.host, brackets.1, self.port)
    }
}

impl FromStr for ReplicaAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not of the form HOST[:PORT], for example db2.example.org:3306");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
            None => match text.split_once(':') {
                // An IPv6 address without brackets has no port.
                Some((_, rest)) if rest.contains(':') => (text, ""),
                Some((host, _)) => (host, &text[host.len()..]),
                None => (text, ""),
            },
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if port.is_empty() => ReplicaAddress::PORT,
            None => return Err(wrong()),
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(ReplicaAddress { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_named_by_host_and_port() {
        for (text, shown) in [
            ("db2", "db2:3306"),
            ("db2.example.org:3307", "db2.example.org:3307"),
            ("::1", "[::1]:3306"),
            ("[fe80::1]", "[fe80::1]:3306"),
            ("[fe80::1]:3307", "[fe80::1]:3307"),
        ] {
            assert_eq!(text.parse::<ReplicaAddress>().unwrap().to_string(), shown);
        }
        for bad in ["", ":3306", "db2:", "db2:many", "db2:70000", "[::1", "[::1]3306", "a b"] {
            bad.parse::<ReplicaAddress>().unwrap_err();
        }
    }
}
