// SPDX-License-Identifier: GPL-2.0-or-later
//! A connection to a server, made in the same way as by the mysql client.
//!
//! A connection is not for ever: the server closes it when it was idle for too long, an administrator may kill it, and the
//! server may be restarted. A session then connects anew, with the settings, the schema and the lock that it had, to the
//! same server and to no other. It repeats queries, which change nothing, and never a statement, which may have been carried
//! out: [`Session::restore`] is for those who know what to do about it.

pub(super) mod lent;
mod restored;

use super::address::{target, user};
use super::busy::Busy;
use super::connection::{FIND, is_lost, is_unsent, not_connected, open, refused};
use super::options::{ConnectOptions, Protocol};
use super::session_settings::{self, NotSet};
use super::session_state::{Identity, Kept, Told};
use crate::error::{Error, Result, ServerError};
use mysql::Conn;
use mysql::prelude::{FromRow, FromValue, Queryable};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was idle for longer is tried before it is used.
const IDLE: Duration = Duration::from_secs(1);

/// A connection to a server.
pub struct Session {
    /// `None`: it runs a statement elsewhere.
    conn: Option<Conn>,
    options: ConnectOptions,
    way: String,
    by_socket: bool,
    /// `None`: the connection is for short queries, and not made anew.
    server: Option<Identity>,
    not_set: Vec<NotSet>,
    kept: Kept,
    used: Instant,
    lost: bool,
    restarts: u32,
    /// Tells the user that this session waits for the server.
    tell: fn(&str),
    /// Whether the user wants to stop, so that nothing is waited for.
    stopping: Arc<AtomicBool>,
    /// Whether the server has been waited for in vain. It is not waited for again.
    gone: Arc<AtomicBool>,
    /// What this session, and those that are connected from it, have told of the server.
    told: Arc<Told>,
    /// What they ask the server for.
    busy: Arc<Busy>,
}

fn present(conn: &mut Option<Conn>) -> Result<&mut Conn> {
    conn.as_mut().ok_or_else(absent)
}

/// The error of a session whose connection was left to a statement that does not end.
fn absent() -> Error {
    Error::Server(ServerError {
        doing: "use a connection".to_owned(),
        code: 0,
        silent: true,
        why: "it was left to a statement that has not ended".to_owned(),
    })
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Server`]: there is no server, the password is wrong, or TLS is required but not available.
    pub fn connect(options: &ConnectOptions) -> Result<Session> {
        let mut session = Session::prepared(options, CONNECT_TIMEOUT, None)?;
        session.server = Some(session.identity()?);
        Ok(session)
    }

    /// Connects for short queries: the server must accept the connection, and give each answer, within `limit`.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub fn connect_briefly(options: &ConnectOptions, limit: Duration) -> Result<Session> {
        Session::prepared(options, limit, Some(limit))
    }

    fn prepared(options: &ConnectOptions, limit: Duration, answer: Option<Duration>) -> Result<Session> {
        let mut conn = open(options, limit, answer)?;
        let (_, way, by_socket) = target(options);
        let prepared = session_settings::common(&mut conn);
        let not_set = prepared.map_err(|e| not_connected(&way, by_socket, &user(options), &e))?;
        Ok(Session {
            conn: Some(conn),
            options: options.clone(),
            way,
            by_socket,
            server: None,
            not_set,
            kept: Kept::default(),
            used: Instant::now(),
            lost: false,
            restarts: 0,
            tell: |_| {},
            stopping: Arc::default(),
            gone: Arc::default(),
            told: Arc::default(),
            busy: Arc::default(),
        })
    }

    /// Makes this session, and those that are connected from it, tell when they wait for the server.
    pub fn telling(mut self, tell: fn(&str)) -> Session {
        self.tell = tell;
        self
    }

    /// Makes this session, and those that are connected from it, stop waiting for the server when `stopping` is set.
    pub fn stop_waiting_if(&mut self, stopping: Arc<AtomicBool>) {
        self.stopping = stopping;
    }

    /// Prepares this connection for statements that copy tables. Returns what could not be set.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn prepare_for_copies(&mut self) -> Result<Vec<NotSet>> {
        self.kept.copying = true;
        session_settings::copying(present(&mut self.conn)?).map_err(|e| refused("SET SESSION", &e))
    }

    /// What the server's defaults are that this account may not change for its session.
    pub fn not_set(&self) -> &[NotSet] {
        &self.not_set
    }

    /// Opens another connection to the same server.
    ///
    /// # Errors
    /// As [`Session::connect`]; the address has led to another server.
    pub fn connect_again(&self) -> Result<Session> {
        let mut session = Session::connect(&self.options)?;
        self.require_same(&session)?;
        session.tell = self.tell;
        session.stopping = Arc::clone(&self.stopping);
        session.gone = Arc::clone(&self.gone);
        session.told = Arc::clone(&self.told);
        session.busy = Arc::clone(&self.busy);
        Ok(session)
    }

    /// Connects to another server, with the same account, for short queries: see [`Session::connect_briefly`]. `by` says how its
    /// address is set.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub fn connect_elsewhere(&self, host: &str, port: u16, limit: Duration, by: &str) -> Result<Session> {
        let host = Some(host.to_owned());
        let protocol = Some(Protocol::Tcp);
        let options = ConnectOptions { host, port: Some(port), protocol, ..self.options.clone() };
        Session::connect_briefly(&options, limit).map_err(|e| match e {
            Error::Server(e) => Error::Server(ServerError { why: e.why.replace(FIND, by), ..e }),
            e => e,
        })
    }

    /// Opens another connection to the same server, with the same settings, but without the lock.
    ///
    /// # Errors
    /// As [`Session::connect_again`].
    pub fn connect_alike(&self) -> Result<Session> {
        let mut session = self.connect_again()?;
        self.set_alike(&mut session)?;
        Ok(session)
    }

    fn set_alike(&self, session: &mut Session) -> Result<()> {
        if self.kept.copying {
            session.prepare_for_copies()?;
        }
        self.kept.statements.iter().try_for_each(|statement| session.run(statement))
    }

    /// Makes this session stay without a connection if that is lost. What it runs then fails.
    pub fn give_up(&mut self) {
        self.server = None;
    }

    /// How this session connects.
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// What this session, and those that are connected from it, ask the server for.
    pub fn busy(&self) -> Arc<Busy> {
        Arc::clone(&self.busy)
    }

    /// The server's socket or address, for messages.
    pub fn address(&self) -> &str {
        &self.way
    }

    /// Whether the connection uses a socket, so that the server is on this machine (or in a container on it).
    pub fn is_by_socket(&self) -> bool {
        self.by_socket
    }

    /// The connection's number on the server.
    pub fn id(&self) -> u32 {
        self.conn.as_ref().map_or(0, Conn::connection_id)
    }

    /// Runs a statement. What it sets for the session, and the schema that it chooses, are kept if the connection must be
    /// made anew.
    ///
    /// # Errors
    /// [`Error::Server`]. If the connection broke, the statement may have been carried out.
    pub fn run(&mut self, statement: &str) -> Result<()> {
        self.awake()?;
        let busy = Busy::begin(&self.busy, self.id(), statement);
        let mut done = present(&mut self.conn)?.query_drop(statement);
        drop(busy);
        if self.server.is_some() && done.as_ref().is_err_and(is_unsent) {
            self.restore()?;
            done = present(&mut self.conn)?.query_drop(statement);
        }
        self.used = Instant::now();
        if let Err(e) = done {
            self.lost = is_lost(&e);
            return Err(refused(statement, &e));
        }
        self.kept.add(statement);
        Ok(())
    }

    /// Runs statements one after the other on one connection, which is not made anew between them.
    ///
    /// # Errors
    /// [`Error::Server`]. If the connection broke, the statement may have been carried out.
    pub fn run_together(&mut self, statements: &[impl AsRef<str>]) -> Result<()> {
        self.awake()?;
        for statement in statements.iter().map(AsRef::as_ref) {
            let _busy = Busy::begin(&self.busy, self.id(), statement);
            let done = present(&mut self.conn)?.query_drop(statement);
            self.used = Instant::now();
            if let Err(e) = done {
                self.lost = is_lost(&e);
                return Err(refused(statement, &e));
            }
        }
        Ok(())
    }

    /// Returns all rows of a query.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn rows<T: FromRow>(&mut self, query: &str) -> Result<Vec<T>> {
        let rows = self.raw(query)?;
        rows.into_iter().map(|row| mysql::from_row_opt(row).map_err(|e| refused(query, &e.into()))).collect()
    }

    /// Returns the first row of a query.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn first<T: FromRow>(&mut self, query: &str) -> Result<Option<T>> {
        Ok(self.rows(query)?.into_iter().next())
    }

    /// Returns the first row of a query, if the connection is there; it is not made anew.
    pub fn first_now<T: FromRow>(&mut self, query: &str) -> Option<T> {
        let rows: mysql::Result<Vec<mysql::Row>> =
            if self.lost { return None } else { self.conn.as_mut()?.query(query) };
        self.used = Instant::now();
        self.lost = rows.as_ref().is_err_and(is_lost);
        mysql::from_row_opt(rows.ok()?.into_iter().next()?).ok()
    }

    /// Returns the rows of a query with only some columns, found by their names in any case. For SHOW statements, whose
    /// columns differ between versions.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn columns<T: FromValue>(&mut self, query: &str, names: &[&str]) -> Result<Vec<Vec<Option<T>>>> {
        let rows = self.raw(query)?;
        let value = |row: &mysql::Row, name: &str| {
            let index = row.columns_ref().iter().position(|c| c.name_str().eq_ignore_ascii_case(name))?;
            row.get_opt(index)?.ok()
        };
        Ok(rows.iter().map(|row| names.iter().map(|name| value(row, name)).collect()).collect())
    }

    /// Returns a global variable; `None` if the server has none of that name.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn variable(&mut self, name: &str) -> Result<Option<String>> {
        let query = format!("SHOW GLOBAL VARIABLES LIKE '{name}'");
        Ok(self.first::<(String, String)>(&query)?.map(|(_, value)| value))
    }

    /// Takes a user-level lock, which belongs to the connection; a new connection takes it again. Returns whether it was
    /// free.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn lock(&mut self, name: &str) -> Result<bool> {
        let got = self.first::<Option<i64>>(&format!("SELECT GET_LOCK('{name}', 0)"))?.flatten() == Some(1);
        if got {
            self.kept.lock = Some(name.to_owned());
        }
        Ok(got)
    }

    /// Returns the rows of a query. If the connection breaks, the query is repeated once.
    fn raw(&mut self, query: &str) -> Result<Vec<mysql::Row>> {
        self.awake()?;
        let busy = Busy::begin(&self.busy, self.id(), query);
        let mut rows = present(&mut self.conn)?.query(query);
        drop(busy);
        if self.server.is_some() && rows.as_ref().is_err_and(is_lost) {
            self.restore()?;
            rows = present(&mut self.conn)?.query(query);
        }
        self.used = Instant::now();
        self.lost = rows.as_ref().is_err_and(is_lost);
        rows.map_err(|e| refused(query, &e))
    }

    fn identity(&mut self) -> Result<Identity> {
        let uuid = self.first::<String>("SELECT @@server_uuid")?.unwrap_or_default();
        let uptime = self.first::<(String, u64)>("SHOW GLOBAL STATUS LIKE 'Uptime'")?;
        let uptime = uptime.map_or(0, |(_, seconds)| seconds);
        Ok(Identity { uuid, uptime, since: Instant::now(), connection: self.id() })
    }

    /// Refuses another server behind the same address.
    fn require_same(&self, other: &Session) -> Result<()> {
        match (&self.server, &other.server) {
            (Some(before), Some(now)) => before.require_same(now, &self.way),
            _ => Ok(()),
        }
    }
}
