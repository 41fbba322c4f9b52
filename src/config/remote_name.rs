// SPDX-License-Identifier: GPL-2.0-or-later
//! The name of a copy at a remote: `@NAME/PREFIX`.

use crate::error::{BadRequest, Result};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// Maximum length of a prefix in bytes.
pub const MAX_PREFIX: usize = 200;
/// Maximum length of the name of a remote in bytes.
pub const MAX_REMOTE: usize = 64;

/// The name of a copy at a remote, `@NAME/PREFIX`: NAME is a remote of the remotes file, and what is stored there has
/// names below PREFIX.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteName {
    /// The name of the remote: letters, digits, `_` and `-`.
    pub remote: String,
    /// The prefix: segments of letters, digits, `.`, `_` and `-`, separated by `/`.
    pub prefix: String,
}

/// Whether a path names a copy at a remote. A file whose name begins with `@` is given as `./@name` or absolutely.
pub fn is_remote(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().first() == Some(&b'@')
}

/// Checks that a path can be configured: it is absolute, or the valid name of a copy at a remote. Messages call it
/// `what`.
///
/// # Errors
/// [`BadRequest::Config`], with what is wrong.
pub fn check_path(path: &Path, what: &str) -> Result<()> {
    if is_remote(path) {
        return RemoteName::parse(path).map(drop);
    }
    if path.is_absolute() {
        return Ok(());
    }
    Err(BadRequest::Config(format!(
        "{what} must be an absolute path, or @NAME/PREFIX for a copy at a remote"
    ))
    .into())
}

impl RemoteName {
    /// Reads a name that [`is_remote`].
    ///
    /// # Errors
    /// [`BadRequest::Config`], with what is wrong.
    pub fn parse(path: &Path) -> Result<Self> {
        let shown = path.display();
        let wrong = |why: String| BadRequest::Config(format!("{shown}: {why}"));
        let text = path.as_os_str().to_str().and_then(|text| text.strip_prefix('@')).ok_or_else(|| {
            wrong("a copy at a remote is named @NAME/PREFIX, in letters, digits, '.', '_' and '-'".to_owned())
        })?;
        let (remote, prefix) = text.split_once('/').unwrap_or((text, ""));
        if remote.is_empty() {
            return Err(wrong(
                "the name of the remote is missing: write @NAME/PREFIX, with a NAME of the remotes file"
                    .to_owned(),
            )
            .into());
        }
        if let Some(c) = remote.chars().find(|c| !is_plain(*c, "_-")) {
            return Err(wrong(format!(
                "the name of a remote consists of letters, digits, '_' and '-', not {c:?}"
            ))
            .into());
        }
        if remote.len() > MAX_REMOTE {
            return Err(wrong(format!("the name of a remote has at most {MAX_REMOTE} characters")).into());
        }
        if prefix.is_empty() {
            return Err(wrong(format!(
                "the prefix is missing: write @{remote}/PREFIX, such as @{remote}/servers/db1"
            ))
            .into());
        }
        if prefix.len() > MAX_PREFIX {
            return Err(wrong(format!("the prefix has at most {MAX_PREFIX} characters")).into());
        }
        if let Some(c) = prefix.chars().find(|c| !is_plain(*c, "._-/")) {
            return Err(wrong(format!(
                "a prefix consists of letters, digits, '.', '_', '-' and '/', not {c:?}"
            ))
            .into());
        }
        if prefix.split('/').any(str::is_empty) {
            return Err(
                wrong("a prefix does not begin or end with '/', and has no two in a row".to_owned()).into()
            );
        }
        if prefix.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(wrong("a prefix has no segment '.' or '..'".to_owned()).into());
        }
        Ok(Self { remote: remote.to_owned(), prefix: prefix.to_owned() })
    }

    /// The name as a path.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(OsStr::new(&self.to_string()))
    }
}

impl fmt::Display for RemoteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}/{}", self.remote, self.prefix)
    }
}

fn is_plain(c: char, more: &str) -> bool {
    c.is_ascii_alphanumeric() || more.contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_remote_and_a_prefix() {
        let name = RemoteName::parse(Path::new("@main-1/servers/db.1_a/-")).unwrap();
        assert_eq!((name.remote.as_str(), name.prefix.as_str()), ("main-1", "servers/db.1_a/-"));
        assert_eq!(name.path(), Path::new("@main-1/servers/db.1_a/-"));
        assert!(!is_remote(Path::new("./@main/x")) && !is_remote(Path::new("/mnt/@main/x")));
    }

    #[test]
    fn each_mistake_in_a_name_has_its_own_message() {
        let (long, longer) = (format!("@{}/x", "n".repeat(65)), format!("@n/{}", "p".repeat(201)));
        let mistakes = [
            ("@", "the name of the remote is missing"),
            ("@/db1", "the name of the remote is missing"),
            ("@main", "the prefix is missing: write @main/PREFIX"),
            ("@main/", "the prefix is missing"),
            ("@ma.in/db1", "the name of a remote consists of letters, digits, '_' and '-', not '.'"),
            ("@main/db 1", "a prefix consists of letters, digits, '.', '_', '-' and '/', not ' '"),
            ("@main/dbé", "not 'é'"),
            ("@main//db1", "no two in a row"),
            ("@main/db1/", "does not begin or end with '/'"),
            ("@main/../db1", "no segment '.' or '..'"),
            ("@main/.", "no segment '.' or '..'"),
            (&long, "at most 64 characters"),
            (&longer, "at most 200 characters"),
        ];
        for (name, says) in mistakes {
            let told = check_path(Path::new(name), "x").unwrap_err().to_string();
            assert!(told.starts_with(name) && told.contains(says), "{name}: {told}");
        }
        let told = check_path(Path::new("main/db1"), "the mirror main/db1").unwrap_err().to_string();
        assert!(told.contains("absolute path, or @NAME/PREFIX"), "{told}");
    }
}
