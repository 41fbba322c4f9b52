// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests of engines drop and swallow is dropped and swallowed: nothing more, and without an error that would
//! tell a program at once.

use mysql_plugin_tests::rig::{Forwarder, Network, Passing};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Long enough for one on a loaded machine.
const ANSWER: Duration = Duration::from_secs(20);
/// Long enough to see that there is none.
const SILENCE: Duration = Duration::from_millis(300);

/// Answers each byte with the next one.
fn serve(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&[byte[0] + 1]).is_ok() {}
            });
        }
    });
}

/// Sends a byte and returns what is answered within that time.
fn ask(mut stream: &TcpStream, byte: u8, within: Duration) -> Result<u8, ErrorKind> {
    stream.set_read_timeout(Some(within)).unwrap();
    stream.write_all(&[byte]).map_err(|e| e.kind())?;
    let mut answer = [0];
    stream.read_exact(&mut answer).map(|()| answer[0]).map_err(|e| e.kind())
}

pub fn drops_what_it_is_told_to() {
    let network = Network::new(3);
    for host in [1, 2] {
        serve(network.on(host, || TcpListener::bind((network.address(host), 7000)).unwrap()));
    }
    let connect = |to: usize| {
        network.on(0, || {
            let address = format!("{}:7000", network.address(to)).parse().unwrap();
            TcpStream::connect_timeout(&address, ANSWER).unwrap()
        })
    };
    for (one_way, name) in [
        (Some((Some(0), Some(1))), "from the client"),
        (Some((Some(1), Some(0))), "to the client"),
        (None, "both ways"),
    ] {
        let (cut_off, other) = (connect(1), connect(2));
        assert_eq!(ask(&cut_off, 1, ANSWER), Ok(2));
        let dropping = match one_way {
            Some((from, to)) => network.drop_one_way(from, to),
            None => network.isolate(1),
        };
        // The connection that there is hangs, and so does a new one.
        assert_eq!(ask(&cut_off, 3, SILENCE), Err(ErrorKind::WouldBlock), "{name}");
        let address = format!("{}:7000", network.address(1)).parse().unwrap();
        let new = network.on(0, || TcpStream::connect_timeout(&address, SILENCE));
        assert_eq!(new.map(drop).map_err(|e| e.kind()), Err(ErrorKind::TimedOut), "{name}");
        assert_eq!(ask(&other, 5, ANSWER), Ok(6), "{name}: the other host");
        drop(dropping);
        // What was sent arrives in the end.
        let mut answer = [0];
        cut_off.set_read_timeout(Some(ANSWER)).unwrap();
        (&cut_off).read_exact(&mut answer).unwrap();
        assert_eq!(answer, [4], "{name}");
    }
}

pub fn forwarder_swallows() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let forwarder = Forwarder::to(listener.local_addr().unwrap().port());
    serve(listener);
    let connect = || TcpStream::connect(("127.0.0.1", forwarder.port())).unwrap();
    for fault in Passing::FAULTS {
        let stream = connect();
        assert_eq!(ask(&stream, 1, ANSWER), Ok(2));
        forwarder.pass(fault);
        let expected = match fault {
            Passing::CutAnswers => ErrorKind::UnexpectedEof,
            _ => ErrorKind::WouldBlock,
        };
        let within = if fault == Passing::CutAnswers { ANSWER } else { SILENCE };
        assert_eq!(ask(&stream, 3, within), Err(expected), "{fault:?}");
        forwarder.pass(Passing::All);
        assert_eq!(ask(&connect(), 5, ANSWER), Ok(6), "{fault:?}");
    }
}
