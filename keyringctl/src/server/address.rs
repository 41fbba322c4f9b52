// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a server is and as whom to connect, in the same way as the mysql client finds it.

use super::options::{ConnectOptions, Protocol, SslMode};
use crate::error::{Error, Result};
use crate::show::Shown;
use mysql::{ClientIdentity, OptsBuilder, SslOpts};
use std::path::{Path, PathBuf};

/// Where distributions put the socket: Debian, Red Hat, MySQL's own default.
const SOCKETS: [&str; 3] = ["/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];
const PORT: u16 = 3306;

/// Returns how to connect, the address for messages, and whether it is a socket.
impl ConnectOptions {
    /// Whether the connection uses a socket, so that the server is on this machine (or in a container on it).
    pub fn is_by_socket(&self) -> bool {
        target(self).2
    }
}

/// Where a connection leads to, for messages too, and whether that is a socket.
pub(super) fn target(options: &ConnectOptions) -> (OptsBuilder, String, bool) {
    let host = options.host.as_deref().unwrap_or("localhost");
    let by_socket = match options.protocol {
        Some(protocol) => protocol == Protocol::Socket,
        None => host == "localhost",
    };
    if by_socket {
        let socket = options.socket.clone().unwrap_or_else(|| {
            let existing = SOCKETS.iter().find(|s| Path::new(s).exists());
            PathBuf::from(existing.unwrap_or(&SOCKETS[0]))
        });
        // The client takes text only; MySQL's own does too.
        let path = socket.to_string_lossy().into_owned();
        (OptsBuilder::new().socket(Some(path)), socket.shown(), true)
    } else {
        // "localhost" may resolve to ::1, where mysqld may not listen.
        let address = if host == "localhost" { "127.0.0.1" } else { host };
        let port = options.port.unwrap_or(PORT);
        (OptsBuilder::new().ip_or_hostname(Some(address)).tcp_port(port), format!("{host}:{port}"), false)
    }
}

pub(super) fn user(options: &ConnectOptions) -> String {
    let from = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    let named = options.user.clone().or_else(|| from("USER")).or_else(|| from("LOGNAME"));
    named.unwrap_or_else(|| "root".to_owned())
}

pub(super) fn tls(options: &ConnectOptions, mode: SslMode) -> Result<SslOpts> {
    let checked = matches!(mode, SslMode::VerifyCa | SslMode::VerifyIdentity);
    let mut tls = SslOpts::default()
        .with_danger_accept_invalid_certs(!checked)
        .with_danger_skip_domain_validation(mode != SslMode::VerifyIdentity);
    if let Some(ca) = options.ssl_ca.as_ref().filter(|_| checked) {
        readable(ca)?;
        tls = tls.with_root_cert_path(Some(ca.clone()));
    }
    match (&options.ssl_cert, &options.ssl_key) {
        (Some(cert), Some(key)) => {
            readable(cert)?;
            readable(key)?;
            Ok(tls.with_client_identity(Some(ClientIdentity::new(cert.clone(), key.clone()))))
        }
        (None, None) => Ok(tls),
        _ => Err(Error::Usage("ssl-cert and ssl-key belong together: set both or neither".to_owned())),
    }
}

fn readable(path: &Path) -> Result<()> {
    std::fs::File::open(path).map(drop).map_err(|e| Error::io("read", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(options: &ConnectOptions) -> (String, bool) {
        let (_, way, by_socket) = target(options);
        (way, by_socket)
    }

    #[test]
    fn localhost_means_the_socket_as_for_the_mysql_client() {
        let base =
            ConnectOptions { socket: Some("/run/s".into()), port: Some(3307), ..ConnectOptions::default() };
        assert_eq!(way(&base), ("/run/s".to_owned(), true));
        let local = ConnectOptions { host: Some("localhost".to_owned()), ..base.clone() };
        assert_eq!(way(&local), ("/run/s".to_owned(), true));
        let tcp = ConnectOptions { protocol: Some(Protocol::Tcp), ..local };
        assert_eq!(way(&tcp), ("localhost:3307".to_owned(), false));
        let remote = ConnectOptions { host: Some("db.example".to_owned()), ..base };
        assert_eq!(way(&remote), ("db.example:3307".to_owned(), false));
    }

    #[test]
    fn a_half_of_a_client_certificate_is_refused() {
        let options = ConnectOptions { ssl_cert: Some("/dev/null".into()), ..ConnectOptions::default() };
        assert!(tls(&options, SslMode::Required).is_err());
        let options = ConnectOptions { ssl_ca: Some("/nowhere/ca.pem".into()), ..ConnectOptions::default() };
        let error = tls(&options, SslMode::VerifyCa).unwrap_err().to_string();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
    }
}
