// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup` and `doctor` on a host of their own: a directory that mysqld runs in by chroot, with the AppArmor
//! profile of MySQL's packages, two volumes, and strace to see every file that mysqld opens for its keyring.

mod guest;
mod trace;

use guest::{Guest, Layout};
use keyringctl::host::apparmor::{Profile, parse};
use keyringctl::host::needs::Need;
use mysql_plugin_tests::rig::{Feature, ROTATE, needs, place};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use trace::Opened;

pub use guest::why_not;

/// The rules of MySQL's own profile that touch a keyring's files, where the profile itself cannot be had.
const LIKE_THE_STOCK_PROFILE: &str = "/usr/sbin/mysqld {
  /etc/mysql/** r,
  /usr/lib/mysql/plugin/ r,
  /usr/lib/mysql/plugin/*.so* mr,
  /usr/sbin/mysqld mr,
  /var/lib/mysql/ r,
  /var/lib/mysql/** rwk,
  include if exists <local/usr.sbin.mysqld>
}
";
const LOCAL: &str = "etc/apparmor.d/local/usr.sbin.mysqld";

/// The profile that MySQL's packages bring, if the test server came with it.
fn stock_profile() -> String {
    let root = place().basedir.parent().unwrap_or(Path::new("/"));
    fs::read_to_string(root.join("etc/apparmor.d/usr.sbin.mysqld")).unwrap_or_else(|_| {
        eprintln!("the profile of MySQL's packages is not here: rules like its own stand in for it");
        LIKE_THE_STOCK_PROFILE.to_owned()
    })
}

/// The profile of the guest, with or without what setup wrote.
fn profile(guest: &Guest, with_local: bool) -> Profile {
    let local = fs::read_to_string(guest.at(LOCAL)).unwrap();
    let include = |name: &str| (with_local && name == "local/usr.sbin.mysqld").then(|| vec![local.clone()]);
    let mut profiles = parse(&stock_profile(), &include);
    assert_eq!(profiles.len(), 1);
    profiles.remove(0)
}

pub fn component() {
    needs(Feature::Manifest);
    works("component", &[]);
}

pub fn plugin() {
    needs(Feature::Option("early-plugin-load"));
    works("plugin", &["--ignore", "deprecated"]);
}

/// Nothing includes a directory of option files there: setup makes mysqld read its file.
pub fn oracle_rpm() {
    let guest = Guest::new(&stock_profile(), Layout::OracleRpm);
    let setup =
        ["/mnt/a/keys/main.keyring", "--mirror", "/mnt/b/keys/main.keyring", "--as", "plugin", "--yes"];
    let (code, written) = guest.ctl("setup", &setup);
    assert_eq!(code, 0, "{written}");
    let printed = guest.print_defaults();
    for option in [
        "--early-plugin-load=keyring_external.so",
        "--keyring_external_data=/mnt/a/keys/main.keyring",
        "--keyring_external_mirrors=/mnt/b/keys/main.keyring",
    ] {
        assert!(printed.split_whitespace().any(|word| word == option), "no {option} in {printed}");
    }
    let (code, report) = guest.ctl("doctor", &["--ignore", "deprecated", "--offline"]);
    assert!(code == 0 && report["findings"].as_array().unwrap().is_empty(), "{report:#}");
    let server = guest.start();
    let state = "SELECT variable_value FROM performance_schema.global_status WHERE variable_name = 'Keyring_external_state'";
    assert_eq!(server.value(state), "ATTACHED");
    server.stop();
}

fn works(way: &str, ignored: &[&str]) {
    let guest = Guest::new(&stock_profile(), Layout::Debian);
    let setup = |more: &[&str]| {
        let keyring = [
            "/mnt/a/keys/main.keyring",
            "--mirror",
            "/mnt/b/keys/main.keyring",
            "--as",
            way,
            "--min-copies",
            "2",
        ];
        guest.ctl("setup", &[&keyring, more].concat())
    };
    let doctor = |more: &[&str]| guest.ctl("doctor", &[ignored, more].concat());

    let (code, report) = doctor(&["--offline"]);
    assert_eq!((code, checks(&report)), (1, BTreeSet::from(["configured".to_owned()])));

    let before = guest.files();
    let (code, dry) = setup(&["--dry-run"]);
    assert_eq!(code, 0, "{dry}");
    assert_eq!(guest.files(), before, "--dry-run changed something");
    let (code, written) = setup(&["--yes"]);
    assert_eq!(code, 0, "{written}");
    let shown = |report: &Value| {
        let files = report["files"].as_array().unwrap();
        files.iter().map(|f| (text(&f["path"]), text(&f["contents"]))).collect::<Vec<_>>()
    };
    assert_eq!(shown(&dry), shown(&written));
    for (path, contents) in shown(&written) {
        assert_eq!(fs::read_to_string(guest.at(path.trim_start_matches('/'))).unwrap(), contents, "{path}");
    }
    let (code, again) = setup(&["--yes"]);
    assert!(code == 0 && again["files"].as_array().unwrap().iter().all(|f| f["found"] == "same"), "{again}");

    names_the_missing_rules(&guest, way, &doctor(&["--offline"]).1, || doctor(&["--offline"]));
    assert_eq!(setup(&["--yes"]).0, 0);

    // Debian starts mysqld only after this.
    guest.mysqld_tells_its_options();
    let server = guest.start();
    let state = match way {
        "component" => {
            "SELECT status_value FROM performance_schema.keyring_component_status WHERE status_key = 'State'"
        }
        _ => {
            "SELECT variable_value FROM performance_schema.global_status WHERE variable_name = 'Keyring_external_state'"
        }
    };
    assert_eq!(server.value(state), "ATTACHED");
    server.sql("CREATE DATABASE biobank");
    server.sql("CREATE TABLE biobank.patient (name VARCHAR(99)) ENCRYPTION='Y'");
    server.sql(ROTATE);
    server.sql("INSTALL PLUGIN keyring_udf SONAME 'keyring_udf.so'");
    server.sql("CREATE FUNCTION keyring_key_generate RETURNS INTEGER SONAME 'keyring_udf.so'");
    server.sql("CREATE FUNCTION keyring_key_remove RETURNS INTEGER SONAME 'keyring_udf.so'");
    // A removal writes the copies anew.
    server.sql("DO keyring_key_generate('gone', 'AES', 32), keyring_key_remove('gone')");
    assert_eq!(server.value(state), "ATTACHED");
    let socket = guest.socket();
    let (code, report) = doctor(&["--no-defaults", "-u", "root", "-S", socket.to_str().unwrap()]);
    assert!(code == 0 && report["findings"].as_array().unwrap().is_empty(), "{report:#}");
    let passed = report["passed"].as_array().unwrap();
    for check in ["server-state", "apparmor-rules", "mounts-for", "verify", "fstab", "unlock-secret"] {
        assert!(passed.iter().any(|p| p == check), "{check} was not made: {report:#}");
    }
    server.stop();

    let opened = trace::opened(&guest.trace());
    covered(&guest, way, &opened);
}

/// Without setup's rules the doctor names every file that the profile keeps from mysqld.
fn names_the_missing_rules(guest: &Guest, way: &str, with: &Value, doctor: impl Fn() -> (i32, Value)) {
    assert!(!checks(with).contains("apparmor-rules"), "{with:#}");
    fs::remove_file(guest.at(LOCAL)).unwrap();
    let (code, report) = doctor();
    assert_eq!(code, 1);
    let finding = finding(&report, "apparmor-rules");
    let fix: Vec<String> =
        finding["fix"].as_array().unwrap().iter().map(|l| text(l).trim().to_owned()).collect();
    let mut expected = vec![
        "/mnt/a/keys/ r,",
        "/mnt/a/keys/main.keyring rwk,",
        "/mnt/a/keys/main.keyring.new rwk,",
        "/mnt/b/keys/main.keyring rwk,",
    ];
    if way == "component" {
        expected
            .extend(["/usr/sbin/mysqld.my r,", "/usr/lib/mysql/plugin/component_keyring_external.cnf r,"]);
    }
    for rule in expected {
        assert!(fix.iter().any(|line| line == rule), "{rule} is not in {fix:#?}");
    }
    // What the stock profile grants is not named.
    assert!(
        !fix.iter().any(|line| line.contains("keyring_external.so") || line.contains(".secret")),
        "{fix:#?}"
    );
}

/// Setup's rules cover all that mysqld opened of the keyring's; those of the stock profile do not.
fn covered(guest: &Guest, way: &str, opened: &BTreeSet<Opened>) {
    let ours: Vec<Need> = opened.iter().filter(|o| o.is_the_keyrings()).map(Opened::need).collect();
    let paths: BTreeSet<&Path> = ours.iter().map(|need| need.path.as_path()).collect();
    let mut expected = vec![
        "/mnt/a/keys/",
        "/mnt/a/keys/main.keyring",
        "/mnt/a/keys/main.keyring.new",
        "/mnt/b/keys/",
        "/mnt/b/keys/main.keyring",
        "/mnt/b/keys/main.keyring.new",
        "/etc/mysql/keyring_external.secret",
        "/var/lib/mysql/keyring_external.witness",
    ];
    match way {
        "component" => expected.extend([
            "/usr/sbin/mysqld.my",
            "/usr/lib/mysql/plugin/component_keyring_external.cnf",
            "/usr/lib/mysql/plugin/component_keyring_external.so",
        ]),
        _ => expected.extend([
            "/etc/mysql/mysql.conf.d/keyring_external.cnf",
            "/usr/lib/mysql/plugin/keyring_external.so",
        ]),
    }
    for path in expected {
        assert!(paths.contains(Path::new(path)), "strace saw no {path}, but {paths:#?}");
    }
    for letter in ["r", "w", "k"] {
        let locked = |n: &&Need| n.path == Path::new("/mnt/a/keys/main.keyring") && n.access.contains(letter);
        assert!(ours.iter().any(|n| locked(&n)), "no {letter} of the keyring was seen: {ours:#?}");
    }
    let missing = profile(guest, true).missing(&ours);
    assert!(missing.is_empty(), "setup's rules do not cover {missing:#?}");
    assert!(!profile(guest, false).missing(&ours).is_empty(), "the stock profile is enough by itself");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn checks(report: &Value) -> BTreeSet<String> {
    report["findings"].as_array().unwrap().iter().map(|f| text(&f["check"])).collect()
}

fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let all = report["findings"].as_array().unwrap();
    all.iter().find(|f| f["check"] == check).unwrap_or_else(|| panic!("no {check} in {report:#}"))
}
