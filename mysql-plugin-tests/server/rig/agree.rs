// SPDX-License-Identifier: GPL-2.0-or-later
//! The server's status variables and `keyringctl status` are asked about the same copies.

use super::{Keyring, Server};

/// The server and `keyringctl status` agree: that state, and so many copies of all up to date.
pub fn agree(server: &Server, keyring: &Keyring, state: &str, copies: &str) {
    let shown = server.status();
    assert_eq!((shown["state"].as_str(), shown["copies"].as_str()), (state, copies), "{shown:?}");

    let output = keyring.ctl("status");
    let all: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("keyringctl status: {e}: {}", super::told(&output)));
    let fine = all.iter().filter(|c| c["fine"] == true).count();
    let told = match fine {
        n if n == all.len() => "ATTACHED",
        0 => "DETACHED",
        _ => "DEGRADED",
    };
    assert_eq!((told, format!("{fine}/{}", all.len()).as_str()), (state, copies), "{all:#?}");
    assert_eq!(output.status.success(), state == "ATTACHED", "{}", super::told(&output));
    for copy in all.iter().filter(|c| c["fine"] == true) {
        assert_eq!(copy["id"], shown["id"].as_str(), "{copy}");
        assert_eq!(copy["generation"].to_string(), shown["generation"], "{copy}");
        assert_eq!(copy["keys"].to_string(), shown["keys"], "{copy}");
    }
}
