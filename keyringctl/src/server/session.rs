// SPDX-License-Identifier: GPL-2.0-or-later
//! A connection to a server, made in the same way as by the mysql client.

use super::options::{ConnectOptions, Protocol, SslMode};
use crate::error::{Error, Result, ServerError};
use crate::show::Shown;
use mysql::prelude::{FromRow, FromValue, Queryable};
use mysql::{ClientIdentity, Conn, DriverError, OptsBuilder, SslOpts};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// MySQL's error for a lock that could not be taken in time.
pub const LOCK_WAIT_TIMEOUT: u16 = 1205;

/// Where distributions put the socket: Debian, Red Hat, MySQL's own default.
const SOCKETS: [&str; 3] = ["/var/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];
const PORT: u16 = 3306;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A statement may run for hours, and routers must not drop the idle connection meanwhile.
const KEEPALIVE_MS: u32 = 60_000;

/// A connection to a server.
pub struct Session {
    conn: Conn,
    options: ConnectOptions,
    way: String,
    by_socket: bool,
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
            .tcp_keepalive_time_ms(Some(KEEPALIVE_MS));
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
        let conn = connected.map_err(|e| {
            Error::Server(ServerError {
                doing: format!("connect to the MySQL server at {way} as {user}"),
                code: code(&e),
                silent: is_silent(&e),
                why: format!("{}{}", message(&e), connecting_help(&e)),
            })
        })?;
        let mut session = Session { conn, options: options.clone(), way, by_socket };
        // Make statements independent of the defaults of server and account.
        session.run("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'")?;
        Ok(session)
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

/// Returns how to connect, the address for messages, and whether it is a socket.
fn target(options: &ConnectOptions) -> (OptsBuilder, String, bool) {
    let host = options.host.as_deref().unwrap_or("localhost");
    let by_socket = match options.protocol {
        Some(protocol) => protocol == Protocol::Socket,
        None => host == "localhost",
    };
    if by_socket {
        let socket = options.socket.clone().unwrap_or_else(|| {
            let existing = SOCKETS.iter().find(|s| Path::new(s).exists());
            PathBuf::from(existing.unwrap_or(&SOCKETS[0]))
        });
        // The client takes text only; MySQL's own does too.
        let path = socket.to_string_lossy().into_owned();
        (OptsBuilder::new().socket(Some(path)), socket.shown(), true)
    } else {
        // "localhost" may resolve to ::1, where mysqld may not listen.
        let address = if host == "localhost" { "127.0.0.1" } else { host };
        let port = options.port.unwrap_or(PORT);
        (OptsBuilder::new().ip_or_hostname(Some(address)).tcp_port(port), format!("{host}:{port}"), false)
    }
}

fn user(options: &ConnectOptions) -> String {
    let from = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    let named = options.user.clone().or_else(|| from("USER")).or_else(|| from("LOGNAME"));
    named.unwrap_or_else(|| "root".to_owned())
}

fn tls(options: &ConnectOptions, mode: SslMode) -> Result<SslOpts> {
    let checked = matches!(mode, SslMode::VerifyCa | SslMode::VerifyIdentity);
    let mut tls = SslOpts::default()
        .with_danger_accept_invalid_certs(!checked)
        .with_danger_skip_domain_validation(mode != SslMode::VerifyIdentity);
    if let Some(ca) = options.ssl_ca.as_ref().filter(|_| checked) {
        readable(ca)?;
        tls = tls.with_root_cert_path(Some(ca.clone()));
    }
    match (&options.ssl_cert, &options.ssl_key) {
        (Some(cert), Some(key)) => {
            readable(cert)?;
            readable(key)?;
            Ok(tls.with_client_identity(Some(ClientIdentity::new(cert.clone(), key.clone()))))
        }
        (None, None) => Ok(tls),
        _ => Err(Error::Usage("ssl-cert and ssl-key belong together: set both or neither".to_owned())),
    }
}

fn readable(path: &Path) -> Result<()> {
    std::fs::File::open(path).map(drop).map_err(|e| Error::io("read", path, e))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn way(options: &ConnectOptions) -> (String, bool) {
        let (_, way, by_socket) = target(options);
        (way, by_socket)
    }

    #[test]
    fn localhost_means_the_socket_as_for_the_mysql_client() {
        let base =
            ConnectOptions { socket: Some("/run/s".into()), port: Some(3307), ..ConnectOptions::default() };
        assert_eq!(way(&base), ("/run/s".to_owned(), true));
        let local = ConnectOptions { host: Some("localhost".to_owned()), ..base.clone() };
        assert_eq!(way(&local), ("/run/s".to_owned(), true));
        let tcp = ConnectOptions { protocol: Some(Protocol::Tcp), ..local };
        assert_eq!(way(&tcp), ("localhost:3307".to_owned(), false));
        let remote = ConnectOptions { host: Some("db.example".to_owned()), ..base };
        assert_eq!(way(&remote), ("db.example:3307".to_owned(), false));
    }

    #[test]
    fn a_half_of_a_client_certificate_is_refused() {
        let options = ConnectOptions { ssl_cert: Some("/dev/null".into()), ..ConnectOptions::default() };
        assert!(tls(&options, SslMode::Required).is_err());
        let options = ConnectOptions { ssl_ca: Some("/nowhere/ca.pem".into()), ..ConnectOptions::default() };
        let error = tls(&options, SslMode::VerifyCa).unwrap_err().to_string();
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
    }
}
