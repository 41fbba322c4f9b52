// SPDX-License-Identifier: GPL-2.0-or-later
//! Parses the path rules of AppArmor's policy files (apparmor.d(5)).

use super::profile::{End, PathRule, Profile};
use std::collections::HashMap;

/// Most levels of includes, and most files.
const DEPTH: usize = 16;
const MOST_TEXTS: usize = 2000;
/// Keywords of statements that are not path rules.
const OTHER_RULES: [&str; 19] = [
    "capability",
    "network",
    "signal",
    "ptrace",
    "unix",
    "dbus",
    "mount",
    "umount",
    "remount",
    "pivot_root",
    "change_profile",
    "change_hat",
    "rlimit",
    "set",
    "userns",
    "io_uring",
    "mqueue",
    "link",
    "abi",
];
const ACCESS: &str = "rwaklmixpPcCuUdD";

/// Returns the texts of an include: of a file, or of all files in a directory. `None` if it does not exist.
pub type Include<'a> = dyn Fn(&str) -> Option<Vec<String>> + 'a;

/// Parses all profiles of a policy file.
pub fn parse(text: &str, include: &Include<'_>) -> Vec<Profile> {
    let mut parser = Parser {
        include,
        variables: HashMap::new(),
        aliases: Vec::new(),
        profiles: Vec::new(),
        blocks: 0,
        pending: String::new(),
        scan: Scan::default(),
        texts: 0,
    };
    parser.text(text, 0);
    let Parser { mut profiles, variables, aliases, .. } = parser;
    for profile in &mut profiles {
        profile.variables.clone_from(&variables);
        profile.aliases.clone_from(&aliases);
    }
    profiles
}

/// A line without blanks and comments around it.
#[derive(Clone, Copy)]
struct LinePart {
    /// The number of the line, from 0.
    number: usize,
    /// Where this part begins in the line.
    from: usize,
    len: usize,
}

impl LinePart {
    /// The place with so many bytes left in this part.
    fn before(self, left: usize) -> Option<End> {
        Some(End { line: self.number, column: self.from + self.len.checked_sub(left)? })
    }
}

struct Parser<'a> {
    include: &'a Include<'a>,
    variables: HashMap<String, Vec<String>>,
    aliases: Vec<(String, String)>,
    profiles: Vec<Profile>,
    /// How many blocks are open. Only the outermost ones are profiles of their own.
    blocks: usize,
    /// The start of a statement whose end was not read yet.
    pending: String,
    scan: Scan,
    /// How many files were read.
    texts: usize,
}

impl Parser<'_> {
    fn text(&mut self, text: &str, depth: usize) {
        self.texts += 1;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let line = line.trim();
            if let Some(what) = included(line) {
                self.included(what, depth);
                continue;
            }
            let line = without_comment(line);
            if line.is_empty() {
                continue;
            }
            self.pending.push(' ');
            self.pending.push_str(line);
            let here = (depth == 0).then_some(LinePart { number, from: indent, len: line.len() });
            self.statements(here);
        }
    }

    fn included(&mut self, what: &str, depth: usize) {
        if depth == DEPTH || self.texts > MOST_TEXTS {
            return;
        }
        if let (1, Some(profile)) = (self.blocks, self.profiles.last_mut()) {
            profile.includes.push(what.to_owned());
        }
        match (self.include)(what) {
            Some(texts) => texts.iter().for_each(|text| self.text(text, depth + 1)),
            None => {
                if let (1, Some(profile)) = (self.blocks, self.profiles.last_mut()) {
                    profile.not_found.push(what.to_owned());
                }
            }
        }
    }

    /// Processes complete statements: the header of a block, a rule, the end of a block, a line that sets a variable.
    /// `here` is the line that was added last, if it is one of the profile's own file.
    fn statements(&mut self, here: Option<LinePart>) {
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_str();
        loop {
            let line = rest.trim();
            if line.starts_with('@') && line.contains('=') && !line.ends_with(',') {
                self.variable(line);
                self.scan = Scan::default();
                return;
            }
            let Some((statement, end, after)) = self.scan.first_statement(rest) else { break };
            let statement = statement.trim();
            match end {
                '{' => {
                    if self.blocks == 0 {
                        self.profiles.push(header(statement));
                    }
                    self.blocks += 1;
                }
                '}' => {
                    if let (1, Some(profile)) = (self.blocks, self.profiles.last_mut()) {
                        profile.end = here.and_then(|line| line.before(after.len() + 1));
                    }
                    self.blocks = self.blocks.saturating_sub(1);
                }
                _ => self.rule(statement),
            }
            self.scan = Scan::default();
            rest = after;
        }
        self.pending = if rest.len() < pending.len() { rest.to_owned() } else { pending };
    }

    fn variable(&mut self, line: &str) {
        let Some((name, values)) = line.split_once('=') else { return };
        let (name, adds) = name.trim().strip_suffix('+').map_or((name.trim(), false), |n| (n.trim(), true));
        let values = words(values).into_iter().collect::<Vec<_>>();
        let known = self.variables.entry(name.to_owned()).or_default();
        if !adds {
            known.clear();
        }
        known.extend(values);
    }

    fn rule(&mut self, statement: &str) {
        let words = words(statement);
        if let [first, from, arrow, to] = words.as_slice()
            && first == "alias"
            && arrow == "->"
        {
            self.aliases.push((from.clone(), to.clone()));
        }
        if let (1, Some(profile), Some(rule)) = (self.blocks, self.profiles.last_mut(), rule(&words)) {
            profile.rules.push(rule);
        }
    }
}

/// The path in an include line.
fn included(line: &str) -> Option<&str> {
    let rest = line.strip_prefix('#').unwrap_or(line).strip_prefix("include")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let rest = rest.strip_prefix("if exists").unwrap_or(rest).trim();
    let name = rest.split_once('<').map_or(rest, |(_, name)| name);
    Some(name.split(['>', ',']).next().unwrap_or(name).trim_matches('"').trim())
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut before = ' ';
    for (i, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted && before.is_whitespace() => return line[..i].trim(),
            _ => {}
        }
        before = c;
    }
    line
}

/// How far a statement that has no end yet was looked through, so that a further line of it costs no second look at all
/// lines before.
struct Scan {
    at: usize,
    quoted: bool,
    escaped: bool,
    depth: usize,
    before: char,
}

impl Default for Scan {
    fn default() -> Self {
        Self { at: 0, quoted: false, escaped: false, depth: 0, before: ' ' }
    }
}

impl Scan {
    /// Up to the first brace that stands alone, or the first comma that is in no braces, brackets or quotes. If there is
    /// none, the next call continues at the end of `text`.
    fn first_statement<'t>(&mut self, text: &'t str) -> Option<(&'t str, char, &'t str)> {
        for (i, c) in text[self.at..].char_indices().map(|(i, c)| (self.at + i, c)) {
            let after = text[i + c.len_utf8()..].chars().next();
            let alone = self.before.is_whitespace() && after.is_none_or(char::is_whitespace);
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => self.quoted = !self.quoted,
                _ if self.quoted => {}
                '{' | '}' if alone && self.depth == 0 => return Some((&text[..i], c, &text[i + 1..])),
                '{' | '(' => self.depth += 1,
                '}' | ')' => self.depth = self.depth.saturating_sub(1),
                ',' if self.depth == 0 => return Some((&text[..i], c, &text[i + 1..])),
                _ => {}
            }
            self.before = c;
        }
        self.at = text.len();
        None
    }
}

/// Splits at blanks outside of quotes, and removes the quotes.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let (mut word, mut quoted, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' => {
                word.push(c);
                escaped = true;
            }
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        all.push(word);
    }
    all
}

fn header(statement: &str) -> Profile {
    let (names, flags) = statement.split_once("flags").unwrap_or((statement, ""));
    let names: Vec<String> = words(names).into_iter().filter(|w| w != "profile").collect();
    let is_path = |name: &&String| name.starts_with(['/', '@']);
    Profile {
        name: names.first().cloned().unwrap_or_default(),
        attachment: names.iter().rev().find(is_path).cloned().unwrap_or_default(),
        flags: flags
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|f| !f.is_empty())
            .map(str::to_owned)
            .collect(),
        ..Profile::default()
    }
}

fn rule(words: &[String]) -> Option<PathRule> {
    let mut rule = PathRule { pattern: String::new(), access: String::new(), deny: false, owner: false };
    let mut rest = words;
    while let Some((word, tail)) = rest.split_first() {
        match word.as_str() {
            "deny" => rule.deny = true,
            "owner" => rule.owner = true,
            "allow" | "audit" | "quiet" => {}
            word if word.starts_with("priority=") => {}
            "file" | "all" if tail.is_empty() => {
                return Some(PathRule { pattern: "/{,**}".to_owned(), access: ACCESS.to_owned(), ..rule });
            }
            "file" => {}
            _ => break,
        }
        rest = tail;
    }
    let is_path = |word: &str| word.starts_with(['/', '@']);
    let is_access = |word: &str| !word.is_empty() && word.chars().all(|c| ACCESS.contains(c));
    match rest {
        [first, ..] if OTHER_RULES.contains(&first.as_str()) => None,
        // An execution rule may end in `-> target`.
        [path, access, ..] if is_path(path) && is_access(access) => {
            Some(PathRule { pattern: path.clone(), access: access.clone(), ..rule })
        }
        [access, path, ..] if is_path(path) && is_access(access) => {
            Some(PathRule { pattern: path.clone(), access: access.clone(), ..rule })
        }
        _ => None,
    }
}
