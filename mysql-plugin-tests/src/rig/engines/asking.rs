// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks a node by HTTPS. The engines' own programs do it too, but each start of one takes more of the processor than the
//! node needs for its answer: a test that waits would keep the cluster from what it waits for.

use super::certificates::Certificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Asks from the network of the thread that calls it.
#[derive(Clone, Debug)]
pub struct Asking {
    config: Arc<ClientConfig>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body; `Null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// For messages.
    pub fn told(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body).trim())
    }
}

impl Asking {
    /// Trusts this authority, and shows this certificate.
    pub fn new(ca: &Path, shown: Option<&Certificate>) -> Asking {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_file_iter(ca).unwrap().map(Result::unwrap));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(Certificate { cert, key }) => {
                let chain = CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect();
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap()
            }
        };
        Asking { config: Arc::new(config) }
    }

    /// Asks, and waits so long at most. An error says why there is no answer.
    pub fn ask(
        &self,
        at: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        limit: Duration,
    ) -> Result<Answer, String> {
        self.try_to(at, method, path, headers, body, limit).map_err(|e| format!("no answer: {e}"))
    }

    fn try_to(
        &self,
        at: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        limit: Duration,
    ) -> io::Result<Answer> {
        let until = Instant::now() + limit;
        let socket = TcpStream::connect_timeout(&at, limit)?;
        socket.set_write_timeout(Some(limit))?;
        let name = ServerName::from(at.ip());
        let connection = ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let mut line = StreamOwned::new(connection, socket);
        let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        // After an answer to HTTP/1.0 the connection is closed.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {at}\r\n{fields}Content-Length: {}\r\n\r\n",
            body.len()
        );
        line.sock.set_read_timeout(Some(limit))?;
        line.write_all(&[head.as_bytes(), body].concat())?;
        let (mut all, mut part) = (Vec::new(), [0; 16384]);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            line.sock.set_read_timeout(Some(left))?;
            match line.read(&mut part) {
                Ok(0) => break,
                Ok(read) => all.extend_from_slice(&part[..read]),
                // Some engines do not say goodbye.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(e) => return Err(e),
            }
        }
        parse(&all).ok_or_else(|| io::Error::other("an answer that was cut off"))
    }
}

/// Status and body.
fn parse(all: &[u8]) -> Option<Answer> {
    let end = memchr::memmem::find(all, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&all[..end]).ok()?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let body = all[end + 4..].to_vec();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_none_or(|length| length == body.len()).then_some(Answer { status, body })
}
