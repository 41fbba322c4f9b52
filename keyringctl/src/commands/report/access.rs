// SPDX-License-Identifier: GPL-2.0-or-later
//! Which MySQL accounts may rotate master keys, change the keyring of a server, or get around it.

mod account;
mod grants;
mod resolve;

#[cfg(test)]
pub(super) use account::Right;
pub(super) use account::{Ability, Account};

use super::known::Known;
use crate::error::{Error, Result};
use crate::server::Session;
use account::quoted_account;
use grants::Grants;
use serde::Serialize;

/// Tables that say who may do what. An account needs SELECT on them to answer it.
const TABLES: [&str; 6] = ["user", "global_grants", "db", "tables_priv", "role_edges", "proxies_priv"];

/// Who may do what.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Access {
    /// Accounts with at least one such right, also locked ones, without roles.
    pub accounts: Vec<Account>,
    /// Where accounts with FILE may read and write: a directory, empty for everywhere, `None` for nowhere.
    pub secure_file_priv: Option<String>,
}

impl Access {
    /// Asks the server. The account may not be allowed to read who has which privilege.
    pub(super) fn query(session: &mut Session) -> Result<Known<Access>> {
        let grants = match Grants::query(session) {
            Ok(grants) => grants,
            Err(Error::Server(e)) if e.code != 0 => return Ok(Known::NotMeasured(denied(session, &e.why)?)),
            Err(e) => return Err(e),
        };
        // The server says NULL as a text.
        let directory = session.variable("secure_file_priv")?.filter(|directory| directory != "NULL");
        Ok(Known::Measured(Access { accounts: grants.resolve(), secure_file_priv: directory }))
    }
}

/// Why the rights are not known, and what to do.
fn denied(session: &mut Session, why: &str) -> Result<String> {
    let account: Option<String> = session.first("SELECT CURRENT_USER()")?;
    let account = account.unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    let to = quoted_account(user, host);
    let grants = TABLES.map(|table| format!("GRANT SELECT ON mysql.{table} TO {to};"));
    Ok(format!("{why}: as an administrator, run: {}", grants.join(" ")))
}
