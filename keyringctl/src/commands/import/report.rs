// SPDX-License-Identifier: GPL-2.0-or-later
//! The output of an import: text, and one JSON document.
use super::args::Args;
use super::plan::{self, Fate, ImportPlan};
use crate::commands::foreign::{self, LegacyFile, backup_of};
use crate::commands::output::{Output, counted, table};
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::legacy::compare::{Difference, near_duplicates};
use crate::legacy::{Format, Key};
use crate::show::{Shown, exact_paths};
use keyring_external::key::{KeyName, KeyType};
use keyring_external::keyring::Keyring;
use keyring_external::store::file::fs::Fs;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Name, type and SHA-256 of a key in the source, to look for in the keyring afterwards.
pub(in crate::commands) type Wanted = (KeyName, KeyType, [u8; 32]);

/// Collects the JSON document and prints the text.
pub(in crate::commands) struct ImportReport(Value);

impl ImportReport {
    pub(super) fn new(args: &Args, paths: &[PathBuf], source: &LegacyFile, keyring: &Keyring) -> Self {
        Self(json!({
            "from": args.from.name(),
            "source_version": source.keys.version,
            "checksum_fits": source.keys.checksum.map(|()| true),
            "source": args.src.exact(),
            "path": paths.first().map(|path| path.exact()),
            "mirrors": exact_paths(paths.get(1..).unwrap_or_default()),
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

    /// Records that the keys were stored.
    pub(super) fn done(&mut self, keyring: &Keyring) {
        self.set("done", true);
        self.set_count("after", keyring.len());
    }

    /// Hands the document to `out`.
    pub(super) fn end(self, out: &mut Output, verdict: Verdict) -> Result<Verdict> {
        out.document(&self.0);
        Ok(verdict)
    }

    /// Shows what will be done.
    pub(super) fn plan(&mut self, args: &Args, plan: &ImportPlan<'_>, out: &mut Output) {
        let count = |fate: &str| plan.rows.iter().filter(|row| row.fate.name() == fate).count();
        let checksum = match self.0.get("checksum_fits") {
            Some(Value::Bool(_)) => "checksum correct",
            _ => "without a checksum",
        };
        let version = self.0.get("source_version").and_then(Value::as_str).unwrap_or_default();
        out.line(format_args!(
            "{} ({} {version}, {checksum}): {}",
            args.src.shown(),
            args.from,
            counted(plan.rows.len(), "key")
        ));
        if plan.rows.is_empty() {
            out.line("NOTE this file holds no keys: is it the right one?");
        } else if args.dry_run {
            table(out, &["KEY ID", "USER", "TYPE", "BYTES", "ACTION"], &plan.cells());
        }
        for row in plan.refused() {
            out.line(format_args!("REFUSED the key {}: {}", row.key, row.why()));
        }
        out.line(format_args!(
            "{} to import, {} already in the keyring with the same bytes, {} refused",
            count("import"),
            count("present"),
            count("refused")
        ));
        self.set_count("new", count("import"));
        self.set_count("present", count("present"));
        self.set_count("refused", count("refused"));
        self.set("keys", plan.json());
    }

    /// Shows names that are distinct here but not in keyring_file.
    pub(super) fn near_duplicates(&mut self, plan: &ImportPlan<'_>, keyring: &Keyring, out: &mut Output) {
        let names = keyring.names();
        let groups = near_duplicates(plan.names(), names.iter().map(KeyName::as_ref));
        for group in &groups {
            let names: Vec<_> = group.iter().map(ToString::to_string).collect();
            out.line(format_args!(
                "NOTE {}: keyring_file treats these names as the same; here each is a separate key, and spelling matters",
                names.join(", ")
            ));
        }
        let groups: Vec<Vec<_>> = groups
            .iter()
            .map(|group| group.iter().map(|name| plan::name_json(&name.as_ref())).collect())
            .collect();
        self.set("near_duplicates", groups);
    }

    /// Compares the backup beside the source with the source. Returns whether it blocks the import.
    pub(super) fn backup(
        &mut self,
        args: &Args,
        fs: &dyn Fs,
        password: &[u8],
        source: &LegacyFile,
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
                    "NOTE an interrupted write left {}, which was not used: {e}",
                    path.shown()
                ));
                self.set("backup", json!({ "path": path.exact(), "whole": false }));
                return false;
            }
        };
        let found = Difference::between(&source.keys, &backup.keys);
        let shown = path.shown();
        out.line(format_args!(
            "NOTE an interrupted write left {shown}: {}",
            counted(backup.keys.len(), "key")
        ));
        for (what, keys) in [
            (format!("only in {shown}"), &found.only_second),
            (format!("with other bytes in {shown}"), &found.other),
            (format!("only in {}", args.src.shown()), &found.only_first),
        ] {
            keys.iter().for_each(|key| out.line(format_args!("     {what}: {key}")));
        }
        let names = |keys: &[Key<'_>]| keys.iter().map(plan::key_json).collect::<Vec<_>>();
        self.set(
            "backup",
            json!({
                "path": path.exact(),
                "whole": true,
                "count": backup.keys.len(),
                "only_in_backup": names(&found.only_second),
                "other_in_backup": names(&found.other),
                "only_in_source": names(&found.only_first),
            }),
        );
        let blocks = found.second_has_more() && !args.ignore_backup;
        if blocks {
            out.line(format_args!(
                "REFUSED until you choose: import only {} with --ignore-backup, or import {shown} instead of it or after \
                 it, by its own path",
                args.src.shown()
            ));
        }
        blocks
    }

    /// Checks that a copy, as read back from its volume, has every key.
    pub(super) fn check(
        &mut self,
        path: &Path,
        reread: &Keyring,
        wanted: &[Wanted],
        out: &mut Output,
    ) -> bool {
        let is_there = |(name, key_type, digest): &&Wanted| {
            let same = reread.fetch(&name.as_ref(), |key| {
                key.key_type == key_type && Sha256::digest(key.data)[..] == digest[..]
            });
            same == Some(true)
        };
        let mut lost = 0;
        for (name, ..) in wanted.iter().filter(|w| !is_there(w)) {
            lost += 1;
            out.line(format_args!(
                "FAILED   {}: key {name} is missing or differs from the imported one",
                path.shown()
            ));
        }
        let verified = self.0["count"]["verified"].as_u64().map_or(usize::MAX, |n| n as usize);
        self.set_count("verified", verified.min(wanted.len() - lost));
        lost == 0
    }

    /// Reports whether the source is still as it was read.
    pub(super) fn check_source(&mut self, args: &Args, unchanged: bool, out: &mut Output) -> bool {
        if !unchanged {
            out.line(format_args!(
                "FAILED   {} has changed during the import: a server still uses it. Stop that server and import again",
                args.src.shown()
            ));
        }
        self.set("source_changed", !unchanged);
        unchanged
    }

    /// Reports success.
    pub(super) fn success(
        &self,
        args: &Args,
        plan: &ImportPlan<'_>,
        paths: &[PathBuf],
        keyring: &Keyring,
        out: &mut Output,
    ) {
        let new = plan.rows.iter().filter(|row| matches!(row.fate, Fate::New(..))).count();
        let paths: Vec<_> = paths.iter().map(|path| path.shown()).collect();
        out.line(format_args!(
            "imported {}: the keyring now holds {}",
            counted(new, "key"),
            counted(keyring.len(), "key")
        ));
        let src = args.src.shown();
        let all = match plan.rows.len() {
            1 => format!("the 1 key of {src} is"),
            n => format!("all {n} keys of {src} are"),
        };
        out.line(format_args!("verified: {all} in {} (SHA-256 compared)", paths.join(" and ")));
        if args.from != Format::PerconaEncryptedFile {
            out.line(format_args!(
                "{} holds these keys unencrypted. Once the server has started and read its data with the new keyring, \
                 rotate the master keys, then destroy this file and every copy of it",
                args.src.shown()
            ));
        }
    }
}
