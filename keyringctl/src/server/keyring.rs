// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring that a running server uses, and its state.

use super::codes::NO_SUCH_TABLE;
use super::session::Session;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The component's name in performance_schema.
const COMPONENT: &str = "component_keyring_external";
const PLUGIN: &str = "keyring_external";

/// How a server has loaded its keyring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadedAs {
    /// As the component of keyring_external.
    Component,
    /// As the plugin of keyring_external.
    Plugin,
    /// Another component or plugin.
    Other(String),
    /// It has no keyring.
    None,
    /// The server did not say, for this reason.
    Unknown(String),
}

/// The keyring that a server uses.
#[derive(Clone, Debug, Serialize)]
pub struct ServerKeyring {
    /// How it is loaded.
    pub way: LoadedAs,
    /// `ATTACHED`, `DEGRADED`, `DETACHED`, `READ_ONLY`, `UNAVAILABLE`; empty for another keyring.
    pub state: String,
    /// The keyring's UUID.
    pub id: String,
    /// The number of changes it has had.
    pub generation: u64,
    /// The number of keys.
    pub keys: u64,
    /// The number of copies that are up to date, and of configured copies.
    pub copies: (u32, u32),
    /// The paths of its copies, the first one first.
    #[serde(serialize_with = "crate::show::paths")]
    pub paths: Vec<PathBuf>,
    /// The file that describes the remotes, if the server says which. A component does not.
    #[serde(skip)]
    pub remotes: Option<String>,
    /// The last failure; empty if there was none.
    pub last_error: String,
    /// When the server started, if it has no keyring.
    #[serde(skip)]
    pub started: Option<SystemTime>,
}

impl ServerKeyring {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session) -> Result<ServerKeyring> {
        let rows = session.rows::<(String, String)>(
            "SELECT STATUS_KEY, STATUS_VALUE FROM performance_schema.keyring_component_status",
        );
        let (rows, denied) = match rows {
            Ok(rows) => (rows, None),
            // The table exists since 8.0.24, as components do.
            Err(Error::Server(e)) if e.code == NO_SUCH_TABLE => (Vec::new(), None),
            Err(Error::Server(e)) if e.code != 0 => (Vec::new(), Some(e.why)),
            Err(e) => return Err(e),
        };
        let component: HashMap<String, String> = rows.into_iter().collect();
        if let Some(name) = component.get("Component_name") {
            if name != COMPONENT {
                return Ok(ServerKeyring::other(name.clone()));
            }
            let active = component.get("Component_status").is_none_or(|s| s == "Active");
            let mut paths: Vec<_> = component.get("Data_file").map(PathBuf::from).into_iter().collect();
            paths.extend(component.get("Mirrors").map(|m| split_paths(m)).unwrap_or_default());
            let mut keyring = ServerKeyring::from(LoadedAs::Component, &component, paths);
            if !active {
                "UNAVAILABLE".clone_into(&mut keyring.state);
            }
            return Ok(keyring);
        }
        let plugins: Vec<String> = session.rows(
            "SELECT PLUGIN_NAME FROM information_schema.PLUGINS
             WHERE PLUGIN_TYPE = 'KEYRING' AND PLUGIN_STATUS = 'ACTIVE'",
        )?;
        match plugins.first() {
            // If there are two plugins, the server asks only the first.
            Some(first) if first == PLUGIN => {
                let status = status_variables(session)?;
                let mut paths: Vec<_> =
                    session.variable("keyring_external_data")?.map(PathBuf::from).into_iter().collect();
                paths.extend(
                    session
                        .variable("keyring_external_mirrors")?
                        .map(|m| split_paths(&m))
                        .unwrap_or_default(),
                );
                let remotes = session.variable("keyring_external_remotes")?;
                Ok(ServerKeyring { remotes, ..ServerKeyring::from(LoadedAs::Plugin, &status, paths) })
            }
            Some(other) => Ok(ServerKeyring::other(other.clone())),
            None => without_table(session, denied),
        }
    }

    /// Whether it is keyring_external.
    pub fn is_ours(&self) -> bool {
        matches!(self.way, LoadedAs::Component | LoadedAs::Plugin)
    }

    fn other(name: String) -> ServerKeyring {
        ServerKeyring {
            way: LoadedAs::Other(name),
            state: String::new(),
            id: String::new(),
            generation: 0,
            keys: 0,
            copies: (0, 0),
            paths: Vec::new(),
            remotes: None,
            last_error: String::new(),
            started: None,
        }
    }

    /// Component and plugin report the same values, but name the id differently.
    fn from(way: LoadedAs, status: &HashMap<String, String>, paths: Vec<PathBuf>) -> ServerKeyring {
        let find = |name: &str| {
            let found = status.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let number = |name: &str| find(name).parse().unwrap_or_default();
        let id = Some(find("Keyring_id")).filter(|id| !id.is_empty()).unwrap_or_else(|| find("id"));
        ServerKeyring {
            state: find("state"),
            id,
            generation: number("generation"),
            keys: number("keys"),
            copies: parse_copies(&find("copies")),
            paths,
            remotes: None,
            last_error: find("last_error"),
            started: None,
            way,
        }
    }
}

/// Returns the status variables of keyring_external, without their prefix. Every account may read them.
fn status_variables(session: &mut Session) -> Result<HashMap<String, String>> {
    const PREFIX: &str = "Keyring_external_";
    let rows = session.rows::<(String, String)>(&format!("SHOW GLOBAL STATUS LIKE '{PREFIX}%'"))?;
    let names = rows.into_iter().map(|(name, value)| (name.trim_start_matches(PREFIX).to_owned(), value));
    Ok(names.collect())
}

/// Finds out what there is if performance_schema shows no component. `denied`: why it cannot be read.
fn without_table(session: &mut Session, denied: Option<String>) -> Result<ServerKeyring> {
    let status = status_variables(session)?;
    if status.contains_key("state") {
        return Ok(ServerKeyring::from(LoadedAs::Component, &status, Vec::new()));
    }
    let is_off = session.variable("performance_schema")?.is_some_and(|v| v.eq_ignore_ascii_case("OFF"));
    let way = match denied {
        Some(why) => LoadedAs::Unknown(why),
        None if is_off => LoadedAs::Unknown(
            "with performance_schema = OFF, the server does not say which keyring component it uses"
                .to_owned(),
        ),
        None => LoadedAs::None,
    };
    let started = if way == LoadedAs::None { started(session) } else { None };
    Ok(ServerKeyring { way, started, ..ServerKeyring::other(String::new()) })
}

/// When the server started.
fn started(session: &mut Session) -> Option<SystemTime> {
    let uptime = session.first::<(String, String)>("SHOW GLOBAL STATUS LIKE 'Uptime'").ok()??;
    SystemTime::now().checked_sub(Duration::from_secs(uptime.1.parse().ok()?))
}

/// Parses a value like `2/3`.
pub(super) fn parse_copies(text: &str) -> (u32, u32) {
    let parse = |part: &str| part.trim().parse().unwrap_or(0);
    text.split_once('/').map_or((0, 0), |(current, all)| (parse(current), parse(all)))
}

fn split_paths(text: &str) -> Vec<PathBuf> {
    text.split(':').map(str::trim).filter(|p| !p.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_and_plugin_report_the_same_status() {
        let pairs = |all: &[(&str, &str)]| {
            all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<HashMap<_, _>>()
        };
        let component =
            pairs(&[("State", "DEGRADED"), ("Keyring_id", "u"), ("Keys", "7"), ("Copies", "1/2")]);
        let plugin = pairs(&[("state", "DEGRADED"), ("id", "u"), ("keys", "7"), ("copies", "1/2")]);
        for (way, status) in [(LoadedAs::Component, component), (LoadedAs::Plugin, plugin)] {
            let keyring = ServerKeyring::from(way, &status, Vec::new());
            assert_eq!((keyring.state.as_str(), keyring.id.as_str(), keyring.keys), ("DEGRADED", "u", 7));
            assert_eq!(keyring.copies, (1, 2));
        }
        assert_eq!(parse_copies(""), (0, 0));
        assert_eq!(split_paths("/a/k:/b/k:"), [PathBuf::from("/a/k"), PathBuf::from("/b/k")]);
    }
}
