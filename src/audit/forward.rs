// SPDX-License-Identifier: GPL-2.0-or-later
//! Passes lines on to syslog or the journal, without waiting: a line that they do not take at once is lost there, and is
//! counted. The log itself is the file.

use crate::config::Forward;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// The facility `authpriv` and the severity `notice`.
const FACILITY: u32 = 10;
const SEVERITY: u32 = 5;
const IDENTIFIER: &str = "keyring_external";

/// Passes a line on.
///
/// # Errors
/// Nobody takes it at once.
pub(super) fn send(to: Forward, line: &str) -> io::Result<()> {
    to.socket().map_or(Ok(()), |path| send_to(to, Path::new(path), line))
}

fn send_to(to: Forward, path: &Path, line: &str) -> io::Result<()> {
    let message = match to {
        Forward::Journal => format!(
            "PRIORITY={SEVERITY}\nSYSLOG_FACILITY={FACILITY}\nSYSLOG_IDENTIFIER={IDENTIFIER}\nMESSAGE={line}\n"
        ),
        Forward::Syslog | Forward::No => format!("<{}>{IDENTIFIER}: {line}", FACILITY * 8 + SEVERITY),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(message.as_bytes(), path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_message_and_a_reader_that_takes_none_holds_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(send_to(Forward::Syslog, &path, "{}").is_err());
        let reader = UnixDatagram::bind(&path).unwrap();
        let mut buffer = [0; 1000];
        for (to, expected) in [
            (Forward::Syslog, "<85>keyring_external: {\"seq\":1}"),
            (
                Forward::Journal,
                "PRIORITY=5\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=keyring_external\nMESSAGE={\"seq\":1}\n",
            ),
        ] {
            send_to(to, &path, "{\"seq\":1}").unwrap();
            let len = reader.recv(&mut buffer).unwrap();
            assert_eq!(std::str::from_utf8(&buffer[..len]).unwrap(), expected);
        }
        // Until the socket is full.
        while send_to(Forward::Syslog, &path, "{}").is_ok() {}
    }
}
