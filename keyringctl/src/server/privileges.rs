// SPDX-License-Identifier: GPL-2.0-or-later
//! What the connected account may see of a server. The server leaves out of its lists what an account has no privilege on,
//! and does not say so.

use super::names::{pasteable, quoted};
use super::session::Session;
use crate::error::{Error, Result, ServerError};
use std::collections::BTreeSet;

/// What the lists of a server need that no table's privilege replaces.
const NEEDED: [&str; 3] = ["PROCESS", "REPLICATION CLIENT", "REPLICATION SLAVE"];
/// Any of these on a table makes the server list it. REFERENCES is the one that allows least: it reads no row.
const ON_TABLES: [&str; 13] = [
    "REFERENCES",
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "INDEX",
    "ALTER",
    "CREATE VIEW",
    "SHOW VIEW",
    "TRIGGER",
    "ALL PRIVILEGES",
];
/// Tables that only their contents tell about, and the account needs SELECT for.
const LOGS: [&str; 2] = ["general_log", "slow_log"];
/// MySQL's errors for a table that the account may not read.
const DENIED: [u16; 4] = [1044, 1142, 1143, 1227];

/// What the account may see.
#[derive(Clone, Debug, Default)]
pub struct Privileges {
    /// The account, quoted for statements.
    account: String,
    /// Global privileges.
    global: BTreeSet<String>,
    /// Schemas for which some of them were revoked again, each with those.
    revoked: Vec<(String, BTreeSet<String>)>,
    /// Schemas whose tables the server lists because of a privilege on the schema.
    shown: BTreeSet<String>,
    /// Privileges on a schema, or on a table of it.
    below: Vec<(String, BTreeSet<String>)>,
    /// Tables, quoted, that the account would need SELECT on.
    unreadable: Vec<String>,
}

impl Privileges {
    /// Asks the server. A session has all roles of its account active.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session) -> Result<Privileges> {
        let account: String = session.first("SELECT CURRENT_USER()")?.unwrap_or_default();
        let grants: Vec<String> = session.rows("SHOW GRANTS")?;
        let mut privileges = Privileges::parse(&account, &grants);
        if is_denied(
            session.rows::<i32>("SELECT 1 FROM performance_schema.keyring_component_status LIMIT 1"),
        )? {
            privileges.unreadable.push("performance_schema.*".to_owned());
        }
        for log in LOGS {
            if is_denied(session.rows::<i32>(&format!("SELECT 1 FROM mysql.{log} LIMIT 1")))? {
                privileges.unreadable.push(format!("mysql.{log}"));
            }
        }
        Ok(privileges)
    }

    fn parse(account: &str, grants: &[String]) -> Privileges {
        let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
        let mut privileges =
            Privileges { account: format!("{}@{}", literal(user), literal(host)), ..Privileges::default() };
        // There is no space between dynamic privileges.
        let set = |list: &str| list.split(',').map(|name| name.trim().to_owned()).collect::<BTreeSet<_>>();
        let on_schema = |rest: &str, mark: &str| Some(rest.split_once(mark)?.0.replace("``", "`"));
        for line in grants {
            if let Some((list, _)) =
                line.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON *.* TO "))
            {
                privileges.global.extend(set(list));
            } else if let Some((list, rest)) =
                line.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON `"))
            {
                let shows = set(list).iter().any(|name| ON_TABLES.contains(&name.as_str()));
                privileges.shown.extend(on_schema(rest, "`.* TO ").filter(|_| shows));
                let schema = on_schema(rest, "`.* TO ").or_else(|| on_schema(rest, "`.`"));
                privileges.below.extend(schema.map(|schema| (schema, set(list))));
            } else if let Some((list, rest)) =
                line.strip_prefix("REVOKE ").and_then(|rest| rest.split_once(" ON `"))
            {
                privileges.revoked.extend(on_schema(rest, "`.* FROM ").map(|schema| (schema, set(list))));
            }
        }
        privileges
    }

    /// Returns an error with what to grant if the account cannot look at the server at all.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn require(&self) -> Result<()> {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "the account {} has not got {} and cannot see what the server stores. As an administrator, run: {}",
            self.account,
            missing.join(", "),
            self.grant()
        )))
    }

    fn missing(&self) -> Vec<&'static str> {
        let has =
            |name: &str| self.has(name) || name == "REPLICATION CLIENT" && self.global.contains("SUPER");
        NEEDED.into_iter().filter(|name| !has(name)).collect()
    }

    /// Whether the account has a global privilege.
    pub fn has(&self, name: &str) -> bool {
        self.global.contains(name) || self.global.contains("ALL PRIVILEGES")
    }

    /// Whether the account has a privilege on a schema, or on any table of it.
    pub fn has_below(&self, schema: &str, name: &str) -> bool {
        let names = |list: &BTreeSet<String>| list.contains(name) || list.contains("ALL PRIVILEGES");
        self.has(name) || self.below.iter().any(|(of, list)| of == schema && names(list))
    }

    /// Why the account cannot do `what`, with the statement that grants everything that it lacks: the global privileges
    /// `wanted`, and those needed to look.
    pub fn refusal(&self, what: &str, wanted: &[&'static str]) -> Option<String> {
        let lacks: Vec<_> = wanted.iter().copied().filter(|name| !self.has(name)).collect();
        if lacks.is_empty() {
            return None;
        }
        let all = [self.missing(), lacks].concat();
        let all: Vec<_> = all.iter().enumerate().filter(|(i, name)| !all[..*i].contains(name)).collect();
        let names = all.into_iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
        let grant = pasteable(&format!("GRANT {names} ON *.* TO {};", self.account));
        Some(format!(
            "the account {} lacks privileges that {what} needs. As an administrator, run: {grant}",
            self.account
        ))
    }

    /// The statement that grants the account privileges for one schema.
    pub fn grant_on_schema(&self, privileges: &[&str], schema: &str) -> String {
        let (names, account) = (privileges.join(", "), &self.account);
        pasteable(&format!("GRANT {names} ON {}.* TO {account};", quoted(schema)))
    }

    /// The statement that grants the account global privileges; `None` if there are none to grant.
    pub fn grant_everywhere(&self, privileges: &[&str]) -> Option<String> {
        let (names, account) = (privileges.join(", "), &self.account);
        (!privileges.is_empty()).then(|| pasteable(&format!("GRANT {names} ON *.* TO {account};")))
    }

    /// Returns why the server may not show every table and schema to the account; `None` if it does.
    pub fn unseen(&self) -> Option<String> {
        let account = &self.account;
        let hidden = self.hidden_schemas();
        if self.on_tables().next().is_none() {
            return Some(format!("the server lists to {account} only what it has a privilege on"));
        }
        (!hidden.is_empty())
            .then(|| format!("the privileges of {account} on {} were revoked", hidden.join(", ")))
    }

    /// Whether the account may read a table, such as `mysql.slow_log`.
    pub fn can_read(&self, table: &str) -> bool {
        !self.unreadable.iter().any(|unreadable| unreadable == table)
    }

    /// The statement that lets the account see the texts of all stored programs; `None` if it does.
    pub fn unseen_programs(&self) -> Option<String> {
        let sees = (self.has("SELECT") || self.has("SHOW_ROUTINE")) && self.has("EVENT");
        (!sees).then(|| pasteable(&format!("GRANT SELECT, EVENT ON *.* TO {};", self.account)))
    }

    /// The statements that grant the account everything that it needs to look and does not have.
    pub fn grant(&self) -> String {
        let mut global: Vec<_> = self.missing();
        if self.on_tables().next().is_none() {
            global.push(ON_TABLES[0]);
        }
        let account = &self.account;
        let mut statements = Vec::new();
        if !global.is_empty() {
            statements.push(format!("GRANT {} ON *.* TO {account};", global.join(", ")));
        }
        if self.on_tables().next().is_some() {
            let hidden = self.hidden_schemas().into_iter();
            statements
                .extend(hidden.map(|schema| format!("GRANT {} ON {schema}.* TO {account};", ON_TABLES[0])));
        }
        statements
            .extend(self.unreadable.iter().map(|table| format!("GRANT SELECT ON {table} TO {account};")));
        let statements: Vec<_> = statements.iter().map(|statement| pasteable(statement)).collect();
        statements.join(" ")
    }

    /// The global privileges that make the server list tables.
    fn on_tables(&self) -> impl Iterator<Item = &String> {
        self.global.iter().filter(|name| ON_TABLES.contains(&name.as_str()))
    }

    /// The schemas, quoted, of which all privileges that make the server list tables were revoked.
    fn hidden_schemas(&self) -> Vec<String> {
        let hidden = |revoked: &BTreeSet<String>| self.on_tables().all(|name| revoked.contains(name));
        let revoked =
            self.revoked.iter().filter(|(schema, list)| hidden(list) && !self.shown.contains(schema));
        revoked.map(|(schema, _)| quoted(schema)).collect()
    }
}

/// Quotes a text for a statement in the standard way.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Whether the account may not read a table. A table that does not exist is not denied.
fn is_denied<T>(answer: Result<Vec<T>>) -> Result<bool> {
    match answer {
        Ok(_) => Ok(false),
        Err(Error::Server(ServerError { code, .. })) if code != 0 => Ok(DENIED.contains(&code)),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn privileges(grants: &[&str]) -> Privileges {
        let grants: Vec<_> = grants.iter().map(|line| (*line).to_owned()).collect();
        Privileges::parse("o'dd@user@%.example.org", &grants)
    }

    #[test]
    fn what_is_missing_is_granted_in_statements_that_can_be_copied() {
        let none = privileges(&["GRANT USAGE ON *.* TO `u`@`%`"]);
        let hidden = Privileges::parse("u\nv@h", &[]).grant();
        assert!(
            hidden.contains(" TO ''u', _utf8mb4 x'0a', 'v''@''h'''); PREPARE s FROM @s; EXECUTE s;"),
            "{hidden}"
        );
        let error = none.require().unwrap_err().to_string();
        let grant = "GRANT PROCESS, REPLICATION CLIENT, REPLICATION SLAVE, REFERENCES ON *.* TO 'o''dd@user'@'%.example.org';";
        assert!(error.ends_with(grant), "{error}");

        let looks = privileges(&["GRANT PROCESS, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `u`@`%`"]);
        looks.require().unwrap();
        assert!(looks.unseen().is_some());
        assert_eq!(looks.grant(), "GRANT REFERENCES ON *.* TO 'o''dd@user'@'%.example.org';");

        let sees = privileges(&[
            "GRANT SELECT, PROCESS, SUPER, REPLICATION SLAVE ON *.* TO `u`@`%` WITH GRANT OPTION",
            "GRANT `role`@`%` TO `u`@`%`",
        ]);
        sees.require().unwrap();
        assert_eq!((sees.unseen(), sees.grant().as_str()), (None, ""));
    }

    #[test]
    fn everything_that_a_change_needs_is_granted_in_one_statement() {
        let looks = privileges(&["GRANT SELECT, PROCESS, REPLICATION CLIENT ON *.* TO `u`@`%`"]);
        let wanted = ["SELECT", "ALTER", "CREATE TABLESPACE", "REPLICATION SLAVE"];
        let refusal = looks.refusal("encrypt apply", &wanted).unwrap();
        let grant =
            "GRANT REPLICATION SLAVE, ALTER, CREATE TABLESPACE ON *.* TO 'o''dd@user'@'%.example.org';";
        assert!(refusal.ends_with(grant), "{refusal}");
        assert_eq!(looks.refusal("encrypt apply", &["SELECT"]), None);
        let dynamic = privileges(&["GRANT BINLOG_ADMIN,ENCRYPTION_KEY_ADMIN ON *.* TO `u`@`%`"]);
        assert_eq!(dynamic.refusal("encrypt rotate", &["ENCRYPTION_KEY_ADMIN", "BINLOG_ADMIN"]), None);
        let all = privileges(&["GRANT ALL PRIVILEGES ON *.* TO `u`@`%`"]);
        assert_eq!(all.refusal("encrypt apply", &wanted), None);
    }

    #[test]
    fn privileges_on_a_schema_or_its_tables_count() {
        let some = privileges(&[
            "GRANT USAGE ON *.* TO `u`@`%`",
            "GRANT ALTER, INSERT ON `a`.* TO `u`@`%`",
            "GRANT ALTER ON `b``c`.`t` TO `u`@`%`",
        ]);
        assert!(some.has_below("a", "INSERT") && some.has_below("b`c", "ALTER"));
        assert!(!some.has_below("a", "CREATE") && !some.has_below("b", "ALTER") && !some.has("ALTER"));
    }

    #[test]
    fn a_partial_revoke_hides_a_schema() {
        let grant = "GRANT SELECT, PROCESS, REFERENCES ON *.* TO `u`@`%`";
        let revoked = privileges(&[grant, "REVOKE SELECT, REFERENCES ON `a``b`.* FROM `u`@`%`"]);
        assert!(revoked.unseen().is_some_and(|why| why.contains("`a``b`")));
        assert!(revoked.grant().contains("GRANT REFERENCES ON `a``b`.* TO "), "{}", revoked.grant());
        let again = privileges(&[
            grant,
            "GRANT REFERENCES ON `a``b`.* TO `u`@`%`",
            "REVOKE SELECT, REFERENCES ON `a``b`.* FROM `u`@`%`",
        ]);
        assert_eq!(again.unseen(), None);
        let some_left = privileges(&[grant, "REVOKE SELECT ON `a`.* FROM `u`@`%`"]);
        assert_eq!(some_left.unseen(), None);
        // One table's privileges do not show the others.
        let one = privileges(&["GRANT PROCESS ON *.* TO `u`@`%`", "GRANT SELECT ON `a`.`t` TO `u`@`%`"]);
        assert!(one.unseen().is_some());
    }
}
