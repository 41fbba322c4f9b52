// SPDX-License-Identifier: GPL-2.0-or-later
//! A running engine, the remotes file that names it, and keyrings there.

use super::engines::Engine;
use super::engines::etcd::{self, Etcd};
use super::engines::openbao::{self, OpenBao};
use super::engines::seaweedfs::{self, SeaweedFs};
use super::{Forwarder, Keyring, Passing, place, told};
use serde_json::{Value, json};
use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of the engine in the remotes file.
pub const NAME: &str = "engine";

/// The engines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    Etcd,
    OpenBao,
    SeaweedFs,
}

impl Which {
    /// All of them.
    pub const ALL: [Which; 3] = [Which::Etcd, Which::OpenBao, Which::SeaweedFs];

    pub fn name(self) -> &'static str {
        match self {
            Which::Etcd => "etcd",
            Which::OpenBao => "OpenBao",
            Which::SeaweedFs => "SeaweedFS",
        }
    }

    pub fn why_not(self) -> Option<String> {
        match self {
            Which::Etcd => Etcd::why_not(),
            Which::OpenBao => OpenBao::why_not(),
            Which::SeaweedFs => SeaweedFs::why_not(),
        }
    }

    fn start(self, dir: &Path, quota: Option<u64>) -> Running {
        match self {
            Which::Etcd => Running::Etcd(Box::new(Etcd::start(
                dir,
                etcd::Settings { quota, ..etcd::Settings::default() },
            ))),
            Which::OpenBao => Running::OpenBao(OpenBao::start(dir, openbao::Settings::default())),
            Which::SeaweedFs => Running::SeaweedFs(SeaweedFs::start(dir, seaweedfs::Settings::default())),
        }
    }
}

/// A running engine.
#[derive(Debug)]
pub enum Running {
    Etcd(Box<Etcd>),
    OpenBao(OpenBao),
    SeaweedFs(SeaweedFs),
}

impl Deref for Running {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        match self {
            Running::Etcd(engine) => engine.as_ref(),
            Running::OpenBao(engine) => engine,
            Running::SeaweedFs(engine) => engine,
        }
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Running::Etcd(engine) => engine.as_mut(),
            Running::OpenBao(engine) => engine,
            Running::SeaweedFs(engine) => engine,
        }
    }
}

impl Running {
    /// Saves all that it holds into a file.
    pub fn snapshot(&mut self, file: &Path) {
        match self {
            Running::Etcd(engine) => engine.snapshot(file),
            Running::OpenBao(engine) => engine.snapshot(file),
            Running::SeaweedFs(engine) => engine.snapshot(file),
        }
    }

    /// Puts back what a snapshot holds.
    pub fn restore(&mut self, file: &Path) {
        match self {
            Running::Etcd(engine) => engine.restore(file),
            Running::OpenBao(engine) => engine.restore(file),
            Running::SeaweedFs(engine) => engine.restore(file),
        }
    }

    /// From now on it refuses what it is asked: it is full, or sealed.
    pub fn refuse(&self) {
        match self {
            Running::Etcd(engine) => engine.fill(),
            Running::OpenBao(engine) => engine.seal(),
            Running::SeaweedFs(engine) => engine.fill(),
        }
    }

    /// It refuses nothing any more.
    pub fn accept(&self) {
        match self {
            Running::Etcd(engine) => engine.make_room(),
            Running::OpenBao(engine) => engine.unseal(),
            Running::SeaweedFs(engine) => engine.make_room(),
        }
    }
}

/// A running engine behind forwarders, and the remotes file that names them.
#[derive(Debug)]
pub struct Site {
    pub engine: Running,
    /// One before each endpoint.
    pub forwarders: Vec<Forwarder>,
    pub remotes: PathBuf,
    pub dir: tempfile::TempDir,
}

impl Site {
    pub fn of(which: Which) -> Site {
        let dir = site_directory();
        let engine = which.start(dir.path(), None);
        Site::around(engine, dir)
    }

    /// A site whose endpoints are those of the engine itself.
    pub fn without_forwarders(which: Which) -> Site {
        let dir = site_directory();
        let engine = which.start(dir.path(), None);
        Site::direct(engine, dir)
    }

    /// A site whose engine is soon full, if it can be.
    pub fn small(which: Which) -> Site {
        let dir = site_directory();
        let engine = which.start(dir.path(), Some(16 << 20));
        Site::direct(engine, dir)
    }

    /// The site of an engine that runs, without forwarders.
    pub fn direct(engine: Running, dir: tempfile::TempDir) -> Site {
        let site = Site { engine, forwarders: Vec::new(), remotes: dir.path().join("remotes.json"), dir };
        site.describe(&site.engine.remote());
        site
    }

    /// The site of an engine that runs, with its files there.
    fn around(engine: Running, dir: tempfile::TempDir) -> Site {
        let mut remote = engine.remote();
        let mut forwarders = Vec::new();
        for endpoint in remote["endpoints"].as_array_mut().expect("endpoints") {
            let (before, port) = endpoint.as_str().and_then(|e| e.rsplit_once(':')).expect("a port");
            let forwarder = Forwarder::to(port.parse().unwrap());
            *endpoint = Value::from(format!("{before}:{}", forwarder.port()));
            forwarders.push(forwarder);
        }
        let site = Site { engine, forwarders, remotes: dir.path().join("remotes.json"), dir };
        site.describe(&remote);
        site
    }

    /// Writes the remotes file.
    pub fn describe(&self, remote: &Value) {
        write_remotes(&self.remotes, remote);
    }

    /// The remote, as the remotes file describes it.
    pub fn described(&self) -> Value {
        let text = fs::read(&self.remotes).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()[NAME].clone()
    }

    /// From now on, at all endpoints.
    pub fn pass(&self, passing: Passing) {
        self.forwarders.iter().for_each(|f| f.pass(passing));
    }

    /// Makes a keyring at a prefix, with mirrors.
    pub fn keyring(&self, prefix: &str, mirrors: &[PathBuf]) -> Keyring {
        keyring_at(&self.remotes, prefix, mirrors)
    }
}

/// A directory of a site's own.
pub fn site_directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("e").tempdir_in(&place().run).unwrap()
}

pub fn write_remotes(file: &Path, remote: &Value) {
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec(&json!({ NAME: remote })).unwrap()).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, file).unwrap();
}

/// Makes a keyring at a prefix of the engine, with mirrors.
pub fn keyring_at(remotes: &Path, prefix: &str, mirrors: &[PathBuf]) -> Keyring {
    let made = Keyring {
        path: format!("@{NAME}/{prefix}").into(),
        secret: remotes.with_file_name(format!("{prefix}.secret")),
        mirrors: mirrors.to_vec(),
        min_copies: 1,
        remotes: Some(remotes.to_owned()),
    };
    let init = Command::new(&place().keyringctl)
        .args(made.remotes_option())
        .arg("init")
        .arg(&made.path)
        .args(mirrors.iter().flat_map(|m| ["--mirror".as_ref(), m.as_os_str()]))
        .args(["--unlock", &format!("file:{}", made.secret.display()), "--generate-secret"])
        .output()
        .unwrap();
    assert!(init.status.success(), "keyringctl init: {}", told(&init));
    made
}
