// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl witness`: shows which keyring a data directory last used, or accepts another one.

use super::output::{Output, counted, stderr_report};
use super::secret;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::{Shown, exact_paths};
use crate::tablespace::{self, FileState, NeededKeys};
use keyring_external::error::Failure;
use keyring_external::keyring::witness_claims;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::witness::WITNESS_NAME;
use rustix::process::{Flock, FlockType, fcntl_getlk};
use serde_json::json;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        /// The server's data directory
        #[arg(long, value_name = "DIR")]
        datadir: PathBuf,
    },
    /// Accept this keyring for the data directory, although it is older than the last one or a different one
    #[command(after_help = "The server must be stopped. Example:\n  \
        keyringctl witness accept /mnt/keyring/keys/main.keyring --datadir /var/lib/mysql --unlock file:/etc/mysql/keyring.secret")]
    Accept {
        /// Keyring file
        path: PathBuf,
        /// The server's data directory
        #[arg(long, value_name = "DIR")]
        datadir: PathBuf,
        #[command(flatten)]
        secret: secret::Args,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    match &args.command {
        Command::Show { datadir } => {
            let seen = witness_claims(&fs, datadir)?;
            match &seen {
                Some(w) => out.line(format_args!(
                    "{} was last used with keyring {}, generation {}",
                    datadir.shown(),
                    w.id,
                    w.generation
                )),
                None => out.line(match unreadable(datadir) {
                    Some(path) => format!(
                        "{} is damaged or not a witness: it is not known which keyring the data directory last used. The \
                         server logs a warning when it starts, and replaces the file when it uses the keyring",
                        path.shown()
                    ),
                    None => format!(
                        "there is no witness in {}: the keyring that it last used is not known",
                        datadir.shown()
                    ),
                }),
            }
            out.document(&json!({ "datadir": datadir.exact(), "witness": seen.map(|w| json!({ "id": w.id, "generation": w.generation })) }));
            Ok(if seen.is_some() { Verdict::Fine } else { Verdict::NotFine })
        }
        Command::Accept { path, datadir, secret, yes } => {
            refuse_while_in_use(datadir)?;
            let seen = witness_claims(&fs, datadir)?;
            let (mut keyring, _) = secret.load(&fs, path)?;
            let status = keyring.status();
            let needed = needed_keys(datadir)?;
            let missing: Vec<_> =
                needed.keys.iter().filter(|(id, _)| !keyring.has_instance_key(id)).collect();
            out.line(format_args!(
                "this keyring:        {}, generation {}, {}",
                status.id,
                status.generation,
                counted(status.keys, "key")
            ));
            match &seen {
                Some(w) => {
                    out.line(format_args!("last used keyring:   {}, generation {}", w.id, w.generation))
                }
                None => out.line(match unreadable(datadir) {
                    Some(path) => format!("last used keyring:   not known, {} is damaged", path.shown()),
                    None => "last used keyring:   none (there is no witness)".to_owned(),
                }),
            }
            if missing.is_empty() {
                out.line(format_args!(
                    "this keyring has every master key that the files in {} need ({})",
                    datadir.shown(),
                    needed.keys.len()
                ));
            }
            for file in &needed.unknown {
                out.line(format_args!("NOT CHECKED {}: {}", file.path.shown(), file.notes.join("; ")));
            }
            for (id, files) in &missing {
                out.line(format_args!(
                    "MISSING {id}, needed by {}, such as {}",
                    counted(files.len(), "file"),
                    files.first().map_or_else(String::new, |f| f.shown())
                ));
            }
            out.document(&json!({
                "keyring": { "id": status.id, "generation": status.generation, "keys": status.keys },
                "witness": seen.map(|w| json!({ "id": w.id, "generation": w.generation })),
                "needed": needed.keys.len(),
                "not_checked": exact_paths(&needed.unknown.iter().map(|file| file.path.clone()).collect::<Vec<_>>()),
                "missing": missing.iter().map(|(id, files)| json!({ "key": id, "files": exact_paths(files) })).collect::<Vec<_>>(),
            }));
            if !yes {
                confirm(out, missing.len())?;
            }
            // The server may have been started while the question was open.
            refuse_while_in_use(datadir)?;
            keyring.write_witness(&fs, datadir, stderr_report)?;
            out.line("accepted: the server will start with this keyring");
            Ok(Verdict::Fine)
        }
    }
}

/// Finds out which master keys the files of a data directory need.
fn needed_keys(datadir: &Path) -> Result<NeededKeys> {
    let needed = tablespace::master_keys(&tablespace::find(&[datadir.to_owned()]));
    match needed.unknown.iter().find(|file| file.state == FileState::Unreadable) {
        Some(file) => {
            Err(Error::Usage(format!("cannot read {}: {}", file.path.shown(), file.notes.join("; "))))
        }
        None => Ok(needed),
    }
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

/// Asks for confirmation on a terminal.
fn confirm(out: &mut Output, missing: usize) -> Result<()> {
    let refused = |why: &str| Error::Usage(format!("nothing was accepted: {why}"));
    if !io::stdin().is_terminal() {
        return Err(refused("cannot prompt: no terminal. Read the above and add --yes"));
    }
    out.flush_text();
    let lost = if missing > 0 {
        format!(" It cannot decrypt data that needs the {}.", counted(missing, "missing key"))
    } else {
        String::new()
    };
    let question = format!("Accept this keyring for the data directory?{lost} [yes/no]: ");
    let _ = io::stderr().write_all(question.as_bytes());
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::System)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(refused("the answer was not yes")) }
}
