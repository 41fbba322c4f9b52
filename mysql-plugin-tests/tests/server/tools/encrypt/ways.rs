// SPDX-License-Identifier: GPL-2.0-or-later
//! Which way each kind of table goes: plan says beforehand what the server then does.

use super::command::{encrypt, encrypt_json};
use super::host::host;
use mysql_plugin_tests::rig::{Keyring, Server, Volume, told};
use std::collections::BTreeMap;

/// Tables that go online.
const ONLINE: [(&str, &str); 10] = [
    ("plain", "(id INT PRIMARY KEY, v VARCHAR(9), KEY (v DESC))"),
    ("keyless", "(v INT) ROW_FORMAT = REDUNDANT"),
    ("blocks", "(id INT PRIMARY KEY, v TEXT) KEY_BLOCK_SIZE = 4"),
    ("child", "(id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES plain (id) ON DELETE CASCADE)"),
    ("computed", "(id INT PRIMARY KEY, s INT AS (id + 1) STORED, w INT AS (id + 2), KEY (w))"),
    ("uncompressed", "(id INT PRIMARY KEY) COMPRESSION = 'none'"),
    ("places", "(id INT PRIMARY KEY, g GEOMETRY)"),
    // information_schema prints a backslash before each of these quotes.
    ("quotes", "(id INT PRIMARY KEY, a VARCHAR(9) CHECK (a <> 'q'), b VARCHAR(30) AS (CONCAT(a, '-x')), KEY (b))"),
    ("documents", "(id INT PRIMARY KEY, d JSON, KEY ((CAST(d -> '$.a' AS UNSIGNED ARRAY))))"),
    // Rows may be longer than innodb_strict_mode allows.
    (
        "wide",
        "(id INT PRIMARY KEY, a VARCHAR(700), b VARCHAR(700), c VARCHAR(700), d VARCHAR(700), e VARCHAR(700), f VARCHAR(700),
          g VARCHAR(700), h VARCHAR(700), i VARCHAR(700), j VARCHAR(700), k VARCHAR(700), l VARCHAR(700))
         CHARSET latin1 ROW_FORMAT = COMPACT",
    ),
];
/// Tables that do not, with the reason; and whether it is the server that refuses the first step.
const COPIED: [(&str, &str, &str, bool); 9] = [
    ("texts", "(id INT PRIMARY KEY, v TEXT, FULLTEXT KEY f (v))", "fulltext_index", true),
    ("maps", "(id INT PRIMARY KEY, g POINT NOT NULL SRID 0, SPATIAL KEY s (g))", "spatial_index", true),
    ("parts", "(id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2", "partitions", true),
    ("pages", "(id INT PRIMARY KEY) COMPRESSION = 'zlib'", "page_compression", true),
    ("large_blocks", "(id INT PRIMARY KEY) KEY_BLOCK_SIZE = 16", "large_blocks", true),
    ("slashes", "(id INT PRIMARY KEY, v VARCHAR(9) DEFAULT 'a\\\\b')", "backslashes", false),
    ("lines", "(id INT PRIMARY KEY COMMENT 'a\\nb')", "backslashes", false),
    ("doubled", "(id INT PRIMARY KEY, v VARCHAR(30) AS (CONCAT(id, 'it''s')))", "backslashes", false),
    ("checked", "(id INT PRIMARY KEY, v VARCHAR(9) CHECK (v <> 'a\\\\b'))", "backslashes", false),
];
/// Those that nobody can read while they are copied.
const LOCKED: [&str; 7] = ["checked", "computed", "documents", "doubled", "lines", "quotes", "slashes"];

/// Returns the way and the reason of each table in the schema `w`.
fn ways(document: &serde_json::Value) -> BTreeMap<String, (String, Option<String>)> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let tables = document["tables"].as_array().expect("tables").iter();
    let ours = tables.filter_map(|table| {
        let name = table["table"].as_str()?.strip_prefix("w.")?.to_owned();
        Some((name, (text(&table["way"])?, text(&table["reason"]))))
    });
    ours.collect()
}

/// Returns the tables in the schema `w` whose files are unencrypted.
fn in_clear(server: &Server) -> Vec<String> {
    server.rows(
        "SELECT DISTINCT SUBSTRING_INDEX(SUBSTR(NAME, 3), '#p#', 1) FROM information_schema.INNODB_TABLESPACES
         WHERE NAME LIKE 'w/%' AND NAME NOT LIKE 'w/fts%' AND ENCRYPTION = 'N' ORDER BY 1",
    )
}

/// plan and the dry run name the tables that the server does not rewrite online, and why; --online always encrypts exactly the
/// others, and says of these what plan said; auto copies them. The room for temporary files counts.
pub fn plan_says_which_way_each_table_goes() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    server.sql("CREATE SCHEMA w");
    let copied = COPIED.iter().map(|(name, definition, _, _)| (name, definition));
    for (name, definition) in ONLINE.iter().map(|(name, definition)| (name, definition)).chain(copied) {
        server.sql(&format!("SET SESSION innodb_strict_mode = OFF; CREATE TABLE w.{name} {definition}"));
    }
    server.sql("CREATE TABLESPACE elsewhere ADD DATAFILE 'elsewhere.ibd' ENCRYPTION = 'N'");
    for (name, _, why, _) in COPIED.iter().filter(|(.., by_server)| *by_server) {
        let refused = server.sql_error(&format!(
            "ALTER TABLE w.{name} TABLESPACE elsewhere, ALGORITHM = INPLACE, LOCK = NONE"
        ));
        assert!(!refused.is_empty(), "{why}");
    }
    server.sql("DROP TABLESPACE elsewhere");

    let options = ["--only=w.*", "--without-second-copy"];
    let (code, plan) = encrypt_json(&host, &["plan", "--online=always", "--only=w.*"]);
    assert_eq!(code, 0, "{plan:#}");
    let mut expected = BTreeMap::new();
    for (name, _) in ONLINE {
        expected.insert(name.to_owned(), ("online".to_owned(), None));
    }
    for (name, _, why, _) in COPIED {
        expected.insert(name.to_owned(), ("fails".to_owned(), Some(why.to_owned())));
    }
    assert_eq!(ways(&plan), expected);
    for (online, way) in [("auto", "small"), ("never", "not_asked")] {
        let (_, plan) = encrypt_json(&host, &["plan", &format!("--online={online}"), "--only=w.*"]);
        let ways = ways(&plan);
        assert!(ways.values().all(|(_, reason)| reason.as_deref() == Some(way)), "{ways:?}");
        assert!(plan["estimate"]["temporary"].is_null(), "{:#}", plan["estimate"]);
        let all = plan["tables"].as_array().expect("tables").iter();
        let locked =
            all.filter(|table| table["readers_wait"] == true).filter_map(|table| table["table"].as_str());
        let mut locked: Vec<_> = locked.filter_map(|name| name.strip_prefix("w.")).collect();
        locked.sort_unstable();
        assert_eq!(locked, LOCKED);
    }
    let text = told(&encrypt(&host, &["plan", "--tables", "--online=always", "--only=w.*", "--jobs=3"]));
    for said in [
        "Online: 10 tables",
        "Not online: w.texts, ",
        "it has a full-text index",
        "for the copies of the 3 largest tables at once (--jobs)",
        "Temporary files: up to ",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }

    for command in [&["plan"][..], &["apply", "--dry-run", "--without-second-copy"]] {
        let text = told(&encrypt(&host, &[command, &["--online=never", "--only=w.*"]].concat()));
        assert!(text.contains("Of 7 tables, reads wait too: "), "{text}");
    }

    // The room for what is written meanwhile.
    server.sql("SET GLOBAL innodb_online_alter_log_max_size = 1152921504606846976");
    let refused = encrypt(&host, &[&["apply", "--online=always"][..], &options].concat());
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    assert!(told(&refused).contains("for temporary files"), "{}", told(&refused));
    assert_eq!(in_clear(&server).len(), ONLINE.len() + COPIED.len());
    let unchecked =
        ["apply", "--online=always", "--without-second-copy", "--without-space-check", "--only=w.plain"];
    let done = encrypt(&host, &unchecked);
    assert!(done.status.success(), "{}", told(&done));
    server.sql("SET GLOBAL innodb_online_alter_log_max_size = DEFAULT");

    let dry = encrypt(&host, &[&["apply", "--online=always", "--dry-run"][..], &options].concat());
    assert_eq!(dry.status.code(), Some(1), "{}", told(&dry));
    let done = encrypt(&host, &[&["apply", "--online=always"][..], &options].concat());
    assert_eq!(done.status.code(), Some(1), "{}", told(&done));
    for (name, ..) in COPIED {
        assert!(
            told(&dry).contains(&format!("w.{name} fails: it cannot be rewritten online")),
            "{}",
            told(&dry)
        );
        assert!(told(&done).contains(&format!("FAILED  w.{name}: ")), "{name}\n{}", told(&done));
    }
    let mut left: Vec<_> = COPIED.iter().map(|(name, ..)| (*name).to_owned()).collect();
    left.sort();
    assert_eq!(in_clear(&server), left, "{}", told(&done));
    let done = encrypt(&host, &[&["apply"][..], &options].concat());
    assert!(done.status.success(), "{}", told(&done));
    assert!(in_clear(&server).is_empty());

    server.sql("CREATE TABLESPACE elsewhere ADD DATAFILE 'elsewhere.ibd' ENCRYPTION = 'Y'");
    let undo = told(&encrypt(&host, &["apply", "--undo", "--all", "--dry-run"]));
    assert!(undo.contains(" and decrypt ") && !undo.contains(" 0 B of tablespaces"), "{undo}");
}
