// SPDX-License-Identifier: GPL-2.0-or-later
//! A directory of a test, with copies of the library.

use keyring_external::format::cost::Cost;
use keyring_external::key::KeyName;
use keyring_external::keyring::{NewKeyring, load};
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::c_void;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory with a keyring, its secret and copies of the library. It is removed when this is dropped.
pub struct Dir(tempfile::TempDir);

impl Dir {
    pub fn new() -> Dir {
        // In memory if possible: no test here is about a disk.
        let base = ["/dev/shm", "/tmp"].into_iter().find(|d| tempfile::tempdir_in(d).is_ok()).unwrap();
        let dir = tempfile::Builder::new().prefix("kxabi").tempdir_in(base).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let dir = Dir(dir);
        dir.write("secret", &[0xf0; 32]);
        let secret = UnlockSecret::new(Locked::copy_of(&[0xf0; 32]).unwrap());
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        NewKeyring::new("", &secret, "test", Cost::NONE)
            .unwrap()
            .write(&Places::from(&fs), &[dir.keyring()])
            .unwrap();
        dir
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn keyring(&self) -> PathBuf {
        self.path().join("keyring")
    }

    /// The ids of the keys in the file of the keyring.
    pub fn ids(&self) -> Vec<String> {
        let unlock: UnlockSource = self.unlock().parse().unwrap();
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let (keyring, _) = load(&Places::from(&fs), &self.keyring(), &unlock).unwrap();
        let id = |name: &KeyName| String::from_utf8(name.as_ref().id().to_vec()).unwrap();
        keyring.names().iter().map(id).collect()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A source for the secret.
    pub fn unlock(&self) -> String {
        format!("file:{}", self.path().join("secret").display())
    }

    /// The component's configuration.
    pub fn configure(&self, text: &str) {
        self.write("component_keyring_external.cnf", text.as_bytes());
    }

    pub fn configure_well(&self) {
        self.configure(&format!(
            r#"{{"path": "{}", "unlock": "{}", "allow_same_device": true}}"#,
            self.keyring().display(),
            self.unlock()
        ));
    }

    /// Copies the keyring to `mirror`, and configures both copies.
    pub fn configure_with_mirror(&self, mirror: &Path) {
        std::fs::copy(self.keyring(), mirror).unwrap();
        self.configure(&format!(
            r#"{{"path": "{}", "mirrors": ["{}"], "unlock": "{}", "allow_same_device": true}}"#,
            self.keyring().display(),
            mirror.display(),
            self.unlock()
        ));
    }

    /// The library from a file of its own, so that its statics are fresh.
    pub(super) fn open(&self) -> Library {
        let built = std::env::var_os("KX_LIBRARY").map_or_else(
            || std::env::current_exe().unwrap().parent().unwrap().join("libkeyring_external.so"),
            PathBuf::from,
        );
        let copy = (0..).map(|i| self.path().join(format!("library{i}.so"))).find(|p| !p.exists()).unwrap();
        std::fs::copy(&built, &copy).unwrap_or_else(|e| panic!("{}: {e}", built.display()));
        unsafe { Library::open(Some(&copy), RTLD_NOW | RTLD_LOCAL) }.unwrap()
    }
}

pub(super) fn symbol<T>(library: &Library, name: &str) -> *mut T {
    let symbol = unsafe { library.get::<*mut c_void>(name.as_bytes()) };
    symbol.unwrap_or_else(|e| panic!("{name}: {e}")).into_raw().cast()
}
