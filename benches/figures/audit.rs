// SPDX-License-Identifier: GPL-2.0-or-later
//! What the audit log costs: stores and new master keys on servers without a log, with one, and with one that also passes
//! its lines on, which take turns; beside the bare cost of two writes that are synced.

use crate::abi::Bench;
use crate::disk::{make_private, settle};
use crate::figure::Unit;
use crate::names::{self, KEY_HEX};
use crate::plan::Plan;
use crate::progress::Progress;
use mysql::Conn;
use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::component::{OURS, host_with_components, load_component};
use mysql_plugin_tests::rig::{Host, ROTATE, Server};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The servers, and each of the others, take turns of so many.
const TURN: usize = 10;
/// Bytes of a line of the log, and of what a store writes to the keyring.
const LINE: usize = 650;
/// The socket of the system log.
const SYSLOG: &str = "/dev/log";

/// One of the servers.
struct Logged {
    what: &'static str,
    /// Stops with it.
    server: Server,
    conn: Conn,
    log: Option<PathBuf>,
    /// Keys that were stored, with the first one, which is not among the samples.
    stored: usize,
    stores: Vec<f64>,
    rotations: Vec<f64>,
    _host: Host,
}

/// Measures it. Returns the part of the page.
pub fn measure(bench: &Bench<'_>, plan: &Plan, progress: &Progress) -> Result<String, String> {
    let syslog = Syslog::find();
    let mut servers =
        vec![Logged::start(bench, "no log", false, "")?, Logged::start(bench, "a log", true, "")?];
    match &syslog {
        Ok(_) => servers.push(Logged::start(bench, "a log, and syslog", true, "syslog")?),
        Err(why) => progress.print(&format!("without syslog: {why}")),
    }
    let mut floor = Floor::new(bench.disk.dir())?;
    let (stores, rotations) =
        (plan.server_stores * plan.rounds as usize, (plan.rotations * plan.rounds) as usize);
    progress.say("the audit log: stores");
    while servers[0].stores.len() < stores {
        servers.iter_mut().try_for_each(|server| server.store(TURN))?;
        floor.write(TURN)?;
    }
    progress.say("the audit log: new master keys");
    while servers[0].rotations.len() < rotations {
        servers.iter_mut().try_for_each(|server| server.rotate(TURN.min(rotations)))?;
    }
    let mut rows = Vec::new();
    for server in &servers {
        rows.push(Percentiles::of(&format!("a store, {}", server.what), &server.stores));
    }
    rows.push(Percentiles::of("two writes, each synced", &floor.taken));
    for server in &servers {
        rows.push(Percentiles::of(&format!("a new master key, {}", server.what), &server.rotations));
    }
    let told = text(&rows);
    servers.into_iter().try_for_each(Logged::end)?;
    Ok(told)
}

impl Logged {
    fn start(bench: &Bench<'_>, what: &'static str, has_log: bool, forward: &str) -> Result<Logged, String> {
        let name = what.replace([' ', ','], "");
        let dir = bench.disk.dir().join(format!("audit{name}"));
        fs::create_dir(&dir).map_err(|e| e.to_string())?;
        make_private(&dir)?;
        let (file, secret) = (dir.join("keyring"), bench.base.join("secret"));
        let log = has_log.then(|| bench.disk.dir().join(format!("{name}.log")));
        let mut settings = serde_json::json!({
            "path": file,
            "unlock": format!("file:{}", secret.display()),
            "allow_same_device": true,
        });
        if let Some(log) = &log {
            settings["audit_log"] = serde_json::json!(log);
            if !forward.is_empty() {
                settings["audit_log_forward"] = forward.into();
            }
        }
        let host = host_with_components(&[(OURS, settings.to_string())]);
        load_component(&host, OURS);
        names::make_ours(&file, &secret, 0, None)?;
        settle(&dir)?;
        let server = host.start();
        server.install_udfs();
        server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'");
        let conn = server.connect();
        let (stores, rotations) = (Vec::new(), Vec::new());
        let mut logged = Logged { what, server, conn, log, stored: 0, stores, rotations, _host: host };
        // The first store after a start rewrites the keyring.
        logged.store(1)?;
        logged.stores.clear();
        Ok(logged)
    }

    fn store(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            self.stored += 1;
            let statement = format!("SELECT keyring_key_store('s{}', 'AES', '{KEY_HEX}')", self.stored);
            let began = Instant::now();
            let stored: Option<i32> = self.conn.query_first(statement).map_err(|e| e.to_string())?;
            self.stores.push(began.elapsed().as_nanos() as f64);
            if stored != Some(1) {
                return Err(format!("keyring_key_store failed: {}", self.server.log()));
            }
        }
        Ok(())
    }

    fn rotate(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let began = Instant::now();
            self.conn.query_drop(ROTATE).map_err(|e| format!("{ROTATE}: {e}"))?;
            self.rotations.push(began.elapsed().as_nanos() as f64);
        }
        Ok(())
    }

    /// Every change has its line.
    fn end(self) -> Result<(), String> {
        let failures = self.server.status()["audit_failures"].clone();
        drop(self.conn);
        self.server.stop();
        let Some(log) = self.log else { return Ok(()) };
        let text = fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let lines = text.lines().filter(|line| line.contains("\"key_stored\"")).count();
        match (failures.as_str(), lines >= self.stored) {
            ("0", true) => Ok(()),
            _ => Err(format!("{}: {lines} lines, {failures} failures", self.what)),
        }
    }
}

/// Two files, to which a line and a record are appended and synced.
struct Floor {
    files: [File; 2],
    taken: Vec<f64>,
}

impl Floor {
    fn new(dir: &Path) -> Result<Floor, String> {
        let file = |name: &str| File::create(dir.join(name)).map_err(|e| e.to_string());
        Ok(Floor { files: [file("floor1")?, file("floor2")?], taken: Vec::new() })
    }

    fn write(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let began = Instant::now();
            for file in &mut self.files {
                file.write_all(&[b'x'; LINE]).and_then(|()| file.sync_data()).map_err(|e| e.to_string())?;
            }
            self.taken.push(began.elapsed().as_nanos() as f64);
        }
        Ok(())
    }
}

/// A system log: that of this machine, or one that reads what is sent and keeps nothing.
struct Syslog {
    is_own: bool,
}

impl Syslog {
    fn find() -> Result<Syslog, String> {
        if UnixDatagram::unbound().and_then(|socket| socket.connect(SYSLOG)).is_ok() {
            return Ok(Syslog { is_own: false });
        }
        let socket = UnixDatagram::bind(SYSLOG).map_err(|e| format!("{SYSLOG}: {e}"))?;
        std::thread::spawn(move || {
            let mut line = [0; 4096];
            while socket.recv(&mut line).is_ok() {}
        });
        Ok(Syslog { is_own: true })
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        if self.is_own {
            let _ = fs::remove_file(SYSLOG);
        }
    }
}

/// The median of samples, and what only one in a hundred exceeds.
struct Percentiles {
    what: String,
    median: f64,
    p99: f64,
    samples: usize,
}

impl Percentiles {
    fn of(what: &str, samples: &[f64]) -> Percentiles {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
        Percentiles { what: what.to_owned(), median: at(0.5), p99: at(0.99), samples: sorted.len() }
    }
}

fn text(rows: &[Percentiles]) -> String {
    let mut told = format!(
        "`keyring_key_store` of keyring_udf, and `{ROTATE}`, each in one session over a socket, including the statement. The \
         servers run side by side and take turns of {TURN}; so do the bare writes, two of {LINE} bytes at the end of two files, \
         each followed by `fdatasync`. Keyrings and logs are on one volume, which is slower than the two that are advised: both \
         syncs then wait for one journal. The last column is the difference to the same without a log.\n\n"
    );
    let mut lines = vec![["", "median", "p99", "samples", "more, median"].map(str::to_owned)];
    for row in rows {
        let kind = row.what.split(',').next().unwrap_or_default();
        let without = rows.iter().find(|other| other.what == format!("{kind}, no log"));
        let more =
            without.filter(|without| without.what != row.what).map(|without| row.median - without.median);
        let more = more.map_or("–".to_owned(), |more| {
            let sign = if more < 0.0 { "-" } else { "" };
            format!("{sign}{}", Unit::Time.write(more.abs()))
        });
        let time = |value| Unit::Time.write(value);
        lines.push([row.what.clone(), time(row.median), time(row.p99), row.samples.to_string(), more]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    for (number, line) in lines.iter().enumerate() {
        let cell = |(column, text): (usize, &String)| match column {
            0 => format!(" {text:<0$} |", widths[0]),
            _ => format!(" {text:>0$} |", widths[column]),
        };
        told.push('|');
        told.extend(line.iter().enumerate().map(cell));
        told.push('\n');
        if number == 0 {
            let rule = |(column, width): (usize, &usize)| match column {
                0 => format!("{}|", "-".repeat(width + 2)),
                _ => format!("{}:|", "-".repeat(width + 1)),
            };
            told.push('|');
            told.extend(widths.iter().enumerate().map(rule));
            told.push('\n');
        }
    }
    told
}
