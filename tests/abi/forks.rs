// SPDX-License-Identifier: GPL-2.0-or-later
//! `mysqld --daemonize` forks after the component has opened its keyring. The child is the server from then on.

use crate::component::{open, read, store};
use crate::hosts::{Component, Dir};
use crate::stubs;
use keyring_external::key::NameRef;
use keyring_external::keyring::load;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use rustix::process::{Pid, Resource, Rlimit, WaitOptions, getrlimit, setrlimit, waitpid};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

unsafe extern "C" {
    safe fn fork() -> i32;
    safe fn _exit(code: i32) -> !;
}

const NAME: &str = "forks::a_forked_server_has_its_keys_and_locks_them_again";
/// Says that this process may fork: it has one thread.
const ALONE: &str = "KX_TEST_ALONE";
const NOT_LOCKED: &str = "could not be locked";

#[test]
fn a_forked_server_has_its_keys_and_locks_them_again() {
    if std::env::var_os(ALONE).is_some() {
        return forks();
    }
    let this = std::env::current_exe().unwrap();
    // Root has no limit of locked memory unless it gives up a capability.
    let setpriv = ["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock", "--"];
    let limited = Command::new(setpriv[0]).args(&setpriv[1..]).arg("true").output();
    let limited = limited.is_ok_and(|done| done.status.success());
    let mut command = if limited { Command::new(setpriv[0]) } else { Command::new(&this) };
    if limited {
        command.args(&setpriv[1..]).arg(&this);
    }
    let done =
        command.args(["--exact", NAME, "--test-threads=1", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && said.contains("1 passed"), "{}: {said}", done.status);
    print!("{said}");
}

/// Runs `work` in a forked child, and says how it went.
fn in_child(work: impl FnOnce()) -> bool {
    match fork() {
        0 => _exit(i32::from(catch_unwind(AssertUnwindSafe(work)).is_err())),
        child => {
            let (_, status) = waitpid(Pid::from_raw(child), WaitOptions::empty()).unwrap().unwrap();
            status.exit_status() == Some(0)
        }
    }
}

/// KiB of locked memory of this process, as the kernel counts them.
fn locked() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

fn forks() {
    let dir = Dir::new();
    let component = Component::set_up(&dir);
    assert_eq!(store(&component, c"before", &[7; 32]), 0);
    let reader = open(&component, c"before").unwrap();
    let mut names = std::ptr::null_mut();
    assert_eq!(unsafe { component.iterator.init.unwrap()(&mut names) }, 0);
    let all_locked = !stubs::logged(NOT_LOCKED);
    println!("{} KiB locked, all of it: {all_locked}", locked());

    let served = in_child(|| {
        let expected = Some(vec![7; 32]);
        assert_eq!(read(&component, reader), expected, "a reader that was open");
        assert_eq!(unsafe { component.iterator.is_valid.unwrap()(names) }, 1, "an iterator that was open");
        assert!(component.is_active());
        assert_eq!(read(&component, open(&component, c"before").unwrap()), expected);
        assert_eq!(store(&component, c"by the child", &[8; 32]), 0, "{}", stubs::last_lines());
        assert_eq!((component.row("State"), component.row("Last_error")), ("ATTACHED".into(), String::new()));
    });
    assert!(served);

    // This program has the library twice: it made the keyring with its own, which keeps some locked pages for the next
    // secrets, and nobody tells that one of the fork.
    let before = locked();
    let own_spare = 16;
    let locked_again = in_child(|| {
        assert_eq!(locked(), 0, "a fork takes no locks along");
        assert!(component.is_active());
        assert!((before - own_spare..=before).contains(&locked()), "{} of {before} KiB", locked());
    });
    assert!(locked_again || !all_locked);

    let warned = in_child(|| {
        let maximum = getrlimit(Resource::Memlock).maximum;
        setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum }).unwrap();
        assert!(!stubs::logged(NOT_LOCKED));
        assert_eq!(read(&component, open(&component, c"before").unwrap()), Some(vec![7; 32]));
        assert!(stubs::logged(NOT_LOCKED), "not told: {}", locked());
        assert!(stubs::last_lines().matches(NOT_LOCKED).count() == 1, "told twice");
    });
    let unlimited = rustix::process::geteuid().is_root()
        && std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| {
            // CAP_IPC_LOCK
            line.strip_prefix("CapEff:")
                .is_some_and(|caps| u64::from_str_radix(caps.trim(), 16).unwrap() >> 14 & 1 == 1)
        });
    assert!(warned || !all_locked || unlimited);

    // The file contains what the child has stored, and nothing else has changed.
    let unlock: UnlockSource = dir.unlock().parse().unwrap();
    let fs: std::sync::Arc<dyn keyring_external::store::file::fs::Fs> = std::sync::Arc::new(RealFs);
    let (keyring, notes) = load(&Places::from(&fs), &dir.keyring(), &unlock).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    for (id, byte) in [("before", 7), ("by the child", 8)] {
        let name = NameRef::new(id.as_bytes(), b"").unwrap();
        assert_eq!(keyring.fetch(&name, |key| key.data.to_vec()), Some(vec![byte; 32]), "{id}");
    }
    assert_eq!(component.deinit(), 0);
}
