// SPDX-License-Identifier: GPL-2.0-or-later
//! What a table and a column are, and how they are created.

use Column::{
    Blob, Choice, Code, Date, Decimal, Double, Generated, Id, Int, Json, Name, Number, OldDate, Parent,
    Point, Ref, Text, Time, Word,
};

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// The primary key.
    Id,
    /// The row's number, without being a key.
    Number,
    /// A row of another table, by a foreign key.
    Ref(&'static str),
    /// Another row of the same table, by a foreign key, or none.
    Parent,
    /// A person's name.
    Name,
    /// A short code.
    Code,
    /// One word.
    Word,
    /// So many words.
    Text(u32),
    /// A day.
    Date,
    /// A day as an older system wrote it, perhaps none.
    OldDate,
    /// A day and a time.
    Time,
    /// A number with three decimals.
    Decimal,
    /// A floating-point number.
    Double,
    /// A whole number below that.
    Int(u64),
    /// One of four.
    Choice,
    /// A document.
    Json,
    /// So many bytes.
    Blob(u32),
    /// A place on a map.
    Point,
    /// Made by the server from other columns.
    Generated(&'static str),
}

impl Column {
    pub fn is_generated(self) -> bool {
        matches!(self, Generated(_))
    }

    fn definition(self) -> String {
        match self {
            Id => "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT".to_owned(),
            Number => "BIGINT UNSIGNED NOT NULL".to_owned(),
            Ref(_) => "BIGINT UNSIGNED NOT NULL".to_owned(),
            Parent => "BIGINT UNSIGNED NULL".to_owned(),
            Name => "VARCHAR(120) NOT NULL".to_owned(),
            Code => "VARCHAR(20) CHARACTER SET ascii NOT NULL".to_owned(),
            Word => "VARCHAR(40) CHARACTER SET latin1 NOT NULL".to_owned(),
            Text(words) if words <= 20 => "VARCHAR(1000) NOT NULL".to_owned(),
            Text(_) => "MEDIUMTEXT NOT NULL".to_owned(),
            Date => "DATE NOT NULL".to_owned(),
            OldDate => "DATE NOT NULL DEFAULT '0000-00-00'".to_owned(),
            Time => "DATETIME NOT NULL".to_owned(),
            Decimal => "DECIMAL(12,3) NOT NULL".to_owned(),
            Double => "DOUBLE NULL".to_owned(),
            Int(_) => "INT UNSIGNED NOT NULL DEFAULT 0".to_owned(),
            Choice => "ENUM('none', 'low', 'middle', 'high') NOT NULL".to_owned(),
            Json => "JSON NOT NULL".to_owned(),
            Blob(_) => "MEDIUMBLOB NOT NULL".to_owned(),
            Point => "POINT NOT NULL SRID 0".to_owned(),
            Generated(how) => how.to_owned(),
        }
    }
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<(&'static str, Column)>,
    /// Further keys, and a primary key that is not `id`.
    keys: Vec<&'static str>,
    /// Behind the columns.
    options: &'static str,
    /// Rows at scale 1.
    pub rows: u64,
    /// Rows at any scale.
    pub least: u64,
}

impl Table {
    pub(super) fn new(name: impl Into<String>, rows: u64, columns: &[(&'static str, Column)]) -> Table {
        let least = rows.min(40);
        Table { name: name.into(), columns: columns.to_vec(), keys: Vec::new(), options: "", rows, least }
    }

    pub(super) fn key(mut self, key: &'static str) -> Table {
        self.keys.push(key);
        self
    }

    pub(super) fn options(mut self, options: &'static str) -> Table {
        self.options = options;
        self
    }

    pub(super) fn least(mut self, least: u64) -> Table {
        self.least = least;
        self
    }

    /// The columns that rows give, for INSERT.
    pub fn column_list(&self) -> String {
        let given = self.columns.iter().filter(|(_, column)| !column.is_generated());
        given.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    /// CREATE TABLE. Every reference is a foreign key.
    pub fn create(&self) -> String {
        let mut parts: Vec<_> =
            self.columns.iter().map(|(name, column)| format!("`{name}` {}", column.definition())).collect();
        let has_own_key = self.keys.iter().any(|key| key.starts_with("PRIMARY KEY"));
        if self.columns.iter().any(|(_, c)| matches!(c, Id)) && !has_own_key {
            parts.push("PRIMARY KEY (id)".to_owned());
        }
        parts.extend(self.keys.iter().map(|key| (*key).to_owned()));
        for (name, column) in &self.columns {
            match column {
                Ref(table) => parts.push(format!("FOREIGN KEY (`{name}`) REFERENCES `{table}` (id)")),
                Parent => parts.push(format!(
                    "FOREIGN KEY (`{name}`) REFERENCES `{}` (id) ON DELETE SET NULL",
                    self.name
                )),
                _ => {}
            }
        }
        format!("CREATE TABLE `{}` (\n  {}\n) {}", self.name, parts.join(",\n  "), self.options)
    }
}
