// SPDX-License-Identifier: GPL-2.0-or-later
//! How to connect to a server, from MySQL's option files, which are read as the mysql client reads them.

use super::option_file::OptionFiles;
use crate::error::Result;
use crate::show::{self, Shown};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// The groups that are read. The mysql client does not read `[keyringctl]`.
const GROUPS: [&str; 3] = ["client", "mysql", "keyringctl"];
/// Option files for all users, in MySQL's order.
const GLOBAL_FILES: [&str; 2] = ["/etc/my.cnf", "/etc/mysql/my.cnf"];

/// How to connect to a server. `None` means the default of the mysql client.
#[derive(Clone, Default)]
pub struct ConnectOptions {
    /// The account; by default the name of this process's user.
    pub user: Option<String>,
    /// Its password, which is wiped when it is dropped.
    pub password: Option<Zeroizing<String>>,
    /// The host; `None` and `localhost` mean the socket, unless `protocol` is TCP.
    pub host: Option<String>,
    /// The TCP port, by default 3306.
    pub port: Option<u16>,
    /// The path of the socket.
    pub socket: Option<PathBuf>,
    /// Socket or TCP.
    pub protocol: Option<Protocol>,
    /// Whether and how to use TLS over TCP.
    pub ssl_mode: Option<SslMode>,
    /// The file with the certificates of trusted authorities.
    pub ssl_ca: Option<PathBuf>,
    /// The file with the client's certificate.
    pub ssl_cert: Option<PathBuf>,
    /// The file with the client's private key.
    pub ssl_key: Option<PathBuf>,
}

/// Shows no password.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("user", &self.user)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

/// The kind of connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// A network connection.
    Tcp,
    /// A socket in the filesystem.
    Socket,
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "socket" => Ok(Protocol::Socket),
            _ => Err(format!("{text:?} is not a protocol: use tcp or socket")),
        }
    }
}

/// Whether and how to use TLS, with the mysql client's names. Sockets do not use TLS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SslMode {
    /// No TLS.
    Disabled,
    /// TLS if the server supports it. The certificate is not checked.
    Preferred,
    /// TLS or no connection. The certificate is not checked.
    Required,
    /// An authority in `ssl_ca`, or a public one, must have issued the certificate.
    VerifyCa,
    /// In addition, the certificate must be for the host's name.
    VerifyIdentity,
}

impl FromStr for SslMode {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.to_ascii_uppercase().replace('-', "_").as_str() {
            "DISABLED" => Ok(SslMode::Disabled),
            "PREFERRED" => Ok(SslMode::Preferred),
            "REQUIRED" => Ok(SslMode::Required),
            "VERIFY_CA" => Ok(SslMode::VerifyCa),
            "VERIFY_IDENTITY" => Ok(SslMode::VerifyIdentity),
            _ => Err(format!(
                "{text:?} is not an SSL mode: use DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY"
            )),
        }
    }
}

impl ConnectOptions {
    /// Reads the option files that the mysql client reads: those for all users, `extra`, and `~/.my.cnf`. Missing files are
    /// ignored, except `extra`.
    ///
    /// # Errors
    /// A file cannot be read, or contains an invalid value.
    pub fn from_files(extra: Option<&Path>) -> Result<ConnectOptions> {
        let mut options = ConnectOptions::default();
        for file in GLOBAL_FILES {
            options.read_if_there(Path::new(file))?;
        }
        if let Some(extra) = extra {
            options.read(extra)?;
        }
        if let Some(home) = std::env::var_os("HOME") {
            options.read_if_there(&Path::new(&home).join(".my.cnf"))?;
        }
        Ok(options)
    }

    /// Reads one option file.
    ///
    /// # Errors
    /// As [`ConnectOptions::from_files`], or the file does not exist.
    pub fn from_file(file: &Path) -> Result<ConnectOptions> {
        let mut options = ConnectOptions::default();
        options.read(file)?;
        Ok(options)
    }

    /// Replaces the options that `other` sets.
    pub fn override_with(&mut self, other: ConnectOptions) {
        fn put<T>(own: &mut Option<T>, other: Option<T>) {
            if other.is_some() {
                *own = other;
            }
        }
        put(&mut self.user, other.user);
        put(&mut self.password, other.password);
        put(&mut self.host, other.host);
        put(&mut self.port, other.port);
        put(&mut self.socket, other.socket);
        put(&mut self.protocol, other.protocol);
        put(&mut self.ssl_mode, other.ssl_mode);
        put(&mut self.ssl_ca, other.ssl_ca);
        put(&mut self.ssl_cert, other.ssl_cert);
        put(&mut self.ssl_key, other.ssl_key);
    }

    fn read_if_there(&mut self, file: &Path) -> Result<()> {
        match self.read(file) {
            Err(e)
                if matches!(e.io_kind(), Some(io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)) =>
            {
                Ok(())
            }
            done => done,
        }
    }

    fn read(&mut self, file: &Path) -> Result<()> {
        let mut read = OptionFiles::read(file, Path::new("/"))?;
        for ignored in &read.ignored {
            let file = ignored.shown();
            show::warn(format_args!(
                "ignoring {file}, because every user can write to it. Run chmod o-w {file}"
            ));
        }
        for entry in read.entries.iter_mut().filter(|e| GROUPS.contains(&e.group.as_str())) {
            // Taken, so that no second copy of a password remains.
            let value = entry.value.take();
            self.set(&entry.name, value).map_err(|why| entry.wrong(&why))?;
        }
        Ok(())
    }

    /// Sets one option. Others in these groups are ignored.
    fn set(&mut self, name: &str, value: Option<String>) -> std::result::Result<(), String> {
        let Some(value) = value else { return Ok(()) };
        match name {
            "user" => self.user = Some(value),
            "password" => self.password = Some(Zeroizing::new(value)),
            "host" => self.host = Some(value),
            "port" => self.port = Some(value.parse().map_err(|_| format!("{value:?} is not a port"))?),
            "socket" => self.socket = Some(value.into()),
            // The other protocols exist only on Windows.
            "protocol" => self.protocol = value.parse().ok(),
            "ssl-mode" => self.ssl_mode = Some(value.parse()?),
            "ssl-ca" => self.ssl_ca = Some(value.into()),
            "ssl-cert" => self.ssl_cert = Some(value.into()),
            "ssl-key" => self.ssl_key = Some(value.into()),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn option_files_are_read_as_the_mysql_client_does() {
        let dir = tempfile::tempdir().unwrap();
        let (main, more) = (dir.path().join("my.cnf"), dir.path().join("more.d"));
        fs::create_dir(&more).unwrap();
        fs::write(more.join("b.cnf"), "[client]\nhost = 'db.example'\n").unwrap();
        fs::write(more.join("a.cnf"), "[client]\nhost = other\n").unwrap();
        fs::write(more.join("c.txt"), "[client]\nhost = not.this\n").unwrap();
        let text = format!(
            "# a comment\n[mysqld]\nport=1\nuser=mysql\n\n[client]\n port = 3307 \npassword=\"a #b\\sc\"\nssl_mode=verify_ca # yes\n\
             [mysqldump]\nuser=dumper\n[mysql]\nauto-rehash\nuser=anna\nloose-socket=/run/s\n!includedir {}\n",
            more.display()
        );
        fs::write(&main, text).unwrap();
        let read = ConnectOptions::from_file(&main).unwrap();
        assert_eq!(read.port, Some(3307));
        assert_eq!(read.password.as_ref().map(|p| p.as_str()), Some("a #b c"));
        assert_eq!(read.ssl_mode, Some(SslMode::VerifyCa));
        assert_eq!(read.user.as_deref(), Some("anna"));
        assert_eq!(read.socket, Some("/run/s".into()));
        assert_eq!(read.host.as_deref(), Some("db.example"));
        assert!(!format!("{read:?}").contains("a #b"));
    }

    #[test]
    fn a_file_that_every_user_can_write_to_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my.cnf");
        fs::write(&file, "[client]\nhost=evil\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(ConnectOptions::from_file(&file).unwrap().host, None);
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my.cnf");
        fs::write(&file, "[client]\nport=many\n").unwrap();
        let error = ConnectOptions::from_file(&file).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("many"), "{error}");
        assert!(ConnectOptions::from_file(&dir.path().join("none")).is_err());
    }
}
