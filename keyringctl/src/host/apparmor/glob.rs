// SPDX-License-Identifier: GPL-2.0-or-later
//! The patterns of AppArmor's path rules (apparmor.d(5), "Globbing").

/// Most patterns that alternatives and variables may expand to.
const MOST: usize = 512;

/// Whether a path matches a pattern without variables. The path of a directory ends in a slash.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let path: Vec<char> = path.chars().collect();
    alternatives(pattern).iter().any(|one| {
        let one: Vec<char> = collapse(one).chars().collect();
        Matcher::new(&one, &path).matches()
    })
}

/// Replaces two slashes by one, as the kernel does. A variable often adds the second one.
fn collapse(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// Expands `a{b,c}d` to `abd` and `acd`.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(one) = open.pop() {
        match first_braces(&one) {
            Some((before, inside, after)) if open.len() + done.len() < MOST => {
                open.extend(split(inside).map(|choice| format!("{before}{choice}{after}")));
            }
            _ => done.push(one),
        }
    }
    done
}

/// Splits a pattern into the parts before, in and after its first pair of braces.
fn first_braces(pattern: &str) -> Option<(&str, &str, &str)> {
    let mut depth = 0_usize;
    let mut from = 0;
    let mut escaped = false;
    for (i, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => {
                if depth == 0 {
                    from = i;
                }
                depth += 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return Some((&pattern[..from], &pattern[from + 1..i], &pattern[i + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits at commas that are not in inner braces.
fn split(inside: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    let mut escaped = false;
    inside.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => return depth == 0,
            _ => {}
        }
        false
    })
}

/// One pattern without alternatives, and a path.
struct Matcher<'a> {
    pattern: &'a [char],
    path: &'a [char],
    /// Which pairs of remainders do not match, indexed by their lengths. Without it, patterns with several stars would
    /// take exponential time, because they compare the same remainders again and again.
    failed: Vec<bool>,
}

impl<'a> Matcher<'a> {
    fn new(pattern: &'a [char], path: &'a [char]) -> Self {
        Self { pattern, path, failed: vec![false; (pattern.len() + 1) * (path.len() + 1)] }
    }

    /// Whether the whole pattern matches the whole path.
    fn matches(&mut self) -> bool {
        self.rest(self.pattern, self.path, None)
    }

    /// Whether the rest of the pattern matches the rest of the path. `before` is the character matched just before, or
    /// `None` at the beginning and after a star. It follows from the two remainders.
    fn rest(&mut self, pattern: &[char], path: &[char], before: Option<char>) -> bool {
        let place = pattern.len() * (self.path.len() + 1) + path.len();
        if self.failed.get(place).copied().unwrap_or_default() {
            return false;
        }
        let found = self.look(pattern, path, before);
        if let Some(failed) = self.failed.get_mut(place) {
            *failed = !found;
        }
        found
    }

    fn look(&mut self, pattern: &[char], path: &[char], before: Option<char>) -> bool {
        let Some((&first, rest)) = pattern.split_first() else { return path.is_empty() };
        match first {
            '*' => {
                let stars = pattern.iter().take_while(|&&c| c == '*').count();
                let rest = pattern.get(stars..).unwrap_or_default();
                // A star that stands for a complete name matches at least one character: /a/* does not match /a/.
                let least = usize::from(before == Some('/') && rest.first().is_none_or(|&c| c == '/'));
                (least..=path.len())
                    .take_while(|&n| {
                        let within = path.get(..n).unwrap_or_default();
                        if stars > 1 {
                            least == 0 || within.first() != Some(&'/')
                        } else {
                            !within.contains(&'/')
                        }
                    })
                    .any(|n| self.rest(rest, path.get(n..).unwrap_or_default(), None))
            }
            '[' => {
                let Some(end) = pattern.iter().skip(2).position(|&c| c == ']').map(|i| i + 2) else {
                    return false;
                };
                let Some((&c, path)) = path.split_first() else { return false };
                let class = pattern.get(1..end).unwrap_or_default();
                c != '/'
                    && in_class(class, c)
                    && self.rest(pattern.get(end + 1..).unwrap_or_default(), path, Some(c))
            }
            '?' => path.split_first().is_some_and(|(&c, path)| c != '/' && self.rest(rest, path, Some(c))),
            '\\' => rest.split_first().is_some_and(|(&literal, rest)| self.literally(literal, rest, path)),
            literal => self.literally(literal, rest, path),
        }
    }

    fn literally(&mut self, literal: char, rest: &[char], path: &[char]) -> bool {
        path.split_first().is_some_and(|(&c, path)| c == literal && self.rest(rest, path, Some(c)))
    }
}

fn in_class(class: &[char], c: char) -> bool {
    let (wanted, class) = match class.split_first() {
        Some(('^', rest)) => (false, rest),
        _ => (true, class),
    };
    let mut found = false;
    let mut i = 0;
    while let Some(&from) = class.get(i) {
        match (class.get(i + 1), class.get(i + 2)) {
            (Some('-'), Some(&to)) => {
                found |= (from..=to).contains(&c);
                i += 3;
            }
            _ => {
                found |= from == c;
                i += 1;
            }
        }
    }
    found == wanted
}

/// Escapes a path as a pattern that matches only this path.
pub(super) fn literal(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '^' | '"' | '\\' | '@' | ',') {
            out.push('\\');
        }
        out.push(c);
    }
    if path.contains(char::is_whitespace) { format!("\"{out}\"") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_apparmor_d_says() {
        for (pattern, yes, no) in [
            ("/etc/mysql/**", &["/etc/mysql/a", "/etc/mysql/a/b"][..], &["/etc/mysql/", "/etc/mysqlx/a"][..]),
            ("/etc/mysql/*", &["/etc/mysql/a"], &["/etc/mysql/a/b", "/etc/mysql/"]),
            ("/p/*.so*", &["/p/a.so", "/p/.so.1"], &["/p/a.cnf", "/p/q/a.so", "/p/a.so/b"]),
            ("/run/mysqld/*/", &["/run/mysqld/a/"], &["/run/mysqld/a", "/run/mysqld//"]),
            ("/{,var/}run/x", &["/run/x", "/var/run/x"], &["/varrun/x"]),
            ("/a{b,c{d,e}}f", &["/abf", "/acdf", "/acef"], &["/acf", "/abdf"]),
            ("/a?[0-9][^x]", &["/ab7y", "/a_0-"], &["/ab7x", "/a/7y", "/abay"]),
            ("/a\\*b", &["/a*b"], &["/axb"]),
            ("/home//x", &["/home/x"], &["/home//x"]),
            ("/**", &["/a", "/a/b/"], &["/"]),
            ("/a**", &["/a", "/ab/c", "/a/"], &["/b"]),
            ("/m/a/keys/", &["/m/a/keys/"], &["/m/a/keys", "/m/a/keys/x"]),
        ] {
            for path in yes {
                assert!(matches(pattern, path), "{pattern} is to match {path}");
            }
            for path in no {
                assert!(!matches(pattern, path), "{pattern} is not to match {path}");
            }
        }
    }

    #[test]
    fn a_literal_matches_only_itself() {
        for path in ["/a b/[x]{y}*?\\\"@^,z", "/plain"] {
            let pattern = literal(path);
            let bare = pattern.trim_matches('"');
            let bare = if pattern.starts_with('"') { bare } else { pattern.as_str() };
            assert!(matches(bare, path), "{pattern}");
        }
        assert!(!matches(&literal("/a*"), "/ab"));
        assert!(literal("/a b").starts_with('"'));
    }

    #[test]
    fn many_stars_end() {
        let path = format!("/{}", "a".repeat(200));
        assert!(!matches(&format!("/{}z", "**a".repeat(50)), &path));
        assert!(matches(&format!("/{}", "**a".repeat(50)), &path));
    }

    #[test]
    fn many_alternatives_end() {
        assert!(!matches(&"{a,b}".repeat(64), "/x"));
    }
}
