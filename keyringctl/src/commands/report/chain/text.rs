// SPDX-License-Identifier: GPL-2.0-or-later
//! Breaks text into lines of a given width: SVG does not do that itself.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The most lines of one text; the middle of a longer one is left out.
const MOST: usize = 3;

/// Breaks a text between words, and a word that is too long anywhere.
pub(super) fn words(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(pieces(word, columns)),
        }
    }
    lines
}

/// Breaks a path anywhere. Of a very long one, the beginning and the end are kept.
pub(super) fn path(text: &str, columns: usize) -> Vec<String> {
    let lines = pieces(text, columns);
    if lines.len() <= MOST {
        return lines;
    }
    let room = columns.saturating_mul(MOST).saturating_sub(1) / 2;
    let start = up_to(text.chars(), room);
    let end: String = up_to(text.chars().rev(), room).chars().rev().collect();
    pieces(&format!("{start}\u{2026}{end}"), columns)
}

/// As many of these characters as fit.
fn up_to(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut width = 0;
    let fits = |c: &char| {
        width += c.width().unwrap_or(0);
        width <= columns
    };
    characters.take_while(fits).collect()
}

fn pieces(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for c in text.chars() {
        if line.width() + c.width().unwrap_or(0) > columns && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        line.push(c);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_its_box() {
        let long = "/mnt/".to_owned() + &"very-long-name/".repeat(40) + "main.keyring";
        let chinese = "\u{6570}\u{636e}".repeat(60);
        for text in [long.as_str(), &chinese, "a b c", "", "one-word"] {
            for columns in [8, 20, 50] {
                for line in words(text, columns).iter().chain(&path(text, columns)) {
                    assert!(line.width() <= columns, "{columns}: {line}");
                }
                assert!(path(text, columns).len() <= MOST + 1);
            }
        }
        let lines = path(&long, 30);
        assert!(
            lines[0].starts_with("/mnt/very-long") && lines.concat().ends_with("main.keyring"),
            "{lines:?}"
        );
        assert_eq!(words("one two three", 9), ["one two", "three"]);
    }
}
