// SPDX-License-Identifier: GPL-2.0-or-later
//! What to add to the message of an error: that this user has no permission, because the files of a keyring belong to the
//! account of mysqld; that a file is one of another keyring.

use super::foreign;
use super::store_places::remotes_option;
use crate::error::Error;
use crate::show::Shown;
use keyring_external::error::{BadRequest, Error as KeyringError, Failure, Refusal};
use keyring_external::store::file::real::effective_user;
use std::io::{self, ErrorKind};

/// The text of an error, with what to do about it.
pub(super) fn explained(e: &Error) -> String {
    match e {
        Error::Keyring(e) => text(e),
        e => e.to_string(),
    }
}

/// The text of an error about a keyring, with what to do about it.
pub(super) fn text(e: &KeyringError) -> String {
    text_for(e, effective_user() == 0)
}

fn text_for(e: &KeyringError, is_root: bool) -> String {
    match e {
        KeyringError::Refusal(Refusal::NotAKeyring { path }) => {
            let import = foreign::format_of(path).map(|format| {
                format!(
                    ". It looks like a file of another keyring, {format}. To import its keys, run keyringctl import --from \
                     {format} {} KEYRING",
                    path.shown()
                )
            });
            format!("{e}{}", import.unwrap_or_default())
        }
        KeyringError::BadRequest(BadRequest::PiecesWithoutHead { path, .. }) => format!(
            "{e}. To make room and keep what is there: keyringctl set-aside {}{}",
            path.shown(),
            remotes_option()
        ),
        // Owners and modes are as they must be: they keep this user out.
        KeyringError::Failure(Failure::Io { doing, path, cause }) if !is_root && is_denied(cause) => {
            format!("cannot {doing} {}: {cause}{}", path.shown(), hint_for(is_root))
        }
        // The source gives its reason as a text.
        KeyringError::Failure(Failure::Unlock { source_name, why })
            if !is_root && why.starts_with("Permission denied") =>
        {
            let source = source_name.shown();
            format!("no permission to read the unlock secret from {source}{}", hint_for(is_root))
        }
        e => e.to_string(),
    }
}

/// What to do without a permission, to append to a message.
pub(super) fn hint() -> &'static str {
    hint_for(effective_user() == 0)
}

/// Root is not sent to root: it has no permission on a network volume whose server does not trust this host's root.
fn hint_for(is_root: bool) -> &'static str {
    if is_root {
        ". Run this as the user that mysqld runs as (sudo -u mysql)"
    } else {
        ". Run this with sudo"
    }
}

fn is_denied(cause: &io::Error) -> bool {
    cause.kind() == ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_user_without_permission_is_told_to_use_sudo_and_to_change_nothing() {
        let denied = || io::Error::from_raw_os_error(13);
        let of_file = KeyringError::io("open", Path::new("/k"), denied());
        let why = format!("{}. Check the path and its owner", denied());
        let of_secret: KeyringError = Failure::Unlock { source_name: "file:/s".to_owned(), why }.into();
        for (e, expected) in [
            (&of_file, "cannot open /k: Permission denied (os error 13). Run this with sudo"),
            (&of_secret, "no permission to read the unlock secret from file:/s. Run this with sudo"),
        ] {
            assert_eq!(text_for(e, false), expected);
            assert!(!text_for(e, true).contains("with sudo"), "root is not sent to root");
        }
        let missing = KeyringError::io("open", Path::new("/k"), io::Error::from_raw_os_error(2));
        assert!(!text_for(&missing, false).contains("sudo"));
    }

    #[test]
    fn a_file_of_another_keyring_is_named_as_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        let text = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            text(&Refusal::NotAKeyring { path: path.clone() }.into())
        };
        for (bytes, format) in [
            (&b"Keyring file version:2.0"[..], "keyring_file"),
            (b"{\"version\":\"1.0\"}", "component_keyring_file"),
            (b"\x01................", "percona_encrypted_file"),
        ] {
            let import = format!("run keyringctl import --from {format} {} KEYRING", path.display());
            assert!(text(bytes).ends_with(&import), "{}", text(bytes));
        }
        assert!(!text(b"a text").contains("import"));
    }
}
