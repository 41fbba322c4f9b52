// SPDX-License-Identifier: GPL-2.0-or-later
//! Connecting, and what the errors of a connection mean.

use super::address::{target, tls, user};
use super::options::{ConnectOptions, SslMode};
use crate::error::{Error, Result, ServerError};
use mysql::{Conn, DriverError, SslOpts};
use std::error::Error as _;
use std::io;
use std::time::Duration;

/// A statement may run for hours, and routers must not drop the idle connection meanwhile.
const KEEPALIVE_MS: u32 = 60_000;
/// The longest packet of the protocol. Given here, the client does not ask the server for its own limit, with a query that
/// `sql_select_limit` may answer with nothing.
const LONGEST_PACKET: usize = 1 << 30;
/// Errors after which the server closes the connection: it shuts down, was given up on, was idle for too long, was killed.
const CLOSING: [u16; 9] = [1053, 1152, 1158, 1159, 1160, 1161, 1927, 3169, 4031];

/// Connects. The server must accept the connection within `limit`, and give each answer within `answer`.
pub(super) fn open(options: &ConnectOptions, limit: Duration, answer: Option<Duration>) -> Result<Conn> {
    let (builder, way, by_socket) = target(options);
    let user = user(options);
    let builder = builder
        .user(Some(user.clone()))
        .pass(options.password.as_ref().map(|p| p.as_str()))
        .prefer_socket(false)
        .tcp_connect_timeout(Some(limit))
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
    connected.map_err(|e| not_connected(&way, &user, &e))
}

/// The error of a connection that could not be made or prepared.
pub(super) fn not_connected(way: &str, user: &str, e: &mysql::Error) -> Error {
    Error::Server(ServerError {
        doing: format!("connect to the MySQL server at {way} as {user}"),
        code: code(e),
        silent: is_lost(e),
        why: format!("{}{}", message(e), connecting_help(e)),
    })
}

fn code(e: &mysql::Error) -> u16 {
    if let mysql::Error::MySqlError(e) = e { e.code } else { 0 }
}

/// Whether nobody answered, or the connection broke or is about to.
pub(super) fn is_lost(e: &mysql::Error) -> bool {
    use DriverError::{ConnectTimeout, CouldNotConnect, PacketOutOfSync, Timeout, UnexpectedPacket};
    match e {
        mysql::Error::IoError(_) | mysql::Error::CodecError(_) => true,
        mysql::Error::DriverError(e) => {
            matches!(e, ConnectTimeout | CouldNotConnect(_) | Timeout | PacketOutOfSync | UnexpectedPacket)
        }
        mysql::Error::MySqlError(e) => CLOSING.contains(&e.code),
        _ => false,
    }
}

/// Whether a statement was certainly not carried out, because it could not even be sent. The client uses this kind of error
/// for a missing answer too, but then it does not come from the system.
pub(super) fn is_unsent(e: &mysql::Error) -> bool {
    io_error(e).is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe && e.raw_os_error().is_some())
}

fn io_error(e: &mysql::Error) -> Option<&io::Error> {
    match e {
        mysql::Error::IoError(e) => Some(e),
        mysql::Error::CodecError(e) => e.source()?.downcast_ref(),
        _ => None,
    }
}

/// Returns the server's own message, without what the client adds.
pub(super) fn message(e: &mysql::Error) -> String {
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
        0 if is_lost(e) => {
            ". Is it running? Set its address with --socket, or --host and --port, or in ~/.my.cnf"
        }
        _ => "",
    }
}

/// Returns the error of a statement. Statements contain no secret.
pub(super) fn refused(statement: &str, e: &mysql::Error) -> Error {
    let short: String = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let short = match short.char_indices().nth(120) {
        Some((end, _)) => format!("{}...", &short[..end]),
        None => short,
    };
    Error::Server(ServerError {
        doing: format!("run {short}"),
        code: code(e),
        silent: is_lost(e),
        why: message(e),
    })
}
