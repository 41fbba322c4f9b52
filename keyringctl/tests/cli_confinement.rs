// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup` on hosts whose AppArmor profile for mysqld differs from that of MySQL's packages, and in images that
//! will start with SELinux. AppArmor's own parser reads the profiles, if it is installed.

#[path = "../../tests/common/mod.rs"]
mod common;

use common::ended::Ended;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const RULES: &str = "  /etc/mysql/** r,\n  /usr/lib/mysql/plugin/*.so* mr,\n  /var/lib/mysql/** rwk,\n";
const STOCK: &str = "usr.sbin.mysqld";

/// A host with a profile in `etc/apparmor.d/NAME`.
struct Host {
    root: TempDir,
    name: &'static str,
}

impl Host {
    fn new(name: &'static str, profile: &str) -> Host {
        let host = Host { root: tempfile::tempdir().unwrap(), name };
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        for dir in [
            "etc/mysql",
            "etc/apparmor.d/local",
            "usr/sbin",
            "usr/lib/mysql/plugin",
            "var/lib/mysql",
            "mnt/a",
        ] {
            fs::create_dir_all(host.at(dir)).unwrap();
        }
        host.write("etc/passwd", &format!("mysql:x:{uid}:{gid}::/:/bin/false\n"));
        host.write(&format!("etc/apparmor.d/{name}"), profile);
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn profile(&self) -> String {
        fs::read_to_string(self.at("etc/apparmor.d").join(self.name)).unwrap()
    }

    fn run(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyringctl"));
        command.args(args).arg("--root").arg(self.root.path()).stdin(Stdio::null());
        Ended::of(&command.output().unwrap())
    }

    fn setup(&self) -> Ended {
        self.setup_with(&["--yes"])
    }

    fn setup_with(&self, more: &[&str]) -> Ended {
        let all = ["setup", "/mnt/a/keys/main.keyring", "--allow-same-device", "--as", "component"];
        self.run(&[&all, more].concat())
    }

    /// Whether doctor finds that the profile grants everything.
    fn is_granted(&self) -> bool {
        let report = self.run(&["doctor", "--offline", "--json"]).says(1, &[]).json();
        report["passed"].as_array().unwrap().iter().any(|check| check == "apparmor-rules")
    }

    /// What AppArmor's parser says of a file or directory of profiles; `None` if it is not installed.
    fn parsed(&self, option: &str, what: &Path) -> Option<Output> {
        let base = self.at("etc/apparmor.d");
        ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"]
            .iter()
            .find(|program| Path::new(program).exists())
            .map(|program| {
                Command::new(program).args([option, "-Q", "-K", "-b"]).arg(&base).arg(what).output().unwrap()
            })
    }
}

/// Says that a part was skipped, past the test's captured output.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "\nskipped: {why}");
}

/// Each profile with the line that setup adds, and the file that it writes the rules to.
#[test]
fn every_profile_grants_what_the_keyring_needs_after_setup() {
    let mut unparsed = false;
    for (name, profile, added, local) in [
        (STOCK, format!("/usr/sbin/mysqld {{\n{RULES}}}\n"), "  #include <local/usr.sbin.mysqld>", STOCK),
        (STOCK, format!("/usr/sbin/mysqld {{\n{RULES}  #include <local/usr.sbin.mysqld>\n}}\n"), "", STOCK),
        (
            STOCK,
            format!("/usr/sbin/mysqld {{\n{RULES}  include if exists <local/usr.sbin.mysqld>\n}}\n"),
            "",
            STOCK,
        ),
        ("mysqld", format!("/usr/sbin/mysqld {{\n{RULES}  include if exists <local/site>\n}}\n"), "", "site"),
        (
            "mysqld",
            format!(
                "profile mysqld /usr/sbin/mysqld {{\n{RULES}  profile sub {{\n    /x r,\n  }}\n}}\nprofile z /z {{\n}}\n"
            ),
            "  #include <local/mysqld>",
            "mysqld",
        ),
        (
            "own",
            format!(
                "@{{program}} = /usr/{{,s}}bin/mysqld\nprofile own @{{program}} flags=(attach_disconnected)\n{{\n{RULES}  }}"
            ),
            "    #include <local/own>",
            "own",
        ),
        (
            STOCK,
            "/usr/sbin/mysqld { /etc/mysql/** r, }".to_owned(),
            "  #include <local/usr.sbin.mysqld>",
            STOCK,
        ),
    ] {
        let host = Host::new(name, &profile);
        assert!(!host.is_granted(), "{profile}");
        let shown = host.setup().says(0, &[&format!("apparmor_parser -r -T -W /etc/apparmor.d/{name}")]);
        let local = host.at("etc/apparmor.d/local").join(local);
        assert!(local.exists(), "{profile}: {:?}", shown.out);
        let after = host.profile();
        if added.is_empty() {
            assert_eq!(after, profile);
        } else {
            assert!(after.lines().any(|line| line == added), "{after}");
            assert!(shown.out.contains(&format!("    | +{added}")), "{}", shown.out);
            let kept = fs::read_to_string(host.at("etc/apparmor.d").join(format!("{name}.bak~"))).unwrap();
            assert_eq!(kept, profile);
        }
        assert!(host.is_granted(), "{after}");
        host.setup().says(0, &["Nothing to change"]);
        match host.parsed("-d", &host.at("etc/apparmor.d").join(name)) {
            Some(output) => {
                let told = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(
                    output.status.success() && told.contains("/mnt/a/keys/main.keyring"),
                    "{after}\n{output:?}"
                );
            }
            None => unparsed = true,
        }
    }
    if unparsed {
        skipped(
            "what AppArmor's parser says of the profiles: needs apparmor_parser (Debian package apparmor)",
        );
    }
}

#[test]
fn the_kept_profile_is_not_loaded_again() {
    let host = Host::new(STOCK, &format!("/usr/sbin/mysqld {{\n{RULES}}}\n"));
    host.setup().says(0, &["usr.sbin.mysqld.bak~"]);
    let Some(output) = host.parsed("-N", &host.at("etc/apparmor.d")) else {
        return skipped("what AppArmor loads: needs apparmor_parser (Debian package apparmor)");
    };
    let names = String::from_utf8_lossy(&output.stdout);
    assert_eq!(names.lines().filter(|line| *line == "/usr/sbin/mysqld").count(), 1, "{output:?}");
}

#[test]
fn a_disabled_profile_is_not_changed_and_not_loaded() {
    let profile = format!("/usr/sbin/mysqld {{\n{RULES}}}\n");
    let host = Host::new(STOCK, &profile);
    host.write("etc/apparmor.d/disable/usr.sbin.mysqld", "");
    let shown = host.setup().says(0, &[]);
    assert!(host.profile() == profile && !shown.out.contains("apparmor_parser"), "{}", shown.out);
    assert!(host.at("etc/apparmor.d/local/usr.sbin.mysqld").exists());
}

#[test]
fn a_profile_that_only_logs_is_prepared_too() {
    let host = Host::new(STOCK, &format!("/usr/sbin/mysqld flags=(complain) {{\n{RULES}}}\n"));
    host.setup().says(0, &["+  #include <local/usr.sbin.mysqld>"]);
    assert!(host.profile().contains("#include <local/usr.sbin.mysqld>"));
}

#[test]
fn a_profile_whose_end_is_not_found_is_left_alone() {
    let profile = "/usr/sbin/mysqld {\n  /etc/mysql/** r,\n";
    let host = Host::new(STOCK, profile);
    host.setup().says(
        2,
        &["cannot find the end of the profile", "#include <local/usr.sbin.mysqld>", "Nothing was changed"],
    );
    assert_eq!(host.profile(), profile);
    assert!(!host.at("mnt/a/keys").exists());
}

#[test]
fn an_image_that_will_start_with_selinux_gets_the_commands_as_steps() {
    let host = Host::new(STOCK, "");
    let none = host.setup_with(&["--dry-run"]).says(0, &[]);
    assert!(!none.out.contains("restorecon"), "{}", none.out);
    host.write("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n");
    let steps = [
        "semanage fcontext -a -t mysqld_db_t '/mnt/a/keys(/.*)?'\n    restorecon -RFv /mnt/a/keys",
        "semanage fcontext -a -t mysqld_db_t '/etc/mysql/keyring_external\\.secret'",
        "restorecon -Fv /usr/sbin/mysqld.my",
        "restorecon -Fv /usr/lib/mysql/plugin/component_keyring_external.cnf",
        "restorecon -Fv /usr/lib/mysql/plugin/component_keyring_external.so",
    ];
    host.setup().says(0, &steps);
    let report = host.setup_with(&["--yes", "--json"]).says(0, &[]).json();
    assert_eq!(report["selinux"]["runs"], false);
    let next = report["next"].as_array().unwrap();
    for command in report["selinux"]["commands"].as_array().unwrap() {
        assert!(next.contains(command), "{command}: {report:#}");
    }
    let without = host.setup_with(&["--yes", "--without", "selinux"]).says(0, &[]);
    assert!(!without.out.contains("restorecon"), "{}", without.out);
}

#[test]
fn a_credential_that_cannot_work_is_refused_or_warned_of() {
    let host = Host::new(STOCK, "");
    let args = ["--unlock", "credential:keyring", "--dry-run"];
    host.write("usr/lib/systemd/libsystemd-shared-239.so", "");
    host.setup_with(&args).says(
        2,
        &[
            "credential:keyring cannot work: systemd 239 has none",
            "Use --unlock file:/etc/mysql/keyring_external.secret",
        ],
    );
    fs::rename(
        host.at("usr/lib/systemd/libsystemd-shared-239.so"),
        host.at("usr/lib/systemd/libsystemd-shared-252.so"),
    )
    .unwrap();
    let fine = host.setup_with(&args).says(0, &[]);
    assert!(!fine.out.contains("selinux-credential"), "{}", fine.out);
    host.write("etc/selinux/config", "SELINUX=enforcing\n");
    host.setup_with(&args)
        .says(0, &["WARNING selinux-credential: SELinux is likely to refuse mysqld its credential keyring"]);
}
