// SPDX-License-Identifier: GPL-2.0-or-later
//! The volume: mounted, taken away, failing at a request, without power.

use super::locks::Locks;
use super::serve::{DIRECTORY, Requests, Served};
use crate::common::Rng;
use crate::common::sim::{Effect, Sim};
use crate::rig::{Keyring, place, run};
use fuser::{BackgroundSession, Config, INodeNo, MountOption};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;

/// The device's error.
pub const EIO: i32 = 5;
/// The names of a keyring's files there.
const NAMES: [&str; 2] = ["keyring", "keyring.new"];

/// A volume of these tests.
#[derive(Debug)]
pub struct Fuse {
    base: TempDir,
    sim: Arc<Mutex<Sim>>,
    requests: Requests,
    cached: bool,
    /// Whether its locks keep others out.
    mandatory: bool,
    session: Option<BackgroundSession>,
}

impl Fuse {
    /// An empty one, mounted. The kernel keeps no pages of its files: each read and write is a request.
    pub fn new() -> Fuse {
        Fuse::with(false, false)
    }

    /// As [`Fuse::new`], with the kernel's page cache.
    pub fn cached() -> Fuse {
        Fuse::with(true, false)
    }

    /// As [`Fuse::new`], with locks that keep all but their holder from reading and changing a file, as SMB's do.
    pub fn with_mandatory_locks() -> Fuse {
        Fuse::with(false, true)
    }

    fn with(cached: bool, mandatory: bool) -> Fuse {
        let base = tempfile::Builder::new().prefix("f").tempdir_in(&place().run).unwrap();
        fs::create_dir(base.path().join("mnt")).unwrap();
        let (sim, requests) = Default::default();
        let mut volume = Fuse { base, sim, requests, cached, mandatory, session: None };
        volume.mount().unwrap();
        volume
    }

    /// Why there can be no such volume here, when there can't.
    pub fn why_not() -> Option<String> {
        static WHY: OnceLock<Option<String>> = OnceLock::new();
        let try_it = || {
            if !rustix::process::geteuid().is_root() {
                return Some("needs root".to_owned());
            }
            if let Err(e) = fs::File::options().read(true).write(true).open("/dev/fuse") {
                return Some(format!("/dev/fuse: {e}"));
            }
            let base = tempfile::tempdir_in(&place().run).unwrap();
            let mount_point = base.path().join("mnt");
            fs::create_dir(&mount_point).unwrap();
            let (sim, requests) = Default::default();
            let served = Served { sim, requests, cached: false, locks: None };
            match fuser::spawn_mount(served, &mount_point, &options()) {
                Ok(session) => {
                    detach(&mount_point);
                    drop(session);
                    None
                }
                Err(e) => Some(e.to_string()),
            }
        };
        WHY.get_or_init(try_it).clone()
    }

    /// Plugs it in.
    pub fn mount(&mut self) -> std::io::Result<()> {
        let (sim, requests) = (Arc::clone(&self.sim), Requests::clone(&self.requests));
        let locks = self.mandatory.then(Locks::default);
        let served = Served { sim, requests, cached: self.cached, locks };
        self.session = Some(fuser::spawn_mount(served, self.keys(), &options())?);
        Ok(())
    }

    /// Takes it away.
    pub fn unmount(&mut self) {
        if let Some(session) = self.session.take() {
            detach(&self.keys());
            drop(session);
        }
    }

    /// The directory on it for keyrings: its root.
    pub fn keys(&self) -> PathBuf {
        self.base.path().join("mnt")
    }

    /// Request number `at` from now on fails.
    pub fn fail_at(&self, at: usize, effect: Effect) {
        self.requests.lock().unwrap().clear();
        self.sim().fail_at(at, effect, EIO);
    }

    /// All requests from number `at` on fail.
    pub fn fail_from(&self, at: usize) {
        self.requests.lock().unwrap().clear();
        self.sim().fail_from(at, EIO);
    }

    /// The power is cut in request number `at`: that and all later ones fail.
    pub fn cut_at(&self, at: usize) {
        self.requests.lock().unwrap().clear();
        self.sim().crash_at(at);
    }

    /// The power is cut now.
    pub fn cut_now(&self) {
        self.cut_at(1);
    }

    /// The power is back: the volume is mounted anew, in one of the states that the cut may have left.
    pub fn power_returns(&mut self, rng: &mut Rng) {
        let states = self.after_cut(rng, 50);
        self.comes_back_as(&states[rng.below(states.len())]);
    }

    /// Makes a keyring on it; its secret is beside the mount point.
    pub fn init(&self) -> Keyring {
        let secret = self.base.path().join("secret");
        let path = self.keys().join("keyring");
        run(Command::new(&place().keyringctl).arg("init").arg(&path).args([
            "--generate-secret",
            "--unlock",
            &format!("file:{}", secret.display()),
        ]));
        Keyring { path, secret, mirrors: Vec::new(), min_copies: 1, remotes: None }
    }

    /// No request fails any more.
    pub fn heal(&self) {
        self.requests.lock().unwrap().clear();
        self.sim().reset();
    }

    /// Which requests there were since the last fault was set.
    pub fn requests(&self) -> Vec<&'static str> {
        self.requests.lock().unwrap().clone()
    }

    /// What a power cut now may leave: see [`Sim::after_crash`].
    pub fn after_cut(&self, rng: &mut Rng, most: usize) -> Vec<Sim> {
        self.sim().after_crash(rng, most, false)
    }

    /// What is on it, all of it durable.
    pub fn durable(&self) -> Sim {
        let durable = Sim::default();
        for name in NAMES {
            if let Some(bytes) = self.bytes(name) {
                durable.put(PathBuf::from(DIRECTORY).join(name), bytes);
            }
        }
        durable
    }

    /// Has that come back in the place of what was there.
    pub fn comes_back_as(&mut self, sim: &Sim) {
        // Where the kernel keeps nothing, it notices no difference; a new mount takes a while.
        if self.cached {
            self.unmount();
        }
        *self.sim.lock().unwrap() = sim.fork();
        self.heal();
        if self.cached {
            self.mount().unwrap();
        } else {
            self.forget_names();
        }
    }

    /// Has the kernel forget the names that it knows, so that it asks the same each time.
    fn forget_names(&self) {
        let session = self.session.as_ref().expect("it is mounted");
        for name in NAMES {
            // An error says that it knows no such name.
            let _ = session.notifier().inval_entry(INodeNo::ROOT, name.as_ref());
        }
    }

    fn sim(&self) -> Sim {
        self.sim.lock().unwrap().clone()
    }

    /// The bytes of a file at its root, as programs see them.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.sim().bytes(PathBuf::from(DIRECTORY).join(name))
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn options() -> Config {
    let mut config = Config::default();
    config.mount_options =
        vec![MountOption::FSName("keyring_external_tests".to_owned()), MountOption::DefaultPermissions];
    config
}

/// Unmounts, whoever uses it: a program that another test starts may hold a file for an instant.
fn detach(mount_point: &std::path::Path) {
    run(Command::new("umount").arg("-l").arg(mount_point));
}
