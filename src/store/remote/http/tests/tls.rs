// SPDX-License-Identifier: GPL-2.0-or-later
//! Certificates, ours and the endpoint's.

use super::server::{Authority, Server, client_with, write_key};
use super::*;
use crate::store::deadline;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A server with a certificate for 127.0.0.1.
fn good(authority: &Authority) -> Server {
    Server::start(Some(authority.server(&["127.0.0.1"], false, None)), |talk| talk.answer_all("good"))
}

#[test]
fn an_endpoint_whose_certificate_is_not_valid_never_gets_the_request() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = |config| Server::start(Some(config), |talk| talk.answer_all("bad"));
    for (server, expected) in [
        (server(other.server(&["127.0.0.1"], false, None)), "not signed by a CA that is trusted: set ca"),
        (server(ours.server(&["127.0.0.1"], true, None)), "its certificate has expired"),
        (server(ours.server(&["elsewhere.example"], false, None)), "its certificate is for another name"),
    ] {
        let e = client_with(&[&server], ours.trusted()).send(&change(), long()).unwrap_err();
        assert!(!e.may_have_happened && e.cause == Cause::Certificate, "{e:?}");
        assert!(e.told.contains(expected) && e.told.contains(&server.endpoint().to_string()), "{e}");
        assert!(server.seen().is_empty());
        // Another endpoint may be well.
        let well = good(&ours);
        assert_eq!(
            client_with(&[&server, &well], ours.trusted()).send(&change(), long()).unwrap().status,
            200
        );
    }
}

#[test]
fn a_certificate_may_be_for_the_server_name_of_the_settings() {
    let ours = Authority::new();
    let config = ours.server(&["etcd.example"], false, None);
    let server = Server::start(Some(config), |talk| talk.answer_all(""));
    let settings = TlsSettings { server_name: Some("etcd.example".to_owned()), ..ours.trusted() };
    assert_eq!(client_with(&[&server], settings).send(&read(), long()).unwrap().status, 200);
}

#[test]
fn the_trust_store_of_the_system_does_not_trust_everybody() {
    let server = good(&Authority::new());
    let e = client_with(&[&server], TlsSettings::default()).send(&change(), long()).unwrap_err();
    assert!(
        !e.may_have_happened
            && (e.told.contains("not signed by a CA") || e.told.contains("no file of trusted CAs"))
    );
}

#[test]
fn an_endpoint_that_requires_a_client_certificate_is_shown_one() {
    let (ours, other) = (Authority::new(), Authority::new());
    let config = ours.server(&["127.0.0.1"], false, Some(&ours));
    let server = Server::start(Some(config), |talk| talk.answer_all("known"));
    let with = |(cert, key)| TlsSettings { cert: Some(cert), key: Some(key), ..ours.trusted() };
    let known = with(ours.sign("client", &["db1"], false));
    assert_eq!(client_with(&[&server], known).send(&change(), long()).unwrap().body.as_slice(), b"known");
    for (settings, expected) in [
        (ours.trusted(), "requires a client certificate: set cert and key"),
        (with(other.sign("client", &["db1"], false)), "refuses the client certificate"),
        (with(ours.sign("old", &["db1"], true)), "the client certificate has expired"),
    ] {
        let e = client_with(&[&server], settings).send(&change(), long()).unwrap_err();
        assert!(e.told.contains(expected) && e.cause == Cause::Certificate, "{e:?}");
        assert!(!e.may_have_happened, "the endpoint never looked at the request: {e:?}");
    }
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_endpoint_that_hangs_before_the_handshake_did_nothing() {
    let server = Server::plain(|talk| talk.hang());
    let endpoint = format!("https://{}", server.address).parse().unwrap();
    let ours = Authority::new();
    let client = Client::new(Settings { endpoints: vec![endpoint], tls: ours.trusted(), proxy: None });
    let e = client.send(&change(), short()).unwrap_err();
    assert!(!e.may_have_happened && e.cause == Cause::Unreachable, "{e:?}");
    assert!(e.told.contains("does not answer in time (TLS handshake)"), "{e}");
    let plain = Server::plain(|talk| {
        talk.raw("HTTP/1.1 400 Bad Request\r\n\r\n");
        talk.hang();
    });
    let endpoint = format!("https://{}", plain.address).parse().unwrap();
    let client = Client::new(Settings { endpoints: vec![endpoint], tls: ours.trusted(), proxy: None });
    let e = client.send(&change(), long()).unwrap_err();
    assert!(!e.may_have_happened && e.told.contains("does not speak TLS: check the port"), "{e:?}");
}

#[test]
fn files_that_cannot_be_used_are_told_by_name_and_without_their_contents() {
    let ours = Authority::new();
    let server = good(&ours);
    let (cert, key) = ours.sign("client", &["db1"], false);
    let (_, other) = ours.sign("other", &["db1"], false);
    let path = |name: &str| ours.dir.path().join(name);
    std::fs::write(path("empty"), "").unwrap();
    write_key(&path("empty.key"), "SECRET");
    write_key(&path("bad.key"), "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n");
    std::fs::write(path("bad.pem"), "-----BEGIN CERTIFICATE-----\nSECRET\n").unwrap();
    std::fs::copy(&key, path("open.key")).unwrap();
    std::fs::set_permissions(path("open.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let with = |ca: &str, cert: &Path, key: &Path| TlsSettings {
        ca: Some(path(ca)),
        cert: Some(cert.to_owned()),
        key: Some(key.to_owned()),
        server_name: None,
    };
    for (settings, expected) in [
        (with("none", &cert, &key), "ca"),
        (with("empty", &cert, &key), "holds no certificate in PEM"),
        (with("bad.pem", &cert, &key), "bad.pem: it is not valid PEM"),
        (with("ca.pem", &path("none"), &key), "cert"),
        (with("ca.pem", &path("."), &key), "not a regular file"),
        (with("ca.pem", &cert, &path("bad.key")), "bad.key: it is no RSA, ECDSA or Ed25519 key"),
        (with("ca.pem", &cert, &path("open.key")), "open to other users (mode 0644): run chmod o= "),
        (with("ca.pem", &cert, &other), "does not belong to the certificate"),
        (with("ca.pem", &cert, &path("empty.key")), "empty.key: it holds no unencrypted private key"),
    ] {
        let e = client_with(&[&server], settings).send(&change(), long()).unwrap_err();
        assert!(
            e.cause == Cause::Settings && !e.may_have_happened && e.told.contains(expected),
            "{expected}: {e:?}"
        );
        assert!(e.told.contains(&ours.dir.path().display().to_string()) && !e.told.contains("SECRET"), "{e}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn renewed_certificates_are_used_with_new_connections() {
    let ours = Authority::new();
    let config = ours.server(&["127.0.0.1"], false, Some(&ours));
    let server = Server::start(Some(config), |talk| talk.answer_all(""));
    let (cert, key) = ours.sign("client", &["db1"], false);
    let client =
        client_with(&[&server], TlsSettings { cert: Some(cert), key: Some(key.clone()), ..ours.trusted() });
    client.send(&read(), long()).unwrap();
    client.send(&read(), long()).unwrap();
    assert_eq!(server.connections(), 1);
    // In the middle of a renewal the certificate and its key do not belong together: the earlier ones stay.
    let before = std::fs::read_to_string(&key).unwrap();
    let (_, renewed) = ours.sign("client", &["db1"], false);
    let after = std::fs::read_to_string(&renewed).unwrap();
    write_key(&key, &before);
    client.send(&read(), long()).unwrap();
    assert_eq!(server.connections(), 1);
    write_key(&key, &after);
    client.send(&read(), long()).unwrap();
    assert_eq!(server.connections(), 2);
    std::fs::remove_file(&key).unwrap();
    client.send(&read(), long()).unwrap();
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_handshake_and_a_request_fit_on_the_stack_of_an_io_thread() {
    let ours = Authority::new();
    let server =
        Server::start(Some(ours.server(&["127.0.0.1"], false, Some(&ours))), |talk| talk.answer_all("x"));
    let (cert, key) = ours.sign("client", &["db1"], false);
    let settings = TlsSettings { cert: Some(cert), key: Some(key), ..ours.trusted() };
    let client = client_with(&[&server], settings);
    // Half of it, for what runs above.
    let thread = std::thread::Builder::new().stack_size(deadline::STACK / 2);
    let body = vec![7; 256 * 1024];
    let status = thread.spawn(move || client.send(&change().body(body), long()).unwrap().status).unwrap();
    assert_eq!(status.join().unwrap(), 200);
}
