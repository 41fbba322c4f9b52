// SPDX-License-Identifier: GPL-2.0-or-later
//! Takes the text of SHOW CREATE TABLE apart, to compare two of them.

use std::collections::BTreeMap;

/// The lines of a definition, and the clauses of the lines after its columns, without the encryption.
pub(super) struct Clauses {
    /// The lines up to the closing parenthesis.
    lines: Vec<String>,
    /// The clauses after it. Each is a word, or a word with its value in quotes.
    options: Vec<String>,
    auto_increment: u64,
}

impl Clauses {
    pub(super) fn of(text: &str) -> Clauses {
        let (columns, options) = text.rsplit_once("\n) ").unwrap_or((text, ""));
        let mut auto_increment = 0;
        let options = words(options).into_iter().filter(|word| {
            if let Some(number) = word.strip_prefix("AUTO_INCREMENT=") {
                auto_increment = number.parse().unwrap_or(0);
            }
            // `/*!50100 TABLESPACE ... */`: a word that only marks the version is no clause.
            !["ENCRYPTION=", "AUTO_INCREMENT=", "/*!", "*/"].iter().any(|start| word.starts_with(start))
        });
        let options: Vec<String> = options.map(|word| without_slash(&word)).collect();
        let mut joined: Vec<String> = Vec::new();
        let mut words = options.into_iter().peekable();
        while let Some(mut word) = words.next() {
            // Clauses of several words are compared as one, so that a difference names them.
            if ["DATA", "INDEX", "TABLESPACE", "DEFAULT"].contains(&word.as_str()) {
                words.next_if(|_| true).into_iter().for_each(|next| word = format!("{word} {next}"));
            }
            if words.next_if(|next| next == "=").is_some() {
                word = format!("{word}={}", words.next().unwrap_or_default());
            }
            joined.push(word);
        }
        Clauses { lines: columns.lines().map(str::to_owned).collect(), options: joined, auto_increment }
    }

    /// Returns what `new` lacks or has in addition, except clauses that begin as one in `announced`.
    pub(super) fn changes(&self, new: &Clauses, announced: &[&str]) -> Vec<String> {
        let mut changes = Vec::new();
        let of = |gone: Vec<String>, lost: &str, changes: &mut Vec<String>| {
            changes.extend(
                gone.into_iter()
                    .filter(|clause| !announced.iter().any(|a| clause.starts_with(a)))
                    .map(|clause| format!("{lost} {}", clause.trim().trim_end_matches(','))),
            );
        };
        of(missing(&self.lines, &new.lines), "lost", &mut changes);
        of(missing(&new.lines, &self.lines), "new", &mut changes);
        of(missing(&self.options, &new.options), "lost", &mut changes);
        of(missing(&new.options, &self.options), "new", &mut changes);
        // Rows that were inserted meanwhile have increased it.
        if new.auto_increment < self.auto_increment {
            changes
                .push(format!("AUTO_INCREMENT is {} instead of {}", new.auto_increment, self.auto_increment));
        }
        changes
    }
}

/// Returns what is more often in `these` than in `those`.
fn missing(these: &[String], those: &[String]) -> Vec<String> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    those.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let absent = |word: &&String| match left.get_mut(word.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    these.iter().filter(absent).cloned().collect()
}

/// Drops the slash at the end of a quoted path: the server writes it at times.
fn without_slash(word: &str) -> String {
    word.strip_suffix("/'").map_or_else(|| word.to_owned(), |path| format!("{path}'"))
}

/// Splits a text at spaces and line feeds outside of quotes.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (quoted, part) in parts(text) {
        for c in part.chars() {
            match words.last_mut() {
                Some(word) if quoted || !c.is_whitespace() => word.push(c),
                _ => words.push(String::new()),
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The parts of a text that are outside of quotes.
pub(super) fn unquoted(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter(|(quoted, _)| !quoted).map(|(_, part)| part)
}

/// Whether a definition has a text with a backslash, which sessions may read in different ways.
pub(crate) fn has_backslash(text: &str) -> bool {
    parts(text).iter().any(|(quoted, part)| *quoted && part.starts_with('\'') && part.contains('\\'))
}

/// Splits a text into parts within quotes, with their quotes, and parts outside.
pub(super) fn parts(text: &str) -> Vec<(bool, &str)> {
    let mut parts = Vec::new();
    let mut quote = None;
    let mut start = 0;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            // Doubled quotes within a text end one part and begin the next.
            Some(q) if c == q => {
                let end = at + c.len_utf8();
                parts.push((true, text.get(start..end).unwrap_or_default()));
                (quote, start) = (None, end);
            }
            Some('\'') if c == '\\' => drop(chars.next()),
            Some(_) => {}
            None if matches!(c, '\'' | '`' | '"') => {
                parts.push((false, text.get(start..at).unwrap_or_default()));
                (quote, start) = (Some(c), at);
            }
            None => {}
        }
    }
    parts.push((quote.is_some(), text.get(start..).unwrap_or_default()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(before: &str, after: &str, announced: &[&str]) -> Vec<String> {
        Clauses::of(before).changes(&Clauses::of(after), announced)
    }

    const COLUMNS: &str = "CREATE TABLE `t` (\n  `a` int DEFAULT '0' COMMENT 'ENCRYPTION=''N'' \n) x',\n  PRIMARY KEY (`a`)\n) ";

    #[test]
    fn only_the_encryption_may_change() {
        let before = format!("{COLUMNS}ENGINE=InnoDB AUTO_INCREMENT=7 COMMENT='it''s ENCRYPTION=''N'''");
        let after = format!(
            "{COLUMNS}ENGINE=InnoDB AUTO_INCREMENT=9 COMMENT='it''s ENCRYPTION=''N''' ENCRYPTION='Y'"
        );
        assert_eq!(changes(&before, &after, &[]), Vec::<String>::new());
        let reset = after.replace("AUTO_INCREMENT=9", "");
        assert_eq!(changes(&before, &reset, &[]), ["AUTO_INCREMENT is 0 instead of 7"]);
        let other = after.replace("ENCRYPTION=''N''", "ENCRYPTION=''Y''");
        assert_eq!(changes(&before, &other, &[]).len(), 4);
    }

    #[test]
    fn lost_and_new_clauses_are_named() {
        let before = format!("{COLUMNS}ENGINE=InnoDB ROW_FORMAT=COMPACT DATA DIRECTORY='/mnt/a b/'");
        let after =
            format!("{COLUMNS}/*!50100 TABLESPACE `x y` */ ENGINE=InnoDB ROW_FORMAT=DYNAMIC ENCRYPTION='Y'");
        assert_eq!(
            changes(&before, &after, &[]),
            [
                "lost ROW_FORMAT=COMPACT",
                "lost DATA DIRECTORY='/mnt/a b'",
                "new TABLESPACE `x y`",
                "new ROW_FORMAT=DYNAMIC"
            ]
        );
        assert_eq!(changes(&before, &before.replace("b/'", "b'"), &[]), Vec::<String>::new());
        let moved = before.replace("ENGINE", "/*!50100 TABLESPACE `innodb_file_per_table` */ ENGINE");
        assert_eq!(changes(&before, &moved, &["TABLESPACE"]), Vec::<String>::new());
    }

    #[test]
    fn partitions_lose_their_directories_visibly() {
        let partition = |directory: &str| {
            format!(
                "{COLUMNS}ENGINE=InnoDB\n/*!50100 PARTITION BY RANGE (`a`)\n(PARTITION p0 VALUES LESS THAN (10) {directory}COMMENT = 'x' ENGINE = InnoDB) */"
            )
        };
        let before = partition("DATA DIRECTORY = '/mnt/a/' ");
        assert_eq!(changes(&before, &partition("DATA DIRECTORY = '/mnt/a' "), &[]), Vec::<String>::new());
        assert!(!changes(&before, &partition(""), &[]).is_empty());
    }
}
