// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl witness`: shows which keyring a data directory last used, or accepts another one.

use super::consent::{Consent, Decision, Effect, Plan};
use super::copies;
use super::needs::{LOG_LACKS_KEY, NAME_LOG, Needs, Unnamed};
use super::output::{Output, counted, stderr_report};
use super::redo_directory::also_options;
use super::status::{self, copy_status};
use super::verdict::Verdict;
use super::{redo_directory, secret, site};
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::show::Shown;
use crate::tablespace::{self, Shutdown};
use keyring_external::audit::{Event, EventKind};
use keyring_external::keyring::witness_claims;
use keyring_external::store::witness::WITNESS_NAME;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Show which keyring a data directory last used, or accept an older or different keyring for it
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show which keyring and generation this data directory last used
    #[command(after_help = "Example: keyringctl witness show --datadir /var/lib/mysql")]
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
        keyringctl witness accept /mnt/keyring/keys/main.keyring --datadir /var/lib/mysql --unlock file:/etc/mysql/keyring_external.secret")]
    Accept {
        /// Keyring file [default: all copies of the server on this host, and its unlock source]
        #[arg(value_name = "KEYRING")]
        path: Option<PathBuf>,
        /// The server's data directory [default: that of the server on this host]
        #[arg(long, value_name = "DIR")]
        datadir: Option<PathBuf>,
        /// Additional directory with files of the server, such as innodb_log_group_home_dir or a table's DATA DIRECTORY
        /// (repeatable)
        #[arg(long, value_name = "DIR")]
        also: Vec<PathBuf>,
        #[command(flatten)]
        site: site::Parts,
        #[command(flatten)]
        secret: secret::Args,
        /// Accept it even though files in the data directory need keys that it does not have, which stay unreadable, or
        /// the redo log of a server that was not shut down cleanly may need such keys, or the redo log is lost
        #[arg(long)]
        accept_missing_keys: bool,
        #[command(flatten)]
        consent: Consent,
    },
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let places = store_places();
    match &args.command {
        Command::Show { datadir, site } => {
            let datadir = &copies::datadir(datadir.as_deref(), site)?;
            places.fs().meta(datadir).map_err(|e| Error::io("look at", datadir, e))?;
            let seen = witness_claims(places.fs(), datadir)?;
            match &seen {
                Some(w) => out.line(format_args!(
                    "{} was last used with keyring {}, generation {}",
                    datadir.shown(),
                    w.id,
                    w.generation
                )),
                None => out.line(match unreadable(datadir) {
                    Some(path) => copy_status::damaged_witness(&path),
                    None => format!(
                        "there is no witness in {}: the keyring that it last used is not known",
                        datadir.shown()
                    ),
                }),
            }
            out.document(&json!({ "datadir": datadir.exact(), "witness": seen.map(|w| json!({ "id": w.id, "generation": w.generation })) }));
            Ok(if seen.is_some() { Verdict::Fine } else { Verdict::NotFine })
        }
        Command::Accept { path, datadir, also, site, secret, accept_missing_keys, consent } => {
            let datadir = &copies::datadir(datadir.as_deref(), site)?;
            refuse_while_in_use(datadir)?;
            let seen = witness_claims(places.fs(), datadir)?;
            // A copy that is named is meant as it is, whatever other copies hold.
            let copies = match path {
                Some(path) => copies::named(site, std::slice::from_ref(path), secret),
                None => copies::of_server(site, Some(datadir), secret)?,
            };
            let (mut keyring, _) = copies.load()?;
            let status = keyring.status();
            let also = &redo_directory::with_configured(also, site, datadir);
            let needs = Needs::new(datadir, also, &keyring)
                .map_err(|e| Error::Usage(format!("nothing was accepted: {e}")))?;
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
            let unnamed = needs.unnamed(status::heard(keyring.check_witness(places.fs(), datadir))?.0);
            needs.show(&mut plan, unnamed);
            plan.detail(
                "keyring",
                json!({ "id": status.id, "generation": status.generation, "keys": status.keys }),
            );
            plan.detail("witness", json!(seen.map(|w| json!({ "id": w.id, "generation": w.generation }))));
            if !needs.missing.is_empty() && !accept_missing_keys {
                plan.show(consent, out);
                let give_up = match needs.lacks_for_log() {
                    true => {
                        format!(
                            "restore a backup of the data. {LOG_LACKS_KEY}: --accept-missing-keys does not change that"
                        )
                    }
                    false => "and you give those files up, add --accept-missing-keys".to_owned(),
                };
                return Err(Error::Usage(format!(
                    "nothing was accepted: files in {} need {} that {} does not have. Find the copy that has {}: run \
                     keyringctl verify COPY --datadir {}{}{} with each. Only if no copy has {}{} {give_up}",
                    datadir.shown(),
                    counted(needs.missing.len(), "key"),
                    copies.first().shown(),
                    them(needs.missing.len()),
                    datadir.shown(),
                    also_options(also),
                    copies.secret.option(),
                    them(needs.missing.len()),
                    if needs.lacks_for_log() { "," } else { "" },
                )));
            }
            if let Some(unnamed) = unnamed
                && !accept_missing_keys
            {
                plan.show(consent, out);
                return Err(Error::Usage(format!(
                    "nothing was accepted: {}. {}",
                    unnamed.text(datadir),
                    next_if_unnamed(unnamed)
                )));
            }
            if consent.ask(&plan, out)? == Decision::DryRun {
                return Ok(Verdict::Fine);
            }
            // The server may have been started while the question was open.
            refuse_while_in_use(datadir)?;
            keyring.write_witness(places.fs(), datadir, stderr_report)?;
            keyring.record(&Event::new(EventKind::WitnessAccepted).with("datadir", datadir.exact()));
            out.line(format_args!(
                "Accepted: the witness in {} now records keyring {}, generation {}",
                datadir.shown(),
                status.id,
                status.generation
            ));
            out.line(match needs.lacks_for_log() {
                true => format!("{LOG_LACKS_KEY}: restore a backup of the data"),
                false => {
                    "Next: start the server, and read in its error log whether it could decrypt everything"
                        .to_owned()
                }
            });
            Ok(Verdict::Fine)
        }
    }
}

/// What to do if the files may need keys that none of them names.
fn next_if_unnamed(unnamed: Unnamed) -> String {
    match unnamed {
        Unnamed::InUse | Unnamed::NotShutDown => {
            "Find the newest copy of the keyring: keyringctl which names it. Start the server with that copy and shut it down; \
             then this copy can be compared with the files. Only if there is no newer copy, add --accept-missing-keys: the \
             server may not start then, and its data is lost unless you have a backup of it"
                .to_owned()
        }
        Unnamed::NoLog => format!(
            "{NAME_LOG}: restore a backup of the data. Only if you know that it was shut down cleanly, add \
             --accept-missing-keys"
        ),
        Unnamed::LogNotRead => "keyringctl drill shows whether a server recovers. Add --accept-missing-keys only with a copy \
             of the data directory at hand: the server may not start then"
            .to_owned(),
    }
}

fn them(keys: usize) -> &'static str {
    if keys == 1 { "it" } else { "them" }
}

/// The path of the witness, if it exists. Called when it cannot be read as one.
pub(super) fn unreadable(datadir: &Path) -> Option<PathBuf> {
    Some(datadir.join(WITNESS_NAME)).filter(|path| path.exists())
}

/// Refuses while a server runs on the data directory, because it would overwrite the accepted witness.
fn refuse_while_in_use(datadir: &Path) -> Result<()> {
    let found = tablespace::find(&[datadir.to_owned()]);
    let Shutdown::Running { locked, process } = tablespace::shutdown(datadir, &found) else { return Ok(()) };
    let by = process.map_or_else(String::new, |process| format!(" (process {process})"));
    Err(Error::Usage(format!(
        "nothing was accepted: a server is running on {} and has locked {}{by}. Stop the server first",
        datadir.shown(),
        locked.shown()
    )))
}
