// SPDX-License-Identifier: GPL-2.0-or-later
//! A connection to an endpoint: TCP, through a proxy if there is one, and TLS. Every operation ends at a set time.

use super::broken::{Broken, explained, timed_out};
use super::endpoint::{Endpoint, Proxy};
use super::resolve::Names;
use crate::store::remote::objects::Cause;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Maximum length of a proxy's answer in bytes.
const MAX_PROXY_ANSWER: usize = 8192;

/// A TCP connection whose operations end at `until`.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    until: Instant,
}

impl Socket {
    fn left(&self) -> io::Result<Duration> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left.max(Duration::from_millis(1))),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        again(|| {
            self.stream.set_read_timeout(Some(self.left()?))?;
            self.stream.read(buf)
        })
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        again(|| {
            self.stream.set_write_timeout(Some(self.left()?))?;
            self.stream.write(buf)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does it again if a signal ended it: a call with a time limit is not restarted by the system.
fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A connection on which requests can be sent.
#[derive(Debug)]
pub(super) struct Connection(Way);

#[derive(Debug)]
enum Way {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

/// How connections are made.
pub(super) struct How<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) tls: Option<&'a Arc<ClientConfig>>,
    pub(super) server_name: Option<&'a str>,
    pub(super) names: &'a Names,
}

impl Connection {
    /// Connects, by `until`, and completes the TLS handshake.
    pub(super) fn open(how: &How<'_>, until: Instant) -> Result<Self, Broken> {
        let mut socket = match how.proxy {
            None => connect(how, how.endpoint.host(), how.endpoint.port(), until)?,
            Some(proxy) => {
                let mut socket = connect(how, proxy.host(), proxy.port(), until).map_err(|broken| {
                    Broken { why: format!("the proxy {proxy}: {}", broken.why), ..broken }
                })?;
                ask_proxy(&mut socket, how.endpoint)
                    .map_err(|why| Broken::before(Cause::Unreachable, format!("the proxy {proxy} {why}")))?;
                socket
            }
        };
        let Some(config) = how.tls else { return Ok(Self(Way::Plain(socket))) };
        let name = how.server_name.unwrap_or(how.endpoint.host()).to_owned();
        let name = ServerName::try_from(name).map_err(|_| {
            Broken::before(Cause::Settings, "its host is no name that a certificate can have")
        })?;
        let broken = |e: &io::Error| {
            let (cause, why) = explained(e);
            Broken::before(
                cause,
                if timed_out(e) { "does not answer in time (TLS handshake)".to_owned() } else { why },
            )
        };
        let mut tls =
            ClientConnection::new(config.clone(), name).map_err(|e| broken(&io::Error::other(e)))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).map_err(|e| broken(&e))?;
        }
        Ok(Self(Way::Tls(Box::new(StreamOwned::new(tls, socket)))))
    }

    /// The certificate that the endpoint showed, DER.
    pub(super) fn certificate(&self) -> Option<&[u8]> {
        match &self.0 {
            Way::Plain(_) => None,
            Way::Tls(tls) => tls.conn.peer_certificates()?.first().map(AsRef::as_ref),
        }
    }

    /// Sets when operations end.
    pub(super) fn set_until(&mut self, until: Instant) {
        match &mut self.0 {
            Way::Plain(socket) => socket.until = until,
            Way::Tls(tls) => tls.sock.until = until,
        }
    }

    /// Whether the endpoint keeps the connection and has sent nothing that was not asked for.
    pub(super) fn is_idle(&self) -> bool {
        let stream = match &self.0 {
            Way::Plain(socket) => &socket.stream,
            Way::Tls(tls) => &tls.sock.stream,
        };
        let waiting = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        let idle = waiting.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).is_ok() && idle
    }
}

impl Read for Connection {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.0 {
            Way::Plain(socket) => socket.read(buf),
            Way::Tls(tls) => read_tls(tls, buf),
        };
        match read {
            // Many servers close the connection without ending TLS. The length of an answer tells whether it is whole.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }
}

/// Reads without writing first what could not be written, as `StreamOwned` does: an endpoint that refuses a client
/// certificate says so, and closes the connection.
fn read_tls(tls: &mut StreamOwned<ClientConnection, Socket>, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.conn.reader().read(buf) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        tls.conn.read_tls(&mut tls.sock)?;
        tls.conn.process_new_packets().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    }
}

impl Write for Connection {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Way::Plain(socket) => socket.write(buf),
            Way::Tls(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Way::Plain(socket) => socket.flush(),
            Way::Tls(tls) => tls.flush(),
        }
    }
}

fn connect(how: &How<'_>, host: &str, port: u16, until: Instant) -> Result<Socket, Broken> {
    let addresses = how.names.resolve(host, until).map_err(|why| Broken::before(Cause::Unreachable, why))?;
    let mut last = Broken::before(Cause::Unreachable, "its host has no address");
    for (index, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        // Each address but the last gets half of the time that is left.
        let share = if index + 1 == addresses.len() { left } else { left / 2 };
        if share.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&SocketAddr::new(*address, port), share) {
            Ok(stream) => {
                // Without effect, the answer only comes later.
                let _ = stream.set_nodelay(true);
                return Ok(Socket { stream, until });
            }
            Err(e) => {
                let (cause, why) = explained(&e);
                let silent =
                    "does not answer in time: check that it runs, and that no firewall drops packets";
                last = Broken::before(cause, if timed_out(&e) { silent.to_owned() } else { why });
            }
        }
    }
    Err(last)
}

/// Asks the proxy to connect to an endpoint.
fn ask_proxy(socket: &mut Socket, endpoint: &Endpoint) -> Result<(), String> {
    let host = endpoint.host();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let target = format!("{host}:{}", endpoint.port());
    let failed =
        |e: io::Error| if timed_out(&e) { "does not answer in time".to_owned() } else { explained(&e).1 };
    socket
        .write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())
        .map_err(failed)?;
    // Byte by byte: what follows the answer belongs to the endpoint.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match socket.read(&mut byte).map_err(failed)? {
            0 => return Err("closed the connection without an answer".to_owned()),
            _ if answer.len() >= MAX_PROXY_ANSWER => return Err("answers with no HTTP".to_owned()),
            _ => answer.extend_from_slice(&byte),
        }
    }
    let status = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    match status {
        Some([b'2', _, _]) => Ok(()),
        Some(status) if status.iter().all(u8::is_ascii_digit) => {
            Err(format!("refuses to connect to {target} (HTTP status {})", String::from_utf8_lossy(status)))
        }
        _ => Err("answers with no HTTP".to_owned()),
    }
}
