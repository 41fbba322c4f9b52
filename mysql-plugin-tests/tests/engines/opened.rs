// SPDX-License-Identifier: GPL-2.0-or-later
//! An engine as the library opens it.

use keyring_external::store::remote::examine;
use keyring_external::store::remote::objects::{Answer, Objects, Put, Trouble, Version};
use keyring_external::store::remote::open;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Where the tests put their objects. The least rights that a test gives are for these.
pub const PREFIX: &str = "keyrings/db1";

/// Longest time of a request, as of a step of a change.
pub const STEP: Duration = Duration::from_secs(10);
/// Longest time until a cluster that can work again does.
pub const RECOVERY: Duration = Duration::from_secs(120);

/// Opens a remote that a file of its own describes.
pub fn open(dir: &Path, remote: &Value) -> Answer<Arc<dyn examine::Engine>> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let file = dir.join(format!("remotes{}.json", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&file, serde_json::to_vec(&json!({"engine": remote})).unwrap()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    open::open(&file, "engine")
}

pub fn soon() -> Instant {
    Instant::now() + STEP
}

/// The name of an object of a test.
pub fn name(of: &str) -> String {
    format!("{PREFIX}/{of}")
}

/// Reads an object that must be there, or must not.
pub fn read(objects: &dyn Objects, name: &str) -> Option<Vec<u8>> {
    objects.get(name, soon()).unwrap_or_else(|e| panic!("{name}: {e}")).map(|object| object.bytes)
}

/// Puts an object. It must succeed.
pub fn put(objects: &dyn Objects, name: &str, bytes: &[u8], was: Option<&Version>) -> Version {
    match objects.put(name, bytes, was, soon()) {
        Ok(Put::Done(version)) => version,
        other => panic!("{name}: {other:?}"),
    }
}

/// Asks until it succeeds, as long as a cluster may need to come together.
pub fn until_it_works<T>(mut ask: impl FnMut() -> Answer<T>) -> T {
    let end = Instant::now() + RECOVERY;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(trouble) => assert!(Instant::now() < end, "it does not work again: {trouble:?}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The trouble of a request that must not succeed.
pub fn trouble<T: std::fmt::Debug>(what: &str, answer: Answer<T>) -> Trouble {
    answer.expect_err(what)
}
