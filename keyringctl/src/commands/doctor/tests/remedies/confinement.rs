// SPDX-License-Identifier: GPL-2.0-or-later
//! Fixes of AppArmor and SELinux. The kernel's part is simulated: a profile counts as its files say, a label as `restorecon`
//! was told, a rule of SELinux when its module was loaded.

use super::super::super::selinux::policy::{Answer, DistributedPolicies, Policy};
use super::super::super::selinux::{examination::Examination, examine};
use super::*;
use crate::commands::selinux::Mode;
use crate::host::selinux::{Access, PASS};

const PROFILE: &str = "/usr/sbin/mysqld {\n  /etc/mysql/** r,\n  /usr/lib/mysql/plugin/ r,\n  /usr/lib/mysql/plugin/*.so* mr,\n\
    /var/lib/mysql/** rwk,\n  #include <local/usr.sbin.mysqld>\n}\n";

pub(super) fn follow(all: &mut Followed) {
    profiles(all);
    labels(all);
    credential(all);
}

fn profiles(all: &mut Followed) {
    let guest = component();
    guest.write("etc/apparmor.d/usr.sbin.mysqld", PROFILE);
    guest.write("etc/apparmor.d/local/usr.sbin.mysqld", "");
    all.fix(&guest, "apparmor-rules", "does not let mysqld open", 0, &nothing);
    // The profile includes no local file: as the fix says, and by setup.
    let without = PROFILE.replace("#include <local/usr.sbin.mysqld>", "/data/** r,");
    let guest = component();
    guest.write("etc/apparmor.d/mysqld", &without);
    all.fix(&guest, "apparmor-rules", "does not let mysqld open", 0, &nothing);
    let guest = component();
    guest.write("etc/apparmor.d/mysqld", &without);
    let fix = [format!(
        "keyringctl setup --root {} /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --unlock file:/etc/mysql/secret --as component",
        guest.0.path().display()
    )];
    Administrator::new(&guest).follow(&fix, 0);
    assert!(seen(&guest).of_check("apparmor-rules").is_empty(), "{:#?}", seen(&guest).all());
    let guest = component();
    guest.write("etc/apparmor.d/usr.sbin.mysqld", &PROFILE.replace("/etc/mysql/** r", "deny /mnt/** w"));
    all.fix(&guest, "apparmor-rules", "denied by another rule", 0, &|guest| {
        replace(guest, "etc/apparmor.d/usr.sbin.mysqld", "deny /mnt/** w,", "");
    });
    guest.write("etc/apparmor.d/usr.sbin.mysqld.bak", "/usr/sbin/mysqld {\n}\n");
    all.fix(&guest, "apparmor-rules", "both contain the profile", 0, &|guest| {
        fs::remove_file(guest.at("etc/apparmor.d/usr.sbin.mysqld.bak")).unwrap();
    });
}

/// The labels of a host in good order, or those of this path.
fn label_of<'l>(path: &str, wrong: &str, label: &'l str) -> &'l str {
    match path.trim_end_matches('/') {
        path if path == wrong => label,
        "/usr/sbin/mysqld" => "mysqld_exec_t",
        "/usr/sbin/mysqld.my" => "bin_t",
        path if path.starts_with("/usr/lib") => "lib_t",
        path if path.starts_with("/etc/my") => "mysqld_etc_t",
        path if path.starts_with("/mnt/a/keys") || path.starts_with("/mnt/b/keys") => "mysqld_db_t",
        path if path.starts_with("/run/credentials") => "ramfs_t",
        _ => "mnt_t",
    }
}

/// The findings, and the state that commands change.
fn look(guest: &Guest, wrong: &str, label: &str, policy: &dyn Policy) -> Findings {
    let site = guest.site();
    let mut view = HostView::collect(&site, None, &mut Findings::default()).unwrap();
    read_files(guest, &mut view);
    view.sys = guest.at("sys");
    let label = |place: &Path| {
        let seen = site.seen(place);
        let kind =
            label_of(&seen.to_string_lossy(), if guest.at("restored").exists() { "" } else { wrong }, label);
        Some(format!("system_u:object_r:{kind}:s0"))
    };
    let mut found = Findings::default();
    examine(&Examination { view: &view, mode: Mode::Enforcing, label: &label, policy }, &mut found);
    found
}

/// Refuses what the function says until a module is loaded.
struct Refusing<'g>(&'g Guest, fn(&str, &Access) -> bool);

impl Policy for Refusing<'_> {
    fn answer(&self, context: &str, access: &Access) -> Answer {
        let refused = (self.1)(context, access) && !self.0.at("module").exists();
        if refused { Answer::Refused(access.permissions.to_vec()) } else { Answer::Granted }
    }
}

fn labels(all: &mut Followed) {
    for wrong in ["/mnt/a/keys", "/mnt/b/keys/main.keyring", "/etc/mysql/secret", "/usr/sbin/mysqld.my"] {
        let guest = component();
        let policy = DistributedPolicies;
        let see = |guest: &Guest| look(guest, wrong, "user_home_t", &policy);
        all.fix_with(&guest, "selinux-label", "user_home_t", 0, &see, &|guest, administrator| {
            let calls = administrator.calls();
            let restored = calls.lines().find_map(|call| call.strip_prefix("restorecon -")).unwrap();
            let path = Path::new(restored.split_once(' ').unwrap().1);
            assert!(Path::new(wrong).starts_with(path), "{calls}");
            guest.write("restored", "");
        });
    }
    let module = |guest: &Guest, administrator: &Administrator<'_>| {
        assert!(administrator.calls().contains("semodule -i keyring_external_"), "{}", administrator.calls());
        guest.write("module", "");
    };
    for refuses in [
        |context: &str, access: &Access| access == &PASS && context.contains("mnt_t"),
        |_: &str, access: &Access| access.permissions.contains(&"lock"),
    ] {
        let guest = component();
        let see = |guest: &Guest| look(guest, "", "", &Refusing(guest, refuses));
        // Each type has a fix of its own.
        while let Some(finding) = see(&guest).all().first().map(|f| (*f).clone()) {
            let words = finding.what.clone();
            all.fix_with(&guest, "selinux-label", &words, 0, &see, &module);
        }
    }
}

fn credential(all: &mut Followed) {
    let with_credential = || {
        let guest = component();
        replace(&guest, CNF, "file:/etc/mysql/secret", "credential:keyring");
        guest
    };
    for way in [0, 1] {
        let guest = with_credential();
        guest.write("run/credentials/mysql.service/keyring", "");
        let see =
            |guest: &Guest| look(guest, "", "", &Refusing(guest, |context, _| context.contains("ramfs_t")));
        all.fix_with(&guest, "selinux-credential", "its label is", way, &see, &|guest, administrator| {
            if way == 1 {
                assert!(administrator.calls().contains("semodule -i keyring_external_ramfs_t.cil"));
                guest.write("module", "");
            }
        });
    }
    let guest = with_credential();
    let policy = DistributedPolicies;
    let see = |guest: &Guest| look(guest, "", "", &policy);
    all.fix_with(&guest, "selinux-credential", "likely to refuse", 0, &see, &|_, _| {});
}
