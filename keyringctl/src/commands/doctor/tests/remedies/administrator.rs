// SPDX-License-Identifier: GPL-2.0-or-later
//! Follows the fix of a finding as it is printed: runs its commands in a shell and changes the files that it names.
//!
//! The host is below a directory. What cannot be run there is a program that only records the call or changes what stands
//! for the system: `systemctl`, `mount`, `umount`, `findmnt`, `restorecon`, `semanage`, `semodule`, `setsebool` and
//! `apparmor_parser`. `chown`, `install` and `id` know the accounts of that host. `keyringctl` runs in this process.

use super::super::Guest;
use crate::commands::output::Output;
use crate::commands::{Cli, Command, setup, slot, sync, witness};
use clap::Parser;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use tempfile::TempDir;

/// The first words of commands.
const COMMANDS: [&str; 19] = [
    "apparmor_parser",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "echo",
    "install",
    "keyringctl",
    "mount",
    "mv",
    "restorecon",
    "rm",
    "semanage",
    "semodule",
    "setsebool",
    "shred",
    "systemctl",
    "umount",
    "(umask",
];

/// Somebody who does what a fix says, and nothing else.
pub(super) struct Administrator<'g> {
    guest: &'g Guest,
    programs: TempDir,
    /// The commands that were run, and what was done by hand.
    pub ran: Vec<String>,
    pub by_hand: Vec<String>,
}

impl<'g> Administrator<'g> {
    pub(super) fn new(guest: &'g Guest) -> Self {
        let programs = tempfile::tempdir().unwrap();
        let (own, calls) = (programs.path().join("argv"), programs.path().join("calls"));
        let program = |name: &str, text: &str| {
            let file = programs.path().join(name);
            fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("keyringctl", &format!("printf '%s\\0' \"$@\" > '{}'", own.display()));
        let passwd = fs::read_to_string(guest.at("etc/passwd")).unwrap();
        let mut fields = passwd.trim().split(':').skip(2);
        let (uid, gid) = (fields.next().unwrap(), fields.next().unwrap());
        program(
            "chown",
            &format!(
                "who=$1; shift; case $who in mysql*) who={uid}:{gid};; esac; exec /bin/chown \"$who\" \"$@\""
            ),
        );
        program("id", &format!("[ \"$*\" = '-g mysql' ] && echo {gid}"));
        program("install", &format!("/usr/bin/install $(echo \"$@\" | sed 's/-o mysql/-o {uid}/')"));
        program("findmnt", "echo 0123-4567");
        for name in [
            "systemctl",
            "mount",
            "umount",
            "restorecon",
            "semanage",
            "semodule",
            "setsebool",
            "apparmor_parser",
        ] {
            program(name, &format!("echo {name} \"$@\" >> '{}'", calls.display()));
        }
        Administrator { guest, programs, ran: Vec::new(), by_hand: Vec::new() }
    }

    /// The calls of the programs that stand for the system.
    pub(super) fn calls(&self) -> String {
        fs::read_to_string(self.programs.path().join("calls")).unwrap_or_default()
    }

    /// Follows one way of a fix: the first, or one that begins with "or".
    pub(super) fn follow(&mut self, fix: &[String], way: usize) {
        // The volume that the administrator chooses.
        let volume = ["/OTHER/VOLUME3", "/OTHER/VOLUME2", "/OTHER/VOLUME"];
        let fix: Vec<_> = fix
            .iter()
            .map(|line| volume.iter().fold(line.clone(), |line, volume| line.replace(volume, "/mnt/c")))
            .collect();
        let mut ways: Vec<Vec<&str>> = vec![Vec::new()];
        for line in &fix {
            match line.strip_prefix("or ").or_else(|| line.strip_prefix("or,")) {
                Some(other) => ways.push(vec![other]),
                None => ways.last_mut().unwrap().push(line),
            }
        }
        let lines = ways.get(way).unwrap_or_else(|| panic!("no way {way} in {fix:#?}"));
        let mut lines = lines.iter().peekable();
        while let Some(line) = lines.next() {
            let mut below = Vec::new();
            while let Some(more) = lines.next_if(|line| line.starts_with("    ")) {
                below.push(more.trim_start());
            }
            self.step(line, &below);
        }
    }

    fn step(&mut self, line: &str, below: &[&str]) {
        let command = line.strip_prefix("then run: ").unwrap_or(line);
        let mut words = command.split(' ');
        let is_command = words.next().is_some_and(|word| COMMANDS.contains(&word));
        // "mount another volume" is what a person does.
        if is_command
            && words.next().is_some_and(|word| !["a", "another", "its", "the", "MySQL"].contains(&word))
        {
            return self.run(command);
        }
        if !below.is_empty() {
            return self.edit(line, below);
        }
        if let Some((names, rest)) =
            line.strip_prefix("in ").and_then(|line| line.split_once(", add to the options of "))
        {
            let (point, options) = rest.split_once(": ").unwrap();
            return change(Path::new(names), &|text| with_options(text, point, options));
        }
        if let Some((file, name)) = line.strip_prefix("in ").and_then(|line| line.split_once(", remove: \""))
        {
            return change(Path::new(file), &|text| {
                let mut value: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(text).unwrap();
                assert!(value.remove(name.trim_end_matches('"')).is_some(), "{name} is in {text}");
                serde_json::to_string(&value).unwrap()
            });
        }
        if line.starts_with("delete ") || line.starts_with("remove ") {
            return self.remove(line);
        }
        self.by_hand.push(line.to_owned());
    }

    fn run(&mut self, command: &str) {
        let path = format!("{}:{}", self.programs.path().display(), std::env::var("PATH").unwrap());
        let mut shell = Process::new("sh");
        shell.args(["-ec", command]).env("PATH", path).current_dir(self.programs.path());
        let done = shell.output().unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
        self.ran.push(command.to_owned());
        let argv = self.programs.path().join("argv");
        if let Ok(text) = fs::read_to_string(&argv) {
            fs::remove_file(argv).unwrap();
            self.keyringctl(text.split_terminator('\0').map(str::to_owned).collect());
        }
    }

    fn keyringctl(&self, words: Vec<String>) {
        let mut words: Vec<_> = std::iter::once("keyringctl".to_owned()).chain(words).collect();
        // What is typed at a prompt comes from a file: the recovery key, and yes.
        let recovery = format!("file:{}", self.guest.at("recovery").display());
        if let Some(at) = words.iter().position(|word| word == "--recovery") {
            words.splice(at..=at, ["--unlock".to_owned(), recovery]);
        }
        if words[1..] == ["setup"] {
            let root = self.guest.0.path().display();
            let answers = format!(
                "--root {root} /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --unlock file:/etc/mysql/secret --as component"
            );
            words.extend(answers.split(' ').map(str::to_owned));
        }
        if words[1] == "setup" {
            // The volumes of this host are directories.
            words.push("--allow-same-device".to_owned());
        }
        if matches!(words[1].as_str(), "setup" | "witness" | "sync") {
            words.push("--yes".to_owned());
        }
        let cli = Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{words:?}: {e}"));
        let mut out = Output::new(true);
        let done = match &cli.command {
            Command::Sync(args) => sync::run(args, &mut out),
            Command::Slot(args) => slot::run(args, &mut out),
            Command::Setup(args) => setup::run(args, &mut out),
            Command::Witness(args) => witness::run(args, &mut out),
            // It only looks.
            Command::Verify(_) | Command::Doctor(_) | Command::Which(_) => return,
            // It changes the server, not what doctor looks at.
            Command::Encrypt(_) => return,
            _ => panic!("no fix runs {words:?}"),
        };
        if let Err(e) = done {
            panic!("{words:?}: {e}");
        }
    }

    /// Adds lines to the file that the line before them names.
    fn edit(&mut self, line: &str, below: &[&str]) {
        let (verb, rest) = line.split_once(' ').unwrap();
        let file = if verb == "write" { rest.strip_prefix("to ").unwrap() } else { rest };
        let end = [", ", " (", ":"].iter().filter_map(|end| file.find(end)).min().unwrap();
        let (file, how) = (PathBuf::from(&file[..end]), &file[end..]);
        assert!(file.starts_with(self.guest.at("")), "{line} names no file of this host");
        let lines = below.join("\n");
        if verb == "write" {
            fs::write(&file, lines).unwrap();
        } else if how.starts_with(", before the closing brace") {
            change(&file, &|text| {
                let end = text.rfind('}').unwrap();
                format!("{}{lines}\n{}", &text[..end], &text[end..])
            });
        } else if how.starts_with(", set") && lines.starts_with('"') {
            let (name, value) = lines.split_once(": ").unwrap();
            change(&file, &|text| {
                let mut all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
                all.insert(name.trim_matches('"').to_owned(), serde_json::from_str(value).unwrap());
                serde_json::to_string(&all).unwrap()
            });
        } else {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let text = fs::read_to_string(&file).unwrap_or_default();
            let section = if how.starts_with(", set") { "[mysqld]\n" } else { "" };
            fs::write(&file, format!("{}\n{section}{lines}\n", text.trim_end())).unwrap();
        }
    }

    /// Removes the lines and files that a sentence names.
    fn remove(&mut self, line: &str) {
        let mut numbered: Vec<(PathBuf, usize)> = Vec::new();
        let words: Vec<_> = line.split([' ', ',', ':']).collect();
        let is_path = |word: &&str| Path::new(word).starts_with(self.guest.at(""));
        for (at, word) in words.iter().enumerate().filter(|(_, word)| is_path(word)) {
            let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
            if words.get(at + 1) == Some(&"line") {
                numbered.push((word.into(), number(at + 2).unwrap()));
            } else if at > 2 && words[at - 1] == "of" && words[at - 3] == "line" {
                numbered.push((word.into(), number(at - 2).unwrap()));
            } else if words[at - 1] == "delete" {
                fs::remove_file(word).unwrap();
            }
        }
        numbered.sort();
        for (file, number) in numbered.into_iter().rev() {
            change(&file, &|text| {
                let lines = text.lines().enumerate().filter(|(i, _)| i + 1 != number);
                lines.map(|(_, line)| format!("{line}\n")).collect()
            });
        }
    }
}

fn change(file: &Path, to: &dyn Fn(&str) -> String) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mode = fs::metadata(file).unwrap().permissions();
    fs::write(file, to(&text)).unwrap();
    fs::set_permissions(file, mode).unwrap();
}

fn with_options(fstab: &str, point: &str, options: &str) -> String {
    let line = |line: &str| {
        let mut fields: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        if fields.get(1).is_some_and(|at| at == point) {
            fields[3] = format!("{},{options}", fields[3]);
        }
        fields.join(" ") + "\n"
    };
    fstab.lines().map(line).collect()
}
