// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for the local file of a profile, such as `/etc/apparmor.d/local/usr.sbin.mysqld`, between markers of our own,
//! so that other rules there are kept; and the line with which the profile includes that file.

use super::glob::literal;
use super::profile::{End, Profile};
use crate::host::needs::Need;
use std::path::{Path, PathBuf};

/// Where the profiles are.
pub const DIRECTORY: &str = "/etc/apparmor.d";
/// The profile in the packages of Debian, Ubuntu and Oracle.
pub const PROFILE_FILE: &str = "/etc/apparmor.d/usr.sbin.mysqld";
/// Endings of files that AppArmor does not load as profiles, among them those of package managers.
const NOT_LOADED: [&str; 12] = [
    "~",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-bak",
    ".dpkg-remove",
    ".pacsave",
    ".pacnew",
    ".rpmnew",
    ".rpmsave",
    ".orig",
    ".rej",
];

/// Whether AppArmor loads a file of this name when the system starts. Another name for a file with an older version of a
/// profile would load that one too, and the last one loaded counts.
pub fn is_loaded(name: &str) -> bool {
    !name.starts_with('.') && name != "README" && !NOT_LOADED.iter().any(|end| name.ends_with(end))
}

/// The file for local rules of a profile that is in `file`.
pub fn local_file(file: &Path) -> PathBuf {
    Path::new(DIRECTORY).join("local").join(file.file_name().unwrap_or_default())
}

/// The files for local rules that a profile includes, the one that is named like its own file first.
pub fn included_local_files(profile: &Profile, file: &Path) -> Vec<PathBuf> {
    let local = Path::new(DIRECTORY).join("local");
    // An include may give the whole path.
    let paths = profile.includes.iter().map(|name| Path::new(DIRECTORY).join(name));
    let mut all: Vec<_> = paths.filter(|path| path.parent() == Some(&local)).collect();
    all.sort_by_key(|path| *path != local_file(file));
    all
}

/// The line with which a profile includes a file for local rules. Every version of AppArmor reads this form.
pub fn include_line(local: &Path) -> String {
    format!("#include <{}>", local.strip_prefix(DIRECTORY).unwrap_or(local).to_string_lossy())
}

/// The text of a profile with this line before its closing brace.
pub fn with_include(text: &str, end: End, local: &Path) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let (before, after) = match line.split_at_checked(end.column) {
            Some(parts) if number == end.line => parts,
            _ => {
                out.push_str(line);
                continue;
            }
        };
        let (rules, indent) = before.split_at(before.trim_end().len());
        let indent = if rules.is_empty() { indent } else { "" };
        let gap = if rules.is_empty() { "" } else { "\n" };
        out.push_str(&format!("{rules}{gap}{indent}  {}\n{indent}{after}", include_line(local)));
    }
    out
}

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
    use crate::host::apparmor::parse;

    /// Each profile with the line, and where it goes.
    #[test]
    fn the_include_goes_before_the_end_of_the_profile() {
        for (text, expected) in [
            ("/a {\n  /b r,\n}\n", "/a {\n  /b r,\n  #include <local/x>\n}\n"),
            (
                "/a {\n  ^hat {\n  }\n} # the end }",
                "/a {\n  ^hat {\n  }\n  #include <local/x>\n} # the end }",
            ),
            ("/a { /b r, }\n", "/a { /b r,\n  #include <local/x>\n}\n"),
            (
                "  /a {\n /{b,c}/{,**} r, # { }\n\n  }\n/z {\n}\n",
                "  /a {\n /{b,c}/{,**} r, # { }\n\n    #include <local/x>\n  }\n/z {\n}\n",
            ),
            ("/a {\n\t/b\n\tr, }", "/a {\n\t/b\n\tr,\n  #include <local/x>\n}"),
        ] {
            let profile = &parse(text, &|_| None)[0];
            let with = with_include(text, profile.end.unwrap(), Path::new("/etc/apparmor.d/local/x"));
            assert_eq!(with, expected);
            let again = &parse(&with, &|_| None)[0];
            assert_eq!(again.includes.last().map(String::as_str), Some("local/x"), "{with}");
            assert_eq!(again.rules, profile.rules);
        }
        assert_eq!(parse("/a {\n/b r,", &|_| None)[0].end, None);
    }

    #[test]
    fn the_local_file_that_a_profile_includes_is_found() {
        for (lines, expected) in [
            ("#include <local/usr.sbin.mysqld>", "/etc/apparmor.d/local/usr.sbin.mysqld"),
            ("include if exists <local/other>", "/etc/apparmor.d/local/other"),
            ("include \"/etc/apparmor.d/local/other\"", "/etc/apparmor.d/local/other"),
            (
                "#include <local/other>\n#include <local/usr.sbin.mysqld>",
                "/etc/apparmor.d/local/usr.sbin.mysqld",
            ),
            ("#include <abstractions/mysql>\n^hat {\n#include <local/usr.sbin.mysqld>\n}", ""),
            ("#include <local/directory/file>", ""),
            ("# include the local/usr.sbin.mysqld", ""),
        ] {
            let profile = &parse(&format!("/a {{\n{lines}\n}}\n"), &|_| None)[0];
            let found = included_local_files(profile, Path::new(PROFILE_FILE));
            assert_eq!(found.first().map_or(String::new(), |f| f.display().to_string()), expected, "{lines}");
        }
    }

    #[test]
    fn files_that_are_left_beside_a_profile_are_not_loaded() {
        assert!(is_loaded("usr.sbin.mysqld") && is_loaded("usr.sbin.mysqld.bak"));
        assert!(
            !is_loaded("usr.sbin.mysqld.bak~") && !is_loaded("usr.sbin.mysqld.dpkg-old") && !is_loaded(".x")
        );
    }

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
