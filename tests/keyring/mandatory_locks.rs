// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring on a filesystem where a lock keeps others from reading too, as flock does on SMB: programs that share it
//! change it in turn, and none takes another's lock for a volume that is broken.

use crate::common::mandatory::Mandatory;
use crate::common::{CHEAP, SECRET, copies, data, key_type, name, private_dir, rekey, secret, unlock};
use keyring_external::error::Error;
use keyring_external::keyring::{Keyring, KeyringState, NewKeyring, Trust, load_beside_others};
use keyring_external::store::file::fs::{Access, File, Fs, Lock};
use keyring_external::store::places::Places;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

struct Place {
    _dir: tempfile::TempDir,
    fs: Arc<dyn Fs>,
    paths: Vec<PathBuf>,
}

impl Place {
    /// With so many copies of an empty keyring.
    fn new(copies: usize) -> Place {
        let dir = private_dir();
        let fs: Arc<dyn Fs> = Arc::new(Mandatory::default());
        let paths: Vec<_> = (0..copies).map(|n| dir.path().join(format!("copy{n}"))).collect();
        NewKeyring::new("", &secret(&SECRET), "test", CHEAP)
            .unwrap()
            .write(&Places::from(&fs), &paths)
            .unwrap();
        Place { _dir: dir, fs, paths }
    }

    /// As a server opens it.
    fn try_open(&self) -> Result<Keyring, Error> {
        let config = copies::config(&self.paths, self.paths.len() as u32);
        let keyring = Keyring::open(&Places::from(&self.fs), &config, Trust::Witness, |_, _| {})?.0;
        keyring.bring_up_to_date()?;
        Ok(keyring)
    }

    fn open(&self) -> Keyring {
        self.try_open().unwrap()
    }

    /// As keyringctl opens it to change its slots.
    fn open_as_tool(&self) -> Keyring {
        let read = || unlock().read();
        load_beside_others(&Places::from(&self.fs), &self.paths, self.paths.len(), "test", read, |_, _| {})
            .unwrap()
    }

    /// Somebody's lock on a copy.
    fn lock(&self, copy: usize) -> Box<dyn File> {
        let file = self.fs.open(&self.paths[copy], Access::Write).unwrap();
        assert_eq!(file.try_lock().unwrap(), Lock::Taken);
        file
    }

    /// Runs `work` while somebody has the locks of all copies, who gives them back soon.
    fn while_locked<R>(&self, work: impl FnOnce() -> R) -> R {
        let locks: Vec<_> = (0..self.paths.len()).map(|copy| self.lock(copy)).collect();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                drop(locks);
            });
            work()
        })
    }

    /// The ids of all keys, when all copies hold the same.
    fn ids(&self) -> Vec<String> {
        let bytes: Vec<_> = self.paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        assert!(bytes.iter().all(|b| *b == bytes[0]), "the copies differ");
        ids(&self.open())
    }
}

fn ids(keyring: &Keyring) -> Vec<String> {
    keyring.names().iter().map(|n| String::from_utf8(n.as_ref().id().to_vec()).unwrap()).collect()
}

fn store(keyring: &Keyring, id: &str) -> Result<(), Error> {
    keyring.store(name(id, ""), &key_type("AES"), &data(1, 32))
}

fn attached(keyring: &Keyring) {
    let status = keyring.status();
    assert_eq!((status.state, status.last_error.as_str()), (KeyringState::Attached, ""));
}

#[test]
fn the_filesystem_refuses_all_but_the_holder_of_a_lock() {
    let place = Place::new(1);
    let open = || place.fs.open(&place.paths[0], Access::Write).unwrap();
    let (holder, other) = (open(), open());
    assert_eq!(
        [&holder, &holder, &other].map(|f| f.try_lock().unwrap()),
        [Lock::Taken, Lock::Taken, Lock::Held]
    );
    let mut byte = [0];
    assert_eq!(holder.read_at(&mut byte, 0).unwrap(), 1);
    holder.write_at(&byte, 0).unwrap();
    for refused in [other.read_at(&mut byte, 0).map(drop), other.write_at(&byte, 0), other.truncate(0)] {
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(13));
    }
    drop(holder);
    assert_eq!(other.read_at(&mut byte, 0).unwrap(), 1);
    assert_eq!(other.try_lock().unwrap(), Lock::Taken);
}

#[test]
fn two_programs_store_and_remove_in_turn() {
    for copies in [1, 2] {
        let place = Place::new(copies);
        let programs = [place.open(), place.open()];
        for round in 0..4 {
            for (n, program) in programs.iter().enumerate() {
                store(program, &format!("{round}{n}")).unwrap();
            }
        }
        programs[0].remove(name("31", "")).unwrap();
        programs[1].remove(name("30", "")).unwrap();
        attached(&programs[0]);
        attached(&programs[1]);
        assert_eq!(place.ids(), ["00", "01", "10", "11", "20", "21"]);
    }
}

#[test]
fn a_tool_changes_slots_and_renews_the_data_key_beside_a_server() {
    for copies in [1, 2] {
        let place = Place::new(copies);
        let server = place.open();
        store(&server, "a").unwrap();
        place.open_as_tool().add_slot(&secret(&[7; 32]), "test", "another", CHEAP).unwrap();
        store(&server, "b").unwrap();
        rekey(&place.open_as_tool(), &[&SECRET], false).unwrap();
        store(&server, "c").unwrap();
        attached(&server);
        // A tool that was there before.
        let tool = place.open_as_tool();
        store(&server, "d").unwrap();
        tool.add_slot(&secret(&[8; 32]), "test", "a third", CHEAP).unwrap();
        store(&server, "e").unwrap();
        assert_eq!(place.ids(), ["a", "b", "c", "d", "e"]);
    }
}

#[test]
fn a_change_waits_for_a_lock() {
    let place = Place::new(2);
    let server = place.open();
    store(&server, "a").unwrap();
    place.while_locked(|| store(&server, "b")).unwrap();
    place.while_locked(|| rekey(&place.open_as_tool(), &[&SECRET], false)).unwrap();
    place.while_locked(|| store(&server, "c")).unwrap();
    attached(&server);
    assert_eq!(place.ids(), ["a", "b", "c"]);
}

#[test]
fn opening_waits_for_a_lock() {
    let place = Place::new(2);
    store(&place.open(), "a").unwrap();
    let server = place.while_locked(|| place.try_open()).unwrap();
    store(&server, "b").unwrap();
    attached(&server);
    assert_eq!(place.ids(), ["a", "b"]);
}

#[test]
fn a_status_query_does_not_take_a_lock_for_a_broken_volume() {
    let place = Place::new(2);
    let server = place.open();
    store(&server, "a").unwrap();
    attached(&server);
    for locked in [vec![0], vec![1], vec![0, 1]] {
        let locks: Vec<_> = locked.iter().map(|copy| place.lock(*copy)).collect();
        // Somebody changes it now: what was known before is shown.
        attached(&server);
        assert_eq!(ids(&server), ["a"]);
        drop(locks);
        attached(&server);
    }
    store(&server, "b").unwrap();
    assert_eq!(place.ids(), ["a", "b"]);
}
