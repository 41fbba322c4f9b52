// SPDX-License-Identifier: GPL-2.0-or-later
//! Findings about what makes mysqld load the keyring, and about what other keyrings left.

use super::*;

#[test]
fn a_server_without_our_keyring_is_reported() {
    let guest = Guest::new();
    fs::remove_file(guest.at(MANIFEST)).unwrap();
    error(&guest.findings(), "configured", "mysqld does not load keyring_external");
    guest.write(MANIFEST, r#"{"components": "file://component_validate_password"}"#);
    error(&guest.findings(), "configured", "mysqld does not load keyring_external");
}

#[test]
fn a_manifest_that_is_invalid_or_open_to_others_is_reported() {
    let guest = Guest::new();
    guest.write(MANIFEST, "{\"components\": ");
    error(&guest.findings(), "manifest", "it is not JSON");
    let guest = Guest::new();
    guest.chmod(MANIFEST, 0o600);
    error(&findings(&guest.strangers_site(), &|_| {}), "manifest", "mysql has no permission to read");
    guest.chmod(MANIFEST, 0o666);
    warning(&findings(&guest.strangers_site(), &|_| {}), "manifest", "mysql can change");
    error(&guest.with(&|_| {}), "manifest", "other users can change");
}

#[test]
fn a_manifest_that_points_to_the_data_directory_is_followed() {
    let guest = Guest::new();
    fs::rename(guest.at(MANIFEST), guest.at("var/lib/mysql/mysqld.my")).unwrap();
    guest.write(MANIFEST, r#"{"read_local_manifest": true}"#);
    passes(&guest.findings());
    fs::remove_file(guest.at("var/lib/mysql/mysqld.my")).unwrap();
    error(&guest.findings(), "configured", "mysqld does not load keyring_external");
}

#[test]
fn copies_that_the_keyring_refuses_are_reported() {
    let guest = Guest::new();
    fs::remove_file(guest.at(MANIFEST)).unwrap();
    for (option, why) in [
        ("keyring_external_mirrors=/mnt/b/a:b/k", "the mirror b/k must be an absolute path"),
        ("keyring_external_mirrors=/mnt/a/keys/main.keyring", "is named twice"),
        ("keyring_external_min_copies=3", "min_copies is 3, but 2 copies are configured"),
        ("keyring_external_data=keys/main.keyring", "keyring_external_data must be an absolute path"),
    ] {
        guest.write(OPTIONS, &format!("{WITH_PLUGIN}{option}\n"));
        error(&guest.findings(), "plugin-options", why);
    }
    guest.write(OPTIONS, &format!("{WITH_PLUGIN}keyring_external_data=@b/db1\n"));
    assert!(guest.findings().of_check("plugin-options").is_empty());
}

#[test]
fn a_configuration_that_the_component_refuses_is_reported() {
    let guest = Guest::new();
    for (text, mode, words) in [
        ("{", 0o644, "not valid format"),
        (r#"{"path": "/mnt/a/keys/main.keyring"}"#, 0o644, "\"unlock\" is missing"),
        (
            r#"{"path": "/mnt/a/keys/main.keyring", "unlock": "file:/etc/mysql/secret"}"#,
            0o666,
            "written by other users",
        ),
    ] {
        guest.write(CNF, text);
        guest.chmod(CNF, mode);
        error(&guest.findings(), "component-configuration", words);
    }
    fs::remove_file(guest.at(CNF)).unwrap();
    error(&guest.findings(), "component-configuration", "cannot read config file");
}

#[test]
fn a_configuration_that_mysqld_cannot_read_is_reported() {
    let guest = Guest::new();
    guest.chmod(CNF, 0o600);
    if effective_user() == 0 {
        error(
            &findings(&guest.strangers_site(), &|_| {}),
            "component-configuration",
            "mysql has no permission to read",
        );
    }
    guest.write(CNF, r#"{"path": "/mnt/a/keys/main.keyring", "unlock": "file:/etc/mysql/secret", "auto_create": true, "read_only": true}"#);
    warning(&guest.findings(), "auto-create", "ON");
    note(&guest.findings(), "read-only", "ON");
}

#[test]
fn options_of_the_plugin_that_are_missing_or_late_are_reported() {
    let guest = Guest::with_plugin();
    for (line, words) in [
        ("keyring_external=FORCE_PLUS_PERMANENT\n", "FORCE_PLUS_PERMANENT is not set"),
        ("keyring_external_data=/mnt/a/keys/main.keyring\n", "keyring_external_data is not set"),
        ("keyring_external_unlock=file:/etc/mysql/secret\n", "keyring_external_unlock is not set"),
    ] {
        guest.write(OPTIONS, &WITH_PLUGIN.replace(line, ""));
        error(&guest.findings(), "plugin-options", words);
    }
    guest.write(OPTIONS, &WITH_PLUGIN.replace("file:", "fil:"));
    error(&guest.findings(), "plugin-options", "unknown kind");
    guest.write(OPTIONS, &WITH_PLUGIN.replace("early-plugin-load", "plugin-load-add"));
    error(&guest.findings(), "plugin-options", "plugin-load-add");
    guest.write(
        OPTIONS,
        &format!("{WITH_PLUGIN}keyring_external_auto_create\nkeyring_external_allow_same_device=ON\n"),
    );
    warning(&guest.findings(), "auto-create", "ON");
}

#[test]
fn options_of_the_plugin_are_read_as_mysqld_reads_them() {
    let guest = Guest::with_plugin();
    for (more, words) in [
        ("keyring_external_auto_create = maybe", "keyring_external_auto_create = maybe is not a boolean"),
        ("keyring_external_wait = soon", "keyring_external_wait = soon is not a number"),
        ("keyring_external_min_copies", "keyring_external_min_copies has no value"),
        ("skip-keyring_external", "keyring_external is OFF"),
        ("plugin-keyring-external = force-plus", "none that mysqld knows"),
        ("loose_keyring_external", "FORCE_PLUS_PERMANENT is not set"),
    ] {
        guest.write(OPTIONS, &format!("{WITH_PLUGIN}{more}\n"));
        error(&guest.findings(), "plugin-options", words);
    }
    for (more, on) in [
        ("keyring-external_auto-create", true),
        ("loose-enable_keyring_external_auto_create", true),
        ("skip-keyring-external-auto-create = 0", true),
        ("keyring_external_auto_create = \"TRUE\" # for tests", true),
        ("keyring_external_auto_create\ndisable-keyring_external-auto-create", false),
        ("keyring_external_auto_create=1\nkeyring_external_auto_create = off", false),
    ] {
        guest.write(OPTIONS, &format!("{WITH_PLUGIN}{more}\n"));
        let findings = guest.findings();
        assert_eq!(findings.all().iter().any(|f| f.check == "auto-create"), on, "{more}");
        assert!(findings.all().iter().all(|f| f.check != "plugin-options"), "{more}");
    }
    guest.write(OPTIONS, &WITH_PLUGIN.replace("FORCE_PLUS_PERMANENT", "force_p"));
    assert!(guest.findings().all().iter().all(|f| f.check != "plugin-options"));
}

#[test]
fn an_option_file_that_does_not_count_is_reported() {
    let guest = Guest::with_plugin();
    guest.chmod(OPTIONS, 0o666);
    error(&guest.findings(), "option-files", "so MySQL ignores it");
    guest.write(OPTIONS, "[mysqld]\n!includedir /none\n");
    error(&guest.findings(), "option-files", "could not read an option file");
    guest.write(OPTIONS, &format!("{WITH_PLUGIN}!include /none.cnf\n"));
    note(&guest.findings(), "option-files", "includes /none.cnf, which does not exist");
    passes(&guest.findings());
}

#[test]
fn an_option_file_that_is_not_read_is_reported() {
    let guest = Guest::with_plugin();
    fs::create_dir_all(guest.at("etc/my.cnf.d")).unwrap();
    fs::rename(guest.at(OPTIONS), guest.at("etc/my.cnf.d/keyring_external.cnf")).unwrap();
    guest.write(OPTIONS, "[mysqld]\nport=3306\n");
    error(&guest.findings(), "configured", "none of its option files includes it");
    guest.write(OPTIONS, "[mysqld]\nport=3306\n!include /etc/my.cnf.d/keyring_external.cnf\n");
    passes(&guest.findings());
    guest.write(
        "usr/lib/systemd/system/mysql.service",
        &UNIT.replace("sbin/mysqld", "sbin/mysqld --early-plugin-load="),
    );
    error(&guest.findings(), "configured", "mysql.service replaces the early-plugin-load of ");
}

#[test]
fn plugin_and_component_at_once_are_reported() {
    let guest = Guest::new();
    guest.write(OPTIONS, WITH_PLUGIN);
    error(&guest.findings(), "two-keyrings", "line 2");
}

#[test]
fn the_plugin_on_a_server_that_deprecates_it_is_reported() {
    let guest = Guest::with_plugin();
    let mut site = guest.site();
    site.version = Some((8, 4));
    warning(&findings(&site, &|_| {}), "deprecated", "as a plugin");
    site.version = Some((8, 0));
    passes(&findings(&site, &|_| {}));
}

#[test]
fn a_library_that_is_missing_closed_open_or_linked_is_reported() {
    let guest = Guest::new();
    guest.chmod(LIBRARY, 0o600);
    error(&findings(&guest.strangers_site(), &|_| {}), "library", "mysql has no permission to read");
    guest.chmod(LIBRARY, 0o666);
    warning(&guest.findings(), "library", "users other than root can change");
    guest.chmod(LIBRARY, 0o644);
    let other = guest.at("usr/lib/mysql/plugin/keyring_external.so");
    fs::remove_file(&other).unwrap();
    fs::hard_link(guest.at(LIBRARY), &other).unwrap();
    warning(&guest.findings(), "library", "the same file under two names");
    fs::remove_file(guest.at(LIBRARY)).unwrap();
    error(&guest.findings(), "library", "does not exist");
}

#[test]
fn other_keyrings_that_are_still_loaded_are_reported() {
    let guest = Guest::new();
    guest.write(
        MANIFEST,
        r#"{"components": "file://component_keyring_file,file://component_keyring_external"}"#,
    );
    error(&guest.findings(), "other-manifest", "component_keyring_file");
    let guest = Guest::new();
    guest.write(OPTIONS, "[mysqld]\nearly-plugin-load=\"keyring_udf.so;keyring_okv.so\"\n");
    let found = guest.findings();
    error(&found, "other-keyring-plugin", "keyring_okv.so");
    assert_eq!(found.of_check("other-keyring-plugin").len(), 1);
    guest.write(OPTIONS, "[mysqld]\nplugin-load=keyring_udf=keyring_udf.so\n");
    passes(&guest.findings());
}

#[test]
fn unencrypted_keys_of_another_keyring_are_reported() {
    let guest = Guest::new();
    let json = r#"{"version": "1.0", "elements": [{"user": "", "data_id": "a", "data_type": "AES", "data": "00", "extension": []}]}"#;
    guest.write("usr/lib/mysql/plugin/component_keyring_file.cnf", r#"{"read_local_config": true}"#);
    passes(&guest.findings());
    guest.write("var/lib/mysql/component_keyring_file.cnf", r#"{"path": "/srv/keys", "read_only": false}"#);
    guest.write("srv/keys", json);
    guest.write("srv/keys.backup", json);
    let found = guest.findings();
    warning(&found, "other-keyring-configuration", "component_keyring_file.cnf");
    error(&found, "keys-in-clear", "srv/keys holds");
    error(&found, "keys-in-clear", "srv/keys.backup holds");

    let guest = Guest::new();
    let record = "a record that is longer than the digest and the mark at the end";
    guest.write("var/lib/mysql-keyring/keyring", &format!("Keyring file version:2.0{record}EOF"));
    guest.write("var/lib/mysql-keyring/note.txt", "nothing");
    error(&guest.findings(), "keys-in-clear", "mysql-keyring/keyring");
    guest.write(
        "var/lib/mysql-keyring/keyring",
        "Keyring file version:2.0EOF0123456789abcdef0123456789abcdef",
    );
    passes(&guest.findings());
    guest.write(OPTIONS, "[mysqld]\nkeyring_file_data=/srv/old\n");
    guest.write("srv/old", &format!("Keyring file version:2.0{record}EOF"));
    error(&guest.findings(), "keys-in-clear", "srv/old");
}
