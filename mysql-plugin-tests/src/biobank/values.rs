// SPDX-License-Identifier: GPL-2.0-or-later
//! Rows: every value follows from the seed, the table, the row and the column.

use super::planted::{MARK, PLANTED, planted};
use super::random::Random;
use super::table::{Column, Table};
use std::fmt::Write;

const GIVEN: [&str; 12] =
    ["Anna", "Bo", "Clara", "David", "Eva", "Finn", "Gun", "Hans", "Ida", "Jens", "Karin", "Lars"];
const FAMILY: [&str; 12] =
    ["Andersson", "Berg", "Carlsen", "Dahl", "Ek", "Fors", "Gran", "Holm", "Isak", "Jansson", "Krog", "Lind"];
const WORDS: [&str; 24] = [
    "sample",
    "frozen",
    "visit",
    "blood",
    "plasma",
    "serum",
    "biopsy",
    "tissue",
    "stable",
    "fasting",
    "haemolysed",
    "left",
    "right",
    "repeat",
    "consented",
    "withdrawn",
    "moved",
    "negative",
    "positive",
    "borderline",
    "elevated",
    "normal",
    "pending",
    "checked",
];

/// One row of a table.
pub struct Row<'a> {
    table: &'a Table,
    id: u64,
    random: Random,
}

impl Row<'_> {
    pub fn new(seed: u64, table: &Table, id: u64) -> Row<'_> {
        let name = table.name.bytes().fold(0u64, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
        Row { table, id, random: Random::new(&[seed, name, id]) }
    }

    /// Appends `(1,'a',...)`. `count` is the number of rows of a table.
    pub fn push_to(&mut self, out: &mut String, count: &dyn Fn(&str) -> u64) {
        let mut between = '(';
        for (_, column) in self.table.columns.iter().filter(|(_, column)| !column.is_generated()) {
            out.push(between);
            between = ',';
            self.push_value(out, column, count);
        }
        out.push(')');
    }

    fn push_value(&mut self, out: &mut String, column: &Column, count: &dyn Fn(&str) -> u64) {
        let (id, random) = (self.id, &mut self.random);
        // Writing to a String cannot fail.
        let _ = match column {
            Column::Id | Column::Number => write!(out, "{id}"),
            Column::Ref(table) => write!(out, "{}", 1 + random.below(count(table))),
            // Rows point to rows before them, the first ones to none.
            Column::Parent => match id {
                0..=10 => write!(out, "NULL"),
                _ => write!(out, "{}", 1 + random.below(id - 1)),
            },
            Column::Name => write!(out, "'{}'", name(id, random)),
            Column::Code => {
                write!(out, "'{}{:04}'", random.one_of(&["A", "B", "C50.", "E11.", "I"]), random.below(9999))
            }
            Column::Word => write!(out, "'{}'", random.one_of(&WORDS)),
            Column::Text(words) => {
                out.push('\'');
                text(out, id, *words, random);
                write!(out, "'")
            }
            Column::Date => write!(out, "'{}'", date(random)),
            // What systems of before left behind.
            Column::OldDate => match random.below(20) {
                0 => write!(out, "'0000-00-00'"),
                1 => write!(out, "'1998-00-00'"),
                _ => write!(out, "'{}'", date(random)),
            },
            Column::Time => {
                let time = date(random);
                write!(
                    out,
                    "'{time} {:02}:{:02}:{:02}'",
                    random.below(24),
                    random.below(60),
                    random.below(60)
                )
            }
            Column::Decimal => write!(out, "{}.{:03}", random.below(100_000), random.below(1000)),
            Column::Double => write!(out, "{}e-3", random.below(1_000_000)),
            Column::Int(end) => write!(out, "{}", random.below(*end)),
            Column::Choice => write!(out, "{}", 1 + random.below(4)),
            Column::Json => write!(
                out,
                "'{{\"by\": \"{}\", \"value\": {}, \"flags\": [\"{}\", {}]}}'",
                name(id, random),
                random.below(1000),
                random.one_of(&WORDS),
                random.below(2) == 1
            ),
            Column::Blob(bytes) => {
                out.push_str("x'");
                let pattern: String = (0..8).map(|_| format!("{:016x}", random.next())).collect();
                (0..bytes.div_ceil(64)).for_each(|_| out.push_str(&pattern));
                write!(out, "'")
            }
            Column::Point => {
                write!(out, "ST_GeomFromText('POINT({} {})')", random.below(90), random.below(180))
            }
            Column::Generated(_) => Ok(()),
        };
    }
}

/// A planted name for the first rows of a table, a common one for others.
fn name(id: u64, random: &mut Random) -> String {
    if id <= PLANTED { planted(id) } else { format!("{} {}", random.one_of(&GIVEN), random.one_of(&FAMILY)) }
}

fn date(random: &mut Random) -> String {
    format!("{}-{:02}-{:02}", 2015 + random.below(10), 1 + random.below(12), 1 + random.below(28))
}

/// Words, and in one text of four a planted name among them.
fn text(out: &mut String, id: u64, words: u32, random: &mut Random) {
    let planted_at = (id % 4 == 1).then(|| random.below(words.into()) as u32);
    for i in 0..words {
        if i > 0 {
            out.push(' ');
        }
        match planted_at {
            Some(at) if at == i => out.push_str(&planted(1 + random.below(PLANTED))),
            _ => out.push_str(random.one_of(&WORDS)),
        }
    }
    debug_assert!(WORDS.iter().chain(&GIVEN).chain(&FAMILY).all(|word| !word.contains(MARK)));
}
