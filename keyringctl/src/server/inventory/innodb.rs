// SPDX-License-Identifier: GPL-2.0-or-later
//! What InnoDB says of its tables and tablespaces. The privilege PROCESS shows all of them, whatever the account may do with
//! a table, and no table is opened for it, so that none that is locked or damaged stops the query.

use super::file_names::{EncodedName, PlainName};
use super::spaces::{Fault, Tablespace, TablespaceKind};
use super::table::{Part, PartPlace};
use crate::error::Result;
use crate::server::Session;
use std::collections::{BTreeMap, HashMap};

/// The tablespaces that INNODB_TABLESPACES does not list.
const SYSTEM: &str = "innodb_system";
const SYSTEM_ID: u64 = 0;
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
    /// The table in it, quoted for statements, if its file has a name that only the server uses while it rebuilds a table.
    intermediate: Option<String>,
}

/// What information_schema.FILES says of a tablespace.
#[derive(Default)]
struct Files {
    path: String,
    is_open: bool,
    bytes: u64,
}

impl Innodb {
    pub(super) fn query(session: &mut Session) -> Result<Innodb> {
        let files = files(session)?;
        let spaces = spaces(session, &files)?;
        let rows = session.columns::<String>(
            "SELECT NAME, SPACE FROM information_schema.INNODB_TABLES",
            &["NAME", "SPACE"],
        )?;
        let mut innodb = Innodb::default();
        let mut owned = HashMap::new();
        for row in &rows {
            let [Some(name), Some(space)] = &row[..] else { continue };
            let Ok(id) = space.parse::<u64>() else { continue };
            innodb.add(name, id, spaces.get(&id), &mut owned);
        }
        for (id, space) in spaces {
            innodb.reported.insert(space.name.clone(), space.encrypted);
            innodb.add_space(space, owned.remove(&id));
        }
        if let Some(system) = files.get(SYSTEM) {
            innodb.tablespaces.push(Tablespace {
                name: SYSTEM.to_owned(),
                kind: TablespaceKind::System,
                bytes: system.bytes,
                encrypted: false,
                state: "normal".to_owned(),
                table: None,
                fault: None,
            });
        }
        Ok(innodb)
    }

    /// Adds a table, or remembers in `owned` that a tablespace belongs to one of the server's own.
    fn add(&mut self, name: &str, id: u64, space: Option<&Space>, owned: &mut HashMap<u64, Owner>) {
        let encoded = EncodedName::parse(name);
        let is_single = space.is_some_and(|space| space.space_type == "Single");
        let by_server = space.filter(|_| is_single).and_then(|space| encoded.divide(&space.name));
        if encoded.is_full_text() {
            owned.insert(id, Owner::FullText);
            return;
        }
        if encoded.is_intermediate() {
            let plain = by_server.unwrap_or_else(|| encoded.verbatim());
            owned.insert(id, Owner::Intermediate(plain.quoted()));
            return;
        }
        let place = match space {
            _ if id == SYSTEM_ID => PartPlace::System,
            None => PartPlace::Faulty(Fault::Unlisted(format!(
                "the server does not list its tablespace, number {id}"
            ))),
            Some(space) if is_single => space.own(),
            Some(space) if space.name == "mysql" => PartPlace::Dictionary,
            Some(space) => PartPlace::General(space.name.clone()),
        };
        let bytes = space.filter(|_| is_single).map_or(0, |space| space.bytes);
        if is_single {
            owned.insert(id, Owner::Table);
        }
        let part = |name: &PlainName| Part { name: name.partition.clone(), place, bytes };
        match by_server.or_else(|| encoded.decode()) {
            Some(name) => {
                let part = part(&name);
                self.tables.entry((name.schema, name.table)).or_default().push(part);
            }
            None => {
                self.undecoded.insert(name.to_owned(), part(&encoded.verbatim()));
            }
        }
    }

    /// Adds a tablespace, unless it belongs to a table of a user.
    fn add_space(&mut self, space: Space, owner: Option<Owner>) {
        let (kind, table) = match (space.space_type.as_str(), owner) {
            ("Single", Some(Owner::Table)) => return,
            ("Single", Some(Owner::FullText)) => (TablespaceKind::FullText, None),
            ("Single", Some(Owner::Intermediate(table))) => (TablespaceKind::Leftover, Some(table)),
            ("Single", None) if space.intermediate.is_some() => {
                (TablespaceKind::Leftover, space.intermediate)
            }
            ("Single", None) => {
                let part = Part { name: None, place: space.own(), bytes: space.bytes };
                self.orphans.insert(space.name, part);
                return;
            }
            ("Undo", _) => (TablespaceKind::Undo, None),
            ("System", _) if space.name == "innodb_temporary" => (TablespaceKind::Temporary, None),
            ("System", _) => (TablespaceKind::System, None),
            _ if space.name == "mysql" => (TablespaceKind::Mysql, None),
            _ => (TablespaceKind::General, None),
        };
        let Space { name, bytes, encrypted, state, fault, .. } = space;
        self.tablespaces.push(Tablespace { name, kind, bytes, encrypted, state, table, fault });
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
        let Innodb { mut tables, undecoded, mut tablespaces, orphans, reported } = self;
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

/// What a tablespace of a single table belongs to.
enum Owner {
    Table,
    FullText,
    /// What a statement creates while it rebuilds a table, with its name for a statement.
    Intermediate(String),
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

/// Returns the files of each tablespace, by its name.
fn files(session: &mut Session) -> Result<HashMap<String, Files>> {
    let datadir: String = session.first("SELECT @@datadir")?.unwrap_or_default();
    let rows: Vec<(String, String, Option<u64>, Option<u64>)> = session.rows(
        "SELECT TABLESPACE_NAME, FILE_NAME, FILE_ID, CAST(TOTAL_EXTENTS * EXTENT_SIZE AS UNSIGNED)
         FROM information_schema.FILES WHERE ENGINE = 'InnoDB'",
    )?;
    let mut files: HashMap<String, Files> = HashMap::new();
    for (name, path, id, bytes) in rows {
        let entry = files.entry(name).or_default();
        // Relative paths are relative to the data directory.
        let relative =
            path.strip_prefix("./").map(|rest| format!("{}/{rest}", datadir.trim_end_matches('/')));
        entry.path = relative.unwrap_or(path);
        entry.is_open = id.is_some();
        entry.bytes = entry.bytes.saturating_add(bytes.unwrap_or(0));
    }
    Ok(files)
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
        let intermediate = files.and_then(|files| intermediate(&files.path, &name));
        spaces.insert(id, Space { name, space_type, bytes, encrypted, state, fault, intermediate });
    }
    Ok(spaces)
}

/// Returns the table that a tablespace is for, if the name of its file says that a statement created it to rebuild a table.
/// INNODB_TABLES does not list such a table while the statement runs.
fn intermediate(path: &str, name: &str) -> Option<String> {
    let mut parts = path.trim_end_matches(".ibd").rsplit('/');
    let (file, directory) = (parts.next()?, parts.next()?);
    let encoded = format!("{directory}/{file}");
    let encoded = EncodedName::parse(&encoded);
    encoded.is_intermediate().then(|| encoded.divide(name).unwrap_or_else(|| encoded.verbatim()).quoted())
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
