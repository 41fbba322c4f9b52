// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl import`: keys from the file of another keyring.

mod plan;
mod report;

use super::foreign::{self, Foreign, backup_of};
use super::output::{Output, counted, stderr_report};
use super::slot::Target;
use super::{Verdict, sync};
use crate::error::{Error, ForeignFile, Result};
use crate::legacy::Format;
use keyring_external::format::records::KeyRecord;
use keyring_external::key::{KeyName, KeyType};
use keyring_external::keyring::{Keyring, load_beside_others, load_with, now};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::unlock::UnlockSource;
use plan::{Fate, Plan};
use report::Report;
use std::path::PathBuf;
use std::sync::Arc;

/// Import the keys of another keyring's file
///
/// The server that used SRC must be stopped. PATH is a keyring that init made, with or without keys. All keys are
/// imported or none; SRC is only read.
#[derive(clap::Args)]
#[command(after_help = "Example, first to see what would be done, then to do it:\n  \
    keyringctl import --from component_keyring_file /var/lib/mysql-keyring/component_keyring_file \\\n      \
    /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring.secret --dry-run\n\n\
    \"Coming from another keyring\" in docs/OPERATIONS.md has all steps.")]
pub(super) struct Args {
    /// What SRC is a file of
    #[arg(long, value_name = "FORMAT")]
    from: Format,
    /// The file of the other keyring
    src: PathBuf,
    #[command(flatten)]
    target: Target,
    /// Where the password of an encrypted SRC comes from, as in --unlock
    #[arg(long, value_name = "SOURCE")]
    source_unlock: Option<UnlockSource>,
    /// Import although SRC.backup holds what SRC does not
    #[arg(long)]
    ignore_backup: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let password = args.password()?;
    let password = password.as_ref().map_or(&[][..], UnlockSecret::raw);
    let source = args.read_source(fs.as_ref(), password)?;
    let wanted = digests(&source);
    let paths = sync::paths(&args.target.path, &args.target.mirrors)?;
    let (name, secret) = (args.target.secret.name(), args.target.secret.read(&args.target.path)?);
    let read = || args.target.secret.read_again(&secret);
    let keyring = load_beside_others(&fs, &paths, paths.len(), &name, read, stderr_report)?;

    let mut report = Report::new(args, &source, &keyring);
    let plan = Plan::new(&source.keys, &keyring);
    report.plan(args, &plan, out);
    report.near_duplicates(&plan, &keyring, out);
    let backup_decides = report.backup(args, fs.as_ref(), password, &source, out);
    if plan.refused().next().is_some() || backup_decides {
        out.line("nothing was imported, and nothing was changed");
        return report.end(out, Verdict::NotFine);
    }
    if args.dry_run {
        out.line("nothing was changed: this was a dry run");
        return report.end(out, Verdict::Fine);
    }
    store(&plan, &keyring)?;
    report.done(&keyring);
    let mut fine = true;
    for path in &paths {
        let (again, _) = load_with(&fs, path, &name, || args.target.secret.read_again(&secret))?;
        fine &= report.check(path, &again, &wanted, out);
    }
    if fine {
        report.success(args, &plan, &paths, &keyring, out);
    }
    fine &=
        report.source_is(args, foreign::digest_of(fs.as_ref(), args.from, &args.src)? == source.digest, out);
    report.end(out, if fine { Verdict::Fine } else { Verdict::NotFine })
}

impl Args {
    fn password(&self) -> Result<Option<UnlockSecret>> {
        match (&self.source_unlock, self.from) {
            (Some(source), Format::PerconaEncryptedFile) => Ok(Some(source.read()?)),
            (None, Format::PerconaEncryptedFile) => Err(Error::Usage(
                "percona_encrypted_file is encrypted: name the source of its password with --source-unlock \
                 (file:PATH of the password file)"
                    .to_owned(),
            )),
            (Some(_), format) => {
                Err(Error::Usage(format!("{format} is not encrypted: leave out --source-unlock")))
            }
            (None, _) => Ok(None),
        }
    }

    fn read_source(&self, fs: &dyn Fs, password: &[u8]) -> Result<Foreign> {
        foreign::read(fs, self.from, &self.src, password).map_err(|e| match e {
            // What the other keyring would do by itself is for the administrator to choose.
            Error::ForeignFile(ForeignFile { path, format, why }) => {
                let backup = backup_of(&path);
                let hint = match foreign::read(fs, self.from, &backup, password) {
                    Ok(b) => format!(
                        ". {} beside it is whole and holds {}: it can be imported in its place",
                        backup.display(),
                        counted(b.keys.len(), "key")
                    ),
                    Err(_) => String::new(),
                };
                Error::ForeignFile(ForeignFile { path, format, why: why + &hint })
            }
            e => e,
        })
    }
}

/// What the source holds, to be found again on disk.
pub(in crate::commands) type Wanted = (KeyName, KeyType, [u8; 32]);

fn digests(source: &Foreign) -> Vec<Wanted> {
    let checked = source.keys.iter().filter_map(|key| {
        let (name, key_type) = key.check().ok()?;
        Some((name.to_owned(), key_type, key.digest()))
    });
    checked.collect()
}

/// Stores what is new, in one step; without anything new, copies that lag behind are brought up to date.
fn store(plan: &Plan<'_>, keyring: &Keyring) -> Result<()> {
    let created = now();
    let new: Vec<_> = plan
        .rows
        .iter()
        .filter_map(|row| match &row.fate {
            Fate::New(name, key_type) => {
                Some(KeyRecord { name: *name, key_type, created, data: row.key.data })
            }
            _ => None,
        })
        .collect();
    if new.is_empty() {
        keyring.settle()?
    } else {
        keyring.store_all(&new)?
    }
    Ok(())
}
