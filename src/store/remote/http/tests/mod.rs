// SPDX-License-Identifier: GPL-2.0-or-later
//! The client against a real server on the loopback interface, which misbehaves.

mod bytes;
mod kept;
mod names;
pub(in crate::store::remote) mod server;
mod tls;

use super::*;
use server::{Server, client};
use std::net::TcpListener;

/// Enough for everything that succeeds, also on a loaded machine.
fn long() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Enough for a request to be sent.
fn short() -> Instant {
    Instant::now() + Duration::from_secs(2)
}

fn read() -> Request {
    Request::reading("GET", "/v1/x?y=1")
}

fn change() -> Request {
    Request::changing("PUT", "/v1/x").body("content")
}

#[test]
fn an_endpoint_that_refuses_connections_did_nothing() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint: Endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let settings = Settings { endpoints: vec![endpoint.clone()], tls: TlsSettings::default(), proxy: None };
    let e = Client::new(settings).send(&change(), long()).unwrap_err();
    let told = format!("{endpoint}: refuses the connection: check the port, and that it runs there");
    assert_eq!(e, Trouble::not_done(Cause::Unreachable, told));
}

#[test]
fn an_endpoint_that_takes_a_request_and_hangs_may_have_done_it() {
    let server = Server::plain(|talk| {
        talk.request();
        talk.hang();
    });
    let e = client(&[&server]).send(&change(), short()).unwrap_err();
    assert!(e.may_have_happened && e.cause == Cause::Unreachable, "{e:?}");
    assert!(e.told.contains("does not answer in time"), "{e}");
    let e = client(&[&server]).send(&read(), short()).unwrap_err();
    assert!(!e.may_have_happened, "a request that changes nothing did nothing: {e:?}");
}

#[test]
fn the_next_endpoint_is_asked_and_the_one_that_answered_is_asked_first_from_then_on() {
    let busy = Server::plain(|talk| {
        while talk.request().is_some() {
            talk.answer(503, "");
        }
    });
    let good = Server::plain(|talk| talk.answer_all("good"));
    let client = client(&[&busy, &good]);
    for n in 1..4 {
        let response = client.send(&read(), long()).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, &b"good"[..]));
        assert_eq!(response.endpoint, good.endpoint().to_string());
        assert_eq!((busy.seen().len(), good.seen().len()), (1, n));
    }
    // The change at the first endpoint may happen.
    let client = server::client(&[&busy, &good]);
    assert!(client.send(&change(), long()).unwrap().sent_before);
    let judged = |r: &Response| match r.status {
        503 => Verdict::Next(r.not_done(Cause::NoMajority, "has no leader")),
        _ => Verdict::Answer,
    };
    let client = server::client(&[&busy, &good]);
    assert!(!client.send_with(long(), |_| Ok(change()), judged).unwrap().sent_before);
}

#[test]
fn a_cluster_that_elects_a_leader_is_asked_again() {
    let server = Server::plain(|talk| {
        for n in 0.. {
            if talk.request().is_none() {
                break;
            }
            talk.answer(if n < 3 { 503 } else { 200 }, "");
        }
    });
    assert_eq!(client(&[&server]).send(&read(), long()).unwrap().status, 200);
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_no_endpoint_answers_is_told_with_all_of_them() {
    let busy = Server::plain(|talk| {
        while talk.request().is_some() {
            talk.answer(503, "");
        }
    });
    let shut = Server::plain(|talk| drop(talk.request()));
    let client = client(&[&busy, &shut]);
    let e = client.send(&change(), short()).unwrap_err();
    assert!(e.may_have_happened && e.cause == Cause::Unwell, "{e:?}");
    assert!(
        e.told.contains(&format!("{}: is not able to answer now (HTTP status 503)", busy.endpoint())),
        "{e}"
    );
    assert!(e.told.contains(&format!("{}: closed the connection without an answer", shut.endpoint())), "{e}");
}

#[test]
fn half_an_answer_is_none() {
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    ] {
        let server = Server::plain(move |talk| {
            talk.request();
            talk.raw(half);
        });
        let e = client(&[&server]).send(&change(), short()).unwrap_err();
        assert!(e.may_have_happened && e.told.contains("in the middle of its answer"), "{half}: {e:?}");
        let good = Server::plain(|talk| talk.answer_all(""));
        let client = client(&[&server, &good]);
        assert!(client.send(&change(), long()).unwrap().sent_before);
        assert!(!client.send(&read(), long()).unwrap().sent_before);
    }
}

#[test]
fn an_enormous_answer_is_not_read_to_its_end() {
    let endless = |text: &'static str, again: &'static str| {
        Server::plain(move |talk| {
            talk.request();
            talk.raw(text);
            while talk.raw(again) {}
        })
    };
    let big = "x".repeat(10_000).leak();
    let chunk = format!("2710\r\n{big}\r\n").leak();
    let header = format!("X: {big}\r\n").leak();
    for (server, expected) in [
        (endless("HTTP/1.1 200 OK\r\n\r\n", big), "more than 100000 bytes"),
        (endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk), "more than 100000 bytes"),
        (endless("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", big), "more than 100000 bytes"),
        (endless("HTTP/1.1 200 OK\r\n", header), "headers of more than 65536 bytes"),
        (endless("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"), "in time"),
    ] {
        let e = client(&[&server]).send(&read().limit(100_000), short()).unwrap_err();
        assert!(e.told.contains(expected), "{expected}: {e}");
    }
}

#[test]
fn an_answer_that_trickles_ends_in_time() {
    let server = Server::plain(|talk| {
        talk.request();
        talk.raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while talk.raw("x") {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let until = short();
    let e = client(&[&server]).send(&change(), until).unwrap_err();
    assert!(e.may_have_happened && e.told.contains("does not complete its answer in time"), "{e}");
}

/// As the servers of etcd and OpenBao, and nginx, say it.
#[test]
fn an_endpoint_that_speaks_tls_says_so_to_a_request_in_clear_text() {
    for says in
        ["Client sent an HTTP request to an HTTPS server.\n", "The plain HTTP request was sent to HTTPS port"]
    {
        let server = Server::plain(move |talk| {
            talk.request();
            talk.raw(format!("HTTP/1.0 400 Bad Request\r\n\r\n{says}"));
        });
        let e = client(&[&server]).send(&change(), long()).unwrap_err();
        assert!(!e.may_have_happened && e.cause == Cause::Settings, "{e:?}");
        assert!(e.told.contains("speaks TLS: write https:// in endpoints"), "{e}");
    }
    // etcd closes the connection.
    let server = Server::plain(|talk| drop(talk.request()));
    let e = client(&[&server]).send(&read(), long()).unwrap_err();
    assert!(e.told.contains("If it expects TLS, write https:// in endpoints"), "{e}");
    // Other refusals are an answer.
    let server = Server::plain(|talk| {
        while talk.request().is_some() {
            talk.answer(400, "no such table");
        }
    });
    assert_eq!(client(&[&server]).send(&change(), long()).unwrap().status, 400);
}

#[test]
fn a_redirect_is_an_answer_and_not_followed() {
    let other = Server::plain(|talk| talk.answer_all("other"));
    let to = other.endpoint();
    let server = Server::plain(move |talk| {
        while talk.request().is_some() {
            talk.raw(format!("HTTP/1.1 307 X\r\nLocation: {to}/v1/x\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let response = client(&[&server]).send(&change(), long()).unwrap();
    assert_eq!(
        (response.status, response.header("location").unwrap()),
        (307, &*format!("{}/v1/x", other.endpoint()))
    );
    assert_eq!(other.connections(), 0);
}

#[test]
fn answers_are_read_in_all_forms_and_connections_used_again() {
    let forms = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", true),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
            "abc",
            true,
        ),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "abc", false),
        // Bytes that nobody asked for.
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\n", "abc", false),
    ];
    for (form, body, kept) in forms {
        let server = Server::plain(move |talk| while talk.request().is_some() && talk.raw(form) {});
        let client = client(&[&server]);
        for _ in 0..3 {
            assert_eq!(client.send(&read(), long()).unwrap().body.as_slice(), body.as_bytes(), "{form}");
        }
        assert_eq!(server.connections(), if kept { 1 } else { 3 }, "{form}");
    }
    let server = Server::plain(|talk| {
        talk.request();
        talk.raw("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    });
    assert_eq!(client(&[&server]).send(&read(), long()).unwrap().body.as_slice(), b"until the end");
}

#[test]
fn a_request_is_written_as_it_was_made() {
    let server = Server::plain(|talk| talk.answer_all(""));
    let client = client(&[&server]);
    let request = change().header("X-Vault-Token", "s3cr3t");
    assert_eq!(format!("{request:?}"), "Request(PUT /v1/x, 7 bytes)");
    client.send(&request, long()).unwrap();
    client.send(&Request::changing("POST", "/v1/empty"), long()).unwrap();
    client.send(&Request::changing("DELETE", "/v1/x"), long()).unwrap();
    let seen = server.seen();
    let first = seen[0].to_lowercase();
    assert!(first.starts_with("put /v1/x http/1.1\r\n") && first.ends_with("\r\n\r\ncontent"), "{first}");
    for header in
        [format!("host: {}", server.address), "content-length: 7".into(), "x-vault-token: s3cr3t".into()]
    {
        assert_eq!(first.lines().filter(|line| **line == header).count(), 1, "{header}: {first}");
    }
    assert!(!first.contains("transfer-encoding"), "{first}");
    assert!(seen[1].to_lowercase().contains("content-length: 0\r\n"), "{}", seen[1]);
    assert!(seen[2].starts_with("DELETE /v1/x HTTP/1.1\r\n") && seen[2].ends_with("\r\n\r\n"), "{}", seen[2]);
    // What would end a header begins no other one, is not sent, and not shown.
    for bad in [change().header("X-Vault-Token", "SECRET\r\nX: y"), Request::reading("GET", "/SECRET x")] {
        let e = client.send(&bad, long()).unwrap_err();
        assert!(!e.may_have_happened && e.cause == Cause::Settings && !e.told.contains("SECRET"), "{e:?}");
    }
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn an_error_of_the_one_who_makes_requests_ends_the_call() {
    let shut = Server::plain(|talk| drop(talk.request()));
    let good = Server::plain(|talk| talk.answer_all(""));
    let client = client(&[&shut, &good]);
    let bad = good.endpoint();
    let make = |endpoint: &Endpoint| match *endpoint == bad {
        true => Err(Trouble::not_done(Cause::Settings, "no key")),
        false => Ok(change()),
    };
    let e = client.send_with(long(), make, |_| Verdict::Answer).unwrap_err();
    assert_eq!(e, Trouble::unknown(Cause::Settings, "no key"), "the first endpoint may have done it");
}

#[test]
fn a_proxy_is_asked_for_a_connection() {
    let server = Server::plain(|talk| talk.answer_all("behind"));
    let behind = server.address;
    let proxy = Server::plain(move |talk| {
        let Some(asked) = talk.request() else { return };
        assert!(asked.starts_with(&format!("CONNECT {behind} HTTP/1.1\r\nHost: {behind}\r\n")), "{asked}");
        if talk.number > 0 {
            talk.raw("HTTP/1.1 403 Forbidden\r\n\r\n");
            return;
        }
        // What follows goes to the endpoint: one request, one answer.
        talk.raw("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n");
        talk.request();
        talk.answer(200, "through the proxy");
    });
    let settings = Settings {
        endpoints: vec![server.endpoint()],
        tls: TlsSettings::default(),
        proxy: Some(format!("http://{}", proxy.address).parse().unwrap()),
    };
    let client = Client::new(settings.clone());
    assert_eq!(client.send(&read(), long()).unwrap().body.as_slice(), b"through the proxy");
    let e = Client::new(settings).send(&change(), long()).unwrap_err();
    assert!(!e.may_have_happened && e.told.contains("(HTTP status 403)"), "{e:?}");
    assert!(e.told.contains(&format!("the proxy http://{}", proxy.address)), "{e}");
    assert_eq!(server.connections(), 0);
}
