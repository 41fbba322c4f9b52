// SPDX-License-Identifier: GPL-2.0-or-later
//! The modifiers that MySQL takes before the name of an option: `skip-`, `disable-`, `enable-`, `loose-`.

/// The beginning of the names of the keyring's own options.
const OURS: &str = "keyring-external";

/// Returns an option as mysqld takes it, from a name with hyphens. `loose-` is removed from every name. The other
/// modifiers are resolved for the keyring's own options only, because `skip-networking` is a name of its own.
pub(super) fn resolve(name: &str, value: Option<String>) -> (String, Option<String>) {
    let loose = name.strip_prefix("loose-").unwrap_or(name);
    let own = || {
        let at = loose.find(OURS)?;
        // Another name of the option that loads the plugin.
        let plugin =
            if &loose[at..] == OURS && loose[..at].ends_with("plugin-") { "plugin-".len() } else { 0 };
        Some((&loose[..at - plugin], &loose[at..]))
    };
    let Some((modifiers, option)) = own() else { return (loose.to_owned(), value) };
    let mut last = None;
    for word in modifiers.split_terminator('-') {
        if !matches!(word, "skip" | "disable" | "enable" | "maximum" | "loose") {
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
}
