// SPDX-License-Identifier: GPL-2.0-or-later
//! The names by which InnoDB knows tables: `schema/table#p#partition#sp#subpartition`, where the server encodes most
//! characters of a name, as it does for file names: `-` is `@002d`. A `#` or `/` in a name is encoded too, so one that is
//! not ends a part of the name.

use crate::server::quoted;
use std::collections::HashMap;

/// The length of a letter that only the server can decode: `@` and two more.
const LETTER: usize = 3;

/// Letters that only the server can decode, by their encoded forms, as far as it has decoded them in other names.
#[derive(Debug, Default)]
pub(super) struct Letters(HashMap<String, char>);

/// The parts of a name, as it is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EncodedName<'a> {
    pub schema: &'a str,
    pub table: &'a str,
    /// `partition`, or `partition#sp#subpartition`.
    pub partition: Option<&'a str>,
}

/// The parts of a name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct PlainName {
    pub schema: String,
    pub table: String,
    pub partition: Option<String>,
}

impl PlainName {
    /// The table, quoted for statements.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

impl<'a> EncodedName<'a> {
    pub(super) fn parse(name: &'a str) -> EncodedName<'a> {
        let (schema, rest) = name.split_once('/').unwrap_or(("", name));
        let (table, partition) = match separator(rest, "#p#").filter(|at| *at > 0) {
            Some(at) => (&rest[..at], rest.get(at + 3..)),
            None => (rest, None),
        };
        EncodedName { schema, table, partition }
    }

    /// Whether it is what a statement creates while it rebuilds a table. Users cannot create a table of such a name: in
    /// theirs, `#` is encoded.
    pub(super) fn is_intermediate(&self) -> bool {
        self.table.starts_with("#sql")
    }

    /// Whether it is a table of a full-text index: `fts_` and the number of its table in 16 hexadecimal digits. The server
    /// lets nobody else use such a name.
    pub(super) fn is_full_text(&self) -> bool {
        self.table.strip_prefix("fts_").is_some_and(|rest| {
            let (digits, end) = rest.split_at_checked(16).unwrap_or((rest, ""));
            digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()) && end.starts_with('_')
        })
    }

    /// Returns the name, without help of the server. `None` if it contains a letter that the server encodes by a table of
    /// its own, such as `@1o` for `ü`, and that is not among `letters`.
    pub(super) fn decode(&self, letters: &Letters) -> Option<PlainName> {
        Some(PlainName {
            schema: decode(self.schema, letters)?,
            table: decode(self.table, letters)?,
            partition: match self.partition {
                Some(partition) => Some(decode_partition(partition, letters)?),
                None => None,
            },
        })
    }

    /// Returns the name, divided in the same way as this one. `plain` is what the server decoded of the whole name.
    pub(super) fn divide(&self, plain: &str) -> Option<PlainName> {
        let schema_end = nth(plain, '/', count(self.schema, "@002f"))?;
        let (schema, rest) = (&plain[..schema_end], &plain[schema_end + 1..]);
        let (table, partition) = match self.partition {
            None => (rest, None),
            Some(_) => {
                let literal = self.table.matches('#').count();
                let at = nth(rest, '#', count(self.table, "@0023") + literal)?;
                (&rest[..at], Some(rest.get(at + 3..)?.to_owned()))
            }
        };
        Some(PlainName { schema: schema.to_owned(), table: table.to_owned(), partition })
    }

    /// Whether it may be the encoded form of this name: letters that only the server can decode may be any.
    pub(super) fn may_be(&self, schema: &str, table: &str) -> bool {
        align(self.schema, schema, |_, _| {}) && align(self.table, table, |_, _| {})
    }

    /// Learns letters from a name that the server has decoded.
    pub(super) fn teach(&self, plain: &PlainName, letters: &mut Letters) {
        for (encoded, plain) in [(self.schema, &plain.schema), (self.table, &plain.table)] {
            let mut found = Vec::new();
            if align(encoded, plain, |code, c| found.push((code.to_owned(), c))) {
                letters.0.extend(found);
            }
        }
    }

    /// The name as it is encoded, for one that cannot be decoded.
    pub(super) fn verbatim(&self) -> PlainName {
        PlainName {
            schema: self.schema.to_owned(),
            table: self.table.to_owned(),
            partition: self.partition.map(str::to_owned),
        }
    }
}

/// Whether a file without its extension, `stem` in the directory `directory`, may be one of this table. Letters that only the
/// server can decode may be any.
pub fn may_be_file_of(directory: &str, stem: &str, schema: &str, table: &str) -> bool {
    let of_table = separator(stem, "#p#").filter(|at| *at > 0).map_or(stem, |at| &stem[..at]);
    align(directory, schema, |_, _| {}) && align(of_table, table, |_, _| {})
}

/// Whether such a file may be that of a table's partition: `partition` or `partition#sp#subpartition`.
pub fn may_be_file_of_partition(stem: &str, partition: &str) -> bool {
    let Some(at) = separator(stem, "#p#").filter(|at| *at > 0) else { return false };
    let (encoded, name) = (stem[at + 3..].to_ascii_lowercase(), partition.to_ascii_lowercase());
    encoded == name || align(&encoded, &name, |_, _| {})
}

/// Returns where a mark begins. Older servers wrote it in upper case.
fn separator(text: &str, mark: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(mark)
}

fn count(text: &str, mark: &str) -> usize {
    text.to_ascii_lowercase().matches(mark).count()
}

/// Returns where the character is that follows `n` others of its kind.
fn nth(text: &str, c: char, n: usize) -> Option<usize> {
    text.match_indices(c).nth(n).map(|(at, _)| at)
}

/// Returns whether `encoded` may be the encoded form of `name`, and tells of each letter that only the server can decode.
fn align(encoded: &str, name: &str, mut letter: impl FnMut(&str, char)) -> bool {
    let mut rest = encoded;
    for c in name.chars() {
        let code: String = c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("@{unit:04x}")).collect();
        let length = if rest.get(..code.len()).is_some_and(|start| start.eq_ignore_ascii_case(&code)) {
            code.len()
        } else if rest.starts_with(c) && c != '@' {
            c.len_utf8()
        } else if rest.starts_with('@') && !c.is_ascii() {
            LETTER
        } else {
            return false;
        };
        let (Some(start), Some(more)) = (rest.get(..length), rest.get(length..)) else { return false };
        if length == LETTER && start.starts_with('@') {
            letter(start, c);
        }
        rest = more;
    }
    rest.is_empty()
}

fn decode_partition(text: &str, letters: &Letters) -> Option<String> {
    match separator(text, "#sp#") {
        Some(at) => {
            Some(format!("{}#sp#{}", decode(&text[..at], letters)?, decode(text.get(at + 4..)?, letters)?))
        }
        None => decode(text, letters),
    }
}

fn decode(text: &str, letters: &Letters) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        units.extend(rest.get(..at)?.encode_utf16());
        rest = rest.get(at..)?;
        let letter = rest.get(..LETTER).and_then(|code| letters.0.get(code));
        match (letter, rest.get(1..5).and_then(|digits| u16::from_str_radix(digits, 16).ok())) {
            (Some(letter), _) => {
                units.extend(letter.encode_utf16(&mut [0; 2]).iter());
                rest = rest.get(LETTER..)?;
            }
            (None, unit) => {
                units.push(unit?);
                rest = rest.get(5..)?;
            }
        }
    }
    units.extend(rest.encode_utf16());
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(schema: &str, table: &str, partition: Option<&str>) -> PlainName {
        PlainName {
            schema: schema.to_owned(),
            table: table.to_owned(),
            partition: partition.map(str::to_owned),
        }
    }

    #[test]
    fn a_file_may_be_one_of_a_table() {
        assert!(may_be_file_of("c@1o", "K@1orzel@0020x", "c\u{fc}", "K\u{fc}rzel x"));
        assert!(may_be_file_of("c", "t@0023p#P#p0", "c", "t#p"));
        assert!(!may_be_file_of("c", "K@1orzel", "c", "Kurzel"));
        assert!(!may_be_file_of("d", "t", "c", "t"));
        assert!(may_be_file_of_partition("t@0023p#P#p0", "p0"));
        assert!(may_be_file_of_partition("t#p#p@0023x#sp#p@1osp0", "P#x#sp#p\u{fc}sp0"));
        assert!(!may_be_file_of_partition("t#p#p0", "p01") && !may_be_file_of_partition("p0", "p0"));
    }

    /// Names as a server encoded and decoded them.
    #[test]
    fn names_are_divided_where_their_encoded_forms_are() {
        for (encoded, decoded, expected) in [
            ("c/visits", "c/visits", plain("c", "visits", None)),
            ("c/a@002db", "c/a-b", plain("c", "a-b", None)),
            ("c/a@002fb", "c/a/b", plain("c", "a/b", None)),
            ("s@002fx/a@002fb", "s/x/a/b", plain("s/x", "a/b", None)),
            ("c/@0023sql@002dmy", "c/#sql-my", plain("c", "#sql-my", None)),
            ("c/p#p#p0", "c/p#p#p0", plain("c", "p", Some("p0"))),
            ("c/p#P#p0", "c/p#P#p0", plain("c", "p", Some("p0"))),
            ("c/sp#p#p@0023x#sp#p@0023xsp0", "c/sp#p#p#x#sp#p#xsp0", plain("c", "sp", Some("p#x#sp#p#xsp0"))),
            ("s@002d@1o/t@0023P@0023t", "s-ü/t#P#t", plain("s-ü", "t#P#t", None)),
            ("c/@1o@0023p@0023z#p#p1", "c/ü#p#z#p#p1", plain("c", "ü#p#z", Some("p1"))),
            ("c/#sql-1f_2#p#p0", "c/#sql-1f_2#p#p0", plain("c", "#sql-1f_2", Some("p0"))),
        ] {
            let name = EncodedName::parse(encoded);
            assert_eq!(name.divide(decoded).as_ref(), Some(&expected), "{encoded}");
            assert!(name.may_be(&expected.schema, &expected.table), "{encoded}");
            assert!(!name.may_be(&expected.schema, "another"), "{encoded}");
            let decodes = !encoded.contains("@1o");
            let mut letters = Letters::default();
            assert_eq!(name.decode(&letters), decodes.then_some(expected.clone()), "{encoded}");
            name.teach(&expected, &mut letters);
            assert_eq!(name.decode(&letters), Some(expected), "{encoded}");
        }
        let none = Letters::default();
        assert_eq!(EncodedName::parse("c/@d83d@de00").decode(&none), Some(plain("c", "😀", None)));
    }

    #[test]
    fn only_the_server_uses_its_own_names() {
        assert!(EncodedName::parse("c/#sql-1f_2").is_intermediate());
        assert!(EncodedName::parse("c/#sql-ib1063-12#P#p0").is_intermediate());
        assert!(!EncodedName::parse("c/@0023sql@002d1f_2").is_intermediate());
        assert!(EncodedName::parse("c/fts_0000000000000428_00000000000000a1_index_1").is_full_text());
        assert!(EncodedName::parse("c/fts_0000000000000428_being_deleted").is_full_text());
        assert!(!EncodedName::parse("c/fts_notes").is_full_text());
        assert!(!EncodedName::parse("c/fts_0000000000000428").is_full_text());
    }
}
