// SPDX-License-Identifier: GPL-2.0-or-later
//! What an import reports: text, and one JSON document.
use super::args::Args;
use super::plan::{self, Fate, Plan};
use crate::commands::foreign::{self, Foreign, backup_of};
use crate::commands::output::{Output, counted, table};
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::legacy::compare::{Difference, near_duplicates};
use crate::legacy::{Format, Key};
use keyring_external::key::{KeyName, KeyType};
use keyring_external::keyring::Keyring;
use keyring_external::store::fs::Fs;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// What the source holds, to be found again on disk.
pub(in crate::commands) type Wanted = (KeyName, KeyType, [u8; 32]);

/// What is printed as JSON, and the text beside it.
pub(in crate::commands) struct Report(Value);

impl Report {
    pub fn new(args: &Args, source: &Foreign, keyring: &Keyring) -> Self {
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

    /// The keys were stored.
    pub fn done(&mut self, keyring: &Keyring) {
        self.set("done", true);
        self.set_count("after", keyring.len());
    }

    /// Hands the document over.
    pub fn end(self, out: &mut Output, verdict: Verdict) -> Result<Verdict> {
        out.document(&self.0);
        Ok(verdict)
    }

    /// What is to be done.
    pub fn plan(&mut self, args: &Args, plan: &Plan<'_>, out: &mut Output) {
        let count = |fate: &str| plan.rows.iter().filter(|row| row.fate.name() == fate).count();
        let checksum = match self.0.get("checksum_fits") {
            Some(Value::Bool(_)) => "its checksum fits",
            _ => "which has no checksum",
        };
        let version = self.0.get("version").and_then(Value::as_str).unwrap_or_default();
        out.line(format_args!(
            "{} ({} {version}, {checksum}): {}",
            args.src.display(),
            args.from,
            counted(plan.rows.len(), "key")
        ));
        if plan.rows.is_empty() {
            out.line("NOTE it holds no key: is it the right file?");
        } else if args.dry_run {
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

    /// Names that were one to the old plugin.
    pub fn near_duplicates(&mut self, plan: &Plan<'_>, keyring: &Keyring, out: &mut Output) {
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
    pub fn backup(
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
        out.line(format_args!(
            "NOTE an interrupted write left {shown}: {}",
            counted(backup.keys.len(), "key")
        ));
        for (what, keys) in [
            (format!("only in {shown}"), &found.only_second),
            (format!("with other bytes in {shown}"), &found.other),
            (format!("only in {}", args.src.display()), &found.only_first),
        ] {
            keys.iter().for_each(|key| out.line(format_args!("     {what}: {key}")));
        }
        let names = |keys: &[Key<'_>]| keys.iter().map(plan::key_json).collect::<Vec<_>>();
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

    /// Looks for every key in a copy that was read from disk anew.
    pub fn check(&mut self, path: &Path, again: &Keyring, wanted: &[Wanted], out: &mut Output) -> bool {
        let there = |(name, key_type, digest): &&Wanted| {
            let same = again.fetch(&name.as_ref(), |key| {
                key.key_type == key_type && Sha256::digest(key.data)[..] == digest[..]
            });
            same == Some(true)
        };
        let mut lost = 0;
        for (name, ..) in wanted.iter().filter(|w| !there(w)) {
            lost += 1;
            out.line(format_args!(
                "NOT FINE {}: the key {name} is not there as it was imported",
                path.display()
            ));
        }
        let verified = self.0["count"]["verified"].as_u64().map_or(usize::MAX, |n| n as usize);
        self.set_count("verified", verified.min(wanted.len() - lost));
        lost == 0
    }

    /// Whether the source is still as it was read.
    pub fn source_is(&mut self, args: &Args, unchanged: bool, out: &mut Output) -> bool {
        if !unchanged {
            out.line(format_args!(
                "NOT FINE {} has changed meanwhile: a server still uses it. Stop that server and import again",
                args.src.display()
            ));
        }
        self.set("source_changed", !unchanged);
        unchanged
    }

    /// All is as it should be.
    pub fn success(
        &self,
        args: &Args,
        plan: &Plan<'_>,
        paths: &[PathBuf],
        keyring: &Keyring,
        out: &mut Output,
    ) {
        let new = plan.rows.iter().filter(|row| matches!(row.fate, Fate::New(..))).count();
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        out.line(format_args!("imported {}: the keyring holds {} now", counted(new, "key"), keyring.len()));
        let src = args.src.display();
        let all = match plan.rows.len() {
            1 => format!("the 1 key of {src} is"),
            n => format!("all {n} keys of {src} are"),
        };
        out.line(format_args!("read again from {}: {all} there, SHA-256 compared", paths.join(" and ")));
        if args.from != Format::PerconaEncryptedFile {
            out.line(format_args!(
                "{} holds them in clear. When the server has started and read its data with the new keyring, rotate \
                 the master keys and destroy that file and every copy of it",
                args.src.display()
            ));
        }
    }
}
