// SPDX-License-Identifier: GPL-2.0-or-later
//! Who made a report, from where, and with which command.

use crate::error::Result;
use crate::host::accounts;
use crate::server::Session;
use crate::show::Shown;
use keyring_external::store::file::real::effective_user;
use keyring_external::unlock::UnlockSource;
use serde::Serialize;
use std::ffi::{OsStr, OsString};
use std::fs;

/// Who made a report, and from where.
#[derive(Serialize)]
pub(super) struct Origin {
    /// The MySQL account with whose privileges the server was asked.
    pub account: String,
    /// The client as the server sees it: the name that was given, and the machine it connects from.
    pub client: String,
    /// The user of the operating system that ran keyringctl.
    pub user: String,
    /// Who became that user through sudo, as the environment says.
    pub sudo_user: Option<String>,
    /// The machine that keyringctl ran on.
    pub host: String,
    /// The command line, without the arguments of a program that prints the secret.
    pub command: String,
}

impl Origin {
    pub(super) fn query(session: &mut Session) -> Result<Origin> {
        let row: Option<(String, String)> = session.first("SELECT CURRENT_USER(), USER()")?;
        let (account, client) = row.unwrap_or_default();
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = effective_user();
        Ok(Origin {
            account,
            client,
            user: accounts::name_of(&passwd, uid).unwrap_or_else(|| format!("user id {uid}")),
            sudo_user: std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty()),
            host: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
            command: command_line(std::env::args_os().skip(1)),
        })
    }
}

/// A command line of keyringctl, quoted for a shell. It has no secret: of an unlock source, it has what messages show of
/// it.
fn command_line(args: impl Iterator<Item = OsString>) -> String {
    let shown = |arg: OsString| match source(&arg) {
        Some((option, source)) => format!("{option}{}", source.shown()),
        None => arg.shown(),
    };
    std::iter::once("keyringctl".to_owned()).chain(args.map(shown)).collect::<Vec<_>>().join(" ")
}

/// The unlock source that an argument names, as messages show it, and what is before it.
fn source(arg: &OsStr) -> Option<(&'static str, String)> {
    let text = arg.to_string_lossy();
    let (option, source) = match text.strip_prefix("--unlock=") {
        Some(source) => ("--unlock=", source),
        None if text.starts_with("command:") => ("", text.as_ref()),
        None => return None,
    };
    let shown = match source.parse() {
        Ok(UnlockSource::Command(words)) if words.len() > 1 => {
            format!("{} ...", UnlockSource::Command(words))
        }
        Ok(source) => source.to_string(),
        Err(_) => "...".to_owned(),
    };
    Some((option, shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_has_no_secret() {
        let line = |args: &[&str]| command_line(args.iter().map(OsString::from));
        let file = ["report", "--html", "a b.html", "--unlock", "file:/etc/my secret"];
        assert_eq!(line(&file), "keyringctl report --html 'a b.html' --unlock 'file:/etc/my secret'");
        for args in [
            &["report", "--unlock", "command:/bin/vault --token=s3cret"][..],
            &["report", "--unlock=command:/bin/vault --token=s3cret"],
            &["report", "--unlock=s3cret"],
        ] {
            assert!(!line(args).contains("s3cret"), "{}", line(args));
        }
        assert!(line(&["--unlock=command:/bin/vault x"]).ends_with(" --unlock='command:/bin/vault ...'"));
    }
}
