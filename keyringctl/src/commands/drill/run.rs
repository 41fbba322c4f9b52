// SPDX-License-Identifier: GPL-2.0-or-later
//! One drill, from the backup to the result.

use super::account::Account;
use super::args::DrillArgs;
use super::backup_kind::BackupKind;
use super::compare::{compare, moment};
use super::dump_text::Compression;
use super::files::{FileFaults, not_recoverable, tables_by_files};
use super::history::{DEFAULT, DrillEntry, History};
use super::load::{self, Load};
use super::outcome::{FailedTable, Outcome, UsedKeyring};
use super::program::Program;
use super::record::Record;
use super::recover::{AllRead, read_all};
use super::replica::Replica;
use super::scratch_server::{Grants, NotStarted, ScratchHost};
use super::stop::Stop;
use super::work::Work;
use super::{audit, copying, dump};
use crate::commands::copies::{self, Copies};
use crate::commands::output::Output;
use crate::commands::site;
use crate::commands::store_places::store_places;
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::show::{Shown, warn};
use crate::tablespace::{DataFileKind, DataFiles, MasterKeys, NoKeys};
use keyring_external::keyring::witness_claims;
use keyring_external::store::witness::WITNESS_NAME;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A server with binary logs completes with them, in its recovery, what it had prepared in InnoDB.
const WITHOUT_LOGS: &str = "the server recovered this backup without its binary logs: the last transactions before the moment of the \
    backup, which were in the binary log and not yet in InnoDB, are missing here. A server that is restored with the binary \
    logs has them";

/// What was found so far.
#[derive(Default)]
struct Found {
    read: AllRead,
    /// Whether there are tables besides those that every server has.
    holds_tables: bool,
    recovered: bool,
    gtids: Option<String>,
    failed: Vec<FailedTable>,
    faults: Vec<String>,
    notes: Vec<String>,
}

pub(super) fn run(args: &DrillArgs, out: &mut Output) -> Result<Verdict> {
    let began = Instant::now();
    let backup = args.backup.clone().unwrap_or_default();
    let stop = Stop::listen()?;
    let site = site::Args { parts: args.site.clone(), datadir: None }.look()?;
    let kind = BackupKind::look(&backup, &args.also)?;
    let record = args.record.as_deref().map(Record::read).transpose()?;
    let history = open_history(args)?;
    let client = match kind {
        BackupKind::Dump(_) => Some(load::client(args.mysql.as_deref(), &site)?),
        BackupKind::Datadir { .. } => None,
    };
    let account = Account::choose()?;
    let work = Work::create(&args.work, &account)?;
    let program = Program::find(&site, &work, &account)?;
    let replica = match keyring(args, &kind)? {
        Some(copies) => Replica::of(&copies, &work, &account)?,
        None => Replica::new(&work, &account)?,
    };
    let mut host = ScratchHost {
        work: &work,
        account: &account,
        program: &program,
        replica: &replica,
        memory: args.memory,
        options: args.options.clone(),
        stop: &stop,
    };
    let mut found = match &kind {
        BackupKind::Datadir { found, options } => {
            // Those of the administrator come later, so that they count.
            host.options = [options.clone(), args.options.clone()].concat();
            let roots: Vec<_> = [backup.clone()].into_iter().chain(args.also.iter().cloned()).collect();
            of_datadir(&mut host, (&backup, &roots, found))?
        }
        BackupKind::Dump(compression) => {
            of_dump(&mut host, &backup, *compression, client.unwrap_or_default())?
        }
    };
    stop.check()?;
    let compared = record.as_ref().zip(args.record.as_deref()).map(|(record, path)| {
        let moment = moment(record, found.gtids.as_deref(), args.exact);
        compare((record, path), &found.read.sums, &found.failed, moment)
    });
    let comparison = compared.map(|(comparison, wrong)| {
        found.failed.extend(wrong);
        comparison
    });
    let failed: BTreeSet<_> = found.failed.iter().map(|failed| failed.table.clone()).collect();
    let good = found.read.sums.iter().filter(|(table, _)| !failed.contains(&table.shown()));
    let (tables, rows) = good.fold((0, 0), |(tables, rows), (_, sum)| (tables + 1, rows + sum.rows));
    let used = replica.path.as_ref().map(|path| UsedKeyring {
        path: path.clone(),
        id: replica.status.id,
        generation: replica.status.generation,
    });
    let mut outcome = Outcome {
        passed: found.failed.is_empty() && found.faults.is_empty(),
        backup,
        kind: kind.name(),
        keyring: used,
        mysqld: program.version.clone(),
        apart: account.described(),
        recovered: found.recovered,
        tables,
        rows,
        failed: found.failed,
        faults: found.faults,
        comparison,
        notes: found.notes,
        seconds: began.elapsed().as_secs(),
        history: history.as_ref().map(|history| history.path().to_owned()),
    };
    if outcome.passed && !found.holds_tables {
        outcome.passed = false;
        let which = if outcome.tables == 0 { "no table" } else { "no table besides the server's own" };
        outcome.faults.push(format!("the backup holds {which}: check its path, and how it was made"));
    }
    let added = history.map(|history| history.add(&DrillEntry::of(&outcome))).transpose();
    audit::tell(&outcome, replica.keyring.as_ref());
    outcome.print(out);
    out.document(&outcome);
    added?;
    Ok(outcome.verdict())
}

/// The history that the result is added to. Only root can write the default one.
fn open_history(args: &DrillArgs) -> Result<Option<History>> {
    if args.no_history {
        return Ok(None);
    }
    match History::open(&args.history) {
        Err(_) if args.history == Path::new(DEFAULT) && !rustix::process::geteuid().is_root() => {
            warn(format_args!(
                "the result will not be added to {DEFAULT}, which only root can write: --history names another file"
            ));
            Ok(None)
        }
        history => history.map(Some),
    }
}

/// The copies of the keyring of the backup.
fn keyring(args: &DrillArgs, kind: &BackupKind) -> Result<Option<Copies>> {
    if !args.keyrings.is_empty() {
        return Ok(Some(copies::named(&args.site, &copies::distinct(&args.keyrings)?, &args.secret)));
    }
    match kind {
        BackupKind::Dump(_) => Ok(None),
        BackupKind::Datadir { .. } => copies::of_server(&args.site, None, &args.secret).map(Some),
    }
}

fn of_datadir(
    host: &mut ScratchHost<'_>,
    (backup, roots, files): (&Path, &[PathBuf], &DataFiles),
) -> Result<Found> {
    let no_keys = NoKeys;
    let keys: &dyn MasterKeys = match &host.replica.keyring {
        Some(keyring) => keyring,
        None => &no_keys,
    };
    let mut found = Found::default();
    let faults = FileFaults::of_keys(files, keys);
    host.stop.check()?;
    copying::copy(roots, files, host.work, host.account, host.stop)?;
    found.notes.extend(witness(host, backup));
    let started = match not_recoverable(backup, files, keys) {
        Some(why) => Err(NotStarted::Ended(why)),
        None => host.start(Grants::Skipped),
    };
    match started {
        Ok(mut server) => {
            found.recovered = server.log.has_recovered();
            let is_log = |(_, kind): &(PathBuf, DataFileKind)| *kind == DataFileKind::BinaryLog;
            if found.recovered && files.files.iter().any(is_log) {
                found.notes.push(WITHOUT_LOGS.to_owned());
            }
            found.gtids = server.session.first::<Option<String>>("SELECT @@GLOBAL.gtid_executed")?.flatten();
            found.read = read_all(host, server, keys, &faults)?;
        }
        Err(NotStarted::Error(e)) => return Err(e),
        Err(NotStarted::Ended(why)) => {
            let told = format!("the server does not start with this backup: {why}");
            found.failed = faults.tables();
            let known: BTreeSet<_> = found.failed.iter().map(|failed| failed.table.clone()).collect();
            let others = tables_by_files(files).into_iter().filter(|table| !known.contains(table));
            found.failed.extend(others.map(|table| FailedTable {
                table,
                reason: "it was not read: the server does not start".to_owned(),
            }));
            found.faults.push(told);
        }
    }
    found.faults.extend(faults.shared());
    found.holds_tables = found.read.sums.keys().any(|table| !table.is_system());
    found.take_read();
    Ok(found)
}

fn of_dump(
    host: &mut ScratchHost<'_>,
    backup: &Path,
    compression: Compression,
    client: PathBuf,
) -> Result<Found> {
    let size = std::fs::metadata(backup).map_or(0, |meta| meta.len());
    // Text that is compressed is often four times as long.
    host.work.require(if compression == Compression::Gzip { size.saturating_mul(4) } else { size })?;
    let load =
        Load { dump: backup, compression, client, account: host.account, work: host.work, stop: host.stop };
    let restored = dump::restore(host, &load)?;
    let mut found =
        Found { failed: restored.failed, faults: restored.faults, notes: restored.notes, ..Found::default() };
    match host.start(Grants::Skipped) {
        Ok(mut server) => {
            found.gtids = server.session.first::<Option<String>>("SELECT @@GLOBAL.gtid_executed")?.flatten();
            found.read = read_all(host, server, &NoKeys, &FileFaults::default())?;
        }
        Err(NotStarted::Error(e)) => return Err(e),
        Err(NotStarted::Ended(why)) => {
            found.faults.push(format!("the server does not start after it has loaded the dump: {why}"));
        }
    }
    // A dump of the schema mysql alone has tables too.
    found.holds_tables = restored.names_tables || found.read.sums.keys().any(|table| !table.is_system());
    found.take_read();
    Ok(found)
}

impl Found {
    /// Adds what failed when the tables were read.
    fn take_read(&mut self) {
        self.failed.append(&mut self.read.failed);
        self.faults.extend(self.read.fault.take());
    }
}

/// Removes the witness from the restored copy, if it would refuse the keyring, and says what a real restore needs.
fn witness(host: &ScratchHost<'_>, backup: &Path) -> Option<String> {
    let keyring = host.replica.keyring.as_ref()?;
    let data = host.work.data();
    let places = store_places();
    keyring.check_witness(places.fs(), &data).err()?;
    let last = match witness_claims(places.fs(), &data) {
        Ok(Some(seen)) => {
            format!("the data was last used with keyring {}, generation {}", seen.id, seen.generation)
        }
        Ok(None) | Err(_) => "its witness contradicts this keyring".to_owned(),
    };
    // The server would refuse to start; what is missing shows when the tables are read.
    let _ = std::fs::remove_file(data.join(WITNESS_NAME));
    Some(format!(
        "this may not be the right keyring for {}: {last}, and this is keyring {}, generation {}. The drill went on without the \
         witness; a server that is restored so needs: keyringctl witness accept {} --datadir DIR",
        backup.shown(),
        host.replica.status.id,
        host.replica.status.generation,
        host.replica.path.clone().unwrap_or_default().shown()
    ))
}
