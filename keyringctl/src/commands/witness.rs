// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl witness`: shows which keyring a data directory last used, or accepts another one.

use super::consent::{Consent, Decision, Effect, Plan};
use super::copies::{self, Copies};
use super::output::{Output, counted, stderr_report};
use super::verdict::Verdict;
use super::{secret, site};
use crate::error::{Error, Result};
use crate::show::{Shown, exact_paths};
use crate::tablespace::{self, DataFileKind, Depth, FileReport, FileState};
use keyring_external::keyring::{Keyring, witness_claims};
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::witness::WITNESS_NAME;
use rustix::process::{Flock, FlockType, fcntl_getlk};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most files of which it is not known what they need that the table names.
const MOST_UNKNOWN: usize = 10;

/// Show which keyring a data directory last used, or accept an older or different keyring for it
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show which keyring and generation this data directory last used
    Show {
        /// The server's data directory [default: that of the server on this host]
        #[arg(long, value_name = "DIR")]
        datadir: Option<PathBuf>,
        #[command(flatten)]
        site: site::Parts,
    },
    /// Accept this keyring for the data directory, although it is older than the last one or a different one
    #[command(after_help = "The server must be stopped. Examples:\n  \
        keyringctl witness accept\n  \
        keyringctl witness accept /mnt/keyring/keys/main.keyring --datadir /var/lib/mysql --unlock file:/etc/mysql/keyring.secret")]
    Accept {
        /// Keyring file [default: all copies of the server on this host, and its unlock source]
        #[arg(value_name = "KEYRING")]
        path: Option<PathBuf>,
        /// The server's data directory [default: that of the server on this host]
        #[arg(long, value_name = "DIR")]
        datadir: Option<PathBuf>,
        #[command(flatten)]
        site: site::Parts,
        #[command(flatten)]
        secret: secret::Args,
        /// Accept it even though files in the data directory need keys that it does not have: they stay unreadable
        #[arg(long)]
        accept_missing_keys: bool,
        #[command(flatten)]
        consent: Consent,
    },
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    match &args.command {
        Command::Show { datadir, site } => {
            let datadir = &copies::datadir(datadir.as_deref(), site)?;
            let seen = witness_claims(&fs, datadir)?;
            match &seen {
                Some(w) => out.line(format_args!(
                    "{} was last used with keyring {}, generation {}",
                    datadir.shown(),
                    w.id,
                    w.generation
                )),
                None => out.line(match unreadable(datadir) {
                    Some(path) => damaged(&path),
                    None => format!(
                        "there is no witness in {}: the keyring that it last used is not known",
                        datadir.shown()
                    ),
                }),
            }
            out.document(&json!({ "datadir": datadir.exact(), "witness": seen.map(|w| json!({ "id": w.id, "generation": w.generation })) }));
            Ok(if seen.is_some() { Verdict::Fine } else { Verdict::NotFine })
        }
        Command::Accept { path, datadir, site, secret, accept_missing_keys, consent } => {
            let datadir = &copies::datadir(datadir.as_deref(), site)?;
            refuse_while_in_use(datadir)?;
            let seen = witness_claims(&fs, datadir)?;
            // A copy that is named is meant as it is, whatever other copies hold.
            let copies = match path {
                Some(path) => Copies::named(std::slice::from_ref(path), secret),
                None => copies::of_server(site, Some(datadir), secret)?,
            };
            let (mut keyring, _) = copies.load(&fs)?;
            let status = keyring.status();
            let needs = Needs::new(datadir, &keyring)?;
            let this = format!(
                "keyring {}, generation {}, {}",
                status.id,
                status.generation,
                counted(status.keys, "key")
            );
            let last = match (&seen, unreadable(datadir)) {
                (Some(w), _) => format!("keyring {}, generation {}", w.id, w.generation),
                (None, Some(_)) => "damaged: the last keyring is not known".to_owned(),
                (None, None) => "there is none".to_owned(),
            };
            let mut plan = Plan::new(needs.question());
            plan.effect(Effect::new(format!("witness in {}", datadir.shown()), last, this));
            needs.show(&mut plan);
            plan.detail(
                "keyring",
                json!({ "id": status.id, "generation": status.generation, "keys": status.keys }),
            );
            plan.detail("witness", json!(seen.map(|w| json!({ "id": w.id, "generation": w.generation }))));
            if !needs.missing.is_empty() && !accept_missing_keys {
                plan.show(consent, out);
                return Err(Error::Usage(format!(
                    "nothing was accepted: files in {} need {} that {} does not have. Find the copy that has {}: run \
                     keyringctl verify COPY --datadir {}{} with each. Only if no copy has {} and you give those files up, \
                     add --accept-missing-keys",
                    datadir.shown(),
                    counted(needs.missing.len(), "key"),
                    copies.first().shown(),
                    them(needs.missing.len()),
                    datadir.shown(),
                    copies.secret.option(),
                    them(needs.missing.len()),
                )));
            }
            if consent.ask(&plan, out)? == Decision::DryRun {
                return Ok(Verdict::Fine);
            }
            // The server may have been started while the question was open.
            refuse_while_in_use(datadir)?;
            keyring.write_witness(&fs, datadir, stderr_report)?;
            out.line(format_args!(
                "Accepted: the witness in {} now records keyring {}, generation {}",
                datadir.shown(),
                status.id,
                status.generation
            ));
            out.line("Next: start the server, and read in its error log whether it could decrypt everything");
            Ok(Verdict::Fine)
        }
    }
}

fn them(keys: usize) -> &'static str {
    if keys == 1 { "it" } else { "them" }
}

/// Which master keys the files of a data directory need, as far as the keyring does not have them.
struct Needs {
    datadir: PathBuf,
    /// How many different keys the files need.
    needed: usize,
    /// The keys that the keyring lacks, or has with other bytes, each with the files that need it.
    missing: BTreeMap<(String, FileState), Vec<PathBuf>>,
    /// Files and directories of which it is not known what they need.
    unknown: Vec<FileReport>,
}

impl Needs {
    fn new(datadir: &Path, keyring: &Keyring) -> Result<Needs> {
        let mut needs =
            Needs { datadir: datadir.to_owned(), needed: 0, missing: BTreeMap::new(), unknown: Vec::new() };
        let mut keys = BTreeSet::new();
        let found = tablespace::find(&[datadir.to_owned()]);
        for file in tablespace::check(&found, keyring, Depth::OnePage, &mut |_, _| {}) {
            // Doublewrite files hold old copies of pages.
            let key = file.key.clone().filter(|_| file.kind != DataFileKind::Doublewrite);
            keys.extend(key.clone());
            match (file.state, key) {
                (FileState::Unreadable, _) => {
                    return Err(Error::Usage(format!(
                        "nothing was accepted: cannot read {}: {}",
                        file.path.shown(),
                        file.notes.join("; ")
                    )));
                }
                (FileState::KeyMissing | FileState::WrongKey, Some(key)) => {
                    needs.missing.entry((key, file.state)).or_default().push(file.path);
                }
                (FileState::NotChecked | FileState::Damaged, _) => needs.unknown.push(file),
                _ => {}
            }
        }
        needs.needed = keys.len();
        Ok(needs)
    }

    fn question(&self) -> String {
        let mut question = "Accept this keyring for the data directory?".to_owned();
        if !self.missing.is_empty() {
            question += &format!(
                " It does not decrypt the data that needs the {}.",
                counted(self.missing.len(), "missing key")
            );
        }
        if !self.unknown.is_empty() {
            question +=
                &format!(" Whether it decrypts {} is not known.", counted(self.unknown.len(), "other file"));
        }
        question
    }

    fn show(&self, plan: &mut Plan) {
        for ((key, state), files) in &self.missing {
            let first = files.first().map_or_else(String::new, |file| file.shown());
            let now = format!("needed by {}, such as {first}", counted(files.len(), "file"));
            let afterwards = match state {
                FileState::WrongKey => "the keyring has other bytes under this name: not decrypted",
                _ => "missing in the keyring: not decrypted",
            };
            plan.effect(Effect::new(format!("key {key}"), now, afterwards));
        }
        for file in self.unknown.iter().take(MOST_UNKNOWN) {
            plan.effect(Effect::new(
                file.path.shown(),
                format!("{}: {}", file.state.name(), file.notes.join("; ")),
                "not known whether it can be decrypted",
            ));
        }
        let more = self.unknown.len().saturating_sub(MOST_UNKNOWN);
        if more > 0 {
            plan.effect(Effect::new(
                format!("{more} more"),
                "not checked or damaged: --json lists them",
                "not known whether they can be decrypted",
            ));
        }
        if self.missing.is_empty() {
            let files = format!("checked files in {}", self.datadir.shown());
            plan.note(match self.needed {
                0 => format!("The {files} need no master key."),
                needed => format!("This keyring has every master key that the {files} need ({needed})."),
            });
        }
        let paths: Vec<_> = self.unknown.iter().map(|file| file.path.clone()).collect();
        let missing = self
            .missing
            .iter()
            .map(|((key, state), files)| json!({ "key": key, "state": state, "files": exact_paths(files) }));
        plan.detail("needed", json!(self.needed));
        plan.detail("not_checked", json!(exact_paths(&paths)));
        plan.detail("missing", missing.collect());
    }
}

/// Says that the witness at this path is damaged.
pub(super) fn damaged(path: &Path) -> String {
    format!(
        "{} is damaged or not a witness: it is not known which keyring the data directory last used. The server logs a \
         warning when it starts, and replaces the file when it uses the keyring",
        path.shown()
    )
}

/// The path of the witness, if it exists. Called when it cannot be read as one.
fn unreadable(datadir: &Path) -> Option<PathBuf> {
    Some(datadir.join(WITNESS_NAME)).filter(|path| path.exists())
}

/// Refuses while a server runs on the data directory, because it would overwrite the accepted witness. InnoDB locks its
/// system tablespace while it runs; a tablespace with another path or name is not found.
fn refuse_while_in_use(datadir: &Path) -> Result<()> {
    let path = datadir.join("ibdata1");
    let Ok(file) = File::open(&path) else { return Ok(()) };
    // Any lock on any part of the file conflicts with this one.
    let lock = Flock::from(FlockType::WriteLock);
    match fcntl_getlk(&file, &lock) {
        Ok(Some(held)) => {
            let by = held.pid.map_or_else(String::new, |pid| format!(" (process {})", pid.as_raw_nonzero()));
            Err(Error::Usage(format!(
                "nothing was accepted: a server is running on {} and has locked {}{by}. Stop the server first",
                datadir.shown(),
                path.shown()
            )))
        }
        // A filesystem that does not support locks has none.
        Ok(None) | Err(_) => Ok(()),
    }
}
