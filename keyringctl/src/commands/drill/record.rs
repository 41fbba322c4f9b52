// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl drill record`: writes down what a server holds, so that a restored backup can be compared with it.

use super::read::{TableName, TableRead, TableSum, progress, read, tables};
use super::stop::Stop;
use crate::commands::output::{Output, counted};
use crate::commands::server;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::server::Session;
use crate::show::Shown;
use keyring_external::keyring::now;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The version of the form of records.
const VERSION: u32 = 1;

/// Record the tables of a running server with their rows and checksums, for the comparison in a later drill
///
/// It reads every table once, within one transaction: the record shows one moment of all InnoDB tables. Make it just before
/// the backup, or just after. If the server writes GTIDs, a drill can tell whether the backup is of the same moment. The server
/// is not changed or locked, but reading takes as long as a dump.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl drill record --out /backup/2026-11-24.record.json\n  \
    keyringctl drill record --out drill.json --defaults-file /etc/mysql/debian.cnf")]
pub(super) struct Args {
    /// File to write (mode 0600)
    #[arg(long, value_name = "FILE", default_value = "drill.record.json")]
    out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    server: server::Args,
}

/// What a server held at one moment.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// When it was made, in seconds since 1970.
    pub time: u64,
    pub server: String,
    pub server_uuid: String,
    hostname: String,
    /// The transactions that the record holds, if it is certain.
    pub gtid_executed: Option<String>,
    pub tables: Vec<RecordedTable>,
}

/// A table of a record.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct RecordedTable {
    pub schema: String,
    pub name: String,
    /// `None` if it could not be read.
    pub rows: Option<u64>,
    pub checksum: Option<u64>,
    /// Whether it shows the moment of the record.
    pub consistent: bool,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RecordedTable {
    fn new(table: &TableName, sum: std::result::Result<TableSum, String>) -> RecordedTable {
        let (sum, error) = match sum {
            Ok(sum) => (Some(sum), None),
            Err(why) => (None, Some(why)),
        };
        RecordedTable {
            schema: table.schema.clone(),
            name: table.name.clone(),
            rows: sum.as_ref().map(|sum| sum.rows),
            checksum: sum.and_then(|sum| sum.checksum),
            consistent: table.is_transactional(),
            error,
        }
    }
}

impl Record {
    /// Reads a record.
    pub(super) fn read(path: &Path) -> Result<Record> {
        let text = fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        let unusable = |why: String| {
            Error::Usage(format!("{} is not a record of keyringctl drill record: {why}", path.shown()))
        };
        let record: Record = serde_json::from_str(&text).map_err(|e| unusable(e.to_string()))?;
        match record.version {
            VERSION => Ok(record),
            other => {
                Err(unusable(format!("its version is {other}, and this program knows version {VERSION}")))
            }
        }
    }
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    if !args.force && args.out.exists() {
        return Err(Error::Usage(format!(
            "{} exists: name another file with --out, or add --force to replace it. Nothing was read",
            args.out.shown()
        )));
    }
    let stop = Stop::listen()?;
    let mut session = args.server.connect()?;
    // Everything must be read in one transaction.
    session.give_up();
    let record = make(&mut session, &stop)?;
    write(&args.out, &record)?;
    let failed: Vec<_> = record.tables.iter().filter(|table| table.error.is_some()).collect();
    let rows: u64 = record.tables.iter().filter_map(|table| table.rows).sum();
    for table in &failed {
        let name = crate::server::full_name(&table.schema, &table.name);
        out.line(format_args!("FAILED   {name}: {}", table.error.as_deref().unwrap_or_default()));
    }
    let loose = record.tables.iter().filter(|table| !table.consistent).count();
    if loose > 0 {
        out.line(format_args!(
            "note: {} not of InnoDB: what was read of them may be of another moment",
            counted(loose, "table") + if loose == 1 { " is" } else { " are" }
        ));
    }
    if record.gtid_executed.is_none() {
        out.line(
            "note: the moment of this record cannot be named, because the server writes no GTIDs or was changed meanwhile: a drill \
             lists differences, and cannot tell whether they are changes between the record and the backup",
        );
    }
    out.line(format_args!(
        "Recorded {} with {rows} rows of MySQL {} on {} in {}",
        counted(record.tables.len(), "table"),
        record.server,
        record.hostname,
        args.out.shown()
    ));
    out.document(&json!({
        "out": args.out.exact(),
        "time": record.time,
        "tables": record.tables.len(),
        "rows": rows,
        "gtid_executed": record.gtid_executed,
        "failed": failed.iter().map(|table| json!({
            "table": crate::server::full_name(&table.schema, &table.name),
            "reason": table.error,
        })).collect::<Vec<_>>(),
    }));
    Ok(if failed.is_empty() { Verdict::Fine } else { Verdict::NotFine })
}

fn make(session: &mut Session, stop: &Stop) -> Result<Record> {
    let identity =
        session.first::<(String, String, String)>("SELECT @@version, @@server_uuid, @@hostname")?;
    let (server, server_uuid, hostname) = identity.unwrap_or_default();
    let gtids = |session: &mut Session| -> Result<String> {
        let set = session.first::<Option<String>>("SELECT @@GLOBAL.gtid_executed")?.flatten();
        Ok(set.unwrap_or_default().split_whitespace().collect())
    };
    let all: Vec<_> = tables(session)?.into_iter().filter(|table| !table.is_system()).collect();
    session.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
    let before = gtids(session)?;
    session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")?;
    let after = gtids(session)?;
    let time = now();
    let progress = progress(&all);
    let mut recorded = Vec::new();
    for table in &all {
        stop.check()?;
        let sum = match read(session, table) {
            TableRead::Sum(sum) => Ok(sum),
            TableRead::Failed(why) => Err(why),
            TableRead::Lost => {
                return Err(Error::Usage(
                    "the connection to the server was lost, and with it the moment of the record: run this command again. \
                     Nothing was written"
                        .to_owned(),
                ));
            }
        };
        recorded.push(RecordedTable::new(table, sum));
        progress.add(1);
    }
    session.run("COMMIT")?;
    Ok(Record {
        version: VERSION,
        time,
        server,
        server_uuid,
        hostname,
        gtid_executed: (before == after && !after.is_empty()).then_some(after),
        tables: recorded,
    })
}

fn write(path: &Path, record: &Record) -> Result<()> {
    let text = serde_json::to_string_pretty(record)
        .map_err(|e| Error::Usage(format!("cannot write the record as JSON: {e}")))?;
    // Beside it, so that an interruption leaves the old one.
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)
        });
    written.map_err(|e| {
        let _ = fs::remove_file(&new);
        Error::io("write to", path, e)
    })
}

#[cfg(test)]
pub(super) fn sample(gtid: Option<&str>, tables: &[(&str, &str, u64, u64)]) -> Record {
    let recorded = tables.iter().map(|(schema, name, rows, checksum)| RecordedTable {
        schema: (*schema).to_owned(),
        name: (*name).to_owned(),
        rows: Some(*rows),
        checksum: Some(*checksum),
        consistent: true,
        error: None,
    });
    Record {
        version: VERSION,
        time: 1,
        server: String::new(),
        server_uuid: String::new(),
        hostname: String::new(),
        gtid_executed: gtid.map(str::to_owned),
        tables: recorded.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_another_version_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write(&path, &sample(Some("u:1-5"), &[("clinic", "patient", 2, 77)])).unwrap();
        let read = Record::read(&path).unwrap();
        assert_eq!((read.gtid_executed.as_deref(), read.tables[0].checksum), (Some("u:1-5"), Some(77)));
        let text = fs::read_to_string(&path).unwrap().replace("\"version\": 1", "\"version\": 2");
        fs::write(&path, text).unwrap();
        let refused = Record::read(&path).err().unwrap().to_string();
        assert!(refused.contains("its version is 2"), "{refused}");
    }
}
