// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt rotate`: new master keys. Tablespaces' own keys are sealed anew with them, no page is
//! written anew; InnoDB's old master keys stay in the keyring, because old backups need them. The old one of the binary logs
//! is removed by the server.

use super::plan::keyring_line;
use super::{Verdict, server};
use crate::commands::output::Output;
use crate::server::{ServerKeyring, Session};
use keyring_external::error::{Error, Result};
use serde::Serialize;

/// Make new master keys: InnoDB's, and the one of the binary logs if they are encrypted
#[derive(clap::Args)]
#[command(after_help = "Example: keyringctl encrypt rotate")]
pub(super) struct Args {
    /// InnoDB's master key only
    #[arg(long, conflicts_with = "only_binary_logs")]
    only_innodb: bool,
    /// The master key of the binary logs only
    #[arg(long)]
    only_binary_logs: bool,
    /// Leave no trace in the binary log, so that replicas do not do the same
    #[arg(long)]
    skip_binary_log: bool,
    #[command(flatten)]
    server: server::Args,
}

#[derive(Serialize)]
struct Report {
    rotated: Vec<&'static str>,
    before: ServerKeyring,
    after: ServerKeyring,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut session = args.server.connect()?;
    let before = ServerKeyring::of(&mut session)?;
    if !before.is_ours() || before.state != "ATTACHED" {
        return Err(Error::Config(format!(
            "{}: a new key is made only when all copies can take it. Nothing was changed; see docs/OPERATIONS.md, 'States'",
            keyring_line(&before)
        )));
    }
    if args.skip_binary_log {
        session.run("SET SESSION sql_log_bin = 0")?;
    }
    let binary_logs = !args.only_innodb && is_on(&mut session, "binlog_encryption")?;
    let mut rotated = Vec::new();
    for (name, keyword, wanted) in
        [("InnoDB", "INNODB", !args.only_binary_logs), ("the binary logs", "BINLOG", binary_logs)]
    {
        if wanted {
            session.run(&format!("ALTER INSTANCE ROTATE {keyword} MASTER KEY"))?;
            out.line(format_args!("OK      new master key of {name}"));
            rotated.push(name);
        }
    }
    if !args.only_innodb && !binary_logs {
        out.line("The binary logs are not encrypted and have no key");
    }
    let after = ServerKeyring::of(&mut session)?;
    out.line(format_args!(
        "Keyring: {} keys before, {} now; generation {} before, {} now; copies {}/{}",
        before.keys, after.keys, before.generation, after.generation, after.copies.0, after.copies.1
    ));
    out.line(
        "Next: back the keyring up. InnoDB's old keys stay in it, because old backups of the database need them.\n\
         The server removes the binary logs' old key: copies of binary logs from before need a backup of the keyring from before.",
    );
    let fine = after.state == "ATTACHED" && !rotated.is_empty();
    out.document(&Report { rotated, before, after });
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

fn is_on(session: &mut Session, variable: &str) -> Result<bool> {
    Ok(session.variable(variable)?.is_some_and(|value| value.eq_ignore_ascii_case("ON")))
}
