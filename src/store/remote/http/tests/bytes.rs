// SPDX-License-Identifier: GPL-2.0-or-later
//! Whatever an endpoint sends: no bytes panic, and none make a call go on for ever.

use super::super::exchange::{Answered, Line, exchange};
use super::*;
use crate::store::remote::http::broken::Broken;
use std::io::{self, Read, Write};

/// A connection whose answer is these bytes, in pieces of a length.
struct Canned<'a> {
    left: &'a [u8],
    piece: usize,
}

impl Read for Canned<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(self.piece).min(self.left.len());
        let (now, left) = self.left.split_at(len);
        buf[..len].copy_from_slice(now);
        self.left = left;
        Ok(len)
    }
}

impl Write for Canned<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line for Canned<'_> {
    fn set_until(&mut self, _: Instant) {}
}

fn answered(bytes: &[u8], piece: usize, method: &'static str) -> Result<Answered, Broken> {
    let request = Request::changing(method, "/").limit(10_000);
    exchange(&mut Canned { left: bytes, piece }, "127.0.0.1:1", &request, true, long(), long())
}

const ANSWERS: [&str; 7] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"abc\"\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nX: y\r\n\r\n",
    "HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnot here",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 307 Temporary Redirect\r\nLocation: //other.example:99999/\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\x12\x04",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\nTransfer-Encoding: gzip, chunked\r\n\r\nabc",
];

#[test]
fn no_bytes_of_an_endpoint_panic() {
    for answer in ANSWERS.map(str::as_bytes) {
        for method in ["GET", "PUT", "HEAD", "DELETE", "POST"] {
            let whole = answered(answer, usize::MAX, method).ok().map(|a| (a.status, a.body.to_vec()));
            let by_byte = answered(answer, 1, method).ok().map(|a| (a.status, a.body.to_vec()));
            assert_eq!(whole, by_byte, "the answer does not depend on how it arrives");
            for len in 0..answer.len() {
                if let Err(broken) = answered(&answer[..len], 7, method) {
                    assert!(broken.sent, "a request that was sent may have been carried out");
                }
            }
            for at in 0..answer.len() {
                for byte in [0, 9, 10, 13, 32, b'-', b'0', b'9', b':', b'f', 127, 128, 255, answer[at] ^ 1] {
                    let mut bad = answer.to_vec();
                    bad[at] = byte;
                    let _ = answered(&bad, 16, method);
                    bad.insert(at, byte);
                    let _ = answered(&bad, usize::MAX, method);
                }
            }
        }
    }
}

#[test]
fn no_shuffled_pieces_of_answers_panic() {
    let pieces: Vec<&[u8]> = ANSWERS
        .iter()
        .flat_map(|answer| answer.as_bytes().split_inclusive(|byte| *byte == b'\n'))
        .chain([
            &b"Content-Length: 18446744073709551615\r\n"[..],
            b"Content-Length: -1\r\n",
            b"ffffffffffffffff\r\n",
        ])
        .chain([
            &b"Content-Length: 99999999999999999999\r\n"[..],
            b"10000000000000000\r\n",
            b"\r\n",
            b"\0",
            b"\xff\xfe",
        ])
        .collect();
    // A simple generator with a fixed beginning: each run tests the same.
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        for _ in 0..next(12) {
            bytes.extend(pieces[next(pieces.len())]);
        }
        let _ = answered(&bytes, 1 + next(40), ["GET", "PUT"][next(2)]);
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(200));
    assert!(
        answered(many.as_bytes(), usize::MAX, "GET").is_err_and(|broken| broken.cause == Cause::NotTheEngine)
    );
}
