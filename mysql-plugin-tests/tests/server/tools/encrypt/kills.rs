// SPDX-License-Identifier: GPL-2.0-or-later
//! `kill -9` of keyringctl and of the server, in every statement that encrypts a table online and between any two, while others
//! write. Each time the next command takes up what is half-done, or puts it back. `KX_KILLS` says how many.

mod moments;
mod writers;

use super::command::{command, encrypt, encrypt_json};
use super::host::{host, last_steps};
use moments::{Caught, Moment, Watch};
use mysql_plugin_tests::common::Rng;
use mysql_plugin_tests::rig::{self, Host, Keyring, Server, Volume, files_with, signal, told, wait_until};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;
use writers::Writers;

/// It is in every row.
const NAME: &str = "Quennarvik-killed";
/// The tables, with what is special about them.
const TABLES: [(&str, &str); 4] = [
    ("people", "PRIMARY KEY (w, n), KEY (name)) ROW_FORMAT = DYNAMIC"),
    ("samples", "PRIMARY KEY (w, n), FOREIGN KEY (w, n) REFERENCES kills.people (w, n))"),
    (
        "packed",
        "up VARCHAR(200) AS (UPPER(name)) STORED, low VARCHAR(300) AS (LOWER(pad)), PRIMARY KEY (w, n), KEY (low(50))) ROW_FORMAT = COMPRESSED KEY_BLOCK_SIZE = 4",
    ),
    ("loose", "KEY (w, n))"),
];
/// Rows of each table that nobody changes.
const ROWS: u32 = 4000;
/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(300);
const RUN: [&str; 4] = ["apply", "--only=kills.*", "--online=always", "--lock-wait=5"];
/// It copies: a server that is killed while it decrypts a tablespace may not start again, or lose pages.
const UNDO: [&str; 4] = ["apply", "--undo", "--only=kills.*", "--lock-wait=5"];

/// How what was half-done was dealt with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Taken {
    /// The killed server came back, and the same run went on.
    WentOn,
    Applied,
    Undone,
    CleanedUp,
}

/// How often each moment was hit, and what followed.
#[derive(Default)]
struct Tally(BTreeMap<(Caught, &'static str), BTreeMap<Taken, usize>>);

impl Tally {
    fn print(&self) {
        println!(
            "{:<42}{:>8}{:>9}{:>9}{:>8}{:>10}",
            "killed", "who", "went on", "applied", "undone", "cleanup"
        );
        for ((caught, who), taken) in &self.0 {
            let count = |taken_as| taken.get(&taken_as).copied().unwrap_or(0);
            println!(
                "{:<42}{who:>8}{:>9}{:>9}{:>8}{:>10}",
                caught.to_string(),
                count(Taken::WentOn),
                count(Taken::Applied),
                count(Taken::Undone),
                count(Taken::CleanedUp)
            );
        }
    }

    fn kills(&self) -> usize {
        self.0.values().flat_map(BTreeMap::values).sum()
    }
}

/// Whatever is killed, every row is there, and nothing stays half-done or unencrypted.
pub fn killed_at_every_moment() {
    let kills: usize = std::env::var("KX_KILLS").map_or(rig::times(5, 200), |n| n.parse().expect("a number"));
    let mut rng = rig::rng();
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let (host, mut server) = encrypted_server(&keyring);
    create_tables(&server);
    let sums = sums(&server);
    let mut writers = Writers::start(&server, TABLES.map(|(name, _)| name), NAME);
    let mut tally = Tally::default();
    for moment in Moment::list(kills, &mut rng) {
        let (now, caught, who, taken) = round(&host, server, moment, &mut rng);
        server = now;
        println!("killed {who} {caught}: {taken:?}");
        *tally.0.entry((caught, who)).or_default().entry(taken).or_default() += 1;
        assert_eq!(sums, self::sums(&server), "after a kill of {who} {caught}");
    }
    assert_eq!(tally.kills(), kills);
    let output = encrypt(&host, &RUN);
    assert!(output.status.success(), "{}", told(&output));
    writers.stop();
    writers.check(&server);
    tally.print();
    assert_eq!(sums, self::sums(&server));
    let (host, server) = last_steps(host, server);
    let (code, report) = encrypt_json(&host, &["verify"]);
    assert_eq!(code, 0, "{:#}", report["findings"]);
    server.stop();
    assert_eq!(files_with(&[host.dir()], &[NAME.into()]), Vec::<PathBuf>::new());
}

/// A server of which everything is encrypted, so that only its tables will be unencrypted.
fn encrypted_server(keyring: &Keyring) -> (Host, Server) {
    // With the 8 MB of the other servers, changes that clients make during the rebuild of a table do not fit into the redo log.
    let host = host()
        .keyring(keyring)
        .option("--innodb-doublewrite=ON")
        .option("--innodb-change-buffering=none")
        .option("--loose-innodb-redo-log-capacity=64M");
    let server = host.start();
    let output = encrypt(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(super::command::did_all(&output), "{}", told(&output));
    last_steps(host, server)
}

fn create_tables(server: &Server) {
    server.sql("CREATE SCHEMA kills");
    for (table, options) in TABLES {
        server.sql(&format!(
            "CREATE TABLE kills.{table} (w INT NOT NULL, n INT NOT NULL, v INT NOT NULL, name VARCHAR(100), pad VARCHAR(300), {options} ENCRYPTION = 'N';
             SET SESSION cte_max_recursion_depth = 1000000;
             INSERT INTO kills.{table} (w, n, v, name, pad) WITH RECURSIVE r AS (SELECT 1 i UNION ALL SELECT i + 1 FROM r WHERE i < {ROWS})
             SELECT 0, i, 0, CONCAT('{NAME} ', i), REPEAT(SHA2(i, 256), 4) FROM r"
        ));
    }
}

/// What the rows that nobody changes come to.
fn sums(server: &Server) -> Vec<(u64, u64)> {
    let sum = |(table, _): (&str, &str)| -> Vec<(u64, u64)> {
        server.rows(&format!(
            "SELECT COUNT(*), BIT_XOR(CRC32(CONCAT_WS('#', n, v, name, pad))) FROM kills.{table} WHERE w = 0"
        ))
    };
    TABLES.into_iter().flat_map(sum).collect()
}

/// Runs apply, kills it or the server at that moment, and lets another command deal with what is left.
fn round(host: &Host, server: Server, moment: Moment, rng: &mut Rng) -> Round {
    // The short statements are caught from the second table on.
    if in_clear(&server) < 2 {
        let output = encrypt(host, &UNDO);
        assert!(output.status.success(), "{}", told(&output));
    }
    let mut run = start(host);
    let caught = Watch::over(&server, run.id()).catch(moment, &mut run, rng);
    if !moment.is_server {
        run.kill().unwrap();
        run.wait().unwrap();
        let taken = take_up(host, rng);
        return checked((server, caught, "client", taken));
    }
    server.kill();
    // One that was still connecting gives up.
    let is_connected = matches!(caught, Caught::In(_) | Caught::After(_));
    let goes_on = rng.below(3) == 0 && is_connected && run.try_wait().unwrap().is_none();
    if !goes_on {
        let _ = run.kill();
        run.wait().unwrap();
    }
    let server = host.start();
    let taken = if goes_on {
        signal(run.id(), Signal::CONT);
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{caught}: {}", told(&output));
        Taken::WentOn
    } else {
        take_up(host, rng)
    };
    checked((server, caught, "server", taken))
}

type Round = (Server, Caught, &'static str, Taken);

/// Nothing is half-done.
fn checked(round: Round) -> Round {
    let (server, caught, who, taken) = &round;
    let left: Vec<String> = server.rows(
        "SELECT NAME FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'keyring\\_external\\_%'",
    );
    assert_eq!(left, [""; 0], "after a kill of {who} {caught}, {taken:?}");
    let clear = in_clear(server);
    let is_right = match taken {
        Taken::Applied | Taken::WentOn => clear == 0,
        Taken::Undone => clear == TABLES.len(),
        Taken::CleanedUp => true,
    };
    assert!(is_right, "after a kill of {who} {caught}, {taken:?}: {clear} tables are unencrypted");
    round
}

/// How many of the tables are unencrypted.
fn in_clear(server: &Server) -> usize {
    server.value(
        "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'kills/%' AND ENCRYPTION = 'N'",
    )
}

fn start(host: &Host) -> Child {
    let mut run = command(host, &RUN);
    run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a command that deals with what is half-done.
fn take_up(host: &Host, rng: &mut Rng) -> Taken {
    let (taken, args) = match rng.below(3) {
        0 => (Taken::Applied, &RUN[..]),
        1 => (Taken::Undone, &UNDO[..]),
        _ => (Taken::CleanedUp, &["cleanup", "--yes"][..]),
    };
    let mut output = None;
    let ended = wait_until(LIMIT, || {
        let now = encrypt(host, args);
        // The statement of the client that was killed has not ended yet.
        let is_at_work = now.status.code() == Some(2) && told(&now).contains("runs keyringctl encrypt");
        output = Some(now);
        !is_at_work
    });
    let output = output.unwrap();
    assert!(ended && output.status.success(), "{args:?}: {}", told(&output));
    taken
}
