// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl export`: writes all keys, unencrypted, to a file of another keyring.

use super::audit_of_server;
use super::audit_trail;
use super::copies::of_server;
use super::foreign::{self, backup_of};
use super::output::{Output, counted};
use super::secret;
use super::verdict::Verdict;
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::legacy::compare::same;
use crate::legacy::{Fault, Format, Key, LegacyKeys, MAX_FILE, component_keyring_file};
use crate::show::{self, Shown};
use keyring_external::audit::{Event, EventKind};
use keyring_external::error::{BadRequest, Failure};
use keyring_external::keyring::Keyring;
use keyring_external::store::file::vacancy::create_file;
use keyring_external::store::file::volume;
use keyring_external::store::places::is_remote;
use serde_json::json;
use std::path::PathBuf;

/// Export all keys, unencrypted, to a new file of another keyring
///
/// Use this to return to MySQL's own component. DST must not exist; it is created with mode 0600 and gets the owner of
/// its directory.
#[derive(clap::Args)]
#[command(
    after_help = "Example: keyringctl export --to component_keyring_file /mnt/keyring/keys/main.keyring \\\n           \
    /var/lib/mysql-keyring/component_keyring_file --unlock file:/etc/mysql/keyring_external.secret"
)]
pub(super) struct Args {
    /// Format of DST
    #[arg(long, value_name = "FORMAT")]
    to: ExportFormat,
    /// Keyring file
    path: PathBuf,
    /// File to create
    dst: PathBuf,
    #[command(flatten)]
    secret: secret::Args,
}

/// The formats that can be written.
#[derive(clap::ValueEnum, Clone, Copy)]
enum ExportFormat {
    /// MySQL's component, 8.0.24 and later
    #[value(name = "component_keyring_file")]
    ComponentKeyringFile,
}

impl From<ExportFormat> for Format {
    fn from(to: ExportFormat) -> Self {
        match to {
            ExportFormat::ComponentKeyringFile => Self::ComponentKeyringFile,
        }
    }
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    if is_remote(&args.path) {
        of_server::use_remotes_of_this_host();
    }
    let places = store_places();
    let format = Format::from(args.to);
    if is_remote(&args.dst) {
        return Err(Error::Usage(format!(
            "cannot export to {}: a file of another keyring holds all keys unencrypted, and never leaves this host. Give \
             the path of a file. To copy a keyring to a remote, use keyringctl sync",
            args.dst.shown()
        )));
    }
    // The component would use an existing DST.backup instead of DST.
    for path in [args.dst.clone(), backup_of(&args.dst)] {
        if places.fs().meta(&path).is_ok() {
            return Err(BadRequest::AlreadyThere { path }.into());
        }
    }
    let directory = volume::directory_of(&args.dst);
    places.fs().meta(directory).map_err(|e| Error::io("look at", directory, e))?;
    let (keyring, _) = args.secret.load(&places, &args.path)?;
    audit_of_server::look_for_server(&args.path);
    audit_trail::attach(&keyring);
    let exported = Event::new(EventKind::Export).with("keys", keyring.len());
    keyring.record(&exported.with("to", format.name()).with("destination", args.dst.exact()));
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
            "nothing was written: {} would have {len} bytes, but keyringctl can read back at most {MAX_FILE}",
            args.dst.shown()
        )));
    }
    create_file(places.fs(), &args.dst, None, file.get(..len).unwrap_or_default())?;
    let lost = lost(&keyring, &foreign::read(places.fs().as_ref(), format, &args.dst, b"")?.keys);
    let (dst, count) = (args.dst.shown(), keyring.len());
    show::warn(format_args!(
        "WARNING: {dst} holds all keys unencrypted: anyone who can read it, or a backup of it, can decrypt \
         the data. Destroy it when you no longer need it"
    ));
    let mut retired = 0;
    keyring.for_each(|key| retired += usize::from(key.retired.is_some()));
    if retired > 0 {
        show::warn(format_args!(
            "retired keys among them: {retired}. A file of this format has no mark for that: they are exported like the others"
        ));
    }
    for name in &lost {
        out.line(format_args!("FAILED   {dst}: key {name} is missing or differs from the exported one"));
    }
    if lost.is_empty() {
        out.line(format_args!(
            "exported {} to {dst} ({format}); read back and compared",
            counted(count, "key")
        ));
    }
    out.document(&json!({
        "to": format.name(),
        "path": args.path.exact(),
        "destination": args.dst.exact(),
        "count": { "exported": count, "verified": count - lost.len() },
        "in_clear": true,
    }));
    Ok(if lost.is_empty() { Verdict::Fine } else { Verdict::NotFine })
}

/// The names of the keys that are missing in the file, or differ there.
fn lost(keyring: &Keyring, written: &LegacyKeys) -> Vec<String> {
    let mut lost = Vec::new();
    keyring.for_each(|key| {
        let found = written.get(key.name.id(), key.name.user());
        if !found.is_some_and(|found| same(&found, key.key_type.bytes(), key.data)) {
            lost.push(key.name.to_string());
        }
    });
    lost
}
