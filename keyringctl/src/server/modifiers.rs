// SPDX-License-Identifier: GPL-2.0-or-later
//! The modifiers that MySQL takes before the name of an option: `skip-`, `disable-`, `enable-`, `loose-`; and the names
//! of the keyring's own options.

/// The beginning of the names of the keyring's own options.
const OURS: &str = "keyring-external";
/// The modifiers. mysqld compares them, and names, in their case.
const MODIFIERS: [&str; 5] = ["skip", "disable", "enable", "maximum", "loose"];

/// The plugin's options: the one that loads it, and its variables.
pub const PLUGIN_OPTIONS: [&str; 12] = [
    OURS,
    "keyring-external-data",
    "keyring-external-mirrors",
    "keyring-external-remotes",
    "keyring-external-min-copies",
    "keyring-external-unlock",
    "keyring-external-read-only",
    "keyring-external-allow-same-device",
    "keyring-external-auto-create",
    "keyring-external-wait",
    "keyring-external-audit-log",
    "keyring-external-audit-log-forward",
];

/// Returns an option as mysqld takes it, from a name with hyphens. `loose-` is removed from every name, except from one
/// that seems to be the plugin's and is not: `loose-` keeps mysqld from refusing that. The other modifiers are resolved for
/// the keyring's own options only, because `skip-networking` is a name of its own.
pub(super) fn resolve(name: &str, value: Option<String>) -> (String, Option<String>) {
    let (mut option, value) = without_modifiers(name, value);
    let is_loose = name.split('-').take_while(|word| MODIFIERS.contains(word)).any(|word| word == "loose");
    if is_loose && is_unknown_to_plugin(&option) {
        option.insert_str(0, "loose-");
    }
    (option, value)
}

/// Whether mysqld ends because of an option, as [`resolve`] returns it: it seems to be the plugin's, but is not.
pub fn is_unknown_to_plugin(option: &str) -> bool {
    !option.starts_with("loose-")
        && option.to_ascii_lowercase().contains("keyring-ext")
        && !PLUGIN_OPTIONS.contains(&option)
}

fn without_modifiers(name: &str, value: Option<String>) -> (String, Option<String>) {
    let loose = name.strip_prefix("loose-").unwrap_or(name);
    let own = || {
        let at = loose.find(OURS)?;
        // All options of a plugin have another name, with `plugin-`.
        let modifiers = &loose[..at];
        Some((modifiers.strip_suffix("plugin-").unwrap_or(modifiers), &loose[at..]))
    };
    let Some((modifiers, option)) = own() else { return (loose.to_owned(), value) };
    let mut last = None;
    for word in modifiers.split_terminator('-') {
        if !MODIFIERS.contains(&word) {
            return (loose.to_owned(), value);
        }
        last = Some(word);
    }
    // Only the last one counts, and `=0` turns it into its opposite.
    let is_negated = value.as_deref() == Some("0");
    let value = match last {
        Some("skip" | "disable") => Some(if is_negated { "1" } else { "0" }.to_owned()),
        Some("enable") => Some(if is_negated { "0" } else { "1" }.to_owned()),
        _ => value,
    };
    (option.to_owned(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_resolved_as_mysqld_does() {
        for (given, name, value) in [
            ("keyring-external-auto-create", "keyring-external-auto-create", None),
            ("loose-keyring-external-auto-create", "keyring-external-auto-create", None),
            ("keyring-external-wait=5", "keyring-external-wait", Some("5")),
            ("skip-keyring-external-auto-create", "keyring-external-auto-create", Some("0")),
            ("disable-keyring-external-auto-create=1", "keyring-external-auto-create", Some("0")),
            ("skip-keyring-external-auto-create=0", "keyring-external-auto-create", Some("1")),
            ("enable-keyring-external-auto-create", "keyring-external-auto-create", Some("1")),
            ("enable-keyring-external-auto-create=0", "keyring-external-auto-create", Some("0")),
            ("loose-skip-keyring-external-auto-create", "keyring-external-auto-create", Some("0")),
            ("skip-loose-keyring-external-auto-create", "keyring-external-auto-create", None),
            ("maximum-keyring-external-wait=5", "keyring-external-wait", Some("5")),
            ("skip-keyring-external", "keyring-external", Some("0")),
            ("plugin-keyring-external=FORCE", "keyring-external", Some("FORCE")),
            ("skip-plugin-keyring-external", "keyring-external", Some("0")),
            ("plugin-keyring-external-data=/x", "keyring-external-data", Some("/x")),
            ("plugin-keyring-external-read-only", "keyring-external-read-only", None),
            ("skip-plugin-keyring-external-auto-create", "keyring-external-auto-create", Some("0")),
            ("loose-plugin-keyring-external-wait=5", "keyring-external-wait", Some("5")),
            // mysqld does not know these.
            ("plugin-skip-keyring-external-wait=5", "plugin-skip-keyring-external-wait", Some("5")),
            ("plugin-plugin-keyring-external-wait=5", "plugin-plugin-keyring-external-wait", Some("5")),
            ("keyring-external-mirror=/x", "keyring-external-mirror", Some("/x")),
            ("loose-keyring-external-mirror=/x", "loose-keyring-external-mirror", Some("/x")),
            ("skip-loose-keyring-external-foo", "loose-keyring-external-foo", None),
            // Names of their own, of the server or of nobody.
            ("skip-networking", "skip-networking", None),
            ("loose-skip-networking=0", "skip-networking", Some("0")),
            ("my-keyring-external-data=/x", "my-keyring-external-data", Some("/x")),
            ("loose-datadir=/x", "datadir", Some("/x")),
        ] {
            let (written, text) =
                given.split_once('=').map_or((given, None), |(n, v)| (n, Some(v.to_owned())));
            assert_eq!(resolve(written, text), (name.to_owned(), value.map(str::to_owned)), "{given}");
        }
    }
    #[test]
    fn names_that_mysqld_refuses_are_known() {
        let resolved = |name: &str| resolve(name, None).0;
        for name in [
            "keyring-external-mirror",
            "keyring-extern",
            "KEYRING-EXTERNAL-AUTO-CREATE",
            "Loose-keyring-external-wait",
            "skip-keyring-external-foo",
            "plugin-loose-keyring-external-wait",
            "my-keyring-external-data",
        ] {
            assert!(is_unknown_to_plugin(&resolved(name)), "{name}");
        }
        for name in [
            "keyring-external",
            "plugin-keyring-external-wait",
            "loose-keyring-external-foo",
            "skip-loose-keyring-external-foo",
            "loose-keyring-extern",
            "keyring-file-data",
        ] {
            assert!(!is_unknown_to_plugin(&resolved(name)), "{name}");
        }
    }

    #[test]
    fn the_names_are_those_that_the_plugin_declares() {
        let declared = include_str!("../../../src/abi/plugin/variables.rs");
        let variables = PLUGIN_OPTIONS.iter().filter_map(|option| option.strip_prefix("keyring-external-"));
        for name in variables.clone() {
            assert!(declared.contains(&format!("c\"{}\",", name.replace('-', "_"))), "{name}");
        }
        assert_eq!(declared.matches("head: head(").count(), variables.count());
    }
}
