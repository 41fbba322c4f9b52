// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the statements of a run are written to the server's binary log. A replica or a member of a group never writes
//! them: they would be errant transactions. A source with replicas asks for a decision.

use crate::error::{Error, Result};
use crate::server::{RefusedWrites, Role, Session, UNLOGGED};

const ONLY_HERE: &str = "No statement is written to the binary log, so only this server changes";
/// Whatever changes data on a replica must not be written to its binary log.
const BY_HAND: &str = "This server gets changes from others: before any ALTER, DROP or TRUNCATE that you run by hand, run SET SESSION sql_log_bin = 0, or it is an errant transaction";

/// What other servers get of it.
#[derive(clap::Args, Default)]
pub(super) struct Replication {
    /// Do not write the statements to the binary log, so that no replica repeats them. Replicas and members of a group
    /// never write them
    #[arg(long)]
    skip_binary_log: bool,
    /// Let the connected replicas repeat the statements: each needs a keyring, or it stops
    #[arg(long, conflicts_with = "skip_binary_log")]
    replicate: bool,
}

impl Replication {
    /// The choice of a command that does not ask: it is made for each statement.
    pub(super) fn decided() -> Replication {
        Replication { skip_binary_log: true, replicate: false }
    }

    /// Whether the run must leave no trace in the binary log.
    pub(super) fn skips_binary_log(&self, role: &Role) -> bool {
        self.skip_binary_log || role.receives()
    }

    /// What comes before a statement that the administrator runs by hand instead of the run.
    pub(super) fn before_by_hand(&self, role: &Role) -> &'static str {
        if self.skips_binary_log(role) { UNLOGGED } else { "" }
    }

    /// What a plan assumes: only this server changes.
    pub(super) fn only_here() -> Replication {
        Replication { skip_binary_log: true, replicate: false }
    }

    /// Whether a failure on a replica would stop its replication.
    pub(super) fn is_repeated(&self, role: &Role) -> bool {
        !self.skips_binary_log(role) && !role.replicas.is_empty()
    }

    /// Keeps the statements of a session out of the binary log if they do not belong there.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn prepare(&self, session: &mut Session, role: &Role) -> Result<()> {
        if self.skips_binary_log(role) { session.run("SET SESSION sql_log_bin = 0") } else { Ok(()) }
    }

    /// Returns why `command` must not start on that server.
    pub(super) fn refusals(&self, role: &Role, command: &str) -> Vec<String> {
        if role.galera {
            return vec![
                "the server is a node of a Galera cluster (wsrep_provider is set), where every ALTER runs on all nodes at once and holds up all of them: keyringctl encrypt does not support that"
                    .to_owned(),
            ];
        }
        self.undecided(role).into_iter().chain(read_only(role, command)).collect()
    }

    /// # Errors
    /// [`Error::Lines`] with the reasons why `command` must not start.
    pub(super) fn check(&self, role: &Role, command: &str) -> Result<()> {
        let why = self.refusals(role, command);
        if why.is_empty() { Ok(()) } else { Err(not_started(&why)) }
    }

    /// Returns why it is not known, or not possible, what other servers are to get.
    fn undecided(&self, role: &Role) -> Option<String> {
        if role.receives() {
            return self.replicate.then(|| cannot_replicate(role));
        }
        if self.skip_binary_log || role.replicas.is_empty() {
            return None;
        }
        if !self.replicate {
            return Some(format!(
                "{}. Choose one: --skip-binary-log changes only this server (run the same on each replica, best before this one); --replicate lets the replicas repeat the statements: apply then copies all tables, and their writers wait, and each replica must have a keyring (keyringctl encrypt plan --host REPLICA shows it), or its replication stops with error 3185",
                connected(role)
            ));
        }
        let others: Vec<_> = role.other_versions().map(ToString::to_string).collect();
        (!others.is_empty()).then(|| {
            format!(
                "--replicate requires that all replicas have the release series of this server, {}. These do not, or it cannot be seen: {}. Use --skip-binary-log instead, and run the same on each replica",
                role.version,
                others.join(", ")
            )
        })
    }

    /// Says what other servers get of the run, and what they do to it.
    pub(super) fn notes(&self, role: &Role) -> Vec<String> {
        let mut notes = about(role);
        if self.is_repeated(role) {
            notes.push(
                "The replicas repeat the ALTER statements. A table that they may refuse is refused here too, so that their replication does not stop: use --skip-binary-log for it"
                    .to_owned(),
            );
        } else if self.skips_binary_log(role) {
            notes.push(ONLY_HERE.to_owned());
        }
        notes
    }
}

/// Says in a plan what other servers get.
pub(super) fn for_plan(role: &Role) -> Vec<String> {
    let mut lines = about(role);
    lines.extend(by_hand(role).map(|by_hand| format!("{ONLY_HERE}. {by_hand}")));
    lines
}

/// Says what to heed with statements that the administrator runs on a replica or a member of a group.
pub(super) fn by_hand(role: &Role) -> Option<&'static str> {
    role.receives().then_some(BY_HAND)
}

/// Describes the server's role in lines; none for a server on its own.
fn about(role: &Role) -> Vec<String> {
    let mut lines = Vec::new();
    for channel in &role.channels {
        lines.push(format!("This server is a replica of {channel}"));
    }
    if let Some(group) = &role.group {
        lines.push(format!("This server is a member of {group}"));
    }
    if !role.replicas.is_empty() {
        lines.push(connected(role));
    }
    lines
}

fn connected(role: &Role) -> String {
    let names: Vec<_> = role.replicas.iter().map(ToString::to_string).collect();
    let verb = if names.len() == 1 { "replica is" } else { "replicas are" };
    format!("{} {verb} connected: {}", names.len(), names.join(", "))
}

/// Returns why a replica or a member of a group cannot replicate, and what to do if it is no replica any more.
fn cannot_replicate(role: &Role) -> String {
    if let Some(group) = &role.group {
        return format!(
            "--replicate is not possible: this server is a member of {group}. Leave it out, and run the same on each member"
        );
    }
    let channels: Vec<_> = role.channels.iter().map(ToString::to_string).collect();
    let forget = role.channels.iter().map(|channel| {
        let name = channel.name.replace('\'', "''");
        format!("STOP REPLICA FOR CHANNEL '{name}'; RESET REPLICA ALL FOR CHANNEL '{name}';")
    });
    format!(
        "--replicate is not possible: this server is a replica of {}, and statements in its own binary log would be errant transactions. Leave it out. If this server is no replica any more, first run {}",
        channels.join(", "),
        forget.collect::<Vec<_>>().join(" ")
    )
}

/// Returns what to do on a server that refuses writes, in order.
fn read_only(role: &Role, command: &str) -> Option<String> {
    match role.refuses {
        RefusedWrites::None | RefusedWrites::OfUsers => return None,
        RefusedWrites::Always => {
            return Some(
                "the server runs with innodb_read_only, and changes no table: restart it without that"
                    .to_owned(),
            );
        }
        RefusedWrites::OfAll => {}
    }
    let off = "SET GLOBAL super_read_only = OFF;";
    let steps = match &role.group {
        Some(group) if group.state != "OFFLINE" => {
            vec!["STOP GROUP_REPLICATION;", off, command, "START GROUP_REPLICATION;"]
        }
        Some(_) => vec![off, command, "START GROUP_REPLICATION;"],
        None => vec![off, command, "SET GLOBAL super_read_only = ON;"],
    };
    let errant = if role.receives() {
        ". This run writes nothing to the binary log, so there are no errant transactions, and replication goes on"
    } else {
        ""
    };
    Some(format!(
        "the server is super_read_only. Run in this order, the last step also after a failure:\n        {}\n    Meanwhile read_only stays ON: only accounts with CONNECTION_ADMIN can write{errant}",
        steps.join("\n        ")
    ))
}

/// Returns the error with the reasons for which nothing was done.
pub(super) fn not_started(why: &[String]) -> Error {
    let listed =
        why.iter().flat_map(|why| format!("  * {why}").lines().map(str::to_owned).collect::<Vec<_>>());
    Error::Lines(std::iter::once("did not start; nothing was changed:".to_owned()).chain(listed).collect())
}

/// Returns what remains to do because of the server's role.
pub(super) fn next_steps(replication: &Replication, role: &Role) -> Vec<String> {
    let mut steps = Vec::new();
    if role.receives() {
        steps.push(BY_HAND.to_owned());
        if role.refuses == RefusedWrites::OfUsers {
            let step = match role.group {
                Some(_) => "If you took this server out of its group, run START GROUP_REPLICATION",
                None => "If super_read_only was ON before, run SET GLOBAL super_read_only = ON",
            };
            steps.push(step.to_owned());
        }
    } else if !role.replicas.is_empty() {
        let repeated = if replication.replicate {
            ": their settings, undo tablespaces and redo logs are unchanged"
        } else {
            ""
        };
        steps.push(format!("Run the same on each replica{repeated}"));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ConnectedReplica;

    fn source(replica: Option<&str>) -> Role {
        let replica = ConnectedReplica {
            host: "b".to_owned(),
            program: replica.map(|_| "mysqld".to_owned()),
            version: replica.map(str::to_owned),
            has_all: None,
        };
        Role { version: "8.4.7".to_owned(), replicas: vec![replica], ..Role::default() }
    }

    #[test]
    fn replicas_of_other_versions_cannot_repeat_the_statements() {
        let replicate = Replication { replicate: true, ..Replication::default() };
        assert_eq!(replicate.refusals(&source(Some("8.4.6")), "c"), [""; 0]);
        for (other, is) in [(Some("9.7.4"), "b (mysqld 9.7.4)"), (None, "b (version not visible)")] {
            let why = replicate.refusals(&source(other), "c").join("\n");
            assert!(why.contains(is) && why.contains("--skip-binary-log"), "{why}");
        }
        let alone = Replication { skip_binary_log: true, ..Replication::default() };
        assert_eq!(alone.refusals(&source(None), "c"), [""; 0]);
        assert_eq!(Replication::default().refusals(&Role::default(), "c"), [""; 0]);
    }

    #[test]
    fn a_galera_node_is_refused_whatever_was_chosen() {
        let role = Role { galera: true, ..source(Some("8.4.7")) };
        for skip_binary_log in [false, true] {
            let chosen = Replication { skip_binary_log, replicate: !skip_binary_log };
            let why = chosen.refusals(&role, "c");
            assert!(why.len() == 1 && why[0].contains("Galera"), "{why:?}");
        }
    }
}
