// SPDX-License-Identifier: GPL-2.0-or-later
//! An etcd cluster, by its v3 JSON gateway. The object `NAME` is the key `/NAME`.
//!
//! A version is the key's `mod_revision`. That alone could deceive after etcd was restored from a snapshot: revisions
//! begin again there, and another program may have changed the key at the very same one. So the version of an object
//! that is not large has its bytes too, and a put compares both.

mod answers;
mod examine;
mod login;
mod refusal;

use super::http::{Client, Request, Response, Settings, Verdict};
use super::objects::{Answer, Cause, Object, Objects, Put, Trouble, Version};
use super::remotes::EtcdSettings;
use answers::{Bytes, KeyValue, Plausible, Range, Txn, encoded};
use login::Login;
use refusal::{Fate, Refusal, Who};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Maximum number of operations in a transaction, unless an administrator sets another one.
const MAX_OPERATIONS: usize = 128;
/// How many names a page of a list has.
const PAGE: usize = 1000;
/// Objects up to this length are part of their version: a head is.
const COMPARED: usize = 64 * 1024;
/// What is kept of the time of a request to find out why there was no answer.
const TO_EXPLAIN: Duration = Duration::from_secs(1);

/// An etcd cluster. Threads can share it.
#[derive(Debug)]
pub struct Etcd {
    client: Client,
    /// How to reach each endpoint alone.
    settings: Settings,
    login: Login,
}

/// An answer that is 200.
struct Answered<T> {
    answer: T,
    /// The request may have been carried out before, and its answer been lost.
    sent_before: bool,
    response: Response,
}

impl Etcd {
    /// A cluster that is first asked when an object is.
    pub fn new(settings: Settings, etcd: EtcdSettings) -> Self {
        Self { client: Client::new(settings.clone()), settings, login: Login::new(etcd.user) }
    }

    /// Asks for something about a key. If etcd no longer knows the login, logs in again, once.
    fn ask<T: Plausible>(&self, ask: &Ask, until: Instant) -> Answer<Answered<T>> {
        let left = until.saturating_duration_since(Instant::now());
        let explain_from = until.checked_sub(TO_EXPLAIN.min(left / 4)).unwrap_or(until);
        self.ask_until(ask, explain_from).map_err(|trouble| self.explained(trouble, until))
    }

    fn ask_until<T: Plausible>(&self, ask: &Ask, until: Instant) -> Answer<Answered<T>> {
        let body = ask.body.to_string();
        let mut sent_before = false;
        let mut logged_in_again = false;
        let carried = |trouble: Trouble, sent_before: bool| Trouble {
            may_have_happened: trouble.may_have_happened || sent_before,
            ..trouble
        };
        loop {
            let token =
                self.login.token(&self.client, until).map_err(|trouble| carried(trouble, sent_before))?;
            let make = |_: &_| {
                let request = match ask.change {
                    true => Request::changing("POST", ask.path),
                    false => Request::reading("POST", ask.path),
                };
                let request = request.header("Content-Type", "application/json").body(body.as_bytes());
                Ok(match &token {
                    Some(token) => request.header("Authorization", token.as_str()),
                    None => request,
                })
            };
            let who = self.login.who(&token);
            let judge = |response: &Response| ask.judge(response, who);
            let response =
                self.client.send_with(until, make, judge).map_err(|trouble| carried(trouble, sent_before))?;
            sent_before |= response.sent_before;
            if response.status == 200 {
                return match answers::read(&response.body) {
                    Some(answer) => Ok(Answered { answer, sent_before, response }),
                    None => Err(ask.trouble(&response, Refusal::unreadable())),
                };
            }
            let refusal = ask.refusal(&response, who);
            if refusal.fate == Fate::Token && !logged_in_again && self.login.forget(token) {
                logged_in_again = true;
                continue;
            }
            return Err(carried(ask.trouble(&response, refusal), sent_before));
        }
    }

    /// No endpoint answered: looks whether one answers what it can answer without a majority.
    fn explained(&self, trouble: Trouble, until: Instant) -> Trouble {
        if trouble.cause != Cause::Unreachable || until <= Instant::now() {
            return trouble;
        }
        let ask = Ask::read("/v3/kv/range", "/", json!({"key": encoded(b"/"), "serializable": true}));
        let body = ask.body.to_string();
        let make = |_: &_| {
            let request = Request::reading("POST", ask.path).header("Content-Type", "application/json");
            Ok(request.body(body.as_bytes()))
        };
        // Whatever it says: it does not answer as a node that waits for a leader.
        match self.client.send_with(until, make, |_| Verdict::Answer) {
            Ok(response) => Trouble {
                cause: Cause::NoMajority,
                told: format!(
                    "{} answers, but reaches no majority of the etcd cluster: check its members with etcdctl endpoint \
                     status ({})",
                    response.endpoint, trouble.told
                ),
                ..trouble
            },
            Err(_) => trouble,
        }
    }

    /// Puts an object under its condition, and in the same step another one, if it does not exist.
    fn put_if(
        &self,
        name: &str,
        bytes: &[u8],
        was: Option<&Version>,
        new: Option<(&str, &[u8])>,
        until: Instant,
    ) -> Answer<Put> {
        let key = key(name);
        let at = encoded(key.as_bytes());
        let Some(mut compare) = compared(&at, was) else { return Ok(Put::Conflict) };
        let put = |at: &str, bytes| json!({"request_put": {"key": at, "value": encoded(bytes)}});
        let mut puts = vec![put(&at, bytes)];
        if let Some((name, bytes)) = new {
            let at = encoded(self::key(name).as_bytes());
            compare.extend(compared(&at, None).into_iter().flatten());
            puts.push(put(&at, bytes));
        }
        let body = json!({
            "compare": compare,
            "success": puts,
            "failure": [{"request_range": {"key": at}}],
        });
        let ask = Ask::change(&key, body);
        let answered = self.ask::<Txn>(&ask, until)?;
        let txn = &answered.answer;
        if txn.succeeded {
            return Ok(Put::Done(version(txn.header.revision.0, bytes)));
        }
        match txn.found() {
            // It is what an attempt of this call has put, whose answer was lost.
            Some(found) if answered.sent_before && found.value.0 == bytes && found.mod_revision.0 != 0 => {
                Ok(Put::Done(version(found.mod_revision.0, bytes)))
            }
            _ => Ok(Put::Conflict),
        }
    }

    /// Reads a page of the keys from one on, below another.
    fn page(&self, folder: &str, from: &[u8], end: &[u8], until: Instant) -> Answer<Range> {
        let body = json!({
            "key": encoded(from), "range_end": encoded(end), "keys_only": true, "limit": PAGE,
        });
        self.ask(&Ask::read("/v3/kv/range", folder, body), until).map(|answered| answered.answer)
    }
}

/// What is asked of the cluster.
struct Ask {
    path: &'static str,
    change: bool,
    body: Value,
    /// The key that it is about, for messages.
    about: String,
}

impl Ask {
    fn read(path: &'static str, about: &str, body: Value) -> Self {
        Self { path, change: false, body, about: about.to_owned() }
    }

    fn change(about: &str, body: Value) -> Self {
        Self { path: "/v3/kv/txn", change: true, body, about: about.to_owned() }
    }

    fn refusal(&self, response: &Response, who: Who<'_>) -> Refusal {
        Refusal::of(response.status, &response.body, who, &self.about)
    }

    fn judge(&self, response: &Response, who: Who<'_>) -> Verdict {
        if response.status == 200 {
            return Verdict::Answer;
        }
        let refusal = self.refusal(response, who);
        match refusal.fate {
            Fate::Refused | Fate::Token => Verdict::Answer,
            Fate::Elsewhere | Fate::Unknown => Verdict::Next(self.trouble(response, refusal)),
        }
    }

    fn trouble(&self, response: &Response, refusal: Refusal) -> Trouble {
        if self.change && refusal.fate == Fate::Unknown {
            response.unknown(refusal.cause, refusal.told)
        } else {
            response.not_done(refusal.cause, refusal.told)
        }
    }
}

impl Objects for Etcd {
    fn get(&self, name: &str, until: Instant) -> Answer<Option<Object>> {
        let key = key(name);
        let ask = Ask::read("/v3/kv/range", &key, json!({"key": encoded(key.as_bytes())}));
        let answered = self.ask::<Range>(&ask, until)?;
        match answered.answer.kvs.into_iter().next() {
            None => Ok(None),
            Some(KeyValue { key: found, value: Bytes(bytes), mod_revision }) => {
                if found.0 != key.as_bytes() || mod_revision.0 == 0 {
                    return Err(ask.trouble(&answered.response, Refusal::unreadable()));
                }
                let version = version(mod_revision.0, &bytes);
                Ok(Some(Object { bytes, version }))
            }
        }
    }

    fn put(&self, name: &str, bytes: &[u8], was: Option<&Version>, until: Instant) -> Answer<Put> {
        self.put_if(name, bytes, was, None, until)
    }

    fn put_with(
        &self,
        new: (&str, &[u8]),
        name: &str,
        bytes: &[u8],
        was: &Version,
        until: Instant,
    ) -> Answer<Option<Put>> {
        self.put_if(name, bytes, Some(was), Some(new), until).map(Some)
    }

    fn list(&self, folder: &str, until: Instant) -> Answer<Vec<String>> {
        let mut from = key(folder).into_bytes();
        if !folder.is_empty() {
            from.push(b'/');
        }
        // The key behind all that begin so.
        let mut end = from.clone();
        end.pop();
        end.push(b'/' + 1);
        let mut names = Vec::new();
        loop {
            let page = self.page(folder, &from, &end, until)?;
            let keys = page.kvs.iter().map(|kv| kv.key.0.as_slice());
            names.extend(keys.filter_map(|key| name_of(key, folder)));
            match page.kvs.last() {
                Some(last) if page.more && last.key.0 >= from && last.key.0 < end => {
                    from.clone_from(&last.key.0);
                    from.push(0);
                }
                _ => return Ok(names),
            }
        }
    }

    fn delete(&self, names: &[String], until: Instant) -> Answer<()> {
        for some in names.chunks(MAX_OPERATIONS) {
            let operations: Vec<Value> = some
                .iter()
                .map(|name| json!({"request_delete_range": {"key": encoded(key(name).as_bytes())}}))
                .collect();
            let about = some.first().map(|name| key(name)).unwrap_or_default();
            self.ask::<Txn>(&Ask::change(&about, json!({"success": operations})), until)?;
        }
        Ok(())
    }
}

fn key(name: &str) -> String {
    format!("/{name}")
}

/// The name of an object below a folder whose key this is. `None` for another program's key.
fn name_of(key: &[u8], folder: &str) -> Option<String> {
    let name = std::str::from_utf8(key).ok()?.strip_prefix('/')?;
    let below = if folder.is_empty() { name } else { name.strip_prefix(folder)?.strip_prefix('/')? };
    let named = |c: u8| c.is_ascii_alphanumeric() || b"._-/".contains(&c);
    let whole = !below.is_empty() && !below.ends_with('/') && !name.starts_with('/');
    (whole && name.bytes().all(named)).then(|| name.to_owned())
}

/// The version of an object. Its two parts are separated by a blank.
fn version(mod_revision: u64, bytes: &[u8]) -> Version {
    match bytes.len() {
        0..=COMPARED => Version(format!("{mod_revision} {}", encoded(bytes))),
        _ => Version(mod_revision.to_string()),
    }
}

/// What must hold for a put. `None` if nothing can be that version.
fn compared(at: &str, was: Option<&Version>) -> Option<Vec<Value>> {
    let Some(Version(was)) = was else {
        return Some(vec![json!({
            "key": at, "target": "CREATE", "result": "EQUAL", "create_revision": "0",
        })]);
    };
    let (revision, value) = match was.split_once(' ') {
        Some((revision, value)) => (revision, Some(value)),
        None => (was.as_str(), None),
    };
    // Zero is the revision of a key that does not exist.
    revision.parse::<i64>().ok().filter(|revision| *revision > 0)?;
    let mut all = vec![json!({"key": at, "target": "MOD", "result": "EQUAL", "mod_revision": revision})];
    if let Some(value) = value {
        all.push(json!({"key": at, "target": "VALUE", "result": "EQUAL", "value": value}));
    }
    Some(all)
}

#[cfg(test)]
mod tests;
