// SPDX-License-Identifier: GPL-2.0-or-later
//! A running mysqld. It never outlives its value, not even when a test panics.

use super::feature::is_skipping;
use super::process::Process;
use super::programs::wait_until;
use super::{Feature, Host, needs};
use mysql::prelude::{FromRow, FromValue, Queryable};
use mysql::{Conn, OptsBuilder};
use rustix::process::Signal;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

/// Longest time that a server may take to start or to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// Longest time until status variables show what became of the copies: a loaded machine takes its time.
const STATUS_WAIT: Duration = Duration::from_secs(60);

/// A running mysqld.
#[derive(Debug)]
pub struct Server {
    host: Host,
    process: Process,
    /// Where its part of the error log begins.
    log_from: usize,
}

/// Why a server did not start: how it ended, and what it wrote to its error log.
#[derive(Debug)]
pub struct Failure {
    /// `None`: it was still trying when the time was up.
    pub status: Option<ExitStatus>,
    /// What it wrote to its error log.
    pub log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => write!(f, "no answer in time")?,
        }
        write!(f, "; {}", gist_of(&self.log))
    }
}

/// The errors and the warnings of a server, and the end of its log. An orderly shutdown after an error writes more than an end.
fn gist_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let (before, end) = lines.split_at(lines.len().saturating_sub(20));
    let of_kind = |kind: &str| -> Vec<_> {
        // A server may repeat a line until it is killed.
        before.iter().copied().filter(|line| line.contains(kind)).take(50).collect()
    };
    let (errors, warnings) = (of_kind("[ERROR]"), of_kind("[Warning]"));
    format!(
        "its errors before the end of its log:\n{}\nits warnings before it:\n{}\nthe end of its log:\n{}",
        errors.join("\n"),
        warnings.join("\n"),
        end.join("\n")
    )
}

impl Host {
    /// Starts a server and waits until it answers.
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|e| panic!("the server did not start: {e}"))
    }

    /// Starts a server with `--daemonize`.
    pub fn daemonize(&self) -> Server {
        Server::daemonize(self).unwrap_or_else(|e| panic!("the server did not start: {e}"))
    }

    /// Starts a server that may fail.
    pub fn try_start(&self) -> Result<Server, Failure> {
        self.launch().ready()
    }

    /// Starts a server and doesn't wait for it.
    pub fn launch(&self) -> Server {
        Server::launch(self)
    }
}

impl Server {
    fn launch(host: &Host) -> Server {
        let log_from = prepare(host);
        let child = host
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mysqld runs");
        Server { host: host.clone(), process: Process::Child(child), log_from }
    }

    /// Starts it with `--daemonize`: what was started ends when the server, forked from it, answers. That one is not
    /// this program's child, so nothing but this value stops it.
    fn daemonize(host: &Host) -> Result<Server, Failure> {
        let log_from = prepare(host);
        let pid_file = host.pid_file();
        let _ = std::fs::remove_file(&pid_file);
        let mut launcher = host
            .command()
            .arg("--daemonize")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mysqld runs");
        let mut status = None;
        wait_until(LIMIT, || {
            status = launcher.try_wait().unwrap();
            status.is_some()
        });
        let _ = launcher.kill();
        let _ = launcher.wait();
        let daemon = std::fs::read_to_string(&pid_file).ok().and_then(|pid| pid.trim().parse().ok());
        let server = daemon.map(|pid| Server { host: host.clone(), process: Process::Daemon(pid), log_from });
        match server {
            Some(server) if status.is_some_and(|s| s.success()) => Ok(server),
            // A daemon that there is all the same is stopped here.
            _ => Err(Failure { status, log: host.log().split_off(log_from) }),
        }
    }

    /// Waits until it answers.
    pub fn ready(mut self) -> Result<Server, Failure> {
        let mut status = None;
        let ended_or_ready = wait_until(LIMIT, || {
            status = self.process.try_wait();
            status.is_some() || self.try_connect().is_ok()
        });
        if ended_or_ready && status.is_none() { Ok(self) } else { Err(Failure { status, log: self.log() }) }
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().is_none()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its data directory.
    pub fn datadir(&self) -> PathBuf {
        self.host.datadir()
    }

    /// What it wrote to its error log.
    pub fn log(&self) -> String {
        self.host.log().split_off(self.log_from)
    }

    fn try_connect(&self) -> mysql::Result<Conn> {
        connect(self.host.socket())
    }

    /// Opens a connection as root.
    pub fn connect(&self) -> Conn {
        self.try_connect().unwrap_or_else(|e| panic!("cannot connect: {e}"))
    }

    /// For threads of a test: how to connect without this value.
    pub fn connector(&self) -> impl Fn() -> mysql::Result<Conn> + Clone + Send + 'static {
        let socket = self.host.socket();
        move || connect(socket.clone())
    }

    /// Carries out statements.
    pub fn sql(&self, statements: &str) {
        let mut conn = self.connect();
        for statement in statements.split(';').map(str::trim).filter(|s| !s.is_empty()) {
            conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
    }

    /// The error that a statement fails with.
    pub fn sql_error(&self, statement: &str) -> String {
        match self.connect().query_drop(statement) {
            Ok(()) => panic!("{statement} was to fail"),
            Err(e) => e.to_string(),
        }
    }

    /// The one value that a query answers.
    pub fn value<T: FromValue>(&self, query: &str) -> T {
        self.connect()
            .query_first(query)
            .unwrap_or_else(|e| panic!("{query}: {e}"))
            .unwrap_or_else(|| panic!("{query}: no row"))
    }

    /// The rows that a query answers.
    pub fn rows<T: FromRow>(&self, query: &str) -> Vec<T> {
        self.connect().query(query).unwrap_or_else(|e| panic!("{query}: {e}"))
    }

    /// The status variables, without their common prefix.
    pub fn status(&self) -> HashMap<String, String> {
        const PREFIX: &str = "Keyring_external_";
        self.rows::<(String, String)>(&format!("SHOW GLOBAL STATUS LIKE '{PREFIX}%'"))
            .into_iter()
            .map(|(name, value)| (name[PREFIX.len()..].to_owned(), value))
            .collect()
    }

    /// Waits until status variables show these values.
    pub fn comes_to(&self, expected: &[(&str, &str)]) {
        let shown = || {
            let status = self.status();
            expected.iter().all(|(name, value)| status.get(*name).is_some_and(|shown| shown == value))
        };
        let came = wait_until(STATUS_WAIT, shown);
        assert!(came, "{expected:?} was expected: {:#?}\n{}", self.status(), self.log());
    }

    /// Makes the functions of keyring_udf known.
    pub fn install_udfs(&self) {
        needs(Feature::Library("keyring_udf.so"));
        self.sql("INSTALL PLUGIN keyring_udf SONAME 'keyring_udf.so'");
        for (name, returns) in [
            ("store", "INTEGER"),
            ("generate", "INTEGER"),
            ("remove", "INTEGER"),
            ("fetch", "STRING"),
            ("length_fetch", "INTEGER"),
            ("type_fetch", "STRING"),
        ] {
            self.sql(&format!(
                "CREATE FUNCTION keyring_key_{name} RETURNS {returns} SONAME 'keyring_udf.so'"
            ));
        }
    }

    /// Makes an encrypted table `mysql.t` with a row, 7, and a key `mine` of root's own with the bytes `value`.
    pub fn put_to_use(&self) {
        self.install_udfs();
        self.sql(
            "CREATE TABLE mysql.t (a INT) ENCRYPTION='Y';
             INSERT INTO mysql.t VALUES (7);
             DO keyring_key_store('mine', 'SECRET', 'value')",
        );
    }

    /// Shuts it down as an administrator does.
    pub fn stop(mut self) {
        self.process.signal(Signal::TERM);
        let mut status = None;
        // InnoDB writes its changed pages out first, which takes long on a loaded machine.
        wait_until(3 * LIMIT, || {
            status = self.process.try_wait();
            status.is_some()
        });
        // How a daemon ended is known to nobody here; it says that it did in its log.
        let ended_well = status.is_some_and(|s| s.success()) && self.log().contains("Shutdown complete");
        assert!(ended_well, "the server did not shut down: {}", Failure { status, log: self.log() });
    }

    /// kill -9.
    pub fn kill(self) {
        drop(self);
    }
}

/// A server that is killed while it begins to truncate an undo tablespace leaves an empty file, with which MySQL 9.7.4 does not
/// start. There is nothing in it, so an administrator deletes it (docs/SERVER-NOTES.md).
fn remove_empty_truncation_logs(datadir: &Path) {
    let Ok(entries) = std::fs::read_dir(datadir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_empty = entry.metadata().is_ok_and(|file| file.len() == 0);
        if name.starts_with("undo_") && name.ends_with("_trunc.log") && is_empty {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

/// Makes room for a server's socket. Answers where its part of the error log begins.
fn prepare(host: &Host) -> usize {
    remove_empty_truncation_logs(&host.datadir());
    let socket = host.socket();
    assert!(socket.as_os_str().len() < 108, "a socket's path must be shorter: {}", socket.display());
    let _ = std::fs::remove_file(socket);
    host.log().len()
}

fn connect(socket: PathBuf) -> mysql::Result<Conn> {
    let limit = Some(LIMIT);
    let opts = OptsBuilder::new()
        .socket(Some(socket.display().to_string()))
        .user(Some("root"))
        .read_timeout(limit)
        .write_timeout(limit);
    Conn::new(opts)
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() && !is_skipping() {
            eprintln!("the server at {}: {}", self.host.dir().display(), gist_of(&self.log()));
        }
        self.process.kill();
    }
}
