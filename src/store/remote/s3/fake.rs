// SPDX-License-Identifier: GPL-2.0-or-later
//! A store for tests: a socket that gives prepared answers.

use super::S3;
use crate::store::remote::http::{Settings, TlsSettings};
use crate::store::remote::remotes::{S3Settings, Source};
use crate::unlock::UnlockSource;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::thread::JoinHandle;
use tempfile::TempDir;

/// A store that answers each request with the next of some answers.
pub(super) struct Store {
    pub(super) s3: S3,
    pub(super) at: u16,
    keys: TempDir,
    serving: Option<JoinHandle<Vec<String>>>,
}

/// An answer: status, headers, body.
pub(super) type Says<'a> = (u16, &'a str, &'a str);

pub(super) fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>No.</Message></Error>")
}

impl Store {
    pub(super) fn saying(answers: &[Says<'_>]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().port();
        let texts: Vec<String> = answers
            .iter()
            .map(|(status, headers, body)| {
                let length = body.len();
                format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
            })
            .collect();
        let serving = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for text in texts {
                let (mut stream, _) = listener.accept().unwrap();
                requests.push(request(&mut stream));
                stream.write_all(text.as_bytes()).unwrap();
            }
            // Whatever else comes is not expected, except the connection that ends this.
            while let Ok((mut stream, _)) = listener.accept() {
                match request(&mut stream) {
                    end if end.is_empty() => break,
                    more => requests.push(format!("UNEXPECTED {more}")),
                }
            }
            requests
        });
        let client = Settings {
            endpoints: vec![format!("http://127.0.0.1:{at}").parse().unwrap()],
            tls: TlsSettings::default(),
            proxy: None,
        };
        let keys = TempDir::new().unwrap();
        let source = |field, name: &str| Source::new(field, UnlockSource::File(keys.path().join(name)));
        let settings = S3Settings {
            region: "eu-1".into(),
            bucket: "keys".into(),
            access_key: source("access_key", "access"),
            secret_key: source("secret_key", "secret"),
            session_token: None,
            path_style: true,
        };
        let store = Self { s3: S3::new(client, settings), at, keys, serving: Some(serving) };
        store.key("access", "AK");
        store.key("secret", "old");
        store
    }

    /// Writes the file that holds a part of the credentials.
    pub(super) fn key(&self, name: &str, text: &str) {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.keys.path().join(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The requests that came: method and target, and what follows.
    pub(super) fn requests(mut self) -> Vec<String> {
        drop(TcpStream::connect(("127.0.0.1", self.at)).unwrap());
        self.serving.take().unwrap().join().unwrap()
    }
}

/// Reads a request. Returns it as text.
fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return String::new();
        }
        read.push(byte[0]);
    }
    let mut text = String::from_utf8(read).unwrap();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    text.push_str(&String::from_utf8_lossy(&body));
    text
}
