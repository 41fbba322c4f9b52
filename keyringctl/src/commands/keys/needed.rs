// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl keys needed`: which keys are needed, and by what.

use super::args::KeyringArgs;
use super::judge::judge;
use super::show::{print_keys, print_unread};
use super::{opened, sources};
use crate::commands::copies::Purpose;
use crate::commands::output::{Output, counted};
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::show::{Shown, exact_paths};
use serde_json::json;
use std::path::PathBuf;

/// Show for each key of a keyring which files need it
///
/// Reads data directories (tablespaces, data dictionary, undo and redo log; unless the server was shut down cleanly, also the
/// changes in the redo log), backups, and binary and relay logs. The servers can keep running. If anything cannot be read, no
/// key counts as unneeded. Keys of users, the newest master key of each server, and keys of
/// servers whose data directory was not read are never unneeded. Dumps of mysqldump and MySQL Shell need
/// no key.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl keys needed\n  keyringctl keys needed /mnt/keyring/hospital.keyring --unlock file:/etc/mysql/keyring_external.secret --datadir /var/lib/mysql --backup /backup/monday --binlogs /var/log/mysql\n\nExit codes: 0 it is known for every key of MySQL's, 1 something could not be read, or files need keys that the keyring does not have, 2 usage or I/O error."
)]
pub(super) struct Args {
    /// Keyring file [default: all copies of the server on this host, and its unlock source]
    #[arg(value_name = "KEYRING")]
    path: Option<PathBuf>,
    #[command(flatten)]
    places: sources::Args,
    /// Name all files that need a key, not only the first
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    keyring: KeyringArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let copies = args.keyring.copies(args.path.clone(), &args.places.datadir);
    let copies = copies.find(&args.keyring.secret, Purpose::Read)?;
    let datadirs = opened::datadirs(&args.places, &copies)?;
    // Opened before the files are read: a key that is stored meanwhile is not judged.
    let (keyring, _) = copies.load()?;
    let named = args.places.read(&datadirs, &keyring)?;
    let judgement = judge(&keyring, &named, &args.places.gone_server);
    print_keys(&judgement.keys, args.verbose, out);
    for (id, files) in &judgement.missing {
        let first = files.first().map_or_else(String::new, |file| file.shown());
        out.line(format_args!(
            "MISSING  {}: the keyring does not have it, and {} named it, such as {first}",
            id.shown(),
            counted(files.len(), "file")
        ));
    }
    for dump in &named.dumps {
        out.line(format_args!("note: {} is a dump: it needs no key", dump.shown()));
    }
    print_unread(&named, out);
    let missing: Vec<_> = judgement
        .missing
        .iter()
        .map(|(id, files)| json!({ "id": id, "files": exact_paths(files) }))
        .collect();
    out.document(&json!({
        "keyring": keyring.id(),
        "keys": judgement.keys,
        "missing": missing,
        "unread": named.unread,
        "servers": named.servers,
        "no_key_needed": exact_paths(&named.dumps),
    }));
    let fine = named.unread.is_empty() && judgement.missing.is_empty();
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}
