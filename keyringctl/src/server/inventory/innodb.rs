// SPDX-License-Identifier: GPL-2.0-or-later
//! What InnoDB says of its tables and tablespaces. The privilege PROCESS shows all of them, whatever the account may do with
//! a table. No table with its own tablespace is opened for it, so that none that is locked or damaged stops the query.

use super::data_files::{Files, SYSTEM, files, without_long_waits};
use super::file_names::{EncodedName, Letters, PlainName};
use super::spaces::{Fault, Tablespace, TablespaceKind};
use super::table::{Part, PartPlace};
use crate::error::{Error, Result};
use crate::server::Session;
use std::collections::{BTreeMap, HashMap};

/// The number of the tablespace that INNODB_TABLESPACES does not list.
const SYSTEM_ID: u64 = 0;
/// Seconds that a query waits for the lock of a table.
const LOCK_WAIT: u64 = 3;
/// The bit of a tablespace's flags for encryption. Some servers have no column for it.
const ENCRYPTED_FLAG: u64 = 1 << 13;

/// InnoDB's tables and tablespaces.
#[derive(Default)]
pub(super) struct Innodb {
    /// The parts of each table of a user, by schema and table.
    tables: BTreeMap<(String, String), Vec<Part>>,
    /// Tables in shared tablespaces whose names only the server can decode, by their encoded names.
    undecoded: BTreeMap<String, Part>,
    /// Tablespaces that do not belong to a single table.
    tablespaces: Vec<Tablespace>,
    /// Tablespaces of a single table that InnoDB does not list, by their names.
    orphans: BTreeMap<String, Part>,
    /// Whether the server reports a tablespace as encrypted, by its name.
    reported: BTreeMap<String, bool>,
    /// Why INNODB_TABLES could not be read.
    unlisted: Option<String>,
}

/// What is left of it when the tables were taken that the server shows to this account.
pub(super) struct Rest {
    /// Other tables: the account may not see them.
    pub tables: BTreeMap<(String, String), Vec<Part>>,
    /// Tablespaces that do not belong to a single table.
    pub tablespaces: Vec<Tablespace>,
    /// Whether the server reports a tablespace as encrypted, by its name; those of single tables too.
    pub reported: BTreeMap<String, bool>,
}

/// A tablespace as the server describes it.
struct Space {
    name: String,
    space_type: String,
    bytes: u64,
    encrypted: bool,
    state: String,
    fault: Option<Fault>,
    /// The name of its table, as its file is named.
    encoded: Option<String>,
}

impl Innodb {
    pub(super) fn query(session: &mut Session) -> Result<Innodb> {
        let files = files(session)?;
        let spaces = spaces(session, &files)?;
        let mut innodb = Innodb::default();
        let letters = letters(&spaces);
        match listed(session)? {
            Ok(rows) => {
                rows.iter().for_each(|(name, id)| innodb.add_shared(name, *id, spaces.get(id), &letters));
            }
            Err(why) => innodb.unlisted = Some(why),
        }
        for space in spaces.into_values() {
            innodb.reported.insert(space.name.clone(), space.encrypted);
            innodb.add_space(space);
        }
        if let Some(system) = files.get(SYSTEM) {
            innodb.tablespaces.push(Tablespace {
                name: SYSTEM.to_owned(),
                kind: TablespaceKind::System,
                bytes: system.bytes,
                encrypted: false,
                state: "normal".to_owned(),
                table: None,
                holds: Vec::new(),
                fault: None,
            });
        }
        Ok(innodb)
    }

    /// Why INNODB_TABLES could not be read, so that tables in shared tablespaces are missing here.
    pub(super) fn unlisted(&self) -> Option<&str> {
        self.unlisted.as_deref()
    }

    /// Adds a table or partition in a shared tablespace. Others are known by their tablespaces.
    fn add_shared(&mut self, name: &str, id: u64, space: Option<&Space>, letters: &Letters) {
        let encoded = EncodedName::parse(name);
        let is_own = space.is_some_and(|space| space.space_type == "Single");
        if is_own || encoded.is_full_text() || encoded.is_intermediate() {
            return;
        }
        let place = match space {
            _ if id == SYSTEM_ID => PartPlace::System,
            None => PartPlace::Faulty(Fault::Unlisted(format!(
                "the server does not list its tablespace, number {id}"
            ))),
            Some(space) if space.name == "mysql" => PartPlace::Dictionary,
            Some(space) => PartPlace::General(space.name.clone()),
        };
        match encoded.decode(letters) {
            Some(PlainName { schema, table, partition }) => {
                let part = Part { name: partition, place, bytes: 0 };
                self.tables.entry((schema, table)).or_default().push(part);
            }
            None => {
                let part = Part { name: encoded.verbatim().partition, place, bytes: 0 };
                self.undecoded.insert(name.to_owned(), part);
            }
        }
    }

    /// Adds a tablespace. One of a single table is a part of that table.
    fn add_space(&mut self, space: Space) {
        let encoded = space.encoded.as_deref().map(EncodedName::parse);
        let (kind, table) = match (space.space_type.as_str(), encoded) {
            ("Single", Some(name)) if name.is_full_text() => (TablespaceKind::FullText, None),
            ("Single", Some(name)) if name.is_intermediate() => {
                let plain = name.divide(&space.name).unwrap_or_else(|| name.verbatim());
                (TablespaceKind::Leftover, Some(plain.quoted()))
            }
            ("Single", name) => {
                let place = space.own();
                match name.and_then(|name| name.divide(&space.name)) {
                    Some(PlainName { schema, table, partition }) => {
                        let part = Part { name: partition, place, bytes: space.bytes };
                        self.tables.entry((schema, table)).or_default().push(part);
                    }
                    None => {
                        let part = Part { name: None, place, bytes: space.bytes };
                        self.orphans.insert(space.name, part);
                    }
                }
                return;
            }
            ("Undo", _) => (TablespaceKind::Undo, None),
            ("System", _) if space.name == "innodb_temporary" => (TablespaceKind::Temporary, None),
            ("System", _) => (TablespaceKind::System, None),
            _ if space.name == "mysql" => (TablespaceKind::Mysql, None),
            _ => (TablespaceKind::General, None),
        };
        let Space { name, bytes, encrypted, state, fault, .. } = space;
        self.tablespaces.push(Tablespace {
            name,
            kind,
            bytes,
            encrypted,
            state,
            table,
            holds: Vec::new(),
            fault,
        });
    }

    /// Takes the parts of a table that the server shows. Returns none if InnoDB does not list it, or if its name may be one
    /// of several.
    pub(super) fn take(&mut self, schema: &str, table: &str) -> Vec<Part> {
        if let Some(parts) = self.tables.remove(&(schema.to_owned(), table.to_owned())) {
            return parts;
        }
        let whole = format!("{schema}/{table}");
        let is_its = |name: &String| {
            name.strip_prefix(&whole)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("#p#") || rest.starts_with("#P#"))
        };
        let names: Vec<_> = self.orphans.keys().filter(|name| is_its(name)).cloned().collect();
        if !names.is_empty() {
            return names.iter().filter_map(|name| self.orphans.remove(name)).collect();
        }
        let may_be = |name: &String| EncodedName::parse(name).may_be(schema, table);
        let names: Vec<_> = self.undecoded.keys().filter(|name| may_be(name)).cloned().collect();
        let found = names.first().and_then(|name| self.undecoded.get(name));
        // Of several names, it does not matter which is whose if all are in the same tablespace.
        match found.map(|part| part.place.clone()) {
            Some(place) if names.iter().all(|n| self.undecoded.get(n).is_some_and(|p| p.place == place)) => {
                names.first().and_then(|name| self.undecoded.remove(name)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Returns the tables that were not taken, and all tablespaces.
    pub(super) fn rest(self) -> Rest {
        let Innodb { mut tables, undecoded, mut tablespaces, orphans, reported, .. } = self;
        for (name, part) in undecoded {
            let name = EncodedName::parse(&name).verbatim();
            tables.entry((name.schema, name.table)).or_default().push(part);
        }
        tablespaces.extend(orphans.into_iter().map(|(name, part)| Tablespace {
            name,
            kind: TablespaceKind::Unowned,
            bytes: part.bytes,
            encrypted: part.place == PartPlace::Own { encrypted: true },
            state: "normal".to_owned(),
            table: None,
            holds: Vec::new(),
            fault: Some(Fault::Unlisted("the server does not tell which table it belongs to".to_owned())),
        }));
        tablespaces.sort_by(|a, b| a.name.cmp(&b.name));
        Rest { tables, tablespaces, reported }
    }

    /// Whether something is as it is for a moment while a statement creates, rebuilds or drops a table.
    pub(super) fn may_be_changing(&self) -> bool {
        let faulty = |part: &Part| matches!(part.place, PartPlace::Faulty(_));
        !self.orphans.is_empty()
            || self.tables.values().flatten().any(faulty)
            || self.tablespaces.iter().any(|space| space.fault.is_some())
    }
}

impl Space {
    /// Where the rows of its only table are.
    fn own(&self) -> PartPlace {
        match &self.fault {
            _ if self.state == "discarded" => PartPlace::Discarded,
            Some(fault) => PartPlace::Faulty(fault.clone()),
            None => PartPlace::Own { encrypted: self.encrypted },
        }
    }
}

fn spaces(session: &mut Session, files: &HashMap<String, Files>) -> Result<BTreeMap<u64, Space>> {
    // Their columns differ between versions.
    let rows = session.columns::<String>(
        "SELECT * FROM information_schema.INNODB_TABLESPACES",
        &["SPACE", "NAME", "SPACE_TYPE", "FILE_SIZE", "FLAG", "ENCRYPTION", "STATE"],
    )?;
    let mut spaces = BTreeMap::new();
    for row in rows {
        let mut columns = row.into_iter();
        let mut text = || columns.next().flatten();
        let (Some(id), Some(name)) = (text().and_then(|id| id.parse().ok()), text()) else { continue };
        let space_type = text().unwrap_or_default();
        let mut number = || text().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let (bytes, flags) = (number(), number());
        let encrypted = text().map_or(flags & ENCRYPTED_FLAG != 0, |letter| letter == "Y");
        let state = text().unwrap_or_default();
        let files = files.get(&name);
        let fault = fault(&state, bytes, files);
        let encoded = files.and_then(|files| encoded(&files.path));
        spaces.insert(id, Space { name, space_type, bytes, encrypted, state, fault, encoded });
    }
    Ok(spaces)
}

/// Learns how the server encodes letters, from the names of tablespaces and of their files.
fn letters(spaces: &BTreeMap<u64, Space>) -> Letters {
    let mut letters = Letters::default();
    for space in spaces.values() {
        let encoded = space.encoded.as_deref().map(EncodedName::parse);
        if let Some((encoded, plain)) = encoded.and_then(|name| Some((name, name.divide(&space.name)?))) {
            encoded.teach(&plain, &mut letters);
        }
    }
    letters
}

/// Returns the name of the table that a tablespace is for, as its file is named: `schema/table#p#partition`.
fn encoded(path: &str) -> Option<String> {
    let mut parts = path.strip_suffix(".ibd")?.rsplit('/');
    let (file, directory) = (parts.next()?, parts.next()?);
    Some(format!("{directory}/{file}"))
}

/// Returns the names in INNODB_TABLES, each with the number of its tablespace, or why the server does not list them. To do
/// so it opens every table, and one that is locked stops it.
fn listed(session: &mut Session) -> Result<std::result::Result<Vec<(String, u64)>, String>> {
    let query = "SELECT NAME, SPACE FROM information_schema.INNODB_TABLES";
    match without_long_waits(session, LOCK_WAIT, |session| session.rows(query)) {
        Ok(rows) => Ok(Ok(rows)),
        Err(Error::Server(e)) if e.code != 0 => Ok(Err(e.why)),
        Err(e) => Err(e),
    }
}

/// Returns why the server cannot use a tablespace.
fn fault(state: &str, bytes: u64, files: Option<&Files>) -> Option<Fault> {
    let path = || files.map(|files| files.path.clone()).unwrap_or_default();
    match state {
        "discarded" => None,
        "corrupted" => Some(Fault::Damaged(path())),
        _ if bytes == 0 => Some(Fault::Missing(path())),
        _ if files.is_some_and(|files| !files.is_open) => Some(Fault::NotOpened(path())),
        _ => None,
    }
}
