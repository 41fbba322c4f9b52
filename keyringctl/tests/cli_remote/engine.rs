// SPDX-License-Identifier: GPL-2.0-or-later
//! A small engine on loopback: as much of etcd's JSON gateway as keyrings need, over HTTP/1.1. It holds its objects in
//! memory, and a test can look at them, change them and refuse requests.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// An object: its bytes, the revision at which it was created, the one of its last change, and how often it was put.
struct Object {
    bytes: Vec<u8>,
    created: u64,
    changed: u64,
    version: u64,
}

/// What the engine holds.
#[derive(Default)]
struct Held {
    objects: BTreeMap<Vec<u8>, Object>,
    revision: u64,
    /// All requests get this status.
    refuses: Option<u16>,
    /// Conditions of a change are taken and ignored.
    careless: bool,
}

/// The engine. Its threads end with the process of the test.
pub(crate) struct Engine {
    port: u16,
    held: Arc<Mutex<Held>>,
}

impl Engine {
    pub(crate) fn start() -> Engine {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = Arc::new(Mutex::new(Held { revision: 1, ..Held::default() }));
        let of_listener = Arc::clone(&held);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let held = Arc::clone(&of_listener);
                thread::spawn(move || serve(&stream, &held));
            }
        });
        Engine { port, held }
    }

    /// Its address.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        let held = self.held.lock().unwrap();
        held.objects.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// The bytes of an object.
    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        self.held.lock().unwrap().objects[name.as_bytes()].bytes.clone()
    }

    /// Puts an object behind everyone's back.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        self.held.lock().unwrap().put(name.as_bytes(), bytes.to_vec());
    }

    /// Deletes an object behind everyone's back.
    pub(crate) fn delete(&self, name: &str) {
        self.held.lock().unwrap().objects.remove(name.as_bytes()).expect("the object");
    }

    /// Ignores the conditions of changes from now on.
    pub(crate) fn ignore_conditions(&self) {
        self.held.lock().unwrap().careless = true;
    }

    /// Answers all requests with this status, or works again.
    pub(crate) fn refuse(&self, status: Option<u16>) {
        self.held.lock().unwrap().refuses = status;
    }
}

impl Held {
    fn put(&mut self, name: &[u8], bytes: Vec<u8>) {
        self.revision += 1;
        let was = self.objects.get(name);
        let (created, version) = was.map_or((self.revision, 1), |was| (was.created, was.version + 1));
        let object = Object { bytes, created, changed: self.revision, version };
        self.objects.insert(name.to_vec(), object);
    }

    fn header(&self) -> Value {
        json!({ "cluster_id": "1", "member_id": "2", "revision": self.revision.to_string(), "raft_term": "2" })
    }

    fn answer(&mut self, path: &str, body: &Value) -> (u16, Value) {
        if let Some(status) = self.refuses {
            return (
                status,
                json!({ "error": "refused by the test", "code": 7, "message": "refused by the test" }),
            );
        }
        match path {
            "/v3/kv/range" => (200, self.range(body)),
            "/v3/kv/txn" => (200, self.transaction(body)),
            "/v3/kv/deleterange" => (200, self.delete_range(body)),
            "/v3/maintenance/status" => (
                200,
                json!({ "header": self.header(), "version": "3.5.21", "leader": "2",
                "dbSize": "20480", "dbSizeInUse": "20480", "raftIndex": "9", "raftTerm": "2" }),
            ),
            "/v3/cluster/member/list" => {
                let member = |n: u64| {
                    json!({ "ID": n.to_string(), "name": format!("n{n}"),
                    "peerURLs": ["http://127.0.0.1:1"], "clientURLs": [self_url()] })
                };
                (200, json!({ "header": self.header(), "members": [member(2), member(3), member(4)] }))
            }
            "/v3/maintenance/alarm" => (200, json!({ "header": self.header() })),
            "/v3/auth/status" => {
                (200, json!({ "header": self.header(), "enabled": true, "authRevision": "1" }))
            }
            _ => (404, json!({ "error": "Not Found", "code": 5, "message": "Not Found" })),
        }
    }

    /// The names in the range of a request.
    fn named(&self, request: &Value) -> Vec<Vec<u8>> {
        let key = bytes(&request["key"]);
        let end = field(request, "range_end", "rangeEnd").map(bytes).unwrap_or_default();
        let is_in = |name: &&Vec<u8>| match end.as_slice() {
            [] => **name == key,
            [0] => **name >= key,
            end => **name >= key && name.as_slice() < end,
        };
        self.objects.keys().filter(is_in).cloned().collect()
    }

    fn range(&self, request: &Value) -> Value {
        let names = self.named(request);
        let limit = number(&request["limit"]);
        let keys_only = field(request, "keys_only", "keysOnly").is_some_and(|v| *v == json!(true));
        let taken = if limit == 0 { names.len() } else { names.len().min(limit as usize) };
        let shown = names.iter().take(taken).map(|name| {
            let object = &self.objects[name];
            let mut kv = json!({ "key": encoded(name), "create_revision": object.created.to_string(),
                "mod_revision": object.changed.to_string(), "version": object.version.to_string() });
            if !keys_only {
                kv["value"] = encoded(&object.bytes).into();
            }
            kv
        });
        // As the gateway does, what is false, zero or empty is left out.
        let mut answer = Map::from_iter([("header".to_owned(), self.header())]);
        let shown: Vec<_> = shown.collect();
        if !shown.is_empty() {
            answer.insert("kvs".to_owned(), shown.into());
            answer.insert("count".to_owned(), names.len().to_string().into());
        }
        if taken < names.len() {
            answer.insert("more".to_owned(), true.into());
        }
        answer.into()
    }

    fn delete_range(&mut self, request: &Value) -> Value {
        let names = self.named(request);
        if !names.is_empty() {
            self.revision += 1;
        }
        names.iter().for_each(|name| drop(self.objects.remove(name)));
        json!({ "header": self.header(), "deleted": names.len().to_string() })
    }

    fn transaction(&mut self, request: &Value) -> Value {
        let compares = request["compare"].as_array().cloned().unwrap_or_default();
        let holds = |compare: &Value| {
            let object = self.objects.get(&bytes(&compare["key"]));
            if compare["target"] == "VALUE" {
                return object.is_some_and(|object| object.bytes == bytes(&compare["value"]));
            }
            let (is, expected) = match compare["target"].as_str().unwrap_or("VERSION") {
                "MOD" => (object.map_or(0, |o| o.changed), field(compare, "mod_revision", "modRevision")),
                "CREATE" => {
                    (object.map_or(0, |o| o.created), field(compare, "create_revision", "createRevision"))
                }
                "VERSION" => (object.map_or(0, |o| o.version), compare.get("version")),
                other => panic!("a comparison of {other}"),
            };
            let expected = expected.map_or(0, number);
            match compare["result"].as_str().unwrap_or("EQUAL") {
                "EQUAL" => is == expected,
                "GREATER" => is > expected,
                "LESS" => is < expected,
                "NOT_EQUAL" => is != expected,
                other => panic!("a comparison {other}"),
            }
        };
        let succeeded = self.careless || compares.iter().all(holds);
        let steps =
            request[if succeeded { "success" } else { "failure" }].as_array().cloned().unwrap_or_default();
        let mut responses = Vec::new();
        for step in &steps {
            if let Some(put) = field(step, "request_put", "requestPut") {
                self.put(&bytes(&put["key"]), bytes(&put["value"]));
                responses.push(json!({ "response_put": { "header": self.header() } }));
            } else if let Some(range) = field(step, "request_range", "requestRange") {
                responses.push(json!({ "response_range": self.range(range) }));
            } else if let Some(range) = field(step, "request_delete_range", "requestDeleteRange") {
                responses.push(json!({ "response_delete_range": self.delete_range(range) }));
            } else {
                panic!("a step {step}");
            }
        }
        let mut answer = Map::from_iter([("header".to_owned(), self.header())]);
        if succeeded {
            answer.insert("succeeded".to_owned(), true.into());
        }
        if !responses.is_empty() {
            answer.insert("responses".to_owned(), responses.into());
        }
        answer.into()
    }
}

/// An address that a member names. Nobody connects to it.
fn self_url() -> String {
    "http://127.0.0.1:1".to_owned()
}

/// A field that the gateway takes under two names.
fn field<'v>(value: &'v Value, snake: &str, camel: &str) -> Option<&'v Value> {
    value.get(snake).or_else(|| value.get(camel))
}

/// A number, which may be a text.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

/// Answers the requests of one connection until it ends.
fn serve(stream: &TcpStream, held: &Mutex<Held>) {
    let mut reader = BufReader::new(stream);
    while let Some((path, body)) = request(&mut reader) {
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, answer) = held.lock().unwrap().answer(&path, &body);
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nDate: {}\r\nContent-Length: {}\r\n\r\n",
            http_date(),
            answer.len()
        );
        let mut stream = stream;
        if stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat()).is_err() {
            return;
        }
    }
}

/// Reads a request: its path and its body.
fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
            assert!(!name.eq_ignore_ascii_case("transfer-encoding"), "a request in chunks");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}

/// The time as a header of HTTP has it.
fn http_date() -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let text = humantime::format_rfc3339_seconds(now).to_string();
    let month: usize = text[5..7].parse().unwrap();
    let day = DAYS[(seconds / 86_400 % 7) as usize];
    format!("{day}, {} {} {} {} GMT", &text[8..10], MONTHS[month - 1], &text[..4], &text[11..19])
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().enumerate().fold(0u32, |bits, (i, b)| bits | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn bytes(text: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for c in text.as_str().unwrap_or_default().bytes().filter(|c| *c != b'=') {
        bits = bits << 6 | DIGITS.iter().position(|digit| *digit == c).expect("base64") as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    out
}
