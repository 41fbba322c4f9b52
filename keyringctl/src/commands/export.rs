// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl export`: all keys, in clear, into a file of another keyring.

use super::foreign::{self, backup_of};
use super::output::{Output, counted};
use super::secret;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::legacy::compare::same;
use crate::legacy::{Fault, Format, Key, Keys, MAX_FILE, component_keyring_file};
use keyring_external::error::{BadRequest, Failure};
use keyring_external::keyring::Keyring;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::replica::FileReplica;
use keyring_external::store::volume;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Export all keys, in clear, into a new file of another keyring
///
/// For the way back to MySQL's own component. DST must not exist yet; it is made with mode 0600 and belongs to the
/// owner of its directory.
#[derive(clap::Args)]
#[command(
    after_help = "Example: keyringctl export --to component_keyring_file /mnt/keyring/keys/main.keyring \\\n           \
    /var/lib/mysql-keyring/component_keyring_file --unlock file:/etc/mysql/keyring.secret"
)]
pub(super) struct Args {
    /// What DST is to be a file of
    #[arg(long, value_name = "FORMAT")]
    to: To,
    /// The keyring file
    path: PathBuf,
    /// The file to make
    dst: PathBuf,
    #[command(flatten)]
    secret: secret::Args,
}

/// The formats that can be written.
#[derive(clap::ValueEnum, Clone, Copy)]
enum To {
    /// MySQL's component, 8.0.24 and later
    #[value(name = "component_keyring_file")]
    ComponentKeyringFile,
}

impl From<To> for Format {
    fn from(to: To) -> Self {
        match to {
            To::ComponentKeyringFile => Self::ComponentKeyringFile,
        }
    }
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let format = Format::from(args.to);
    // The component takes a file of that name for a newer state than the one beside it.
    for path in [args.dst.clone(), backup_of(&args.dst)] {
        if fs.meta(&path).is_ok() {
            return Err(BadRequest::AlreadyThere { path }.into());
        }
    }
    let directory = volume::directory_of(&args.dst);
    fs.meta(directory).map_err(|e| Error::io("look at", directory, e))?;
    let (keyring, _) = args.secret.load(&fs, &args.path)?;
    let (file, len) = component_keyring_file::write(|put| {
        keyring.for_each(|key| {
            let (id, user) = (key.name.id(), key.name.user());
            put(Key { id, user, key_type: key.key_type.bytes(), data: key.data });
        });
    })
    .map_err(|fault| match fault {
        Fault::System(e) => Failure::System(e).into(),
        fault => Error::Usage(fault.to_string()),
    })?;
    if len as u64 > MAX_FILE {
        return Err(Error::Usage(format!(
            "nothing was written: {} would have {len} bytes, more than the {MAX_FILE} that are read back",
            args.dst.display()
        )));
    }
    FileReplica::new(Arc::clone(&fs), &args.dst).create(file.get(..len).unwrap_or_default())?;
    let lost = lost(&keyring, &foreign::read(fs.as_ref(), format, &args.dst, b"")?.keys);
    let (dst, count) = (args.dst.display(), keyring.len());
    eprintln!(
        "keyringctl: WARNING: {dst} holds all keys in clear: whoever reads it, or a backup of it, reads the data. \
         Destroy it when it is no longer needed"
    );
    for name in &lost {
        out.line(format_args!("NOT FINE {dst}: the key {name} is not there as it was exported"));
    }
    if lost.is_empty() {
        out.line(format_args!(
            "exported {} to {dst} ({format}), read again and compared",
            counted(count, "key")
        ));
    }
    out.document(&json!({
        "to": format.name(),
        "path": args.path,
        "destination": args.dst,
        "count": { "exported": count, "verified": count - lost.len() },
        "in_clear": true,
    }));
    Ok(if lost.is_empty() { Verdict::Fine } else { Verdict::NotFine })
}

/// The names of keys that are not in the file as they are in the keyring.
fn lost(keyring: &Keyring, written: &Keys) -> Vec<String> {
    let mut lost = Vec::new();
    keyring.for_each(|key| {
        let there = written.get(key.name.id(), key.name.user());
        if !there.is_some_and(|there| same(&there, key.key_type.bytes(), key.data)) {
            lost.push(key.name.to_string());
        }
    });
    lost
}
