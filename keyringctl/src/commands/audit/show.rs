// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl audit show`.

use super::read::{self, Content};
use crate::commands::audit_trail;
use crate::commands::copies;
use crate::commands::output::{Output, counted, table};
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::{self, Shown};
use keyring_external::audit::Line;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show the lines of the audit log
///
/// Nothing is verified: keyringctl audit verify does that. Without FILE, it shows the log of the server on this host with
/// all files that a rotation has renamed.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl audit show --since 2026-11-01\n  keyringctl audit show /var/log/mysql/keyring_external.audit.log --event key_removed --json"
)]
pub(super) struct Args {
    /// File of the log (repeatable) [default: those of the server on this host]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only lines from this time on, in UTC: 2026-11-27 or 2026-11-27T06:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only these events (repeatable)
    #[arg(long, value_name = "NAME")]
    event: Vec<String>,
    /// Only lines about the key with this id
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    #[command(flatten)]
    server: copies::ServerArgs,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut files = args.files.clone();
    if files.is_empty() {
        args.server.look_for_audit_log();
        let log = audit_trail::path().ok_or_else(|| {
            Error::Usage(
                "no audit log is configured for the server on this host. Name the files of the log, or --audit-log FILE"
                    .to_owned(),
            )
        })?;
        files = read::with_segments(&log)?;
    }
    let mut lines = Vec::new();
    let mut unreadable = 0;
    let mut damaged = false;
    for path in &files {
        let bytes = match read::file(path)? {
            Content::Bytes(bytes) => bytes,
            Content::NotUnpacked(why) => {
                damaged = true;
                show::warn(format_args!("{} cannot be unpacked ({why}): it is left out", path.shown()));
                continue;
            }
        };
        for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            match Line::parse(line) {
                Some(line) => lines.push(line),
                None => unreadable += 1,
            }
        }
    }
    lines.sort_by_key(|line| (line.text("time").unwrap_or_default().to_owned(), line.seq));
    lines.retain(|line| args.is_wanted(line));
    let rows: Vec<_> = lines.iter().map(row).collect();
    table(out, &["NUMBER", "TIME", "EVENT", "WHO", "DETAILS"], &rows);
    out.line(counted(lines.len(), "line"));
    if unreadable > 0 {
        out.line(format_args!("{} cannot be read: see keyringctl audit verify", counted(unreadable, "line")));
    }
    let lines: Vec<_> = lines.into_iter().map(|line| Value::Object(line.fields)).collect();
    out.document(&json!({ "lines": lines, "unreadable": unreadable }));
    Ok(if damaged { Verdict::NotFine } else { Verdict::Fine })
}

impl Args {
    fn is_wanted(&self, line: &Line) -> bool {
        // Times are in one form, so that they can be compared as texts.
        let time = line.text("time").unwrap_or_default();
        self.since.as_deref().is_none_or(|since| time >= since)
            && self.until.as_deref().is_none_or(|until| time < until)
            && (self.event.is_empty() || self.event.iter().any(|event| line.text("event") == Some(event)))
            && self.key.as_deref().is_none_or(|key| is_about(line, key))
    }
}

/// Whether a line is about the key with this id, maybe among others.
fn is_about(line: &Line, key: &str) -> bool {
    // Several are named with their users.
    let alone = format!("'{key}'");
    let of_user = format!("'{key}' of user ");
    let several = line.fields.get("keys").and_then(Value::as_array).into_iter().flatten();
    let mut several = several.filter_map(Value::as_str);
    line.text("key") == Some(key) || several.any(|name| name == alone || name.starts_with(&of_user))
}

/// Fields that have a column of their own, or that serve the verification.
const ELSEWHERE: &[&str] = &[
    "seq",
    "time",
    "event",
    "who",
    "log",
    "host",
    "server",
    "keyring",
    "prev",
    "mac",
    "noted",
    "earlier_key",
];

fn row(line: &Line) -> Vec<String> {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let who = line.fields.get("who");
    let of = |name: &str| who.and_then(|who| who.get(name)).filter(|value| !value.is_null()).map(plain);
    let who: Vec<_> =
        ["program", "command", "user", "sudo_user"].iter().filter_map(|name| of(name)).collect();
    let details = line.fields.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str()));
    let details: Vec<_> = details.map(|(name, value)| format!("{name}={}", plain(value))).collect();
    let text = |name: &str| line.text(name).unwrap_or_default().to_owned();
    vec![line.seq.to_string(), text("time"), text("event"), who.join(" "), details.join(" ")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyring_external::key::NameRef;

    #[test]
    fn a_key_is_found_alone_and_among_others() {
        let line = |field: Value| {
            let zeros = "0".repeat(64);
            let rest = format!(r#""prev":"{zeros}","mac":"none"}}"#);
            let fields = field.to_string();
            let fields = fields.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
            let log = "00000000-0000-0000-0000-000000000001";
            Line::parse(format!(r#"{{"seq":1,"log":"{log}",{fields},{rest}"#).as_bytes()).unwrap()
        };
        let named = |user: &str| NameRef::new(b"INNODBKey-1", user.as_bytes()).unwrap().to_string();
        for field in [
            json!({ "key": "INNODBKey-1" }),
            json!({ "keys": ["'INNODBKey-2'", named("")] }),
            json!({ "keys": [named("anna")] }),
        ] {
            let line = line(field);
            assert!(is_about(&line, "INNODBKey-1"), "{line:?}");
            assert!(!is_about(&line, "INNODBKey"), "{line:?}");
        }
    }
}
