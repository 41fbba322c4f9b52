// SPDX-License-Identifier: GPL-2.0-or-later
//! Connections that are kept for later requests: when they are used, and by whom.

use super::server::{Server, client};
use super::*;

#[test]
fn a_connection_that_was_closed_in_between_is_not_used_for_a_change() {
    let server = Server::plain(|talk| {
        talk.request();
        talk.answer(200, "");
        // And closes, without having said so.
    });
    let client = client(&[&server]);
    client.send(&read(), long()).unwrap();
    // Until the end of the connection has arrived.
    while client.state().idle.first().is_some_and(|idle| idle.connection.is_idle()) {
        std::thread::yield_now();
    }
    let response = client.send(&change(), long()).unwrap();
    assert!(!response.sent_before, "it was sent once");
    assert_eq!((server.connections(), server.seen().len()), (2, 2));
}

#[test]
fn a_change_whose_connection_ends_without_an_answer_is_sent_again_and_told() {
    let server = Server::plain(|talk| {
        talk.request();
        if talk.number > 0 {
            talk.answer(412, "");
        } else {
            talk.answer(200, "");
            talk.request();
            // The change is taken, and the connection closed.
        }
    });
    let client = client(&[&server]);
    client.send(&read(), long()).unwrap();
    let response = client.send(&change(), long()).unwrap();
    assert!(
        response.sent_before && response.status == 412,
        "the conflict may be of the first time: {response:?}"
    );
    assert!(response.not_done(Cause::Unwell, "x").may_have_happened);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_fork_does_not_use_the_connections_of_its_parent() {
    let server = Server::plain(|talk| talk.answer_all(""));
    let client = client(&[&server]);
    client.send(&read(), long()).unwrap();
    client.state.lock().unwrap().process ^= 1;
    client.send(&read(), long()).unwrap();
    client.send(&read(), long()).unwrap();
    assert_eq!(server.connections(), 2);
}

#[test]
fn threads_share_a_client_and_have_connections_of_their_own() {
    let server = Server::plain(|talk| talk.answer_all("x"));
    let client = client(&[&server]);
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(client.send(&read(), long()).unwrap().body.as_slice(), b"x");
                }
            });
        }
    });
    assert!(server.connections() <= 8, "{}", server.connections());
}
