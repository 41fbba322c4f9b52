// SPDX-License-Identifier: GPL-2.0-or-later
//! Which copies are found on hosts with different configurations.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

const MANIFEST: &str = r#"{"components": "file://component_keyring_external"}"#;

/// A host whose server uses the copies /mnt/a/k and /mnt/b/k; the second is not mounted.
fn host() -> tempfile::TempDir {
    let host = tempfile::tempdir().unwrap();
    let config = r#"{"path": "/mnt/a/k", "mirrors": ["/mnt/b/k"], "unlock": "file:/etc/secret"}"#;
    for (path, text) in [
        ("usr/sbin/mysqld", ""),
        ("usr/sbin/mysqld.my", MANIFEST),
        ("usr/lib/mysql/plugin/component_keyring_external.cnf", config),
        ("mnt/a/k", "a copy"),
    ] {
        write(host.path(), path, text);
    }
    host
}

fn write(host: &Path, path: &str, text: &str) {
    let path = host.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn args(host: &Path, only_named_copies: bool) -> Others {
    let site = site::Parts { root: host.to_owned(), ..site::Parts::default() };
    Others { server: ServerArgs { only_named_copies, site }, ..Others::default() }
}

/// The copies that are found, below the host, and their unlock source.
fn found(host: &Path, args: &Others, named: &[&str], purpose: Purpose) -> Result<(String, Option<String>)> {
    let named: Vec<_> = named.iter().map(|path| host.join(path)).collect();
    let args = Others { mirrors: named.iter().skip(1).cloned().collect(), ..args.clone() };
    let copies = args.find(named.first(), &secret::Args::default(), purpose)?;
    let real = fs::canonicalize(host).unwrap();
    let below = |path: &PathBuf| path.strip_prefix(&real).unwrap().display().to_string();
    let paths: Vec<_> = copies.paths.iter().map(below).collect();
    let unlock = copies.secret.unlock.map(|source| source.to_string());
    Ok((paths.join(" "), unlock.map(|source| source.replace(&real.display().to_string(), ""))))
}

#[test]
fn without_a_path_all_is_taken_from_the_configuration() {
    let host = host();
    let all = || found(host.path(), &args(host.path(), false), &[], Purpose::Change).unwrap();
    let expected = ("mnt/a/k mnt/b/k".to_owned(), Some("file:/etc/secret".to_owned()));
    assert_eq!(all(), expected);
    let front = found(host.path(), &args(host.path(), false), &[], Purpose::ReadFront).unwrap();
    assert_eq!(front, ("mnt/a/k mnt/b/k".to_owned(), None));
    // The plugin, with an option file and a credential of the unit.
    fs::remove_file(host.path().join("usr/sbin/mysqld.my")).unwrap();
    write(
        host.path(),
        "etc/my.cnf",
        "[mysqld]\nearly-plugin-load=keyring_external.so\nkeyring_external_data=/mnt/a/k\n\
         keyring_external_mirrors=/mnt/b/k:/mnt/c/k\nkeyring_external_unlock=credential:mysqld\n",
    );
    let unit =
        "[Service]\nUser=mysql\nLoadCredential=mysqld:/etc/sealed/secret\nExecStart=/usr/sbin/mysqld\n";
    write(host.path(), "lib/systemd/system/mysql.service", unit);
    let expected = ("mnt/a/k mnt/b/k mnt/c/k".to_owned(), Some("file:/etc/sealed/secret".to_owned()));
    assert_eq!(all(), expected);
    // The command line of the unit overrides the option file.
    let unit = unit.replace("mysqld\n", "mysqld --keyring-external-mirrors=/mnt/d/k\n");
    write(host.path(), "lib/systemd/system/mysql.service", &unit);
    assert_eq!(all().0, "mnt/a/k mnt/d/k");
}

#[test]
fn the_other_copies_of_the_server_are_included_unless_they_are_left_out_on_purpose() {
    let host = host();
    let included =
        |named: &[&str]| found(host.path(), &args(host.path(), false), named, Purpose::Change).unwrap();
    assert_eq!(included(&["mnt/a/k"]), ("mnt/a/k mnt/b/k".to_owned(), None), "the secret was not named");
    assert_eq!(included(&["mnt/b/k"]).0, "mnt/b/k mnt/a/k");
    assert_eq!(included(&["mnt/b/k", "mnt/c/k"]).0, "mnt/b/k mnt/c/k mnt/a/k");
    symlink(host.path().join("mnt/a"), host.path().join("mnt/link")).unwrap();
    fs::hard_link(host.path().join("mnt/a/k"), host.path().join("other")).unwrap();
    assert_eq!(included(&["mnt/link/k"]).0, "mnt/link/k mnt/b/k");
    assert_eq!(included(&["other"]).0, "other mnt/b/k");
    let only = found(host.path(), &args(host.path(), true), &["mnt/a/k"], Purpose::Change).unwrap();
    assert_eq!(only.0, "mnt/a/k");
    let none = found(host.path(), &args(host.path(), true), &[], Purpose::Change).unwrap_err();
    assert!(none.to_string().contains("--only-named-copies needs the path"), "{none}");
}

#[test]
fn a_keyring_that_the_server_does_not_use_may_have_any_copies() {
    let host = host();
    let args = args(host.path(), false);
    let named = |named: &[&str]| found(host.path(), &args, named, Purpose::Change).unwrap().0;
    assert_eq!(named(&["mnt/c/k"]), "mnt/c/k");
    assert_eq!(named(&["mnt/c/k", "mnt/d/k"]), "mnt/c/k mnt/d/k");
    fs::remove_file(host.path().join("usr/sbin/mysqld.my")).unwrap();
    assert_eq!(named(&["mnt/a/k"]), "mnt/a/k");
}

#[test]
fn a_host_without_a_keyring_says_what_was_looked_at() {
    let host = host();
    fs::remove_file(host.path().join("usr/sbin/mysqld.my")).unwrap();
    write(host.path(), "etc/my.cnf", "[mysqld]\nport=1\n");
    write(host.path(), "lib/systemd/system/mysql.service", "[Service]\nExecStart=/usr/sbin/mysqld\n");
    let args = args(host.path(), false);
    let none = || found(host.path(), &args, &[], Purpose::Read).unwrap_err().to_string();
    for looked in ["/etc/my.cnf", "mysql.service", "/usr/sbin/mysqld.my", "Name the keyring file"] {
        assert!(none().contains(looked), "{}", none());
    }
    write(host.path(), "usr/sbin/mysqld.my", "{");
    assert!(none().contains("it is not known which keyring") && none().contains("manifest"), "{}", none());
    let with = |file: &str| {
        let option_files = vec![Path::new("/").join(file)];
        let site = site::Parts { option_files, ..args.server.site.clone() };
        Others { server: ServerArgs { only_named_copies: false, site }, ..Others::default() }
    };
    let none = found(host.path(), &with("etc/none.cnf"), &["mnt/a/k"], Purpose::Read).unwrap_err();
    assert!(none.to_string().contains("none.cnf"), "{none}");
}
