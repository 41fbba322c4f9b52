// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for `/etc/apparmor.d/local/usr.sbin.mysqld`, between markers of our own, so that other rules there are kept.

use super::glob::literal;
use crate::host::needs::Need;

/// The profile in the packages of Debian, Ubuntu and Oracle.
pub const PROFILE_FILE: &str = "/etc/apparmor.d/usr.sbin.mysqld";
/// The file with local rules that the profile includes.
pub const LOCAL_FILE: &str = "/etc/apparmor.d/local/usr.sbin.mysqld";

const BEGIN: &str =
    "# BEGIN keyring_external: written by keyringctl setup, which replaces everything up to END";
const BEGIN_MARK: &str = "# BEGIN keyring_external";
const END: &str = "# END keyring_external";

/// The rules that grant these needs.
pub fn local_rules(needs: &[Need]) -> String {
    let mut text = format!("{BEGIN}\n");
    for need in needs {
        let path = literal(&need.path.to_string_lossy());
        // The program that prints the secret runs unconfined, with a clean environment.
        let access = if need.access == "x" { "Ux" } else { need.access };
        text.push_str(&format!("{path} {access},\n"));
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// A local file with these rules instead of those of an earlier setup. Everything else in it is kept.
pub fn merged(existing: &str, rules: &str) -> String {
    let Some(from) = existing.find(BEGIN_MARK) else {
        let gap = if existing.is_empty() || existing.ends_with('\n') { "" } else { "\n" };
        return format!("{existing}{gap}{rules}");
    };
    let (before, ours) = existing.split_at(from);
    let after = match ours.find(END) {
        Some(at) => &ours[at + END.len()..],
        // The end mark was removed: our rules cannot be distinguished from other rules, so all of them are kept.
        None => ours.split_once('\n').map_or("", |(_, after)| after),
    };
    let after = after.trim_start_matches('\n');
    format!("{before}{rules}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_rules_are_kept_and_ours_are_replaced() {
        let first = merged("/data/** r,", &local_rules(&[]));
        assert!(first.starts_with("/data/** r,\n# BEGIN"), "{first}");
        let with_more = format!("{first}/more r,\n");
        let need = Need { path: "/k".into(), access: "rwk", what: "", owned: true };
        let second = merged(&with_more, &local_rules(&[need]));
        assert_eq!(second.matches("BEGIN").count(), 1);
        assert!(second.contains("\n/k rwk,\n") && second.starts_with("/data/** r,\n"), "{second}");
        assert!(second.ends_with("# END keyring_external\n/more r,\n"), "{second}");
        assert_eq!(merged(&second, &local_rules(&[])), with_more);
        let unmarked = second.replace("# END keyring_external\n", "");
        let third = merged(&unmarked, &local_rules(&[]));
        assert!(third.ends_with("# END keyring_external\n/k rwk,\n/more r,\n"), "{third}");
    }
}
