// SPDX-License-Identifier: GPL-2.0-or-later
//! The status variables of the keyring in a running server, which every account may read.

use super::keyring::{LoadedAs, ServerKeyring, parse_copies};
use super::session::Session;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::HashMap;

const PREFIX: &str = "keyring_external_";

/// What a server says of its keyring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyringFigures {
    /// It uses keyring_external.
    Ours(Figures),
    /// It uses another keyring, of this name.
    Other(String),
    /// It has none.
    None,
}

/// The status variables of keyring_external.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Figures {
    /// `ATTACHED`, `DEGRADED`, `DETACHED`, `READ_ONLY` or `UNAVAILABLE`.
    pub state: String,
    /// The keyring's UUID.
    pub id: String,
    /// The number of changes it has had.
    pub generation: u64,
    /// The number of keys.
    pub keys: u64,
    /// The number of copies that are up to date, and of configured copies.
    pub copies: (u32, u32),
    /// The number of failed operations since the keyring was opened.
    pub failures: Option<u64>,
    /// The last error since the keyring was opened; empty if there was none.
    pub last_error: String,
}

impl KeyringFigures {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session) -> Result<KeyringFigures> {
        let rows = session.rows::<(String, String)>(r"SHOW GLOBAL STATUS LIKE 'Keyring\_external\_%'")?;
        let status: HashMap<String, String> =
            rows.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        if let Some(figures) = Figures::parse(&status) {
            return Ok(KeyringFigures::Ours(figures));
        }
        let keyring = ServerKeyring::query(session)?;
        Ok(match keyring.way {
            LoadedAs::None => KeyringFigures::None,
            LoadedAs::Unknown(why) => {
                return Err(Error::Usage(format!("cannot find out which keyring the server uses: {why}")));
            }
            LoadedAs::Other(name) => KeyringFigures::Other(name),
            // A server whose components cannot have status variables.
            LoadedAs::Component | LoadedAs::Plugin => KeyringFigures::Ours(Figures {
                state: keyring.state,
                id: keyring.id,
                generation: keyring.generation,
                keys: keyring.keys,
                copies: keyring.copies,
                failures: None,
                last_error: keyring.last_error,
            }),
        })
    }
}

/// How many fetches since the keyring was opened returned a retired key; `None` if the server does not say.
///
/// # Errors
/// What the server answers.
pub fn retired_fetches(session: &mut Session) -> Result<Option<u64>> {
    counted(session, "retired_fetches")
}

/// How many lines of the audit log could not be written since the server started; `None` if the server does not say.
///
/// # Errors
/// What the server answers.
pub fn audit_failures(session: &mut Session) -> Result<Option<u64>> {
    counted(session, "audit_failures")
}

fn counted(session: &mut Session, name: &str) -> Result<Option<u64>> {
    let query = format!("SHOW GLOBAL STATUS LIKE '{PREFIX}{name}'");
    Ok(session.first::<(String, String)>(&query)?.and_then(|(_, value)| value.parse().ok()))
}

impl Figures {
    /// `None` if the server has no such variables.
    fn parse(status: &HashMap<String, String>) -> Option<Figures> {
        let find = |name: &str| status.get(&format!("{PREFIX}{name}"));
        let text = |name: &str| find(name).cloned().unwrap_or_default();
        let number = |name: &str| find(name).and_then(|value| value.parse().ok());
        Some(Figures {
            state: find("state")?.clone(),
            id: text("id"),
            generation: number("generation").unwrap_or_default(),
            keys: number("keys").unwrap_or_default(),
            copies: parse_copies(&text("copies")),
            failures: number("failures"),
            last_error: text("last_error"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_become_figures() {
        let status = |rows: &[(&str, &str)]| {
            rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let all = status(&[
            ("keyring_external_state", "DEGRADED"),
            ("keyring_external_id", "u"),
            ("keyring_external_generation", "9"),
            ("keyring_external_keys", "4"),
            ("keyring_external_copies", "1/2"),
            ("keyring_external_failures", "3"),
            ("keyring_external_last_error", "gone"),
        ]);
        let figures = Figures::parse(&all).unwrap();
        assert_eq!((figures.state.as_str(), figures.id.as_str(), figures.generation), ("DEGRADED", "u", 9));
        assert_eq!((figures.keys, figures.copies, figures.failures), (4, (1, 2), Some(3)));
        assert_eq!(figures.last_error, "gone");
        assert_eq!(Figures::parse(&status(&[("keyring_external_keys", "4")])), None);
    }
}
