// SPDX-License-Identifier: GPL-2.0-or-later
//! Findings about AppArmor and SELinux.

use super::super::selinux::policy::{Answer, DistributedPolicies, Policy};
use super::super::selinux::{examination::Examination, examine};
use super::*;
use crate::commands::selinux::Mode;
use crate::host::apparmor::{PROFILE_FILE, local_rules};
use crate::host::needs::needs;
use crate::host::selinux::{Access, PASS};

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
    let file = |name: &str| guest.at("etc/apparmor.d").join(name).display().to_string();
    let start = format!(
        "in {}, before the closing brace of the profile /usr/sbin/mysqld, which includes no file for local rules:\n    \
         #include <local/mysqld>\nin {}:\n    /usr/sbin/mysqld.my r,",
        file("mysqld"),
        file("local/mysqld")
    );
    assert!(all.starts_with(&start), "{all}");
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

/// Findings on a host whose files all have labels from `label`, with an image's or a running system's SELinux.
fn labelled(
    guest: &Guest,
    mode: Mode,
    policy: &dyn Policy,
    label: &dyn Fn(&str) -> Option<&'static str>,
) -> Findings {
    let site = guest.site();
    let mut view = HostView::collect(&site, None, &mut Findings::default()).unwrap();
    view.mounts = mounts::mounts(MOUNTS, Path::new("/"));
    view.sys = guest.at("sys");
    let label = |place: &Path| {
        let seen = site.seen(place);
        label(&seen.to_string_lossy()).map(|kind| format!("system_u:object_r:{kind}:s0"))
    };
    let mut found = Findings::default();
    examine(&Examination { view: &view, mode, label: &label, policy }, &mut found);
    found
}

/// The labels of a host in good order.
fn right(path: &str) -> Option<&'static str> {
    Some(match path {
        "/usr/sbin/mysqld" => "mysqld_exec_t",
        "/usr/sbin/mysqld.my" => "bin_t",
        _ if path.starts_with("/usr/lib") => "lib_t",
        _ if path.starts_with("/etc/my") => "mysqld_etc_t",
        _ if path.starts_with("/mnt/a/keys") || path.starts_with("/mnt/b/keys") => "mysqld_db_t",
        _ if path.starts_with("/run/credentials") => "ramfs_t",
        _ => "mnt_t",
    })
}

fn fix_of(found: &Findings, check: &str) -> String {
    found.of_check(check)[0].fix.join("\n")
}

#[test]
fn labels_that_mysqld_may_use_are_no_finding() {
    for guest in [Guest::new(), Guest::with_plugin()] {
        for mode in [Mode::Enforcing, Mode::Permissive, Mode::Image] {
            let found = labelled(&guest, mode, &DistributedPolicies, &right);
            assert!(found.all().is_empty(), "{:#?}", found.all());
        }
    }
}

#[test]
fn each_file_with_another_label_is_reported_with_the_command() {
    for (wrong, level, fix) in [
        ("/mnt/a/keys", FindingLevel::Error, "restorecon -RFv /mnt/a/keys"),
        ("/mnt/b/keys/main.keyring", FindingLevel::Error, "restorecon -RFv /mnt/b/keys"),
        ("/etc/mysql/secret", FindingLevel::Warning, "restorecon -Fv /etc/mysql/secret"),
        ("/usr/sbin/mysqld.my", FindingLevel::Warning, "restorecon -Fv /usr/sbin/mysqld.my"),
        (
            "/usr/lib/mysql/plugin/component_keyring_external.cnf",
            FindingLevel::Warning,
            "restorecon -Fv /usr/lib/mysql/plugin/component_keyring_external.cnf",
        ),
        (
            "/usr/lib/mysql/plugin/component_keyring_external.so",
            FindingLevel::Warning,
            "restorecon -Fv /usr/lib/mysql/plugin/component_keyring_external.so",
        ),
    ] {
        let guest = Guest::new();
        let label =
            |path: &str| if path == wrong { Some("user_home_t") } else { right(path.trim_end_matches('/')) };
        let label = |path: &str| label(path.trim_end_matches('/'));
        let found = labelled(&guest, Mode::Enforcing, &DistributedPolicies, &label);
        reports(&found, "selinux-label", level, "user_home_t");
        assert_eq!(found.all().len(), 1, "{wrong}: {:#?}", found.all());
        assert!(fix_of(&found, "selinux-label").ends_with(fix), "{:?}", found.all());
        let logged = labelled(&guest, Mode::Permissive, &DistributedPolicies, &label);
        note(&logged, "selinux-label", "It is permissive now");
    }
    let everything = labelled(&Guest::new(), Mode::Enforcing, &DistributedPolicies, &|path| {
        if path == "/usr/sbin/mysqld" { right(path) } else { Some("unlabeled_t") }
    });
    assert_eq!(everything.of_check("selinux-label").len(), 6, "{:#?}", everything.all());
}

#[test]
fn a_volume_without_labels_needs_a_mount_option() {
    let guest = Guest::new();
    let site = guest.site();
    for (from, to) in
        [("ext4 /dev/sdb1 rw", "vfat /dev/sdb1 rw"), ("ext4 /dev/sda1 rw", "ext4 /dev/sda1 rw,seclabel")]
    {
        let mut view = HostView::collect(&site, None, &mut Findings::default()).unwrap();
        view.mounts = mounts::mounts(&MOUNTS.replace(from, to), Path::new("/"));
        let mut found = Findings::default();
        let label = |place: &Path| {
            let kind = if place.starts_with(guest.at("mnt/a")) {
                "dosfs_t"
            } else {
                right(&site.seen(place).to_string_lossy())?
            };
            Some(format!("system_u:object_r:{kind}:s0"))
        };
        examine(
            &Examination { view: &view, mode: Mode::Enforcing, label: &label, policy: &DistributedPolicies },
            &mut found,
        );
        assert_eq!(
            fix_of(&found, "selinux-label"),
            "in /etc/fstab, add to the options of /mnt/a: context=system_u:object_r:mysqld_db_t:s0\n\
             then run: umount /mnt/a && mount /mnt/a",
            "{to}"
        );
    }
}

/// A policy that refuses what the function says.
struct Refusing(fn(&str, &Access) -> bool);

impl Policy for Refusing {
    fn answer(&self, context: &str, access: &Access) -> Answer {
        if (self.0)(context, access) { Answer::Refused(access.permissions.to_vec()) } else { Answer::Granted }
    }
}

#[test]
fn the_loaded_policy_decides() {
    let guest = Guest::new();
    let own = Refusing(|_, _| false);
    let found = labelled(&guest, Mode::Enforcing, &own, &|path| {
        if path == "/usr/sbin/mysqld" { right(path) } else { Some("site_keys_t") }
    });
    assert!(found.all().is_empty(), "the administrator's own types: {:#?}", found.all());
    let strict = Refusing(|context, access| access == &PASS && context.contains("mnt_t"));
    let found = labelled(&guest, Mode::Enforcing, &strict, &right);
    error(&found, "selinux-label", "/mnt and ");
    assert_eq!(found.of_check("selinux-label").len(), 1, "one rule is for all of them: {:#?}", found.all());
    assert_eq!(
        fix_of(&found, "selinux-label"),
        "echo '(allow mysqld_t mnt_t (dir (search)))' > keyring_external_mnt_t.cil\nsemodule -i keyring_external_mnt_t.cil"
    );
    let no_lock = Refusing(|_, access| access.permissions.contains(&"lock"));
    let found = labelled(&guest, Mode::Enforcing, &no_lock, &right);
    error(&found, "selinux-label", "(no open, read, write");
    assert!(
        fix_of(&found, "selinux-label").contains("(allow mysqld_t mysqld_db_t (file ("),
        "{:?}",
        found.all()
    );
}

#[test]
fn a_mysqld_that_selinux_does_not_confine_is_a_note() {
    let guest = Guest::new();
    let found = labelled(&guest, Mode::Enforcing, &DistributedPolicies, &|_| Some("usr_t"));
    note(&found, "selinux-label", "has the label system_u:object_r:usr_t:s0, not mysqld_exec_t");
    assert_eq!(found.all().len(), 1);
}

#[test]
fn labels_in_an_image_are_read_from_its_files() {
    if effective_user() != 0 {
        return println!("skipped: only root can set labels");
    }
    let guest = Guest::new();
    passes(&guest.findings());
    guest.write("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n");
    let found = guest.findings();
    note(&found, "selinux-label", "cannot read the SELinux label");
    assert!(fix_of(&found, "selinux-label").contains("'/mnt/a/keys(/.*)?'"), "{:?}", found.all());
    let site = guest.site();
    let view = HostView::collect(&site, None, &mut Findings::default()).unwrap();
    let set = |place: &Path, kind: &str| {
        let context = format!("system_u:object_r:{kind}:s0\0");
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(place, "security.selinux", context.as_bytes(), flags).unwrap();
    };
    for need in needs(&view.host) {
        let place = site.at(&need.path);
        if place.exists() {
            set(&place, right(need.path.to_string_lossy().trim_end_matches('/')).unwrap());
        }
    }
    assert!(guest.findings().of_check("selinux-label").is_empty());
    set(&guest.at(KEYRING), "user_home_t");
    error(&guest.findings(), "selinux-label", "mnt/a/keys/main.keyring, the keyring: its label is");
    guest.write("etc/selinux/config", "SELINUX=disabled\n");
    assert!(guest.findings().of_check("selinux-label").is_empty());
}

fn with_source(source: &str) -> Guest {
    let guest = Guest::new();
    let text = fs::read_to_string(guest.at(CNF)).unwrap();
    guest.write(CNF, &text.replace("file:/etc/mysql/secret", source));
    guest
}

#[test]
fn a_program_that_may_not_use_the_network_is_a_note() {
    let guest = with_source("command:/usr/bin/get-secret");
    guest.write("usr/bin/get-secret", "");
    let label = |path: &str| if path == "/usr/bin/get-secret" { Some("bin_t") } else { right(path) };
    let found = || labelled(&guest, Mode::Enforcing, &DistributedPolicies, &label);
    assert!(found().all().is_empty(), "this policy has no such boolean: {:#?}", found().all());
    guest.write("sys/fs/selinux/booleans/mysql_connect_any", "0 0");
    guest.write("sys/fs/selinux/booleans/mysql_connect_http", "0 0");
    note(&found(), "selinux-boolean", "(mysql_connect_http and mysql_connect_any off)");
    assert!(fix_of(&found(), "selinux-boolean").contains("setsebool -P mysql_connect_http on"));
    guest.write("sys/fs/selinux/booleans/mysql_connect_http", "1 1");
    assert!(found().all().is_empty());
}

#[test]
fn a_credential_that_selinux_refuses_is_reported() {
    let guest = with_source("credential:keyring");
    let found = |policy: &dyn Policy| labelled(&guest, Mode::Enforcing, policy, &right);
    warning(
        &found(&DistributedPolicies),
        "selinux-credential",
        "likely to refuse mysqld its credential keyring",
    );
    guest.write("run/credentials/mysql.service/keyring", "");
    warning(&found(&DistributedPolicies), "selinux-credential", "likely to refuse");
    let strict = Refusing(|context, _| context.contains("ramfs_t"));
    error(&found(&strict), "selinux-credential", "its label is system_u:object_r:ramfs_t:s0");
    assert!(
        fix_of(&found(&strict), "selinux-credential").contains(
            "(allow mysqld_t ramfs_t (dir (search)))(allow mysqld_t ramfs_t (file (open read getattr)))"
        ),
        "{:#?}",
        found(&strict).all()
    );
    assert!(found(&Refusing(|_, _| false)).all().is_empty());
}

#[test]
fn a_systemd_without_credentials_is_reported() {
    let guest = with_source("credential:keyring");
    guest.write("usr/lib/systemd/libsystemd-shared-247.so", "");
    assert!(guest.findings().of_check("systemd-credentials").is_empty());
    fs::remove_file(guest.at("usr/lib/systemd/libsystemd-shared-247.so")).unwrap();
    guest.write("usr/lib/systemd/libsystemd-shared-239.so", "");
    error(&guest.findings(), "systemd-credentials", "systemd 239 has none: they need systemd 247 or later");
    assert!(Guest::new().findings().of_check("systemd-credentials").is_empty());
}
