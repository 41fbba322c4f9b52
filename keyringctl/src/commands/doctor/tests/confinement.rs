// SPDX-License-Identifier: GPL-2.0-or-later
//! Findings about AppArmor.

use super::*;
use crate::host::apparmor::{PROFILE_FILE, local_rules};
use crate::host::needs::needs;

/// As far as these paths go, what MySQL's packages bring.
const PROFILE: &str = "/usr/sbin/mysqld {\n  /etc/mysql/** r,\n  /usr/lib/mysql/plugin/ r,\n  /usr/lib/mysql/plugin/*.so* mr,\n\
    /var/lib/mysql/** rwk,\n  #include <local/usr.sbin.mysqld>\n}\n";

#[test]
fn an_apparmor_profile_without_our_rules_is_reported() {
    let guest = Guest::new();
    let profile = PROFILE_FILE.trim_start_matches('/');
    guest.write(profile, PROFILE);
    let found = guest.findings();
    for file in [
        "/usr/sbin/mysqld.my",
        "component_keyring_external.cnf",
        "/mnt/a/keys/main.keyring",
        "/mnt/b/keys/main.keyring.new",
    ] {
        error(&found, "apparmor-rules", file);
    }
    let finding = found.of_check("apparmor-rules")[0];
    assert!(finding.fix.iter().any(|l| l.contains("/usr/sbin/mysqld.my r,")), "{:?}", finding.fix);
    assert!(!finding.what.contains("/etc/mysql/secret"), "{}", finding.what);

    let site = guest.site();
    let rules = local_rules(&needs(&HostView::collect(&site, None, &mut Findings::default()).unwrap().host));
    let local = "etc/apparmor.d/local/usr.sbin.mysqld";
    guest.write(local, &rules);
    passes(&guest.findings());
    guest.write(local, &format!("{rules}deny /mnt/** w,\n"));
    error(&guest.findings(), "apparmor-rules", "denied by another rule");
}

#[test]
fn a_profile_that_is_not_in_force_is_a_note() {
    let guest = Guest::new();
    // A name of their own, as administrators give them.
    guest.write(
        "etc/apparmor.d/mysql",
        &PROFILE.replace("/usr/sbin/mysqld {", "profile mysqld /usr/{,local/}sbin/mysqld flags=(complain) {"),
    );
    let found = guest.findings();
    note(&found, "apparmor-rules", "only logs");
    passes(&found);
    guest.write("etc/apparmor.d/mysql", PROFILE);
    error(&guest.findings(), "apparmor-rules", "does not let mysqld open");
    guest.write("etc/apparmor.d/disable/mysql", "");
    note(&guest.findings(), "apparmor-rules", "is disabled");
}

/// The rules that setup writes for this host.
fn rules_for(guest: &Guest) -> String {
    let site = guest.site();
    local_rules(&needs(&HostView::collect(&site, None, &mut Findings::default()).unwrap().host))
}

#[test]
fn a_profile_that_includes_no_local_file_needs_the_line() {
    let guest = Guest::new();
    let without = PROFILE.replace("#include <local/usr.sbin.mysqld>", "/data/** r,");
    guest.write("etc/apparmor.d/mysqld", &without);
    let fix = |guest: &Guest| guest.findings().of_check("apparmor-rules")[0].fix.join("\n");
    let all = fix(&guest);
    assert!(
        all.starts_with(
            "in /etc/apparmor.d/mysqld, before the closing brace of the profile /usr/sbin/mysqld, which includes no file for \
             local rules:\n    #include <local/mysqld>\nin /etc/apparmor.d/local/mysqld:\n    /usr/sbin/mysqld.my r,"
        ),
        "{all}"
    );
    assert!(
        all.ends_with("then run: apparmor_parser -r -T -W /etc/apparmor.d/mysqld") && !all.contains("setup"),
        "{all}"
    );
    // The rules are there, but nothing includes them.
    guest.write("etc/apparmor.d/local/mysqld", &rules_for(&guest));
    let line_only = fix(&guest);
    assert!(line_only.contains("#include <local/mysqld>") && !line_only.contains("mysqld.my"), "{line_only}");
    guest.write("etc/apparmor.d/mysqld", &without.replace("}\n", "include if exists <local/mysqld>\n}\n"));
    passes(&guest.findings());
}

#[test]
fn a_second_file_with_the_profile_is_reported() {
    let guest = Guest::new();
    guest.write("etc/apparmor.d/usr.sbin.mysqld", PROFILE);
    guest.write("etc/apparmor.d/local/usr.sbin.mysqld", &rules_for(&guest));
    for kept in ["usr.sbin.mysqld.bak~", "usr.sbin.mysqld.dpkg-old"] {
        guest.write(&format!("etc/apparmor.d/{kept}"), "/usr/sbin/mysqld {\n}\n");
    }
    passes(&guest.findings());
    guest.write("etc/apparmor.d/usr.sbin.mysqld.bak", "/usr/sbin/mysqld {\n}\n");
    let found = guest.findings();
    warning(&found, "apparmor-rules", "both contain the profile /usr/sbin/mysqld");
    error(&found, "apparmor-rules", "usr.sbin.mysqld.bak does not let mysqld open");
}
