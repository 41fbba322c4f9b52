// SPDX-License-Identifier: GPL-2.0-or-later
//! Names in statements, and patterns that select names.

use std::fmt;
use std::str::FromStr;

/// Quotes a name as an identifier in a statement.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Quotes a text as a literal in a statement, for any SQL mode.
pub fn quoted_text(text: &str) -> String {
    // Hexadecimal needs no escapes, so NO_BACKSLASH_ESCAPES does not matter.
    let digits: String = text.bytes().map(|b| format!("{b:02x}")).collect();
    format!("_utf8mb4 x'{digits}'")
}

/// `schema.table`, with `*` for any characters and `?` for one in either part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    schema: String,
    table: String,
}

impl Pattern {
    /// Returns whether a table's name matches. Case matters.
    pub fn matches(&self, schema: &str, table: &str) -> bool {
        glob(&self.schema, schema) && glob(&self.table, table)
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('.') {
            Some((schema, table)) if !schema.is_empty() && !table.is_empty() => {
                Ok(Pattern { schema: schema.to_owned(), table: table.to_owned() })
            }
            _ => Err(format!(
                "{text:?} is not of the form SCHEMA.TABLE; * stands for any characters, for example biobank.*"
            )),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

fn glob(pattern: &str, name: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    let mut name_rest = name.chars();
    match (pattern_rest.next(), name_rest.next()) {
        (None, None) => true,
        (Some('*'), None) => glob(pattern_rest.as_str(), name),
        (Some('*'), Some(_)) => glob(pattern_rest.as_str(), name) || glob(pattern, name_rest.as_str()),
        (Some('?'), Some(_)) => glob(pattern_rest.as_str(), name_rest.as_str()),
        (Some(p), Some(n)) if p == n => glob(pattern_rest.as_str(), name_rest.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_escape_their_quotes() {
        assert_eq!(quoted("a`b"), "`a``b`");
        assert_eq!(quoted_text("a'\\"), "_utf8mb4 x'61275c'");
    }

    #[test]
    fn patterns_select_tables() {
        let pattern = |text: &str| text.parse::<Pattern>().unwrap();
        assert!(pattern("biobank.*").matches("biobank", "visits"));
        assert!(!pattern("biobank.*").matches("biobank2", "visits"));
        assert!(pattern("b*k.v?s*s").matches("biobank", "visits"));
        assert!(pattern("*.audit_*").matches("clinic", "audit_"));
        assert!(!pattern("clinic.visit").matches("clinic", "visits"));
        assert!(!pattern("clinic.Visits").matches("clinic", "visits"));
        for bad in ["visits", ".visits", "clinic.", ""] {
            bad.parse::<Pattern>().unwrap_err();
        }
    }
}
