// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup` and `doctor` on the layouts of MySQL's packages: what setup writes is what mysqld reads.

#[path = "../../tests/common/mod.rs"]
mod common;

use common::ended::Ended;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Checks about what a directory cannot have: volumes of its own.
const OF_VOLUMES: [&str; 7] =
    ["volume", "same-device", "same-disk", "volatile", "mirrors-apart", "secret-on-volume", "fstab"];

/// How packages lay out a server.
struct Layout {
    name: &'static str,
    /// Files and their texts; a text that begins with `->` is the target of a link.
    files: &'static [(&'static str, &'static str)],
    /// Directories that are empty.
    dirs: &'static [&'static str],
    mysqld: &'static str,
    plugin_dir: &'static str,
    /// The option file that setup writes.
    written: &'static str,
    /// The option file that setup adds an include to.
    included_by: Option<&'static str>,
}

const MYSQLD_OPTIONS: &str = "[mysqld]\ndatadir=/var/lib/mysql\nsocket=/var/lib/mysql/mysql.sock\n\nlog-error=/var/log/mysqld.log\npid-file=/var/run/mysqld/mysqld.pid";
const RPM_UNIT: &str =
    "[Service]\nUser=mysql\nEnvironmentFile=-/etc/sysconfig/mysql\nExecStart=/usr/sbin/mysqld $MYSQLD_OPTS\n";
const DEB_UNIT: &str = "[Service]\nUser=mysql\nExecStart=/usr/sbin/mysqld\n";
const DEB_MAIN: &str =
    "# for all programs\n!includedir /etc/mysql/conf.d/\n!includedir /etc/mysql/mysql.conf.d/\n";

const LAYOUTS: [Layout; 13] = [
    Layout {
        name: "Oracle's RPM",
        files: &[
            ("etc/my.cnf", MYSQLD_OPTIONS),
            ("usr/lib/systemd/system/mysqld.service", RPM_UNIT),
            // Of a package that was built for another layout.
            ("usr/lib/mysql/plugin/keyring_external.so", "a library"),
        ],
        dirs: &["etc/my.cnf.d"],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib64/mysql/plugin",
        written: "/etc/my.cnf.d/keyring_external.cnf",
        included_by: Some("/etc/my.cnf"),
    },
    Layout {
        name: "Percona's RPM",
        files: &[("etc/my.cnf", MYSQLD_OPTIONS), ("usr/lib/systemd/system/mysqld.service", RPM_UNIT)],
        dirs: &[],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib64/mysql/plugin",
        written: "/etc/my.cnf.d/keyring_external.cnf",
        included_by: Some("/etc/my.cnf"),
    },
    Layout {
        name: "Red Hat's mysql-server",
        files: &[
            ("etc/my.cnf", "[client-server]\n\n!includedir /etc/my.cnf.d\n\n"),
            ("etc/my.cnf.d/mysql-server.cnf", MYSQLD_OPTIONS),
            (
                "usr/lib/systemd/system/mysqld.service",
                "[Service]\nUser=mysql\nExecStart=/usr/libexec/mysqld --basedir=/usr\n",
            ),
        ],
        dirs: &[],
        mysqld: "usr/libexec/mysqld",
        plugin_dir: "usr/lib64/mysql/plugin",
        written: "/etc/my.cnf.d/keyring_external.cnf",
        included_by: None,
    },
    Layout {
        name: "Oracle's and Percona's Debian packages",
        files: &[
            ("etc/mysql/mysql.cnf", DEB_MAIN),
            ("etc/alternatives/my.cnf", "->/etc/mysql/mysql.cnf"),
            ("etc/mysql/my.cnf", "->/etc/alternatives/my.cnf"),
            ("etc/mysql/mysql.conf.d/mysqld.cnf", MYSQLD_OPTIONS),
            ("lib/systemd/system/mysql.service", DEB_UNIT),
        ],
        dirs: &["etc/mysql/conf.d"],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib/mysql/plugin",
        written: "/etc/mysql/mysql.conf.d/keyring_external.cnf",
        included_by: None,
    },
    Layout {
        name: "Debian with MariaDB's common files, which replace the main option file",
        files: &[
            ("etc/mysql/mysql.cnf", DEB_MAIN),
            (
                "etc/mysql/mariadb.cnf",
                "!includedir /etc/mysql/conf.d/\n!includedir /etc/mysql/mariadb.conf.d/\n",
            ),
            ("etc/alternatives/my.cnf", "->/etc/mysql/mariadb.cnf"),
            ("etc/mysql/my.cnf", "->/etc/alternatives/my.cnf"),
            ("etc/mysql/mysql.conf.d/mysqld.cnf", MYSQLD_OPTIONS),
            ("lib/systemd/system/mysql.service", DEB_UNIT),
        ],
        dirs: &["etc/mysql/conf.d", "etc/mysql/mariadb.conf.d"],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib/mysql/plugin",
        written: "/etc/mysql/conf.d/keyring_external.cnf",
        included_by: None,
    },
    Layout {
        name: "the official image",
        files: &[(
            "etc/my.cnf",
            "[mysqld]\nskip-name-resolve\ndatadir=/var/lib/mysql\nuser=mysql\n[client]\nsocket=/s\n\n!includedir /etc/mysql/conf.d/\n",
        )],
        dirs: &["etc/mysql/conf.d"],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib64/mysql/plugin",
        written: "/etc/mysql/conf.d/keyring_external.cnf",
        included_by: None,
    },
    Layout {
        name: "the official image of Debian",
        files: &[("etc/mysql/my.cnf", "[mysqld]\ndatadir=/var/lib/mysql\n!includedir /etc/mysql/conf.d/\n")],
        dirs: &["etc/mysql/conf.d"],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib/mysql/plugin",
        written: "/etc/mysql/conf.d/keyring_external.cnf",
        included_by: None,
    },
    Layout {
        name: "Bitnami's image",
        files: &[(
            "opt/bitnami/mysql/conf/my.cnf",
            "[mysqld]\nbasedir=/opt/bitnami/mysql\ndatadir=/bitnami/mysql/data\nplugin_dir=/opt/bitnami/mysql/lib/plugin\n",
        )],
        dirs: &["bitnami/mysql/data", "etc/mysql", "usr/lib/mysql/plugin"],
        mysqld: "opt/bitnami/mysql/bin/mysqld",
        plugin_dir: "opt/bitnami/mysql/lib/plugin",
        written: "/opt/bitnami/mysql/conf/keyring_external.cnf",
        included_by: Some("/opt/bitnami/mysql/conf/my.cnf"),
    },
    Layout {
        name: "the generic archive, without an option file",
        files: &[],
        dirs: &["etc"],
        mysqld: "usr/local/mysql/bin/mysqld",
        plugin_dir: "usr/local/mysql/lib/plugin",
        written: "/etc/my.cnf.d/keyring_external.cnf",
        included_by: Some("/etc/my.cnf"),
    },
    Layout {
        name: "the generic archive, with the option file of its prefix",
        files: &[("usr/local/mysql/etc/my.cnf", "[mysqld]\nport=3307\n")],
        dirs: &["etc"],
        mysqld: "usr/local/mysql/bin/mysqld",
        plugin_dir: "usr/local/mysql/lib/plugin",
        written: "/usr/local/mysql/etc/keyring_external.cnf",
        included_by: Some("/usr/local/mysql/etc/my.cnf"),
    },
    Layout {
        name: "no directory for option files",
        files: &[
            ("etc/mysql/my.cnf", "[mysqld]\nport=3306\n"),
            ("lib/systemd/system/mysql.service", DEB_UNIT),
        ],
        dirs: &[],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib/mysql/plugin",
        written: "/etc/my.cnf.d/keyring_external.cnf",
        included_by: Some("/etc/mysql/my.cnf"),
    },
    Layout {
        name: "a unit that names its only option file",
        files: &[
            ("etc/mysql/my.cnf", DEB_MAIN),
            ("srv/mysql/my.cnf", "[mysqld]\nport=3306\n"),
            ("lib/systemd/system/mysql.service", DEB_UNIT),
            (
                "etc/systemd/system/mysql.service.d/own.conf",
                "[Service]\nExecStart=\nExecStart=/usr/sbin/mysqld --defaults-file=/srv/mysql/my.cnf\n",
            ),
        ],
        dirs: &["etc/mysql/conf.d", "etc/mysql/mysql.conf.d"],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib/mysql/plugin",
        written: "/srv/mysql/keyring_external.cnf",
        included_by: Some("/srv/mysql/my.cnf"),
    },
    Layout {
        name: "an environment file that adds an option file",
        files: &[
            ("etc/my.cnf", MYSQLD_OPTIONS),
            ("usr/lib/systemd/system/mysqld.service", RPM_UNIT),
            ("etc/sysconfig/mysql", "MYSQLD_OPTS=\"--defaults-extra-file=/srv/extra.cnf --port=3307\"\n"),
            ("srv/extra.cnf", "!includedir /srv/extra.d\n"),
        ],
        dirs: &["srv/extra.d"],
        mysqld: "usr/sbin/mysqld",
        plugin_dir: "usr/lib64/mysql/plugin",
        written: "/srv/extra.d/keyring_external.cnf",
        included_by: None,
    },
];

/// A directory with a layout, a place for the keyring, and both libraries.
struct Host(TempDir);

impl Host {
    fn new(layout: &Layout) -> Host {
        let host = Host::empty();
        for (path, text) in layout.files {
            host.write(path, text);
        }
        for dir in layout.dirs {
            fs::create_dir_all(host.at(dir)).unwrap();
        }
        host.write(layout.mysqld, "a program");
        for library in
            ["keyring_external.so", "component_keyring_external.so", "component_validate_password.so"]
        {
            host.write(&format!("{}/{library}", layout.plugin_dir), library);
        }
        host
    }

    fn empty() -> Host {
        let host = Host(tempfile::tempdir().unwrap());
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        host.write("etc/passwd", &format!("mysql:x:{uid}:{gid}::/var/lib/mysql:/bin/false\n"));
        for dir in ["var/lib/mysql", "mnt/a", "mnt/b"] {
            fs::create_dir_all(host.at(dir)).unwrap();
        }
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(target) = text.strip_prefix("->") {
            symlink(target, path).unwrap();
        } else {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn run(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyringctl"));
        command.args(args).arg("--root").arg(self.0.path());
        Ended::of(&command.stdin(Stdio::null()).output().unwrap())
    }

    fn setup(&self, way: &str, more: &[&str]) -> Ended {
        let args =
            ["setup", "/mnt/a/keys/k", "--mirror", "/mnt/b/keys/k", "--allow-same-device", "--as", way];
        self.run(&[&args, more].concat())
    }

    /// Asserts that the doctor finds the keyring, and nothing wrong with it.
    #[track_caller]
    fn is_well(&self, way: &str) {
        let ignored = OF_VOLUMES.iter().flat_map(|check| ["--ignore", check]).collect::<Vec<_>>();
        let report = self.run(&[&["doctor", "--offline", "--json"], &ignored[..]].concat()).json();
        let findings = report["findings"].as_array().unwrap().iter().filter(|f| f["level"] != "note");
        let what: Vec<_> = findings.map(|f| f["what"].to_string()).collect();
        assert!(what.is_empty(), "{what:#?}");
        assert_eq!(report["way"], way);
        assert_eq!(report["copies"], serde_json::json!(["/mnt/a/keys/k", "/mnt/b/keys/k"]));
    }
}

#[test]
fn the_plugin_is_written_where_mysqld_reads_it() {
    for layout in &LAYOUTS {
        eprintln!("{}", layout.name);
        let host = Host::new(layout);
        let before = layout.included_by.map(|main| fs::read_to_string(host.at(main)).unwrap_or_default());
        let ended = host.setup("plugin", &["--yes"]).says(
            0,
            &[
                &format!("NEW        {}", layout.written),
                &format!("Read back: mysqld finds the keyring in {}.", layout.written),
            ],
        );
        assert!(ended.out.starts_with(&format!("/{} will load", layout.mysqld)), "{ended:?}");
        assert!(ended.out.contains(&format!(" from /{}.\n", layout.plugin_dir)), "{ended:?}");
        assert!(!ended.out.contains("missing-path"), "{ended:?}");
        assert!(host.read(layout.written).contains("keyring_external_data = /mnt/a/keys/k\n"));
        if let (Some(main), Some(before)) = (layout.included_by, before) {
            let after = host.read(main);
            assert!(after.starts_with(&before), "{after}");
            assert!(after.ends_with(&format!("\n!include {}\n", layout.written)), "{after}");
            assert_eq!(host.at(&format!("{main}.bak")).exists(), !before.is_empty(), "{}", layout.name);
        } else {
            assert!(!ended.out.contains("CHANGED"), "{ended:?}");
        }
        host.is_well("plugin");
        let again = host.setup("plugin", &["--yes"]).says(0, &["Nothing to change"]);
        assert!(!again.out.contains("includes the options"), "{again:?}");
    }
}

#[test]
fn the_component_is_written_where_mysqld_reads_it() {
    for layout in &LAYOUTS {
        eprintln!("{}", layout.name);
        let host = Host::new(layout);
        let ended = host.setup("component", &["--yes"]).says(
            0,
            &[&format!(
                "Read back: mysqld finds the component in /{}.my and the keyring in /{}/component_keyring_external.cnf.",
                layout.mysqld, layout.plugin_dir
            )],
        );
        assert!(!ended.out.contains("missing-path") && !ended.out.contains("CHANGED"), "{ended:?}");
        host.is_well("component");
    }
}

#[test]
fn an_include_is_shown_as_a_change_and_written_once() {
    let host = Host::new(&LAYOUTS[0]);
    host.setup("plugin", &["--dry-run"]).says(
        0,
        &[
            "CHANGED    /etc/my.cnf (includes the options for mysqld, mode 0644)",
            "+!include /etc/my.cnf.d/keyring_external.cnf",
        ],
    );
    assert_eq!(host.read("etc/my.cnf"), MYSQLD_OPTIONS);
    fs::set_permissions(host.at("etc/my.cnf"), fs::Permissions::from_mode(0o640)).unwrap();
    host.setup("plugin", &["--yes"]).says(0, &["The previous /etc/my.cnf was kept as /etc/my.cnf.bak"]);
    let mode = fs::metadata(host.at("etc/my.cnf")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640, "its permissions stay");
    host.setup("plugin", &["--yes", "--wait", "5"]).says(0, &["1 file written"]);
    assert_eq!(host.read("etc/my.cnf").matches("!include").count(), 1);
}

#[test]
fn the_main_option_file_is_found_through_its_links() {
    let host = Host::new(&LAYOUTS[3]);
    host.setup("plugin", &["--yes", "--option-dir", "/srv/own"]).says(
        0,
        &[
            "NEW        /srv/own/keyring_external.cnf",
            "CHANGED    /etc/mysql/mysql.cnf",
            "/etc/mysql/mysql.cnf.bak",
        ],
    );
    assert!(host.read("etc/mysql/mysql.cnf").ends_with("\n!include /srv/own/keyring_external.cnf\n"));
    assert!(fs::symlink_metadata(host.at("etc/mysql/my.cnf")).unwrap().is_symlink());
    host.is_well("plugin");
    host.setup("plugin", &["--yes", "--option-dir", "own"])
        .says(2, &["--option-dir is own: give an absolute path"]);
}

#[test]
fn a_server_that_reads_no_option_file_is_refused() {
    let host = Host::new(&LAYOUTS[0]);
    host.write("etc/sysconfig/mysql", "MYSQLD_OPTS=--no-defaults\n");
    host.setup("plugin", &["--yes"]).says(2, &["mysqld.service starts mysqld with --no-defaults"]);
    host.setup("component", &["--yes"]).says(0, &["Read back: "]);
    // Without a file that it needs, mysqld does not start.
    host.write("etc/sysconfig/mysql", "MYSQLD_OPTS=--defaults-file=/srv/none.cnf\n");
    host.setup("plugin", &["--yes"]).says(2, &["cannot read the server's options", "/srv/none.cnf"]);
}

#[test]
fn a_later_option_that_wins_is_named() {
    let host = Host::new(&LAYOUTS[3]);
    host.write("etc/mysql/mysql.conf.d/zz.cnf", "[mysqld]\nkeyring_external_data=/mnt/b/other\n");
    host.setup("plugin", &["--yes"]).says(
        2,
        &["would not use this keyring", "data is \"/mnt/b/other\", not \"/mnt/a/keys/k\"", "zz.cnf line 2"],
    );
    // MySQL takes groups in either case.
    host.write("etc/mysql/mysql.conf.d/zz.cnf", "[MySQLd]\nkeyring_external_data=/mnt/b/more\n");
    host.setup("plugin", &["--yes"]).says(2, &["data is \"/mnt/b/more\", not \"/mnt/a/keys/k\""]);
    host.write("etc/mysql/mysql.conf.d/zz.cnf", "[mysqld]\nearly-plugin-load=\n");
    host.setup("plugin", &["--yes"]).says(
        2,
        &[
            "would not use this keyring",
            "zz.cnf line 2 replaces the early-plugin-load of ",
            "keyring_external.cnf line 3",
        ],
    );
    fs::remove_file(host.at("etc/mysql/mysql.conf.d/zz.cnf")).unwrap();
    host.setup("plugin", &["--yes"]).says(0, &["Read back: "]);
}

#[test]
fn what_would_fail_is_refused_before_anything_is_made() {
    let host = Host::new(&LAYOUTS[0]);
    host.write("srv/file", "no directory");
    let nothing_made = || {
        assert!(!host.at("mnt/a/keys").exists() && !host.at("mnt/b/keys").exists());
        assert!(!host.at("etc/keyring_external.secret").exists());
        assert!(!host.at("etc/my.cnf.d/keyring_external.cnf").exists());
    };
    for mode in ["--yes", "--dry-run"] {
        for dir in ["/srv/file", "/srv/file/below"] {
            host.setup("plugin", &[mode, "--option-dir", dir])
                .says(2, &["srv/file is not a directory", "Nothing was changed"]);
            nothing_made();
        }
    }
    host.setup("plugin", &["--yes", "--option-dir", "/srv/o#x"]).says(2, &["Nothing was changed"]);
    nothing_made();
    // A copy's directory that other users can open; the other one is not created either.
    fs::create_dir_all(host.at("mnt/b/keys")).unwrap();
    fs::set_permissions(host.at("mnt/b/keys"), fs::Permissions::from_mode(0o755)).unwrap();
    for mode in ["--yes", "--dry-run"] {
        host.setup("plugin", &[mode]).says(2, &["mnt/b/keys is open to other users", "run chmod 0700 "]);
    }
    fs::remove_dir(host.at("mnt/b/keys")).unwrap();
    nothing_made();
    host.setup("plugin", &["--yes", "--unlock", "file:/srv/none/secret"])
        .says(2, &["srv/none does not exist", "Nothing was changed"]);
    nothing_made();
    host.write(
        "etc/my.cnf",
        &format!("{MYSQLD_OPTIONS}\nkeyring_external_wait = 7\n!includedir /etc/my.cnf.d\n"),
    );
    host.write("etc/my.cnf.d/zz.cnf", "[mysqld]\nkeyring_external_data = /mnt/b/other\n");
    let refused = host.setup("plugin", &["--yes", "--json"]);
    assert!(refused.json()["error"].as_str().unwrap().contains("Nothing was changed"), "{refused:?}");
    refused.says(2, &["data is \\\"/mnt/b/other\\\"", "zz.cnf line 2"]);
    nothing_made();
}

/// The recovery key is printed before the read-back, but the output is one document that says how it went.
#[test]
fn the_document_says_whether_the_keyring_is_read_back() {
    let host = Host::new(&LAYOUTS[0]);
    let done = host.setup("plugin", &["--yes", "--json"]).says(0, &[]).json();
    assert!(done["recovery_key"].is_string() && done.get("error").is_none(), "{done}");
    assert!(done["read_back"].as_str().unwrap().starts_with("Read back: mysqld finds"), "{done}");
    assert_eq!(done["next"].as_array().unwrap().last().unwrap(), "keyringctl doctor");
    let again = host.setup("plugin", &["--yes", "--json"]).says(0, &[]).json();
    assert!(again["read_back"].is_string() && again.get("recovery_key").is_none(), "{again}");
}

#[test]
fn another_name_of_an_option_counts_as_mysqld_takes_it() {
    let host = Host::new(&LAYOUTS[3]);
    host.write("etc/mysql/mysql.conf.d/zz.cnf", "[mysqld]\nplugin-keyring-external-data=/mnt/b/other\n");
    host.setup("plugin", &["--yes"])
        .says(2, &["data is \"/mnt/b/other\", not \"/mnt/a/keys/k\"", "zz.cnf line 2"]);
    host.write("etc/mysql/mysql.conf.d/zz.cnf", "[mysqld]\nloose-plugin_keyring_external_wait=-5\n");
    host.setup("plugin", &["--yes"]).says(0, &["Read back: "]);
    host.is_well("plugin");
}

#[test]
fn an_option_that_the_plugin_does_not_have_is_named() {
    let host = Host::new(&LAYOUTS[3]);
    for (line, told) in [
        ("keyring_external_mirror=/x", "no option keyring_external_mirror"),
        ("KEYRING_EXTERNAL_AUTO_CREATE=1", "no option KEYRING_EXTERNAL_AUTO_CREATE"),
        ("plugin-loose-keyring-external-wait=5", "no option plugin_loose_keyring_external_wait"),
    ] {
        host.write("etc/mysql/mysql.conf.d/zz.cnf", &format!("[mysqld]\n{line}\n"));
        host.setup("plugin", &["--yes"]).says(2, &["would not use this keyring", "zz.cnf line 2", told]);
    }
    host.write("etc/mysql/mysql.conf.d/zz.cnf", "[mysqld]\n\nkeyring_external_mirror=/x\n");
    host.run(&["doctor", "--offline"]).says(
        1,
        &[
            "ERROR   plugin-options: ",
            "zz.cnf line 3",
            "write keyring_external_mirrors, or remove the option from",
        ],
    );
    // mysqld warns of the first, and does not read the second.
    host.write(
        "etc/mysql/mysql.conf.d/zz.cnf",
        "[mysqld]\nloose-keyring-external-mirror=/x\n[client]\nkeyring_external_mirror=/x\n",
    );
    host.setup("plugin", &["--yes"]).says(0, &["Read back: "]);
    host.is_well("plugin");
}

#[test]
fn a_mirror_with_a_colon_is_refused_for_the_plugin() {
    let host = Host::new(&LAYOUTS[3]);
    let args = ["setup", "/mnt/a/keys/k", "--mirror", "/mnt/b/a:b/k", "--allow-same-device", "--yes", "--as"];
    host.run(&[&args[..], &["plugin"]].concat())
        .says(2, &["the mirror /mnt/b/a:b/k has a colon in its path", "Nothing was changed"]);
    assert!(!host.at("mnt/a/keys").exists() && !host.at("etc/keyring_external.secret").exists());
    host.run(&[&args[..], &["component"]].concat()).says(0, &["Read back: "]);
}

#[test]
fn another_keyring_in_the_manifest_is_refused_or_replaced_for_the_plugin_too() {
    let host = Host::new(&LAYOUTS[3]);
    host.write("usr/sbin/mysqld.my", r#"{"components": "file://component_keyring_file"}"#);
    host.setup("plugin", &["--yes"]).says(2, &["loads component_keyring_file", "--replace-keyring"]);
    assert!(!host.at("mnt/a/keys").exists());
    host.setup("plugin", &["--yes", "--replace-keyring"]).says(
        0,
        &[
            "CHANGED    /usr/sbin/mysqld.my (manifest",
            "The previous /usr/sbin/mysqld.my was kept as /usr/sbin/mysqld.my.bak",
            "Read back: ",
        ],
    );
    assert_eq!(host.read("usr/sbin/mysqld.my"), "{\n  \"components\": \"\"\n}\n");
    host.is_well("plugin");
    host.setup("plugin", &["--yes"]).says(0, &["Nothing to change"]);
}

#[test]
fn an_option_file_that_no_one_includes_is_told() {
    let host = Host::new(&LAYOUTS[0]);
    host.setup("plugin", &["--yes"]).says(0, &[]);
    host.write("etc/my.cnf", MYSQLD_OPTIONS);
    host.run(&["doctor", "--offline"]).says(
        1,
        &[
            "my.cnf.d/keyring_external.cnf: none of its option files includes it",
            "etc/my.cnf:\n                 !include /etc/my.cnf.d/keyring_external.cnf",
        ],
    );
    // Its advice is enough.
    host.setup("plugin", &["--yes"]).says(0, &["CHANGED    /etc/my.cnf"]);
    host.is_well("plugin");
}

/// Wherever the file was written: its place is beside the main option file, or named in a previous version of that.
#[test]
fn a_lost_include_is_told_in_every_layout() {
    let own_dir = ["--option-dir", "/srv/own files"];
    for layout in LAYOUTS.iter().filter(|layout| layout.included_by.is_some()) {
        for more in [&[][..], &own_dir] {
            eprintln!("{} {more:?}", layout.name);
            let host = Host::new(layout);
            host.setup("plugin", &[&["--yes"], more].concat()).says(0, &[]);
            let main = layout.included_by.unwrap();
            let written =
                if more.is_empty() { layout.written } else { "/srv/own files/keyring_external.cnf" };
            let with_include = host.read(main);
            host.write(&format!("{main}.rpmsave"), &with_include);
            let before: String =
                with_include.lines().filter(|l| !l.starts_with("!include")).collect::<Vec<_>>().join("\n");
            host.write(main, &before);
            let told = [
                // Quoted for a shell because of the blank.
                &format!(
                    "{written}{}: none of its option files includes it",
                    if more.is_empty() { "" } else { "'" }
                ),
                &format!("{main}:\n                 !include {written}"),
            ];
            host.run(&["doctor", "--offline"]).says(1, &told.map(String::as_str));
            // Its advice is enough.
            host.write(main, &format!("{before}\n!include {written}\n"));
            host.is_well("plugin");
        }
    }
}

#[test]
fn a_refusal_says_what_to_remove() {
    let host = Host::new(&LAYOUTS[0]);
    host.setup("plugin", &["--yes"]).says(0, &[]);
    let line = host.read("etc/my.cnf").lines().count();
    let refused = host.setup("component", &["--yes"]).says(
        2,
        &[
            "keyring_external.cnf line 3 loads the plugin",
            "To replace the plugin, delete ",
            // With every copy, because they are no longer configured then.
            " /mnt/a/keys/k --mirror /mnt/b/keys/k --unlock file:/etc/keyring_external.secret --as component",
            &format!("etc/my.cnf line {line}, which includes it: mysqld prints an [ERROR]"),
        ],
    );
    assert!(!refused.err.contains("keep the"), "{refused:?}");
    // Half of it was done.
    fs::remove_file(host.at("etc/my.cnf.d/keyring_external.cnf")).unwrap();
    host.setup("component", &["--yes"]).says(0, &["Read back: "]);
    host.run(&["doctor", "--offline"]).says(
        1,
        &[
            &format!("WARNING option-files: {} line {line} includes /etc", host.at("etc/my.cnf").display()),
            &format!("delete line {line} of "),
        ],
    );
    host.write("etc/my.cnf", MYSQLD_OPTIONS);
    host.is_well("component");
    host.setup("plugin", &["--yes"]).says(
        2,
        &[
            "To replace the component, delete ",
            "mysqld.my and delete ",
            "component_keyring_external.cnf. Then run",
        ],
    );
    // Options in a file of the administrator's.
    let host = Host::new(&LAYOUTS[0]);
    host.write(
        "etc/my.cnf",
        "[mysqld]\nearly-plugin-load=audit.so;keyring_external.so\nport=1\nkeyring_external_data=/mnt/a/keys/k\n",
    );
    host.setup("component", &["--yes"])
        .says(2, &["(leave early-plugin-load = audit.so)", "my.cnf line 2, ", "my.cnf line 4. Then run"]);
    assert!(!host.at("mnt/a/keys").exists());
}

#[test]
fn an_option_file_that_does_not_exist_is_refused() {
    let host = Host::new(&LAYOUTS[0]);
    for command in [&["doctor", "--offline"][..], &["setup", "/mnt/a/k", "--as", "plugin", "--yes"]] {
        host.run(&[command, &["--option-file", "/etc/none.cnf"]].concat())
            .says(2, &["etc/none.cnf does not exist (--option-file)"]);
    }
    host.write("etc/bad.cnf", "[mysqld]\n!includedir /none.d\n");
    host.setup("plugin", &["--yes", "--option-file", "/etc/bad.cnf"])
        .says(2, &["cannot read the directory /none.d"]);
    assert!(!host.at("mnt/a/keys").exists());
    host.run(&["doctor", "--offline", "--option-file", "/etc/bad.cnf"]).says(1, &["ERROR   option-files"]);
}

#[test]
fn a_server_in_a_snap_is_refused() {
    let host = Host::empty();
    host.write("snap/mysql/current/usr/sbin/mysqld", "a program");
    for way in ["plugin", "component"] {
        host.setup(way, &["--yes"]).says(2, &["/snap/mysql/current/usr/sbin/mysqld is in a snap"]);
    }
    host.run(&["doctor", "--offline"]).says(1, &["is in a snap", "install MySQL from packages"]);
}

#[test]
fn paths_that_do_not_exist_are_warned_of() {
    let host = Host::empty();
    fs::remove_dir(host.at("var/lib/mysql")).unwrap();
    host.setup("plugin", &["--dry-run"]).says(
        0,
        &[
            "the mysqld program ",
            "the data directory ",
            "the plugin directory ",
            "usr/lib/mysql/plugin does not exist",
        ],
    );
    let host = Host::new(&LAYOUTS[0]);
    fs::remove_file(host.at("usr/lib64/mysql/plugin/component_keyring_external.so")).unwrap();
    host.setup("component", &["--dry-run"])
        .says(0, &["WARNING missing-path: the library ", "make install PLUGIN_DIR=/usr/lib64"]);
}

#[test]
fn a_plugin_that_the_command_line_loads_is_found() {
    let host = Host::new(&LAYOUTS[0]);
    host.setup("plugin", &["--yes"]).says(0, &[]);
    let options = "--early-plugin-load=keyring_external.so --keyring-external=FORCE_PLUS_PERMANENT \
                   --keyring-external-data=/mnt/a/keys/k --keyring-external-mirrors=/mnt/b/keys/k \
                   --keyring-external-allow-same-device=ON --keyring-external-unlock=file:/etc/keyring_external.secret";
    host.write("etc/my.cnf", MYSQLD_OPTIONS);
    fs::remove_file(host.at("etc/my.cnf.d/keyring_external.cnf")).unwrap();
    host.write("etc/sysconfig/mysql", &format!("MYSQLD_OPTS=\"{options}\"\n"));
    host.is_well("plugin");
    // A value may be a word of its own, but not that of a switch.
    let apart = ["data", "mirrors", "unlock"].iter().fold(options.to_owned(), |text, name| {
        text.replace(&format!("external-{name}="), &format!("external-{name} "))
    });
    host.write("etc/sysconfig/mysql", &format!("MYSQLD_OPTS=\"{apart}\"\n"));
    host.is_well("plugin");
}

#[test]
fn an_instance_of_a_unit_has_groups_of_its_own() {
    let host = Host::new(&LAYOUTS[0]);
    host.setup("plugin", &["--yes"]).says(0, &[]);
    host.write(
        "usr/lib/systemd/system/mysqld@.service",
        "[Service]\nUser=mysql\nExecStart=/usr/sbin/mysqld --defaults-group-suffix=@%I\n",
    );
    let own = "[mysqld@two]\nkeyring_external_data=/mnt/b/keys/k\nkeyring_external_mirrors=\n";
    host.write("etc/my.cnf", &format!("{}\n{own}", host.read("etc/my.cnf")));
    let copies = |unit: &str| {
        let report = host.run(&["doctor", "--offline", "--json", "--unit", unit]).says(1, &[]).json();
        report["copies"].clone()
    };
    assert_eq!(copies("mysqld@two"), serde_json::json!(["/mnt/b/keys/k"]));
    assert_eq!(copies("mysqld@one"), serde_json::json!(["/mnt/a/keys/k", "/mnt/b/keys/k"]));
}

#[test]
fn an_option_file_that_mysqld_may_not_read_is_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files to another user");
        return;
    }
    let host = Host::new(&LAYOUTS[0]);
    host.write("etc/passwd", "mysql:x:4242:4242::/var/lib/mysql:/bin/false\n");
    fs::set_permissions(host.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(host.at("etc/my.cnf"), fs::Permissions::from_mode(0o600)).unwrap();
    host.setup("plugin", &["--yes"]).says(
        2,
        &["would not use this keyring", "mysql has no permission to read", "etc/my.cnf (chmod 0644 "],
    );
    host.run(&["doctor", "--offline"]).says(1, &["WARNING option-files: mysql has no permission to read"]);
    fs::set_permissions(host.at("etc/my.cnf"), fs::Permissions::from_mode(0o644)).unwrap();
    host.setup("plugin", &["--yes"]).says(0, &["Read back: "]);
    host.is_well("plugin");
}

/// mysqld 9.7 ends with "Can't read dir" as such a user.
#[test]
fn a_directory_of_option_files_that_mysqld_may_not_read_is_told() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files to another user");
        return;
    }
    let host = Host::new(&LAYOUTS[2]);
    host.write("etc/passwd", "mysql:x:4242:4242::/var/lib/mysql:/bin/false\n");
    let chmod =
        |path: &str, mode| fs::set_permissions(host.at(path), fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o700, 0o711] {
        chmod("etc/my.cnf.d", mode);
        for way in ["plugin", "component"] {
            let refused = host.setup(way, &["--yes"]).says(
                2,
                &[
                    "etc/my.cnf.d, so mysqld does not start (chmod a+rx ",
                    "then run setup again. Nothing was changed",
                ],
            );
            assert!(!refused.out.contains("Created keyring"), "{refused:?}");
        }
        host.run(&["doctor", "--offline"]).says(1, &["ERROR   option-files: ", "chmod a+rx "]);
    }
    // mysqld passes over the files in such a directory.
    chmod("etc/my.cnf.d", 0o744);
    host.setup("plugin", &["--yes"]).says(2, &["etc/my.cnf.d (chmod a+x ", "Nothing was changed"]);
    chmod("etc/my.cnf.d", 0o755);
    host.write("etc/my.cnf.d/a.cnf", "[mysqld]\nport=3307\n");
    chmod("etc/my.cnf.d/a.cnf", 0o600);
    host.setup("plugin", &["--yes"])
        .says(0, &["WARNING option-files: ", "a.cnf, so mysqld passes over options", "Read back: "]);
    host.run(&["doctor", "--offline"]).says(1, &["WARNING option-files: "]);
    chmod("etc/my.cnf.d/a.cnf", 0o644);
    // The permissions of its own file are set again.
    chmod("etc/my.cnf.d/keyring_external.cnf", 0o600);
    host.run(&["doctor", "--offline"])
        .says(1, &["ERROR   option-files: ", "passes over the keyring's options"]);
    host.setup("plugin", &["--yes"]).says(0, &["Read back: "]);
    host.is_well("plugin");
    chmod("etc", 0o700);
    host.run(&["doctor", "--offline"])
        .says(1, &["ERROR   option-files: ", "/etc, so mysqld passes over the keyring's", "chmod a+x "]);
    host.setup("plugin", &["--yes"]).says(2, &["/etc (chmod a+x "]);
    chmod("etc", 0o755);
}

#[test]
fn an_include_that_has_no_effect_is_not_added() {
    let host = Host::new(&LAYOUTS[0]);
    host.setup("plugin", &["--yes", "--option-dir", "/etc/a#b"])
        .says(2, &["no option file can include /etc/a#b/", "Nothing was changed"]);
    fs::set_permissions(host.at("etc/my.cnf"), fs::Permissions::from_mode(0o666)).unwrap();
    let before = host.read("etc/my.cnf");
    host.setup("plugin", &["--yes"])
        .says(2, &["my.cnf, so mysqld ignores it", "chmod o-w", "Nothing was changed"]);
    assert_eq!(host.read("etc/my.cnf"), before);
    assert!(!host.at("mnt/a/keys/k").exists() && !host.at("etc/my.cnf.bak").exists());
    fs::set_permissions(host.at("etc/my.cnf"), fs::Permissions::from_mode(0o644)).unwrap();
    host.setup("plugin", &["--yes"]).says(0, &["Read back: "]);
    // The line is there without its file.
    fs::remove_file(host.at("etc/my.cnf.d/keyring_external.cnf")).unwrap();
    host.setup("plugin", &["--yes"]).says(0, &["1 file written", "Read back: "]);
    assert_eq!(host.read("etc/my.cnf").matches("!include").count(), 1);
}

#[test]
fn what_mysqld_passes_over_stops_nothing() {
    let host = Host::new(&LAYOUTS[2]);
    host.write("etc/my.cnf", "[client-server]\n!includedir /etc/my.cnf.d # all of them\n");
    symlink("/etc/none.cnf", host.at("etc/my.cnf.d/a.cnf")).unwrap();
    fs::create_dir(host.at("etc/my.cnf.d/sub.cnf")).unwrap();
    host.write("etc/my.cnf.d/b.cnf", "datadir=/srv\n");
    let ended = host.setup("plugin", &["--yes"]).says(0, &["Read back: mysqld finds the keyring"]);
    assert!(!ended.out.contains("CHANGED"), "{ended:?}");
    host.is_well("plugin");
    // The volumes are at fault in a temporary directory.
    host.run(&["doctor", "--offline"]).says(
        1,
        &[
            "includes /etc/my.cnf.d/a.cnf, which does not exist",
            "b.cnf, line 1: there is an option before the first [group]. MySQL passes over the rest of that file",
            "sub.cnf is a directory: MySQL passes over it",
        ],
    );
}

#[test]
fn another_early_plugin_stays_loaded() {
    let host = Host::new(&LAYOUTS[0]);
    let own = "etc/my.cnf.d/keyring_external.cnf";
    host.write("etc/my.cnf", "[mysqld]\nearly-plugin-load=audit.so;my_keyring_udf.so\n");
    let line = "early-plugin-load = keyring_external.so;audit.so;my_keyring_udf.so\n";
    host.setup("plugin", &["--dry-run"]).says(0, &[line]);
    host.setup("plugin", &["--yes"]).says(0, &[line]);
    host.is_well("plugin");
    // Their order is the administrator's.
    let other = "early-plugin-load = audit.so;keyring_external.so;my_keyring_udf.so\n";
    host.write(own, &host.read(own).replace(line, other));
    host.setup("plugin", &["--yes"]).says(0, &["Nothing to change"]);
    host.is_well("plugin");
    // The file that an earlier version wrote. doctor's remedy is enough.
    host.write(own, &host.read(own).replace(other, "early-plugin-load = keyring_external.so\n"));
    host.run(&["doctor", "--offline"]).says(
        1,
        &[
            "WARNING early-plugins: ",
            "my.cnf line 2 loads audit.so;my_keyring_udf.so, but ",
            "early-plugin-load = keyring_external.so;audit.so;my_keyring_udf.so",
        ],
    );
    host.setup("plugin", &["--yes"]).says(0, &["CHANGED    /etc/my.cnf.d/keyring_external.cnf", line]);
    host.is_well("plugin");
    // Another plugin of theirs, while ours names the old ones.
    host.write(
        "etc/my.cnf",
        &host.read("etc/my.cnf").replace("=audit.so;", "=audit=audit.so:extra.so:keyring_external.so;"),
    );
    host.run(&["doctor", "--offline"]).says(1, &["my.cnf line 2 loads extra.so, but "]);
    host.setup("plugin", &["--yes"])
        .says(0, &["early-plugin-load = keyring_external.so;audit.so;my_keyring_udf.so;extra.so\n"]);
    host.is_well("plugin");
}

#[test]
fn another_keyring_is_not_loaded_beside_ours() {
    let host = Host::new(&LAYOUTS[0]);
    host.write("etc/my.cnf", "[mysqld]\nearly-plugin-load=keyring_file.so:audit.so\n");
    host.setup("plugin", &["--dry-run"])
        .says(0, &["early-plugin-load = keyring_external.so;audit.so\n", "ERROR   other-keyring-plugin: "]);
}

/// On this host, not in an image, mysqld itself is asked which options it reads.
#[test]
fn mysqld_itself_must_confirm_the_options() {
    let host = Host::empty();
    host.write("my.cnf", "[mysqld]\n");
    fs::create_dir_all(host.at("plugins")).unwrap();
    let path = |path: &str| host.at(path).display().to_string();
    let answers = |printed: &str| {
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n--defaults-file=*/my.cnf\\ --print-defaults*) echo 'the arguments:'; echo '{printed}';;\nesac\n"
        );
        host.write("script", &script);
        // Another process writes it: a program that this one has open for writing, also in a child of another test,
        // cannot be run.
        let mut install = Command::new("install");
        assert!(install.args(["-m", "0755", &path("script"), &path("mysqld")]).status().unwrap().success());
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyringctl"));
        command.args(["setup", &path("mnt/a/keys/k"), "--allow-same-device", "--as", "plugin", "--yes"]);
        command.args(["--without", "systemd", "--without", "apparmor"]);
        for (option, file) in [
            ("--option-file", "my.cnf"),
            ("--mysqld", "mysqld"),
            ("--plugin-dir", "plugins"),
            ("--datadir", "var/lib/mysql"),
        ] {
            command.args([option, &path(file)]);
        }
        let user = Command::new("id").arg("-un").output().unwrap();
        command.args(["--mysqld-user", String::from_utf8(user.stdout).unwrap().trim()]);
        command.arg("--unlock").arg(format!("file:{}", path("secret"))).arg("--json");
        Ended::of(&command.stdin(Stdio::null()).output().unwrap())
    };
    let data = format!("--keyring_external_data={}", path("mnt/a/keys/k"));
    let failed = answers("--port=3306 --early-plugin-load=keyring_external.so").says(2, &[]).json();
    let why = failed["error"].as_str().unwrap();
    assert!(why.contains("mysqld --print-defaults does not print --keyring-external-data="), "{why}");
    assert!(failed["recovery_key"].is_string() && failed["read_back"].is_null(), "{failed}");
    assert!(failed.get("next").is_none(), "{failed}");
    answers(&format!("--early_plugin_load=keyring_external.so {data}")).says(0, &["Read back: "]);
}
