// SPDX-License-Identifier: GPL-2.0-or-later
//! A server on the loopback interface that does what a test says, and certificates for it.

use crate::store::remote::http::{Client, Endpoint, Settings, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection, as the server has it.
pub(in crate::store::remote) struct Talk {
    stream: Box<dyn Stream>,
    /// How many connections there were before it.
    pub(in crate::store::remote) number: usize,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Talk {
    /// The next request, head and body. `None` at the end of the connection.
    pub(in crate::store::remote) fn request(&mut self) -> Option<String> {
        let mut bytes = Vec::new();
        let mut piece = [0; 65536];
        loop {
            if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
                let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
                if bytes.len() >= at + 4 + len.parse::<usize>().unwrap() {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.seen.lock().unwrap().push(text.clone());
                    return Some(text);
                }
            }
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(len) => bytes.extend_from_slice(&piece[..len]),
            }
        }
    }

    /// Sends bytes as they are. The client may have gone.
    pub(in crate::store::remote) fn raw(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    pub(in crate::store::remote) fn answer(&mut self, status: u16, body: &str) {
        self.raw(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Does nothing until the server ends.
    pub(in crate::store::remote) fn hang(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Answers every request with 200.
    pub(in crate::store::remote) fn answer_all(&mut self, body: &str) {
        while self.request().is_some() {
            self.answer(200, body);
        }
    }
}

/// A server. Dropping it ends all its threads.
pub(in crate::store::remote) struct Server {
    pub(in crate::store::remote) address: SocketAddr,
    tls: bool,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(in crate::store::remote) fn plain(talk: impl Fn(&mut Talk) + Send + Sync + 'static) -> Self {
        Self::start(None, talk)
    }

    pub(in crate::store::remote) fn start(
        tls: Option<Arc<ServerConfig>>,
        talk: impl Fn(&mut Talk) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, connections, seen) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
        let mut server = Self { address, tls: tls.is_some(), stop, connections, seen, thread: None };
        let (stop, connections, seen) =
            (server.stop.clone(), server.connections.clone(), server.seen.clone());
        let talk = Arc::new(talk);
        server.thread = Some(std::thread::spawn(move || {
            let mut all = Vec::new();
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let stream = stream.unwrap();
                let raw = stream.try_clone().unwrap();
                let stream: Box<dyn Stream> = match &tls {
                    None => Box::new(stream),
                    Some(tls) => {
                        Box::new(StreamOwned::new(ServerConnection::new(tls.clone()).unwrap(), stream))
                    }
                };
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (talk, mut with) =
                    (talk.clone(), Talk { stream, number, stop: stop.clone(), seen: seen.clone() });
                let closing = raw.try_clone().unwrap();
                let thread = std::thread::spawn(move || {
                    talk(&mut with);
                    let _ = closing.shutdown(std::net::Shutdown::Both);
                });
                all.push((raw, thread));
            }
            for (stream, thread) in all {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                thread.join().unwrap();
            }
        }));
        server
    }

    pub(in crate::store::remote) fn endpoint(&self) -> Endpoint {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address).parse().unwrap()
    }

    /// How many connections were made to it.
    pub(in crate::store::remote) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests that came.
    pub(in crate::store::remote) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        let ended = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || ended.is_ok());
    }
}

/// A client of these servers.
pub(in crate::store::remote) fn client(servers: &[&Server]) -> Client {
    client_with(servers, TlsSettings::default())
}

pub(in crate::store::remote) fn client_with(servers: &[&Server], tls: TlsSettings) -> Client {
    let endpoints = servers.iter().map(|server| server.endpoint()).collect();
    Client::new(Settings { endpoints, tls, proxy: None })
}

/// An authority, and the directory for its files and those that it signs.
pub(in crate::store::remote) struct Authority {
    pub(in crate::store::remote) dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(in crate::store::remote) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), cert.pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    pub(in crate::store::remote) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Settings that trust it.
    pub(in crate::store::remote) fn trusted(&self) -> TlsSettings {
        TlsSettings { ca: Some(self.ca()), ..TlsSettings::default() }
    }

    /// Writes `NAME.pem` and `NAME.key`, for these host names, and returns their paths.
    pub(in crate::store::remote) fn sign(
        &self,
        name: &str,
        hosts: &[&str],
        expired: bool,
    ) -> (PathBuf, PathBuf) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 2, 1);
        }
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        std::fs::write(path("pem"), cert.pem()).unwrap();
        write_key(&path("key"), &key.serialize_pem());
        (path("pem"), path("key"))
    }

    /// What a server needs that has a certificate for these hosts. With `clients`, it requires theirs.
    pub(in crate::store::remote) fn server(
        &self,
        hosts: &[&str],
        expired: bool,
        clients: Option<&Authority>,
    ) -> Arc<ServerConfig> {
        let (cert, key) = self.sign("server", hosts, expired);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(clients.ca()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
        Arc::new(builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap())
    }
}

pub(in crate::store::remote) fn write_key(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
