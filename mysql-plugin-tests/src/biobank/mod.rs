// SPDX-License-Identifier: GPL-2.0-or-later
//! A sample biobank: a database of some 150 tables with participants, visits, specimens, consents, forms and audit
//! trails, all of them made up. The same seed and scale make the same rows.
//!
//! It has what a database that has grown has: foreign keys, partitions and subpartitions, a general tablespace,
//! full-text and spatial indexes, generated columns, compressed rows, long values, triggers, a
//! table without a primary key, old dates, names with blanks. Among the people are 1,000 with planted names.

mod core;
mod families;
mod planted;
mod random;
mod schema;
mod table;
mod values;

pub use planted::{MARK, PLANTED, files_with_names, planted};
pub use schema::{SHARED, tables};
pub use table::{Column, Table};

use mysql::prelude::Queryable;
use mysql::{Conn, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use values::Row;

/// Bytes of a statement, about.
const STATEMENT: usize = 512 * 1024;

/// What to make.
#[derive(Clone, Debug)]
pub struct Biobank {
    /// The schema's name.
    pub schema: String,
    /// 1 makes 2 GB.
    pub scale: f64,
    /// Chooses the rows.
    pub seed: u64,
}

impl Biobank {
    /// Makes the schema with all its tables and rows. `connect` makes a connection of an account that may; so many
    /// `threads` fill tables at once.
    ///
    /// # Errors
    /// What the server answers.
    pub fn make(&self, connect: impl Fn() -> Result<Conn> + Sync, threads: usize) -> Result<()> {
        let mut conn = connect()?;
        let name = &self.schema;
        conn.query_drop(format!("CREATE SCHEMA `{name}` DEFAULT CHARACTER SET utf8mb4"))?;
        conn.query_drop(format!("USE `{name}`"))?;
        conn.query_drop(format!("CREATE TABLESPACE `{SHARED}` ADD DATAFILE '{SHARED}.ibd'"))?;
        // Zero dates of old systems.
        conn.query_drop("SET SESSION sql_mode = 'ALLOW_INVALID_DATES', foreign_key_checks = 0")?;
        let tables = tables();
        for table in &tables {
            conn.query_drop(table.create())?;
        }
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| -> Result<()> {
            let worker = || -> Result<()> {
                let mut conn = connect()?;
                conn.query_drop(format!("USE `{name}`"))?;
                conn.query_drop(
                    "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', foreign_key_checks = 0, unique_checks = 0",
                )?;
                while let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed)) {
                    self.fill(&mut conn, table)?;
                }
                Ok(())
            };
            let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(|w| w.join().expect("a thread that fills tables"))
        })?;
        schema::afterwards().into_iter().try_for_each(|statement| conn.query_drop(statement))
    }

    /// How many rows a table gets.
    pub fn rows(&self, table: &Table) -> u64 {
        ((table.rows as f64 * self.scale) as u64).max(table.least)
    }

    fn fill(&self, conn: &mut Conn, table: &Table) -> Result<()> {
        let all = tables();
        let count = |name: &str| all.iter().find(|t| t.name == name).map_or(1, |t| self.rows(t));
        let mut statement = String::new();
        let begin = format!("INSERT INTO `{}` ({}) VALUES ", table.name, table.column_list());
        for id in 1..=self.rows(table) {
            statement.push_str(if statement.is_empty() { &begin } else { "," });
            Row::new(self.seed, table, id).push_to(&mut statement, &count);
            if statement.len() >= STATEMENT {
                conn.query_drop(&statement)?;
                statement.clear();
            }
        }
        if statement.is_empty() { Ok(()) } else { conn.query_drop(&statement) }
    }
}
