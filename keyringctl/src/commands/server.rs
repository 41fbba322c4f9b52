// SPDX-License-Identifier: GPL-2.0-or-later
//! Connects to a MySQL server, with the options of the mysql client.

use crate::error::{Error, Result};
use crate::server::{ConnectOptions, Protocol, Session, SslMode};
use crate::show::{Shown, warn};
use std::io::IsTerminal;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The options of the mysql client. A password is never taken from the arguments, which other users can see.
#[derive(clap::Args)]
#[group(id = "server")]
#[command(next_help_heading = "Connection to the server, as for the mysql client", disable_help_flag = true)]
pub(super) struct Args {
    /// Read only this option file
    #[arg(long, value_name = "FILE")]
    defaults_file: Option<PathBuf>,
    /// Also read this option file, before ~/.my.cnf
    #[arg(long, value_name = "FILE", conflicts_with = "defaults_file")]
    defaults_extra_file: Option<PathBuf>,
    /// Read no option file
    #[arg(long, conflicts_with_all = ["defaults_file", "defaults_extra_file"])]
    no_defaults: bool,
    /// MySQL account [default: your login name]
    #[arg(long, short = 'u')]
    user: Option<String>,
    /// Prompt for the password. Without this option, it comes from the option files or from MYSQL_PWD
    #[arg(long, short = 'p')]
    password: bool,
    /// Host; localhost means the socket
    #[arg(long, short = 'h')]
    host: Option<String>,
    /// TCP port [default: 3306]
    #[arg(long, short = 'P')]
    port: Option<u16>,
    /// Socket file
    #[arg(long, short = 'S', value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Protocol: tcp or socket
    #[arg(long)]
    protocol: Option<Protocol>,
    /// TLS mode: DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY
    #[arg(long, value_name = "MODE")]
    ssl_mode: Option<SslMode>,
    /// CA certificates, in PEM; makes VERIFY_CA the default
    #[arg(long, value_name = "FILE")]
    ssl_ca: Option<PathBuf>,
    /// Client certificate, in PEM
    #[arg(long, value_name = "FILE")]
    ssl_cert: Option<PathBuf>,
    /// Private key of the client, in PEM
    #[arg(long, value_name = "FILE")]
    ssl_key: Option<PathBuf>,
    // -h names the host here, as for the mysql client.
    /// Print help
    #[arg(long, action = clap::ArgAction::HelpLong, help_heading = "Options")]
    help: Option<bool>,
}

impl Args {
    /// Connects to the server.
    pub(super) fn connect(&self) -> Result<Session> {
        let session = Session::connect(&self.options()?)?.telling(tell);
        session.not_set().iter().for_each(|not_set| tell(&not_set.to_string()));
        Ok(session)
    }

    /// Whether any option names a server or an account.
    pub(super) fn is_given(&self) -> bool {
        let files = self.defaults_file.is_some() || self.defaults_extra_file.is_some() || self.no_defaults;
        let place = self.host.is_some() || self.port.is_some() || self.socket.is_some();
        files || place || self.user.is_some() || self.password || self.protocol.is_some()
    }

    /// The options that were given, for the commands in messages; each word follows a blank. There is no password in them.
    pub(super) fn words(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.shown());
        let is = |given: bool| given.then(String::new);
        let protocol = self.protocol.map(|protocol| match protocol {
            Protocol::Tcp => "tcp".to_owned(),
            Protocol::Socket => "socket".to_owned(),
        });
        let mode = self.ssl_mode.map(|mode| match mode {
            SslMode::Disabled => "DISABLED".to_owned(),
            SslMode::Preferred => "PREFERRED".to_owned(),
            SslMode::Required => "REQUIRED".to_owned(),
            SslMode::VerifyCa => "VERIFY_CA".to_owned(),
            SslMode::VerifyIdentity => "VERIFY_IDENTITY".to_owned(),
        });
        // mysql takes the first three only before all others.
        let all = [
            ("--no-defaults", is(self.no_defaults)),
            ("--defaults-file", path(&self.defaults_file).map(|file| format!("={file}"))),
            ("--defaults-extra-file", path(&self.defaults_extra_file).map(|file| format!("={file}"))),
            ("--user", self.user.as_ref().map(|user| format!("={}", user.shown()))),
            ("--password", is(self.password)),
            ("--host", self.host.as_ref().map(|host| format!("={}", host.shown()))),
            ("--port", self.port.map(|port| format!("={port}"))),
            ("--socket", path(&self.socket).map(|socket| format!("={socket}"))),
            ("--protocol", protocol.map(|protocol| format!("={protocol}"))),
            ("--ssl-mode", mode.map(|mode| format!("={mode}"))),
            ("--ssl-ca", path(&self.ssl_ca).map(|file| format!("={file}"))),
            ("--ssl-cert", path(&self.ssl_cert).map(|file| format!("={file}"))),
            ("--ssl-key", path(&self.ssl_key).map(|file| format!("={file}"))),
        ];
        all.into_iter().filter_map(|(name, value)| Some(format!(" {name}{}", value?))).collect()
    }

    /// How to connect: from the option files, MYSQL_PWD and the options.
    pub(super) fn options(&self) -> Result<ConnectOptions> {
        let mut options = match (&self.defaults_file, self.no_defaults) {
            (Some(file), _) => ConnectOptions::from_file(file)?,
            (None, true) => ConnectOptions::default(),
            (None, false) => ConnectOptions::from_files(self.defaults_extra_file.as_deref())?,
        };
        if options.password.is_none() {
            options.password = std::env::var("MYSQL_PWD").ok().map(Zeroizing::new);
        }
        options.override_with(ConnectOptions {
            user: self.user.clone(),
            password: if self.password { Some(ask()?) } else { None },
            host: self.host.clone(),
            port: self.port,
            socket: self.socket.clone(),
            protocol: self.protocol,
            ssl_mode: self.ssl_mode,
            ssl_ca: self.ssl_ca.clone(),
            ssl_cert: self.ssl_cert.clone(),
            ssl_key: self.ssl_key.clone(),
        });
        Ok(options)
    }
}

fn tell(text: &str) {
    warn(text);
}

fn ask() -> Result<Zeroizing<String>> {
    let refused = |why: String| Error::Usage(format!("cannot prompt for the password: {why}"));
    if !std::io::stdin().is_terminal() {
        return Err(refused("no terminal. Put the password into an option file".to_owned()));
    }
    let typed = rpassword::prompt_password("Password of the MySQL account: ");
    typed.map(Zeroizing::new).map_err(|e| refused(e.to_string()))
}
