// SPDX-License-Identifier: GPL-2.0-or-later
//! Host names, against a server of names on the loopback interface.

use super::super::dns::{self, Kind};
use super::super::resolve::Names;
use super::{long, short};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server of names. Dropping it ends its threads.
struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// An answer to a question: flags and code, and records after the question.
fn answer(question: &[u8], flags: [u8; 2], records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = question[..2].to_vec();
    message.extend([0x80 | flags[0], flags[1], 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    message.extend(&question[12..]);
    message.extend(records.concat());
    message
}

/// A record of the name that was asked for.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let [a, b] = kind.to_be_bytes();
    let mut record = vec![0xc0, 12, a, b, 0, 1, 0, 0, 0, 60, 0, data.len() as u8];
    record.extend(data);
    record
}

fn asked(question: &[u8]) -> (String, Kind) {
    let (mut at, mut name) = (12, Vec::new());
    while question[at] != 0 {
        let len = usize::from(question[at]);
        name.push(String::from_utf8_lossy(&question[at + 1..at + 1 + len]).into_owned());
        at += 1 + len;
    }
    (name.join("."), if question[at + 2] == 28 { Kind::V6 } else { Kind::V4 })
}

impl Server {
    /// `says` answers over UDP; over TCP there is always 10.0.0.99.
    fn start(mut says: impl FnMut(&[u8], &str, Kind) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let port = udp.local_addr().unwrap().port();
        udp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (count.clone(), stop.clone());
        let over_udp = std::thread::spawn(move || {
            let mut message = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, from)) = udp.recv_from(&mut message) else { continue };
                counted.fetch_add(1, Ordering::SeqCst);
                let question = &message[..len];
                let (name, kind) = asked(question);
                if let Some(answer) = says(question, &name, kind) {
                    // Somebody else's answer comes first, and is not believed.
                    let mut forged = answer.clone();
                    forged[0] ^= 0xff;
                    udp.send_to(&forged, from).unwrap();
                    udp.send_to(&answer, from).unwrap();
                }
            }
        });
        let stopped = stop.clone();
        let over_tcp = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = tcp.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let mut len = [0; 2];
                stream.read_exact(&mut len).unwrap();
                let mut question = vec![0; usize::from(u16::from_be_bytes(len))];
                stream.read_exact(&mut question).unwrap();
                let message = answer(&question, [0, 0], &[record(1, &[10, 0, 0, 99])]);
                stream.write_all(&(message.len() as u16).to_be_bytes()).unwrap();
                stream.write_all(&message).unwrap();
            }
        });
        Self { port, asked: count, stop, threads: vec![over_udp, over_tcp] }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok());
        }
    }
}

fn names(resolv: &str, hosts: &str, port: u16) -> (tempfile::TempDir, Names) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hosts"), hosts).unwrap();
    std::fs::write(dir.path().join("resolv"), resolv).unwrap();
    let names = Names::of(dir.path().join("hosts"), dir.path().join("resolv"), port);
    (dir, names)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_loopback_and_the_hosts_file_need_no_server() {
    let server = Server::start(|_, _, _| None);
    let hosts = "# a comment\n10.0.0.1 a a.example\nfd00::1 A.example # another\nnonsense b\n10.0.0.1 a\n";
    let (_dir, names) = names("nameserver 127.0.0.1\n", hosts, server.port);
    assert_eq!(names.resolve("10.1.2.3", long()).unwrap(), [ip("10.1.2.3")]);
    assert_eq!(names.resolve("::1", long()).unwrap(), [ip("::1")]);
    assert_eq!(names.resolve("localhost", long()).unwrap(), [ip("127.0.0.1"), ip("::1")]);
    assert_eq!(names.resolve("a.example", long()).unwrap(), [ip("10.0.0.1"), ip("fd00::1")]);
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_name_is_asked_for_once_with_its_aliases_and_both_kinds_of_addresses() {
    let server = Server::start(|question, name, kind| {
        assert_eq!(name, "db.example");
        let alias = record(5, b"\x05other\xc0\x0f");
        Some(answer(
            question,
            [0, 0],
            &match kind {
                Kind::V4 => vec![alias, record(1, &[10, 0, 0, 1]), record(1, &[10, 0, 0, 2])],
                Kind::V6 => vec![alias, record(28, &[0xfd; 16])],
            },
        ))
    });
    let (_dir, names) = names("search x.example\nnameserver 127.0.0.1\n", "", server.port);
    let expected = [ip("10.0.0.1"), ip("10.0.0.2"), IpAddr::V6([0xfd; 16].into())];
    assert_eq!(names.resolve("db.example", long()).unwrap(), expected);
    assert_eq!(names.resolve("db.example", long()).unwrap(), expected);
    assert_eq!(server.asked(), 2, "remembered");
}

#[test]
fn a_short_name_is_looked_for_in_the_domains_of_the_search_list() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = seen.clone();
    let server = Server::start(move |question, name, kind| {
        if kind == Kind::V4 {
            all.lock().unwrap().push(name.to_owned());
        }
        match name {
            "db.b.example" => Some(answer(question, [0, 0], &[record(1, &[10, 0, 0, 1])])),
            _ => Some(answer(question, [0, 3], &[])),
        }
    });
    let resolv = "domain old\nsearch a.example b.example.\noptions edns0 ndots:2\nnameserver 127.0.0.1\n";
    let (_dir, names) = names(resolv, "", server.port);
    assert_eq!(names.resolve("db", long()).unwrap(), [ip("10.0.0.1")]);
    let e = names.resolve("two.dots.none", long()).unwrap_err();
    assert!(e.contains("two.dots.none is neither in") && e.contains("write an address"), "{e}");
    let order = [
        "db.a.example",
        "db.b.example",
        "two.dots.none",
        "two.dots.none.a.example",
        "two.dots.none.b.example",
    ];
    assert_eq!(*seen.lock().unwrap(), order);
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_over_tcp() {
    let server = Server::start(|question, _, kind| match kind {
        Kind::V4 => Some(answer(question, [2, 0], &[])),
        Kind::V6 => Some(answer(question, [0, 0], &[])),
    });
    let (_dir, names) = names("nameserver 127.0.0.1", "", server.port);
    assert_eq!(names.resolve("big.example", long()).unwrap(), [ip("10.0.0.99")]);
}

#[test]
fn a_server_that_fails_or_is_silent_is_left_for_the_next_and_ends_in_time() {
    // Nothing listens at 127.0.0.3; the silent server is first.
    let silent = Server::start(|_, _, _| None);
    let (_dir, names_) = names("nameserver 127.0.0.1\nnameserver 127.0.0.3\n", "", silent.port);
    let e = names_.resolve("db.example", short()).unwrap_err();
    assert!(e.contains("no server in") && e.contains("answers for the host name db.example"), "{e}");
    assert!(silent.asked() >= 2);
    let failing = Server::start(|question, _, _| Some(answer(question, [0, 2], &[])));
    let (_dir, names_) = names("nameserver 127.0.0.1\n", "", failing.port);
    assert!(names_.resolve("db.example", long()).unwrap_err().contains("no server in"));
}

#[test]
fn a_server_that_answers_for_one_kind_of_addresses_only_is_enough() {
    let server = Server::start(|question, _, kind| {
        (kind == Kind::V4).then(|| answer(question, [0, 0], &[record(1, &[10, 0, 0, 1])]))
    });
    let (_dir, names) = names("nameserver 127.0.0.1\n", "", server.port);
    assert_eq!(names.resolve("db.example", long()).unwrap(), [ip("10.0.0.1")]);
}

#[test]
fn what_was_known_is_used_while_no_server_answers() {
    let well = Arc::new(AtomicBool::new(true));
    let state = well.clone();
    let server = Server::start(move |question, _, _| {
        let records = [record(1, &[10, 0, 0, 1])];
        Some(match state.load(Ordering::SeqCst) {
            true => answer(question, [0, 0], &records),
            false => answer(question, [0, 2], &[]),
        })
    });
    let (_dir, names) = names("nameserver 127.0.0.1\n", "", server.port);
    let known = names.resolve("db.example", long()).unwrap();
    well.store(false, Ordering::SeqCst);
    names.age();
    let before = server.asked();
    assert_eq!(names.resolve("db.example", long()).unwrap(), known);
    assert!(server.asked() > before, "it was asked again");
}

#[test]
fn no_bytes_of_a_server_of_names_panic() {
    let question = dns::question(7, "db.example", Kind::V4).unwrap();
    let good = answer(&question, [0, 0], &[record(5, b"\x05other\xc0\x0f"), record(1, &[10, 0, 0, 1])]);
    assert_eq!(dns::answer(&question, &good), Some(dns::Answer::Addresses(vec![ip("10.0.0.1")])));
    for len in 0..good.len() {
        assert!(
            !matches!(dns::answer(&question, &good[..len]), Some(dns::Answer::Addresses(_))),
            "cut at {len}"
        );
    }
    for at in 0..good.len() {
        for byte in 0..=255 {
            let mut bad = good.clone();
            bad[at] = byte;
            let _ = dns::answer(&question, &bad);
        }
    }
    assert_eq!(dns::question(1, "a..b", Kind::V4), None);
    assert_eq!(dns::question(1, &"a".repeat(64), Kind::V4), None);
    assert_eq!(dns::question(1, &"a.".repeat(130), Kind::V4), None);
}
