// SPDX-License-Identifier: GPL-2.0-or-later
//! Names that are not UTF-8, that a terminal obeys or that look like lines of output, wherever a command takes or finds
//! them: nothing panics, no line is forged, no control character is printed, and JSON remains JSON.

#[path = "../../tests/common/mod.rs"]
mod common;

use common::private_dir;
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What a name tries to print as a line.
const FORGED: &str = "OK       everything is encrypted";

/// Parts of names, each hostile in its own way: not UTF-8; text that a terminal and a reader of lines obey; text for a
/// shell. Each ends plainly.
fn hostile() -> [(&'static str, OsString); 3] {
    let terminal = format!(
        "b\n{FORGED}\n\u{1b}[2J\u{1b}]0;x\u{7}\r\t\u{9b}31m\u{202e}\u{200b}\u{feff}\u{e0001}\u{7f}\\x41"
    );
    [
        ("not UTF-8", OsString::from_vec(b"K\xfcrzel\x9b2J\x1b[31m\n\xed\xa0\x80\xff\\xfc".to_vec())),
        ("a terminal obeys", terminal.into()),
        ("a shell reads", OsString::from("-c 'd' \"$(touch forged)\" `touch forged`;#*?|&!~ \u{fc}\u{4e2d}")),
    ]
}

/// A directory of such a name, in which every file has such a name too.
struct Place {
    top: TempDir,
    part: OsString,
    dir: PathBuf,
}

impl Place {
    fn new(part: &OsStr) -> Place {
        let top = private_dir();
        let dir = top.path().join(part);
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        let place = Place { top, part: part.to_owned(), dir };
        // An unlock source is text, so this name is plain.
        fs::write(place.top.path().join("secret"), [7; 32]).unwrap();
        fs::set_permissions(place.top.path().join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        place
    }

    /// The path of a file whose name ends like this.
    fn at(&self, end: &str) -> PathBuf {
        let mut name = self.part.clone();
        name.push(end);
        self.dir.join(name)
    }

    fn write(&self, end: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.at(end), bytes).unwrap();
        fs::set_permissions(self.at(end), fs::Permissions::from_mode(0o600)).unwrap();
        self.at(end)
    }

    /// Runs `keyringctl` with these words, of which `@NAME` stands for [`Place::at`], as text and with `--json`, and
    /// checks what it prints.
    #[track_caller]
    fn run(&self, line: &str) -> [Printed; 2] {
        self.run_with(line, &[])
    }

    #[track_caller]
    fn run_with(&self, line: &str, more: &[&OsStr]) -> [Printed; 2] {
        ["", "--json"].map(|json| {
            let words = json.split_whitespace().chain(line.split_whitespace());
            let args = words.map(|word| match word.split_once('@') {
                Some((before, end)) => {
                    let mut word = OsString::from(before);
                    word.push(self.at(end));
                    word
                }
                None => word.replace("TOP", self.top.path().to_str().unwrap()).into(),
            });
            let args: Vec<OsString> = args.chain(more.iter().map(|word| (*word).to_owned())).collect();
            let output = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
                .args(&args)
                .stdin(Stdio::null())
                .current_dir(&self.dir)
                .env("USER", "nobody\u{1b}[31m\nOK")
                .env("HOME", &self.dir)
                .env_remove("CREDENTIALS_DIRECTORY")
                .output()
                .unwrap();
            let printed = Printed::of(&args, &output);
            // Some commands print no document, whatever their arguments.
            let is_text =
                ["prometheus", "completions", "man ", "--help"].iter().any(|word| line.contains(word));
            if !json.is_empty() && !is_text {
                assert!(
                    printed.json()["version"] == 1 && printed.json()["command"].is_string(),
                    "{printed:?}"
                );
            }
            assert!(!self.dir.join("forged").exists(), "{line}");
            printed
        })
    }

    /// Runs it, with this exit code in both forms.
    #[track_caller]
    fn ends(&self, code: i32, line: &str) -> [Printed; 2] {
        let both = self.run(line);
        for printed in &both {
            assert_eq!(printed.code, code, "{printed:?}");
        }
        both
    }
}

/// What a command printed, all of it harmless.
#[derive(Debug)]
#[allow(dead_code, reason = "the arguments are for the messages of failed assertions")]
struct Printed {
    args: Vec<OsString>,
    code: i32,
    out: String,
    err: String,
}

impl Printed {
    #[track_caller]
    fn of(args: &[OsString], output: &Output) -> Printed {
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).unwrap_or_else(|e| panic!("{e}: {args:?}: {output:?}"))
        };
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let printed = Printed { args: args.to_vec(), code: output.status.code().unwrap_or(-1), out, err };
        assert!((0..=3).contains(&printed.code), "{printed:?}");
        assert!(!printed.err.contains("panicked"), "{printed:?}");
        for text in [&printed.out, &printed.err] {
            let obeyed = |c: char| {
                c.is_control() && c != '\n'
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
                    || ('\u{e0000}'..='\u{e0fff}').contains(&c)
            };
            assert!(!text.contains(obeyed), "{printed:?}");
            let is_forged =
                |line: &str| line.trim_start_matches([' ', '*', '-', '"', '|']).starts_with(FORGED);
            assert!(!text.lines().any(is_forged), "{printed:?}");
        }
        printed
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

const UNLOCK: &str = "--unlock file:TOP/secret";

/// A name as bash reads it.
fn read_by_bash(word: &str) -> Vec<u8> {
    let script = format!("printf %s {word}");
    Command::new("bash").args(["-c", &script]).env("LC_ALL", "C.UTF-8").output().unwrap().stdout
}

#[test]
fn keyrings_of_any_name() {
    for (_, part) in hostile() {
        let place = Place::new(&part);
        let text = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
            .args([
                "init".as_ref(),
                place.at(".k").as_os_str(),
                "--mirror".as_ref(),
                place.at(".m").as_os_str(),
            ])
            .args(["--label", "l\n\u{1b}[31mabel", "--unlock"])
            .arg(format!("file:{}", place.top.path().join("secret").display()))
            .output()
            .unwrap();
        let made = Printed::of(&[], &text);
        assert_eq!(made.code, 0, "{made:?}");
        // The path is shown as a word that a shell reads as that path.
        let line = made.out.lines().find_map(|line| line.strip_prefix("Created its copy at ")).unwrap();
        assert_eq!(OsStr::from_bytes(&read_by_bash(line)), place.at(".m"), "{line}");
        let [_, again] = place.ends(2, &format!("init @.k {UNLOCK}"));
        assert!(again.json()["error"].is_string());

        let [_, status] = place.ends(0, "status @.k @.m");
        let path = status.json()["copies"][0]["path"].as_str().map(str::to_owned).unwrap();
        match place.at(".k").to_str() {
            Some(text) => assert_eq!(path, text),
            None => assert_eq!(OsStr::from_bytes(&read_by_bash(&path)), place.at(".k"), "{path}"),
        }
        place.run("status @.k --datadir @none");
        place.ends(0, "status --prometheus @.k");
        place.run("check @.k @.m");
        place.run("check @.k @none --datadir @none");
        place.ends(0, &format!("list @.k {UNLOCK}"));
        place.ends(0, &format!("verify @.k @.m {UNLOCK}"));
        place.run(&format!("verify @none {UNLOCK}"));
        place.ends(0, "slot list @.k");
        place.write(".new", b"another secret, not text \x01");
        place.run(&format!("slot add @.k {UNLOCK} --new-recovery"));
        place.run(&format!("slot add @.k --mirror @.m {UNLOCK} --new-recovery --only-named-copies --name x"));
        place.run(&format!("slot change @.k {UNLOCK} --yes"));
        place.run(&format!("slot remove @.k 9 {UNLOCK} --yes"));
        place.run(&format!("rekey @.k --mirror @.m {UNLOCK} --only-named-copies --yes"));
        place.run(&format!("rekey @.k {UNLOCK} --yes"));
        place.ends(0, &format!("sync @.k --mirror @.m2 {UNLOCK} --create --yes"));
        place.run(&format!("sync @.k --mirror @no/where {UNLOCK} --create --yes"));
        place.run(&format!("sync @.k --mirror @.m --merge --take x=@.m {UNLOCK} --yes"));
        // The second finds the backup of the first.
        let codes = place.run(&format!("backup @.k @.backup {UNLOCK}")).map(|printed| printed.code);
        assert_eq!(codes, [0, 2]);
        place.run(&format!("backup @none @.backup2 {UNLOCK}"));
        place.run("man @pages");

        // A file that is none of ours, a link, and one that is open to others.
        place.write(".odd", b"no keyring");
        symlink(place.at(".k"), place.at(".link")).unwrap();
        fs::set_permissions(place.at(".m2"), fs::Permissions::from_mode(0o644)).unwrap();
        for end in [".odd", ".link", ".m2", "", "/"] {
            place.run(&format!("status @{end}"));
            place.run(&format!("verify @{end} {UNLOCK}"));
            place.run(&format!("sync @.k --mirror @{end} {UNLOCK} --create --yes"));
        }
    }
}

#[test]
fn keys_of_any_name() {
    let place = Place::new(OsStr::new("plain"));
    place.ends(0, "--help");
    let made = place.run(&format!("init @.k {UNLOCK}"));
    assert_eq!(made[0].code, 0);
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let id = hex(&format!("key\n{FORGED}\u{1b}[31m\u{202e}"));
    let keys = format!(
        r#"{{"version":"1.0","elements":[{{"user":"{id}","data_id":"{id}","data_type":"414553","data":"{}","extension":[]}}]}}"#,
        "AB".repeat(32)
    );
    place.write(".keys", keys.as_bytes());
    let import = "import --from component_keyring_file @.keys @.k";
    place.run(&format!("{import} --dry-run {UNLOCK}"));
    place.run(&format!("{import} {UNLOCK}"));
    place.run(&format!("list @.k {UNLOCK}"));
    place.run(&format!("export --to component_keyring_file @.k @.exported {UNLOCK}"));
    place.write(".bad", keys.replace("414553", &hex("A\nES\u{1b}[31m")).as_bytes());
    place.run(&format!("import --from component_keyring_file @.bad @.k {UNLOCK}"));
    place.write(
        ".worse",
        format!("{{\"version\":\"1.0\n{FORGED}\",\"elements\":[{{\"\u{1b}[31m\":1}}]}}").as_bytes(),
    );
    place.run(&format!("import --from component_keyring_file @.worse @.k {UNLOCK}"));
}

#[test]
fn data_directories_and_files_of_any_name() {
    let table: &[u8] = include_bytes!("../src/tablespace/samples/table");
    for (what, part) in hostile() {
        let place = Place::new(&part);
        assert_eq!(place.run(&format!("init @.k {UNLOCK}"))[0].code, 0);
        fs::create_dir(place.at("data")).unwrap();
        let mut damaged = vec![0; 7 * 4096];
        damaged[..4096].copy_from_slice(&table[..4096]);
        place.write("data/t.ibd", &damaged);
        fs::create_dir(place.at("data").join(&part)).unwrap();
        for (end, bytes) in [
            (".ibd", &damaged[..]),
            ("empty.ibd", b""),
            ("#ib_redo1", b"x"),
            (".cfp", b"x"),
            (".MYD", b"x"),
            (".zst", b"x"),
            ("undo_001", b"y"),
        ] {
            let mut name = part.clone();
            name.push(end);
            fs::write(place.at("data").join(&part).join(&name), bytes).unwrap();
            name.push("link");
            symlink("/nowhere", place.at("data").join(&part).join(name)).unwrap();
        }
        fs::write(place.at("data").join("ibdata1"), b"x").unwrap();
        let [text, json] = place.ends(1, &format!("verify @.k {UNLOCK} --datadir @data --all-encrypted"));
        assert!(text.out.contains("DAMAGED"), "{text:?}");
        let files = json.json()["files"].as_array().unwrap().clone();
        let exact = |file: &Value| match file["path"].as_str().unwrap() {
            text if text.starts_with("$'") => OsString::from_vec(read_by_bash(text)),
            text => text.into(),
        };
        assert!(
            files.iter().any(|file| Path::new(&exact(file)) == place.at("data/t.ibd")),
            "{what}: {files:?}"
        );
        place.run(&format!("verify @.k {UNLOCK} --datadir @data --every-page"));
        place.run(&format!("verify @.k {UNLOCK} --datadir @none --also @data"));
        place.run(&format!("verify @.k {UNLOCK} --datadir @data --also @none"));
        place.run("witness show @data");
        place.run("witness show --datadir @data");
        place.run(&format!("witness accept @.k --datadir @data {UNLOCK}"));
        place.run(&format!("witness accept @.k --datadir @data {UNLOCK} --yes"));
        place.write("data/keyring_external.witness", b"no witness");
        place.run("witness show --datadir @data");
        place.run("status @.k --datadir @data");
    }
}

#[test]
fn servers_of_any_name() {
    for (_, part) in hostile() {
        let place = Place::new(&part);
        let odd = part.to_str().map(|part| format!("[client]\nsocket={}\n", part.replace('\n', "\\n")));
        place.write(".cnf", odd.unwrap_or_else(|| "[client]\nport=1\n".to_owned()).as_bytes());
        place.write("bad.cnf", format!("[client]\nport=\u{1b}[31m{}\n", "x").as_bytes());
        place.write("raw.cnf", b"[client]\nsocket=/K\xfc\x9b2J\n");
        place.write(
            "include.cnf",
            &[b"!include /nowhere/", part.as_bytes(), b"\n!includedir ", part.as_bytes(), b"\n"].concat(),
        );
        for command in
            ["encrypt plan", "encrypt verify", "encrypt apply", "encrypt rotate", "report", "check", "doctor"]
        {
            let more = if command == "doctor" { "--root @none" } else { "" };
            let options: &[&str] = match command {
                "doctor" => &["--socket @.s"],
                _ => &[
                    "--no-defaults --socket @.s",
                    "--defaults-file @none",
                    "--defaults-file @.cnf",
                    "--defaults-file @bad.cnf",
                    "--defaults-file @raw.cnf",
                    "--defaults-file @include.cnf",
                    "--no-defaults --host 127.0.0.1 --port 1 --ssl-mode VERIFY_CA --ssl-ca @none",
                ],
            };
            for option in options {
                place.run(&format!("{command} {more} {option}"));
            }
            let host = OsStr::new("h\u{1b}[31m\nOK       everything is encrypted");
            place.run_with(&format!("{command} {more} --no-defaults"), &[OsStr::new("--host"), host]);
            place.run_with(
                &format!("{command} {more} --no-defaults --socket /none"),
                &[OsStr::new("--user"), host],
            );
        }
        place.run("report --no-defaults --socket @.s --html @.html");
        place.run("report --no-defaults --socket @.s --html @no/where.html");
        place.run("encrypt apply --no-defaults --socket @.s --pause-file @pause");
    }
}

#[test]
fn hosts_of_any_name() {
    for (what, part) in hostile() {
        let place = Place::new(&part);
        let root = place.at("root");
        let write = |path: &str, bytes: &[u8]| {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), bytes).unwrap();
        };
        let named =
            |before: &str, after: &str| [before.as_bytes(), part.as_bytes(), after.as_bytes()].concat();
        for dir in
            ["usr/lib/mysql/plugin", "var/lib/mysql", "mnt/a/keys", "etc/mysql", "etc/apparmor.d/local"]
        {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        write("usr/sbin/mysqld", b"a program");
        write("usr/lib/mysql/plugin/keyring_external.so", b"a library");
        write("etc/passwd", &named("mysql:x:0:0:", ":/:/bin/false\n"));
        write("etc/fstab", &named("UUID=1 /mnt/", " ext4 defaults 0 2\n"));
        write("etc/apparmor.d/usr.sbin.mysqld", &named("/usr/sbin/mysqld {\n  /mnt/", " rwk,\n}\n"));
        write(
            "etc/systemd/system/mysql.service",
            &named("[Service]\nUser=mysql\nLoadCredential=a:/", "\nExecStart=/usr/sbin/mysqld\n"),
        );
        write(
            "etc/mysql/my.cnf",
            &named(
                "[mysqld]\nearly-plugin-load=keyring_external.so\nkeyring_external_data=/mnt/a/",
                "\nplugin-load=keyring_x.so\n!include /",
            ),
        );
        write("usr/sbin/mysqld.my", &named("{\"components\": \"file://component_", "\"}"));
        let mut configuration = OsString::from("usr/lib/mysql/plugin/component_keyring_");
        configuration.push(&part);
        configuration.push(".cnf");
        if !part.as_bytes().contains(&b'/') {
            fs::write(root.join(&configuration), b"{\"path\": \"/k\"}").unwrap();
        }
        let setup = |keyring: &OsStr, more: &[&str]| -> [Printed; 2] {
            let mut words: Vec<&OsStr> = vec![keyring];
            words.extend(more.iter().map(OsStr::new));
            place.run_with("setup --root @root --dry-run --allow-same-device", &words)
        };
        place.run("doctor --offline --root @root");
        place.run("doctor --offline --root @root --option-file @.cnf --datadir @data --plugin-dir @plugins --mysqld @mysqld");
        let refused = setup(&named_path("/mnt/a/keys/", &part), &["--as", "component"]);
        let is_writable = part.to_str().is_some_and(|part| !part.contains(char::is_control));
        assert_eq!(
            refused.each_ref().map(|printed| printed.err.contains("no configuration file")),
            [!is_writable; 2],
            "{what}: {refused:?}"
        );
        setup(OsStr::new("/mnt/a/keys/k"), &["--as", "plugin"]);
        setup(OsStr::new("/mnt/a/keys/k"), &["--as", "component", "--label", FORGED]);
        place.run_with(
            "setup --root @root --dry-run --as plugin --allow-same-device --option-dir @options /mnt/a/keys/k --mirror",
            &[&named_path("/mnt/b/", &part)],
        );
        place.run_with(
            "setup --root @root --dry-run --as component --allow-same-device /mnt/a/keys/k",
            &[OsStr::new("--unlock"), OsStr::new("file:/etc/a\n\u{1b}[31mb")],
        );
        place.run("rekey @none --root @root --unlock file:TOP/secret");
    }
}

fn named_path(before: &str, part: &OsStr) -> OsString {
    let mut path = OsString::from(before);
    path.push(part);
    path
}

#[test]
fn arguments_of_any_content() {
    let place = Place::new(OsStr::new("plain"));
    for (_, part) in hostile() {
        let part = part.as_os_str();
        for line in [
            "",
            "status",
            "frobnicate",
            "slot",
            "slot remove @.k",
            "encrypt apply --only",
            "encrypt apply --skip",
            "encrypt apply --max-load",
            "encrypt apply --max-lag=1 --replica",
            "encrypt apply --lock-wait",
            "encrypt verify --accept",
            "encrypt plan --ssl-mode",
            "encrypt plan --no-defaults --port",
            "list @.k --unlock",
            "import --from",
            "sync @.k --mirror @.m --merge --unlock file:/none --take",
            "check --timeout",
            "completions",
            "doctor --ignore",
            "report --no-defaults --socket /none --title",
            "setup --as",
        ] {
            place.run_with(line, &[part]);
        }
        // Beside it, so that it is the value of an option that exists, or the name of one that does not.
        for line in ["status", "encrypt plan", "check"] {
            let mut option = OsString::from("--");
            option.push(part);
            place.run_with(line, &[&option]);
        }
    }
}

#[test]
fn commands_that_print_the_secret_may_say_anything() {
    let place = Place::new(OsStr::new("plain"));
    let script =
        place.write("says", format!("#!/bin/sh\nprintf '\\033[31m\\n{FORGED}\\n\\377'\nexit 1\n").as_bytes());
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(place.run(&format!("init @.k {UNLOCK}"))[0].code, 0);
    let mut source = OsString::from("command:");
    source.push(&script);
    place.run_with("list @.k --unlock", &[&source]);
    for source in
        ["env:A\n\u{1b}[31m", "credential:a\n\u{1b}[31m", "file:/a\n\u{1b}[31m", "command:/a\n\u{1b}[31m b"]
    {
        place.run_with("list @.k --unlock", &[OsStr::new(source)]);
        place.run_with("verify @.k --unlock", &[OsStr::new(source)]);
        place.run_with("sync @.k --mirror @.m --unlock", &[OsStr::new(source)]);
    }
}
