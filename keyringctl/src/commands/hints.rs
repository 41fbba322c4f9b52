// SPDX-License-Identifier: GPL-2.0-or-later
//! What to add to the message of an error: that this user has no permission, because the files of a keyring belong to the
//! account of mysqld; that a file is one of another keyring.

use super::foreign;
use crate::error::Error;
use crate::show::Shown;
use keyring_external::error::{Error as KeyringError, Failure, Refusal};
use keyring_external::store::real::effective_user;
use std::io::ErrorKind;

/// The text of an error, with what to do about it.
pub(super) fn explained(e: &Error) -> String {
    let hint = match e {
        Error::Keyring(e) => hint_of(e),
        _ => String::new(),
    };
    format!("{e}{hint}")
}

/// What to append to the message of an error.
pub(super) fn hint_of(e: &KeyringError) -> String {
    match e {
        KeyringError::Refusal(Refusal::NotAKeyring { path }) => {
            foreign::format_of(path).map_or_else(String::new, |format| {
                format!(
                    ". It looks like a file of another keyring, {format}. To import its keys, run keyringctl import --from \
                     {format} {} KEYRING",
                    path.shown()
                )
            })
        }
        e if is_denied(e) => hint().to_owned(),
        _ => String::new(),
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

fn is_denied(e: &KeyringError) -> bool {
    match e {
        // The source of a secret gives its reason as a text.
        KeyringError::Failure(Failure::Unlock { why, .. }) => why.starts_with("Permission denied"),
        e => e.io_kind() == Some(ErrorKind::PermissionDenied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::Path;

    #[test]
    fn a_user_without_permission_is_told_to_use_sudo() {
        let denied = || io::Error::from_raw_os_error(13);
        let unlock =
            Failure::Unlock { source_name: "file:/s".to_owned(), why: format!("{}. Check", denied()) };
        for e in [KeyringError::io("open", Path::new("/k"), denied()), unlock.into()] {
            assert!(is_denied(&e), "{e}");
        }
        assert!(!is_denied(&KeyringError::io("open", Path::new("/k"), io::Error::from_raw_os_error(2))));
        assert!(hint_for(false).ends_with("with sudo") && hint_for(true).ends_with("(sudo -u mysql)"));
    }
}
