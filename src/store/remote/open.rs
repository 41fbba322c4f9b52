// SPDX-License-Identifier: GPL-2.0-or-later
//! From the name of a remote to its engine. All copies at one remote share its connections and credentials.

use super::etcd::Etcd;
use super::examine::{Engine, Examine, Observation};
use super::http::Client;
use super::objects::{Answer, Now, Object, Objects, Put, Trouble, Version};
use super::remotes::{Kind, Remote, Remotes};
use super::s3::S3;
use super::stamp::Stamp;
use super::vault::Vault;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// The engines that are in use in this process.
static IN_USE: Mutex<Vec<Weak<Named>>> = Mutex::new(Vec::new());

/// Returns the engine of the remote `name`, which does not begin with `@`, in the remotes file `file`. Nothing is sent
/// to it. When the file changes, the engine follows; while the changed file cannot be used, it stays as it was.
///
/// # Errors
/// `Cause::Settings`: the file, or what it says of this remote, cannot be used.
pub fn open(file: &Path, name: &str) -> Answer<Arc<dyn Engine>> {
    let in_use = || IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |named: &Arc<Named>| named.file == file && named.name == name;
    let known = in_use().iter().filter_map(Weak::upgrade).find(same);
    if let Some(named) = known {
        return Ok(named);
    }
    // Without the lock: a file may be on a volume that hangs.
    let stamp = Stamp::of(file);
    let remote = Remotes::read(file)?.get(name)?.clone();
    let engine = engine(&remote);
    let state = State { stamp, remote, engine, stale: None };
    let named = Arc::new(Named { file: file.to_owned(), name: name.to_owned(), state: Mutex::new(state) });
    let mut all = in_use();
    // Another thread may have been faster.
    if let Some(other) = all.iter().filter_map(Weak::upgrade).find(same) {
        return Ok(other);
    }
    all.retain(|known| known.strong_count() > 0);
    all.push(Arc::downgrade(&named));
    Ok(named)
}

/// The engine that settings describe.
fn engine(remote: &Remote) -> Arc<dyn Engine> {
    let client = remote.client.clone();
    match remote.kind.clone() {
        Kind::S3(settings) => Arc::new(S3::new(client, settings)),
        Kind::Vault(settings) => Arc::new(Vault::new(Client::new(client), settings)),
        Kind::Etcd(settings) => Arc::new(Etcd::new(client, settings)),
    }
}

/// The engine of a remote, as the remotes file describes it at present.
struct Named {
    file: PathBuf,
    name: String,
    state: Mutex<State>,
}

struct State {
    /// Of the file that was read last.
    stamp: Stamp,
    remote: Remote,
    engine: Arc<dyn Engine>,
    /// Why the file cannot be used that is there now.
    stale: Option<String>,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.name)
    }
}

impl Named {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Arc<dyn Engine> {
        let stamp = Stamp::of(&self.file);
        {
            let state = self.state();
            if state.stamp == stamp {
                return state.engine.clone();
            }
        }
        let read = Remotes::read(&self.file).and_then(|all| all.get(&self.name).cloned());
        let mut state = self.state();
        state.stamp = stamp;
        state.stale = None;
        match read {
            // Another remote was changed: connections and credentials stay.
            Ok(remote) if remote == state.remote => {}
            Ok(remote) => {
                state.engine = engine(&remote);
                state.remote = remote;
            }
            Err(trouble) => state.stale = Some(trouble.told),
        }
        state.engine.clone()
    }

    /// Asks the engine, and mentions with a trouble that the file has changed but cannot be used.
    fn ask<T>(&self, ask: impl FnOnce(&dyn Engine) -> Answer<T>) -> Answer<T> {
        ask(&*self.current()).map_err(|trouble| match &self.state().stale {
            None => trouble,
            Some(stale) => {
                let told =
                    format!("{}. The earlier settings of this remote are still used: {stale}", trouble.told);
                Trouble { told, ..trouble }
            }
        })
    }
}

impl Objects for Named {
    fn unusable_settings(&self) -> Option<String> {
        self.state().stale.clone()
    }

    fn get(&self, name: &str, until: Instant) -> Answer<Option<Object>> {
        self.ask(|engine| engine.get(name, until))
    }

    fn get_if_changed(&self, name: &str, known: &Version, until: Instant) -> Answer<Now> {
        self.ask(|engine| engine.get_if_changed(name, known, until))
    }

    fn put(&self, name: &str, bytes: &[u8], was: Option<&Version>, until: Instant) -> Answer<Put> {
        self.ask(|engine| engine.put(name, bytes, was, until))
    }

    fn put_with(
        &self,
        new: (&str, &[u8]),
        name: &str,
        bytes: &[u8],
        was: &Version,
        until: Instant,
    ) -> Answer<Option<Put>> {
        self.ask(|engine| engine.put_with(new, name, bytes, was, until))
    }

    fn list(&self, folder: &str, until: Instant) -> Answer<Vec<String>> {
        self.ask(|engine| engine.list(folder, until))
    }

    fn delete(&self, names: &[String], until: Instant) -> Answer<()> {
        self.ask(|engine| engine.delete(names, until))
    }
}

impl Examine for Named {
    fn examine(&self, prefix: &str, until: Instant) -> Vec<Observation> {
        self.current().examine(prefix, until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    /// Replaces a remotes file as a whole, so that it is never read half written.
    fn write(path: &Path, text: &str) {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// A cluster where nothing listens.
    fn cluster(host: &str) -> String {
        format!(r#"{{"kind": "etcd", "endpoints": ["http://{host}:1"]}}"#)
    }

    fn told(engine: &dyn Engine) -> String {
        engine.get("x", Instant::now() + Duration::from_secs(60)).unwrap_err().told
    }

    #[test]
    fn copies_at_a_remote_share_an_engine_that_follows_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("remotes.json");
        write(&path, &format!(r#"{{"a": {}, "b": {}}}"#, cluster("127.0.0.1"), cluster("127.0.0.2")));
        let (a, again, b) = (open(&path, "a").unwrap(), open(&path, "a").unwrap(), open(&path, "b").unwrap());
        assert!(Arc::ptr_eq(&a, &again) && !Arc::ptr_eq(&a, &b));
        assert!(told(&*a).contains("http://127.0.0.1:1: refuses the connection"), "{}", told(&*a));
        assert!(told(&*b).contains("http://127.0.0.2:1"), "{}", told(&*b));
        write(&path, &format!(r#"{{"a": {}}}"#, cluster("127.0.0.3")));
        assert!(told(&*a).contains("http://127.0.0.3:1"), "{}", told(&*a));
        // What can no longer be used stays as it was, and is told.
        for (text, expected) in [
            (format!(r#"{{"c": {}}}"#, cluster("127.0.0.4")), "has no remote \"a\": it has c"),
            ("{".to_owned(), "it is not valid JSON"),
            (r#"{"a": {"kind": "etcd", "endpoints": []}}"#.to_owned(), "1 to 8 entries"),
        ] {
            write(&path, &text);
            let told = told(&*a);
            assert!(told.contains("http://127.0.0.3:1: refuses") && told.contains(expected), "{told}");
            assert!(told.contains("The earlier settings of this remote are still used"), "{told}");
            // A server says so although nothing fails.
            assert!(a.unusable_settings().is_some_and(|why| why.contains(expected)), "{expected}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(told(&*a).contains("does not exist"), "{}", told(&*a));
        write(&path, &format!(r#"{{"a": {}}}"#, cluster("127.0.0.5")));
        let last = told(&*a);
        assert!(last.contains("http://127.0.0.5:1") && !last.contains("earlier settings"), "{last}");
        assert_eq!(a.unusable_settings(), None);
        // Nothing is kept of an engine that nobody uses.
        drop((a, again, b));
        assert!(open(&path, "b").unwrap_err().told.contains("has no remote \"b\""));
    }
}
