// SPDX-License-Identifier: GPL-2.0-or-later
//! The statements that an administrator would type in a loop, one table after the other.

use super::target::SCHEMA;
use super::writers::patient;
use mysql::Conn;
use mysql::prelude::Queryable;
use std::path::Path;

/// The scratch tablespace of such a loop.
const SCRATCH: &str = "by_hand";
/// Tables of fewer bytes are copied, as `--online auto` does.
const LEAST: u64 = 8 << 20;

/// Encrypts all tables with files of their own, the largest first; online where the server does that and it is worth it.
pub fn encrypt(socket: &Path, online: bool) -> Result<(), String> {
    let mut conn = patient(socket)?;
    let query = format!(
        "SELECT t.TABLE_NAME, t.ROW_FORMAT, t.CREATE_OPTIONS, CAST(SUM(s.FILE_SIZE) AS UNSIGNED) bytes
         FROM information_schema.TABLES t JOIN information_schema.INNODB_TABLESPACES s
           ON SUBSTRING_INDEX(s.NAME, '#', 1) = CONCAT(t.TABLE_SCHEMA, '/', REPLACE(t.TABLE_NAME, ' ', '@0020'))
           OR s.NAME = CONCAT(t.TABLE_SCHEMA, '/', t.TABLE_NAME)
         WHERE t.TABLE_SCHEMA = '{SCHEMA}' GROUP BY 1, 2, 3 ORDER BY bytes DESC"
    );
    let tables: Vec<(String, Option<String>, Option<String>, u64)> =
        conn.query(&query).map_err(|e| format!("{query}: {e}"))?;
    // A copy of a child that checks foreign keys locks rows of its parents until it ends.
    run(&mut conn, "SET SESSION foreign_key_checks = 0")?;
    // Dates of old systems are values like others.
    run(&mut conn, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES,STRICT_ALL_TABLES'")?;
    for (table, format, options, bytes) in tables {
        let is_partitioned = options.is_some_and(|options| options.contains("partitioned"));
        let block = if format.as_deref() == Some("Compressed") { "FILE_BLOCK_SIZE=8192" } else { "" };
        let goes = online && bytes >= LEAST && !is_partitioned;
        if !(goes && go_online(&mut conn, &table, block)?) {
            run(&mut conn, &format!("ALTER TABLE `{table}` ENCRYPTION='Y'"))?;
        }
    }
    Ok(())
}

/// The three statements, and two around them. `false`: the server refuses the first one for this table.
fn go_online(conn: &mut Conn, table: &str, block: &str) -> Result<bool, String> {
    run(conn, &format!("CREATE TABLESPACE {SCRATCH} ADD DATAFILE '{SCRATCH}.ibd' {block} ENCRYPTION='N'"))?;
    let into = format!("ALTER TABLE `{table}` TABLESPACE {SCRATCH}, ALGORITHM=INPLACE, LOCK=NONE");
    let moves = conn.query_drop(&into).is_ok();
    if moves {
        run(conn, &format!("ALTER TABLESPACE {SCRATCH} ENCRYPTION='Y'"))?;
        run(
            conn,
            &format!(
                "ALTER TABLE `{table}` TABLESPACE innodb_file_per_table, ENCRYPTION='Y', ALGORITHM=INPLACE, LOCK=NONE"
            ),
        )?;
    }
    run(conn, &format!("DROP TABLESPACE {SCRATCH}"))?;
    Ok(moves)
}

fn run(conn: &mut Conn, statement: &str) -> Result<(), String> {
    conn.query_drop(statement).map_err(|e| format!("{statement}: {e}"))
}
