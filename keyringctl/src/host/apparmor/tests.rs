// SPDX-License-Identifier: GPL-2.0-or-later
//! Tests of profiles. The profile here has the same rules for these paths as the one in MySQL's packages.

use super::*;
use crate::host::{Way, example, needs::needs};
use std::path::Path;

const STOCK: &str = r#"
# a comment, with a comma
#include <tunables/global>
@{LIBS} = /usr/lib

/usr/sbin/mysqld {
  #include <abstractions/base>
  capability sys_resource, # and a comment
  network tcp,
  /etc/mysql/** r,
  /usr/sbin/mysqld mr,
  @{LIBS}/mysql/plugin/ r,
  @{LIBS}/mysql/plugin/*.so* mr,
  /var/lib/mysql/ r,
  /var/lib/mysql/** rwk,
  /{,var/}run/mysqld/mysqld.pid
     rw,
  # Site-specific additions
  #include <local/usr.sbin.mysqld>
  ^hat {
    /mnt/** rwk,
  }
}
"#;

fn profile(text: &str, local: &str) -> Profile {
    let include = |name: &str| (name == "local/usr.sbin.mysqld").then(|| vec![local.to_owned()]);
    let mut all = parse(text, &include);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn missing(profile: &Profile, way: Way) -> Vec<String> {
    let missing = profile.missing(&needs(&example(way)));
    missing.iter().map(|m| format!("{} {}", m.need.path.display(), m.access)).collect()
}

#[test]
fn the_stock_profile_does_not_grant_manifest_configuration_and_volume() {
    let stock = profile(STOCK, "");
    assert!(stock.confines(Path::new("/usr/sbin/mysqld")) && !stock.confines(Path::new("/usr/sbin/mysql")));
    assert!(stock.is_enforced());
    assert_eq!(stock.not_found, ["abstractions/base"]);
    assert_eq!(
        missing(&stock, Way::Component),
        [
            "/usr/sbin/mysqld.my r",
            "/usr/lib/mysql/plugin/component_keyring_external.cnf r",
            "/mnt/a/keys/ r",
            "/mnt/a/keys/main.keyring rwk",
            "/mnt/a/keys/main.keyring.new rwk",
            "/mnt/b/keys/ r",
            "/mnt/b/keys/main.keyring rwk",
            "/mnt/b/keys/main.keyring.new rwk",
        ]
    );
    let of_plugin = missing(&stock, Way::Plugin);
    assert!(of_plugin.iter().all(|m| m.starts_with("/mnt/")) && of_plugin.len() == 6, "{of_plugin:?}");
}

#[test]
fn our_local_rules_are_enough_for_either_way() {
    for way in [Way::Component, Way::Plugin] {
        let rules = local_rules(&needs(&example(way)));
        assert_eq!(missing(&profile(STOCK, &rules), way), [""; 0], "{rules}");
        // Without any one of these rules, exactly the access that it grants is missing.
        for line in rules.lines().filter(|l| l.starts_with("/mnt/")) {
            let without = rules.replace(line, "");
            assert_eq!(missing(&profile(STOCK, &without), way).len(), 1, "{line}");
        }
    }
}

#[test]
fn a_denial_overrides_a_grant_and_is_reported() {
    let local = format!("{}deny /mnt/a/** w,\n", local_rules(&needs(&example(Way::Component))));
    let found = profile(STOCK, &local).missing(&needs(&example(Way::Component)));
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|m| m.denied && m.access == "w"), "{found:?}");
}

#[test]
fn an_owner_rule_does_not_grant_files_of_root() {
    let local = "owner /usr/sbin/mysqld.my r,\nowner /mnt/** rwk,\nowner /usr/lib/mysql/plugin/*.cnf r,\n";
    let left = missing(&profile(STOCK, local), Way::Component);
    assert_eq!(left, ["/usr/sbin/mysqld.my r", "/usr/lib/mysql/plugin/component_keyring_external.cnf r"]);
}

#[test]
fn other_ways_to_write_rules_are_read() {
    for local in [
        "file,",
        "/{mnt,usr}/** rwkm,",
        "rwk /mnt/**,\naudit allow file /usr/** r,",
        "\"/mnt/**\" rwk, /usr/**   r,",
        "@{VOLUMES}/** rwk,\n/usr/** r,",
        "all,",
    ] {
        let text = STOCK.replace("@{LIBS} = ", "@{VOLUMES}=/mnt/a \n@{VOLUMES} += \"/mnt/b\"\n@{LIBS} = ");
        assert_eq!(missing(&profile(&text, local), Way::Component), [""; 0], "{local}");
    }
}

#[test]
fn an_alias_applies_to_the_rules() {
    let text = format!("alias /var/lib/mysql/ -> /mnt/,\n{STOCK}");
    let left = missing(&profile(&text, "/usr/** r,"), Way::Component);
    assert_eq!(left, [""; 0]);
}

#[test]
fn headers_are_read() {
    for (header, confines, enforced) in [
        ("profile mysqld /usr/{,local/}sbin/mysqld{,-debug} {", true, true),
        ("profile mysqld /usr/sbin/mysqld flags=(complain, attach_disconnected) {", true, false),
        ("/usr/sbin/mysqld flags=(attach_disconnected) {", true, true),
        ("profile other {", false, true),
    ] {
        let parsed = profile(&STOCK.replace("/usr/sbin/mysqld {", header), "");
        assert_eq!(
            (parsed.confines(Path::new("/usr/sbin/mysqld")), parsed.is_enforced()),
            (confines, enforced)
        );
        assert!(!parsed.rules.is_empty(), "{header}");
    }
}

#[test]
fn parsing_ends_for_texts_that_are_not_policies() {
    for text in ["{", "}", "}}}}", "@{", "@{X}=@{X}\n@{X} {\n@{X} r,\n}", "/a {\n/b r", "#include <a>", "\\"]
    {
        let include = |_: &str| Some(vec![text.to_owned()]);
        for profile in parse(text, &include) {
            profile.missing(&needs(&example(Way::Component)));
        }
    }
}

#[test]
fn a_long_statement_that_never_ends_takes_linear_time() {
    let text = format!("/a {{\n \"{}", "unfinished line\n".repeat(200_000));
    let began = std::time::Instant::now();
    let profiles = parse(&text, &|_| None);
    assert_eq!((profiles.len(), profiles[0].rules.len()), (1, 0));
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    // The statement goes on where the lines before it ended.
    let ended = "/a {\n /b/{c,\n  d\n} \n r,\n /e r,\n}";
    assert_eq!(parse(ended, &|_| None)[0].rules.len(), 2);
}

#[test]
fn expanding_variables_and_aliases_is_bounded() {
    let nested = format!("@{{A}}={}\n", "@{A}@{A} ".repeat(64));
    let aliases = "alias / -> /x/,\n".repeat(64);
    for text in [format!("{nested}/a {{\n @{{A}} r,\n}}"), format!("{aliases}/a {{\n /b r,\n}}")] {
        let profiles = parse(&text, &|_| None);
        assert!(!missing(&profiles[0], Way::Component).is_empty());
    }
}
