// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line that a unit starts (systemd.service(5), "Command lines"), with variables and instance replaced.

use super::Unit;
use std::path::PathBuf;

/// A variable of the service's environment.
type Variable = (String, String);

impl Unit {
    /// The program that the service starts, and its arguments. `instance` replaces `%i`; `variables` are those of
    /// [`Unit::environment`].
    pub fn command(&self, instance: &str, variables: &[Variable]) -> Option<Vec<String>> {
        let line = self.last("ExecStart")?.trim_start_matches(['-', ':', '+', '!']);
        let (line, names_itself) = line.strip_prefix('@').map_or((line, false), |rest| (rest, true));
        let mut all = Vec::new();
        for word in words(line) {
            let word = word.replace("%i", instance).replace("%I", instance).replace("%%", "%");
            match word.strip_prefix('$').filter(|name| is_name(name)) {
                // A variable that is a word of its own becomes several words.
                Some(name) => all.extend(value(variables, name).split_whitespace().map(str::to_owned)),
                None => all.push(expanded(&word, variables)),
            }
        }
        if names_itself && all.len() > 1 {
            all.remove(1);
        }
        (!all.is_empty()).then_some(all)
    }

    /// The files with variables of the service's environment.
    pub fn environment_files(&self) -> Vec<PathBuf> {
        self.all("EnvironmentFile").map(|file| file.trim_start_matches('-').into()).collect()
    }

    /// The variables that the unit sets, followed by those in the texts of its environment files. The last one counts.
    pub fn environment(&self, files: &[String]) -> Vec<Variable> {
        let of_unit = self.all("Environment").flat_map(words);
        let lines = files.iter().flat_map(|text| text.lines()).map(str::trim);
        let of_files = lines.filter(|line| !line.starts_with(['#', ';'])).map(|line| {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            format!("{name}={}", words(value).join(" "))
        });
        let all = of_unit.chain(of_files);
        all.filter_map(|word| word.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()))).collect()
    }
}

/// The value of a variable; empty if it is not set.
fn value<'v>(variables: &'v [Variable], name: &str) -> &'v str {
    variables.iter().rev().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

/// Replaces each `${NAME}` in a word, and `$$` by a dollar sign.
fn expanded(word: &str, variables: &[Variable]) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced =
            after.strip_prefix('{').and_then(|a| a.split_once('}')).filter(|(name, _)| is_name(name));
        if let Some((name, tail)) = braced {
            out.push_str(value(variables, name));
            rest = tail;
        } else {
            out.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
        }
    }
    out + rest
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Splits a line into words, with quotes and escapes.
fn words(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && quote.is_none() => all.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(unit: &str, files: &[&str]) -> Vec<String> {
        let mut parsed = Unit::default();
        parsed.add(unit);
        let files: Vec<_> = files.iter().map(|f| (*f).to_owned()).collect();
        parsed.command("replica01", &parsed.environment(&files)).unwrap_or_default()
    }

    #[test]
    fn the_command_line_of_a_service_is_split_as_systemd_splits_it() {
        assert_eq!(command("[Service]\nUser=mysql\n", &[]), [""; 0]);
        let of_package = "EnvironmentFile=-/etc/sysconfig/mysql\nExecStart=/usr/sbin/mysqld $MYSQLD_OPTS\n";
        assert_eq!(command(of_package, &[]), ["/usr/sbin/mysqld"]);
        assert_eq!(
            command(of_package, &["# options\nMYSQLD_OPTS=\"--datadir=/srv/a --port=1\"\n"]),
            ["/usr/sbin/mysqld", "--datadir=/srv/a", "--port=1"]
        );
        assert_eq!(
            command("ExecStart=-/bin/mysqld --defaults-group-suffix=@%I \"--datadir=/my data\" '' a$$b", &[]),
            ["/bin/mysqld", "--defaults-group-suffix=@replica01", "--datadir=/my data", "", "a$b"]
        );
        let two = "Environment=A=1 \"B=2 3\"\nExecStart=/bin/old\nExecStart=\nExecStart=@/bin/mysqld name --x=${B} $B\n";
        assert_eq!(command(two, &["B=4 5"]), ["/bin/mysqld", "--x=4 5", "4", "5"]);
        assert_eq!(command(two, &[]), ["/bin/mysqld", "--x=2 3", "2", "3"]);
    }
}
