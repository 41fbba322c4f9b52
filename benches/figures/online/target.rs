// SPDX-License-Identifier: GPL-2.0-or-later
//! A table that the writers change: its statements, and which of its rows nobody changes.

use mysql_plugin_tests::biobank::{Biobank, Column, PLANTED, planted, tables};

/// The biobank's schema.
pub const SCHEMA: &str = "biobank";

/// Of so many rows, in turn, each of the writers changes one, and the others stay as they were.
pub const STRIDE: u64 = 8;

/// A table.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    columns: Vec<(String, Column)>,
    /// The column that updates change, and whose values are compared.
    pub changed: String,
    kind: Column,
    /// Rows before.
    pub rows: u64,
    /// Whether the server numbers new rows.
    pub numbers_itself: bool,
    /// Whether a row is found by its number.
    pub by_number: bool,
    /// Whether a trigger inserts rows into it.
    pub has_others: bool,
    /// Why the server does not rewrite it online.
    pub only_copy: Option<&'static str>,
    /// Rows of the tables that it refers to.
    parents: Vec<u64>,
}

/// All tables of a biobank that has just been made.
pub fn targets(biobank: &Biobank) -> Vec<Target> {
    let all = tables();
    let rows_of = |name: &str| all.iter().find(|t| t.name == name).map_or(1, |t| biobank.rows(t));
    let mut targets: Vec<_> = all
        .iter()
        .map(|table| {
            let create = table.create();
            let columns = table.columns.iter().map(|(name, column)| ((*name).to_owned(), *column));
            let only_copy = [
                ("FULLTEXT", "full-text index"),
                ("SPATIAL", "spatial index"),
                ("PARTITION BY", "partitions"),
                ("TABLESPACE ", "in a general tablespace"),
            ];
            let only_copy = only_copy.iter().find(|(clause, _)| create.contains(clause)).map(|(_, why)| *why);
            Target { only_copy, ..Target::new(&table.name, columns.collect(), biobank.rows(table), &rows_of) }
        })
        .collect();
    // Those that the biobank has for clients that write.
    let column = |name: &str, column| (name.to_owned(), column);
    let visits = vec![
        column("id", Column::Number),
        column("participant_id", Column::Ref("participants")),
        column("version", Column::Int(9)),
        column("summary", Column::Text(9)),
    ];
    let log =
        vec![column("id", Column::Id), column("visit_id", Column::Int(999)), column("what", Column::Text(9))];
    targets.push(Target { by_number: true, ..Target::new("load_visits", visits, 0, &rows_of) });
    targets.push(Target::new("load_log", log, 0, &rows_of));
    targets
}

impl Target {
    fn new(name: &str, columns: Vec<(String, Column)>, rows: u64, rows_of: &dyn Fn(&str) -> u64) -> Target {
        let rank = |column: &Column| match column {
            Column::Text(_) => 0,
            Column::Word | Column::Code => 1,
            Column::Name => 2,
            Column::Ref(_) => 3,
            Column::Int(_) => 4,
            _ => 5,
        };
        let (changed, kind) = columns
            .iter()
            .min_by_key(|(_, column)| rank(column))
            .map(|(name, column)| (name.clone(), *column))
            .expect("a column");
        let numbers_itself = columns.iter().any(|(_, column)| matches!(column, Column::Id));
        let parents = columns.iter().map(|(_, column)| match column {
            Column::Ref(parent) => rows_of(parent),
            _ => 0,
        });
        let parents = parents.collect();
        Target {
            name: name.to_owned(),
            changed,
            kind,
            rows,
            numbers_itself,
            by_number: numbers_itself,
            has_others: name == "audit_visits",
            only_copy: None,
            parents,
            columns,
        }
    }

    /// Inserts a row of its own for `unique`, and answers what [`Target::changed`] then holds. `id` is used where the server
    /// does not number rows itself.
    pub fn insert(&self, id: u64, unique: u64) -> (String, String) {
        let (mut names, mut values, mut holds) = (Vec::new(), Vec::new(), String::new());
        for ((name, column), parents) in self.columns.iter().zip(&self.parents) {
            let value = match column {
                Column::Id | Column::Generated(_) => continue,
                Column::Number => Some(id.to_string()),
                column => value(column, unique, *parents),
            };
            if let (true, Some(value)) = (*name == self.changed, &value) {
                holds.clone_from(value);
            }
            names.push(format!("`{name}`"));
            values.push(match (column, value) {
                (Column::Point, _) => "ST_GeomFromText('POINT(1 2)')".to_owned(),
                (Column::Blob(bytes), _) => format!("REPEAT('x', {bytes})"),
                (_, Some(value)) => format!("'{value}'"),
                (_, None) => "NULL".to_owned(),
            });
        }
        (format!("INSERT INTO `{}` ({}) VALUES ({})", self.name, names.join(","), values.join(",")), holds)
    }

    /// Changes one row, and answers what [`Target::changed`] then holds.
    pub fn update(&self, id: u64, unique: u64) -> (String, String) {
        let at = self.columns.iter().position(|(name, _)| *name == self.changed).unwrap_or(0);
        let new = value(&self.kind, unique, self.parents[at]).unwrap_or_default();
        (format!("UPDATE `{}` SET `{}` = '{new}' WHERE id = {id}", self.name, self.changed), new)
    }

    /// The row that a writer changes, for a random number; `None`: there is none.
    pub fn row_of(&self, writer: u64, random: u64) -> Option<u64> {
        let turns = self.rows / STRIDE;
        (self.by_number && turns > 0).then(|| (random % turns) * STRIDE + writer + 1)
    }

    /// Number and sum of the rows that nobody changes. Writers have the first numbers of each turn.
    pub fn sum_of_others(&self, writers: u64) -> String {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|(name, column)| match column {
                Column::Point | Column::Blob(_) => format!("HEX(`{name}`)"),
                Column::Parent | Column::Double => format!("IFNULL(`{name}`, 'NULL')"),
                _ => format!("`{name}`"),
            })
            .collect();
        let sum = format!("CRC32(CONCAT_WS('#', {}))", columns.join(", "));
        format!(
            "SELECT COUNT(*), CAST(IFNULL(SUM({sum}), 0) AS UNSIGNED), BIT_XOR({sum}) FROM `{}` WHERE id BETWEEN 1 AND {} AND (id - 1) % {STRIDE} >= {writers}",
            self.name, self.rows
        )
    }

    /// The numbers of rows and what they hold, of those that writers inserted or may have changed.
    pub fn rows_of_writers(&self, writers: u64) -> String {
        format!(
            "SELECT id, CAST(`{}` AS CHAR) FROM `{}` WHERE id > {} OR (id - 1) % {STRIDE} < {writers}",
            self.changed, self.name, self.rows
        )
    }
}

/// A value, without quotes.
fn value(column: &Column, unique: u64, parents: u64) -> Option<String> {
    Some(match column {
        Column::Ref(_) => (1 + unique % parents.max(1)).to_string(),
        Column::Name => format!("{} {unique}", planted(1 + unique % PLANTED)),
        Column::Code | Column::Word => format!("w{unique}"),
        Column::Text(_) => format!("written {unique} by {}", planted(1 + unique % PLANTED)),
        Column::Date | Column::OldDate => "2024-03-01".to_owned(),
        Column::Time => "2024-03-01 12:00:00".to_owned(),
        Column::Decimal | Column::Double => format!("{}.5", unique % 1000),
        Column::Int(end) => (unique % end).to_string(),
        Column::Choice => "low".to_owned(),
        Column::Json => format!("{{\"by\": \"{}\", \"value\": {unique}}}", planted(1 + unique % PLANTED)),
        Column::Id
        | Column::Number
        | Column::Parent
        | Column::Point
        | Column::Blob(_)
        | Column::Generated(_) => {
            return None;
        }
    })
}
