// SPDX-License-Identifier: GPL-2.0-or-later
//! The server's status variables and `keyringctl status` are asked about the same copies.

use super::programs::wait_until;
use super::{Keyring, Server, place};
use serde_json::Value;
use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest time until both agree: the server looks at the copies once a second at most, sees to those that are not up to
/// date every few seconds, and a loaded machine takes its time.
const AGREE_WAIT: Duration = Duration::from_secs(60);

/// The server and `keyringctl status` come to agree: that state, and so many copies of all up to date.
pub fn agree(server: &Server, keyring: &Keyring, state: &str, copies: &str) {
    let mut differs = String::new();
    let agreed = wait_until(AGREE_WAIT, || {
        let (all, fine) = Asked::about(keyring, server).told_and_ended();
        differs = difference(&server.status(), &all, state, copies);
        if fine != all.iter().all(|c| c["fine"] == true) {
            differs.push_str(&format!("keyringctl's exit code does not fit: {all:#?}"));
        }
        differs.is_empty()
    });
    assert!(agreed, "{differs}\n{}", server.log());
}

/// As [`agree`] with what was asked while a volume hung: a process that waits for one tells, but cannot end.
pub fn agree_with(server: &Server, asked: &mut Asked, state: &str, copies: &str) {
    server.comes_to(&[("state", state), ("copies", copies)]);
    let differs = difference(&server.status(), &asked.told(), state, copies);
    assert!(differs.is_empty(), "{differs}");
}

/// In what the server's status and what keyringctl tells differ from each other, or from what is expected.
fn difference(shown: &HashMap<String, String>, all: &[Value], state: &str, copies: &str) -> String {
    if (shown["state"].as_str(), shown["copies"].as_str()) != (state, copies) {
        return format!("{state}, {copies} was expected of the server: {shown:#?}");
    }
    // The files are fine on a full volume too, and keyringctl says that nothing can be changed there.
    let in_use = |c: &&Value| c["fine"] == true && (c["unchangeable"].is_null() || state == "READ_ONLY");
    let fine = all.iter().filter(in_use).count();
    let told = match fine {
        // What the server's own setting forbids it is no affair of the files.
        n if n == all.len() && state == "READ_ONLY" => "READ_ONLY",
        n if n == all.len() => "ATTACHED",
        0 => "DETACHED",
        _ => "DEGRADED",
    };
    if (told, format!("{fine}/{}", all.len()).as_str()) != (state, copies) {
        return format!("{state}, {copies} was expected of keyringctl: {all:#?}");
    }
    let same = |copy: &&Value| {
        let number = |name: &str| shown[name].parse::<u64>().ok();
        copy["id"] == shown["id"].as_str()
            && copy["generation"].as_u64() == number("generation")
            && copy["keys"].as_u64() == number("keys")
    };
    match all.iter().filter(in_use).find(|copy| !same(copy)) {
        Some(copy) => format!("the server shows {shown:#?}, keyringctl {copy}"),
        None => String::new(),
    }
}

/// A `keyringctl status` under way.
#[derive(Debug)]
pub struct Asked {
    child: Child,
}

impl Asked {
    /// Asks about all copies of a keyring, as a server's data directory knows it.
    pub fn about(keyring: &Keyring, server: &Server) -> Asked {
        let mut command = Command::new(&place().keyringctl);
        command.arg("--json").args(keyring.remotes_option()).arg("status").args(keyring.paths());
        command.arg("--unlock").arg(format!("file:{}", keyring.secret.display()));
        command.arg("--datadir").arg(server.datadir());
        Asked {
            child: command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap(),
        }
    }

    /// What it tells, whether it ends then or not.
    pub fn told(&mut self) -> Vec<Value> {
        let stdout = self.child.stdout.as_mut().expect("not asked before");
        let document = serde_json::Deserializer::from_reader(stdout).into_iter().next();
        let mut document: Value = document
            .expect("keyringctl status tells something")
            .unwrap_or_else(|e| panic!("keyringctl status: {e}"));
        match document["copies"].take() {
            Value::Array(copies) => copies,
            _ => panic!("keyringctl status: {document}"),
        }
    }

    fn told_and_ended(mut self) -> (Vec<Value>, bool) {
        let told = self.told();
        (told, self.child.wait().unwrap().success())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // Not waited for: it may not be able to end yet.
        let _ = self.child.kill();
    }
}
