// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl keys needed`: which keys are needed, and by what.

use super::dates::age;
use super::judge::{JudgedKey, Need, judge};
use super::sources::{self, Named};
use super::{KeyringArgs, opened};
use crate::commands::copies::Purpose;
use crate::commands::output::{Output, counted, table, time};
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::show::{Shown, exact_paths};
use serde_json::json;
use std::path::PathBuf;

/// Most places that could not be read, and files of one missing key, that the text names.
const MOST_LINES: usize = 50;

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

/// Prints the keys, and what needs each.
pub(in crate::commands) fn print_keys(keys: &[JudgedKey], verbose: bool, out: &mut Output) {
    let cells: Vec<_> = keys
        .iter()
        .map(|key| {
            let name = match key.user.is_empty() {
                true => key.id.clone(),
                false => format!("{} of user {}", key.id, key.user),
            };
            let retired = key.retired.map(time).unwrap_or_default();
            vec![name, key.kind.name().to_owned(), age(key.age_days), retired, key.why()]
        })
        .collect();
    table(out, &["KEY ID", "FOR", "AGE", "RETIRED", "NEEDED BY"], &cells);
    let unneeded = keys.iter().filter(|key| key.need == Need::Nothing).count();
    out.line(format_args!("{}, {unneeded} of them needed by nothing", counted(keys.len(), "key")));
    if verbose {
        for key in keys.iter().filter(|key| !key.files.is_empty()) {
            out.line(format_args!("{} is needed by", key.id.shown()));
            key.files.iter().for_each(|file| out.line(format_args!("  {}", file.shown())));
        }
    }
}

/// Prints what could not be read, and what that means.
pub(super) fn print_unread(named: &Named, out: &mut Output) {
    for unread in named.unread.iter().take(MOST_LINES) {
        out.line(format_args!("NOT READ {}: {}", unread.path.shown(), unread.why));
    }
    let more = named.unread.len().saturating_sub(MOST_LINES);
    if more > 0 {
        out.line(format_args!("NOT READ {more} more: --json lists them"));
    }
    if !named.unread.is_empty() {
        out.line("  -> as long as this cannot be read, no key counts as unneeded");
    }
}
