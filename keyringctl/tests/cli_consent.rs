// SPDX-License-Identifier: GPL-2.0-or-later
//! Every command that destroys something or is hard to take back, in all ways: `--dry-run`, a question that is answered no or
//! yes, `--yes`, and without a terminal. Those that need a server are run on one, in mysql-plugin-tests.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/typing.rs"]
mod typing;

use common::ended::Ended;
use common::private_dir;
use keyring_external::store::places::Places;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use typing::typed;

/// A command to run, in a directory of its own.
struct Case {
    /// What it shows.
    name: &'static str,
    /// The command, in which `DIR` stands for the directory.
    line: &'static str,
    /// Commands that prepare the directory, beside those of [`Place::new`].
    before: &'static [&'static str],
    /// What starts it.
    answer: &'static str,
    /// What the table says.
    says: &'static [&'static str],
}

const CASES: [Case; 12] = [
    Case {
        name: "slot remove",
        line: "slot remove DIR/main.keyring 2 --mirror DIR/mirror.keyring --unlock file:DIR/secret",
        before: &[
            "slot add DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret --new file:DIR/other",
        ],
        answer: "yes",
        says: &["recovery key"],
    },
    Case {
        name: "slot remove, the slot that opened the keyring",
        line: "slot remove DIR/main.keyring 1 --mirror DIR/mirror.keyring --unlock file:DIR/secret --force",
        before: &[],
        answer: "remove",
        says: &["WARNING"],
    },
    Case {
        name: "slot change",
        line: "slot change DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret --new file:DIR/other",
        before: &[],
        answer: "yes",
        says: &["slot 1"],
    },
    Case {
        name: "rekey",
        line: "rekey DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret",
        before: &[],
        answer: "yes",
        says: &["data key"],
    },
    Case {
        name: "sync, a backup is written over",
        line: "sync DIR/old.keyring --mirror DIR/main.keyring --unlock file:DIR/secret",
        before: &["rekey DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret --yes"],
        answer: "yes",
        says: &[
            "DIR/old.keyring",
            "generation 1, 0 keys",
            "written over: generation 2, 0 keys",
            "The source is DIR/main.keyring, the newest intact copy",
            "If it is a backup that you keep on purpose, answer no",
        ],
    },
    Case {
        name: "sync, keys are lost",
        line: "sync DIR/main.keyring --mirror DIR/longer.keyring --unlock file:DIR/secret",
        before: &[],
        answer: "yes",
        says: &["DIR/longer.keyring holds 1 key that DIR/main.keyring does not", "'removed'"],
    },
    Case {
        name: "sync, a copy is created",
        line: "sync DIR/main.keyring --mirror DIR/new.keyring --unlock file:DIR/secret --create",
        before: &[],
        answer: "y",
        says: &["DIR/new.keyring", "does not exist", "created: generation"],
    },
    Case {
        name: "sync, copies are merged",
        line: "sync DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret --merge",
        before: &[
            "slot add DIR/main.keyring --only-named-copies --unlock file:DIR/secret --new file:DIR/other --name a",
            "slot add DIR/mirror.keyring --only-named-copies --unlock file:DIR/secret --new file:DIR/other --name b",
        ],
        answer: "yes",
        says: &["the merged keyring"],
    },
    Case {
        name: "witness accept",
        line: "witness accept DIR/main.keyring --datadir DIR/data --unlock file:DIR/secret",
        before: &[],
        answer: "yes",
        says: &["witness in DIR/data", "there is none"],
    },
    Case {
        name: "keys retire",
        line: "keys retire DIR/main.keyring INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1 --mirror DIR/mirror.keyring --unlock file:DIR/secret --datadir DIR/logs --gone-server e6e52dec-e7fc-11f1-ada4-02fc00000001",
        before: &[
            "import --from component_keyring_file DIR/keys.json DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret",
        ],
        answer: "yes",
        says: &["INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1", "retired; it still works"],
    },
    Case {
        name: "keys unretire",
        line: "keys unretire DIR/main.keyring INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1 --mirror DIR/mirror.keyring --unlock file:DIR/secret",
        before: &[
            "import --from component_keyring_file DIR/keys.json DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret",
            "keys retire DIR/main.keyring INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1 --mirror DIR/mirror.keyring --unlock file:DIR/secret --datadir DIR/logs --gone-server e6e52dec-e7fc-11f1-ada4-02fc00000001 --yes",
        ],
        answer: "yes",
        says: &["INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1", "retired since", "in use"],
    },
    Case {
        name: "keys destroy",
        line: "keys destroy DIR/main.keyring INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1 --mirror DIR/mirror.keyring --unlock file:DIR/secret --datadir DIR/logs --gone-server e6e52dec-e7fc-11f1-ada4-02fc00000001 --min-wait 0",
        before: &[
            "import --from component_keyring_file DIR/keys.json DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret",
            "keys retire DIR/main.keyring INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1 --mirror DIR/mirror.keyring --unlock file:DIR/secret --datadir DIR/logs --gone-server e6e52dec-e7fc-11f1-ada4-02fc00000001 --yes",
        ],
        answer: "destroy",
        says: &["INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1", "destroyed", "new data key"],
    },
];

/// Commands that need a server: `encrypt::every_question_is_asked` in mysql-plugin-tests runs them, and tests of their own.
const ON_A_SERVER: [&str; 4] = ["encrypt apply", "encrypt cleanup", "encrypt rotate", "encrypt finish"];
/// Commands that need a remote: cli_remote runs them.
const AT_A_REMOTE: [&str; 1] = ["set-aside"];
/// Commands that only create, and ask before by themselves: cli_setup.rs.
const OTHERS: [&str; 1] = ["setup"];

struct Place(TempDir);

impl Place {
    /// With a keyring of two copies, a backup of it, and the data directory of a server that is stopped.
    fn new(case: &Case) -> Place {
        let place = Place(private_dir());
        for (name, secret) in [("secret", [7; 32]), ("other", [8; 32])] {
            fs::write(place.at(name), secret).unwrap();
            fs::set_permissions(place.at(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::create_dir(place.at("data")).unwrap();
        fs::create_dir(place.at("logs")).unwrap();
        fs::write(place.at("logs/binlog.000001"), b"\xfebin").unwrap();
        let key = r#"{"user":"","data_id":"INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1","data_type":"AES","data":"07","extension":[]}"#;
        fs::write(place.at("keys.json"), format!(r#"{{"version":"1.0","elements":[{key}]}}"#)).unwrap();
        fs::set_permissions(place.at("keys.json"), fs::Permissions::from_mode(0o600)).unwrap();
        place.succeeds("init DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret");
        fs::copy(place.at("main.keyring"), place.at("old.keyring")).unwrap();
        if case.line.contains("longer.keyring") {
            place.store_and_remove();
        }
        case.before.iter().for_each(|line| place.succeeds(line));
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Stores a key, copies the keyring to `longer.keyring`, and removes the key.
    fn store_and_remove(&self) {
        use keyring_external::keyring::load;
        use keyring_external::store::file::fs::Fs;
        use keyring_external::store::file::real::RealFs;
        let fs: std::sync::Arc<dyn Fs> = std::sync::Arc::new(RealFs);
        let unlock = format!("file:{}", self.at("secret").display()).parse().unwrap();
        let (keyring, _) = load(&Places::from(&fs), &self.at("main.keyring"), &unlock).unwrap();
        keyring.store(common::name("removed", ""), &common::key_type("AES"), &[1; 32]).unwrap();
        std::fs::copy(self.at("main.keyring"), self.at("longer.keyring")).unwrap();
        keyring.remove(common::name("removed", "")).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let dir = self.0.path().to_str().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyringctl"));
        command.args(line.split(' ').map(|word| word.replace("DIR", dir))).stdin(Stdio::null());
        command
    }

    fn ended(&self, output: &std::process::Output) -> Ended {
        let mut ended = Ended::of(output);
        let dir = self.0.path().to_str().unwrap();
        (ended.out, ended.err) = (ended.out.replace(dir, "DIR"), ended.err.replace(dir, "DIR"));
        ended
    }

    fn run(&self, line: &str) -> Ended {
        self.ended(&self.command(line).output().unwrap())
    }

    fn succeeds(&self, line: &str) {
        let ended = self.run(line);
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
    }

    fn answers(&self, line: &str, answer: &str) -> Ended {
        self.ended(&typed(self.command(line), &format!("{answer}\n")))
    }

    /// All files, with their bytes.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn below(dir: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    below(&path, found)
                } else {
                    drop(found.insert(path.clone(), fs::read(path).unwrap()))
                }
            }
        }
        let mut found = BTreeMap::new();
        below(self.0.path(), &mut found);
        found
    }
}

#[test]
fn every_destructive_command_shows_asks_and_refuses() {
    for case in &CASES {
        let (name, line) = (case.name, case.line);
        // In these ways nothing is changed.
        let place = Place::new(case);
        let before = place.files();
        let unchanged = |how: &str| assert!(place.files() == before, "{name}: {how} changed files");

        let dry = place.run(&format!("{line} --dry-run"));
        unchanged("--dry-run");
        let dry = dry.says(0, &["what ", " now ", " afterwards", "Nothing was changed: this was a dry run"]);
        let dry = dry.says(0, case.says);
        for options in ["--dry-run --json", "--dry-run --yes --json"] {
            let both = place.run(&format!("{line} {options}"));
            unchanged(options);
            assert_eq!(both.code, 0, "{name}: {both:?}");
            let document = both.json();
            assert_eq!(document["dry_run"], true, "{name}: {document}");
            assert!(!document["effects"].as_array().unwrap().is_empty(), "{name}: {document}");
        }

        let no = place.answers(line, "no");
        unchanged("the answer no");
        let declined = match case.answer {
            "yes" | "y" => "nothing was changed: the answer was no".to_owned(),
            word => format!("nothing was changed: the answer was not the word {word}"),
        };
        no.says(2, &["? ", &declined]).says(2, case.says);
        if case.answer == "remove" {
            place.answers(line, "yes").says(2, &["Type remove", &declined]);
            unchanged("a yes in place of the word");
        }

        let unasked = place.run(line);
        unchanged("a run without a terminal");
        unasked.says(2, &["--yes", "not a terminal", &format!("{line} --yes")]).says(2, case.says);
        let unasked = place.run(&format!("{line} --json"));
        unchanged("a run without a terminal");
        let document = unasked.json();
        assert!(document["error"].as_str().unwrap().contains("--yes"), "{name}: {document}");
        assert_eq!(document["dry_run"], false, "{name}: {document}");

        // In these it is done, and nothing is asked again.
        let yes = place.answers(line, case.answer);
        assert_eq!(yes.code, 0, "{name}: {yes:?}");
        assert!(place.files() != before, "{name}: the answer {} changed nothing", case.answer);
        let place = Place::new(case);
        let before = place.files();
        let by_option = place.run(&format!("{line} --yes"));
        assert_eq!(by_option.code, 0, "{name}: {by_option:?}");
        assert!(
            !by_option.err.contains("[yes/no]") && !by_option.err.contains("Type "),
            "{name}: {by_option:?}"
        );
        assert!(place.files() != before, "{name}: --yes changed nothing");
        drop(dry);
    }
}

/// The question goes to standard error, so that standard output stays one document.
#[test]
fn a_question_leaves_standard_output_one_document() {
    let case = CASES.iter().find(|case| case.name == "witness accept").unwrap();
    let place = Place::new(case);
    let ended = place.answers(&format!("{} --json", case.line), "yes");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.json()["dry_run"], false);
    assert!(ended.err.contains("witness in DIR/data") && ended.err.contains("[yes/no]"), "{ended:?}");
}

#[test]
fn a_mistyped_path_creates_nothing() {
    let place = Place::new(&CASES[0]);
    let before = place.files();
    for line in [
        "sync DIR/main.keyring --mirror DIR/mian.keyring --unlock file:DIR/secret --yes",
        "sync DIR/mian.keyring --mirror DIR/main.keyring --unlock file:DIR/secret --yes",
    ] {
        let ended = place.run(line);
        ended.says(2, &["DIR/mian.keyring does not exist", "Check the path", "--create"]);
        assert!(place.files() == before, "{line}");
    }
}

#[test]
fn nothing_is_asked_if_there_is_nothing_to_change() {
    let place = Place::new(&CASES[0]);
    place.succeeds("sync DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret");
}

#[test]
fn a_destroyed_mirror_is_created_again_by_the_commands_that_sync_prints() {
    let place = Place::new(&CASES[0]);
    fs::write(place.at("mirror.keyring"), [0; 20_000]).unwrap();
    let sync = "sync DIR/main.keyring --mirror DIR/mirror.keyring --unlock file:DIR/secret";
    let refused =
        place.run(sync).says(1, &["mv DIR/mirror.keyring DIR/mirror.keyring.destroyed && keyringctl sync"]);
    let (_, then) = refused.out.split_once(".destroyed && keyringctl ").unwrap();
    fs::rename(place.at("mirror.keyring"), place.at("mirror.keyring.destroyed")).unwrap();
    place.succeeds(&format!("{} --yes", then.lines().next().unwrap()));
    place.succeeds(sync);
}

#[test]
fn copies_that_differ_only_in_their_slots_are_called_that_and_the_merge_is_advised_once() {
    let merge = CASES.iter().find(|case| case.name == "sync, copies are merged").unwrap();
    let place = Place::new(merge);
    for _ in 0..2 {
        let ended = place.run(merge.line.strip_suffix(" --merge").unwrap());
        let ended = ended.says(1, &["Their keys are the same: only unlock slots"]);
        assert_eq!(ended.err.matches("--merge").count(), 1, "{ended:?}");
        assert!(!ended.err.contains("OTHER") && !ended.err.contains("SOURCE"), "{ended:?}");
        // Then in two generations.
        place.succeeds(
            "slot add DIR/mirror.keyring --only-named-copies --unlock file:DIR/secret --new-recovery",
        );
    }
}

/// The commands that take both options, as the help says.
fn asking(command: &str, found: &mut BTreeSet<String>) {
    let words = command.split(' ').filter(|word| !word.is_empty());
    let help = Command::new(env!("CARGO_BIN_EXE_keyringctl")).args(words).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let has = |option: &str| help.lines().any(|line| line.trim_start().starts_with(option));
    if has("--dry-run") && has("--yes") {
        found.insert(command.trim().to_owned());
    }
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for line in commands.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            asking(&format!("{command} {name}"), found);
        }
    }
}

#[test]
fn every_command_that_asks_is_in_the_table() {
    let mut found = BTreeSet::new();
    asking("", &mut found);
    let named = CASES.iter().map(|case| case.name.split(',').next().unwrap());
    let known: BTreeSet<_> =
        named.chain(ON_A_SERVER).chain(AT_A_REMOTE).chain(OTHERS).map(str::to_owned).collect();
    assert_eq!(found, known);
}
