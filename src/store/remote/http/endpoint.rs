// SPDX-License-Identifier: GPL-2.0-or-later
//! Addresses of engines and of a proxy, as an administrator writes them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address of an engine: `https://HOST[:PORT]`, or `http://` on the loopback interface only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: u16,
}

impl Endpoint {
    /// Whether connections to it are encrypted.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Its host name or address. An IPv6 address has no brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What is sent as `Host`: the port is left out if it is that of the scheme.
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        let host = bracketed(&self.host);
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// The endpoint whose host name is this one's with `label` and a dot before it: a bucket of its own host name.
    pub fn below(&self, label: &str) -> Self {
        Self { host: format!("{label}.{}", self.host), ..self.clone() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", bracketed(&self.host), self.port)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("must begin with https://".to_owned()),
        };
        let (host, port) = host_and_port(rest)?;
        if !tls && !is_loopback(&host) {
            return Err(
                "must begin with https://: only an endpoint on 127.0.0.1, ::1 or localhost may use http://"
                    .to_owned(),
            );
        }
        Ok(Self { tls, host, port: port.unwrap_or(if tls { 443 } else { 80 }) })
    }
}

/// A proxy that forwards connections (HTTP `CONNECT`): `http://HOST:PORT`. It sees encrypted bytes only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proxy {
    host: String,
    port: u16,
}

impl Proxy {
    /// Its host name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", bracketed(&self.host), self.port)
    }
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").ok_or("must have the form http://HOST:PORT")?;
        let (host, port) = host_and_port(rest)?;
        Ok(Self { host, port: port.ok_or("must have the form http://HOST:PORT: the port is missing")? })
    }
}

/// Whether a host is this machine by its name alone.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.contains('@') {
        return Err("must not contain a user name or password".to_owned());
    }
    if text.contains(['/', '?', '#']) {
        return Err("must end after the host and port, without a path".to_owned());
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("has a [ without a ]")?;
            if !host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) {
                return Err("has brackets around something that is not an IPv6 address".to_owned());
            }
            (
                host,
                if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':').ok_or("has no colon before its port")?)
                },
            )
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("has an IPv6 address, which needs brackets: [ADDRESS]".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(
            port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("has a port that is not 1 to 65535")?,
        ),
        Some(_) => return Err("has a port that is not a number".to_owned()),
    };
    let named = |host: &str| {
        host.len() <= 253
            && host.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            })
    };
    if host.parse::<IpAddr>().is_err() && !named(host) {
        return Err("has no valid host name".to_owned());
    }
    Ok((host.to_ascii_lowercase(), port))
}
