// SPDX-License-Identifier: GPL-2.0-or-later
//! Collects the facts from the server, and on its machine from its files and the keyring.

use super::access::Access;
use super::args::Args;
use super::audit::AuditFacts;
use super::copies::{self, CopyContents, Mounts};
use super::facts::{Facts, FileFacts, MeasurementStep, WitnessFacts};
use super::keys::{MasterKey, master_keys};
use super::known::{ELSEWHERE, Known};
use super::modules::Modules;
use super::origin::Origin;
use super::tables::{SchemaRow, TableRow};
use super::transit::Transit;
use crate::commands::copies::of_server::use_remotes_of_running;
use crate::commands::drill::history;
use crate::commands::encrypt::places::places;
use crate::commands::encrypt::verify::files;
use crate::commands::keys::ServerNeeds;
use crate::commands::secret;
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::server::{
    DataPlace, DatadirAccess, Inventory, ServerFiles, ServerKeyring, Session, Tally, retired_fetches,
};
use crate::show::Shown;
use keyring_external::keyring::{Keyring, now, witness_claims};
use std::path::{Path, PathBuf};

/// Measures everything that can be measured from here.
///
/// # Errors
/// The server cannot be reached or reports an error: there is no report without it.
pub(super) fn all(args: &Args) -> Result<Facts> {
    let measured = now();
    let mut session = args.server.connect()?;
    let origin = Origin::query(&mut session)?;
    let inventory = Inventory::query(&mut session)?;
    let keyring = ServerKeyring::query(&mut session)?;
    let retired_fetches = retired_fetches(&mut session)?;
    let access = Access::query(&mut session)?;
    let modules = Modules::query(&mut session)?;
    let here = DatadirAccess::check(&mut session)?;
    use_remotes_of_running(&keyring);
    let transit = Transit::query(&mut session, here.datadir(), &keyring.paths)?;
    let stores = store_places();
    let mounts = Mounts::read();

    let mut secret = secret::Once::new(&args.secret);
    let mut copies = Vec::new();
    let mut read = Vec::new();
    if let Some(datadir) = here.datadir() {
        for path in &keyring.paths {
            let (copy, file) = copies::read(&stores, path, &keyring.paths, datadir, &mounts, &mut secret);
            copies.push(copy);
            read.push(file);
        }
        copies::compare(&mut copies, &read);
    } else {
        copies.extend(keyring.paths.iter().map(|path| copies::not_read(path, ELSEWHERE)));
    }
    // If no copy can be opened, the first copy's error is reported. A copy of another keyring is of no use.
    let is_the_servers = |file: &CopyContents| match &file.opened {
        Ok(opened) => opened.id().to_string() == keyring.id,
        Err(_) => false,
    };
    let opens = read.iter().position(is_the_servers);
    let opens = opens.or_else(|| read.iter().position(|file| file.opened.is_ok())).unwrap_or(0);
    let opened = read.into_iter().nth(opens).map(|file| file.opened);
    let opened = opened.unwrap_or_else(|| Err(Error::Usage(no_keyring(&keyring, &here))));
    // A copy of another keyring says nothing about the server's keyring.
    let opened = opened.and_then(|k| {
        let used = k.id().to_string() == keyring.id;
        if used {
            Ok(k)
        } else {
            Err(Error::Usage(
                "the file holds a different keyring from the one that the server uses".to_owned(),
            ))
        }
    });
    let witness = match here.datadir() {
        Some(datadir) => witness_claims(stores.fs(), datadir).into(),
        None => Known::NotMeasured(ELSEWHERE.to_owned()),
    };
    let witness = match witness {
        Known::Measured(w) => Known::Measured(w.map(|w| WitnessFacts { id: w.id, generation: w.generation })),
        Known::NotMeasured(why) => Known::NotMeasured(why),
    };
    let unread = copies.first().and_then(|copy| copy.file.why_not());
    let why_not_opened = |e: &Error| unread.map_or_else(|| e.to_string(), str::to_owned);
    // Before anything that takes long: the server may write lines and change the keyring meanwhile.
    let for_audit = opened.as_ref().map_err(why_not_opened);
    let audit = AuditFacts::check(&mut session, here.datadir(), &keyring, for_audit)?;
    let mut data = places(&mut session, &inventory)?;
    let files = check_files(args, &mut session, &here, &inventory, opened.as_ref().ok(), &mut data);
    let keys = match &opened {
        Ok(keyring) => Known::Measured(master_keys(keyring)),
        Err(e) => Known::NotMeasured(why_not_opened(e)),
    };
    let needs = check_needs(args, &mut session, &here, opened.as_ref().ok(), &keys)?;
    let tables = TableRow::all(&inventory, &data);
    let mut facts = Facts {
        measured,
        program: env!("CARGO_PKG_VERSION"),
        origin,
        way: session.address().to_owned(),
        tally: Tally::of(&data),
        places: data,
        schemas: SchemaRow::all(&inventory, &tables),
        tables,
        retired_fetches,
        keyring,
        copies,
        keys,
        needs,
        audit,
        witness,
        files,
        transit,
        access,
        modules,
        max_age: args.max_age.clone(),
        drills: history::read(&args.drill_history).map(|(entries, _)| entries).into(),
        unlock: args.secret.option(),
        accepted: args.accept.clone(),
        steps: Vec::new(),
        server: inventory.about,
    };
    facts.steps = steps(&facts);
    Ok(facts)
}

pub(super) const NO_FILES: &str = "skipped because of --no-files: run keyringctl report without it";

fn no_keyring(keyring: &ServerKeyring, here: &DatadirAccess) -> String {
    if !keyring.is_ours() {
        "the server does not use keyring_external".to_owned()
    } else if here.datadir().is_none() {
        ELSEWHERE.to_owned()
    } else {
        "the server reports no copy of its keyring".to_owned()
    }
}

fn check_files(
    args: &Args,
    session: &mut Session,
    here: &DatadirAccess,
    inventory: &Inventory,
    keyring: Option<&Keyring>,
    places: &mut Vec<DataPlace>,
) -> Known<FileFacts> {
    if args.no_files {
        return Known::NotMeasured(NO_FILES.to_owned());
    }
    match here {
        DatadirAccess::Readable(_) => {}
        DatadirAccess::Closed(datadir) => return Known::NotMeasured(no_permission(datadir)),
        DatadirAccess::Elsewhere => return Known::NotMeasured(ELSEWHERE.to_owned()),
    }
    let checked = ServerFiles::query(session).and_then(|of_server| {
        let (seen, findings) = files::check(&of_server, inventory, keyring, places)?;
        Ok(FileFacts { directories: of_server.directories, seen, findings })
    });
    checked.into()
}

/// Which keys the server's files need. Without the keyring, it is not known why: `keys` says it.
fn check_needs(
    args: &Args,
    session: &mut Session,
    here: &DatadirAccess,
    keyring: Option<&Keyring>,
    keys: &Known<Vec<MasterKey>>,
) -> Result<Known<ServerNeeds>> {
    let datadir = match here {
        DatadirAccess::Readable(datadir) if !args.no_files => datadir,
        DatadirAccess::Readable(_) => return Ok(Known::NotMeasured(NO_FILES.to_owned())),
        DatadirAccess::Closed(datadir) => return Ok(Known::NotMeasured(no_permission(datadir))),
        DatadirAccess::Elsewhere => return Ok(Known::NotMeasured(ELSEWHERE.to_owned())),
    };
    let Some(keyring) = keyring else {
        return Ok(Known::NotMeasured(keys.why_not().unwrap_or_default().to_owned()));
    };
    let mut logs = Vec::new();
    for name in ["log_bin_basename", "relay_log_basename"] {
        let base = session.variable(name)?.map(PathBuf::from);
        let directory = base.and_then(|base| base.parent().map(|dir| datadir.join(dir)));
        logs.extend(directory.filter(|dir| !dir.starts_with(datadir) && dir.is_dir() && !logs.contains(dir)));
    }
    Ok(ServerNeeds::read(keyring, datadir, &logs).into())
}

fn no_permission(datadir: &Path) -> String {
    format!("no permission to read {}: run keyringctl report as root", datadir.shown())
}

/// Describes how everything was measured.
fn steps(facts: &Facts) -> Vec<MeasurementStep> {
    let done = Known::Measured(());
    let mut steps = vec![
        MeasurementStep::new(
            "Tables, tablespaces, schemas and settings",
            "information_schema.TABLES, INNODB_TABLESPACES, FILES, SCHEMATA; SHOW GLOBAL VARIABLES; SHOW BINARY LOGS; SHOW REPLICA STATUS",
            &done,
        ),
        MeasurementStep::new(
            "The server's keyring",
            "performance_schema.keyring_component_status, or SHOW GLOBAL STATUS LIKE 'Keyring_external_%'",
            &done,
        ),
        MeasurementStep::new(
            "TLS",
            "SHOW GLOBAL VARIABLES, SHOW GLOBAL STATUS LIKE 'Ssl_server_not_%', performance_schema.threads, tls_channel_status; the files of certificates were read",
            &done,
        ),
        MeasurementStep::new(
            "Connections between servers",
            "performance_schema.replication_connection_configuration, threads; SHOW GLOBAL VARIABLES LIKE 'group_replication_%'",
            &facts.transit.replication,
        ),
        MeasurementStep::new(
            "Who may rotate or change the keyring",
            "mysql.user, global_grants, db, tables_priv, role_edges, proxies_priv; no hash of a password was read",
            &facts.access,
        ),
        MeasurementStep::new(
            "The server's files",
            "every page of every tablespace and every block of the redo log was read, as keyringctl encrypt verify does; with the unlock secret, one page of each file was decrypted",
            &facts.files,
        ),
        MeasurementStep::new(
            "Master keys and their dates",
            "the keyring was opened, as keyringctl list does",
            &facts.keys,
        ),
        MeasurementStep::new(
            "What needs each key",
            "the headers of all files were read, as keyringctl keys needed does",
            &facts.needs,
        ),
        MeasurementStep::new(
            "The audit log",
            "every line was verified and compared with the keyring, as keyringctl audit verify does; SHOW GLOBAL STATUS LIKE 'Keyring_external_audit_failures'",
            &facts.audit,
        ),
        MeasurementStep::new(
            "The witness",
            "the file in the data directory was read, as keyringctl witness show does",
            &facts.witness,
        ),
        MeasurementStep::new(
            "Restore drills",
            "the history was read, as keyringctl drill history does",
            &facts.drills,
        ),
    ];
    for copy in &facts.copies {
        let how = |what| format!("{}: {what}", copy.path.shown());
        steps.push(MeasurementStep::new(
            "A copy of the keyring",
            how("its header was read, as keyringctl status does"),
            &copy.file,
        ));
        if let Known::Measured(file) = &copy.file {
            steps.push(MeasurementStep::new(
                "A copy of the keyring",
                how("every byte was verified, as keyringctl verify does"),
                &file.verified,
            ));
        }
        steps.push(match &copy.remote {
            Some(remote) => MeasurementStep::new("A remote", how("the remotes file was read"), remote),
            None => MeasurementStep::new("A volume", how("/proc/self/mountinfo"), &copy.volume),
        });
    }
    steps
}
