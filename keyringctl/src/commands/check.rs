// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl check`: one line for a monitoring system (Nagios, Icinga, Naemon, Centreon, Zabbix), with its exit codes.

mod judge;
mod used;
mod worker;

use super::copies::of_server;
use super::monitor_line::{self, Line};
use super::server as connection;
use super::site;
use super::{secret, status};
use crate::commands::store_places::store_places;
use crate::error::{Error, Result, ServerError};
use crate::server::{ConnectOptions, KeyringFigures, Session};
use judge::{Found, Limits, Problem};
use keyring_external::keyring::inspect;
use keyring_external::store::deadline;
use keyring_external::store::places::{Places as StorePlaces, is_remote};
use keyring_external::store::tasks::PROBE_WAIT;
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};
use std::time::Duration;
use used::Used;

/// The time that is kept for what follows the server's answer.
const RESERVE: Duration = Duration::from_secs(2);

/// Check the copies of a keyring, the server, or both, for a monitoring system such as Nagios or Icinga
///
/// Prints one line: OK, WARNING, CRITICAL or UNKNOWN, what is wrong and what to do, then performance data. Without
/// KEYRING and without connection options, it checks the copies that the server on this host is configured with. With
/// connection options, it also asks the server; without KEYRING, it then asks only the server, unless options such as
/// --option-file say which server's copies are meant. Nothing is changed.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl check\n  \
    keyringctl check /mnt/a/keys/main.keyring /mnt/b/keys/main.keyring --datadir /var/lib/mysql --user monitor\n  \
    keyringctl check --host db1.example --user monitor --defaults-extra-file /etc/nagios/monitor.cnf\n\n\
    Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: the check itself could not be carried out.")]
pub(super) struct Args {
    /// Keyring files, the copies of one keyring
    #[arg(value_name = "KEYRING")]
    paths: Vec<PathBuf>,
    /// The server's data directory: compare the copies with the keyring that it last used
    #[arg(long, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// Source of the unlock secret, to authenticate every byte of the copies: file:PATH, credential:NAME, env:NAME or
    /// "command:PROGRAM ARGS" [default: that of the server, if its copies are checked and this user may read it]
    #[arg(long, value_name = "SOURCE")]
    unlock: Option<UnlockSource>,
    /// CRITICAL if fewer copies are up to date; WARNING if any is not
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    min_copies: u32,
    /// WARNING if the server has counted more failed operations since it opened the keyring [default: any number is OK]
    #[arg(long, value_name = "NUMBER")]
    max_failures: Option<u64>,
    /// CRITICAL if the check has not ended after this time
    #[arg(long, short = 't', value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=3600))]
    timeout: u64,
    #[command(flatten)]
    server: connection::Args,
    #[command(flatten)]
    site: site::Parts,
}

/// Runs the check, prints its line, and returns the exit code.
///
/// A process with a thread in a system call on a dead volume cannot end. Therefore another process looks, and this one
/// waits for its answer for a limited time.
pub(super) fn run(args: &Args, json: bool) -> u8 {
    let limit = Duration::from_secs(args.timeout);
    if worker::is_worker() {
        return worker::answer(&examine(args).shown("check", json));
    }
    match worker::ask(limit) {
        Ok((code, text)) => monitor_line::print(code, &text),
        Err(line) => {
            let (code, text) = line.shown("check", json);
            monitor_line::print(code, &text)
        }
    }
}

/// Looks at all that the arguments name.
fn examine(args: &Args) -> Line {
    let Places { paths, datadir, read_only, unlock } = match places(args) {
        Ok(places) => places,
        Err(e) => return Line::failed(&e),
    };
    let (min_copies, max_failures) = (args.min_copies as usize, args.max_failures);
    let limits = Limits { min_copies, max_failures, stores: !read_only };
    let options = match args.server.is_given().then(|| args.server.options()).transpose() {
        Ok(options) => options,
        Err(e) => return Line::failed(&e),
    };
    let answer_in = Duration::from_secs(args.timeout).saturating_sub(RESERVE);
    // The server is asked before the copies are read: what it knew then, a copy must hold.
    let stores = store_places();
    let server = std::thread::scope(|scope| {
        for path in &paths {
            scope.spawn(|| probe(path, &stores));
        }
        options.map(|options| ask(options, answer_in))
    });
    let (server, used) = match server {
        Some(Ok((figures, used))) => (Some(Ok(figures)), Some(used)),
        Some(Err(e)) => (Some(Err(e)), None),
        None => (None, None),
    };
    let is_ours = matches!(server, Some(Ok(KeyringFigures::Ours(_))));
    let used = used.filter(|_| is_ours && !paths.is_empty());
    let mut problems = used.map(|used| used.compare(&paths)).unwrap_or_default();
    let secret = secret::Args { unlock: args.unlock.clone().or(unlock), ..secret::Args::default() };
    let look = || status::look(&stores, &paths, datadir.as_deref(), &mut secret::Once::new(&secret), false);
    let looked = match (!paths.is_empty()).then(look).transpose() {
        Ok(looked) => looked,
        // What the server says is shown even so.
        Err(e) => {
            problems.push(Problem::unknown(e.to_string()));
            return judge::line(None, server.as_ref(), &limits, problems);
        }
    };
    let found = looked.as_ref().map(|looked| Found {
        copies: &looked.copies,
        without_witness: looked.without_witness.as_deref(),
        damaged_witness: looked.damaged_witness.as_deref(),
    });
    judge::line(found, server.as_ref(), &limits, problems)
}

/// Reads a copy, to find out whether its volume answers. One that does not is remembered, and not waited for again.
fn probe(path: &Path, stores: &StorePlaces) {
    let (place, stores) = (path.to_owned(), stores.clone());
    let read = move || drop(inspect(&stores, &place));
    // What is wrong with the copy is found out later.
    let _ = deadline::run(path, PROBE_WAIT, read);
}

/// What is looked at.
struct Places {
    /// The copies.
    paths: Vec<PathBuf>,
    datadir: Option<PathBuf>,
    /// Whether the server is configured to store no new key.
    read_only: bool,
    /// The server's unlock source, if this user may read it.
    unlock: Option<UnlockSource>,
}

fn places(args: &Args) -> Result<Places> {
    let of_configuration = args.paths.is_empty() && (args.site.is_given() || !args.server.is_given());
    if !of_configuration {
        if args.paths.iter().any(|path| is_remote(path)) {
            of_server::use_its_remotes(&args.site);
        }
        let (paths, datadir) = (args.paths.clone(), args.datadir.clone());
        return Ok(Places { paths, datadir, read_only: false, unlock: None });
    }
    configured(&site::Args { parts: args.site.clone(), datadir: args.datadir.clone() })
}

/// What the server on this host is configured with.
fn configured(site: &site::Args) -> Result<Places> {
    let server = of_server::find(site)?.needed()?;
    // A monitoring user may not read it, and is told that nothing was authenticated.
    let unlock = Some(server.unlock).filter(|source| secret::read_source(source).is_ok());
    Ok(Places { paths: server.copies, datadir: Some(server.datadir), read_only: server.read_only, unlock })
}

/// Asks the server, for at most `limit`.
fn ask(options: ConnectOptions, limit: Duration) -> Result<(KeyringFigures, Used)> {
    let ask = move || {
        let mut session = Session::connect_briefly(&options, limit)?;
        Ok((KeyringFigures::query(&mut session)?, Used::query(&mut session)))
    };
    // Finding the address may take long too.
    deadline::run(Path::new("the MySQL server"), limit, ask).unwrap_or_else(|_| {
        Err(Error::Server(ServerError {
            doing: "get an answer of the MySQL server".to_owned(),
            code: 0,
            silent: true,
            why: format!("it has not answered for {} seconds", limit.as_secs()),
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn without_arguments_the_configured_copies_are_checked() {
        let host = tempfile::tempdir().unwrap();
        let site = || site::Args {
            parts: site::Parts { root: host.path().to_owned(), ..site::Parts::default() },
            datadir: None,
        };
        let none = configured(&site()).map(|_| ()).unwrap_err().to_string();
        assert!(none.contains("no server on this host"), "{none}");
        let options = "[mysqld]\ndatadir=/srv/mysql\nearly-plugin-load=keyring_external.so\n\
             keyring_external=FORCE_PLUS_PERMANENT\nkeyring_external_data=/mnt/a/k\n\
             keyring_external_mirrors=/mnt/b/k\nkeyring_external_unlock=file:/etc/secret\n";
        fs::create_dir_all(host.path().join("etc")).unwrap();
        fs::write(host.path().join("etc/my.cnf"), options).unwrap();
        let Places { paths, datadir, read_only, .. } = configured(&site()).unwrap();
        let root = fs::canonicalize(host.path()).unwrap();
        assert_eq!(paths, [root.join("mnt/a/k"), root.join("mnt/b/k")]);
        assert_eq!((datadir, read_only), (Some(root.join("srv/mysql")), false));
        // Its secret authenticates them, if this user may read it.
        assert_eq!(configured(&site()).unwrap().unlock, None);
        let secret = root.join("etc/secret");
        fs::write(&secret, [7; 32]).unwrap();
        fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(configured(&site()).unwrap().unlock, Some(UnlockSource::File(secret)));
    }
}
