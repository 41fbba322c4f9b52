// SPDX-License-Identifier: GPL-2.0-or-later
//! One of two copies dies in the middle of a loop of rotations of the master key, and comes back.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume, agree, moment, rng, times, wait_until};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A session that rotates the master key without a pause.
struct Loop {
    thread: JoinHandle<()>,
    end: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl Loop {
    fn start(server: &Server) -> Loop {
        let mut conn = server.connect();
        let (end, done, failed) = <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (ended, counts) = (Arc::clone(&end), (Arc::clone(&done), Arc::clone(&failed)));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let count = match conn.query_drop(ROTATE) {
                    Ok(()) => &counts.0,
                    Err(mysql::Error::MySqlError(_)) => &counts.1,
                    Err(e) => panic!("the server is gone: {e}"),
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Loop { thread, end, done, failed }
    }

    /// Waits until so many more rotations were made, or have failed.
    fn wait(&self, count: &AtomicUsize, more: usize, server: &Server) {
        let from = count.load(Ordering::Relaxed);
        let there = || count.load(Ordering::Relaxed) >= from + more || self.thread.is_finished();
        assert!(wait_until(Duration::from_secs(60), there), "the loop stands still: {}", server.log());
    }

    fn makes(&self, more: usize, server: &Server) {
        self.wait(&self.done, more, server);
    }

    fn fails(&self, more: usize, server: &Server) {
        self.wait(&self.failed, more, server);
    }

    /// Ends it; rotations made and failed.
    fn end(self) -> (usize, usize) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// With one copy a rotation is made: the loop goes on. With two that must be reached, every rotation fails
/// cleanly until the copy is back.
pub fn mirror_dies(min_copies: usize) {
    let sticks = [Volume::ext4(), Volume::ext4()];
    let mut keyring = Keyring::init_on(&[&sticks[0], &sticks[1]]);
    keyring.min_copies = min_copies;
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
    let same = || fs::read(&keyring.path).unwrap() == fs::read(&keyring.mirrors[0]).unwrap();
    let (faults, mut made, mut refused, mut rng) = (times(6, 30), 0, 0, rng());
    for n in 0..faults {
        let stick = &sticks[(n / 3 + 1) % 2];
        let rotating = Loop::start(&server);
        rotating.makes(2, &server);
        std::thread::sleep(moment(&mut rng, 0, 100_000));
        match n % 3 {
            0 => stick.pull(),
            1 => stick.pull_out(),
            _ => stick.kill_device(),
        }
        if min_copies == 1 {
            rotating.makes(3, &server);
        } else {
            rotating.fails(3, &server);
        }
        let (done, failed) = rotating.end();
        assert!(failed == 0 || min_copies == 2, "{}", server.log());
        (made, refused) = (made + done, refused + failed);
        agree(&server, &keyring, "DEGRADED", "1/2");
        server.sql("FLUSH TABLES");
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);

        // It comes back in the middle of the loop too.
        let rotating = Loop::start(&server);
        if min_copies == 1 {
            rotating.makes(1, &server);
        } else {
            rotating.fails(1, &server);
        }
        if n % 3 == 2 {
            stick.unmount();
        }
        stick.mount_when_free();
        rotating.makes(3, &server);
        let (done, failed) = rotating.end();
        (made, refused) = (made + done, refused + failed);
        agree(&server, &keyring, "ATTACHED", "2/2");
        assert!(same(), "after fault {n} the copies differ");
    }
    server.stop();
    eprintln!(
        "a mirror dies while rotating, ext4, {min_copies} of 2 needed: {faults} faults, {made} rotations made, {refused} \
         refused; 0 lost, 0 false"
    );
    // The first came with the table. One that was refused may have made its key before it failed.
    let keys = keyring.ids("INNODBKey-").len();
    assert!((made + 1..=made + 1 + refused).contains(&keys), "{keys} master keys for {made} rotations");
    for path in keyring.paths() {
        assert_eq!(keyring.copy(&path).ids("INNODBKey-").len(), keys);
    }
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    agree(&server, &keyring, "ATTACHED", "2/2");
    server.stop();
}
