// SPDX-License-Identifier: GPL-2.0-or-later
//! A session whose connection another thread uses, because a statement that the server does not end must not hold up its owner.

use super::{Session, absent};
use crate::error::Result;
use crate::server::connection::{is_lost, is_unsent, refused};
use mysql::Conn;
use mysql::prelude::Queryable;
use std::time::Instant;

/// A connection that another thread uses.
pub struct LentConnection {
    conn: Conn,
    statements: Vec<String>,
}

/// A connection that another thread has used.
pub struct UsedConnection {
    conn: Conn,
    statements: Vec<String>,
    failed: Option<(String, mysql::Error)>,
}

impl LentConnection {
    /// Runs the statements until one fails.
    pub fn run(mut self) -> UsedConnection {
        let mut failed = None;
        for statement in &self.statements {
            if let Err(e) = self.conn.query_drop(statement) {
                failed = Some((statement.clone(), e));
                break;
            }
        }
        UsedConnection { conn: self.conn, statements: self.statements, failed }
    }
}

impl Session {
    /// Gives its connection to another thread, for statements that it runs one after the other. Until it is taken back, what
    /// the session runs fails.
    ///
    /// # Errors
    /// As [`Session::restore`].
    pub fn lend(&mut self, statements: &[impl AsRef<str>]) -> Result<LentConnection> {
        self.awake()?;
        let statements = statements.iter().map(|statement| statement.as_ref().to_owned()).collect();
        self.conn.take().map(|conn| LentConnection { conn, statements }).ok_or_else(absent)
    }

    /// Takes the connection back from its thread. A statement that could not be sent is repeated on a new connection.
    ///
    /// # Errors
    /// What the server answered to a statement. If the connection broke, it may have been carried out.
    pub fn take_back(&mut self, used: UsedConnection) -> Result<()> {
        let UsedConnection { conn, statements, failed } = used;
        self.conn = Some(conn);
        self.used = Instant::now();
        let Some((statement, e)) = failed else {
            statements.iter().for_each(|statement| self.kept.add(statement));
            return Ok(());
        };
        self.lost = is_lost(&e);
        if self.server.is_some() && is_unsent(&e) && statements.first() == Some(&statement) {
            self.restore()?;
            return self.run_together(&statements);
        }
        Err(refused(&statement, &e))
    }
}
