// SPDX-License-Identifier: GPL-2.0-or-later
//! The temporary server. It never outlives its value, nor this program.

use super::account::Account;
use super::program::{Program, option};
use super::replica::{Replica, SOURCE};
use super::server_log::ServerLog;
use super::stop::Stop;
use super::work::Work;
use crate::error::{Error, Result};
use crate::host::Way;
use crate::server::{ConnectOptions, Protocol, Session};
use crate::show::Shown;
use keyring_external::error::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(50);

/// Everything that the servers of a drill have in common.
pub(super) struct ScratchHost<'a> {
    pub work: &'a Work,
    pub account: &'a Account,
    pub program: &'a Program,
    pub replica: &'a Replica,
    pub memory: u32,
    pub options: Vec<String>,
    pub stop: &'a Stop,
}

/// Who may connect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grants {
    /// Root without a password: a server that was just initialised.
    Fresh,
    /// Everybody who reaches the socket: the accounts are those of the backup.
    Skipped,
}

/// Why a server did not start.
pub(super) enum NotStarted {
    /// The server ended, and this is what it said.
    Ended(String),
    /// The drill cannot go on.
    Error(Error),
}

impl From<Error> for NotStarted {
    fn from(e: Error) -> Self {
        NotStarted::Error(e)
    }
}

/// A running server.
pub(super) struct ScratchServer {
    process: Watched,
    pub log: ServerLog,
    pub session: Session,
}

impl ScratchHost<'_> {
    /// Makes a data directory.
    pub(super) fn initialize(&self) -> Result<()> {
        let log = ServerLog::from_now(&self.work.log());
        let mut command = self.command();
        command.arg("--initialize-insecure").stdin(Stdio::null());
        let process = Watched::start(command, self.stop)?;
        let status = process.wait()?;
        self.stop.check()?;
        if !status.success() {
            self.work.require_not_full()?;
            return Err(Error::Usage(format!(
                "mysqld --initialize-insecure failed ({status}): {}",
                log.why()
            )));
        }
        Ok(())
    }

    /// Starts a server, and waits until it answers, which can take long if it recovers data. If the data was created with
    /// another setting, starts it again with that.
    pub(super) fn start(&mut self, grants: Grants) -> std::result::Result<ScratchServer, NotStarted> {
        loop {
            let log = ServerLog::from_now(&self.work.log());
            match self.start_once(grants, log)? {
                Ok(server) => return Ok(server),
                Err(log) => {
                    self.stop.check()?;
                    match log.other_setting().filter(|setting| !self.options.contains(setting)) {
                        Some(setting) => self.options.push(setting),
                        None => {
                            self.work.require_not_full()?;
                            return Err(NotStarted::Ended(log.why()));
                        }
                    }
                }
            }
        }
    }

    fn start_once(
        &self,
        grants: Grants,
        log: ServerLog,
    ) -> Result<std::result::Result<ScratchServer, ServerLog>> {
        let socket = self.work.socket();
        let _ = std::fs::remove_file(&socket);
        let mut command = self.command();
        command.args(self.server_options(grants)).stdin(self.replica.secret()?);
        let process = Watched::start(command, self.stop)?;
        loop {
            if process.try_wait()?.is_some() {
                return Ok(Err(log));
            }
            if let Some(mut session) = socket.exists().then(|| self.connect().ok()).flatten() {
                // A lost connection means that the server has ended.
                session.give_up();
                return Ok(Ok(ScratchServer { process, log, session }));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn connect(&self) -> Result<Session> {
        Session::connect(&ConnectOptions {
            user: Some("root".to_owned()),
            socket: Some(self.work.socket()),
            protocol: Some(Protocol::Socket),
            ..ConnectOptions::default()
        })
    }

    /// What `--initialize` takes too.
    fn command(&self) -> Command {
        let mut command = self.program.command(self.account);
        for (name, path) in [
            ("datadir", self.work.data()),
            ("tmpdir", self.work.tmp()),
            ("log-error", self.work.log()),
            ("pid-file", self.work.pid_file()),
            ("socket", self.work.socket()),
        ] {
            command.arg(option(name, &path));
        }
        command.arg(option("plugin-dir", &self.program.plugin_dir));
        command.arg(format!("--innodb-buffer-pool-size={}M", self.memory));
        command.args([
            "--skip-networking",
            "--loose-mysqlx=OFF",
            "--disable-log-bin",
            "--secure-file-priv=NULL",
            "--loose-persisted-globals-load=OFF",
            "--performance-schema=OFF",
            "--loose-auto-generate-certs=OFF",
            "--log-error-verbosity=3",
            "--local-infile=OFF",
            // What it loads at its start would end it, if it is damaged, before a table is named.
            "--innodb-buffer-pool-load-at-startup=OFF",
            "--innodb-buffer-pool-dump-at-shutdown=OFF",
        ]);
        command.args(self.options.iter().map(|option| format!("--{option}")));
        command.current_dir(self.work.data()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn server_options(&self, grants: Grants) -> Vec<OsString> {
        let mut options: Vec<OsString> = [
            "--event-scheduler=DISABLED",
            // The names before and since 8.0.26.
            "--loose-skip-slave-start",
            "--loose-skip-replica-start",
            "--keyring-external=FORCE_PLUS_PERMANENT",
            "--keyring-external-allow-same-device=ON",
        ]
        .map(OsString::from)
        .to_vec();
        options.push(format!("--early-plugin-load={}", Way::Plugin.library()).into());
        options.push(option("keyring-external-data", &self.work.keyring()));
        options.push(format!("--keyring-external-unlock={SOURCE}").into());
        if grants == Grants::Skipped {
            options.push("--skip-grant-tables".into());
        }
        options
    }
}

/// A child that is ended when the drill is to stop.
struct Watched {
    child: Arc<Mutex<Child>>,
    ended: Arc<AtomicBool>,
    watch: Option<JoinHandle<()>>,
}

fn locked(child: &Mutex<Child>) -> std::sync::MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    fn start(mut command: Command, stop: &Stop) -> Result<Watched> {
        // The main thread starts it: the signal at the death of the parent comes when the thread that started it ends.
        let program = command.get_program().to_owned();
        let child =
            command.spawn().map_err(|e| Error::Usage(format!("cannot run {}: {e}", program.shown())))?;
        let (child, ended) = (Arc::new(Mutex::new(child)), Arc::<AtomicBool>::default());
        let (of_watch, is_over, stop) = (Arc::clone(&child), Arc::clone(&ended), stop.clone());
        let watch = std::thread::Builder::new()
            .spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    if stop.is_set() {
                        // It may have ended at this moment.
                        let _ = locked(&of_watch).kill();
                        return;
                    }
                    std::thread::sleep(PAUSE);
                }
            })
            .map_err(Failure::System)?;
        Ok(Watched { child, ended, watch: Some(watch) })
    }

    fn try_wait(&self) -> Result<Option<ExitStatus>> {
        Ok(locked(&self.child).try_wait().map_err(Failure::System)?)
    }

    fn wait(&self) -> Result<ExitStatus> {
        loop {
            match self.try_wait()? {
                Some(status) => return Ok(status),
                None => std::thread::sleep(PAUSE),
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        {
            let mut child = locked(&self.child);
            // Both fail without effect if it was already waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

impl ScratchServer {
    /// Waits until the server, whose connection is lost, has ended. Returns whether it has.
    pub(super) fn has_ended(&self) -> bool {
        let tries = 10_000 / PAUSE.as_millis();
        (0..tries).any(|_| {
            let is_over = locked(&self.process.child).try_wait().is_ok_and(|status| status.is_some());
            if !is_over {
                std::thread::sleep(PAUSE);
            }
            is_over
        })
    }

    /// Shuts the server down in order, and waits for it.
    pub(super) fn shut_down(self, stop: &Stop) -> Result<()> {
        let pid = Pid::from_raw(locked(&self.process.child).id().cast_signed());
        if let Some(pid) = pid {
            // If it has ended, it was waited for by nobody else, so that this is its id.
            let _ = kill_process(pid, Signal::TERM);
        }
        loop {
            stop.check()?;
            match self.process.try_wait()? {
                Some(_) => return Ok(()),
                None => std::thread::sleep(PAUSE),
            }
        }
    }
}
