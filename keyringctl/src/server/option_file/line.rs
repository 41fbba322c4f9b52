// SPDX-License-Identifier: GPL-2.0-or-later
//! One line of an option file.

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// Nothing: it is empty or a comment.
    Nothing,
    /// The options that follow are in this group. In lower case: MySQL takes groups in either case.
    Group(String),
    /// An option, with its value if there is an equals sign.
    Option(String, Option<String>),
    /// The option file to read at this place.
    Include(String),
    /// The directory whose option files to read at this place.
    IncludeDir(String),
}

/// Parses a line.
///
/// # Errors
/// Says why MySQL refuses the line.
pub(super) fn parse(line: &str) -> Result<Line, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Ok(Line::Nothing);
    }
    if let Some(directive) = line.strip_prefix('!') {
        return include(without_comment(directive).trim());
    }
    if let Some(header) = line.strip_prefix('[') {
        let (name, _) = header.split_once(']').ok_or("the group has no ]")?;
        return Ok(Line::Group(name.trim_end().to_ascii_lowercase()));
    }
    let line = without_comment(line).trim_end();
    let Some((name, value)) = line.split_once('=') else {
        return Ok(Line::Option(line.to_owned(), None));
    };
    Ok(Line::Option(name.trim_end().to_owned(), Some(unescaped(unquoted(value.trim())))))
}

/// Parses a line after its exclamation mark. MySQL ignores an unknown word.
fn include(directive: &str) -> Result<Line, String> {
    let Some((word, path)) = directive.split_once(char::is_whitespace) else {
        return match directive {
            "include" | "includedir" => Err(format!("!{directive} names no path")),
            _ => Ok(Line::Nothing),
        };
    };
    let path = path.trim().to_owned();
    match word {
        "include" => Ok(Line::Include(path)),
        "includedir" => Ok(Line::IncludeDir(path)),
        _ => Ok(Line::Nothing),
    }
}

/// Removes a comment from the end of a line: it begins at the first `#` outside of quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in line.char_indices() {
        match c {
            '"' | '\'' if !is_escaped => match quote {
                None => quote = Some(c),
                Some(open) if open == c => quote = None,
                Some(_) => {}
            },
            '#' if quote.is_none() => return &line[..at],
            _ => {}
        }
        is_escaped = quote.is_some() && c == '\\' && !is_escaped;
    }
    line
}

/// Removes quotes that are around the whole value.
fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|q| value.strip_prefix(q)?.strip_suffix(q)).unwrap_or(value)
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('s') => out.push(' '),
            Some(same @ ('\\' | '"' | '\'')) => out.push(same),
            // An unknown escape stays as it is.
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}
