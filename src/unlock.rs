// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the unlock secret comes from. A configuration names a source, never the secret.

use crate::error::{BadRequest, Error, Failure, Result};
use crate::secret::{Locked, UnlockSecret};
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};
use zeroize::Zeroize;

/// Maximum length of an unlock secret in bytes.
pub const MAX_UNLOCK: usize = 4096;
/// How long a `command:` source may take.
pub(crate) const COMMAND_WAIT: Duration = Duration::from_secs(30);

/// A source of the unlock secret, written `file:PATH`, `credential:NAME`, `env:NAME` or
/// `command:PROGRAM ARGS`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UnlockSource {
    /// A file that only its owner reads.
    File(PathBuf),
    /// A file of this name in `$CREDENTIALS_DIRECTORY` (systemd's LoadCredential=).
    Credential(String),
    /// An environment variable.
    Env(String),
    /// The output of a program, which is run without a shell. Words are separated by spaces.
    Command(Vec<String>),
}

impl FromStr for UnlockSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text).map_err(|why| {
            Error::BadRequest(BadRequest::Config(format!(
                "the unlock source {why}: use file:PATH, credential:NAME, env:NAME or command:PROGRAM ARGS"
            )))
        })
    }
}

impl fmt::Display for UnlockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Env(name) => write!(f, "env:{name}"),
            // Arguments may contain secrets; the program is enough to identify the source.
            Self::Command(words) => write!(f, "command:{}", words.first().map_or("", String::as_str)),
        }
    }
}

impl UnlockSource {
    /// Reads the name of a source.
    ///
    /// # Errors
    /// What is wrong with it. The message does not repeat the text: it may be the secret itself, given by mistake.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        let (kind, rest) = text.split_once(':').ok_or("does not begin with a kind")?;
        match (kind, rest) {
            (_, "") => Err("is empty after the colon"),
            ("file", path) => Ok(Self::File(path.into())),
            ("credential", name) if name.contains('/') => {
                Err("has a path after credential:, which takes a name")
            }
            ("credential", name) => Ok(Self::Credential(name.to_owned())),
            ("env", name) => Ok(Self::Env(name.to_owned())),
            ("command", line) => {
                let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
                match words.first() {
                    Some(program) if program.starts_with('/') => Ok(Self::Command(words)),
                    _ => Err("needs the full path of the program after command:"),
                }
            }
            _ => Err("has an unknown kind"),
        }
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// [`Failure::Unlock`] says what is wrong with the source.
    pub fn read(&self) -> Result<UnlockSecret> {
        self.read_within(COMMAND_WAIT).map(UnlockSecret::new).map_err(|e| {
            Error::Failure(Failure::Unlock { source_name: self.to_string(), why: e.to_string() })
        })
    }

    /// Reads what the source holds. A program is stopped after `limit`.
    ///
    /// # Errors
    /// What is wrong with the source.
    pub(crate) fn read_within(&self, limit: Duration) -> io::Result<Locked> {
        match self {
            Self::File(path) => read_file(path, 0o077),
            Self::Credential(name) => read_credential(name),
            Self::Env(name) => read_env(name),
            Self::Command(words) => read_command(words, limit),
        }
    }
}

fn refused(why: String) -> io::Error {
    io::Error::other(why)
}

fn read_file(path: &Path, closed_to: u32) -> io::Result<Locked> {
    // A pipe in the file's place must not block.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file: std::fs::File = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|e| refused(format!("{}. Check the path and its owner", io::Error::from(e))))?
        .into();
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(refused("it is not a regular file".to_owned()));
    }
    if meta.mode() & closed_to != 0 {
        return Err(refused(format!(
            "it is open to other users (mode {:04o}): run chmod 0600 {}",
            meta.mode() & 0o7777,
            path.display()
        )));
    }
    read_bounded(file)
}

fn read_credential(name: &str) -> io::Result<Locked> {
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        refused(format!(
            "$CREDENTIALS_DIRECTORY is not set: give mysqld's systemd unit LoadCredential={name}:PATH"
        ))
    })?;
    // systemd gives the unit's user access with an ACL, which appears as a group permission.
    read_file(&Path::new(&dir).join(name), 0o007)
}

fn read_env(name: &str) -> io::Result<Locked> {
    use std::os::unix::ffi::OsStringExt;
    let value = std::env::var_os(name).ok_or_else(|| refused("the variable is not set".to_owned()))?;
    let mut value = value.into_vec();
    let secret = read_bounded(&value[..]);
    value.zeroize();
    secret
}

/// A running program. Dropping it stops the program and waits for its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail without effect if the program was already waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read_command(words: &[String], limit: Duration) -> io::Result<Locked> {
    let end = Instant::now() + limit;
    let (program, args) = words.split_first().ok_or_else(|| refused("no program".to_owned()))?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .map_err(|e| refused(format!("cannot run {program}: {e}")))?;
    let stdout = child.0.stdout.take().ok_or_else(|| refused("no output".to_owned()))?;
    // A program that never ends must not block the server, and no thread may be left waiting for its output.
    rustix::fs::fcntl_setfl(&stdout, OFlags::NONBLOCK)?;
    let secret = read_bounded(UntilThen { from: stdout, end });
    let late = || {
        let limit = limit.as_secs_f32();
        refused(format!("{program} did not end within {limit:.0} seconds and was stopped"))
    };
    if secret.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::TimedOut) {
        return Err(late());
    }
    // The program may keep running after it closed its output.
    let status = loop {
        match child.0.try_wait()? {
            Some(status) => break status,
            None if Instant::now() >= end => return Err(late()),
            None => std::thread::sleep(PAUSE),
        }
    };
    if !status.success() {
        return Err(refused(format!("{program} failed ({status})")));
    }
    secret
}

/// How long to wait before asking again whether a program has written something or has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// Reads from a pipe that does not block, until a set time.
struct UntilThen<R> {
    from: R,
    end: Instant,
}

impl<R: Read> Read for UntilThen<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.from.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if Instant::now() >= self.end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Reads into locked memory only.
fn read_bounded(mut from: impl Read) -> io::Result<Locked> {
    let mut buf = Locked::new(MAX_UNLOCK + 1)?;
    let mut len = 0;
    while len < buf.len() {
        match from.read(&mut buf[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    match len {
        0 => Err(refused("it is empty".to_owned())),
        n if n > MAX_UNLOCK => Err(refused(format!("it is longer than {MAX_UNLOCK} bytes"))),
        n => Locked::copy_of(&buf[..n]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn source(text: &str) -> UnlockSource {
        text.parse().unwrap()
    }

    #[test]
    fn sources_are_parsed_and_shown_without_arguments() {
        assert_eq!(source("file:/a:b").to_string(), "file:/a:b");
        assert_eq!(source("command:/bin/echo  a b").to_string(), "command:/bin/echo");
        for bad in ["", "secret", "file:", "pass:word", "credential:a/b", "command:echo a"] {
            let e = bad.parse::<UnlockSource>().unwrap_err().to_string();
            assert!(e.contains("file:PATH") && !e.contains("word"), "{e}");
        }
    }

    #[test]
    fn a_file_is_read_byte_for_byte_and_as_a_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, b"pass phrase\r\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let secret = UnlockSource::File(path.clone()).read().unwrap();
        assert_eq!(secret.raw(), b"pass phrase\r\n");
        assert_eq!(secret.passphrase(), b"pass phrase");
        assert!(secret.is_text());
        std::fs::write(&path, [0xff; 32]).unwrap();
        assert!(!UnlockSource::File(path.clone()).read().unwrap().is_text());
        for (content, mode, expected) in [
            (vec![], 0o600, "empty"),
            (vec![b'a'; MAX_UNLOCK + 1], 0o600, "longer"),
            (vec![b'a'], 0o640, "chmod 0600"),
        ] {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let e = UnlockSource::File(path.clone()).read().unwrap_err().to_string();
            assert!(e.contains(expected) && e.contains(&path.display().to_string()), "{e}");
        }
    }

    #[test]
    fn a_pipe_or_directory_is_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR).unwrap();
        for path in [pipe, dir.path().to_owned()] {
            let e = UnlockSource::File(path).read().unwrap_err().to_string();
            assert!(e.contains("not a regular file"), "{e}");
        }
    }

    #[test]
    fn a_command_is_run_without_a_shell() {
        assert_eq!(source("command:/bin/echo a;b $HOME").read().unwrap().passphrase(), b"a;b $HOME");
        let e = source("command:/bin/false").read().unwrap_err().to_string();
        assert!(e.contains("failed (exit status: 1)"), "{e}");
        let e = source("command:/no/such/program").read().unwrap_err().to_string();
        assert!(e.contains("cannot run"), "{e}");
    }

    #[test]
    fn a_command_that_does_not_end_is_stopped_even_if_another_program_has_its_output() {
        let dir = tempfile::tempdir().unwrap();
        let (pid, program) = (dir.path().join("pid"), dir.path().join("program"));
        // The second sleep gets the pipe, and outlives the program. It ends by itself.
        let text = format!("echo $$ > {}\nsleep 20 &\nexec sleep 1000\n", pid.display());
        std::fs::write(&program, text).unwrap();
        let words = ["/bin/sh".to_owned(), program.display().to_string()];
        let mut limit = Duration::from_secs(1);
        // Until the program had the time to begin.
        let pid = loop {
            let e = read_command(&words, limit).unwrap_err().to_string();
            assert!(e.contains(&format!("did not end within {} seconds", limit.as_secs())), "{e}");
            match std::fs::read_to_string(&pid) {
                Ok(pid) if pid.ends_with('\n') => break pid,
                _ => limit *= 2,
            }
        };
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "it was stopped and waited for");
    }

    #[test]
    fn the_environment_is_read() {
        assert_eq!(source("env:PATH").read().unwrap().raw(), std::env::var("PATH").unwrap().as_bytes());
        assert!(source("env:NO_SUCH_VARIABLE_HERE").read().unwrap_err().to_string().contains("not set"));
        assert!(source("credential:x").read().is_err());
    }
}
