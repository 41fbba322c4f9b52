// SPDX-License-Identifier: GPL-2.0-or-later
//! What the lines of a dump of mysqldump say: which table each belongs to, and whether the dump is complete. Pure.

use crate::server::full_name;

/// How a dump is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compression {
    None,
    Gzip,
}

/// The most bytes of a line that are looked at.
const LONGEST: usize = 1024;

/// Reads a dump piece by piece.
#[derive(Default)]
pub(super) struct DumpText {
    /// The beginning of the line that is not complete yet.
    line: Vec<u8>,
    number: u64,
    schema: String,
    /// Whether the dump was written with comments, so that its last line says that it is complete.
    has_comments: bool,
    is_complete: bool,
    /// The tables in their order, each with the line on which it begins.
    tables: Vec<(u64, String)>,
}

impl DumpText {
    /// Reads more of the dump. `schema` is where its tables are if it names none.
    pub(super) fn new(schema: &str) -> DumpText {
        DumpText { schema: schema.to_owned(), ..DumpText::default() }
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.extend(rest.get(..end).unwrap_or_default());
            self.end_line();
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        self.extend(rest);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LONGEST.saturating_sub(self.line.len());
        self.line.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    fn end_line(&mut self) {
        self.number += 1;
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.starts_with("-- MySQL dump ") || line.starts_with("-- MariaDB dump ") {
            self.has_comments = true;
        }
        self.is_complete = line.starts_with("-- Dump completed") || (self.is_complete && line.is_empty());
        if let Some(schema) = line.strip_prefix("USE ").and_then(identifier) {
            self.schema = schema;
        }
        let table = line
            .strip_prefix("CREATE TABLE ")
            .map(|rest| rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest));
        if let Some(table) = table.and_then(identifier) {
            self.tables.push((self.number, full_name(&self.schema, &table)));
        }
    }

    /// The end of the dump.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    /// Whether the last line is missing that a dump with comments has.
    pub(super) fn is_cut(&self) -> bool {
        self.has_comments && !self.is_complete
    }

    /// Whether the dump can say that it is complete.
    pub(super) fn has_end(&self) -> bool {
        self.has_comments
    }

    /// The table that a line belongs to.
    pub(super) fn table_at(&self, line: u64) -> Option<&str> {
        self.tables.iter().rfind(|(begin, _)| *begin <= line).map(|(_, table)| table.as_str())
    }

    /// The table that the dump ends with.
    pub(super) fn last_table(&self) -> Option<&str> {
        self.tables.last().map(|(_, table)| table.as_str())
    }

    /// All tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|(_, table)| table.as_str())
    }
}

/// The name in backticks with which a text begins.
fn identifier(text: &str) -> Option<String> {
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let end = rest.find('`')?;
        name += rest.get(..end)?;
        rest = rest.get(end + 1..)?;
        match rest.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return Some(name),
        }
    }
}

/// The schema of a dump that names none in a statement: the one in the comment at its beginning.
pub(super) fn schema_of(beginning: &str) -> Option<String> {
    let names_one = |line: &str| line.starts_with("USE `") || line.starts_with("CREATE DATABASE");
    let table = beginning.lines().position(|line| line.starts_with("CREATE TABLE ")).unwrap_or(usize::MAX);
    if beginning.lines().take(table).any(names_one) {
        return None;
    }
    let host = beginning.lines().find(|line| line.starts_with("-- Host: "))?;
    let name = host.split_once("Database: ")?.1.trim();
    Some(if name.is_empty() { "restored".to_owned() } else { name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "-- MySQL dump 10.13\n--\n-- Host: localhost    Database: clinic\nUSE `cli``nic`;\nCREATE TABLE `patient` (\n  `id` int\n);\nINSERT INTO `patient` VALUES (1);\nCREATE TABLE IF NOT EXISTS `visit` (\nINSERT INTO `visit` VALUES (2);\n\n-- Dump completed on 2026-11-24\n";

    #[test]
    fn lines_belong_to_tables_wherever_the_pieces_end() {
        for size in [1, 7, 1000] {
            let mut text = DumpText::new("x");
            DUMP.as_bytes().chunks(size).for_each(|piece| text.add(piece));
            text.end();
            assert_eq!(text.tables().count(), 2);
            assert_eq!(text.table_at(8), Some(full_name("cli`nic", "patient").as_str()));
            assert_eq!(text.table_at(1), None);
            assert_eq!(text.last_table(), text.table_at(10));
            assert!(!text.is_cut() && text.has_end());
        }
    }

    #[test]
    fn a_dump_that_was_cut_off_anywhere_is_known() {
        let end = DUMP.find("-- Dump completed").unwrap();
        for length in DUMP.find('\n').unwrap() + 1..end {
            let mut text = DumpText::new("");
            text.add(&DUMP.as_bytes()[..length]);
            text.end();
            assert!(text.is_cut(), "{length}");
        }
    }

    #[test]
    fn a_dump_of_one_schema_names_it_in_a_comment() {
        assert_eq!(schema_of(DUMP), None);
        let one = DUMP.replace("USE `cli``nic`;\n", "");
        assert_eq!(schema_of(&one).as_deref(), Some("clinic"));
        assert_eq!(schema_of("INSERT"), None);
    }
}
