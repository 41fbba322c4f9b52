// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl witness`: shows the witness in a data directory, or accepts a keyring that it contradicts.

use super::output::{Output, counted, stderr_report};
use super::secret;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::tablespace;
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

/// Show the witness of a data directory, or accept a keyring that it contradicts
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show which keyring and generation the data directory was used with
    Show {
        /// The server's data directory
        #[arg(long, value_name = "DIR")]
        datadir: PathBuf,
    },
    /// Accept this keyring for the data directory, although it is older or another one
    #[command(after_help = "The server must be stopped. Example:\n  \
        keyringctl witness accept /mnt/keyring/keys/main.keyring --datadir /var/lib/mysql --unlock file:/etc/mysql/keyring.secret")]
    Accept {
        /// The keyring file
        path: PathBuf,
        /// The server's data directory
        #[arg(long, value_name = "DIR")]
        datadir: PathBuf,
        #[command(flatten)]
        secret: secret::Args,
        /// Do not ask
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
                    datadir.display(),
                    w.id,
                    w.generation
                )),
                None => out.line(match unreadable(datadir) {
                    Some(path) => format!(
                        "{} is damaged, or no witness: the server warns of it when it starts, and replaces it when the \
                         keyring is used. What it has seen can't be told",
                        path.display()
                    ),
                    None => format!("there is no witness in {}", datadir.display()),
                }),
            }
            out.document(&json!({ "datadir": datadir, "witness": seen.map(|w| json!({ "id": w.id, "generation": w.generation })) }));
            Ok(if seen.is_some() { Verdict::Fine } else { Verdict::NotFine })
        }
        Command::Accept { path, datadir, secret, yes } => {
            refuse_while_in_use(datadir)?;
            let seen = witness_claims(&fs, datadir)?;
            let (mut keyring, _) = secret.load(&fs, path)?;
            let status = keyring.status();
            let needed = tablespace::master_keys(datadir)?;
            let missing: Vec<_> = needed.iter().filter(|(id, _)| !keyring.has_instance_key(id)).collect();
            out.line(format_args!(
                "this keyring:        {}, generation {}, {}",
                status.id,
                status.generation,
                counted(status.keys, "key")
            ));
            match &seen {
                Some(w) => {
                    out.line(format_args!("the witness has seen: {}, generation {}", w.id, w.generation))
                }
                None => out.line(match unreadable(datadir) {
                    Some(path) => format!("the witness has seen: not known, {} is damaged", path.display()),
                    None => "the witness has seen: nothing, there is none".to_owned(),
                }),
            }
            if missing.is_empty() {
                out.line(format_args!(
                    "all {} master keys that the files in {} need are in it",
                    needed.len(),
                    datadir.display()
                ));
            }
            for (id, files) in &missing {
                out.line(format_args!(
                    "MISSING {id}, needed by {}, such as {}",
                    counted(files.len(), "file"),
                    files.first().map_or_else(String::new, |f| f.display().to_string())
                ));
            }
            out.document(&json!({
                "keyring": { "id": status.id, "generation": status.generation, "keys": status.keys },
                "witness": seen.map(|w| json!({ "id": w.id, "generation": w.generation })),
                "needed": needed.len(),
                "missing": missing.iter().map(|(id, files)| json!({ "key": id, "files": files })).collect::<Vec<_>>(),
            }));
            if !yes {
                confirm(out, missing.len())?;
            }
            // Somebody may have started it while this was asked.
            refuse_while_in_use(datadir)?;
            keyring.accept_for(&fs, datadir, stderr_report)?;
            out.line("accepted: the server will start with it");
            Ok(Verdict::Fine)
        }
    }
}

/// The path of a witness that tells nothing although it is there.
fn unreadable(datadir: &Path) -> Option<PathBuf> {
    Some(datadir.join(WITNESS_NAME)).filter(|path| path.exists())
}

/// Refuses to go on while a server runs on the data directory: it would write its own witness over the accepted one. InnoDB
/// locks its system tablespace as long as it runs. One that is elsewhere or has another name is not found.
fn refuse_while_in_use(datadir: &Path) -> Result<()> {
    let path = datadir.join("ibdata1");
    let Ok(file) = File::open(&path) else { return Ok(()) };
    // A lock on the whole file, of anybody, is in the way of this one.
    let lock = Flock::from(FlockType::WriteLock);
    match fcntl_getlk(&file, &lock) {
        Ok(Some(held)) => {
            let by = held.pid.map_or_else(String::new, |pid| format!(" (process {})", pid.as_raw_nonzero()));
            Err(Error::Usage(format!(
                "nothing was accepted: a server is running on {}, it has locked {}{by}. Stop it first",
                datadir.display(),
                path.display()
            )))
        }
        // Where no locks can be asked for, none is known.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Asks on a terminal.
fn confirm(out: &mut Output, missing: usize) -> Result<()> {
    let refused = |why: &str| Error::Usage(format!("nothing was accepted: {why}"));
    if !io::stdin().is_terminal() {
        return Err(refused("there is no terminal to ask; look at the above and give --yes"));
    }
    out.flush_text();
    let lost = if missing > 0 {
        format!(" Data encrypted with the {} cannot be read with it.", counted(missing, "missing key"))
    } else {
        String::new()
    };
    eprint!("Accept this keyring for the data directory?{lost} [yes/no] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::System)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(refused("the answer was not yes")) }
}
