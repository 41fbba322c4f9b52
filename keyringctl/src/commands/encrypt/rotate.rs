// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt rotate`: creates new master keys. The server wraps the tablespace keys with them and rewrites no
//! page. InnoDB's old master keys stay in the keyring, because old backups need them; the server removes the old master
//! key of the binary logs.

use super::plan::keyring_line;
use super::replication::Replication;
use super::{required, server};
use crate::commands::command_line::command_line;
use crate::commands::output::Output;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result, ServerError};
use crate::server::{Role, ServerKeyring, Session};
use serde::Serialize;
use std::collections::BTreeSet;

/// Create new master keys: InnoDB's, and the one of the binary logs if they are encrypted
#[derive(clap::Args)]
#[command(after_help = "Example: keyringctl encrypt rotate")]
pub(super) struct Args {
    /// Rotate only InnoDB's master key
    #[arg(long, conflicts_with = "only_binary_logs")]
    only_innodb: bool,
    /// Rotate only the master key of the binary logs
    #[arg(long)]
    only_binary_logs: bool,
    #[command(flatten)]
    replication: Replication,
    #[command(flatten)]
    server: server::Args,
}

#[derive(Serialize)]
struct RotateReport {
    rotated: Vec<&'static str>,
    before: ServerKeyring,
    after: ServerKeyring,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut session = args.server.connect()?;
    let before = ServerKeyring::query(&mut session)?;
    if !before.is_ours() || before.state != "ATTACHED" {
        return Err(Error::Usage(format!(
            "{}. A master key is rotated only while all copies can store it. Nothing was changed; see docs/OPERATIONS.md, 'States'",
            keyring_line(&before)
        )));
    }
    let binary_logs = !args.only_innodb && is_on(&mut session, "binlog_encryption")?;
    required::to_rotate(&mut session, !args.only_binary_logs, binary_logs)?;
    // The statement for the binary logs' master key is allowed on a read-only server, and never replicated.
    if !args.only_binary_logs {
        let role = Role::query(&mut session)?;
        args.replication.check(&role, &command_line())?;
        args.replication.prepare(&mut session, &role)?;
        args.replication.notes(&role).into_iter().for_each(|note| out.line(note));
    }
    let mut rotated = Vec::new();
    let mut failed = false;
    for (name, keyword, wanted) in
        [("InnoDB", "INNODB", !args.only_binary_logs), ("the binary logs", "BINLOG", binary_logs)]
    {
        if wanted {
            let before = master_keys(&mut session)?;
            session.run(&format!("ALTER INSTANCE ROTATE {keyword} MASTER KEY"))?;
            let after = master_keys(&mut session)?;
            if before.is_some() && before == after {
                out.line(format_args!(
                    "FAILED  master key of {name}: the statement succeeded, but the keyring has no new key. See the server's error log, and keyringctl status"
                ));
                failed = true;
                continue;
            }
            out.line(format_args!("OK      new master key of {name}"));
            rotated.push(name);
        }
    }
    if !args.only_innodb && !binary_logs {
        out.line("The binary logs are not encrypted and have no master key");
    }
    let after = ServerKeyring::query(&mut session)?;
    out.line(format_args!(
        "Keyring: {} keys before, {} now; generation {} before, {} now; copies {}/{}",
        before.keys, after.keys, before.generation, after.generation, after.copies.0, after.copies.1
    ));
    out.line(
        "Next: back up the keyring. InnoDB's old master keys stay in it, because old backups of the database need them.",
    );
    out.line(
        "The server removes the old master key of the binary logs: earlier copies of binary logs need an earlier backup of the keyring.",
    );
    let fine = after.state == "ATTACHED" && !rotated.is_empty() && !failed;
    out.document(&RotateReport { rotated, before, after });
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

/// The names of the keys in the keyring, as the server tells them. `None`: this account may not see them, or the server does
/// not tell, before 8.0.16.
fn master_keys(session: &mut Session) -> Result<Option<BTreeSet<String>>> {
    match session.rows::<String>("SELECT KEY_ID FROM performance_schema.keyring_keys") {
        Ok(names) => Ok(Some(names.into_iter().collect())),
        Err(Error::Server(ServerError { code, .. })) if code != 0 => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_on(session: &mut Session, variable: &str) -> Result<bool> {
    Ok(session.variable(variable)?.is_some_and(|value| value.eq_ignore_ascii_case("ON")))
}
