// SPDX-License-Identifier: GPL-2.0-or-later
//! Power cuts at random moments of a continuous run of generate and remove: what was acknowledged is
//! there, what was removed is gone, and the change in flight has happened or not (invariants 1 and 2).

use mysql_plugin_tests::rig::worker::Book;
use mysql_plugin_tests::rig::{Keyring, Kind, Volume, moment, rng, times};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A moment while a worker works is so long after its first changes, in microseconds.
const LEAST: u64 = 500;
const SPAN: usize = 60_000;

/// Cuts the power of a volume, when there is something to lose; the answer is that.
pub fn cut(volume: &Volume) -> PathBuf {
    let unsynced = volume.mount_point().join("unsynced");
    fs::write(&unsynced, "nobody has made this durable").unwrap();
    volume.cut_power();
    unsynced
}

/// Whether it was lost. Most often: the sync of somebody else may take it along.
pub fn is_lost(unsynced: &Path) -> bool {
    let lost = !fs::read(unsynced).is_ok_and(|bytes| !bytes.is_empty());
    let _ = fs::remove_file(unsynced);
    lost
}

/// Most cuts lost something.
pub fn prove(lost: usize, cuts: usize) {
    assert!(lost * 2 > cuts, "{lost} power cuts of {cuts} lost anything: they prove nothing");
}

/// Gives a volume its power back.
pub fn restore(volume: &Volume) {
    volume.unmount();
    // While anything still has the filesystem in use, mounting it would give the one without power again.
    volume.mount_when_free();
}

/// One copy.
pub fn cuts(kind: Kind) {
    let volume = Volume::of(kind);
    let keyring = Keyring::init(&volume);
    let (mut book, mut rng) = (Book::default(), rng());
    let mut lost = 0;
    for _ in 0..times(20, 220) {
        let mut unsynced = PathBuf::new();
        book.round(&keyring, moment(&mut rng, LEAST, SPAN), |_| unsynced = cut(&volume));
        restore(&volume);
        lost += usize::from(is_lost(&unsynced));
        book.check(&keyring);
    }
    prove(lost, book.faults);
    book.report(&format!("power cuts, {}", kind.name()));
}

/// Two copies, of which one or both lose their power.
pub fn cuts_of_mirrors() {
    let (a, b) = (Volume::of(Kind::Ext4), Volume::of(Kind::Xfs));
    let keyring = Keyring::init_on(&[&a, &b]);
    let (mut book, mut rng) = (Book::default(), rng());
    for n in 0..times(12, 150) {
        let (fault, before_the_other) = (moment(&mut rng, LEAST, SPAN), moment(&mut rng, 0, 4000));
        book.round(&keyring, fault, |worker| {
            let (first, second) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
            first.cut_power();
            if n % 3 == 0 {
                // It goes on with the other for a while.
                std::thread::sleep(before_the_other.mul_f32(10.0));
                worker.kill();
            } else {
                std::thread::sleep(before_the_other);
                second.cut_power();
            }
        });
        restore(&a);
        restore(&b);
        book.check(&keyring);
        let (first, second) = (fs::read(&keyring.path).unwrap(), fs::read(&keyring.mirrors[0]).unwrap());
        assert!(first == second, "after fault {} the copies differ: {}", n + 1, book.story_of(""));
    }
    book.report("power cuts, mirrors on ext4 and xfs");
}

/// Power comes back although a namespace with mounts of its own was made meanwhile, as other tests make them.
pub fn cut_beside_a_namespace() {
    let volume = Volume::of(Kind::Ext4);
    let keyring = Keyring::init(&volume);
    let before = fs::read(&keyring.path).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "slave", "--", "sh", "-c", "echo made; read _"]);
    let mut namespace = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut made = String::new();
    BufReader::new(namespace.stdout.take().unwrap()).read_line(&mut made).unwrap();
    assert_eq!(made, "made\n");
    volume.cut_power();
    assert!(fs::read(&keyring.path).is_err(), "it has no power");
    restore(&volume);
    assert!(fs::read(&keyring.path).unwrap() == before);
    // It ends with its input.
    drop(namespace.stdin.take());
    namespace.wait().unwrap();
}
