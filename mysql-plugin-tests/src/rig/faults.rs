// SPDX-License-Identifier: GPL-2.0-or-later
//! What can befall a volume.

use super::kind::{Kind, umount};
use super::programs::{run, signal};
use super::remote::Hang;
use super::{Remote, Volume, power};
use rustix::process::Signal;
use std::cell::RefMut;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

impl Volume {
    /// Pulls it: gone from its place at once, whoever uses it.
    pub fn pull(&self) {
        run(Command::new("umount").arg("-l").arg(self.mount_point()));
        self.mounted.set(false);
    }

    /// Pulls it out: its device is gone, and its mount a moment later.
    pub fn pull_out(&self) {
        self.kill_device();
        self.pull();
    }

    /// Cuts its power: what is not on the device by now is lost. It is still mounted, and dead.
    pub fn cut_power(&self) {
        assert!(matches!(self.kind, Kind::Ext4 | Kind::Xfs), "only these lose their power");
        power::cut(&self.mount_point()).unwrap();
    }

    /// Its device stops answering: every later read and write of it fails.
    pub fn kill_device(&self) {
        power::shrink(&self.device()).unwrap();
    }

    fn device(&self) -> PathBuf {
        let source = run(Command::new("findmnt").args(["-n", "-o", "SOURCE"]).arg(self.mount_point()));
        PathBuf::from(source.trim())
    }

    /// The server behind it.
    pub fn remote(&self) -> RefMut<'_, Remote> {
        RefMut::map(self.remote.borrow_mut(), |r| r.as_mut().expect("a remote volume"))
    }

    /// The program that serves it.
    fn fuse(&self) -> u32 {
        let mount_point = self.mount_point().display().to_string();
        let served_by: Vec<u32> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).split('\0').any(|arg| arg == mount_point)
            })
            .collect();
        let [pid] = served_by[..] else { panic!("{served_by:?} serve {mount_point}") };
        pid
    }

    /// The program that serves it stops answering until the answer is dropped.
    pub fn hang_fuse(&self) -> Hang {
        Hang::of(vec![self.fuse()])
    }

    /// Ends the program that serves it, without warning, and unmounts what is left.
    pub fn kill_fuse(&self) {
        signal(self.fuse(), Signal::KILL);
        umount(&self.mount_point()).unwrap();
        self.mounted.set(false);
    }

    /// Mounts it for reading only, or for writing again.
    pub fn remount(&self, how: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.mount_point()));
    }

    /// Fills it to the last block. The files that do it are removed by [`Volume::make_room`].
    pub fn fill(&self) {
        let dir = self.mount_point().join("filler");
        fs::create_dir_all(&dir).unwrap();
        // In ever smaller pieces, until not a block is left, and again when the filesystem has found some.
        for round in 0..3 {
            for shift in (12..=23).rev() {
                let piece = vec![b'x'; 1 << shift];
                let put = |i| {
                    let file = dir.join(format!("{round}.{shift}.{i}"));
                    fs::write(&file, &piece).and_then(|()| fs::File::open(&file)?.sync_all())
                };
                // Files of one block each use up the inodes too: a few will do.
                (0..if shift == 12 { 300 } else { 100 }).take_while(|i| put(*i).is_ok()).count();
            }
        }
    }

    /// Frees what [`Volume::fill`] took.
    pub fn make_room(&self) {
        fs::remove_dir_all(self.mount_point().join("filler")).unwrap();
        run(Command::new("sync").arg("-f").arg(self.mount_point()));
    }
}
