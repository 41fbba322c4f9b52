// SPDX-License-Identifier: GPL-2.0-or-later
//! Real engines for keyrings at a remote: clusters with TLS on the loopback interface.
//!
//! Setting: KX_ENGINES_ENV (default target/engines/env), the file that scripts/engines.sh writes.

mod asking;
pub mod certificates;
pub mod daemon;
pub mod etcd;
pub mod openbao;
pub mod seaweedfs;

use super::Hang;
use keyring_external::store::remote::objects::Cause;
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// The program that scripts/engines.sh names by this key.
pub fn program(key: &str) -> Option<PathBuf> {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package of the workspace");
    let env =
        std::env::var_os("KX_ENGINES_ENV").map_or_else(|| repo.join("target/engines/env"), PathBuf::from);
    let text = std::fs::read_to_string(env).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(PathBuf::from(value)).filter(|program| program.exists())
}

/// Why there is no such program here, when there is none.
pub fn why_not(key: &str) -> Option<String> {
    program(key).is_none().then(|| format!("needs {key}, see scripts/engines.sh"))
}

/// A description of a remote with one mistake in it, and what must be said of it.
#[derive(Debug)]
pub struct Mistake {
    /// The mistake.
    pub what: &'static str,
    /// The remote as the remotes file describes it, with that mistake.
    pub remote: Value,
    pub cause: Cause,
    /// What the message says, each of it.
    pub told: Vec<String>,
}

impl Mistake {
    fn new(what: &'static str, remote: Value, cause: Cause, told: &[&str]) -> Mistake {
        Mistake { what, remote, cause, told: told.iter().map(|part| (*part).to_owned()).collect() }
    }
}

/// A running engine. All of its nodes are stopped with it.
pub trait Engine: fmt::Debug {
    /// The remote as the remotes file describes it.
    fn remote(&self) -> Value;

    /// Descriptions that cannot work.
    fn mistakes(&self) -> Vec<Mistake>;

    /// How many nodes there are. One can be away if there are three.
    fn nodes(&self) -> usize;

    /// The node that leads, if there is one.
    fn leader(&self) -> Option<usize>;

    /// Kills a node, as a power cut does.
    fn kill(&mut self, node: usize);

    /// A node stops answering, and its connections stay, until the answer is dropped.
    fn pause(&self, node: usize) -> Hang;

    /// Starts a node that was killed, and does not wait for it.
    fn start(&mut self, node: usize);

    /// Does what an administrator has to do about nodes that do not come back by themselves. Called again and again while
    /// something is waited for.
    fn tend(&mut self) {}

    /// Waits until all nodes work together.
    fn wait_until_whole(&mut self);
}
