// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl audit verify`.

use super::of_log::{VerifiedLog, known, of_files, of_log};
use super::read;
use super::words::{document, next_steps, not_checked, of_this_log, shown, text};
use crate::commands::audit_trail;
use crate::commands::copies::{self, Copies, Purpose};
use crate::commands::output::{Output, counted};
use crate::commands::secret::{self, UNNAMED};
use crate::commands::store_places::store_places;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::audit::verify::{Known, Trouble, Verification};
use keyring_external::config::is_remote;
use keyring_external::format::audit_key::AuditKey;
use keyring_external::format::header::MAGIC;
use keyring_external::keyring::{Keyring, inspect};
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Verify the audit log: which lines were changed, are missing, were moved, or were cut at the end
///
/// Without arguments, it verifies the log of the server on this host with all files that a rotation has renamed, and
/// compares it with the server's keyring. FILE is a file of a log (also one that gzip has compressed), or the keyring. The
/// files may be given in any order.
///
/// With the secret of the keyring, the MAC of each line is checked, also of those from before a renewal of the data key.
/// Without it, only the hashes that chain the lines are: somebody who could write to the log may have made a chain of
/// their own.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl audit verify\n  keyringctl audit verify /var/log/mysql/keyring_external.audit.log.1 /var/log/mysql/keyring_external.audit.log /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring_external.secret\n  keyringctl audit verify audit.log --without-secret\n  keyringctl audit verify --earlier-copy /backup/main.keyring\n\nExit codes: 0 nothing is wrong with the log, 1 lines were changed, moved or are missing, a .gz file cannot be unpacked, or the keyring was refused, 2 a file could not be read, nothing else is wrong but lines could not be checked, or wrong arguments."
)]
pub(super) struct Args {
    /// File of the log, or the keyring (repeatable) [default: those of the server on this host]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    others: copies::Others,
    #[command(flatten)]
    secret: secret::Args,
    /// Check only the chain of hashes, and what the keyring claims without its secret
    #[arg(long, conflicts_with_all = ["unlock", "recovery"])]
    without_secret: bool,
    /// Older copy or backup of the same keyring, from before a renewal of the data key that the log does not know of
    /// (repeatable). Its key checks lines from before that renewal, and no others
    #[arg(long, value_name = "FILE", conflicts_with = "without_secret")]
    earlier_copy: Vec<PathBuf>,
    /// Source of the secret of the older copies [default: as for the keyring]
    #[arg(long, value_name = "SOURCE", requires = "earlier_copy")]
    earlier_unlock: Option<UnlockSource>,
}

/// What the log is verified with.
struct Opened {
    known: Known,
    keyring: Option<PathBuf>,
    /// The option that names its secret.
    secret: String,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let (keyrings, files): (Vec<_>, Vec<_>) = args.files.iter().cloned().partition(|path| is_keyring(path));
    let ([] | [_]) = &keyrings[..] else {
        return Err(Error::Usage("name one keyring; its other copies with --mirror".to_owned()));
    };
    let opened = args.open(keyrings.first(), !files.is_empty())?;
    let again;
    let found = if files.is_empty() {
        let log = audit_trail::path().ok_or_else(|| {
            Error::Usage(
                "no audit log is configured for the server on this host. Name the files of the log, or --audit-log FILE"
                    .to_owned(),
            )
        })?;
        again = of_this_log(&log);
        let found = of_log(&log, &opened.known)?;
        if found.files.is_empty() {
            return Err(Error::Usage(format!("there is no audit log at {}", log.shown())));
        }
        found
    } else {
        let named = files.iter().chain(&opened.keyring).map(|path| path.shown());
        again = named.collect::<Vec<_>>().join(" ") + &opened.secret;
        of_files(files, &opened.known)?
    };
    let faults: Vec<_> = found.unreadable.iter().map(|index| found.fault_of(*index)).collect();
    let VerifiedLog { files, logs, unreadable, .. } = found;
    let mut fine = !logs.is_empty();
    for (index, fault) in unreadable.iter().zip(&faults) {
        fine = false;
        out.line(format_args!("FAILED   {}: {fault}", shown(&files, *index)));
    }
    if logs.is_empty() && unreadable.is_empty() {
        out.line("FAILED   the log is empty");
    }
    for log in &logs {
        fine &= log.is_fine();
        tell(log, &files, &opened, out);
    }
    let document = json!({
        "keyring": opened.keyring.as_ref().map(|path| path.exact()),
        "with_secret": opened.known.key.is_some(),
        "logs": logs.iter().map(|log| document(log, &files)).collect::<Vec<_>>(),
        "unreadable": unreadable.iter().map(|index| files.get(*index).map(|path| path.exact())).collect::<Vec<_>>(),
        "fine": fine,
    });
    let is_not_checkable =
        |log: &Verification| log.findings.iter().any(|finding| finding.trouble == Trouble::NotCheckable);
    let some_not_checkable = logs.iter().any(is_not_checkable);
    // Whatever else is wrong comes first.
    let only_not_checkable = some_not_checkable
        && unreadable.is_empty()
        && logs.iter().all(|log| log.is_fine() || log.is_only_not_checkable());
    out.line(match (fine, only_not_checkable) {
        (true, _) => "OK",
        (false, true) => "NOT CHECKED",
        (false, false) => "FAILED",
    });
    if !unreadable.is_empty() {
        out.line(
            "put such a file back from a backup of the log; if it is no file of the log, find out who put it there, and move it to \
             another directory",
        );
    }
    if some_not_checkable {
        // A line that covers a log which somebody has changed would only make that look right.
        next_steps(&again)
            .iter()
            .take(if only_not_checkable { 2 } else { 1 })
            .for_each(|step| out.line(step));
    } else if logs.iter().flat_map(|log| &log.remarks).any(|remark| remark.trouble == Trouble::NeverChecked) {
        out.line(&next_steps(&again)[0]);
    }
    let is_changed =
        |log: &Verification| log.findings.iter().any(|finding| finding.trouble == Trouble::Changed);
    if !opened.known.earlier.is_empty() && logs.iter().any(is_changed) {
        out.line(
            "if the data key was renewed more than once without this log, lines from between count as changed: name a copy \
             from each time between too (--earlier-copy)",
        );
    }
    out.document(&document);
    match (fine, only_not_checkable) {
        (true, _) => Ok(Verdict::Fine),
        (false, true) => Err(Error::Usage(NOT_CHECKABLE.to_owned())),
        (false, false) => Ok(Verdict::NotFine),
    }
}

const NOT_CHECKABLE: &str = "lines of the audit log cannot be checked, because no key for them is known";

impl Args {
    /// Opens the keyring, unless there is none to compare with, or only claims are wanted.
    fn open(&self, keyring: Option<&PathBuf>, has_files: bool) -> Result<Opened> {
        let none = Opened { known: Known::default(), keyring: None, secret: String::new() };
        if keyring.is_none()
            && self.earlier_copy.is_empty()
            && has_files
            && !self.secret.is_given()
            && self.others.mirrors.is_empty()
        {
            return Ok(none);
        }
        let purpose = if self.without_secret { Purpose::ReadFront } else { Purpose::Read };
        let copies = self.others.find(keyring, &self.secret, purpose)?;
        let first = Some(copies.first().to_owned());
        if self.without_secret {
            let claims = inspect(&store_places(), copies.first())?;
            let note = claims.commit.and_then(|commit| commit.note);
            let generation = claims.commit.map(|commit| commit.generation);
            return Ok(Opened {
                known: Known { keyring: Some(claims.header.id), note, generation, ..Known::default() },
                keyring: first,
                secret: UNNAMED.to_owned(),
            });
        }
        // The log that is verified gets no line of this.
        let (keyring, _) = copies.open()?;
        let earlier = self.earlier_keys(&keyring, &copies)?;
        let known = Known { earlier, ..known(&keyring)? };
        Ok(Opened { known, keyring: first, secret: copies.secret.option() })
    }

    /// The audit keys of the older copies of this keyring.
    fn earlier_keys(&self, keyring: &Keyring, copies: &Copies) -> Result<Vec<AuditKey>> {
        let secret = match &self.earlier_unlock {
            Some(source) => secret::Args { unlock: Some(source.clone()), ..secret::Args::default() },
            None => copies.secret.clone(),
        };
        let key_of = |path: &PathBuf| {
            let (earlier, _) = Copies::named(std::slice::from_ref(path), &secret).open()?;
            if earlier.id() == keyring.id() {
                return Ok(earlier.audit_key()?);
            }
            Err(Error::Usage(format!(
                "{} is a copy of another keyring ({}, this one is {}): name an older copy of this one",
                path.shown(),
                earlier.id(),
                keyring.id()
            )))
        };
        self.earlier_copy.iter().map(key_of).collect()
    }
}

/// Whether a file is a keyring and no log. A log is text.
fn is_keyring(path: &Path) -> bool {
    let mut begin = Vec::new();
    is_remote(path)
        || read::open(path).is_ok_and(|file| file.take(MAGIC.len() as u64).read_to_end(&mut begin).is_ok())
            && begin == MAGIC
}

fn tell(log: &Verification, files: &[PathBuf], opened: &Opened, out: &mut Output) {
    let of = Uuid::from_bytes(log.log);
    let lines = counted(log.counts.lines, "line");
    match &log.range {
        Some((first, last)) => out.line(format_args!(
            "log {of}: {lines}, {} to {}, {} to {}",
            first.seq, last.seq, first.time, last.time
        )),
        None => out.line(format_args!("log {of}: {lines}, none of which can be relied on")),
    }
    if opened.known.key.is_some() {
        let more = [(log.counts.without_mac, "without a MAC"), (not_checked(log), "not checked")];
        let more = more.iter().filter(|(count, _)| *count > 0);
        let more: String = more.map(|(count, how)| format!(", {count} {how}")).collect();
        out.line(format_args!(
            "  {} checked by MAC, {} by the hash in the next line{more}",
            log.counts.authentic, log.counts.by_chain
        ));
    } else {
        out.line(
            "  checked only by the hashes in the lines: without the keyring's secret, it is not known who wrote them, and \
             a change of the last line may not show",
        );
    }
    match (&opened.known.note, log.compared_with_note) {
        (_, true) => out.line("  compared with the note in the keyring"),
        (Some(_), false) => out.line("  not compared with a note: the keyring notes another log"),
        (None, false) if opened.keyring.is_some() => {
            out.line("  not compared with a note: the keyring notes no log. Lines that were cut at the end do not show");
        }
        (None, false) => {
            out.line("  not compared with a keyring: lines that were cut at the end do not show. Name the keyring too");
        }
    }
    for finding in &log.findings {
        let level = if finding.trouble == Trouble::NotCheckable { "UNKNOWN " } else { "FAILED  " };
        out.line(format_args!("{level} {}", text(finding, files)));
    }
    for remark in &log.remarks {
        out.line(format_args!("note     {}", text(remark, files)));
    }
}
