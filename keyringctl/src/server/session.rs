// SPDX-License-Identifier: GPL-2.0-or-later
//! A connection to a server, made in the same way as by the mysql client.

use super::address::{target, tls, user};
use super::options::{ConnectOptions, SslMode};
use super::session_settings::{self, NotSet};
use crate::error::{Error, Result, ServerError};
use mysql::prelude::{FromRow, FromValue, Queryable};
use mysql::{Conn, DriverError, SslOpts};
use std::time::Duration;

/// MySQL's error for a lock that could not be taken in time.
pub const LOCK_WAIT_TIMEOUT: u16 = 1205;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A statement may run for hours, and routers must not drop the idle connection meanwhile.
const KEEPALIVE_MS: u32 = 60_000;
/// The longest packet of the protocol. Given here, the client does not ask the server for its own limit, with a query that
/// `sql_select_limit` may answer with nothing.
const LONGEST_PACKET: usize = 1 << 30;

/// A connection to a server.
pub struct Session {
    conn: Conn,
    options: ConnectOptions,
    way: String,
    by_socket: bool,
    not_set: Vec<NotSet>,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Server`]: there is no server, the password is wrong, or TLS is required but not available.
    pub fn connect(options: &ConnectOptions) -> Result<Session> {
        Session::connect_within(options, CONNECT_TIMEOUT, None)
    }

    /// Connects for short queries: the server must accept the connection, and give each answer, within `limit`.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub fn connect_briefly(options: &ConnectOptions, limit: Duration) -> Result<Session> {
        Session::connect_within(options, limit, Some(limit))
    }

    fn connect_within(
        options: &ConnectOptions,
        connect: Duration,
        answer: Option<Duration>,
    ) -> Result<Session> {
        let (builder, way, by_socket) = target(options);
        let user = user(options);
        let builder = builder
            .user(Some(user.clone()))
            .pass(options.password.as_ref().map(|p| p.as_str()))
            .prefer_socket(false)
            .tcp_connect_timeout(Some(connect))
            .read_timeout(answer)
            .write_timeout(answer)
            .tcp_keepalive_time_ms(Some(KEEPALIVE_MS))
            .max_allowed_packet(Some(LONGEST_PACKET));
        let mode = options.ssl_mode.unwrap_or(match options.ssl_ca {
            Some(_) => SslMode::VerifyCa,
            None => SslMode::Preferred,
        });
        let tls = (!by_socket && mode != SslMode::Disabled).then(|| tls(options, mode)).transpose()?;
        let connected = match Conn::new(builder.clone().ssl_opts(tls)) {
            Err(mysql::Error::DriverError(DriverError::TlsNotSupported)) if mode == SslMode::Preferred => {
                Conn::new(builder.ssl_opts(None::<SslOpts>))
            }
            done => done,
        };
        let failed = |e: mysql::Error| {
            Error::Server(ServerError {
                doing: format!("connect to the MySQL server at {way} as {user}"),
                code: code(&e),
                silent: is_silent(&e),
                why: format!("{}{}", message(&e), connecting_help(&e)),
            })
        };
        let mut conn = connected.map_err(failed)?;
        let not_set = session_settings::common(&mut conn).map_err(failed)?;
        Ok(Session { conn, options: options.clone(), way, by_socket, not_set })
    }

    /// Prepares this connection for statements that copy tables. Returns what could not be set.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn prepare_for_copies(&mut self) -> Result<Vec<NotSet>> {
        session_settings::copying(&mut self.conn).map_err(|e| refused("SET SESSION", &e))
    }

    /// What the server's defaults are that this account may not change for its session.
    pub fn not_set(&self) -> &[NotSet] {
        &self.not_set
    }

    /// Opens another connection to the same server.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub fn connect_again(&self) -> Result<Session> {
        Session::connect(&self.options)
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
        self.conn.connection_id()
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn run(&mut self, statement: &str) -> Result<()> {
        self.conn.query_drop(statement).map_err(|e| refused(statement, &e))
    }

    /// Returns all rows of a query.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn rows<T: FromRow>(&mut self, query: &str) -> Result<Vec<T>> {
        let rows: Vec<mysql::Row> = self.conn.query(query).map_err(|e| refused(query, &e))?;
        rows.into_iter().map(|row| mysql::from_row_opt(row).map_err(|e| refused(query, &e.into()))).collect()
    }

    /// Returns the first row of a query.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn first<T: FromRow>(&mut self, query: &str) -> Result<Option<T>> {
        Ok(self.rows(query)?.into_iter().next())
    }

    /// Returns the rows of a query with only some columns, found by their names in any case. For SHOW statements, whose
    /// columns differ between versions.
    ///
    /// # Errors
    /// [`Error::Server`].
    pub fn columns<T: FromValue>(&mut self, query: &str, names: &[&str]) -> Result<Vec<Vec<Option<T>>>> {
        let rows: Vec<mysql::Row> = self.conn.query(query).map_err(|e| refused(query, &e))?;
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
}

fn code(e: &mysql::Error) -> u16 {
    if let mysql::Error::MySqlError(e) = e { e.code } else { 0 }
}

/// Whether nobody answered, or the connection broke.
fn is_silent(e: &mysql::Error) -> bool {
    use DriverError::{ConnectTimeout, CouldNotConnect, Timeout};
    match e {
        mysql::Error::IoError(_) => true,
        mysql::Error::DriverError(e) => matches!(e, ConnectTimeout | CouldNotConnect(_) | Timeout),
        _ => false,
    }
}

/// Returns the server's own message, without what the client adds.
fn message(e: &mysql::Error) -> String {
    match e {
        mysql::Error::MySqlError(e) => format!("{} (MySQL error {})", e.message, e.code),
        mysql::Error::IoError(e) => e.to_string(),
        mysql::Error::DriverError(e) => e.to_string(),
        mysql::Error::CodecError(e) => e.to_string(),
        mysql::Error::TlsError(e) => e.to_string(),
        other => other.to_string(),
    }
}

fn connecting_help(e: &mysql::Error) -> &'static str {
    const ACCOUNT: &str = ". Set the account in ~/.my.cnf, or use --user and --password";
    match code(e) {
        1044 | 1045 | 1698 => ACCOUNT,
        1820 | 1862 => {
            ". The account's password has expired: log in as this account with the mysql client, run ALTER USER USER() \
             IDENTIFIED BY '...'; then run this again"
        }
        1203 | 1226 if message(e).contains("connections") => {
            ". keyringctl needs up to 3 connections at a time: raise the account's limit with ALTER USER ... WITH \
             MAX_USER_CONNECTIONS 5, or use another account"
        }
        1040 => ". Run this again when fewer clients are connected, or connect to the server's admin_port",
        1184 => {
            ". The statements of the server's init_connect fail for this account: see the server's error log, or use an \
             account with CONNECTION_ADMIN, for which the server does not run them"
        }
        // For an account that does not exist, the server names a method at random.
        0 if matches!(e, mysql::Error::DriverError(DriverError::UnknownAuthPlugin(_))) => ACCOUNT,
        0 if is_silent(e) => {
            ". Is it running? Set its address with --socket, or --host and --port, or in ~/.my.cnf"
        }
        _ => "",
    }
}

/// Returns the error of a statement. Statements contain no secret.
fn refused(statement: &str, e: &mysql::Error) -> Error {
    let short: String = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let short = match short.char_indices().nth(120) {
        Some((end, _)) => format!("{}...", &short[..end]),
        None => short,
    };
    Error::Server(ServerError {
        doing: format!("run {short}"),
        code: code(e),
        silent: is_silent(e),
        why: message(e),
    })
}
