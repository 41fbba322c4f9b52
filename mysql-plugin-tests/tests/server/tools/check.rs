// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl check` of real servers and volumes: what a monitoring system is told, and that it is told in time.

use mysql_plugin_tests::rig::{Host, Keyring, Kind, Server, Volume, component, place, wait_until};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// What a check is asked about.
#[derive(Clone, Copy)]
enum About {
    Server,
    Copies,
    Both,
}

struct Checked<'a> {
    host: &'a Host,
    keyring: &'a Keyring,
}

impl Checked<'_> {
    /// The exit code, and the line without performance data.
    fn line(&self, about: About, user: &str) -> (i32, String) {
        self.line_of(&self.keyring.paths(), about, user)
    }

    fn line_of(&self, copies: &[PathBuf], about: About, user: &str) -> (i32, String) {
        let mut command = Command::new(&place().keyringctl);
        // A loaded machine takes its time.
        command.args(["check", "--timeout", "60"]);
        if !matches!(about, About::Server) {
            command.args(copies).arg("--datadir").arg(self.host.datadir());
            command.arg("--unlock").arg(format!("file:{}", self.keyring.secret.display()));
        }
        if !matches!(about, About::Copies) {
            command.args(["--no-defaults", "--user", user, "--socket"]).arg(self.host.socket());
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line = text.split(" | ").next().unwrap_or_default().trim_end().to_owned();
        (output.status.code().expect("it ends by itself"), line)
    }

    /// It comes to say that: a copy that is back is brought up to date a little later.
    #[track_caller]
    fn says(&self, about: About, code: i32, texts: &[&str]) {
        let mut last = (0, String::new());
        let said = wait_until(Duration::from_secs(60), || {
            last = self.line(about, "monitor");
            last.0 == code && texts.iter().all(|text| last.1.contains(text))
        });
        assert!(said, "{code} {texts:?} was expected: {last:?}");
    }
}

/// An account without any privilege.
fn with_account(host: &Host) -> Server {
    let server = host.start();
    server.put_to_use();
    server.sql("CREATE USER IF NOT EXISTS monitor@localhost");
    server
}

pub fn states_of_the_plugin() {
    states(|keyring| Host::new().keyring(keyring));
}

pub fn states_of_the_component() {
    states(component::host_with);
}

/// The keyring in use is whole, but the server may not get one at its next start.
pub fn failed_reload() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = component::host_with(&keyring);
    let server = with_account(&host);
    let checked = Checked { host: &host, keyring: &keyring };
    checked.says(About::Server, 0, &["OK: server ATTACHED with 1/1 copies"]);
    volume.unmount();
    server.sql_error("ALTER INSTANCE RELOAD KEYRING");
    volume.mount();
    let failed =
        ["WARNING: server ATTACHED with 1/1 copies; cannot reload the keyring", "run ALTER INSTANCE"];
    checked.says(About::Server, 1, &failed);
    checked.says(About::Both, 1, &["1/1 copies up to date", "cannot reload the keyring"]);
    server.sql("ALTER INSTANCE RELOAD KEYRING");
    checked.says(About::Both, 0, &["OK: "]);
    server.stop();
}

/// Volumes go and come back, a copy is damaged, and the server ends.
fn states(host_with: impl Fn(&Keyring) -> Host) {
    let volumes = [Volume::directory(), Volume::directory()];
    let keyring = Keyring::init_on(&[&volumes[0], &volumes[1]]);
    let host = host_with(&keyring);
    let server = with_account(&host);
    let checked = Checked { host: &host, keyring: &keyring };
    let mirror = keyring.mirrors[0].display().to_string();
    for about in [About::Server, About::Copies, About::Both] {
        checked.says(about, 0, &["OK: "]);
    }
    checked.says(About::Both, 0, &["2/2 copies up to date", "server ATTACHED with 2/2 copies", "every byte"]);
    let (code, line) = checked.line(About::Server, "nobody_of_this_name");
    assert!(code == 3 && line.starts_with("UNKNOWN: cannot connect"), "{code} {line}");

    paths_are_those_of_the_server(&checked, &server);

    volumes[1].unmount();
    checked.says(About::Server, 1, &["WARNING: server DEGRADED with 1/2 copies", "keyringctl doctor"]);
    checked.says(
        About::Both,
        1,
        &["WARNING: server DEGRADED", "1/2 copies up to date", &mirror, "is missing"],
    );
    volumes[0].unmount();
    checked.says(About::Server, 2, &["CRITICAL: server DETACHED", "Do not restart it"]);
    checked.says(About::Copies, 2, &["CRITICAL: 0/2 copies"]);
    volumes[0].mount();
    volumes[1].mount();
    checked.says(About::Both, 0, &["OK: ", "2/2 copies up to date"]);

    // A bit deep in the file, which a running server does not look at.
    let bytes = std::fs::read(&keyring.mirrors[0]).unwrap();
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&keyring.mirrors[0], damaged).unwrap();
    checked.says(About::Server, 0, &["OK: "]);
    checked.says(
        About::Both,
        1,
        &["WARNING: server ATTACHED with 2/2 copies; 1/2 copies up to date", &mirror, "damaged"],
    );
    std::fs::write(&keyring.mirrors[0], bytes).unwrap();

    // Copies that are not those of the server.
    let elsewhere = Volume::directory();
    let other = Keyring::init(&elsewhere);
    let paths: Vec<PathBuf> = other.paths();
    let foreign = Checked { host: &host, keyring: &other };
    foreign.says(About::Both, 2, &["CRITICAL: ", "0/1 copies up to date", &paths[0].display().to_string()]);

    server.stop();
    checked.says(About::Server, 2, &["CRITICAL: cannot connect to the MySQL server at"]);
    checked.says(About::Both, 2, &["CRITICAL: 2/2 copies up to date; cannot connect"]);
    checked.says(About::Copies, 0, &["OK: 2/2"]);
}

/// A forgotten copy, which is as new as the others, is not taken for one of them.
fn paths_are_those_of_the_server(checked: &Checked<'_>, server: &Server) {
    // The component shows its paths only there.
    server.sql("GRANT SELECT ON performance_schema.keyring_component_status TO monitor@localhost");
    let (code, line) = checked.line(About::Both, "monitor");
    assert!(code == 0 && !line.contains("not compared"), "{code} {line}");
    let elsewhere = Volume::directory();
    let forgotten = Keyring::init(&elsewhere).path;
    std::fs::copy(&checked.keyring.path, &forgotten).unwrap();
    let (code, line) =
        checked.line_of(&[checked.keyring.path.clone(), forgotten.clone()], About::Both, "monitor");
    assert!(code == 1 && line.contains("2/2 copies up to date"), "{code} {line}");
    for text in [
        format!("{} is not a copy that the server uses", forgotten.display()),
        format!("the server also uses {}", checked.keyring.mirrors[0].display()),
    ] {
        assert!(line.contains(&text), "{line}");
    }
}

/// A volume that does not answer: each check ends and says so, though the process that looked cannot end.
pub fn hung() {
    let volumes = [Volume::directory(), Volume::of(Kind::Sshfs)];
    let keyring = Keyring::init_on(&[&volumes[0], &volumes[1]]);
    let host = Host::new().keyring(&keyring);
    let server = with_account(&host);
    let checked = Checked { host: &host, keyring: &keyring };
    let mirror = keyring.mirrors[0].display().to_string();
    checked.says(About::Both, 0, &["OK: ", "2/2 copies up to date"]);
    let hang = volumes[1].remote().hang();
    let (code, line) = checked.line(About::Copies, "");
    assert!(
        code == 1 && line.starts_with("WARNING: 1/2") && line.contains("has not answered"),
        "{code} {line}"
    );
    assert!(line.contains(&mirror), "{line}");
    server.comes_to(&[("state", "DEGRADED"), ("copies", "1/2")]);
    checked.says(
        About::Both,
        1,
        &["WARNING: server DEGRADED with 1/2 copies; 1/2 copies up to date", "has not answered"],
    );
    // The processes that looked are counted, and no more of them are started for ever.
    let stuck = wait_until(Duration::from_secs(120), || checked.line(About::Copies, "").0 == 2);
    let (code, line) = checked.line(About::Copies, "");
    assert!(stuck && code == 2 && line.contains("earlier checks have not ended"), "{code} {line}");
    // The server itself is asked nevertheless.
    checked.says(About::Server, 1, &["WARNING: server DEGRADED with 1/2 copies"]);
    drop(hang);
    checked.says(About::Copies, 0, &["OK: 2/2"]);
    checked.says(About::Both, 0, &["OK: ", "2/2 copies up to date"]);
    server.stop();
}
