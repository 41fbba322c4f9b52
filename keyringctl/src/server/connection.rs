// SPDX-License-Identifier: GPL-2.0-or-later
//! Connecting, and what the errors of a connection mean.

use super::address::{target, tls, user};
use super::options::{ConnectOptions, SslMode};
use crate::error::{Error, Result, ServerError};
use crate::show::Shown;
use mysql::{Conn, DriverError, OptsBuilder, SslOpts};
use std::error::Error as _;
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A statement may run for hours, and routers must not drop the idle connection meanwhile.
const KEEPALIVE_MS: u32 = 60_000;
/// The longest packet of the protocol. Given here, the client does not ask the server for its own limit, with a query that
/// `sql_select_limit` may answer with nothing.
const LONGEST_PACKET: usize = 1 << 30;
/// How much later than the client the thread gives up that waits for it, so that the client says why.
const TO_SAY_SO: Duration = Duration::from_millis(300);
/// What to do if nobody answers.
pub(super) const FIND: &str = "Set its address with --socket, or --host and --port, or in ~/.my.cnf";
/// Errors after which the server closes the connection: it shuts down, was given up on, was idle for too long, was killed.
const CLOSING: [u16; 9] = [1053, 1152, 1158, 1159, 1160, 1161, 1927, 3169, 4031];

/// Connects. The server must accept the connection within `limit`, say within `limit` that it is a server and let the account
/// in, and then give each answer within `answer`.
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
    let connected = match in_time(builder.clone().ssl_opts(tls), limit) {
        Some(Err(mysql::Error::DriverError(DriverError::TlsNotSupported))) if mode == SslMode::Preferred => {
            in_time(builder.ssl_opts(None::<SslOpts>), limit)
        }
        done => done,
    };
    match connected {
        Some(done) => done.map_err(|e| not_connected(&way, by_socket, &user, &e)),
        None => Err(Error::Server(ServerError {
            doing: connecting(&way, &user),
            code: 0,
            silent: true,
            why: format!(
                "what accepts connections there has not answered for {} s. The server may be stalled, or it is no MySQL server. {FIND}",
                limit.as_secs()
            ),
        })),
    }
}

/// Connects; `None`: the other side has accepted the connection, and says nothing. The client has no limit for that which ends
/// when it is connected, so that a thread waits instead.
fn in_time(builder: OptsBuilder, limit: Duration) -> Option<mysql::Result<Conn>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody waits for it any more if this fails.
        let _ = sender.send(Conn::new(builder));
    });
    receiver.recv_timeout(limit + TO_SAY_SO).ok()
}

fn connecting(way: &str, user: &str) -> String {
    format!("connect to the MySQL server at {way} as {user}")
}

/// The error of a connection that could not be made or prepared.
pub(super) fn not_connected(way: &str, by_socket: bool, user: &str, e: &mysql::Error) -> Error {
    Error::Server(ServerError {
        doing: connecting(way, user),
        code: code(e),
        silent: is_lost(e),
        why: connecting_help(user, by_socket, e),
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
        mysql::Error::IoError(e)
            if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            "it has not answered in time".to_owned()
        }
        mysql::Error::IoError(e) => e.to_string(),
        mysql::Error::DriverError(e) => e.to_string(),
        mysql::Error::CodecError(e) => e.to_string(),
        mysql::Error::TlsError(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// What the error means, and what to do about it.
fn connecting_help(user: &str, by_socket: bool, e: &mysql::Error) -> String {
    const ACCOUNT: &str = "Set the account in ~/.my.cnf, or use --user and --password";
    let help = match code(e) {
        1045 if by_socket => {
            "Set the account in ~/.my.cnf, or use --user and --password. An account that requires TLS cannot use the \
             socket: add --host 127.0.0.1"
                .to_owned()
        }
        1045 => format!(
            "{ACCOUNT}. An account that requires TLS needs --ssl-mode REQUIRED, and one that requires a client certificate \
             --ssl-cert and --ssl-key"
        ),
        1044 => ACCOUNT.to_owned(),
        1698 => format!(
            "If this account has no password and belongs to the operating system's user of that name (auth_socket), run \
             keyringctl as that user: sudo -u {}. Otherwise set another account in ~/.my.cnf, or use --user and --password",
            user.shown()
        ),
        3118 => "Unlock it with ALTER USER ... ACCOUNT UNLOCK, or use another account".to_owned(),
        1820 | 1862 => {
            "The account's password has expired: log in as this account with the mysql client, run ALTER USER USER() \
             IDENTIFIED BY '...'; then run this again"
                .to_owned()
        }
        1203 | 1226 if message(e).contains("connections") => {
            "keyringctl needs up to 3 connections at a time: raise the account's limit with ALTER USER ... WITH \
             MAX_USER_CONNECTIONS 5, or use another account"
                .to_owned()
        }
        1040 => "Run this again when fewer clients are connected, or connect to the server's admin_port".to_owned(),
        1184 => {
            "The statements of the server's init_connect fail for this account: see the server's error log, or use an \
             account with CONNECTION_ADMIN, for which the server does not run them"
                .to_owned()
        }
        0 if is_lost(e) => {
            format!("Is it running? {FIND}")
        }
        _ => String::new(),
    };
    // For an account that does not exist, the server names a method at random.
    if let mysql::Error::DriverError(DriverError::UnknownAuthPlugin(method)) = e {
        return format!(
            "access denied: there is no such account, or it logs in with {method}, which keyringctl does not support. Check \
             the name, or change the account with ALTER USER ... IDENTIFIED WITH caching_sha2_password BY '...', or use \
             another one with --user and --password"
        );
    }
    let message = message(e);
    if help.is_empty() { message } else { format!("{}. {help}", message.trim_end_matches('.')) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use mysql::MySqlError;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn told(code: u16, message: &str, by_socket: bool) -> String {
        let e =
            mysql::Error::MySqlError(MySqlError { state: String::new(), message: message.to_owned(), code });
        not_connected("/run/s", by_socket, "anna", &e).to_string()
    }

    #[test]
    fn an_account_that_keyringctl_cannot_use_or_does_not_exist_is_denied() {
        let e = mysql::Error::DriverError(DriverError::UnknownAuthPlugin("sha256_password".to_owned()));
        let said = not_connected("db:3306", false, "anna", &e).to_string();
        assert!(
            said.contains(
                "db:3306 as anna: access denied: there is no such account, or it logs in with sha256_password"
            ),
            "{said}"
        );
        assert!(said.contains("caching_sha2_password"), "{said}");
        assert!(!said.contains("Unknown"), "{said}");
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let denied = "Access denied for user 'anna'@'localhost' (using password: YES)";
        for (code, by_socket, help) in [
            (1045, true, "--host 127.0.0.1"),
            (1045, false, "--ssl-mode REQUIRED"),
            (1045, false, "--ssl-cert and --ssl-key"),
            (1698, true, "sudo -u anna"),
            (3118, false, "ACCOUNT UNLOCK"),
            (1820, false, "ALTER USER USER() IDENTIFIED BY"),
            (1040, false, "admin_port"),
        ] {
            let said = told(code, denied, by_socket);
            assert!(said.contains(help) && said.contains(denied), "{code}: {said}");
            assert!(said.contains(&format!("(MySQL error {code}). ")), "{said}");
        }
        assert!(told(1290, "read only", false).ends_with("read only (MySQL error 1290)"));
    }

    #[test]
    fn who_accepts_a_connection_and_says_nothing_is_given_up_on() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let _by_socket = UnixListener::bind(&socket).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let by_socket = ConnectOptions { socket: Some(socket), ..ConnectOptions::default() };
        let by_tcp = ConnectOptions {
            host: Some("127.0.0.1".to_owned()),
            port: Some(tcp.local_addr().unwrap().port()),
            ..ConnectOptions::default()
        };
        for options in [by_socket, by_tcp] {
            let e = open(&options, Duration::from_secs(1), None).map(drop).unwrap_err();
            assert!(matches!(&e, Error::Server(ServerError { silent: true, code: 0, .. })), "{e}");
            assert!(e.to_string().contains("has not answered for 1 s"), "{e}");
        }
    }
}
