// SPDX-License-Identifier: GPL-2.0-or-later
//! How wide text is on a terminal.

use unicode_width::UnicodeWidthStr;

/// How many columns a text takes: two for a Chinese character, none for a combining mark.
pub(crate) fn columns_of(text: &str) -> usize {
    text.width()
}

/// A text with as many spaces behind it as it needs to take so many columns.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(columns_of(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_wide_as_it_is_shown() {
        for (text, columns) in [
            ("", 0),
            ("keyring", 7),
            ("K\u{fc}rzel", 6),
            ("Ku\u{308}rzel", 6),
            ("\u{60a3}\u{8005}", 4),
            ("\u{1f511}.keyring", 10),
            ("\u{e01}\u{e49}\u{e32}", 2),
        ] {
            assert_eq!(columns_of(text), columns, "{text}");
        }
        assert_eq!(padded("\u{60a3}", 4), "\u{60a3}  ");
        assert_eq!(padded("long", 2), "long");
    }
}
