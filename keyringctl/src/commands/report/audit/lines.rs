// SPDX-License-Identifier: GPL-2.0-or-later
//! What the lines of an audit log tell. A line that was changed tells nothing.

use keyring_external::audit::verify::{Place, Trouble, Verification};
use keyring_external::audit::{EventKind, Line};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashSet;
use uuid::Uuid;

/// Kinds of events that are told of together: their name in JSON, their name for people, and the events.
const GROUPS: [(&str, &str, &[EventKind]); 10] = [
    ("opened", "Keyring opened", &[EventKind::Opened]),
    ("stored", "Keys made", &[EventKind::KeyStored, EventKind::KeyGenerated, EventKind::KeysStored]),
    ("removed", "Keys removed", &[EventKind::KeyRemoved]),
    ("retired", "Keys retired, or in use again", &[EventKind::KeyRetired, EventKind::KeyUnretired]),
    ("destroyed", "Keys destroyed", &[EventKind::KeyDestroyed]),
    (
        "slots",
        "Unlock slots changed",
        &[EventKind::SlotAdded, EventKind::SlotRemoved, EventKind::SlotChanged],
    ),
    ("rekey", "Data key renewed", &[EventKind::Rekey]),
    ("exported", "Keys exported, or backed up", &[EventKind::Export, EventKind::Backup]),
    ("drills", "Restore drills", &[EventKind::Drill]),
    ("failed", "Refused or failed", &[EventKind::OpenFailed, EventKind::Refused, EventKind::ChangeFailed]),
];

/// Fields of a line that say what it is about.
const ABOUT: [&str; 11] =
    ["key", "key_user", "keys", "count", "slot", "kind", "name", "result", "backup", "to", "why"];

/// The lines of one kind of event.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands::report) struct EventLines {
    pub what: &'static str,
    /// What they tell of, for people.
    #[serde(skip)]
    pub name: &'static str,
    pub lines: usize,
    pub last: Option<LogLine>,
}

/// A line.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands::report) struct LogLine {
    pub log: Uuid,
    pub number: u64,
    pub time: String,
    pub event: String,
    pub who: String,
    pub about: String,
}

/// A key that was destroyed.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands::report) struct DestroyedKey {
    pub key: String,
    pub time: String,
    pub who: String,
    /// For how many days it had to be retired.
    pub min_wait_days: Option<u64>,
    /// Whether the keyring, or a later line, confirms it: a line is written before the change.
    pub confirmed: bool,
    pub log: Uuid,
    pub number: u64,
}

/// The lines that were not changed, by time.
pub(super) struct Lines {
    all: Vec<(Place, Line)>,
    unconfirmed: HashSet<(usize, usize)>,
}

impl Lines {
    /// The lines of files that were verified with this result.
    pub(super) fn of(files: &[Vec<u8>], logs: &[Verification]) -> Lines {
        let at = |place: Place| (place.file, place.line);
        let is_untrue = |trouble| {
            matches!(
                trouble,
                Trouble::Changed
                    | Trouble::ChangedOneOfTwo
                    | Trouble::Contradicts
                    | Trouble::DiffersFromNote
                    | Trouble::Incomplete
                    | Trouble::Repeated
            )
        };
        let wrong = logs.iter().flat_map(|log| &log.findings).filter(|finding| is_untrue(finding.trouble));
        let wrong: HashSet<_> = wrong.filter_map(|finding| finding.place.map(at)).collect();
        let remarks = logs.iter().flat_map(|log| &log.remarks);
        let unconfirmed = remarks.filter(|finding| finding.trouble == Trouble::Unconfirmed);
        let unconfirmed = unconfirmed.filter_map(|finding| finding.place.map(at)).collect();
        let mut all = Vec::new();
        for (file, bytes) in files.iter().enumerate() {
            for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
                let place = Place { file, line: index + 1 };
                let line = Line::parse(line).filter(|_| !wrong.contains(&at(place)));
                all.extend(line.map(|line| (place, line)));
            }
        }
        // Times are in one form, so that they can be compared as texts.
        all.sort_by(|(_, a), (_, b)| {
            let key = |line: &Line| (line.text("time").unwrap_or_default().to_owned(), line.seq);
            key(a).cmp(&key(b))
        });
        Lines { all, unconfirmed }
    }

    fn with(&self, kinds: &[EventKind]) -> impl DoubleEndedIterator<Item = &(Place, Line)> {
        let is_one = |line: &Line| kinds.iter().any(|kind| line.text("event") == Some(kind.name()));
        self.all.iter().filter(move |(_, line)| is_one(line))
    }

    /// How many lines tell of each kind of event, and the last one of it.
    pub(super) fn events(&self) -> Vec<EventLines> {
        let lines = GROUPS.map(|(what, name, kinds)| EventLines {
            what,
            name,
            lines: self.with(kinds).count(),
            last: self.with(kinds).next_back().map(|(_, line)| LogLine::from(line)),
        });
        lines.into()
    }

    /// The keys that were destroyed, the last first. A change that failed is left out.
    pub(super) fn destroyed(&self) -> Vec<DestroyedKey> {
        let failed = self.with(&[EventKind::ChangeFailed]);
        let failed: HashSet<_> =
            failed.filter_map(|(_, line)| Some((line.log, line.number("line")?))).collect();
        let done = self.with(&[EventKind::KeyDestroyed]);
        let done = done.rev().filter(|(_, line)| !failed.contains(&(line.log, line.seq)));
        done.flat_map(|(place, line)| {
            let confirmed = !self.unconfirmed.contains(&(place.file, place.line));
            keys(line).into_iter().map(move |key| DestroyedKey {
                key,
                time: line.text("time").unwrap_or_default().to_owned(),
                who: who(line),
                min_wait_days: line.number("min_wait_days"),
                confirmed,
                log: Uuid::from_bytes(line.log),
                number: line.seq,
            })
        })
        .collect()
    }
}

impl From<&Line> for LogLine {
    fn from(line: &Line) -> LogLine {
        let text = |name: &str| line.text(name).unwrap_or_default().to_owned();
        let about = ABOUT.iter().filter_map(|name| Some((name, line.fields.get(*name)?)));
        let about: Vec<_> = about.map(|(name, value)| format!("{name} {}", plain(value))).collect();
        LogLine {
            log: Uuid::from_bytes(line.log),
            number: line.seq,
            time: text("time"),
            event: text("event"),
            who: who(line),
            about: about.join(", "),
        }
    }
}

/// The keys that a line names; those that do not fit into a line are counted.
fn keys(line: &Line) -> Vec<String> {
    let named = line.fields.get("keys").and_then(Value::as_array).into_iter().flatten();
    // A name is in quotation marks, and its user may follow.
    let plain = |name: &str| match name.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(id) if !id.contains('\'') => id.to_owned(),
        _ => name.to_owned(),
    };
    let mut keys: Vec<_> = named.filter_map(Value::as_str).map(plain).collect();
    let count = line.number("count").unwrap_or_default();
    let more = count.saturating_sub(keys.len() as u64);
    keys.extend((more > 0).then(|| format!("{more} more, which the line does not name")));
    keys
}

/// Who wrote a line: the program, its command and user, and who that was before sudo.
fn who(line: &Line) -> String {
    let who = line.fields.get("who");
    let of = |name: &str| who.and_then(|who| who.get(name)).filter(|value| !value.is_null()).map(plain);
    let (program, command) = (of("program").unwrap_or_default(), of("command"));
    let mut text = [Some(program), command].into_iter().flatten().collect::<Vec<_>>().join(" ");
    if let Some(user) = of("user") {
        text += &format!(", user {user}");
    }
    if let Some(user) = of("sudo_user") {
        text += &format!(", which {user} became through sudo");
    }
    if let Some(host) = line.text("host") {
        text += &format!(", on {host}");
    }
    text
}

/// A value without quotation marks.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(" "),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyring_external::audit::verify::{Finding, Known, verify};
    use serde_json::json;

    const LOG: &str = "00000000-0000-0000-0000-000000000001";

    /// A line without a MAC, with these fields.
    fn line(number: u64, event: &str, fields: Value) -> Vec<u8> {
        let fields = fields.to_string();
        let fields = fields.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
        let comma = if fields.is_empty() { "" } else { "," };
        let time = format!("2026-05-0{number}T00:00:00.000Z");
        let zeros = "0".repeat(64);
        format!(
            r#"{{"seq":{number},"time":"{time}","log":"{LOG}","host":"db","who":{{"program":"keyringctl","command":"keys destroy","user":"root","sudo_user":"anna"}},"event":"{event}"{comma}{fields},"prev":"{zeros}","mac":"none"}}{}"#,
            "\n"
        )
        .into_bytes()
    }

    fn with(trouble: Trouble, line: usize) -> Finding {
        let place = Some(Place { file: 0, line });
        Finding { trouble, place, seqs: None, count: None, times: (None, None), detail: None }
    }

    /// The result for a log in which these are the only findings.
    fn verified(file: &[u8], findings: Vec<Finding>, remarks: Vec<Finding>) -> Vec<Verification> {
        let (mut logs, _) = verify(&[file.to_vec()], &Known::default());
        (logs[0].findings, logs[0].remarks) = (findings, remarks);
        logs
    }

    #[test]
    fn the_last_line_of_each_kind_and_the_destroyed_keys_are_told() {
        let two = json!({"count": 2, "keys": ["'a-1'", "'b' of user 'x'"], "min_wait_days": 30});
        let one = json!({"count": 3, "keys": ["'a-2'"], "min_wait_days": 7});
        let file = [
            line(1, "segment_started", json!({})),
            line(2, "opened", json!({})),
            line(3, "key_generated", json!({"key": "a-1"})),
            line(4, "key_destroyed", two),
            line(5, "key_destroyed", json!({"count": 1, "keys": ["'never'"]})),
            line(6, "change_failed", json!({"line": 5, "why": "disk full"})),
            line(7, "key_destroyed", one),
            line(8, "key_generated", json!({"key": "forged"})),
        ]
        .concat();
        let logs = verified(&file, vec![with(Trouble::Changed, 8)], vec![with(Trouble::Unconfirmed, 7)]);
        let lines = Lines::of(std::slice::from_ref(&file), &logs);
        let destroyed = lines.destroyed();
        let told: Vec<_> =
            destroyed.iter().map(|d| (d.key.as_str(), d.number, d.min_wait_days, d.confirmed)).collect();
        let expected = [
            ("a-2", 7, Some(7), false),
            ("2 more, which the line does not name", 7, Some(7), false),
            ("a-1", 4, Some(30), true),
            ("'b' of user 'x'", 4, Some(30), true),
        ];
        assert_eq!(told, expected);
        assert_eq!(
            destroyed[0].who,
            "keyringctl keys destroy, user root, which anna became through sudo, on db"
        );
        let events = lines.events();
        let of = |what: &str| {
            let group = events.iter().find(|group| group.what == what).expect("a group");
            (group.lines, group.last.as_ref().map(|line| (line.number, line.about.clone())))
        };
        assert_eq!(of("stored"), (1, Some((3, "key a-1".to_owned()))), "a changed line tells nothing");
        assert_eq!(of("failed"), (1, Some((6, "why disk full".to_owned()))));
        assert_eq!((of("destroyed").0, of("drills")), (3, (0, None)));
    }
}
