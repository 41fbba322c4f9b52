// SPDX-License-Identifier: GPL-2.0-or-later
//! The lines that an administrator added to a file that setup wrote: setup keeps them when it writes the file again.

use super::files;
use super::unit::NETWORK_ONLINE;

/// The new text of the plugin's option file, followed by the lines of the existing one that are not setup's.
pub fn in_option_file(new: &str, existing: &str) -> String {
    let is_setups = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim().replace('_', "-").to_ascii_lowercase();
        name.ends_with("early-plugin-load") || name.contains("keyring-external")
    };
    followed_by(new, existing, "mysqld", is_setups)
}

/// The new text of the drop-in, followed by the lines of the existing one that are not setup's.
pub fn in_drop_in(new: &str, existing: &str) -> String {
    let credential =
        new.lines().find_map(|line| Some(line.strip_prefix("LoadCredential=")?.split_once(':')?.0));
    let is_setups = |line: &str| {
        let Some((name, value)) = line.split_once('=') else { return false };
        let mounts = || value.split_whitespace().all(|unit| unit.ends_with(".mount"));
        match name.trim() {
            "RequiresMountsFor" | "WantsMountsFor" | "LimitMEMLOCK" => true,
            "Wants" | "After" => mounts() || value.trim() == NETWORK_ONLINE && new.contains(NETWORK_ONLINE),
            "LoadCredential" => credential.is_some_and(|ours| value.trim().split(':').next() == Some(ours)),
            _ => false,
        }
    };
    followed_by(new, existing, "Service", is_setups)
}

/// `new`, whose last section is `last`, and the other lines of `existing` in their sections.
fn followed_by(new: &str, existing: &str, last: &str, is_setups: impl Fn(&str) -> bool) -> String {
    let mut text = new.to_owned();
    let (mut section, mut written) = (String::new(), last.to_owned());
    for line in existing.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            name.clone_into(&mut section);
            continue;
        }
        if trimmed.is_empty() || files::COMMENTS.contains(&trimmed) || is_setups(trimmed) {
            continue;
        }
        if section != written && !section.is_empty() {
            text.push_str(&format!("[{section}]\n"));
            section.clone_into(&mut written);
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Way, example};
    use super::*;
    use std::path::Path;

    #[test]
    fn options_of_the_administrator_are_kept_and_those_of_setup_replaced() {
        let mut host = example(Way::Plugin);
        let before = files::option_text(&host, "keyring_external.so", "FORCE_PLUS_PERMANENT");
        let own = "# redo too\ninnodb_redo_log_encrypt = ON\n[mysqld-8.4]\nloose_keyring_external_wait = 5\nport = 1\n";
        host.wait = 60;
        let new = files::option_text(&host, "keyring_external.so", "FORCE_PLUS_PERMANENT");
        let merged = in_option_file(&new, &format!("{before}\n{own}"));
        let kept = "# redo too\ninnodb_redo_log_encrypt = ON\n[mysqld-8.4]\nport = 1\n";
        assert_eq!(merged, format!("{new}{kept}"));
        assert_eq!(in_option_file(&new, &merged), merged, "a second time changes nothing");
        assert_eq!(in_option_file(&new, ""), new);
    }

    #[test]
    fn settings_of_the_administrator_in_the_drop_in_are_kept() {
        let mounts = crate::host::mounts::mounts("1 0 8:1 / /mnt/b rw - ext4 /dev/sdb1 rw", Path::new("/"));
        let mut host = example(Way::Component);
        host.unlock = "credential:keyring".parse().unwrap();
        host.credential = Some("/etc/secret".into());
        let before = files::drop_in_text(&host, &mounts, files::MEMLOCK);
        host.mirrors.clear();
        let new = files::drop_in_text(&host, &mounts, "infinity");
        let own = "Nice=5\nLoadCredential=other:/etc/other\n[Unit]\nAfter=network-online.target\n";
        let merged = in_drop_in(&new, &format!("{before}{own}"));
        assert_eq!(merged, format!("{new}{own}"));
        assert_eq!(in_drop_in(&new, &merged), merged, "a second time changes nothing");
    }
}
