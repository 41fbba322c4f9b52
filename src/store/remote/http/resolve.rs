// SPDX-License-Identifier: GPL-2.0-or-later
//! From host names to addresses, within a time limit and without a thread.
//!
//! `getaddrinfo` of the C library cannot be interrupted: a thread that waits in it outlives the call, and must keep the
//! library loaded. Therefore names are looked up in /etc/hosts, and at the servers that /etc/resolv.conf names.

use super::dns::{self, Answer, Kind};
use crate::secret::fill_random;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long addresses are used without asking again.
const FRESH: Duration = Duration::from_secs(30);

/// How long a server of names may take at most.
const SERVER_WAIT: Duration = Duration::from_secs(1);

/// How long addresses of the second kind are waited for, once there are some of the first.
const OTHER_KIND: Duration = Duration::from_millis(200);

/// Maximum length of /etc/hosts and /etc/resolv.conf in bytes: the rest of a longer one is not read.
const MAX_FILE: u64 = 1024 * 1024;

/// Looks up host names, and remembers their addresses.
#[derive(Debug)]
pub(super) struct Names {
    hosts: PathBuf,
    resolv: PathBuf,
    /// The port of the servers of names.
    port: u16,
    known: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

impl Default for Names {
    fn default() -> Self {
        Self::of("/etc/hosts", "/etc/resolv.conf", 53)
    }
}

/// What /etc/resolv.conf says.
#[derive(Default)]
struct Config {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    dots: usize,
}

impl Names {
    /// As the default, with other files and another port of the servers.
    pub(super) fn of(hosts: impl Into<PathBuf>, resolv: impl Into<PathBuf>, port: u16) -> Self {
        Self { hosts: hosts.into(), resolv: resolv.into(), port, known: Mutex::default() }
    }

    /// Makes all that is known too old to be used without asking.
    #[cfg(test)]
    pub(super) fn age(&self) {
        self.known().values_mut().for_each(|(at, _)| *at = at.checked_sub(FRESH).unwrap_or(*at));
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, (Instant, Vec<IpAddr>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the addresses of a host, at least one, by `until`.
    ///
    /// # Errors
    /// What to tell about the host.
    pub(super) fn resolve(&self, host: &str, until: Instant) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if host == "localhost" {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let own = self.in_hosts(host);
        if !own.is_empty() {
            return Ok(own);
        }
        let known = self.known().get(host).cloned();
        if let Some((at, addresses)) = &known
            && at.elapsed() < FRESH
        {
            return Ok(addresses.clone());
        }
        match self.ask(host, until) {
            Asked::Found(addresses) => {
                self.known().insert(host.to_owned(), (Instant::now(), addresses.clone()));
                Ok(addresses)
            }
            Asked::Unknown => Err(format!(
                "the host name {host} is neither in {} nor known to the servers of {}: correct it, or write an address",
                self.hosts.display(),
                self.resolv.display()
            )),
            // What was known is better than nothing.
            Asked::NoAnswer => known.map(|(_, addresses)| addresses).ok_or_else(|| {
                format!(
                    "no server in {} answers for the host name {host}: write an address, or add the host to {}",
                    self.resolv.display(),
                    self.hosts.display()
                )
            }),
        }
    }

    fn in_hosts(&self, host: &str) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for line in text(&self.hosts).lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            if words.any(|name| name.eq_ignore_ascii_case(host)) && !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }

    fn config(&self) -> Config {
        let mut config = Config { dots: 1, ..Config::default() };
        for line in text(&self.resolv).lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // An address of one network only has that network behind a %.
                Some("nameserver") => {
                    config.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
                }
                Some("search" | "domain") => {
                    config.search = words.map(|word| word.trim_end_matches('.').to_owned()).collect()
                }
                Some("options") => {
                    let mut dots =
                        words.filter_map(|word| word.strip_prefix("ndots:")).filter_map(|n| n.parse().ok());
                    config.dots = dots.next_back().unwrap_or(config.dots).min(15);
                }
                _ => {}
            }
        }
        config.servers.truncate(3);
        config.search.truncate(6);
        if config.servers.is_empty() {
            config.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        config
    }

    fn ask(&self, host: &str, until: Instant) -> Asked {
        let config = self.config();
        let bare = host.trim_end_matches('.').to_owned();
        let mut names: Vec<String> = Vec::new();
        if !host.ends_with('.') {
            names.extend(
                config
                    .search
                    .iter()
                    .filter(|domain| !domain.is_empty())
                    .map(|domain| format!("{bare}.{domain}")),
            );
        }
        let first = bare.matches('.').count() >= config.dots || host.ends_with('.');
        names.insert(if first { 0 } else { names.len() }, bare);
        let mut silent = false;
        for name in names {
            match self.ask_servers(&config.servers, &name, until) {
                Asked::Found(addresses) => return Asked::Found(addresses),
                Asked::Unknown => {}
                Asked::NoAnswer => silent = true,
            }
        }
        if silent { Asked::NoAnswer } else { Asked::Unknown }
    }

    /// Asks the servers in turn, twice.
    fn ask_servers(&self, servers: &[IpAddr], name: &str, until: Instant) -> Asked {
        for server in servers.iter().chain(servers) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let server = SocketAddr::new(*server, self.port);
            // The next server must have its turn as well.
            let asked = ask_server(server, name, Instant::now() + SERVER_WAIT.min(left / 2));
            if !matches!(asked, Asked::NoAnswer) {
                return asked;
            }
        }
        Asked::NoAnswer
    }
}

enum Asked {
    Found(Vec<IpAddr>),
    /// There is no such name, or it has no address.
    Unknown,
    NoAnswer,
}

fn text(path: &PathBuf) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // What could be read counts.
        let _ = file.take(MAX_FILE).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks one server for both kinds of addresses. IPv4 comes first: where IPv6 is not set up, it may not fail at once.
fn ask_server(server: SocketAddr, name: &str, until: Instant) -> Asked {
    let mut ids = [0; 4];
    let Ok(()) = fill_random(&mut ids) else { return Asked::NoAnswer };
    let [a, b, c, d] = ids;
    let questions: Vec<Vec<u8>> =
        [(u16::from_be_bytes([a, b]), Kind::V4), (u16::from_be_bytes([c, d]), Kind::V6)]
            .into_iter()
            .filter_map(|(id, kind)| dns::question(id, name, kind))
            .collect();
    if questions.is_empty() {
        return Asked::Unknown;
    }
    let answers = over_udp(server, &questions, until).unwrap_or_else(|_| vec![None; questions.len()]);
    let mut found = Vec::new();
    let mut silent = false;
    for (question, answer) in questions.iter().zip(answers) {
        let answer = match answer {
            Some(Answer::Truncated) => over_tcp(server, question, until).ok().flatten(),
            answer => answer,
        };
        match answer {
            Some(Answer::Addresses(addresses)) => {
                let new =
                    addresses.into_iter().filter(|address| !found.contains(address)).collect::<Vec<_>>();
                found.extend(new);
            }
            Some(Answer::NoSuchName) => {}
            Some(Answer::Failed | Answer::Truncated) | None => silent = true,
        }
    }
    match (found.is_empty(), silent) {
        (false, _) => Asked::Found(found),
        (true, false) => Asked::Unknown,
        (true, true) => Asked::NoAnswer,
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left.max(Duration::from_millis(1))),
    }
}

/// Asks all questions at once. Answers that do not come in time are missing.
fn over_udp(server: SocketAddr, questions: &[Vec<u8>], until: Instant) -> io::Result<Vec<Option<Answer>>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // Only what comes from there is received; if nothing listens there, that is known at once.
    socket.connect(server)?;
    for question in questions {
        socket.send(question)?;
    }
    let mut answers = vec![None; questions.len()];
    let mut message = [0; 4096];
    while answers.contains(&None) {
        // There are servers that answer for one kind of addresses only.
        let found =
            |answer: &Option<Answer>| matches!(answer, Some(Answer::Addresses(all)) if !all.is_empty());
        let most = if answers.iter().any(found) { OTHER_KIND } else { SERVER_WAIT };
        let Ok(time) = left(until) else { break };
        socket.set_read_timeout(Some(time.min(most)))?;
        let len = match socket.recv(&mut message) {
            Ok(len) => len,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let message = message.get(..len).unwrap_or_default();
        for (question, place) in questions.iter().zip(&mut answers) {
            if place.is_none() {
                *place = dns::answer(question, message);
            }
        }
    }
    Ok(answers)
}

fn over_tcp(server: SocketAddr, question: &[u8], until: Instant) -> io::Result<Option<Answer>> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    let len = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.set_write_timeout(Some(left(until)?))?;
    stream.write_all(&[&len.to_be_bytes()[..], question].concat())?;
    let mut message = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let whole = message.first_chunk().map(|len| 2 + usize::from(u16::from_be_bytes(*len)));
        if let Some(message) = whole.and_then(|whole| message.get(2..whole)) {
            return Ok(dns::answer(question, message));
        }
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut piece) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
            Ok(0) => return Ok(None),
            Ok(len) => message.extend_from_slice(piece.get(..len).unwrap_or_default()),
        }
    }
}
