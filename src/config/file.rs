// SPDX-License-Identifier: GPL-2.0-or-later
//! `component_keyring_external.cnf`: JSON, beside the component, or in the data directory when the one
//! beside the component says so.

use super::{AuditConfig, Config, DEFAULT_REMOTES, MAX_COPIES, MAX_WAIT, check_path};
use crate::error::{BadRequest, Error, Result};
use crate::unlock::UnlockSource;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The component's name, and its configuration file's without `.cnf`.
pub const COMPONENT: &str = "component_keyring_external";

/// Most bytes of a configuration file.
const MAX_LEN: u64 = 64 * 1024;
/// Permission to write for anyone but the owner.
const OTHERS_WRITE: u32 = 0o022;

/// The keys of the file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Keys {
    read_local_config: Option<bool>,
    path: Option<PathBuf>,
    mirrors: Option<Vec<PathBuf>>,
    remotes: Option<PathBuf>,
    min_copies: Option<u32>,
    // Checked separately: serde's message would show the value, which may be the secret itself.
    unlock: Option<serde_json::Value>,
    read_only: Option<bool>,
    allow_same_device: Option<bool>,
    auto_create: Option<bool>,
    wait: Option<u32>,
    audit_log: Option<PathBuf>,
    audit_log_forward: Option<String>,
}

impl Keys {
    fn names_anything(&self) -> bool {
        self.path.is_some()
            || self.mirrors.is_some()
            || self.remotes.is_some()
            || self.min_copies.is_some()
            || self.unlock.is_some()
            || self.read_only.is_some()
            || self.allow_same_device.is_some()
            || self.auto_create.is_some()
            || self.wait.is_some()
            || self.audit_log.is_some()
            || self.audit_log_forward.is_some()
    }
}

/// Reads the configuration of a component in `component_path` for the server in `instance_path`. A server that runs as
/// `user` refuses files that others could have written.
///
/// # Errors
/// [`BadRequest::Config`] names the file and what is wrong with it.
pub fn read(component_path: Option<&Path>, instance_path: Option<&Path>, user: u32) -> Result<Config> {
    let dir = component_path.ok_or_else(|| {
        Error::BadRequest(BadRequest::Config(
            "cannot read config file: the server named no directory".to_owned(),
        ))
    })?;
    let file = file_in(dir);
    let (keys, owner) = read_file(&file, user)?;
    if keys.read_local_config != Some(true) {
        return config(keys, &file, (user, owner), instance_path);
    }
    if keys.names_anything() {
        return Err(BadRequest::Config(format!(
            "config file {} sets read_local_config, so it may have no other keys: move them to {} in the data \
             directory, or remove read_local_config",
            file.display(),
            file_name()
        )).into());
    }
    let dir = instance_path.ok_or_else(|| {
        Error::BadRequest(BadRequest::Config(format!(
            "cannot read config file: {} refers to the data directory (read_local_config), but the server has none",
            file.display()
        )))
    })?;
    let file = file_in(dir);
    let (keys, owner) = read_file(&file, user)?;
    if keys.read_local_config == Some(true) {
        return Err(BadRequest::Config(format!(
            "config file {} is already the local one: remove read_local_config from it",
            file.display()
        ))
        .into());
    }
    config(keys, &file, (user, owner), instance_path)
}

fn file_name() -> String {
    format!("{COMPONENT}.cnf")
}

/// The path of the configuration file in `dir`.
pub fn file_in(dir: &Path) -> PathBuf {
    dir.join(file_name())
}

/// The keys of a file, and who owns it.
fn read_file(path: &Path, user: u32) -> Result<(Keys, u32)> {
    let shown = path.display();
    let cannot = |e: std::io::Error| {
        Error::BadRequest(BadRequest::Config(format!(
            "cannot read config file {shown}: {e}. Write it as JSON with at least \"path\" and \"unlock\", readable \
             by the user that mysqld runs as"
        )))
    };
    let file = File::open(path).map_err(cannot)?;
    let meta = file.metadata().map_err(cannot)?;
    if !meta.is_file() {
        return Err(cannot(std::io::Error::other("it is not a regular file")));
    }
    if meta.mode() & OTHERS_WRITE != 0 {
        return Err(BadRequest::Config(format!(
            "config file {shown} can be written by other users (mode {:04o}): run chmod go-w {shown}",
            meta.mode() & 0o7777
        ))
        .into());
    }
    if user != 0 && meta.uid() != 0 && meta.uid() != user {
        return Err(BadRequest::Config(format!(
            "config file {shown} belongs to user id {}, who is neither root nor the user that mysqld runs as ({user}): \
             run chown root {shown}",
            meta.uid()
        )).into());
    }
    let mut text = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_LEN {
        return Err(cannot(std::io::Error::other(format!("it is longer than {MAX_LEN} bytes"))));
    }
    let keys = serde_json::from_slice(&text).map_err(|e| {
        Error::BadRequest(BadRequest::Config(format!(
            "config file {shown} has not valid format: {e}. It must be one JSON object"
        )))
    })?;
    Ok((keys, meta.uid()))
}

fn config(keys: Keys, file: &Path, (user, owner): (u32, u32), datadir: Option<&Path>) -> Result<Config> {
    let wrong = |what: String| {
        Error::BadRequest(BadRequest::Config(format!("config file {}: {what}", file.display())))
    };
    let path = keys.path.unwrap_or_default();
    if path.as_os_str().is_empty() {
        return Err(wrong(
            "\"path\" is missing: give the path of the keyring file on its external volume, or @NAME/PREFIX"
                .to_owned(),
        ));
    }
    check_path(&path, "\"path\"").map_err(|e| wrong(e.to_string()))?;
    let remotes = keys.remotes.unwrap_or_else(|| DEFAULT_REMOTES.into());
    if !remotes.is_absolute() {
        return Err(wrong("\"remotes\" must be an absolute path".to_owned()));
    }
    let unlock = match &keys.unlock {
        Some(serde_json::Value::String(text)) if !text.is_empty() => text.parse::<UnlockSource>()?,
        None => {
            return Err(wrong(
                "\"unlock\" is missing: name the source of the unlock secret, such as \
                 file:/etc/mysql/keyring.secret"
                    .to_owned(),
            ));
        }
        _ => {
            return Err(wrong(
                "\"unlock\" must be a string such as file:/etc/mysql/keyring.secret".to_owned(),
            ));
        }
    };
    // A server that was started as root reads this file before it becomes another user. Otherwise the owner of the file
    // could make root run any program.
    if user == 0 && owner != 0 && matches!(unlock, UnlockSource::Command(_)) {
        return Err(wrong(format!(
            "\"unlock\" names a program, but the file belongs to user id {owner} and mysqld still runs as root: run \
             chown root {}, or start mysqld as its own user",
            file.display()
        )));
    }
    let min_copies = keys.min_copies.unwrap_or(1);
    if !(1..=MAX_COPIES).contains(&min_copies) {
        return Err(wrong(format!("\"min_copies\" is {min_copies}: it must be between 1 and {MAX_COPIES}")));
    }
    let wait = keys.wait.unwrap_or(0);
    if wait > MAX_WAIT {
        return Err(wrong(format!("\"wait\" is {wait}: it can be at most {MAX_WAIT} seconds")));
    }
    let audit = AuditConfig::parse(
        keys.audit_log.unwrap_or_default(),
        &keys.audit_log_forward.unwrap_or_default(),
        ["\"audit_log\"", "\"audit_log_forward\""],
    );
    let audit = audit.map_err(|e| wrong(e.to_string()))?;
    Ok(Config {
        path,
        mirrors: keys.mirrors.unwrap_or_default(),
        remotes,
        min_copies,
        unlock,
        read_only: keys.read_only.unwrap_or(false),
        allow_same_device: keys.allow_same_device.unwrap_or(false),
        auto_create: keys.auto_create.unwrap_or(false),
        wait,
        audit,
        datadir: datadir.map(Path::to_owned),
    })
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
