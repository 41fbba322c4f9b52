// SPDX-License-Identifier: GPL-2.0-or-later
//! A host with a remotes file, on which `keyringctl` is run.

use crate::common::{json_form, private_dir};
use crate::engine::Engine;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A directory with a remotes file that describes the remote `b`.
pub struct Host {
    pub dir: TempDir,
    pub engine: Engine,
}

/// The exit code and the output of a command.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Host {
    pub fn new() -> Host {
        let (dir, engine) = (private_dir(), Engine::start());
        let host = Host { dir, engine };
        let endpoint = host.engine.endpoint();
        host.write("remotes", &format!(r#"{{"b": {{"kind": "etcd", "endpoints": ["{endpoint}"]}}}}"#));
        host
    }

    /// With a keyring at `@b/fleet/db1`, and a copy in the file `k`.
    pub fn with_keyring() -> Host {
        let host = Host::new();
        host.fine(
            "init @b/fleet/db1 --mirror DIR/k --unlock file:DIR/secret --generate-secret --label Biobank",
        );
        host
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
        fs::set_permissions(self.dir.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs `keyringctl` with these arguments, in which `DIR` stands for the directory.
    pub fn run(&self, line: &str) -> Ended {
        self.run_as_it_is(&format!("--remotes DIR/remotes {line}"))
    }

    /// As [`Host::run`], without a remotes file that is not in the arguments.
    pub fn run_as_it_is(&self, line: &str) -> Ended {
        self.ended(line, &self.command(line).output().unwrap())
    }

    pub fn command(&self, line: &str) -> Command {
        let dir = self.dir.path().to_str().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyringctl"));
        command.args(line.split_whitespace().map(|word| word.replace("DIR", dir)));
        command.env("COLUMNS", "200").stdin(Stdio::null());
        command
    }

    pub fn ended(&self, line: &str, output: &Output) -> Ended {
        let dir = self.dir.path().to_str().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(dir, "DIR");
        let ended = Ended {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        };
        if line.split_whitespace().any(|word| word == "--json") {
            json_form::check(&serde_json::from_slice(&output.stdout).expect(line));
        }
        ended
    }

    #[track_caller]
    pub fn fine(&self, line: &str) -> String {
        let ended = self.run(line);
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
        ended.stdout
    }

    #[track_caller]
    pub fn refused(&self, line: &str, code: i32, why: &str) {
        let ended = self.run(line);
        assert!(
            ended.code == code && (ended.stderr.contains(why) || ended.stdout.contains(why)),
            "{line}: {ended:?}"
        );
    }
}
