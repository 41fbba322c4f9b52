// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl` sees and does must not depend on the defaults that a server gives to its sessions.

use super::command::command;
use super::host::host;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, Volume, place, told};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Variables with a global value, and one of the worst that it can have.
const HOSTILE: &[(&str, &str)] = &[
    ("autocommit", "OFF"),
    ("completion_type", "'RELEASE'"),
    ("transaction_read_only", "ON"),
    ("transaction_isolation", "'SERIALIZABLE'"),
    (
        "sql_mode",
        "'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,\
         REAL_AS_FLOAT,NO_UNSIGNED_SUBTRACTION,TIME_TRUNCATE_FRACTIONAL,STRICT_ALL_TABLES,TRADITIONAL,NO_DIR_IN_CREATE,\
         ONLY_FULL_GROUP_BY,NO_ZERO_DATE,NO_ZERO_IN_DATE'",
    ),
    ("sql_auto_is_null", "ON"),
    ("sql_safe_updates", "ON"),
    ("max_sort_length", "4"),
    ("sort_buffer_size", "32768"),
    ("group_concat_max_len", "4"),
    ("sql_notes", "OFF"),
    ("information_schema_stats_expiry", "0"),
    ("lc_messages", "'de_DE'"),
    ("lc_time_names", "'de_DE'"),
    ("terminology_use_previous", "'BEFORE_8_0_26'"),
    ("sql_quote_show_create", "OFF"),
    ("show_create_table_verbosity", "ON"),
    ("show_gipk_in_create_table_and_information_schema", "OFF"),
    ("old_alter_table", "ON"),
    ("default_tmp_storage_engine", "'MyISAM'"),
    ("unique_checks", "OFF"),
    ("foreign_key_checks", "OFF"),
    ("lock_wait_timeout", "1"),
    ("innodb_lock_wait_timeout", "1"),
    ("wait_timeout", "5"),
    ("interactive_timeout", "5"),
    ("net_read_timeout", "1"),
    ("net_write_timeout", "1"),
    ("innodb_strict_mode", "OFF"),
    ("sql_require_primary_key", "ON"),
    ("restrict_fk_on_non_standard_key", "ON"),
    ("sql_generate_invisible_primary_key", "ON"),
    ("character_set_filesystem", "'utf16'"),
    ("character_set_server", "'utf16'"),
    ("collation_server", "'utf16_german2_ci'"),
    ("character_set_client", "'latin1'"),
    ("character_set_connection", "'utf32'"),
    ("character_set_results", "'utf16'"),
    ("collation_connection", "'utf32_turkish_ci'"),
    ("default_collation_for_utf8mb4", "'utf8mb4_general_ci'"),
    // Not set by the program: they must not matter.
    ("max_error_count", "0"),
    ("parser_max_mem_size", "10000000"),
    ("default_week_format", "3"),
    ("tmp_table_size", "1024"),
    ("max_heap_table_size", "16384"),
    ("internal_tmp_mem_storage_engine", "'MEMORY'"),
    ("big_tables", "ON"),
    ("join_buffer_size", "128"),
    ("set_operations_buffer_size", "16384"),
    ("range_optimizer_max_mem_size", "1"),
    ("eq_range_index_dive_limit", "1"),
    ("optimizer_search_depth", "1"),
    (
        "optimizer_switch",
        "'derived_merge=off,use_invisible_indexes=on,hash_join=off,block_nested_loop=off,batched_key_access=on,\
         mrr_cost_based=off,subquery_to_derived=on'",
    ),
    ("optimizer_trace", "'enabled=on'"),
    ("sql_buffer_result", "ON"),
    ("sql_warnings", "ON"),
    ("binlog_format", "'STATEMENT'"),
    ("binlog_row_image", "'MINIMAL'"),
    ("session_track_gtids", "'ALL_GTIDS'"),
    ("session_track_system_variables", "'*'"),
    ("session_track_state_change", "ON"),
    ("session_track_transaction_info", "'CHARACTERISTICS'"),
    ("explicit_defaults_for_timestamp", "OFF"),
    ("print_identified_with_as_hex", "ON"),
    ("end_markers_in_json", "ON"),
    ("cte_max_recursion_depth", "0"),
    ("max_points_in_geometry", "3"),
    ("low_priority_updates", "ON"),
    ("updatable_views_with_limit", "'NO'"),
    ("profiling", "ON"),
    ("min_examined_row_limit", "1000000"),
    ("global_connection_memory_tracking", "ON"),
    ("connection_memory_limit", "2097152"),
    ("innodb_ddl_buffer_size", "65536"),
    ("innodb_ddl_threads", "1"),
    ("innodb_table_locks", "OFF"),
    ("select_into_buffer_size", "8192"),
    // The last ones: they hinder other statements.
    ("sql_select_limit", "1"),
    ("sql_big_selects", "OFF"),
    ("max_join_size", "1"),
    ("max_execution_time", "1"),
];

/// plan says what this one does to applications, so it is hostile only while apply runs.
const ENGINE: &str = "default_storage_engine";

/// Variables without a global value, which `init_connect` may set.
const OF_SESSIONS: &[(&str, &str)] = &[
    ("sql_select_limit", "0"),
    ("use_secondary_engine", "FORCED"),
    ("show_create_table_skip_secondary_engine", "ON"),
    ("autocommit", "OFF"),
    ("completion_type", "2"),
    ("timestamp", "1"),
    ("insert_id", "7"),
    ("sql_mode", "\"ANSI_QUOTES\""),
];

/// Variables that decide what a copied table contains: generated columns and indexes. The program must leave them as the
/// server has them.
const OF_COPIES: &[&str] = &[
    "time_zone",
    "div_precision_increment",
    "default_week_format",
    "lc_time_names",
    "block_encryption_mode",
    "innodb_ft_enable_stopword",
    "innodb_ft_user_stopword_table",
];

/// All other variables of a session, and why they do not matter.
const OTHERS: &[(&str, &[&str])] = &[
    (
        "how fast something is, how it is done, or what it may use",
        &[
            "bulk_insert_buffer_size",
            "connection_memory_chunk_size",
            "enable_secondary_engine_statistics",
            "histogram_generation_max_mem_size",
            "innodb_parallel_read_threads",
            "innodb_tmpdir",
            "max_length_for_sort_data",
            "max_seeks_for_key",
            "myisam_sort_buffer_size",
            "myisam_stats_method",
            "net_retry_count",
            "optimizer_max_subgraph_pairs",
            "optimizer_prune_level",
            "preload_buffer_size",
            "query_alloc_block_size",
            "query_prealloc_size",
            "range_alloc_block_size",
            "read_buffer_size",
            "read_rnd_buffer_size",
            "secondary_engine_cost_threshold",
            "transaction_alloc_block_size",
            "transaction_prealloc_size",
        ],
    ),
    (
        "statements and functions that the program does not use",
        &[
            "auto_increment_increment",
            "auto_increment_offset",
            "character_set_database",
            "collation_database",
            "enable_cascade_triggers",
            "explain_format",
            "explain_json_format_version",
            "external_table_secondary_storage_engine",
            "external_table_storage_engine",
            "generated_random_password_length",
            "identity",
            "keep_files_on_create",
            "last_insert_id",
            "max_delayed_threads",
            "max_insert_delayed_threads",
            "max_sp_recursion_depth",
            "rand_seed1",
            "rand_seed2",
            "select_into_disk_sync",
            "select_into_disk_sync_delay",
            "transaction_allow_batching",
            "windowing_use_high_precision",
            "xa_detach_on_prepare",
        ],
    ),
    (
        "logs, traces and what a client is told: a canary in a log is a finding, so its statements are logged like others",
        &[
            "long_query_time",
            "optimizer_trace_features",
            "optimizer_trace_limit",
            "optimizer_trace_max_mem_size",
            "optimizer_trace_offset",
            "profiling_history_size",
            "resultset_metadata",
            "session_track_schema",
            "sql_log_off",
        ],
    ),
    (
        "the binary log, and replication's own sessions: the administrator's choice, or set only by those with the privilege",
        &[
            "binlog_direct_non_transactional_updates",
            "binlog_row_value_options",
            "binlog_rows_query_log_events",
            "binlog_transaction_compression",
            "binlog_transaction_compression_level_zstd",
            "group_replication_consistency",
            "gtid_next",
            "immediate_server_version",
            "original_commit_timestamp",
            "original_server_version",
            "pseudo_replica_mode",
            "pseudo_slave_mode",
            "pseudo_thread_id",
            "rbr_exec_mode",
            "require_row_format",
            "sql_log_bin",
        ],
    ),
    ("what the schema's tables are encrypted with is always given", &["default_table_encryption"]),
];

const ROWS: &str =
    "SET GLOBAL time_zone = '+09:00', GLOBAL div_precision_increment = 6, GLOBAL default_week_format = 3;
    CREATE SCHEMA clinic;
    CREATE TABLESPACE shared_space ADD DATAFILE 'shared_space.ibd';
    CREATE TABLE clinic.shared (id INT PRIMARY KEY) TABLESPACE shared_space;
    CREATE TABLE clinic.no_key (a INT);
    CREATE TABLE clinic.parts (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3;
    CREATE TABLE clinic.parents (a INT, KEY (a));
    CREATE TABLE clinic.other (a INT) ENGINE = MyISAM";

/// plan, verify, report and check say the same of one server with its own and with hostile defaults; apply, verify and
/// rotate work with hostile ones, and a copied table has the same definition and rows.
pub fn hostile_session_defaults() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    server.sql(ROWS);
    // These connections keep the server's own defaults.
    let (mut sane, mut writer) = (server.connect(), server.connect());
    every_variable_is_judged(&mut sane);
    rows_that_a_copy_could_change(&mut writer);
    // What the files say does not depend on when pages are written.
    writer.query_drop("FLUSH TABLES clinic.no_key, clinic.parts, clinic.parents, clinic.children, clinic.computed FOR EXPORT").unwrap();
    writer.query_drop("UNLOCK TABLES").unwrap();
    let (shown, rows) = (definition(&mut writer), contents(&mut writer));

    let before = answers(&host);
    hostile(&mut sane);
    assert_same(&before, &answers(&host));
    as_an_account_with_init_connect(&host, &mut sane);

    sane.query_drop(format!("SET GLOBAL {ENGINE} = MyISAM")).unwrap();
    let output = command(&host, &["apply", "--purge-binary-logs", "--yes", "--json"]).output().unwrap();
    let account: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    let (failed, left) = (&account["failed"], &account["left"]);
    let wanted = (serde_json::json!([]), serde_json::json!(["clinic.other"]));
    assert_eq!((failed, left), (&wanted.0, &wanted.1), "{}", told(&output));
    assert_eq!(definition(&mut writer), format!("{shown} ENCRYPTION='Y'"));
    assert_eq!(contents(&mut writer), rows, "the copy changed values");
    let output = command(&host, &["rotate", "--yes"]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    sane.query_drop(format!("SET GLOBAL {ENGINE} = DEFAULT")).unwrap();
    let with_hostile = answers(&host);
    friendly(&mut sane);
    assert_same(&answers(&host), &with_hostile);
    let left = "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES WHERE ENCRYPTION = 'N' AND NAME LIKE 'clinic/%'";
    assert_eq!(sane.query_first::<u32, _>(left).unwrap(), Some(0));
    server.stop();
}

/// Tables that a copy with other settings changes or refuses.
fn rows_that_a_copy_could_change(conn: &mut mysql::Conn) {
    for statement in [
        "SET restrict_fk_on_non_standard_key = OFF, sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+09:00', \
         div_precision_increment = 6, default_week_format = 3",
        "CREATE TABLE clinic.children (a INT, FOREIGN KEY (a) REFERENCES clinic.parents (a))",
        "CREATE TABLE clinic.computed (id INT PRIMARY KEY, seen TIMESTAMP NULL, n INT, \
         bad DATE NOT NULL DEFAULT '0000-00-00', half DATETIME, \
         day DATE AS (DATE(seen)) STORED, week INT AS (WEEK(day)) STORED, \
         third DECIMAL(20, 10) AS (n / 3) STORED, KEY (day))",
        "INSERT INTO clinic.computed (id, seen, n, bad, half) VALUES \
         (1, '2024-12-31 02:00:00', 1, '0000-00-00', '2024-00-10'), (2, '2024-06-30 23:30:00', 2, '2024-02-31', NULL)",
    ] {
        conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
}

fn definition(conn: &mut mysql::Conn) -> String {
    conn.query_first::<(String, String), _>("SHOW CREATE TABLE clinic.computed").unwrap().unwrap().1
}

fn contents(conn: &mut mysql::Conn) -> Vec<String> {
    let columns = "id, seen, n, bad, half, day, week, third";
    conn.query(format!("SELECT CONCAT_WS('|', {columns}) FROM clinic.computed ORDER BY id")).unwrap()
}

/// Every variable that a session may set is in one of the lists above. One that a later server adds is not: someone has to
/// find out whether it matters.
fn every_variable_is_judged(conn: &mut mysql::Conn) {
    let judged: BTreeSet<&str> = HOSTILE
        .iter()
        .chain(OF_SESSIONS)
        .map(|(name, _)| *name)
        .chain(OF_COPIES.iter().copied())
        .chain([ENGINE])
        .chain(OTHERS.iter().flat_map(|(_, names)| names.iter().copied()))
        .collect();
    let all: Vec<(String, String)> = conn.query("SHOW SESSION VARIABLES").unwrap();
    let mut forgotten = Vec::new();
    for (name, _) in all {
        let set = conn.query_drop(format!("SET SESSION {name} = @@SESSION.{name}"));
        // A global variable, or one that nobody can set.
        let cannot = matches!(&set, Err(mysql::Error::MySqlError(e)) if matches!(e.code, 1238 | 1621));
        if !cannot && !judged.contains(name.as_str()) {
            forgotten.push(name);
        }
    }
    assert!(forgotten.is_empty(), "does keyringctl depend on these variables? {forgotten:?}");
}

/// Gives every new session hostile values. A server without one of the variables does not need it.
fn hostile(conn: &mut mysql::Conn) {
    for (name, value) in HOSTILE {
        match conn.query_drop(format!("SET GLOBAL {name} = {value}")) {
            Err(mysql::Error::MySqlError(e)) if e.code == 1193 => {}
            other => other.unwrap_or_else(|e| panic!("{name} = {value}: {e}")),
        }
    }
}

fn friendly(conn: &mut mysql::Conn) {
    for (name, _) in HOSTILE {
        let _ = conn.query_drop(format!("SET GLOBAL {name} = DEFAULT"));
    }
}

/// The server runs `init_connect` for accounts without CONNECTION_ADMIN. If it sets variables, begins a transaction or
/// fails, that is dealt with or said.
fn as_an_account_with_init_connect(host: &Host, conn: &mut mysql::Conn) {
    let all =
        OF_SESSIONS.iter().map(|(name, value)| format!("SET SESSION {name} = {value}; ")).collect::<String>();
    for statement in [
        "CREATE ROLE looker",
        "GRANT PROCESS, SELECT, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO looker",
        "CREATE USER auditor@localhost",
        "GRANT looker TO auditor@localhost",
        &format!("SET GLOBAL init_connect = '{all}START TRANSACTION'"),
    ] {
        conn.query_drop(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    let plan = || {
        let mut command = Command::new(&place().keyringctl);
        command.args(["encrypt", "plan", "--no-defaults", "--user=auditor", "--socket"]).arg(host.socket());
        command.output().unwrap()
    };
    // The privileges are those of a role that is not active by default.
    // Such an account may not set character_set_filesystem, so that it sees the directory of the doublewrite files as other
    // text.
    let output = plan();
    let text = told(&output);
    assert!(output.status.code() == Some(1) && text.contains(", 1 not checked."), "{text}");
    conn.query_drop("SET GLOBAL init_connect = 'SELECT nothing FROM nowhere'").unwrap();
    let output = plan();
    assert!(output.status.code() == Some(2) && told(&output).contains("init_connect"), "{}", told(&output));
    conn.query_drop("SET GLOBAL init_connect = ''").unwrap();
}

/// What the program says of the server, by command.
fn answers(host: &Host) -> BTreeMap<&'static str, Value> {
    let commands: [(&str, &[&str]); 4] = [
        ("plan", &["encrypt", "plan", "--tables"]),
        ("verify", &["encrypt", "verify", "--no-canary"]),
        ("report", &["report"]),
        ("check", &["check"]),
    ];
    let answer = |args: &[&str]| {
        let mut command = Command::new(&place().keyringctl);
        command.args(args).args(["--json", "--no-defaults", "--user=root", "--socket"]).arg(host.socket());
        let output = command.output().unwrap();
        let document = serde_json::from_slice::<Value>(&output.stdout);
        let mut document = document.unwrap_or_else(|e| panic!("{args:?}: {e}: {}", told(&output)));
        level(&mut document);
        Value::Array(vec![output.status.code().into(), document])
    };
    commands.into_iter().map(|(name, args)| (name, answer(args))).collect()
}

/// Removes what changes from one moment to the next: numbers, files of logs, and in which files pages were found.
fn level(value: &mut Value) {
    match value {
        Value::Number(_) => *value = Value::Null,
        Value::String(text) => {
            *text = text
                .split(|c: char| c.is_ascii_digit())
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("#");
        }
        Value::Array(values) => {
            values.iter_mut().for_each(level);
            let mut seen = BTreeSet::new();
            values.retain(|value| seen.insert(value.to_string()));
        }
        Value::Object(map) => {
            // The server may have written a page of a table in between.
            map.retain(|name, value| name != "files" || !value.is_array());
            map.values_mut().for_each(level);
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn assert_same(friendly: &BTreeMap<&str, Value>, hostile: &BTreeMap<&str, Value>) {
    for (command, answer) in friendly {
        let (left, right) = (format!("{answer:#}"), format!("{:#}", hostile[command]));
        let differing: Vec<_> = left.lines().zip(right.lines()).filter(|(l, r)| l != r).take(10).collect();
        assert!(
            left == right,
            "{command} with the server's own defaults and with hostile ones: {differing:#?}"
        );
    }
}
