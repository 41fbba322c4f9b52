// SPDX-License-Identifier: GPL-2.0-or-later
//! Names of tables: in statements, as they are shown, and the patterns that select them.

use crate::show::{Shown, is_hidden, read_word};
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

/// A statement as one line that can be pasted into a client: characters in names that cannot be seen are written in
/// hexadecimal, in a prepared statement.
pub fn pasteable(statement: &str) -> String {
    if !statement.contains(is_hidden) {
        return statement.to_owned();
    }
    let text = concatenated(statement.trim_end_matches(';'));
    format!("SET @s = CONCAT({text}); PREPARE s FROM @s; EXECUTE s;")
}

/// A text as arguments of CONCAT, in which characters that cannot be seen are written in hexadecimal.
pub fn concatenated(text: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut plain = String::new();
    let end = |plain: &mut String, parts: &mut Vec<String>| {
        if !plain.is_empty() {
            parts.push(format!("'{}'", std::mem::take(plain).replace('\'', "''")));
        }
    };
    for c in text.chars() {
        // A backslash is an escape or not, as the SQL mode says.
        if is_hidden(c) || c == '\\' {
            end(&mut plain, &mut parts);
            parts.push(quoted_text(c.encode_utf8(&mut [0; 4])));
        } else {
            plain.push(c);
        }
    }
    end(&mut plain, &mut parts);
    parts.join(", ")
}

/// `schema.table` as it is shown, and as `--only` takes it. A part that a pattern would read otherwise is in backticks.
pub fn full_name(schema: &str, table: &str) -> String {
    format!("{}.{}", part(schema), part(table)).shown()
}

/// The pattern for all tables of a schema, as `--only` and `--skip` take it.
pub fn all_tables_of(schema: &str) -> String {
    format!("{}.*", part(schema)).shown()
}

fn part(name: &str) -> String {
    let is_plain = !name.contains(['.', '`', '*', '?']) && !name.starts_with(['\'', '$']);
    if is_plain { name.to_owned() } else { quoted(name) }
}

/// Whether the server distinguishes capital letters in names of schemas and tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameCase {
    /// It does.
    Exact,
    /// It does not: it stores or compares names in lower case.
    Folded,
}

impl NameCase {
    /// From the server's value of `lower_case_table_names`.
    pub fn of(lower_case_table_names: Option<&str>) -> NameCase {
        match lower_case_table_names {
            None | Some("0") => NameCase::Exact,
            Some(_) => NameCase::Folded,
        }
    }

    fn folded(self, name: &str) -> String {
        match self {
            NameCase::Exact => name.to_owned(),
            NameCase::Folded => name.to_lowercase(),
        }
    }
}

/// `schema.table`, with `*` for any characters and `?` for one in either part. A part in backticks is a name as it is. If
/// there are several dots, each of them may be the one between the parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    text: String,
    readings: Vec<[Part; 2]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Name(String),
    Wildcards(String),
}

impl Part {
    fn fits(&self, name: &str, case: NameCase) -> bool {
        match self {
            Part::Name(own) => case.folded(own) == case.folded(name),
            Part::Wildcards(pattern) => glob(&case.folded(pattern), &case.folded(name)),
        }
    }
}

impl Pattern {
    /// Returns whether it selects a table.
    pub fn matches(&self, schema: &str, table: &str, case: NameCase) -> bool {
        self.readings.iter().any(|reading| is_match(reading, schema, table, case))
    }

    /// Whether it is the name of one table, without wildcards.
    pub fn is_name(&self) -> bool {
        let is_name = |part: &Part| match part {
            Part::Name(_) => true,
            Part::Wildcards(text) => !text.contains(['*', '?']),
        };
        self.readings.iter().flatten().all(is_name)
    }

    /// Whether it stands for all tables of a schema: `schema.*`.
    pub fn covers(&self, schema: &str, case: NameCase) -> bool {
        self.readings.iter().any(|[of_schema, table]| {
            *table == Part::Wildcards("*".to_owned()) && of_schema.fits(schema, case)
        })
    }

    /// Returns two tables that it selects with a different dot between schema and table.
    pub fn ambiguity<'t>(
        &self,
        tables: impl Iterator<Item = (&'t str, &'t str)> + Clone,
        case: NameCase,
    ) -> Option<[String; 2]> {
        let first_of = |reading| tables.clone().find(|(s, t)| is_match(reading, s, t, case));
        let mut firsts = self.readings.iter().filter_map(first_of).map(|(s, t)| full_name(s, t));
        let (first, second) = (firsts.next()?, firsts.next()?);
        (first != second).then_some([first, second])
    }
}

fn is_match([schema, table]: &[Part; 2], of_schema: &str, of_table: &str, case: NameCase) -> bool {
    schema.fits(of_schema, case) && table.fits(of_table, case)
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        // As it was shown, although no shell has read it.
        let text = read_word(given).unwrap_or_else(|| given.to_owned());
        let mut readings: Vec<[Part; 2]> = match quoted_part(&text) {
            Some((schema, rest)) => {
                let table = rest.strip_prefix('.').and_then(table_part);
                table.map(|table| [schema, table]).into_iter().collect()
            }
            None => text
                .match_indices('.')
                .filter_map(|(at, _)| {
                    let schema =
                        text.get(..at).filter(|schema| !schema.is_empty() && !schema.starts_with('`'))?;
                    Some([Part::Wildcards(schema.to_owned()), table_part(text.get(at + 1..)?)?])
                })
                .collect(),
        };
        // Dots in backticks divide nothing.
        if let Some(reading) = readings.iter().find(|[_, table]| matches!(table, Part::Name(_))) {
            readings = vec![reading.clone()];
        }
        if readings.is_empty() {
            return Err(format!(
                "{} is not of the form SCHEMA.TABLE; * stands for any characters, for example biobank.*; a name with a \
                 dot can be written in backticks",
                given.shown()
            ));
        }
        Ok(Pattern { text, readings })
    }
}

/// A part in backticks at the beginning, and the rest.
fn quoted_part(text: &str) -> Option<(Part, &str)> {
    let inner = text.strip_prefix('`')?;
    let mut name = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '`' && chars.next_if(|(_, next)| *next == '`').is_none() {
            return inner.get(at + 1..).filter(|_| !name.is_empty()).map(|rest| (Part::Name(name), rest));
        }
        name.push(c);
    }
    None
}

fn table_part(text: &str) -> Option<Part> {
    match quoted_part(text) {
        Some((name, "")) => Some(name),
        _ => Some(Part::Wildcards(text.to_owned())).filter(|_| !text.is_empty()),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text.shown())
    }
}

/// Whether a pattern with `*` and `?` matches a whole name. Only the last `*` is ever tried again, so the time is bounded
/// by the product of the lengths.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while let Some(c) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(own) if *own == '?' || own == c => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_none_or(|rest| rest.iter().all(|c| *c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: NameCase = NameCase::Exact;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn names_and_texts_cannot_escape_their_quotes() {
        assert_eq!(quoted("a`b"), "`a``b`");
        assert_eq!(quoted_text("a'\\"), "_utf8mb4 x'61275c'");
        assert_eq!(pasteable("DROP TABLE `a'b`;"), "DROP TABLE `a'b`;");
        assert_eq!(
            pasteable("DROP TABLE `a'\nb\\`;"),
            "SET @s = CONCAT('DROP TABLE `a''', _utf8mb4 x'0a', 'b', _utf8mb4 x'5c', '`'); PREPARE s FROM @s; EXECUTE s;"
        );
    }

    #[test]
    fn patterns_select_tables() {
        assert!(pattern("biobank.*").matches("biobank", "visits", EXACT));
        assert!(!pattern("biobank.*").matches("biobank2", "visits", EXACT));
        assert!(pattern("b*k.v?s*s").matches("biobank", "visits", EXACT));
        assert!(pattern("*.audit_*").matches("clinic", "audit_", EXACT));
        assert!(!pattern("clinic.visit").matches("clinic", "visits", EXACT));
        for bad in ["visits", ".visits", "clinic.", "", "`clinic`", "`clinic`.", "`clinic`x.y", "``.x"] {
            bad.parse::<Pattern>().unwrap_err();
        }
        // Quick, although it could be tried in very many ways.
        assert!(!pattern(&format!("a.{}b", "*a".repeat(30))).matches("a", &"a".repeat(64), EXACT));
    }

    #[test]
    fn capital_letters_count_as_the_server_counts_them() {
        assert_eq!(
            [None, Some("0"), Some("1"), Some("2")].map(NameCase::of).map(|c| c == EXACT),
            [true, true, false, false]
        );
        for (text, folded) in
            [("Clinic.Visits", true), ("CLINIC.K\u{dc}RZEL*", true), ("clinic.visit", false)]
        {
            let matches = |case| {
                pattern(text).matches("clinic", "visits", case)
                    || pattern(text).matches("clinic", "k\u{fc}rzel", case)
            };
            assert_eq!((matches(EXACT), matches(NameCase::Folded)), (false, folded), "{text}");
        }
    }

    #[test]
    fn a_dot_may_be_part_of_a_name() {
        let tables = [("test.de", "t1"), ("test", "de.t1"), ("test", "t*"), ("test", "t2")];
        let selected = |text: &str| -> Vec<_> {
            let pattern = pattern(text);
            (0..tables.len()).filter(|i| pattern.matches(tables[*i].0, tables[*i].1, EXACT)).collect()
        };
        assert_eq!(selected("test.de.t1"), [0, 1]);
        assert_eq!(selected("`test.de`.t1"), [0]);
        assert_eq!(selected("test.`de.t1`"), [1]);
        assert_eq!(selected("test.t*"), [2, 3]);
        assert_eq!(selected("test.`t*`"), [2]);
        assert_eq!(selected("test.de.*"), [0, 1]);
        let ambiguity =
            |text: &str, tables: &[(&str, &str)]| pattern(text).ambiguity(tables.iter().copied(), EXACT);
        assert_eq!(
            ambiguity("test.de.t1", &tables),
            Some(["'test.`de.t1`'".to_owned(), "'`test.de`.t1'".to_owned()])
        );
        assert_eq!(ambiguity("test.de.t1", &tables[..1]), None);
        assert_eq!(ambiguity("test.*", &tables), None);
    }

    #[test]
    fn what_is_shown_selects_the_table_and_no_other() {
        let names = [
            "t", "my tab", "a.b", "a", "b", "a`b", "a*b", "a?b", "'a'", "$'a", "a\nb", "a\\nb", "\u{202e}",
            "#sql-1", "-x", "a;b$(c)",
        ];
        let pairs: Vec<_> = names.iter().flat_map(|s| names.map(|t| (*s, t))).collect();
        for (schema, table) in &pairs {
            let shown = full_name(schema, table);
            let unshelled = read_word(&shown).unwrap_or_else(|| shown.clone());
            for text in [shown, unshelled] {
                let pattern = pattern(&text);
                let found: Vec<_> = pairs.iter().filter(|(s, t)| pattern.matches(s, t, EXACT)).collect();
                assert_eq!(found, [&(*schema, *table)], "{text}");
                assert!(
                    pattern.is_name() && pattern.ambiguity(pairs.iter().copied(), EXACT).is_none(),
                    "{text}"
                );
            }
        }
        assert_eq!(full_name("test.de", "t1"), "'`test.de`.t1'");
        assert_eq!(full_name("clinic", "K\u{fc}rzel"), "clinic.K\u{fc}rzel");
    }
}
