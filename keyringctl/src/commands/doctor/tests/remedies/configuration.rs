// SPDX-License-Identifier: GPL-2.0-or-later
//! Fixes of what makes mysqld load the keyring, and of what other keyrings left.

use super::*;
use keyring_external::audit::{AuditLog, Event, EventKind, Reports, Settings};
use keyring_external::config::Forward;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{Keyring, load_beside_others};

pub(super) fn follow(all: &mut Followed) {
    manifests(all);
    component_file(all);
    options(all);
    option_files(all);
    not_loaded(all);
    libraries(all);
    audit_log(all);
    lines_of_the_audit_log(all);
    leftovers(all);
}

/// The fix is `keyringctl setup`, which asks for what it needs.
fn answers(guest: &Guest, way: &str) {
    let root = guest.0.path().display();
    let command = format!(
        "keyringctl setup --root {root} /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --unlock file:/etc/mysql/secret"
    );
    let command = format!("{command} --as {way}");
    Administrator::new(guest).follow(&[command], 0);
}

fn manifests(all: &mut Followed) {
    let guest = component();
    guest.write(MANIFEST, "{\"components\": ");
    all.fix(&guest, "manifest", "it is not JSON", 0, &nothing);
    let guest = with_account(component());
    guest.chmod(MANIFEST, 0o600);
    all.fix(&guest, "manifest", "no permission to read", 0, &nothing);
    guest.chmod(MANIFEST, 0o666);
    all.fix(&guest, "manifest", "mysql can change", 0, &nothing);
    let guest = component();
    guest.chmod(MANIFEST, 0o666);
    all.fix(&guest, "manifest", "other users can change", 0, &nothing);
    let guest = component();
    fs::rename(guest.at(MANIFEST), guest.at("var/lib/mysql/mysqld.my")).unwrap();
    guest.write(MANIFEST, r#"{"read_local_manifest": true}"#);
    guest.write("var/lib/mysql/mysqld.my", "{");
    all.fix(&guest, "manifest", "it is not JSON", 0, &nothing);
}

fn component_file(all: &mut Followed) {
    let again = |guest: &Guest| answers(guest, "component");
    for text in ["{", r#"{"path": "/mnt/a/keys/main.keyring"}"#] {
        let guest = component();
        guest.write(CNF, text);
        all.fix(&guest, "component-configuration", "config file", 0, &again);
    }
    let guest = component();
    fs::remove_file(guest.at(CNF)).unwrap();
    all.fix(&guest, "component-configuration", "cannot read config file", 0, &again);
    let guest = component();
    replace(&guest, CNF, "\"unlock\"", "\"min_copies\": 3, \"unlock\"");
    all.fix(&guest, "component-configuration", "min_copies", 0, &|guest| {
        replace(guest, CNF, "\"min_copies\": 3, ", "");
    });
    let guest = with_account(component());
    guest.chmod(CNF, 0o600);
    all.fix(&guest, "component-configuration", "no permission to read", 0, &nothing);
    for local in [false, true] {
        let guest = component();
        replace(&guest, CNF, "{", r#"{"auto_create": true, "#);
        if local {
            fs::rename(guest.at(CNF), guest.at("var/lib/mysql/component_keyring_external.cnf")).unwrap();
            guest.write(CNF, r#"{"read_local_config": true}"#);
        }
        all.fix(&guest, "auto-create", "ON", 0, &nothing);
    }
}

fn options(all: &mut Followed) {
    for line in [
        "keyring_external=FORCE_PLUS_PERMANENT\n",
        "keyring_external_data=/mnt/a/keys/main.keyring\n",
        "keyring_external_unlock=file:/etc/mysql/secret\n",
    ] {
        let guest = plugin();
        replace(&guest, OPTIONS, line, "");
        all.fix(&guest, "plugin-options", "is not set", 0, &|guest| {
            // The path and the source are examples.
            if line.contains("_data") {
                replace(guest, OPTIONS, "/mnt/keyring/keys/main.keyring", "/mnt/a/keys/main.keyring");
            } else if line.contains("_unlock") {
                replace(guest, OPTIONS, "file:/etc/mysql/keyring_external.secret", "file:/etc/mysql/secret");
            }
        });
    }
    for (more, words) in [
        ("skip-keyring_external", "keyring_external is OFF"),
        ("plugin-keyring-external = force-plus", "none that mysqld knows"),
        ("keyring_external=ON", "FORCE_PLUS_PERMANENT is not set"),
    ] {
        let guest = plugin();
        guest.write(OPTIONS, &format!("{WITH_PLUGIN}{more}\n"));
        all.fix(&guest, "plugin-options", words, 0, &nothing);
    }
    for (more, words) in [
        ("keyring_external_auto_create = maybe", "is not a boolean"),
        ("keyring_external_wait = soon", "is not a number"),
        ("keyring_external_min_copies = 3", "min_copies is 3"),
        ("keyring_external_unlock = fil:x", "unknown kind"),
        ("keyring_external_audit_log = audit.log", "must be the absolute path"),
        ("keyring_external_mirorrs = /mnt/b/keys/main.keyring", "has no option"),
    ] {
        let guest = plugin();
        guest.write(OPTIONS, &format!("{WITH_PLUGIN}{more}\n"));
        let found = seen(&guest);
        let fix = found.all().iter().find(|f| f.what.contains(words)).unwrap().fix.join("\n");
        assert!(fix.contains("etc/my.cnf"), "{fix}");
        all.fix(&guest, "plugin-options", words, 0, &|guest| guest.write(OPTIONS, WITH_PLUGIN));
    }
    let guest = component();
    guest.write(
        OPTIONS,
        "[mysqld]\nloose_keyring_external_wait=1\nkeyring_external_data=/x\nkeyring-external_unlock=file:/s\n",
    );
    let found = seen(&guest);
    let what = &found.of_check("plugin-options").first().unwrap().what;
    assert!(what.contains("line 3") && what.contains("line 4") && !what.contains("line 2"), "{what}");
    all.fix(&guest, "plugin-options", "nothing loads it", 0, &nothing);
    let guest = plugin();
    replace(&guest, OPTIONS, "early-plugin-load", "plugin-load-add");
    all.fix(&guest, "plugin-options", "plugin-load-add", 0, &nothing);
    let guest = plugin();
    guest.write(OPTIONS, &format!("{WITH_PLUGIN}keyring_external_auto_create\n"));
    all.fix(&guest, "auto-create", "ON", 0, &nothing);
    for way in [0, 1] {
        let guest = plugin();
        guest.write(OPTIONS, &WITH_PLUGIN.replace("[mysqld]\n", "[mysqld]\nearly-plugin-load=auth.so\n"));
        all.fix(&guest, "early-plugins", "replaces that line", way, &|guest| {
            if way == 1 {
                guest.write(OPTIONS, WITH_PLUGIN);
            }
        });
    }
    let guest = component();
    guest.write(OPTIONS, WITH_PLUGIN);
    all.fix(&guest, "two-keyrings", "loads both the component", 0, &nothing);
    // As setup writes them: an option file of its own.
    let guest = component();
    guest.write("etc/keyring_external.cnf", WITH_PLUGIN);
    guest.write(OPTIONS, "[mysqld]\nport=3306\n!include /etc/keyring_external.cnf\n");
    all.fix(&guest, "two-keyrings", "loads both the component", 0, &nothing);
    let guest = plugin();
    let newer = |guest: &Guest| {
        let mut site = guest.site();
        site.version = Some((8, 4));
        findings(&site, &|view| read_files(guest, view))
    };
    all.fix_with(&guest, "deprecated", "as a plugin", 0, &newer, &|_, _| {});
}

fn option_files(all: &mut Followed) {
    let guest = plugin();
    guest.chmod(OPTIONS, 0o666);
    all.fix(&guest, "option-files", "so MySQL ignores it", 0, &nothing);
    let guest = plugin();
    guest.write(OPTIONS, &format!("{WITH_PLUGIN}!includedir /none\n"));
    all.fix(&guest, "option-files", "could not read an option file", 0, &|guest| {
        guest.write(OPTIONS, WITH_PLUGIN);
    });
    let guest = component();
    guest.write(OPTIONS, "[mysqld]\nport=3306\n!include /etc/keyring_external.cnf\n");
    all.fix(&guest, "option-files", "which does not exist", 0, &nothing);
    let guest = with_account(plugin());
    guest.chmod(OPTIONS, 0o600);
    all.fix(&guest, "option-files", "no permission to read", 0, &nothing);
}

fn not_loaded(all: &mut Followed) {
    let guest = component();
    fs::remove_file(guest.at(MANIFEST)).unwrap();
    all.fix(&guest, "configured", "mysqld does not load keyring_external", 0, &nothing);
    for way in [0, 1] {
        let guest = plugin();
        fs::create_dir_all(guest.at("etc/my.cnf.d")).unwrap();
        fs::rename(guest.at(OPTIONS), guest.at("etc/my.cnf.d/keyring_external.cnf")).unwrap();
        guest.write(OPTIONS, "[mysqld]\nport=3306\n");
        all.fix(&guest, "configured", "none of its option files includes it", way, &|guest| {
            if way == 0 {
                answers(guest, "plugin");
            }
        });
    }
    let guest = plugin();
    guest.write(OPTIONS, &format!("{WITH_PLUGIN}early-plugin-load=auth.so\n"));
    all.fix(&guest, "configured", "replaces the early-plugin-load of", 0, &nothing);
    let guest = component();
    fs::remove_file(guest.at(MANIFEST)).unwrap();
    let snap = |guest: &Guest| {
        let mut site = guest.site();
        if !guest.at(MANIFEST).exists() {
            site.mysqld = "/snap/mysql/1/usr/sbin/mysqld".into();
        }
        findings(&site, &|view| read_files(guest, view))
    };
    all.fix_with(&guest, "configured", "is in a snap", 0, &snap, &|guest, _| answers(guest, "component"));
}

fn libraries(all: &mut Followed) {
    let guest = with_account(component());
    guest.chmod(LIBRARY, 0o600);
    all.fix(&guest, "library", "no permission to read", 0, &nothing);
    guest.chmod(LIBRARY, 0o666);
    all.fix(&guest, "library", "users other than root can change", 0, &nothing);
    let guest = component();
    let other = guest.at("usr/lib/mysql/plugin/keyring_external.so");
    fs::remove_file(&other).unwrap();
    fs::hard_link(guest.at(LIBRARY), &other).unwrap();
    all.fix(&guest, "library", "the same file under two names", 0, &nothing);
    fs::remove_file(guest.at(LIBRARY)).unwrap();
    all.fix(&guest, "library", "does not exist", 0, &|guest| guest.write(LIBRARY, "a library"));
}

fn audit_log(all: &mut Followed) {
    let log = "var/log/mysql/audit.log";
    let own = |guest: &Guest, path: &str| std::os::unix::fs::chown(guest.at(path), Some(0), Some(0)).unwrap();
    let guest = with_account(component());
    replace(&guest, CNF, "\"unlock\"", "\"audit_log\": \"/var/log/mysql/audit.log\", \"unlock\"");
    all.fix(&guest, "audit-log", "does not exist", 0, &nothing);
    own(&guest, "var/log/mysql");
    all.fix(&guest, "audit-log", "no permission to create the audit log", 0, &nothing);
    guest.write(log, "");
    own(&guest, log);
    all.fix(&guest, "audit-log", "no permission to write the audit log", 0, &nothing);
    guest.chmod(log, 0o666);
    all.fix(&guest, "audit-log", "other users can change", 0, &nothing);
    fs::remove_file(guest.at(log)).unwrap();
    fs::create_dir(guest.at(log)).unwrap();
    all.fix(&guest, "audit-log", "is not a regular file", 0, &nothing);
}

const LOG: &str = "var/log/mysql/audit.log";

fn opened(guest: &Guest) -> Keyring {
    let places = crate::commands::store_places::store_places();
    let source = guest.source();
    let paths = [guest.at(KEYRING), guest.at(MIRROR)];
    load_beside_others(&places, &paths, 2, "the secret", || source.read(), |_, _| {}).unwrap()
}

fn opened_with_log(guest: &Guest) -> Keyring {
    let keyring = opened(guest);
    let settings = Settings {
        path: guest.at(LOG),
        forward: Forward::No,
        server: None,
        who: serde_json::json!({ "program": "mysqld" }),
        owner: None,
    };
    let reports = Reports { failing: |why| panic!("{why}"), recovered: |_| {} };
    keyring.audit_to(Arc::new(AuditLog::new(settings, reports)));
    keyring
}

/// Stores a key, which is announced in the log and noted in both copies.
fn store_with_log(guest: &Guest, id: &str) {
    let name = NameRef::new(id.as_bytes(), b"").unwrap();
    opened_with_log(guest).store(name, &KeyType::new(b"AES").unwrap(), &[7; 32]).unwrap();
}

fn with_log() -> Guest {
    let guest = component();
    replace(&guest, CNF, "\"unlock\"", "\"audit_log\": \"/var/log/mysql/audit.log\", \"unlock\"");
    fs::create_dir_all(guest.at("var/log/mysql")).unwrap();
    ["one", "two", "three"].iter().for_each(|id| store_with_log(&guest, id));
    passes(&seen(&guest));
    guest
}

fn lines_of_the_audit_log(all: &mut Followed) {
    // Without its last line, as it was before the last change, and with another word in a line.
    let guest = with_log();
    let whole = fs::read_to_string(guest.at(LOG)).unwrap();
    let count = whole.lines().count();
    let older: String = whole.split_inclusive('\n').take(count - 1).collect();
    for (text, words) in [
        (older, format!("lines are missing at the end: number {count}")),
        (whole.replacen("key_stored", "key_stolen", 1), "line 2: the line was changed".to_owned()),
    ] {
        fs::write(guest.at(LOG), &text).unwrap();
        let found = seen(&guest);
        error(&found, "audit-log", &words);
        // Without the secret, the note tells that much too.
        error(&guest.with(&|view| view.secret = Some("env:KX_NOT_SET".parse().unwrap())), "audit-log", "");
        let back = |guest: &Guest| fs::write(guest.at(LOG), &whole).unwrap();
        all.fix(&guest, "audit-log", "was changed, or lines of it are missing", 0, &back);
    }
    // A rotation is no fault.
    let renamed = |guest: &Guest| fs::rename(guest.at(LOG), guest.at("var/log/mysql/audit.log.1")).unwrap();
    renamed(&guest);
    passes(&seen(&guest));
    store_with_log(&guest, "four");
    passes(&seen(&guest));

    let guest = with_log();
    let kept = guest.at("var/log/kept");
    let back = |guest: &Guest| fs::rename(&kept, guest.at("var/log/mysql/audit.log.1")).unwrap();
    fs::rename(guest.at(LOG), &kept).unwrap();
    all.fix(&guest, "audit-log", "but there is no log at", 0, &back);
    // It was removed, and the server goes on with another one.
    let guest = with_log();
    let kept = guest.at("var/log/kept");
    let back = |guest: &Guest| fs::rename(&kept, guest.at("var/log/mysql/audit.log.1")).unwrap();
    fs::rename(guest.at(LOG), &kept).unwrap();
    store_with_log(&guest, "four");
    all.fix(&guest, "audit-log", "this log began when the keyring already noted a line", 0, &back);
    let away =
        |guest: &Guest| fs::rename(guest.at("var/log/mysql/audit.log.old"), guest.at("var/other")).unwrap();
    guest.write("var/log/mysql/audit.log.old", "text\n");
    all.fix(&guest, "audit-log", "no line of an audit log is in it", 0, &away);
    // What cannot be unpacked hides nothing of the rest.
    let guest = with_log();
    guest.write("var/log/mysql/audit.log.6.gz", "no gzip");
    let whole = fs::read_to_string(guest.at(LOG)).unwrap();
    fs::write(guest.at(LOG), whole.replacen("key_stored", "key_stolen", 1)).unwrap();
    error(&seen(&guest), "audit-log", "line 2: the line was changed");
    fs::write(guest.at(LOG), &whole).unwrap();
    let away =
        |guest: &Guest| fs::rename(guest.at("var/log/mysql/audit.log.6.gz"), guest.at("var/other")).unwrap();
    all.fix(
        &guest,
        "audit-log",
        "audit.log.6.gz, which has a name like the files of the log: it cannot be unpacked",
        0,
        &away,
    );
    // The data key was renewed without the log, which has a line after the noted one.
    let guest = with_log();
    let line = |guest: &Guest| opened_with_log(guest).record(&Event::new(EventKind::Opened));
    line(&guest);
    let keyring = opened(&guest);
    keyring.allow_rekey_without_audit_log();
    keyring.rekey(&[], false).unwrap();
    all.fix(&guest, "audit-log", "this line (number 5, of ", 0, &line);
    note(&seen(&guest), "audit-log", "nobody could check line 5, of ");
    // The setting was removed.
    let guest = with_log();
    replace(&guest, CNF, "\"audit_log\": \"/var/log/mysql/audit.log\", ", "");
    note(
        &seen(&guest),
        "audit-log",
        "the keyring notes an audit log, but the server is configured with none",
    );
}

fn leftovers(all: &mut Followed) {
    let guest = component();
    guest.write(
        MANIFEST,
        r#"{"components": "file://component_keyring_file,file://component_keyring_external"}"#,
    );
    all.fix(&guest, "other-manifest", "component_keyring_file", 0, &nothing);
    let guest = component();
    guest.write(OPTIONS, "[mysqld]\nearly-plugin-load=keyring_okv.so\n");
    all.fix(&guest, "other-keyring-plugin", "keyring_okv.so", 0, &|guest| guest.write(OPTIONS, "[mysqld]\n"));
    let guest = component();
    let json = r#"{"version": "1.0", "elements": [{"user": "", "data_id": "a", "data_type": "AES", "data": "00", "extension": []}]}"#;
    guest.write("var/lib/mysql/component_keyring_file.cnf", r#"{"path": "/srv/keys", "read_only": false}"#);
    guest.write("srv/keys", json);
    all.fix(&guest, "keys-in-clear", "srv/keys holds", 0, &nothing);
    all.fix(&guest, "other-keyring-configuration", "component_keyring_file.cnf", 0, &nothing);
}
