// SPDX-License-Identifier: GPL-2.0-or-later
//! What a configuration file may say, and what is said about its mistakes.

use super::*;
use crate::store::file::real::effective_user;
use std::os::unix::fs::PermissionsExt;

const GOOD: &str = r#"{"path": "/v/keyring", "unlock": "file:/s"}"#;

struct Dirs(tempfile::TempDir);

impl Dirs {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("plugins")).unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        Self(dir)
    }

    fn write(&self, dir: &str, text: &str) -> PathBuf {
        let file = file_in(&self.0.path().join(dir));
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        file
    }

    fn read(&self) -> Result<Config> {
        read(Some(&self.0.path().join("plugins")), Some(&self.0.path().join("data")), effective_user())
    }

    fn refusal(&self, text: &str) -> String {
        self.write("plugins", text);
        self.read().unwrap_err().to_string()
    }
}

#[test]
fn every_key_is_taken() {
    let dirs = Dirs::new();
    dirs.write("plugins", GOOD);
    let config = dirs.read().unwrap();
    assert_eq!((config.min_copies, config.wait, config.mirrors.len()), (1, 0, 0));
    assert_eq!(config.remotes, Path::new("/etc/mysql/keyring_external.remotes.json"));
    assert!(!config.read_only && !config.allow_same_device && !config.auto_create);
    assert_eq!(config.datadir, Some(dirs.0.path().join("data")));
    dirs.write(
        "plugins",
        r#"{"read_local_config": false, "path": "/v/keyring", "mirrors": ["/m/a", "@b/n"], "min_copies": 2,
            "remotes": "/etc/r.json", "unlock": "env:X", "read_only": true, "allow_same_device": true, "auto_create": true, "wait": 5}"#,
    );
    let config = dirs.read().unwrap();
    assert_eq!((config.min_copies, config.wait), (2, 5));
    assert_eq!(config.remotes, Path::new("/etc/r.json"));
    assert_eq!(config.mirrors, [PathBuf::from("/m/a"), PathBuf::from("@b/n")]);
    assert!(config.read_only && config.allow_same_device && config.auto_create);
}

#[test]
fn the_local_file_is_read_when_the_global_one_says_so() {
    let dirs = Dirs::new();
    dirs.write("plugins", r#"{"read_local_config": true}"#);
    assert!(dirs.read().unwrap_err().to_string().contains("cannot read config file"));
    dirs.write("data", GOOD);
    assert_eq!(dirs.read().unwrap().path, Path::new("/v/keyring"));
    assert!(
        read(Some(&dirs.0.path().join("plugins")), None, effective_user())
            .unwrap_err()
            .to_string()
            .contains("the server has none")
    );
    dirs.write("data", r#"{"read_local_config": true}"#);
    assert!(dirs.read().unwrap_err().to_string().contains("already the local one"));
    let e = dirs.refusal(r#"{"read_local_config": true, "path": "/v/keyring"}"#);
    assert!(e.contains("may have no other keys"), "{e}");
}

#[test]
fn every_mistake_has_its_message() {
    let dirs = Dirs::new();
    let e = dirs.read().unwrap_err().to_string();
    assert!(e.contains("cannot read config file") && e.contains("component_keyring_external.cnf"), "{e}");
    assert!(read(None, None, 0).unwrap_err().to_string().contains("cannot read config file"));
    for (text, expected) in [
        ("", "has not valid format"),
        (r#"{"xxx":  ,, e }"#, "has not valid format"),
        ("[]", "has not valid format"),
        (r#"{"path": "/v/k", "unlock": "file:/s", "pth": 1}"#, "unknown field `pth`"),
        (r#"{"path": "/v/k", "path": "/v/l", "unlock": "file:/s"}"#, "duplicate field `path`"),
        (r#"{"path": "/v/k", "unlock": "file:/s", "wait": -1}"#, "has not valid format"),
        (r#"{"unlock": "file:/s"}"#, "\"path\" is missing"),
        (r#"{"path": "v/k", "unlock": "file:/s"}"#, "absolute"),
        (r#"{"path": "@main", "unlock": "file:/s"}"#, "the prefix is missing"),
        (
            r#"{"path": "@main/db1", "remotes": "r.json", "unlock": "file:/s"}"#,
            "\"remotes\" must be an absolute",
        ),
        (r#"{"path": "@main/db1", "remotes": 1, "unlock": "file:/s"}"#, "has not valid format"),
        (r#"{"path": "/v/k"}"#, "\"unlock\" is missing"),
        (r#"{"path": "/v/k", "unlock": "file:/s", "min_copies": 0}"#, "min_copies"),
        (r#"{"path": "/v/k", "unlock": "file:/s", "wait": 3601}"#, "3600"),
    ] {
        let e = dirs.refusal(text);
        assert!(e.contains(expected), "{text}: {e}");
    }
    let e = dirs.refusal(&format!("{GOOD}{}", " ".repeat(64 * 1024)));
    assert!(e.contains("longer than"), "{e}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let dirs = Dirs::new();
    for unlock in [r#""hunter2""#, r#"["hunter2"]"#, r#"{"hunter2": 1}"#] {
        let e = dirs.refusal(&format!(r#"{{"path": "/v/k", "unlock": {unlock}}}"#));
        assert!(e.contains("unlock") && !e.contains("hunter2"), "{e}");
    }
}

#[test]
fn a_file_that_others_write_is_refused() {
    let dirs = Dirs::new();
    let file = dirs.write("plugins", GOOD);
    for mode in [0o620, 0o602, 0o666] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let e = dirs.read().unwrap_err().to_string();
        assert!(e.contains("chmod go-w"), "{e}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(dirs.read().is_ok());
}

#[test]
fn root_runs_no_program_that_another_user_names() {
    if effective_user() != 0 {
        return; // only root can give a file away
    }
    let dirs = Dirs::new();
    let file = dirs.write("plugins", r#"{"path": "/v/k", "unlock": "command:/bin/true"}"#);
    assert!(dirs.read().is_ok());
    std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
    assert!(dirs.read().unwrap_err().to_string().contains("still runs as root"));
}
