// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl import`: keys from the file of another keyring.

mod plan;

use super::foreign::{self, Foreign, backup_of};
use super::output::{Output, stderr_report, table};
use super::slot::Target;
use super::{Verdict, sync};
use crate::error::{Error, Result};
use crate::format::records::KeyRecord;
use crate::format::slots::UnlockSecret;
use crate::key::{KeyName, KeyType};
use crate::keyring::{Keyring, load_beside_others, load_with, now};
use crate::legacy::Format;
use crate::legacy::compare::{Difference, near_duplicates};
use crate::store::fs::Fs;
use crate::store::real::RealFs;
use crate::unlock::UnlockSource;
use plan::{Fate, Plan};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
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
    report.set("done", true);
    report.set_after(&keyring);
    let mut lost = 0;
    for path in &paths {
        let (again, _) = load_with(&fs, path, &name, || args.target.secret.read_again(&secret))?;
        lost += report.check(path, &again, &wanted, out);
    }
    if lost == 0 {
        report.success(args, &plan, &paths, &keyring, out);
    }
    let unchanged = foreign::digest_of(fs.as_ref(), args.from, &args.src)? == source.digest;
    if !unchanged {
        out.line(format_args!(
            "NOT FINE {} has changed meanwhile: a server still uses it. Stop that server and import again",
            args.src.display()
        ));
    }
    report.set("source_changed", !unchanged);
    report.end(out, if lost == 0 && unchanged { Verdict::Fine } else { Verdict::NotFine })
}

impl Args {
    fn password(&self) -> Result<Option<UnlockSecret>> {
        match (&self.source_unlock, self.from) {
            (Some(source), Format::PerconaEncryptedFile) => source.read().map(Some),
            (None, Format::PerconaEncryptedFile) => Err(Error::Config(
                "percona_encrypted_file is encrypted: name the source of its password with --source-unlock \
                 (file:PATH of the password file)"
                    .to_owned(),
            )),
            (Some(_), format) => {
                Err(Error::Config(format!("{format} is not encrypted: leave out --source-unlock")))
            }
            (None, _) => Ok(None),
        }
    }

    fn read_source(&self, fs: &dyn Fs, password: &[u8]) -> Result<Foreign> {
        foreign::read(fs, self.from, &self.src, password).map_err(|e| match e {
            // What the other keyring would do by itself is for the administrator to choose.
            Error::OtherKeyring { path, format, why } => {
                let backup = backup_of(&path);
                let hint = match foreign::read(fs, self.from, &backup, password) {
                    Ok(b) => format!(
                        ". {} beside it is whole and holds {} keys: it can be imported in its place",
                        backup.display(),
                        b.keys.len()
                    ),
                    Err(_) => String::new(),
                };
                Error::OtherKeyring { path, format, why: why + &hint }
            }
            e => e,
        })
    }
}

/// What the source holds, to be found again on disk.
type Wanted = (KeyName, KeyType, [u8; 32]);

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
    if new.is_empty() { keyring.settle() } else { keyring.store_all(&new) }
}

/// What is printed as JSON, and the text beside it.
struct Report(Value);

impl Report {
    fn new(args: &Args, source: &Foreign, keyring: &Keyring) -> Self {
        Self(json!({
            "from": args.from.name(),
            "version": source.keys.version,
            "checksum_fits": source.keys.checksum.map(|()| true),
            "source": args.src,
            "path": args.target.path,
            "mirrors": args.target.mirrors,
            "dry_run": args.dry_run,
            "done": false,
            "count": { "source": source.keys.len(), "before": keyring.len() },
        }))
    }

    fn set(&mut self, member: &str, value: impl Into<Value>) {
        if let Some(members) = self.0.as_object_mut() {
            members.insert(member.to_owned(), value.into());
        }
    }

    fn set_count(&mut self, member: &str, count: usize) {
        if let Some(counts) = self.0.get_mut("count").and_then(Value::as_object_mut) {
            counts.insert(member.to_owned(), count.into());
        }
    }

    fn set_after(&mut self, keyring: &Keyring) {
        self.set_count("after", keyring.len());
    }

    fn end(self, out: &mut Output, verdict: Verdict) -> Result<Verdict> {
        out.document(&self.0);
        Ok(verdict)
    }

    fn plan(&mut self, args: &Args, plan: &Plan<'_>, out: &mut Output) {
        let count = |fate: &str| plan.rows.iter().filter(|row| row.fate.name() == fate).count();
        let checksum = match self.0.get("checksum_fits") {
            Some(Value::Bool(_)) => "its checksum fits",
            _ => "which has no checksum",
        };
        let version = self.0.get("version").and_then(Value::as_str).unwrap_or_default();
        out.line(format_args!(
            "{} ({} {version}, {checksum}): {} keys",
            args.src.display(),
            args.from,
            plan.rows.len()
        ));
        if args.dry_run && !plan.rows.is_empty() {
            table(out, &["KEY ID", "USER", "TYPE", "BYTES", "TO DO"], &plan.cells());
        }
        for row in plan.refused() {
            out.line(format_args!("REFUSED the key {}: {}", row.key, row.why()));
        }
        out.line(format_args!(
            "{} to import, {} there already with the same bytes, {} refused",
            count("import"),
            count("present"),
            count("refused")
        ));
        self.set_count("new", count("import"));
        self.set_count("present", count("present"));
        self.set_count("refused", count("refused"));
        self.set("keys", plan.json());
    }

    fn near_duplicates(&mut self, plan: &Plan<'_>, keyring: &Keyring, out: &mut Output) {
        let names = keyring.names();
        let groups = near_duplicates(plan.names(), names.iter().map(KeyName::as_ref));
        for group in &groups {
            let names: Vec<_> = group.iter().map(ToString::to_string).collect();
            out.line(format_args!(
                "NOTE {}: keyring_file takes these names for one; here each is a key of its own, and must be asked \
                 for as it is written",
                names.join(", ")
            ));
        }
        let groups: Vec<Vec<_>> = groups
            .iter()
            .map(|group| group.iter().map(|name| plan::name_json(&name.as_ref())).collect())
            .collect();
        self.set("near_duplicates", groups);
    }

    /// Compares the backup beside the source, and answers whether it forbids the import.
    fn backup(
        &mut self,
        args: &Args,
        fs: &dyn Fs,
        password: &[u8],
        source: &Foreign,
        out: &mut Output,
    ) -> bool {
        let path = backup_of(&args.src);
        if std::fs::symlink_metadata(&path).is_err() {
            return false;
        }
        let backup = match foreign::read(fs, args.from, &path, password) {
            Ok(backup) => backup,
            Err(e) => {
                out.line(format_args!(
                    "NOTE an interrupted write left {}, and it was not used: {e}",
                    path.display()
                ));
                self.set("backup", json!({ "path": path, "whole": false }));
                return false;
            }
        };
        let found = Difference::of(&source.keys, &backup.keys);
        let shown = path.display();
        out.line(format_args!("NOTE an interrupted write left {shown}: {} keys", backup.keys.len()));
        for (what, keys) in [
            (format!("only in {shown}"), &found.only_second),
            (format!("with other bytes in {shown}"), &found.other),
            (format!("only in {}", args.src.display()), &found.only_first),
        ] {
            keys.iter().for_each(|key| out.line(format_args!("     {what}: {key}")));
        }
        let names = |keys: &[crate::legacy::Key<'_>]| keys.iter().map(plan::key_json).collect::<Vec<_>>();
        self.set(
            "backup",
            json!({
                "path": path,
                "whole": true,
                "count": backup.keys.len(),
                "only_in_backup": names(&found.only_second),
                "other_in_backup": names(&found.other),
                "only_in_source": names(&found.only_first),
            }),
        );
        let decides = found.second_has_more() && !args.ignore_backup;
        if decides {
            out.line(format_args!(
                "REFUSED until you choose: --ignore-backup imports {} alone; {shown} can be imported in its place, or \
                 afterwards, by its own path",
                args.src.display()
            ));
        }
        decides
    }

    /// Looks for every key in a copy that was read from disk anew, and answers how many are not there.
    fn check(&mut self, path: &Path, again: &Keyring, wanted: &[Wanted], out: &mut Output) -> usize {
        let mut lost = 0;
        for (name, key_type, digest) in wanted {
            let found = again.fetch(&name.as_ref(), |key| {
                key.key_type == key_type && Sha256::digest(key.data)[..] == digest[..]
            });
            if found != Some(true) {
                lost += 1;
                out.line(format_args!(
                    "NOT FINE {}: the key {name} is not there as it was imported",
                    path.display()
                ));
            }
        }
        self.set_count("verified", wanted.len() - lost);
        lost
    }

    fn success(&self, args: &Args, plan: &Plan<'_>, paths: &[PathBuf], keyring: &Keyring, out: &mut Output) {
        let new = plan.rows.iter().filter(|row| matches!(row.fate, Fate::New(..))).count();
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        out.line(format_args!("imported {new} keys: the keyring holds {} now", keyring.len()));
        out.line(format_args!(
            "read again from {}: all {} keys of {} are there, SHA-256 compared",
            paths.join(" and "),
            plan.rows.len(),
            args.src.display()
        ));
        if args.from != Format::PerconaEncryptedFile {
            out.line(format_args!(
                "{} holds them in clear. When the server has started and read its data with the new keyring, rotate \
                 the master keys and destroy that file and every copy of it",
                args.src.display()
            ));
        }
    }
}
