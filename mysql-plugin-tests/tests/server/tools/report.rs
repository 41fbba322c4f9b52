// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl report` on real servers: its facts match the server, its verdict is right, and a real browser shows the
//! page.

mod audit;
mod browser;
mod files;
mod remedies;

pub use audit::what_the_audit_log_tells;
pub use browser::why_no_chromium;
pub use files::doctor_names_who_can_read_the_secret;
pub use remedies::remedies_work_as_printed;

use browser::Picture;
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use mysql_plugin_tests::common::json_form;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume, place, told};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HOSTILE: &str = "a<script>alert(1)</script>&\"";

/// The settings that apply persists.
const PERSISTED: [&str; 6] = [
    "--default-table-encryption=ON",
    "--table-encryption-privilege-check=ON",
    "--innodb-change-buffering=none",
    "--innodb-redo-log-encrypt=ON",
    "--innodb-undo-log-encrypt=ON",
    "--binlog-encryption=ON",
];

/// A server with a keyring in two copies, and two tables, one of them unencrypted.
struct Clinic {
    host: Host,
    keyring: Keyring,
    _volumes: [Volume; 2],
}

impl Clinic {
    fn new() -> Clinic {
        let volumes = [Volume::directory(), Volume::directory()];
        let keyring = Keyring::init_on(&[&volumes[0], &volumes[1]]);
        Clinic {
            host: Host::new().option("--innodb-doublewrite=OFF").keyring(&keyring),
            keyring,
            _volumes: volumes,
        }
    }

    fn fill(&self, server: &Server) {
        server.sql(&format!(
            "CREATE DATABASE clinic;
             CREATE TABLE clinic.visits (id INT PRIMARY KEY, name VARCHAR(99)) ENCRYPTION='Y';
             CREATE TABLE clinic.`{HOSTILE}` (id INT PRIMARY KEY);
             INSERT INTO clinic.visits VALUES (1, 'x');
             CREATE ROLE key_role;
             GRANT ENCRYPTION_KEY_ADMIN ON *.* TO key_role;
             CREATE USER keeper@localhost, reader@localhost;
             GRANT key_role TO keeper@localhost;
             GRANT SELECT ON *.* TO reader@localhost;
             {ROTATE}"
        ));
    }

    fn page(&self) -> PathBuf {
        self.host.dir().join("page.html")
    }

    fn ctl(&self, args: &[&str], unlock: bool) -> Output {
        let mut command = Command::new(&place().keyringctl);
        command.args(args).args(["--no-defaults", "--user=root", "--socket"]).arg(self.host.socket());
        if unlock {
            command.arg("--unlock").arg(format!("file:{}", self.keyring.secret.display()));
        }
        command.output().unwrap()
    }

    /// Returns the report and its exit code.
    fn report(&self, more: &[&str], unlock: bool) -> (Value, Option<i32>) {
        let output = self.ctl(&[&["--json", "report"], more].concat(), unlock);
        let said =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
        json_form::check(&said);
        (said, output.status.code())
    }
}

/// Returns the names of tables in a state, according to the report.
fn tables(report: &Value, state: &str) -> BTreeSet<String> {
    let places = report["facts"]["places"].as_array().unwrap().iter();
    let of = places.filter(|p| p["kind"] == "table" && p["state"] == state);
    of.map(|p| p["name"].as_str().unwrap().to_owned()).collect()
}

fn checks(report: &Value, level: &str) -> BTreeSet<String> {
    let all = report["findings"].as_array().unwrap().iter().filter(|f| f["level"] == level);
    all.map(|f| f["check"].as_str().unwrap().to_owned()).collect()
}

/// Half encrypted, the report lists what is unencrypted and exits with 1. Once everything is encrypted, the verdict is fine,
/// but incomplete without the secret, because not everything can be checked.
pub fn half_and_whole() {
    let clinic = Clinic::new();
    let server = clinic.host.start();
    clinic.fill(&server);

    let page = clinic.page();
    let output = clinic.ctl(&["--json", "report", "--html", &page.display().to_string()], true);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "not_fine");
    facts_are_the_servers(&report, &clinic, &server);
    assert!(tables(&report, "clear").contains(&format!("'clinic.{HOSTILE}'")), "{report}");
    assert!(tables(&report, "encrypted").contains("clinic.visits"), "{report}");
    let wrong = checks(&report, "wrong");
    assert!(wrong.contains("unencrypted") && wrong.contains("new-data"), "{wrong:?}");

    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(fs::metadata(&page).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(!html.contains("<script"), "the table's name is text");
    assert!(html.contains("clinic.a&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;"));
    let hash: String = Sha256::digest(&output.stdout).iter().map(|b| format!("{b:02x}")).collect();
    assert!(html.contains(&hash), "the page has the hash of the JSON");
    let secret = fs::read(&clinic.keyring.secret).unwrap();
    assert!(memchr::memmem::find(html.as_bytes(), &secret).is_none());
    let again = clinic.ctl(&["report", "--html", &page.display().to_string()], true);
    assert_eq!(again.status.code(), Some(2), "{}", told(&again));
    assert_eq!(fs::read_to_string(&page).unwrap(), html, "a page that is there is left as it is");

    let applied = clinic.ctl(&["encrypt", "apply", "--purge-binary-logs", "--yes"], false);
    assert_eq!(applied.status.code(), Some(0), "{}", told(&applied));
    server.stop();
    // Servers of these tests read no option files, and so they do not apply persisted settings.
    let server = PERSISTED.iter().fold(clinic.host.clone(), |host, o| host.option(*o)).start();
    let (report, code) = clinic.report(&[], true);
    assert_eq!(checks(&report, "wrong"), BTreeSet::new(), "{report}");
    assert_eq!((report["verdict"].as_str(), code), (Some("fine"), Some(0)));
    assert_eq!(tables(&report, "clear"), BTreeSet::new());
    facts_are_the_servers(&report, &clinic, &server);

    // What the server reports is not enough.
    for (args, unlock) in [(&[][..], false), (&["--no-files"][..], true)] {
        let (report, code) = clinic.report(args, unlock);
        assert_eq!((report["verdict"].as_str(), code), (Some("incomplete"), Some(1)), "{args:?}");
    }
    server.stop();
}

fn facts_are_the_servers(report: &Value, clinic: &Clinic, server: &Server) {
    let facts = &report["facts"];
    let by_server = |encryption: &str| -> BTreeSet<String> {
        let query = format!(
            "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES
             WHERE TABLE_SCHEMA IN ('clinic', 'sys') AND TABLE_TYPE = 'BASE TABLE'
             AND CREATE_OPTIONS {encryption} \"%ENCRYPTION='Y'%\""
        );
        // A name that a shell would take apart is shown in quotation marks.
        let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b));
        let shown = |name: String| if is_plain(&name) { name } else { format!("'{name}'") };
        server.rows::<String>(&query).into_iter().map(shown).collect()
    };
    assert_eq!(tables(report, "encrypted"), by_server("LIKE"));
    assert_eq!(tables(report, "clear"), by_server("NOT LIKE"));
    assert_eq!(facts["server"]["uuid"], server.value::<String>("SELECT @@server_uuid").as_str());
    let status = server.status();
    assert_eq!(facts["keyring"]["id"], status["id"].as_str());
    assert_eq!(facts["keyring"]["generation"].to_string(), status["generation"]);
    assert_eq!(facts["copies"].as_array().unwrap().len(), 2);
    for copy in facts["copies"].as_array().unwrap() {
        assert_eq!(copy["volume"]["measured"]["apart_from_data"], true, "{copy}");
        assert_eq!(copy["file"]["measured"]["generation"].to_string(), status["generation"], "{copy}");
        assert_eq!(copy["file"]["measured"]["slots"].as_array().unwrap().len(), 2, "{copy}");
    }
    let keys = facts["keys"]["measured"].as_array().unwrap();
    let keys: BTreeSet<_> = keys.iter().map(|k| k["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys, clinic.keyring.ids("").into_iter().collect());
    let innodb = keys.iter().filter(|k| k.starts_with("INNODBKey-")).count();
    assert!(innodb >= 2, "made once and rotated once: {keys:?}");
    assert_eq!(facts["witness"]["measured"]["id"], status["id"].as_str());
    let ends: String = server
        .value("SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Ssl_server_not_after'");
    assert_eq!(facts["transit"]["not_after"], ends.as_str());
    let certificates = facts["transit"]["certificates"].as_array().unwrap();
    let own = certificates.iter().find(|file| file["use"] == "server").unwrap_or_else(|| panic!("{facts:#}"));
    assert_eq!(own["certificates"]["measured"][0]["not_after"], own["loaded_not_after"], "{own:#}");
    let library: String = server
        .value("SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Tls_library_version'");
    assert_eq!(facts["modules"]["server_library"], library.as_str());
    who_may(facts, &clinic.host);
}

/// What the report says of accounts is what the server lets them do.
fn who_may(facts: &Value, host: &Host) {
    let accounts = facts["access"]["measured"]["accounts"].as_array().unwrap();
    let names: Vec<_> = accounts.iter().map(|a| a["user"].as_str().unwrap()).collect();
    assert!(names.contains(&"root") && names.contains(&"keeper") && !names.contains(&"reader"), "{names:?}");
    let keeper = accounts.iter().find(|a| a["user"] == "keeper").unwrap();
    let rights = keeper["rights"].as_array().unwrap();
    assert!(rights.iter().all(|right| right["through"] == "role key_role@%"), "{keeper:#}");
    let may = |ability: &str| rights.iter().any(|right| right["ability"] == ability);
    assert!(may("rotate") && may("change_keyring") && !may("load_code") && !may("grant"), "{keeper:#}");
    let rotated = |user: &str| {
        let options = OptsBuilder::new().socket(Some(host.socket().display().to_string())).user(Some(user));
        let mut conn = Conn::new(options).unwrap();
        let role = conn.query_drop("SET ROLE ALL");
        role.and_then(|()| conn.query_drop(ROTATE)).is_ok()
    };
    assert!(rotated("keeper") && !rotated("reader"));
}

/// Shows the page in a browser: the bar shows how much is encrypted, the verdict has its colour, the page fits a narrow
/// window, and it prints.
pub fn in_a_browser() {
    let clinic = Clinic::new();
    let server = clinic.host.start();
    clinic.fill(&server);
    server.sql("ALTER TABLESPACE mysql ENCRYPTION='Y'");
    let page = clinic.page();
    let (report, _) = clinic.report(&["--html", &page.display().to_string()], true);
    let shot = browser::screenshot(&page, &clinic.host.dir().join("browser"));
    keep(&shot);
    let picture = Picture::read(&shot);
    assert!(picture.count(NOT_FINE) > 1000, "the verdict's frame");
    let tally = &report["facts"]["tally"];
    let bytes = |name: &str| tally[name]["bytes"].as_f64().unwrap();
    let share = bytes("encrypted") / (bytes("encrypted") + bytes("unencrypted") + bytes("not_supported"));
    let shown = picture.share_of_row(BAR);
    assert!((shown - share).abs() < 0.02, "the bar shows {shown:.3} and {share:.3} are encrypted");
    for window in [320, 500, 1280] {
        let width = browser::content_width(&page, &clinic.host.dir().join("browser"), window);
        assert!(width <= window, "{width} px in a window of {window} px");
        let outside = browser::texts_outside_of_boxes(&page, &clinic.host.dir().join("browser"), window);
        assert_eq!(outside, 0, "texts of the picture that leave their boxes in a window of {window} px");
    }
    let pdf = fs::read(browser::print(&page, &clinic.host.dir().join("browser"))).unwrap();
    assert!(pdf.starts_with(b"%PDF-"));
    server.stop();
}

/// The colours of the frame of a failed verdict, and of the encrypted part of the bar (page.css).
const NOT_FINE: [u8; 3] = [0xa0, 0x15, 0x15];
const BAR: [u8; 3] = [0x2f, 0x7d, 0x4f];

/// Keeps the picture in the directory KX_KEEP, for people.
fn keep(shot: &Path) {
    if let Some(dir) = std::env::var_os("KX_KEEP") {
        fs::copy(shot, Path::new(&dir).join("report.png")).unwrap();
    }
}
