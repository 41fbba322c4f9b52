// SPDX-License-Identifier: GPL-2.0-or-later
//! The client against a gateway that gives recorded answers. The real etcd is in mysql-plugin-tests/tests/engines.

mod gateway;

use super::*;
use gateway::{Gateway, HEADER, Reply, fails, kv, says};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn reads_what_is_there_and_what_is_not() {
    let gateway = Gateway::new(vec![
        says(&format!(r#""kvs":[{}],"count":"1""#, kv("/db1/head", b"sealed", 5))),
        says(""),
        // An empty value is left out.
        says(r#""kvs":[{"key":"L2RiMS9o","mod_revision":"6"}]"#),
    ]);
    let etcd = gateway.etcd(None);
    let object = etcd.get("db1/head", soon()).unwrap().unwrap();
    assert_eq!((object.bytes.as_slice(), &object.version), (&b"sealed"[..], &version(5, b"sealed")));
    assert_eq!(etcd.get("db1/head", soon()), Ok(None));
    assert_eq!(etcd.get("db1/h", soon()).unwrap().unwrap().bytes, b"");
    let asked = gateway.asked();
    assert_eq!(asked[0].0, "/v3/kv/range");
    assert_eq!(asked[0].2, json!({"key": encoded(b"/db1/head")}), "a linearizable read of one key");
}

#[test]
fn an_answer_of_something_else_is_no_absent_object() {
    let other = [
        "{}",
        "[]",
        "",
        "<html>Sign in</html>",
        r#"{"header":{}}"#,
        r#"{"header":{"cluster_id":"0","revision":"0"}}"#,
        r#"{"header":{"cluster_id":"x","revision":"-7"}}"#,
        r#"{"header":{"cluster_id":"1","revision":"7"},"kvs":[{"key":"!","value":"?"}]}"#,
        // Another key than the one that was asked for.
        r#"{"header":{"cluster_id":"1","revision":"7"},"kvs":[{"key":"L2RiMg==","mod_revision":"5"}]}"#,
    ];
    let gateway = Gateway::new(other.iter().map(|body| Reply::Says(200, (*body).to_owned())).collect());
    let etcd = gateway.etcd(None);
    for body in other {
        let trouble = etcd.get("db1", soon()).unwrap_err();
        assert_eq!((trouble.cause, trouble.may_have_happened), (Cause::NotTheEngine, false), "{body}");
    }
    gateway.asked();
}

#[test]
fn puts_if_absent_or_unchanged() {
    let gateway = Gateway::new(vec![
        says(r#""succeeded":true,"responses":[{"response_put":{"header":{"revision":"7"}}}]"#),
        says(&format!(r#""responses":[{{"response_range":{{"kvs":[{}]}}}}]"#, kv("/db1/head", b"other", 6))),
        says(r#""succeeded":true"#),
        says(r#""responses":[{"response_range":{}}]"#),
    ]);
    let etcd = gateway.etcd(None);
    let first = version(7, b"one");
    assert_eq!(etcd.put("db1/head", b"one", None, soon()), Ok(Put::Done(first.clone())));
    assert_eq!(etcd.put("db1/head", b"one", None, soon()), Ok(Put::Conflict));
    assert_eq!(etcd.put("db1/head", b"two", Some(&first), soon()), Ok(Put::Done(version(7, b"two"))));
    assert_eq!(etcd.put("db1/head", b"two", Some(&first), soon()), Ok(Put::Conflict));
    let asked = gateway.asked();
    let at = encoded(b"/db1/head");
    assert_eq!(asked[0].0, "/v3/kv/txn");
    assert_eq!(
        asked[0].2["compare"],
        json!([{"key": at, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}])
    );
    assert_eq!(
        asked[2].2["compare"],
        json!([
            {"key": at, "target": "MOD", "result": "EQUAL", "mod_revision": "7"},
            {"key": at, "target": "VALUE", "result": "EQUAL", "value": encoded(b"one")},
        ]),
        "a restored etcd counts revisions anew"
    );
    assert_eq!(asked[2].2["success"], json!([{"request_put": {"key": at, "value": encoded(b"two")}}]));
}

#[test]
fn puts_two_objects_in_one_transaction() {
    let found = |value| {
        says(&format!(r#""responses":[{{"response_range":{{"kvs":[{}]}}}}]"#, kv("/db1/head", value, 6)))
    };
    let gateway = Gateway::new(vec![
        says(r#""succeeded":true"#),
        found(b"other"),
        // The first answer is lost.
        Reply::Nothing,
        found(b"two"),
    ]);
    let etcd = gateway.etcd(None);
    let was = version(5, b"one");
    let put = || etcd.put_with(("db1/pieces/1-2", b"record"), "db1/head", b"two", &was, soon());
    assert_eq!(put(), Ok(Some(Put::Done(version(7, b"two")))));
    assert_eq!(put(), Ok(Some(Put::Conflict)));
    assert_eq!(put(), Ok(Some(Put::Done(version(6, b"two")))));
    let asked = gateway.asked();
    let (piece, head) = (encoded(b"/db1/pieces/1-2"), encoded(b"/db1/head"));
    assert_eq!(asked[0].0, "/v3/kv/txn");
    assert_eq!(
        asked[0].2,
        json!({
            "compare": [
                {"key": head, "target": "MOD", "result": "EQUAL", "mod_revision": "5"},
                {"key": head, "target": "VALUE", "result": "EQUAL", "value": encoded(b"one")},
                {"key": piece, "target": "CREATE", "result": "EQUAL", "create_revision": "0"},
            ],
            "success": [
                {"request_put": {"key": head, "value": encoded(b"two")}},
                {"request_put": {"key": piece, "value": encoded(b"record")}},
            ],
            "failure": [{"request_range": {"key": head}}],
        })
    );
}

#[test]
fn a_version_that_no_object_can_have_is_a_conflict() {
    let gateway = Gateway::new(Vec::new());
    let etcd = gateway.etcd(None);
    for was in ["0", "0 AAAA", "", " ", "-1", "\"etag\"", "9999999999999999999999"] {
        let was = Version(was.to_owned());
        assert_eq!(etcd.put("db1/head", b"two", Some(&was), soon()), Ok(Put::Conflict), "{was:?}");
    }
    assert!(gateway.asked().is_empty());
}

#[test]
fn a_large_object_is_no_part_of_its_version() {
    assert_eq!(version(9, &vec![0; COMPARED + 1]), Version("9".to_owned()));
    assert_eq!(compared("k", Some(&Version("9".to_owned()))).unwrap().len(), 1);
}

#[test]
fn a_put_whose_answer_was_lost_is_recognised() {
    let found = |value: &[u8]| {
        says(&format!(r#""responses":[{{"response_range":{{"kvs":[{}]}}}}]"#, kv("/db1/head", value, 6)))
    };
    for (value, put) in [(&b"one"[..], Put::Done(version(6, b"one"))), (b"another's", Put::Conflict)] {
        let gateway = Gateway::new(vec![Reply::Nothing, found(value)]);
        assert_eq!(gateway.etcd(None).put("db1/head", b"one", None, soon()), Ok(put));
        gateway.asked();
    }
    // Without a lost answer it is somebody else's, even with the same bytes.
    let gateway = Gateway::new(vec![found(b"one")]);
    assert_eq!(gateway.etcd(None).put("db1/head", b"one", None, soon()), Ok(Put::Conflict));
    gateway.asked();
}

#[test]
fn lists_page_by_page_what_may_be_an_object() {
    let gateway = Gateway::new(vec![
        says(&format!(r#""kvs":[{},{}],"more":true"#, kv("/a/db1/head", b"", 5), kv("/a/db1/k e y", b"", 5))),
        says(&format!(r#""kvs":[{},{}]"#, kv("/a/db1/pieces/1-2", b"", 5), kv("/a/db1/x/", b"", 5))),
        says(&format!(r#""kvs":[{},{}]"#, kv("/b", b"", 5), kv("//b", b"", 5))),
    ]);
    let etcd = gateway.etcd(None);
    assert_eq!(etcd.list("a/db1", soon()).unwrap(), ["a/db1/head", "a/db1/pieces/1-2"]);
    assert_eq!(etcd.list("", soon()).unwrap(), ["b"]);
    let asked = gateway.asked();
    assert_eq!(
        (&asked[0].2["key"], &asked[0].2["range_end"]),
        (&json!(encoded(b"/a/db1/")), &json!(encoded(b"/a/db10")))
    );
    assert_eq!(asked[0].2["keys_only"], json!(true));
    assert_eq!(asked[1].2["key"], json!(encoded(b"/a/db1/k e y\0")));
    assert_eq!(
        (&asked[2].2["key"], &asked[2].2["range_end"]),
        (&json!(encoded(b"/")), &json!(encoded(b"0")))
    );
}

#[test]
fn a_list_that_does_not_go_on_ends() {
    let page = || says(&format!(r#""kvs":[{}],"more":true"#, kv("/a/x", b"", 5)));
    let gateway = Gateway::new(vec![page(), page(), says(r#""more":true"#)]);
    let etcd = gateway.etcd(None);
    assert_eq!(etcd.list("a", soon()).unwrap(), ["a/x", "a/x"]);
    assert!(etcd.list("a", soon()).unwrap().is_empty());
    gateway.asked();
}

#[test]
fn deletes_as_many_at_once_as_etcd_takes() {
    let gateway = Gateway::new(vec![says(r#""succeeded":true"#), says(r#""succeeded":true"#)]);
    let names: Vec<String> = (0..130).map(|n| format!("db1/{n}")).collect();
    gateway.etcd(None).delete(&names, soon()).unwrap();
    let lengths: Vec<usize> =
        gateway.asked().iter().map(|(.., body)| body["success"].as_array().unwrap().len()).collect();
    assert_eq!(lengths, [128, 2]);
}

#[test]
fn logs_in_once_and_again_when_etcd_has_forgotten_it() {
    let token = |token: &str| says(&format!(r#""token":"{token}""#));
    let gateway = Gateway::new(vec![
        token("first.7"),
        says(""),
        says(""),
        fails(401, 16, "etcdserver: invalid auth token"),
        token("second.8"),
        says(""),
        fails(400, 3, "etcdserver: revision of auth store is old"),
        token("third.9"),
        // It is no use: the trouble is told.
        fails(401, 16, "etcdserver: invalid auth token"),
    ]);
    let etcd = gateway.etcd(Some("db1"));
    for _ in 0..3 {
        assert_eq!(etcd.get("db1/head", soon()), Ok(None));
    }
    let trouble = etcd.get("db1/head", soon()).unwrap_err();
    assert_eq!(trouble.cause, Cause::Credentials);
    assert!(trouble.told.contains("\"db1\""), "{trouble}");
    let asked = gateway.asked();
    let tokens: Vec<&str> = asked.iter().map(|(_, token, _)| token.as_str()).collect();
    assert_eq!(tokens, ["", "first.7", "first.7", "first.7", "", "second.8", "second.8", "", "third.9"]);
    assert_eq!(asked[0].0, "/v3/auth/authenticate");
    assert_eq!(asked[0].2["name"], json!("db1"));
}

#[test]
fn authentication_may_be_off_or_switched_on_later() {
    let gateway = Gateway::new(vec![
        fails(400, 9, "etcdserver: authentication is not enabled"),
        says(""),
        says(""),
        fails(400, 3, "etcdserver: user name is empty"),
        says(r#""token":"first.7""#),
        says(""),
        // Off and on again.
        fails(401, 16, "etcdserver: invalid auth token"),
        fails(400, 9, "etcdserver: authentication is not enabled"),
        says(""),
        fails(403, 7, "etcdserver: permission denied"),
        says(r#""token":"second.8""#),
        says(""),
    ]);
    let etcd = gateway.etcd(Some("db1"));
    for _ in 0..5 {
        assert_eq!(etcd.get("db1/head", soon()), Ok(None));
    }
    gateway.asked();
}

/// What a put is told, by status, code and text, as etcd 3.4 and 3.5 answer.
#[test]
fn each_refusal_has_a_cause_and_says_what_to_do() {
    let plain = |status, text: &str| Reply::Says(status, text.to_owned());
    let common_name =
        "CommonName of client sending a request against gateway will be ignored and not used as expected";
    for (reply, cause, told) in [
        (plain(404, "404 page not found\n"), Cause::NotTheEngine, "enable-grpc-gateway: true"),
        (fails(404, 5, "Not Found"), Cause::NotTheEngine, "etcd 3.4"),
        (plain(400, common_name), Cause::Credentials, "without it"),
        (plain(403, "<html>\nproxy</html>"), Cause::NotTheEngine, "check the endpoint"),
        (fails(400, 3, "etcdserver: user name is empty"), Cause::Credentials, "\"password\""),
        (fails(403, 7, "etcdserver: permission denied"), Cause::Credentials, "\"user\""),
        (fails(400, 3, "etcdserver: request is too large"), Cause::Unwell, "--max-request-bytes"),
        (
            fails(429, 8, "grpc: received message larger than max (2 vs. 1)"),
            Cause::Unwell,
            "--max-request-bytes",
        ),
        (fails(400, 3, "etcdserver: key is not provided"), Cause::Unwell, "key is not provided"),
    ] {
        let gateway = Gateway::new(vec![reply]);
        let trouble = gateway.etcd(None).put("db1/head", b"one", None, soon()).unwrap_err();
        assert_eq!((trouble.cause, trouble.may_have_happened), (cause, false), "{trouble}");
        assert!(trouble.told.contains(told), "{trouble}");
        assert!(trouble.told.starts_with(&gateway.url), "{trouble}");
        gateway.asked();
    }
}

/// etcd compares its size with the quota first, carries the transaction out, and only then answers that it has no space.
#[test]
fn a_put_for_which_there_is_no_space_may_have_been_carried_out() {
    let gateway = Gateway::new(vec![fails(429, 8, "etcdserver: mvcc: database space exceeded")]);
    let trouble = gateway.etcd(None).put("db1/head", b"one", None, soon()).unwrap_err();
    assert_eq!((trouble.cause, trouble.may_have_happened), (Cause::Full, true), "{trouble}");
    assert!(trouble.told.contains("alarm disarm"), "{trouble}");
    gateway.asked();
}

#[test]
fn a_right_that_is_missing_is_told_with_the_key() {
    let gateway =
        Gateway::new(vec![says(r#""token":"first.7""#), fails(403, 7, "etcdserver: permission denied")]);
    let trouble = gateway.etcd(Some("db1")).put("db1/head", b"one", None, soon()).unwrap_err();
    assert_eq!((trouble.cause, trouble.may_have_happened), (Cause::NotAllowed, false));
    assert!(trouble.told.contains("user \"db1\" to use the key /db1/head"), "{trouble}");
    gateway.asked();
}

/// As [`each_refusal_has_a_cause_and_says_what_to_do`], for answers after which another node is asked.
#[test]
fn without_a_leader_a_put_may_have_happened() {
    for (reply, cause, maybe) in [
        (fails(503, 14, "etcdserver: no leader"), Cause::NoMajority, true),
        (fails(503, 14, "etcdserver: request timed out"), Cause::NoMajority, true),
        (fails(503, 14, "etcdserver: leader changed"), Cause::NoMajority, true),
        (fails(500, 2, "context deadline exceeded"), Cause::NoMajority, true),
        (fails(504, 4, "context deadline exceeded"), Cause::NoMajority, true),
        (fails(500, 13, "internal"), Cause::Unwell, true),
        (fails(500, 15, "etcdserver: corrupt cluster"), Cause::Unwell, true),
        (Reply::Says(502, "bad gateway".to_owned()), Cause::Unwell, true),
        (fails(429, 8, "etcdserver: too many requests"), Cause::Unwell, false),
    ] {
        let Reply::Says(status, body) = reply else { unreachable!() };
        let refusal = Refusal::of(status, body.as_bytes(), Who::Nobody, "/db1/head");
        assert_eq!(refusal.cause, cause, "{refusal:?}");
        assert_eq!(refusal.fate, if maybe { Fate::Unknown } else { Fate::Elsewhere }, "{refusal:?}");
        // The next node does it.
        let gateway = Gateway::new(vec![Reply::Says(status, body), says(r#""succeeded":true"#)]);
        let put = gateway.etcd(None).put("db1/head", b"one", None, soon());
        assert_eq!(put, Ok(Put::Done(version(7, b"one"))));
        gateway.asked();
    }
}

#[test]
fn a_put_that_was_answered_with_something_else_may_have_happened() {
    let gateway = Gateway::new(vec![Reply::Says(200, "{}".to_owned())]);
    let trouble = gateway.etcd(None).put("db1/head", b"one", None, soon()).unwrap_err();
    assert_eq!((trouble.cause, trouble.may_have_happened), (Cause::NotTheEngine, true));
    gateway.asked();
}

/// No bytes make the readers of answers panic, and none but etcd's count as an answer.
#[test]
fn any_bytes_are_an_answer_or_none() {
    let whole: [Vec<u8>; 3] = [
        format!(r#"{{{HEADER},"kvs":[{}],"more":true}}"#, kv("/a", b"sealed", 5)).into(),
        format!(
            r#"{{{HEADER},"succeeded":true,"responses":[{{"response_range":{{"kvs":[{}]}}}}]}}"#,
            kv("/a", b"sealed", 5)
        )
        .into(),
        br#"{"error":"etcdserver: permission denied","message":"etcdserver: permission denied","code":7}"#
            .into(),
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let pieces: [&[u8]; 8] =
        [b"\"", b"[", b"{", b"null", b"-1", b"18446744073709551616", b"\\ud800", b"\xff"];
    for round in 0..20_000 {
        let mut bytes = whole[round % whole.len()].clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                1 => bytes.truncate(at + 1),
                2 => drop(bytes.splice(at..at, pieces[random(pieces.len())].iter().copied())),
                _ => drop(bytes.drain(at..(at + random(20)).min(bytes.len() - 1).max(at))),
            }
        }
        for status in [200, 400, 403, 404, 500, 503] {
            let refusal = Refusal::of(status, &bytes, Who::User("db1"), "/a");
            assert!(!refusal.told.is_empty() && !refusal.told.contains(char::is_control), "{refusal:?}");
        }
        if let Some(range) = answers::read::<Range>(&bytes) {
            assert!(range.kvs.len() <= 2);
        }
        let _ = answers::read::<Txn>(&bytes).map(|txn| txn.found().map(|found| found.value.0.len()));
        let _ = answers::read::<answers::Authenticated>(&bytes);
        let _ = name_of(&bytes, "a");
    }
    let deep = vec![b'['; 1 << 20];
    assert!(answers::read::<Range>(&deep).is_none());
}
