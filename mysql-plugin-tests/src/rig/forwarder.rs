// SPDX-License-Identifier: GPL-2.0-or-later
//! A port on loopback behind which another one is, and which can be told to swallow what goes through it: what a network
//! that drops packets does, for tests that have none of their own.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What becomes of bytes that come through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Passing {
    /// They pass.
    All,
    /// Requests are swallowed.
    NoRequests,
    /// Requests pass, and their answers are swallowed.
    NoAnswers,
    /// Both are swallowed.
    Nothing,
    /// Requests pass, and the connection is cut when the answer begins.
    CutAnswers,
}

impl Passing {
    /// All ways of failing.
    pub const FAULTS: [Passing; 4] =
        [Passing::NoRequests, Passing::NoAnswers, Passing::Nothing, Passing::CutAnswers];

    fn from(number: u8) -> Passing {
        Passing::FAULTS.into_iter().find(|p| *p as u8 == number).unwrap_or(Passing::All)
    }
}

/// How often a connection that is silent asks whether it is still wanted.
const TICK: Duration = Duration::from_millis(50);

/// A running forwarder. It ends with this value, and so do its connections.
#[derive(Debug)]
pub struct Forwarder {
    port: u16,
    now: Arc<AtomicU8>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts one to a port on loopback.
    pub fn to(port: u16) -> Forwarder {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (own, target) = (listener.local_addr().unwrap().port(), SocketAddr::from(([127, 0, 0, 1], port)));
        let (now, end) = <(Arc<AtomicU8>, Arc<AtomicBool>)>::default();
        let (passing, ended) = (Arc::clone(&now), Arc::clone(&end));
        let thread = std::thread::spawn(move || accept(&listener, target, &passing, &ended));
        Forwarder { port: own, now, end, thread: Some(thread) }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on, for connections that there are already too.
    pub fn pass(&self, passing: Passing) {
        self.now.store(passing as u8, Ordering::SeqCst);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, now: &Arc<AtomicU8>, end: &Arc<AtomicBool>) {
    while !end.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        // Where nobody listens, the client's connection ends too.
        let Ok(engine) = TcpStream::connect_timeout(&target, Duration::from_secs(1)) else { continue };
        for (from, to, is_answer) in [(&client, &engine, false), (&engine, &client, true)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let (now, end) = (Arc::clone(now), Arc::clone(end));
            std::thread::spawn(move || {
                from.set_nonblocking(false).unwrap();
                from.set_read_timeout(Some(TICK)).unwrap();
                copy(&from, &to, is_answer, &now, &end);
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }
}

/// Copies until either end is closed.
fn copy(mut from: &TcpStream, mut to: &TcpStream, is_answer: bool, now: &AtomicU8, end: &AtomicBool) {
    let mut bytes = vec![0; 64 << 10];
    // A stream of which something was swallowed is of no use any more: the rest of it is swallowed too.
    let mut is_broken = false;
    while !end.load(Ordering::SeqCst) {
        let read = match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => read,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => return,
        };
        let passing = Passing::from(now.load(Ordering::SeqCst));
        if passing == Passing::CutAnswers && is_answer {
            return;
        }
        is_broken |= match passing {
            Passing::All | Passing::CutAnswers => false,
            Passing::NoRequests => !is_answer,
            Passing::NoAnswers => is_answer,
            Passing::Nothing => true,
        };
        if !is_broken && to.write_all(&bytes[..read]).is_err() {
            return;
        }
    }
}
