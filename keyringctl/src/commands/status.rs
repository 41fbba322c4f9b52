// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl status`: shows what keyring files hold, with or without their secret.

mod compare;
pub(super) mod copy_status;

use super::content::Content;
use super::copies::{self, Copies};
use super::hints;
use super::missing::explain;
use super::output::{Output, time};
use super::prometheus::{Labels, Metrics};
use super::secret;
use super::slot_row::SlotRow;
use super::verdict::Verdict;
use crate::commands::store_places::store_places;
use crate::error::Result;
use crate::show::{Shown, warn};
use copy_status::{CopyStatus, Description, WitnessSays, Wrong};
use keyring_external::error::{Error, Failure, Refusal, Result as KeyringResult};
use keyring_external::format::header::ClaimedHeader;
use keyring_external::format::witness::Witness;
use keyring_external::keyring::{Witnessed, check_claims_by_witness, inspect, now, witness_claims};
use keyring_external::store::places::{Places, is_remote};
use keyring_external::store::witness::WITNESS_NAME;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Show id, label, unlock slots and generation of keyring files (needs no secret)
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl status\n  keyringctl status /mnt/a/keys/main.keyring /mnt/b/keys/main.keyring --datadir /var/lib/mysql"
)]
pub(super) struct Args {
    /// Keyring files, the copies of one keyring [default: all copies of the server on this host, and its unlock source]
    #[arg(value_name = "KEYRING")]
    paths: Vec<PathBuf>,
    /// The server's data directory: compare the copies with the keyring that it last used [default: that of the server on
    /// this host, for its copies]
    #[arg(long, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// Print metrics for Prometheus instead (for node_exporter's textfile collector)
    #[arg(long, conflicts_with = "json")]
    prometheus: bool,
    #[command(flatten)]
    secret: secret::Args,
    #[command(flatten)]
    server: copies::ServerArgs,
}

/// What was found out about the copies of a keyring.
pub(super) struct Looked {
    pub copies: Vec<CopyStatus>,
    /// What the witness of the data directory claims.
    pub witness: Option<Witness>,
    /// The data directory, if there is no witness in it.
    pub without_witness: Option<PathBuf>,
    /// The witness, if it is damaged.
    pub damaged_witness: Option<PathBuf>,
    /// Why the first of the copies that could not be read at all could not.
    pub unreadable: Option<Error>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let found = args.server.find_all(&args.paths, args.datadir.as_deref(), &args.secret)?;
    let places = store_places();
    let secret = readable_secret(args, &found);
    let datadir = args.datadir.clone().or_else(|| readable_datadir(&places, &found));
    let Looked { copies, witness, without_witness, damaged_witness, unreadable } =
        look(&places, &found.paths, datadir.as_deref(), &mut secret::Once::new(&secret), false)?;
    let mut verdict = Verdict::Fine;
    for found in &copies {
        print(out, found);
        verdict = verdict.and(if found.fine { Verdict::Fine } else { Verdict::NotFine });
    }
    if copies.len() > 1 {
        let fine = copies.iter().filter(|f| f.fine).count();
        out.line(format_args!("{fine}/{} copies are up to date", copies.len()));
    }
    if let Some(datadir) = without_witness {
        out.line(format_args!(
            "there is no witness in {}: the keyring that it last used is not known",
            datadir.shown()
        ));
    }
    if let Some(path) = damaged_witness {
        out.line(copy_status::damaged_witness(&path));
    }
    out.document(&json!({ "copies": copies }));
    if args.prometheus {
        metrics(&copies, witness.as_ref()).print(out);
    }
    unreadable.map_or(Ok(verdict), |e| Err(e.into()))
}

/// The secret to authenticate the copies with. Nothing needs it: the server's own one is used only if it can be read.
fn readable_secret(args: &Args, found: &Copies) -> secret::Args {
    if args.secret.is_given() || !found.secret.is_given() {
        return args.secret.clone();
    }
    match found.secret.read(found.first()) {
        Ok(_) => found.secret.clone(),
        Err(e) => {
            warn(format_args!("{}. Nothing is authenticated", hints::explained(&e.into())));
            args.secret.clone()
        }
    }
}

/// The data directory of the server with these copies, if its witness can be read.
fn readable_datadir(places: &Places, found: &Copies) -> Option<PathBuf> {
    let datadir = found.datadir.clone()?;
    let looked = places.fs().meta(&datadir).map_err(|e| Error::io("look at", &datadir, e));
    match looked.and_then(|_| witness_claims(places.fs(), &datadir)) {
        Ok(_) => Some(datadir),
        Err(e) => {
            warn(format_args!(
                "{}. The copies are not compared with the witness",
                hints::explained(&e.into())
            ));
            None
        }
    }
}

/// Looks at the copies, and compares them with each other and with the witness in the data directory. `open`: opens each
/// of them, even if the options name no secret.
///
/// # Errors
/// The data directory does not exist, or the secret cannot be read. What is wrong with a copy is in its [`CopyStatus`].
pub(super) fn look(
    places: &Places,
    paths: &[PathBuf],
    datadir: Option<&Path>,
    secret: &mut secret::Once<'_>,
    open: bool,
) -> Result<Looked> {
    if let Some(datadir) = datadir {
        places.fs().meta(datadir).map_err(|e| Error::io("look at", datadir, e))?;
    }
    let witness = datadir.map(|datadir| witness_claims(places.fs(), datadir)).transpose()?.flatten();
    let mut copies = Vec::new();
    let mut unreadable = None;
    let secret_args = secret.args();
    let open = open || secret.is_given();
    for path in paths {
        let found = examine(places, path, datadir, paths, secret, open).or_else(|e| {
            let mut found = CopyStatus::of(path);
            found.fail(Wrong::of(&e), explain(&e, path, paths, secret_args));
            match e {
                // The other copies are still shown.
                Error::Failure(Failure::Io { .. } | Failure::Hung { .. } | Failure::Remote { .. }) => {
                    unreadable.get_or_insert(e);
                }
                Error::BadRequest(_) | Error::Failure(_) => return Err(e),
                Error::Refusal(_) => {}
            }
            Ok(found)
        });
        copies.push(found?);
    }
    compare::all(&mut copies, datadir, secret_args);
    let is_there = |datadir: &&Path| places.fs().meta(&datadir.join(WITNESS_NAME)).is_ok();
    // A damaged witness claims nothing.
    let unknown = datadir.filter(|_| witness.is_none());
    let damaged_witness = unknown.filter(is_there).map(|datadir| datadir.join(WITNESS_NAME));
    let without_witness = unknown.filter(|datadir| !is_there(datadir)).map(Path::to_owned);
    Ok(Looked { copies, witness, without_witness, damaged_witness, unreadable })
}

/// The same as metrics.
fn metrics(all: &[CopyStatus], witness: Option<&Witness>) -> Metrics {
    let mut metrics = Metrics::default();
    let each =
        |metrics: &mut Metrics, name: &str, help: &str, value: &dyn Fn(&CopyStatus) -> Option<String>| {
            metrics.family(name, help);
            for found in all {
                let id = found.about.as_ref().map_or_else(String::new, |a| a.id.to_string());
                let labels: Labels<'_> = &[("path", &found.path.label()), ("keyring", &id)];
                value(found).into_iter().for_each(|value| metrics.sample(name, labels, value));
            }
        };
    let about = |found: &CopyStatus, value: &dyn Fn(&Description) -> Option<String>| {
        found.about.as_ref().and_then(value)
    };
    each(
        &mut metrics,
        "keyring_external_copy_fine",
        "Whether a copy of the keyring is intact and up to date.",
        &|f| Some(u8::from(f.fine).to_string()),
    );
    each(
        &mut metrics,
        "keyring_external_copy_generation",
        "How many changes the keyring has had, as recorded in this copy.",
        &|f| about(f, &|a| a.generation.map(|n| n.to_string())),
    );
    each(
        &mut metrics,
        "keyring_external_copy_authenticated",
        "Whether every byte was authenticated with the unlock secret.",
        &|f| about(f, &|a| Some(u8::from(a.authenticated).to_string())),
    );
    each(
        &mut metrics,
        "keyring_external_copy_keys",
        "Keys in this copy, if the unlock secret was given.",
        &|f| about(f, &|a| a.keys.map(|n| n.to_string())),
    );
    each(&mut metrics, "keyring_external_copy_slots", "Unlock slots of this copy.", &|f| {
        about(f, &|a| Some(a.slots.len().to_string()))
    });
    each(
        &mut metrics,
        "keyring_external_copy_writable",
        "Whether a new key could be stored in this copy: its volume has room and is not mounted read-only.",
        &|f| about(f, &|a| Some(u8::from(a.unchangeable.is_none()).to_string())),
    );
    let name = "keyring_external_witness_generation";
    metrics.family(name, "The generation that the server's data directory was last used with.");
    witness.into_iter().for_each(|w| metrics.sample(name, &[("keyring", &w.id)], w.generation));
    let name = "keyring_external_status_time_seconds";
    metrics.family(name, "Time of these metrics, in seconds since 1970.");
    metrics.sample(name, &[], now());
    metrics
}

/// How a copy compares with the witness, and why the server would refuse it.
pub(super) type Heard = (Option<WitnessSays>, Option<(Wrong, Error)>);

/// How a copy compares with the witness. If the server in that data directory would refuse the copy, also why.
pub(super) fn heard(witnessed: KeyringResult<Witnessed>) -> KeyringResult<Heard> {
    Ok(match witnessed {
        Ok(Witnessed::None) => (None, None),
        Ok(Witnessed::Same) => (Some(WitnessSays::Same), None),
        Ok(Witnessed::KeyringAhead) => (Some(WitnessSays::Newer), None),
        Ok(Witnessed::Unreliable | Witnessed::Foreign) => (Some(WitnessSays::Unknown), None),
        Err(e @ Error::Refusal(Refusal::WitnessOlder { .. })) => {
            (Some(WitnessSays::Older), Some((Wrong::Behind, e)))
        }
        Err(e @ Error::Refusal(Refusal::WitnessForeign { .. })) => {
            (Some(WitnessSays::Another), Some((Wrong::AnotherKeyring, e)))
        }
        Err(e @ Error::Refusal(Refusal::WitnessFork { .. })) => {
            (Some(WitnessSays::Fork), Some((Wrong::Diverged, e)))
        }
        Err(e) => return Err(e),
    })
}

/// Marks the copy as failed if the server in that data directory would refuse it.
fn compare_with_witness(
    found: &mut CopyStatus,
    witnessed: KeyringResult<Witnessed>,
    secret: &secret::Args,
) -> KeyringResult<()> {
    let Some(about) = &mut found.about else { return Ok(()) };
    let (says, contradicted) = heard(witnessed)?;
    about.witness = says;
    if let Some((wrong, e)) = contradicted {
        found.fail(wrong, secret.named_in(e.to_string()));
    }
    Ok(())
}

fn examine(
    places: &Places,
    path: &Path,
    datadir: Option<&Path>,
    all: &[PathBuf],
    secret: &mut secret::Once<'_>,
    open: bool,
) -> KeyringResult<CopyStatus> {
    let secret_args = secret.args();
    let claims = inspect(places, path)?;
    let witnessed;
    let mut about = describe(&claims.header);
    about.generation = claims.commit.map(|c| c.generation);
    let mut opened = None;
    let mut damage = Vec::new();
    if claims.damaged {
        damage.push("one of the two copies of the header is damaged".to_owned());
        about.notes.clone_from(&damage);
    }
    if open {
        let (keyring, notes) = secret.load(places, path)?;
        witnessed = datadir.map(|datadir| keyring.check_witness(places.fs(), datadir));
        let status = keyring.status();
        about.authenticated = true;
        // There may be intact records after the generation that the front names.
        about.generation = Some(status.generation);
        about.keys = Some(status.keys);
        damage = notes.iter().filter(|note| note.is_damage()).map(ToString::to_string).collect();
        about.notes = notes.iter().map(ToString::to_string).collect();
        opened = Some(keyring);
    } else if let Some(commit) = &claims.commit {
        let hear = |datadir: &Path| check_claims_by_witness(places.fs(), datadir, path, &about.id, commit);
        witnessed = datadir.map(hear);
    } else {
        return Err(
            Refusal::Damaged { path: path.to_owned(), offset: 8192, what: "both commit slots" }.into()
        );
    }
    about.unchangeable = places.replica(path)?.check_its_room().err().map(|e| e.to_string());
    let content = Some(Content { claims, keyring: opened });
    let mut found =
        CopyStatus { fine: damage.is_empty(), about: Some(about), content, ..CopyStatus::of(path) };
    if !damage.is_empty() {
        found.fail(Wrong::Damaged, damaged(path, &damage, all, secret_args));
    }
    witnessed.map_or(Ok(()), |witnessed| compare_with_witness(&mut found, witnessed, secret_args))?;
    Ok(found)
}

/// Says that a copy, one of `all`, is damaged but could be read, and what repairs it.
fn damaged(path: &Path, damage: &[String], all: &[PathBuf], secret: &secret::Args) -> String {
    let repair = match all.iter().find(|other| *other != path) {
        Some(other) => format!(
            "Repair it: keyringctl sync {} --mirror {}{}",
            other.shown(),
            path.shown(),
            secret.option()
        ),
        None => "The next change repairs it, such as a new key of the server or keyringctl rekey".to_owned(),
    };
    let check = if is_remote(path) { "" } else { "Check its volume (dmesg). " };
    format!("it is damaged but can be used: {}. {check}{repair}", damage.join("; "))
}

fn describe(header: &ClaimedHeader) -> Description {
    Description {
        id: header.id,
        label: header.label.clone(),
        created: header.created,
        generation: None,
        authenticated: false,
        keys: None,
        slots: header.slots.iter().map(SlotRow::from).collect(),
        notes: Vec::new(),
        unchangeable: None,
        witness: None,
    }
}

fn print(out: &mut Output, found: &CopyStatus) {
    out.line(found.path.shown());
    if let Some(remote) = &found.remote {
        out.field("remote", remote.text());
    }
    if let Some(error) = &found.error {
        out.field("FAILED", error);
    }
    let Some(about) = &found.about else { return };
    out.field("keyring", about.id);
    if !about.label.is_empty() {
        out.field("label", about.label.escape_debug());
    }
    out.field("created", time(about.created));
    let unchecked = if about.authenticated { "" } else { " (not authenticated; add --unlock to check)" };
    if let Some(generation) = about.generation {
        out.field("generation", format_args!("{generation}{unchecked}"));
    }
    if let Some(says) = about.witness {
        out.field("witness", format_args!("{}{unchecked}", says.text()));
    }
    if let Some(keys) = about.keys {
        out.field("keys", keys);
    }
    for slot in &about.slots {
        out.field(&format!("slot {}", slot.number), slot.text());
    }
    for note in about.notes.iter().chain(&about.unchangeable) {
        out.field("note", note);
    }
}
