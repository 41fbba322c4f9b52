// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt rotate`: creates new master keys. The server wraps the tablespace keys with them and rewrites no
//! page. InnoDB's old master keys stay in the keyring, because old backups need them; the server removes the old master
//! key of the binary logs.

use super::plan::keyring_line;
use super::replication::Replication;
use super::rotate_backup::{self, Prepared};
use super::{required, server};
use crate::commands::command_line::command_line;
use crate::commands::consent::{Consent, Decision, Effect, Plan};
use crate::commands::missing;
use crate::commands::output::Output;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result, ServerError};
use crate::server::{Role, ServerKeyring, Session};
use crate::show::{Shown, counted};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The name of their master key in the output.
const BINARY_LOGS: &str = "the binary logs";

/// Create new master keys: InnoDB's, and the one of the binary logs if they are encrypted
///
/// InnoDB's old master keys stay in the keyring. The server removes the old master key of the binary logs: copies of
/// binary logs that were made before can then be read only with a backup of the keyring from before. --backup makes one.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt rotate --backup /mnt/safe/keys\n  \
    keyringctl encrypt rotate --backup /mnt/safe/keys/before-rotation.keyring --yes")]
pub(super) struct Args {
    /// Rotate only InnoDB's master key
    #[arg(long, conflicts_with = "only_binary_logs")]
    only_innodb: bool,
    /// Rotate only the master key of the binary logs
    #[arg(long)]
    only_binary_logs: bool,
    #[command(flatten)]
    backup: rotate_backup::Args,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    replication: Replication,
    #[command(flatten)]
    server: server::Args,
}

#[derive(Serialize)]
struct RotateReport {
    rotated: Vec<&'static str>,
    /// The backup that was made before.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<Value>,
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
    let innodb = !args.only_binary_logs;
    required::to_rotate(&mut session, innodb, binary_logs)?;
    // The statement for the binary logs' master key is allowed on a read-only server, and never replicated.
    let role = if args.only_binary_logs { None } else { Some(Role::query(&mut session)?) };
    if let Some(role) = &role {
        args.replication.check(role, &command_line())?;
    }
    let backup = args.backup.prepare(&before, &mut session)?;
    if args.consent.ask(&plan(innodb, binary_logs, backup.as_ref()), out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    let backup = backup.map(Prepared::make).transpose()?;
    if let Some(made) = &backup {
        made.print(out);
    }
    if let Some(role) = &role {
        args.replication.prepare(&mut session, role)?;
        args.replication.notes(role).into_iter().for_each(|note| out.line(note));
    }
    let mut rotated = Vec::new();
    let mut failed = false;
    for (name, keyword, wanted) in [("InnoDB", "INNODB", innodb), (BINARY_LOGS, "BINLOG", binary_logs)] {
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
        "Keyring: {} before, {} now; generation {} before, {} now; copies {}/{}",
        counted(before.keys as usize, "key"),
        after.keys,
        before.generation,
        after.generation,
        after.copies.0,
        after.copies.1
    ));
    if after.state != "ATTACHED" {
        let why = if after.last_error.is_empty() { String::new() } else { format!(": {}", after.last_error) };
        out.line(format_args!(
            "FAILED  the keyring is {} now: {} of {} have the new master keys{why}",
            after.state,
            after.copies.0,
            counted(after.copies.1 as usize, "copy")
        ));
        missing::of_server(&after).iter().for_each(|step| out.line(format_args!("  -> {step}")));
    }
    out.line(
        "Next: back up the keyring. InnoDB's old master keys stay in it, because old backups of the database need them.",
    );
    if rotated.contains(&BINARY_LOGS) {
        let which = match &backup {
            Some(made) => format!("the backup {}", made.destination.shown()),
            None => "a backup of the keyring from before".to_owned(),
        };
        out.line(format_args!(
            "Copies of binary logs that were made before need {which}: keep it as long as those copies."
        ));
    }
    let fine = after.state == "ATTACHED" && !rotated.is_empty() && !failed;
    let backup = backup.map(|made| made.document());
    out.document(&RotateReport { rotated, backup, before, after });
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

/// What the rotation changes.
fn plan(innodb: bool, binary_logs: bool, backup: Option<&Prepared>) -> Plan {
    let mut plan = Plan::new("Rotate?");
    if let Some(backup) = backup {
        let path = backup.destination.shown();
        plan.effect(Effect::new(path, "does not exist", "backup of the keyring as it is now"));
    }
    if innodb {
        plan.effect(Effect::new(
            "master key of InnoDB",
            "in use",
            "a new one; the old one stays in the keyring",
        ));
    }
    if binary_logs {
        plan.effect(Effect::new(
            "master key of the binary logs",
            "in use",
            "a new one; the server removes the old one from the keyring",
        ));
        plan.note(
            "The server encrypts the keys of its own binary logs anew. Copies of them that were made before, as in backups, \
             need the keyring as it is now.",
        );
        if backup.is_none() {
            plan.note(
                "Make sure that you have a backup of the keyring from today, or add --backup FILE, which makes one first.",
            );
        }
    }
    plan
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
