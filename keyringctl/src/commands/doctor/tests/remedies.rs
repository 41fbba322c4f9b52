// SPDX-License-Identifier: GPL-2.0-or-later
//! For every finding with a fix: a fault that provokes it, and the fix followed as it is printed, after which the finding is
//! gone and there is no other one.

mod administrator;
mod configuration;
mod confinement;
mod copies;
mod secrets;
mod system;

use super::super::finding::Finding;
use super::*;
use administrator::Administrator;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The code that reports a finding.
type Place = (String, u32);

/// Findings whose fix is not followed here, by a line of the code that reports them, and why.
const NOT_FOLLOWED: [(&str, &str); 7] = [
    ("found.add(level, check, what, why, fix).path", "it is fixed at another machine: a remote"),
    ("The server cannot open the copy at the remote.", "there is no remote here"),
    ("the running server reads its remotes from {}", "no server runs here"),
    ("the volume of {} did not answer within", "a mount that hangs cannot be made here"),
    ("the running server has fetched retired keys", "no server runs here"),
    ("MEANING, &[with_sudo()]", "it runs doctor as another user"),
    ("judge(&keyring, view, found)", "a report of the server, not a finding"),
];

/// The places whose fixes have been followed.
#[derive(Default)]
struct Followed {
    places: BTreeSet<Place>,
    /// What went wrong, so that one run shows all of it.
    failures: Vec<String>,
}

impl Followed {
    /// Follows one way of the fix of the finding with these words, does the rest by hand, and looks again.
    fn fix(&mut self, guest: &Guest, check: &str, words: &str, way: usize, by_hand: &dyn Fn(&Guest)) {
        self.fix_with(guest, check, words, way, &seen, &|_, administrator| {
            by_hand(guest);
            drop(administrator.calls());
        });
    }

    fn fix_with(
        &mut self,
        guest: &Guest,
        check: &str,
        words: &str,
        way: usize,
        look: &dyn Fn(&Guest) -> Findings,
        by_hand: &dyn Fn(&Guest, &Administrator<'_>),
    ) {
        let follow = AssertUnwindSafe(|| self.follow(guest, check, words, way, look, by_hand));
        if let Err(panic) = catch_unwind(follow) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let failure = format!("{check} {words:?}, way {way}: {}", text.unwrap_or_default());
            eprintln!("{failure}");
            self.failures.push(failure);
        }
    }

    fn follow(
        &mut self,
        guest: &Guest,
        check: &str,
        words: &str,
        way: usize,
        look: &dyn Fn(&Guest) -> Findings,
        by_hand: &dyn Fn(&Guest, &Administrator<'_>),
    ) {
        let before = look(guest);
        let is_it = |f: &&Finding| f.check == check && f.what.contains(words);
        let all: Vec<_> = before.all().into_iter().map(shown).collect();
        let finding = before.all().into_iter().find(is_it).cloned();
        let finding = finding.unwrap_or_else(|| panic!("{check} did not report {words:?}, but {all:#?}"));
        let mut administrator = Administrator::new(guest);
        administrator.follow(&finding.fix, way);
        by_hand(guest, &administrator);
        let after = look(guest);
        let known: Vec<_> = before.all().into_iter().map(|f| (f.check, place(f))).collect();
        for left in after.all() {
            let is_new = !known.contains(&(left.check, place(left)));
            assert!(
                !is_it(&left) && (!is_new || left.level == FindingLevel::Note),
                "{check} {words:?}: after the fix {:#?} (by hand: {:?}) there is {}",
                administrator.ran,
                administrator.by_hand,
                shown(left)
            );
        }
        self.places.insert(place(&finding));
    }
}

fn place(finding: &Finding) -> Place {
    let file = Path::new(finding.at.file());
    let below = file.iter().skip_while(|part| *part != "doctor").collect::<PathBuf>();
    (below.display().to_string(), finding.at.line())
}

fn shown(finding: &Finding) -> String {
    format!("{:?} {}: {} {:#?}", finding.level, finding.check, finding.what, finding.fix)
}

/// The findings on a host whose mounts and /etc/fstab are files.
fn seen(guest: &Guest) -> Findings {
    findings(&guest.site(), &|view| read_files(guest, view))
}

fn read_files(guest: &Guest, view: &mut HostView<'_>) {
    let text = |path| fs::read_to_string(guest.at(path)).unwrap();
    view.mounts = mounts::mounts(&text("mountinfo"), Path::new("/"));
    view.fstab = mounts::fstab(&text("etc/fstab"));
}

fn prepared(guest: Guest) -> Guest {
    fs::set_permissions(guest.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    guest.write(
        "mountinfo",
        &format!("{MOUNTS}4 1 8:49 / /mnt/c rw,nosuid,nodev,noexec - ext4 /dev/sdd1 rw\n"),
    );
    guest.write("etc/fstab", &format!("{FSTAB}UUID=3 /mnt/c ext4 nofail 0 2\n"));
    let drop_in = DROP_IN.replace("/mnt/b/keys", "/mnt/b/keys /mnt/c/keys");
    guest.write("etc/systemd/system/mysql.service.d/keyring_external.conf", &drop_in);
    fs::create_dir_all(guest.at("mnt/c")).unwrap();
    guest
}

fn component() -> Guest {
    prepared(Guest::new())
}

fn plugin() -> Guest {
    prepared(Guest::with_plugin())
}

/// The same host, but mysqld's account is not the one that runs the test. Only root can make it.
fn with_account(guest: Guest) -> Guest {
    guest.write("etc/passwd", "mysql:x:4242:4242::/:/bin/false\n");
    for path in ["mnt/a/keys", KEYRING, "mnt/b/keys", MIRROR, SECRET, "var/lib/mysql"] {
        std::os::unix::fs::chown(guest.at(path), Some(4242), Some(4242)).unwrap();
    }
    guest
}

fn replace(guest: &Guest, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(guest.at(path)).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(guest.at(path), text.replace(from, to)).unwrap();
}

fn nothing(_: &Guest) {}

/// All places in the code of doctor that report an error or a warning, with the code that follows.
fn places() -> Vec<(Place, String)> {
    let doctor = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/doctor");
    let mut all = Vec::new();
    let mut dirs = vec![doctor.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() && entry.file_name().is_some_and(|name| name != "tests") {
                dirs.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") && !entry.ends_with("finding.rs") {
                let text = fs::read_to_string(&entry).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                let file = Path::new("doctor").join(entry.strip_prefix(&doctor).unwrap());
                let lines: Vec<_> = text.lines().collect();
                for (i, line) in lines.iter().enumerate() {
                    let code = lines[i..lines.len().min(i + 12)].join("\n");
                    let is_method = |name: &str| {
                        line.trim_start().starts_with(name) || line.contains(&format!("found{name}"))
                    };
                    let is_note = code[..code.len().min(160)].contains("FindingLevel::Note,");
                    if is_method(".error(") || is_method(".warning(") || is_method(".add(") && !is_note {
                        let number = u32::try_from(i + 1).unwrap();
                        all.push(((file.display().to_string(), number), code));
                    }
                }
            }
        }
    }
    all
}

#[test]
fn every_fix_that_is_followed_as_printed_removes_its_finding() {
    if effective_user() != 0 {
        return println!("skipped: only root can give files to mysqld's account");
    }
    let mut followed = Followed::default();
    secrets::follow(&mut followed);
    copies::follow(&mut followed);
    system::follow(&mut followed);
    configuration::follow(&mut followed);
    confinement::follow(&mut followed);
    assert!(followed.failures.is_empty(), "{}", followed.failures.join("\n\n"));
    let left: Vec<_> = places()
        .into_iter()
        .filter(|(place, code)| {
            !followed.places.contains(place) && !NOT_FOLLOWED.iter().any(|(words, _)| code.contains(words))
        })
        .collect();
    assert!(left.is_empty(), "no test follows the fixes of {left:#?}");
}
