// SPDX-License-Identifier: GPL-2.0-or-later
//! The privileges that a server has granted, as its tables in the schema mysql hold them.

use super::account::Ability;
use crate::error::Result;
use crate::server::Session;
use serde_json::Value;
use std::collections::BTreeMap;

/// Dynamic privileges that matter here.
const DYNAMIC: [(&str, &[Ability]); 6] = [
    ("ENCRYPTION_KEY_ADMIN", &[Ability::Rotate, Ability::ChangeKeyring]),
    ("BINLOG_ENCRYPTION_ADMIN", &[Ability::Rotate]),
    ("SYSTEM_VARIABLES_ADMIN", &[Ability::ChangeKeyring]),
    ("PERSIST_RO_VARIABLES_ADMIN", &[Ability::ChangeKeyring]),
    ("TABLE_ENCRYPTION_ADMIN", &[Ability::OverrideEncryption]),
    ("ROLE_ADMIN", &[Ability::Grant]),
];

/// Tables of the schema mysql whose rows load code at the next start, or now with INSTALL; and those that hold the grants.
const CODE: [&str; 3] = ["plugin", "component", "func"];
const GRANTED: [&str; 4] = ["user", "global_grants", "role_edges", "tables_priv"];

/// The user and host of an account or role.
pub(super) type Name = (String, String);

/// An account or a role.
#[derive(Clone, Default, Debug)]
pub(super) struct Holder {
    pub locked: bool,
    pub expired: bool,
    pub plugin: String,
    pub has_secret: bool,
    pub tls: String,
    /// What was granted to it directly.
    pub direct: Vec<(Ability, String)>,
}

/// How one account gets what another one has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bond {
    Role,
    Proxy,
}

/// All accounts, roles, and who has which of them.
#[derive(Clone, Default, Debug)]
pub(super) struct Grants {
    pub holders: BTreeMap<Name, Holder>,
    /// Who has what: the first gets what the second has.
    pub bonds: Vec<(Name, Name, Bond)>,
}

impl Grants {
    /// Reads the tables.
    ///
    /// # Errors
    /// What the server answers, also that the account may not read them.
    pub(super) fn query(session: &mut Session) -> Result<Grants> {
        let mut grants = Grants::default();
        grants.accounts(session)?;
        let dynamic: Vec<(String, String, String, String)> = session
            .rows("SELECT USER, HOST, PRIV, WITH_GRANT_OPTION FROM mysql.global_grants ORDER BY 1, 2, 3")?;
        for (user, host, privilege, grantable) in dynamic {
            let Some((name, abilities)) = DYNAMIC.iter().find(|(name, _)| *name == privilege) else {
                continue;
            };
            let name_of = (user, host);
            for ability in *abilities {
                grants.add(&name_of, *ability, (*name).to_owned());
            }
            if grantable == "Y" {
                grants.add(&name_of, Ability::Grant, format!("{name} WITH GRANT OPTION"));
            }
        }
        grants.on_schema_mysql(session)?;
        grants.on_tables(session)?;
        grants.bonds(session)?;
        Ok(grants)
    }

    fn accounts(&mut self, session: &mut Session) -> Result<()> {
        let names = [
            "User",
            "Host",
            "account_locked",
            "password_expired",
            "plugin",
            "has_secret",
            "ssl_type",
            "Super_priv",
            "File_priv",
            "Insert_priv",
            "Update_priv",
            "Delete_priv",
            "Grant_priv",
            "Create_user_priv",
            "attributes",
        ];
        let rows = session.columns::<String>(
            "SELECT User, Host, account_locked, password_expired, plugin,
                IF(IFNULL(LENGTH(authentication_string), 0) > 0, 'Y', 'N') AS has_secret, CAST(ssl_type AS CHAR) AS ssl_type,
                Super_priv, File_priv, Insert_priv, Update_priv, Delete_priv, Grant_priv, Create_user_priv,
                CAST(User_attributes AS CHAR) AS attributes
             FROM mysql.user ORDER BY User, Host",
            &names,
        )?;
        for row in rows {
            let mut row = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || row.next().unwrap_or_default();
            let name = (next(), next());
            let holder = Holder {
                locked: next() == "Y",
                expired: next() == "Y",
                plugin: next(),
                has_secret: next() == "Y",
                tls: next(),
                direct: Vec::new(),
            };
            self.holders.insert(name.clone(), holder);
            let [superuser, file, insert, update, delete, grant, create_user] =
                std::array::from_fn(|_| next() == "Y");
            let restricted = restricted(&next());
            let is_left = |privilege: &str| !restricted.iter().any(|r| r == privilege);
            if superuser {
                self.add(&name, Ability::Rotate, "SUPER".to_owned());
                self.add(&name, Ability::ChangeKeyring, "SUPER".to_owned());
            }
            if file {
                self.add(&name, Ability::Files, "FILE".to_owned());
            }
            let all = [("INSERT", insert), ("UPDATE", update), ("DELETE", delete)];
            for (privilege, _) in all.into_iter().filter(|(privilege, has)| *has && is_left(privilege)) {
                self.on_mysql(&name, privilege, "*.*");
            }
            if grant && (superuser || file) {
                self.add(&name, Ability::Grant, "GRANT OPTION".to_owned());
            }
            if create_user {
                self.add(&name, Ability::Grant, "CREATE USER".to_owned());
            }
        }
        Ok(())
    }

    /// A privilege on all tables of the schema mysql.
    fn on_mysql(&mut self, name: &Name, privilege: &str, on: &str) {
        if privilege != "UPDATE" {
            self.add(name, Ability::LoadCode, format!("{privilege} ON {on}"));
        }
        if privilege != "DELETE" {
            self.add(name, Ability::Grant, format!("{privilege} ON {on}"));
        }
    }

    fn on_schema_mysql(&mut self, session: &mut Session) -> Result<()> {
        let rows: Vec<(String, String, String, String, String)> = session.rows(
            "SELECT User, Host, Insert_priv, Update_priv, Delete_priv FROM mysql.db WHERE 'mysql' LIKE Db ORDER BY 1, 2",
        )?;
        for (user, host, insert, update, delete) in rows {
            let name = (user, host);
            for (privilege, has) in [("INSERT", insert), ("UPDATE", update), ("DELETE", delete)] {
                if has == "Y" {
                    self.on_mysql(&name, privilege, "mysql.*");
                }
            }
        }
        Ok(())
    }

    fn on_tables(&mut self, session: &mut Session) -> Result<()> {
        let rows: Vec<(String, String, String, String)> = session.rows(
            "SELECT User, Host, Table_name, CAST(Table_priv AS CHAR) FROM mysql.tables_priv WHERE Db = 'mysql' ORDER BY 1, 2, 3",
        )?;
        for (user, host, table, privileges) in rows {
            let name = (user, host);
            let has = |privilege: &&&str| privileges.split(',').any(|p| p.eq_ignore_ascii_case(privilege));
            if CODE.contains(&table.as_str()) {
                for privilege in ["INSERT", "DELETE"].iter().filter(has) {
                    self.add(&name, Ability::LoadCode, format!("{privilege} ON mysql.{table}"));
                }
            }
            if GRANTED.contains(&table.as_str()) {
                for privilege in ["INSERT", "UPDATE"].iter().filter(has) {
                    self.add(&name, Ability::Grant, format!("{privilege} ON mysql.{table}"));
                }
            }
        }
        Ok(())
    }

    fn bonds(&mut self, session: &mut Session) -> Result<()> {
        let roles: Vec<(String, String, String, String)> = session.rows(
            "SELECT TO_USER, TO_HOST, FROM_USER, FROM_HOST FROM mysql.role_edges ORDER BY 1, 2, 3, 4",
        )?;
        let proxies: Vec<(String, String, String, String)> = session.rows(
            "SELECT User, Host, Proxied_user, Proxied_host FROM mysql.proxies_priv WHERE Proxied_user <> '' ORDER BY 1, 2, 3, 4",
        )?;
        let bond = |bond| {
            move |(user, host, of, at): (String, String, String, String)| ((user, host), (of, at), bond)
        };
        self.bonds.extend(roles.into_iter().map(bond(Bond::Role)));
        self.bonds.extend(proxies.into_iter().map(bond(Bond::Proxy)));
        for role in mandatory(&session.variable("mandatory_roles")?.unwrap_or_default()) {
            let all: Vec<_> = self.holders.keys().filter(|name| **name != role).cloned().collect();
            self.bonds.extend(all.into_iter().map(|name| (name, role.clone(), Bond::Role)));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, name: &Name, ability: Ability, privilege: String) {
        if let Some(holder) = self.holders.get_mut(name) {
            holder.direct.push((ability, privilege));
        }
    }
}

/// Privileges on the schema mysql that a partial revoke takes from an account (the column `User_attributes`).
fn restricted(attributes: &str) -> Vec<String> {
    let attributes: Value = serde_json::from_str(attributes).unwrap_or_default();
    let all = attributes["Restrictions"].as_array().into_iter().flatten();
    let of_mysql = all.filter(|entry| entry["Database"] == "mysql");
    let privileges = of_mysql.filter_map(|entry| entry["Privileges"].as_array()).flatten();
    privileges.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The roles in the variable `mandatory_roles`: names of accounts, in any kind of quotation marks, separated by commas.
fn mandatory(text: &str) -> Vec<Name> {
    let plain = |part: &str| part.trim().trim_matches(['`', '\'', '"']).to_owned();
    let roles = text.split(',').filter(|role| !role.trim().is_empty());
    roles
        .map(|role| match role.rsplit_once('@') {
            Some((user, host)) => (plain(user), plain(host)),
            None => (plain(role), "%".to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_revokes_and_mandatory_roles_are_read() {
        let attributes = r#"{"Restrictions": [{"Database": "a", "Privileges": ["DELETE"]},
            {"Database": "mysql", "Privileges": ["INSERT", "UPDATE"]}]}"#;
        assert_eq!(restricted(attributes), ["INSERT", "UPDATE"]);
        assert!(restricted("").is_empty() && restricted("null").is_empty() && restricted("[1]").is_empty());
        let name = |user: &str, host: &str| (user.to_owned(), host.to_owned());
        let all = [name("a", "%"), name("b", "h"), name("c", "10.%")];
        assert_eq!(mandatory("a, `b`@`h`,'c'@'10.%'"), all);
        assert!(mandatory("").is_empty());
    }
}
