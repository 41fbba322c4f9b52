// SPDX-License-Identifier: GPL-2.0-or-later
//! Wraps a line of text at the width of a terminal. Paths and commands stay in one piece, so that they can be copied.

use super::columns::columns_of;

/// Programs that a message may tell the reader to run.
const PROGRAMS: [&str; 24] = [
    "apparmor_parser",
    "chcon",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "df",
    "dmesg",
    "install",
    "journalctl",
    "ln",
    "ls",
    "mkdir",
    "mount",
    "mv",
    "mysql",
    "namei",
    "restorecon",
    "rm",
    "semanage",
    "semodule",
    "sudo",
    "systemctl",
    "umount",
];
/// The groups of commands of `keyringctl`.
const GROUPS: [&str; 3] = ["slot", "encrypt", "witness"];

/// Wraps a line at this width. The further lines are indented as far as the text of the first, after a bullet, a number,
/// a status word or the name of a field. A path or a command that is wider than a line has a line of its own.
pub(crate) fn wrap(line: &str, width: usize) -> String {
    if columns_of(line) <= width {
        return line.to_owned();
    }
    let begin = beginning(line);
    let before = &line[..begin];
    let (before, hang) = match columns_of(before) {
        hang if hang * 2 <= width => (before.to_owned(), hang),
        // Nothing but an indent, for a wider terminal.
        _ if before.trim().is_empty() => (" ".repeat(width / 4), width / 4),
        _ => (before.to_owned(), 2),
    };
    let mut out = before;
    let (mut column, mut is_first) = (columns_of(&out), true);
    for (space, piece) in pieces(&line[begin..]) {
        let columns = columns_of(piece);
        if is_first || column + space.len() + columns <= width {
            out.push_str(space);
            column += space.len();
        } else {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.push_str(&" ".repeat(hang));
            column = hang;
        }
        out.push_str(piece);
        column += columns;
        is_first = false;
    }
    out
}

/// How many columns the widest piece of a text takes, which is not divided.
pub(crate) fn longest_piece(text: &str) -> usize {
    pieces(text).map(|(_, piece)| columns_of(piece)).max().unwrap_or(0)
}

/// Where the text of a line begins: after spaces, and a bullet, a number, a status word or the name of a field.
fn beginning(line: &str) -> usize {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let rest = &line[indent..];
    let after = |text: &str, at: usize| at + text[at..].len() - text[at..].trim_start_matches(' ').len();
    let Some(first) = rest.find(' ') else { return indent };
    let word = &rest[..first];
    let is_number = word.strip_suffix(['.', ')']).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let is_level = word.len() >= 7 && word.bytes().all(|b| b.is_ascii_uppercase());
    if ["*", "-", "|"].contains(&word) || is_number || is_level {
        return indent + after(rest, first);
    }
    // A name, aligned with others.
    let mut from = indent;
    while let Some(at) = line[from..].find("  ").map(|at| from + at) {
        let end = after(line, at);
        if columns_of(&line[indent..end]) > 20 {
            break;
        }
        from = end;
        // Two of them at most: a label may stand before a name.
        if from > indent + 8 || line[from..].find("  ").is_none() {
            return from;
        }
    }
    from
}

/// The pieces of a text that are not divided, each with the spaces before it.
fn pieces(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    let mut before = "";
    std::iter::from_fn(move || {
        let start = rest.len() - rest.trim_start_matches(' ').len();
        let (space, after) = rest.split_at(start);
        if after.is_empty() {
            return None;
        }
        let (piece, next) = after.split_at(piece_end(before, after));
        (rest, before) = (next, piece);
        Some((space, piece))
    })
}

/// Where the first piece of a text ends, which follows another piece.
fn piece_end(before: &str, text: &str) -> usize {
    let word_end = |from: usize| text[from..].find(' ').map_or(text.len(), |at| from + at);
    let first = &text[..word_end(0)];
    let opened = first.trim_start_matches(['(', '"', '[']);
    if let Some(inner) = opened.strip_prefix('`') {
        let from = text.len() - text[first.len() - inner.len()..].len();
        return text[from..].find('`').map_or(first.len(), |at| word_end(from + at));
    }
    if opened == "keyringctl" {
        return command_end(text, first.len());
    }
    let is_said = before.is_empty() || before.ends_with(':') || before == "run";
    if is_said && PROGRAMS.contains(&opened) {
        return sentence_end(text);
    }
    quoted_end(text, first.len())
}

/// Where a word ends that ends at `end` unless there are quotes in it.
fn quoted_end(text: &str, end: usize) -> usize {
    let word = &text[..end];
    // An apostrophe is no quote.
    let Some(at) =
        word.find('\'').filter(|at| *at == 0 || word[..*at].ends_with(['=', '$', '(', '/', '"', ':']))
    else {
        return end;
    };
    let is_escaped = word[..at].ends_with('$');
    let (mut inside, mut skip) = (false, false);
    for (i, c) in text[at..].char_indices() {
        match c {
            _ if skip => skip = false,
            '\\' => skip = !inside || is_escaped,
            '\'' => inside = !inside,
            ' ' if !inside => return at + i,
            _ => {}
        }
    }
    // The quotes are not closed: they are none.
    if inside { end } else { text.len() }
}

/// Where a command of this program ends, in a sentence or at its end.
fn command_end(text: &str, program: usize) -> usize {
    let mut end = program;
    let mut last = "";
    for n in 0.. {
        let from = end + 1;
        if from >= text.len() || text[from..].starts_with(' ') {
            break;
        }
        let plain = text[from..].find(' ').map_or(text.len(), |at| from + at);
        let to = from + quoted_end(&text[from..], plain - from);
        let word = &text[from..to];
        let is_value = last.starts_with("--") && !last.contains('=');
        let is_argument = word.starts_with(['-', '\'', '$', '{', '<'])
            || word.contains('/')
            || word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b",;.:)".contains(&b));
        let is_name = word.starts_with(|c: char| c.is_ascii_lowercase())
            && (n == 0 || (n == 1 && GROUPS.contains(&last)));
        if !(is_argument || is_name || is_value) {
            break;
        }
        (end, last) = (to, word);
        if word.ends_with([',', ';', '.', ':', ')', '"']) {
            break;
        }
    }
    end
}

/// Where a sentence ends that is a command.
fn sentence_end(text: &str) -> usize {
    let ends = ["; ", ", ", ". ", ": "].iter().filter_map(|end| text.find(end).map(|at| at + 1));
    ends.min().unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, width: usize, expected: &[&str]) {
        assert_eq!(wrap(line, width).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn further_lines_begin_below_the_text() {
        check("one two three four", 9, &["one two", "  three", "  four"].map(|l| l.trim_start()));
        check("* one two three", 11, &["* one two", "  three"]);
        check("2. one two three", 11, &["2. one two", "   three"]);
        check("OK      one two three four", 19, &["OK      one two", "        three four"]);
        check("WARNING one two three four", 19, &["WARNING one two", "        three four"]);
        check("         one two three four", 20, &["         one two", "         three four"]);
        check(
            "  keyring      one two three four",
            32,
            &["  keyring      one two three", "               four"],
        );
        check("        why  one two three four", 30, &["        why  one two three", "             four"]);
    }

    #[test]
    fn a_beginning_that_leaves_no_room_is_not_repeated() {
        let deep = format!("{}one two three four five", " ".repeat(32));
        check(&deep, 40, &["          one two three four five"]);
        check("  a-long-name  one two three", 20, &["  a-long-name  one", "  two three"]);
    }

    #[test]
    fn wide_characters_count_twice() {
        let name = "\u{60a3}\u{8005}\u{60c5}\u{5831}";
        check(&format!("{name} {name} {name}"), 17, &[&format!("{name} {name}"), name]);
        check(&format!("{name} {name} {name}"), 16, &[name, name, name]);
        check("\u{1f511}\u{1f511} \u{1f511}\u{1f511}", 8, &["\u{1f511}\u{1f511}", "\u{1f511}\u{1f511}"]);
        check("e\u{301}e\u{301}e\u{301} e\u{301} a", 5, &["e\u{301}e\u{301}e\u{301} e\u{301}", "a"]);
    }

    #[test]
    fn a_path_is_not_broken() {
        let path = "/mnt/external-drive/keys/of-the-hospital/main.keyring";
        check(
            &format!("ERROR   the copy {path} is behind"),
            40,
            &["ERROR   the copy", &format!("        {path}"), "        is behind"],
        );
        let quoted = "'/mnt/my drive/it'\\''s here/main.keyring'";
        check(
            &format!("see {quoted}: it is the server's"),
            30,
            &["see", &format!("{quoted}:"), "it is the server's"],
        );
        let odd = r"$'/mnt/my drive/it\'s\x9b here/main'";
        check(&format!("see {odd} now"), 30, &["see", odd, "now"]);
    }

    #[test]
    fn a_command_is_not_broken() {
        let path = "'/mnt/b c/main.keyring'";
        let command = format!("keyringctl sync /mnt/a/keys/main.keyring --mirror {path}");
        let command = command.as_str();
        for (before, after) in [
            ("run ", " on the server"),
            ("bring it up to date: ", ""),
            ("or `", "` there"),
            ("run ", ", then restart it"),
        ] {
            let wrapped = wrap(&format!("{before}{command}{after}"), 40);
            assert!(wrapped.contains(command), "{wrapped}");
            assert!(wrapped.lines().all(|line| line.len() <= 40 || line.contains(command)), "{wrapped}");
            assert!(!after.starts_with(' ') || wrapped.lines().count() == 3, "{wrapped}");
        }
        let wrapped = wrap(
            "install the policy: sudo semodule -i /usr/share/keyring_external.pp, then start mysqld",
            40,
        );
        assert!(wrapped.contains("\nsudo semodule -i /usr/share/keyring_external.pp,\n"), "{wrapped}");
    }

    #[test]
    fn prose_about_a_command_is_wrapped() {
        let wrapped =
            wrap("run keyringctl doctor on the host of this server, which names the copy and the reason", 40);
        assert!(wrapped.lines().all(|line| line.len() <= 40), "{wrapped}");
        let wrapped =
            wrap("the server's copy isn't the administrator's 'own' one, and it's not anybody else's", 20);
        assert!(wrapped.lines().all(|line| line.len() <= 20), "{wrapped}");
    }
}
