// SPDX-License-Identifier: GPL-2.0-or-later
//! Loads a dump with the mysql client, which knows the delimiters of stored programs.

use super::account::Account;
use super::dump_text::{Compression, DumpText, schema_of};
use super::program::option;
use super::progress::{Progress, Unit};
use super::stop::Stop;
use super::work::Work;
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::show::Shown;
use flate2::read::MultiGzDecoder;
use keyring_external::error::Failure;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CHUNK: usize = 256 << 10;
/// How much of a dump is looked at for its schema.
const BEGINNING: usize = 64 << 10;

/// What errors of the server mean for a dump.
const HINTS: [(&str, &str); 2] = [
    (
        "3121",
        "A table has a DATA DIRECTORY. A server that loads this dump needs that directory, and its name in \
         innodb_directories; the temporary server has none. To drill the rest, remove DATA DIRECTORY from a copy of the dump",
    ),
    (
        "3510",
        "A table is in a general tablespace, which mysqldump does not create. Create it before the dump is loaded: add CREATE \
         TABLESPACE to the beginning of a copy of the dump",
    ),
];

/// A dump, and the program that loads it.
pub(super) struct Load<'a> {
    pub dump: &'a Path,
    pub compression: Compression,
    pub client: PathBuf,
    pub account: &'a Account,
    pub work: &'a Work,
    pub stop: &'a Stop,
}

/// What became of the load.
pub(super) struct Loaded {
    pub text: DumpText,
    /// Why the client ended early: the number of the error and the line, without the text, which may hold data.
    pub refused: Option<Refused>,
    /// Why the file could not be read to its end.
    pub unreadable: Option<String>,
}

/// A statement that the server refused.
pub(super) struct Refused {
    pub what: String,
    pub line: Option<u64>,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

/// Finds the mysql client: beside mysqld, or in PATH.
pub(super) fn client(given: Option<&Path>, site: &Site) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let prefix = site.at(&site.mysqld);
    let beside = prefix.parent().and_then(Path::parent).map(|prefix| prefix.join("bin/mysql"));
    let of_path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&of_path).map(|dir| dir.join("mysql"));
    beside.into_iter().chain(in_path).find(|path| path.is_file()).ok_or_else(|| {
        Error::Usage(
            "a dump is loaded by the mysql client, which was not found: install it, or name it with --mysql"
                .to_owned(),
        )
    })
}

/// The bytes of a dump, with the number of bytes of the file that were read.
fn open(path: &Path, compression: Compression) -> Result<(Box<dyn Read + Send>, Arc<AtomicU64>)> {
    struct Counted(File, Arc<AtomicU64>);
    impl Read for Counted {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(buf)?;
            self.1.fetch_add(n as u64, Ordering::Relaxed);
            Ok(n)
        }
    }
    let count = Arc::<AtomicU64>::default();
    let file = Counted(File::open(path).map_err(|e| Error::io("open", path, e))?, Arc::clone(&count));
    Ok((
        match compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(CHUNK, file))),
        },
        count,
    ))
}

impl Load<'_> {
    /// The schema to create and use, if the dump names none in a statement.
    pub(super) fn schema(&self) -> Result<Option<String>> {
        let (dump, _) = open(self.dump, self.compression)?;
        let mut beginning = Vec::new();
        // What cannot be read is told when it is loaded.
        let _ = dump.take(BEGINNING as u64).read_to_end(&mut beginning);
        Ok(schema_of(&String::from_utf8_lossy(&beginning)))
    }

    /// Loads the dump into the server at the socket of the drill. `schema` exists.
    pub(super) fn run(&self, schema: Option<&str>) -> Result<Loaded> {
        let mut command = self.account.command(&self.client);
        command
            .arg("--no-defaults")
            .arg(option("socket", &self.work.socket()))
            // It takes no commands of the client from the dump, such as one that runs a shell.
            .args([
                "--user=root",
                "--protocol=socket",
                "--binary-mode",
                "--default-character-set=utf8mb4",
                "--max-allowed-packet=1G",
            ])
            .args(schema.map(|schema| format!("--database={schema}")))
            .env_remove("MYSQL_PWD")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| Error::io("run", &self.client, e))?;
        let (Some(mut to), Some(mut errors)) = (child.stdin.take(), child.stderr.take()) else {
            return Err(Failure::System(io::ErrorKind::BrokenPipe.into()).into());
        };
        let said = std::thread::Builder::new()
            .spawn(move || {
                let mut text = Vec::new();
                // What it could not say is not needed.
                let _ = errors.by_ref().take(64 << 10).read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
            .map_err(Failure::System)?;
        let fed = self.feed(&mut to, schema.unwrap_or_default());
        drop(to);
        if fed.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(Failure::System)?;
        let said = said.join().unwrap_or_default();
        let (text, unreadable) = fed?;
        self.stop.check()?;
        let refused = (!status.success()).then(|| refused(&said));
        Ok(Loaded { text, refused, unreadable })
    }

    /// Writes the dump to the client, and reads it to its end even if the client has ended.
    fn feed(&self, to: &mut impl Write, schema: &str) -> Result<(DumpText, Option<String>)> {
        let (mut dump, count) = open(self.dump, self.compression)?;
        let length = std::fs::metadata(self.dump).map_or(0, |meta| meta.len());
        let progress = Progress::begin("loading the dump", length, Unit::Bytes);
        let mut text = DumpText::new(schema);
        let mut buffer = vec![0; CHUNK];
        let mut is_taken = true;
        let unreadable = loop {
            self.stop.check()?;
            let n = match dump.read(&mut buffer) {
                Ok(0) => break None,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => break Some(e.to_string()),
            };
            let bytes = buffer.get(..n).unwrap_or_default();
            text.add(bytes);
            is_taken = is_taken && to.write_all(bytes).is_ok();
            progress.set(count.load(Ordering::Relaxed));
        };
        text.end();
        Ok((text, unreadable))
    }
}

/// What the client says of an error, without the text of the statement or of a value.
fn refused(said: &str) -> Refused {
    let Some(error) = said.lines().find(|line| line.starts_with("ERROR ")) else {
        return Refused { what: "the mysql client failed".to_owned(), line: None, hint: None };
    };
    let head = error.split(": ").next().unwrap_or_default();
    let line = head.rsplit_once("at line ").and_then(|(_, number)| number.trim().parse().ok());
    let code = head.split(' ').nth(1).unwrap_or_default();
    let hint = HINTS.iter().find(|(known, _)| *known == code).map(|(_, hint)| *hint);
    Refused { what: format!("the server refused a statement: {head}"), line, hint }
}

impl Loaded {
    /// Why the dump was not loaded as a whole, and at which table that was.
    pub(super) fn fault(&self, dump: &Path) -> Option<(Option<String>, String)> {
        let owned = |table: Option<&str>| table.map(str::to_owned);
        let dump = dump.shown();
        if let Some(why) = &self.unreadable {
            return Some((
                owned(self.text.last_table()),
                format!("{dump} cannot be read to its end ({why})"),
            ));
        }
        if self.text.is_cut() {
            let why = format!("{dump} was cut off: its last line does not say that the dump was completed");
            return Some((owned(self.text.last_table()), why));
        }
        let refused = self.refused.as_ref()?;
        let table = refused.line.map_or(self.text.last_table(), |line| self.text.table_at(line));
        Some((
            owned(table),
            format!(
                "{} of {dump}{}",
                refused.what,
                refused.hint.map(|hint| format!(". {hint}")).unwrap_or_default()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_client_is_told_without_values() {
        let said = "mysql: [Warning] x\nERROR 1062 (23000) at line 27: Duplicate entry 'Eva Example' for key 'patient.name'\n";
        let told = refused(said);
        assert_eq!(told.what, "the server refused a statement: ERROR 1062 (23000) at line 27");
        assert_eq!(told.line, Some(27));
        assert_eq!(refused("").line, None);
        let hinted = refused(
            "ERROR 3121 (HY000) at line 1085: The DATA DIRECTORY location must be in a known directory.\n",
        );
        assert!(hinted.hint.is_some_and(|hint| hint.contains("innodb_directories")));
        assert_eq!(hinted.line, Some(1085));
    }
}
