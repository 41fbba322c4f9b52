// SPDX-License-Identifier: GPL-2.0-or-later
//! A gateway that gives recorded answers.

use super::*;
use crate::store::remote::http::TlsSettings;
use crate::store::remote::http::tests::server::Server;
use crate::store::remote::remotes::Source;
use crate::unlock::UnlockSource;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// What a gateway does with one request.
pub(super) enum Reply {
    /// Status and body.
    Says(u16, String),
    /// It closes the connection.
    Nothing,
}

/// Path, Authorization, body.
pub(super) type Seen = (String, String, Value);

/// A gateway of one endpoint. It answers the requests in turn.
pub(super) struct Gateway {
    pub(super) url: String,
    server: Server,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl Gateway {
    pub(super) fn new(replies: Vec<Reply>) -> Gateway {
        let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
        let left = Arc::clone(&replies);
        let server = Server::plain(move |talk| {
            while talk.request().is_some() {
                let reply = left.lock().unwrap().pop_front();
                match reply {
                    Some(Reply::Says(status, body)) => talk.answer(status, &body),
                    Some(Reply::Nothing) | None => break,
                }
            }
        });
        Gateway { url: format!("http://{}", server.address), server, replies }
    }

    pub(super) fn etcd(&self, user: Option<&str>) -> Etcd {
        let endpoints = vec![self.url.parse().unwrap()];
        let settings = Settings { endpoints, tls: TlsSettings::default(), proxy: None };
        let password = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        // Any line of text serves as a password here.
        let from = UnlockSource::parse(&format!("command:/usr/bin/head -n 1 {password}")).unwrap();
        let user = user.map(|user| (user.to_owned(), Source::new("password", from)));
        Etcd::new(settings, EtcdSettings { user })
    }

    /// What it was asked. All of its replies were needed.
    pub(super) fn asked(self) -> Vec<Seen> {
        assert!(self.replies.lock().unwrap().is_empty(), "not all replies were needed");
        self.server.seen().iter().map(|text| parsed(text)).collect()
    }
}

fn parsed(request: &str) -> Seen {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let authorization = headers.find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let authorization = authorization.map_or_else(String::new, |(_, value)| value.to_owned());
    (path, authorization, serde_json::from_str(body).unwrap())
}

pub(super) const HEADER: &str = r#""header":{"cluster_id":"16292097261203671841","member_id":"9372538179322589801","revision":"7","raft_term":"2"}"#;

pub(super) fn says(rest: &str) -> Reply {
    let comma = if rest.is_empty() { "" } else { "," };
    Reply::Says(200, format!("{{{HEADER}{comma}{rest}}}"))
}

pub(super) fn fails(status: u16, code: u32, message: &str) -> Reply {
    Reply::Says(status, format!(r#"{{"error":"{message}","message":"{message}","code":{code}}}"#))
}

pub(super) fn kv(key: &str, value: &[u8], revision: u64) -> String {
    let (key, value) = (encoded(key.as_bytes()), encoded(value));
    format!(
        r#"{{"key":"{key}","create_revision":"2","mod_revision":"{revision}","version":"3","value":"{value}"}}"#
    )
}
