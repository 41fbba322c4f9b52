// SPDX-License-Identifier: GPL-2.0-or-later
//! The audit log that commands write, and its verification.

use super::{Place, UNLOCK};
use serde_json::Value;
use std::fs;

const LOG: &str = "--audit-log DIR/audit.log";
const NO_SERVER: &str = "--option-file DIR/none.cnf --mysqld DIR/none/mysqld";

fn place() -> Place {
    let place = Place::with_keyring();
    place.write("none.cnf", b"[mysqld]\n");
    place
}

fn fine(place: &Place, line: &str) -> String {
    let ended = place.run(line);
    assert_eq!(ended.code, 0, "{line}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

fn lines(place: &Place, log: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(log)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn verify(place: &Place, more: &str) -> (i32, String) {
    let ended = place.run(&format!("audit verify DIR/audit.log DIR/main.keyring {UNLOCK} {more}"));
    (ended.code, format!("{}{}", ended.stdout, ended.stderr))
}

#[test]
fn a_command_writes_who_did_what_and_no_secret() {
    let place = place();
    let add = format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/phrase --name administrator {LOG}");
    fine(&place, &add);
    let all = lines(&place, "audit.log");
    let events: Vec<_> = all.iter().map(|line| line["event"].as_str().unwrap()).collect();
    // What opening the keyring left to be made durable is written first.
    assert_eq!((events[0], events[1]), ("segment_started", "opened"));
    let added = all.last().unwrap();
    assert_eq!(
        (&added["event"], &added["slot"], &added["slot_name"]),
        (&"slot_added".into(), &3.into(), &"administrator".into())
    );
    let who = &added["who"];
    assert_eq!((&who["program"], &who["command"]), (&"keyringctl".into(), &"slot add".into()));
    assert!(who["uid"].is_u64() && who["terminal"] == false, "{who}");
    let options = who["options"].to_string();
    assert!(options.contains("--name=administrator") && options.contains("--unlock"), "{options}");
    let text = fs::read_to_string(place.path("audit.log")).unwrap();
    assert!(!text.contains("correct horse") && !text.contains("/phrase"), "{text}");
    let (code, said) = verify(&place, "");
    assert!(code == 0 && said.contains("compared with the note in the keyring"), "{said}");
    // The verification writes no line.
    assert_eq!(lines(&place, "audit.log").len(), all.len());
}

#[test]
fn a_log_that_was_touched_is_found_and_so_is_one_that_was_cut() {
    let place = place();
    for name in ["a", "b", "c"] {
        fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery --name {name} {LOG}"));
    }
    let log = place.path("audit.log");
    let whole = fs::read_to_string(&log).unwrap();
    let all: Vec<&str> = whole.lines().collect();
    let count = all.len();
    let with = |text: String| {
        fs::write(&log, text).unwrap();
        let found = verify(&place, "");
        assert_eq!(found.0, 1, "{}", found.1);
        found.1
    };
    let changed = with(whole.replacen("slot_added", "slot_addee", 1));
    let at = 1 + all.iter().position(|line| line.contains("slot_added")).unwrap();
    assert!(changed.contains(&format!("audit.log line {at}: the line was changed")), "{changed}");
    let cut = with(all[..count - 1].join("\n") + "\n");
    assert!(cut.contains(&format!("missing at the end: number {count}")), "{cut}");
    let missing = with([&all[..2], &all[3..]].concat().join("\n") + "\n");
    assert!(missing.contains("line 3: before it, lines are missing: number 3"), "{missing}");
    // Without the secret, too.
    let ended = place.run("audit verify DIR/audit.log DIR/main.keyring --without-secret");
    assert!(
        ended.code == 1 && ended.stdout.contains("checked only by the hashes"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    // The log alone says what it could not be compared with.
    fs::write(&log, &whole).unwrap();
    let alone = fine(&place, "audit verify DIR/audit.log");
    assert!(alone.contains("not compared with a keyring"), "{alone}");
    let ended = place.run(&format!("audit verify DIR/audit.log DIR/main.keyring {UNLOCK} --json"));
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&document["fine"], &document["logs"][0]["by_mac"]), (&true.into(), &count.into()));
}

#[test]
fn lines_stay_verifiable_after_a_renewal_which_needs_the_log() {
    let place = place();
    fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery {LOG}"));
    let refused = place.run(&format!("rekey DIR/main.keyring {UNLOCK} --yes {NO_SERVER}"));
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("--without-audit-log"), "{}", refused.stderr);
    // Another log does not do.
    let other = place.run(&format!("rekey DIR/main.keyring {UNLOCK} --yes --audit-log DIR/other.log"));
    assert_eq!(other.code, 2, "{}", other.stderr);
    fine(&place, &format!("rekey DIR/main.keyring {UNLOCK} --yes {LOG}"));
    fine(&place, &format!("slot remove DIR/main.keyring 2 {UNLOCK} --yes {LOG}"));
    let ended = place.run(&format!("audit verify DIR/audit.log DIR/main.keyring {UNLOCK} --json"));
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let log = &document["logs"][0];
    assert_eq!((ended.code, &log["by_mac"]), (0, &log["lines"]), "{document}");
    // Renewed without the log, the earlier lines are checked by the later ones.
    fine(&place, &format!("rekey DIR/main.keyring {UNLOCK} --yes --without-audit-log {NO_SERVER}"));
    fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery {LOG}"));
    let (code, said) = verify(&place, "");
    assert!(code == 0 && !said.contains(" 0 by the hash"), "{said}");
}

/// Nothing keeps the key of the lines. Those that nothing covers are not accused, and not taken for right either.
#[test]
fn lines_from_before_a_renewal_without_the_log_are_not_accused() {
    let place = place();
    fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery {LOG}"));
    let noted = fs::read_to_string(place.path("audit.log")).unwrap();
    fine(&place, &format!("list DIR/main.keyring {UNLOCK} {LOG}"));
    let whole = fs::read_to_string(place.path("audit.log")).unwrap();
    let count = whole.lines().count();
    fs::copy(place.path("main.keyring"), place.path("backup.keyring")).unwrap();
    fine(&place, &format!("rekey DIR/main.keyring {UNLOCK} --yes --without-audit-log {NO_SERVER}"));
    let of = |text: &str| {
        place.write("audit.log", text.as_bytes());
        verify(&place, "")
    };
    let (code, said) = of(&noted);
    assert!(code == 0 && said.contains("note     the data key was renewed after the line"), "{said}");
    let (code, said) = of(&whole);
    let unknown = format!("UNKNOWN  DIR/audit.log line {count}: this line (number {count}, of ");
    assert!(code == 2 && said.contains(&unknown) && !said.contains("FAILED"), "{said}");
    // A change of a line that the note covers is an error.
    let (code, said) = of(&whole.replacen("slot_added", "slot_addee", 1));
    assert!(code == 1 && said.contains("was changed"), "{said}");
    // What is printed to do next: a backup has the key, and the next line covers the others.
    let (_, said) = of(&whole);
    let by_backup = |said: &str| {
        let step = said.lines().find_map(|line| line.split_once("keyringctl audit verify ")).unwrap().1;
        place.run(&format!("audit verify {}", step.replace("BACKUP", "DIR/backup.keyring")))
    };
    let ended = by_backup(&said);
    assert!(ended.code == 0 && ended.stdout.contains(&format!("{count} checked by MAC")), "{}", ended.stdout);
    fine(&place, &format!("list DIR/main.keyring {UNLOCK} {LOG}"));
    let (code, said) = verify(&place, "");
    assert!(code == 0 && said.contains("1 checked by MAC"), "{said}");
    // That nobody could check it stays known, and so does how to check it.
    let never = format!("nobody could check line {count}, of ");
    assert!(said.contains(&never) && said.contains("it is only known not to have changed since"), "{said}");
    let ended = by_backup(&said);
    let all = format!("{} checked by MAC", count + 1);
    assert!(ended.code == 0 && ended.stdout.contains(&all) && !ended.stdout.contains("nobody could check"));
    // A line that somebody else wrote.
    let text = whole.trim_end().rsplit_once('\n').unwrap();
    let (code, said) = of(&format!("{}\n{}\n", text.0, text.1.replace("\"list\"", "\"hide\"")));
    assert!(code == 2 && said.contains("NOT CHECKED"), "{said}");
    fine(&place, &format!("list DIR/main.keyring {UNLOCK} {LOG}"));
    let (code, said) = verify(&place, "");
    assert!(code == 0 && said.contains(&never), "{said}");
    let ended = by_backup(&said);
    let changed = format!("audit.log line {count}: the line was changed");
    assert!(ended.code == 1 && ended.stdout.contains(&changed), "{}{}", ended.stdout, ended.stderr);
    // The copy of another keyring has no key for it.
    fine(&place, "init DIR/other.keyring --unlock file:DIR/phrase");
    let (code, said) = verify(&place, "--earlier-copy DIR/other.keyring --earlier-unlock file:DIR/phrase");
    assert!(code == 2 && said.contains("is a copy of another keyring"), "{said}");
}

#[test]
fn a_change_by_a_command_without_the_log_is_told() {
    let place = place();
    fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery {LOG}"));
    let (code, said) = verify(&place, "");
    assert!(code == 0 && !said.contains("note  "), "{said}");
    fine(&place, &format!("slot remove DIR/main.keyring 2 {UNLOCK} --yes {NO_SERVER}"));
    for more in ["", "--without-secret"] {
        let line = match more {
            "" => format!("audit verify DIR/audit.log DIR/main.keyring {UNLOCK}"),
            _ => format!("audit verify DIR/audit.log DIR/main.keyring {more}"),
        };
        let said = fine(&place, &line);
        assert!(said.contains("1 after the line that it notes"), "{said}");
    }
    // The next change has a line.
    fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery {LOG}"));
    let (code, said) = verify(&place, "");
    assert!(code == 0 && !said.contains("after the line that it notes"), "{said}");
}

#[test]
fn a_log_is_shown_by_time_event_and_key() {
    let place = place();
    fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery {LOG}"));
    let shown = fine(&place, "audit show DIR/audit.log --event slot_added");
    assert!(shown.contains("slot_added") && shown.contains("1 line") && !shown.contains("opened"), "{shown}");
    let none = fine(&place, "audit show DIR/audit.log --until 2020-01-01 --json");
    let document: Value = serde_json::from_str(&none).unwrap();
    assert_eq!(document["lines"], Value::Array(Vec::new()));
}

/// The command does what it was asked to, and says that its log cannot be written.
#[test]
fn a_log_that_cannot_be_written_stops_no_command() {
    let place = place();
    let ended = place
        .run(&format!("slot add DIR/main.keyring {UNLOCK} --new-recovery --audit-log DIR/none/audit.log"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot write the audit log DIR/none/audit.log"), "{}", ended.stderr);
}

/// The line about a new keyring, and those of commands that only read it, are authentic.
#[test]
fn a_new_keyring_is_in_the_log_and_so_is_who_read_it() {
    let place = Place::new();
    fine(&place, &format!("init DIR/main.keyring --unlock file:DIR/secret --generate-secret {LOG}"));
    let all = lines(&place, "audit.log");
    let created = all.last().unwrap();
    assert_eq!((&created["event"], &created["new_keyring"]), (&"copies_created".into(), &true.into()));
    assert_eq!((&created["generation"], &created["who"]["command"]), (&1.into(), &"init".into()));
    assert!(created["copies"][0].as_str().unwrap().ends_with("/main.keyring"), "{created}");
    for command in ["list", "verify"] {
        fine(&place, &format!("{command} DIR/main.keyring {UNLOCK} {LOG}"));
    }
    // Monitoring asks for it again and again.
    fine(&place, &format!("status DIR/main.keyring {UNLOCK} {LOG}"));
    let all = lines(&place, "audit.log");
    let commands: Vec<_> = all.iter().skip(2).map(|line| line["who"]["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["list", "verify"], "{all:#?}");
    let (code, said) = verify(&place, "");
    assert!(code == 0 && said.contains("4 checked by MAC, 0 by the hash"), "{said}");
}

/// The last line without its MAC and its fields about the keyring, as somebody without the secret can write it, as the next
/// line of this log.
fn forged(place: &Place, event: &str) {
    let path = place.path("audit.log");
    let mut text = fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap();
    let prev = sha256(last.as_bytes());
    let line: Value = serde_json::from_str(last).unwrap();
    let seq = line["seq"].as_u64().unwrap() + 1;
    let (time, log) = (line["time"].as_str().unwrap(), line["log"].as_str().unwrap());
    text += &format!(
        r#"{{"seq":{seq},"time":"{time}","log":"{log}","host":"db","who":{{"program":"mysqld"}},"event":"{event}","prev":"{prev}","mac":"none"}}"#
    );
    fs::write(path, text + "\n").unwrap();
}

fn sha256(bytes: &[u8]) -> String {
    keyring_external::audit::hex(&keyring_external::audit::hash(bytes))
}

/// Also after the next line of a program covers it.
#[test]
fn a_line_that_somebody_without_the_secret_added_is_found() {
    let place = place();
    fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery {LOG}"));
    let whole = fs::read_to_string(place.path("audit.log")).unwrap();
    let at = whole.lines().count() + 1;
    for event in ["key_destroyed", "export", "opened", "rekey"] {
        place.write("audit.log", whole.as_bytes());
        forged(&place, event);
        for more in ["", "--without-secret"] {
            let unlock = if more.is_empty() { UNLOCK } else { more };
            let ended = place.run(&format!("audit verify DIR/audit.log DIR/main.keyring {unlock}"));
            let said = format!("DIR/audit.log line {at}: the line was changed");
            assert!(ended.code == 1 && ended.stdout.contains(&said), "{event}: {}", ended.stdout);
        }
        fine(&place, &format!("list DIR/main.keyring {UNLOCK} {LOG}"));
        let (code, said) = verify(&place, "");
        assert!(code == 1 && said.contains(&format!("line {at}: the line was changed")), "{event}: {said}");
    }
    // What a server writes that cannot open the keyring looks the same whoever wrote it.
    place.write("audit.log", whole.as_bytes());
    forged(&place, "open_failed");
    let (code, said) = verify(&place, "");
    let note = format!("note     1 line (number {at}) has no MAC");
    assert!(code == 0 && said.contains(&note) && said.contains("covers 1 of them"), "{said}");
    assert!(said.contains(", 1 without a MAC\n"), "{said}");
    fine(&place, &format!("list DIR/main.keyring {UNLOCK} {LOG}"));
    let (code, said) = verify(&place, "");
    assert!(code == 0 && said.contains(&note) && !said.contains("covers 1 of them"), "{said}");
}

/// One bad file hides nothing of the others.
#[test]
fn a_file_that_cannot_be_unpacked_is_one_finding_and_the_others_are_verified() {
    let place = place();
    fine(&place, &format!("slot add DIR/main.keyring {UNLOCK} --new-recovery {LOG}"));
    place.write("audit.log.6.gz", b"no gzip");
    let line = format!("audit verify DIR/audit.log DIR/audit.log.6.gz DIR/main.keyring {UNLOCK}");
    let ended = place.run(&line);
    let bad = "FAILED   DIR/audit.log.6.gz: it cannot be unpacked (";
    assert!(ended.code == 1 && ended.stdout.contains(bad), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("compared with the note") && !ended.stdout.contains("was changed"));
    assert!(!ended.stderr.contains("dmesg"), "{}", ended.stderr);
    let whole = fs::read_to_string(place.path("audit.log")).unwrap();
    place.write("audit.log", whole.replacen("slot_added", "slot_addee", 1).as_bytes());
    let ended = place.run(&line);
    assert!(ended.code == 1 && ended.stdout.contains(bad) && ended.stdout.contains("the line was changed"));
    let ended = place.run("audit show DIR/audit.log DIR/audit.log.6.gz");
    assert!(ended.code == 1 && ended.stdout.contains("opened"), "{}", ended.stdout);
    assert!(ended.stderr.contains("audit.log.6.gz cannot be unpacked ("), "{}", ended.stderr);
}

/// A pipe without a writer blocks whoever opens it.
#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let place = place();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, place.path("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in ["DIR/pipe", "/dev/null", "DIR"] {
        for command in ["verify", "show"] {
            let ended = place.run(&format!("audit {command} {path}"));
            assert_eq!(ended.code, 2, "{command} {path}: {}", ended.stderr);
            assert!(ended.stderr.contains("is not a regular file"), "{command} {path}: {}", ended.stderr);
        }
    }
}
