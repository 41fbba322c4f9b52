// SPDX-License-Identifier: GPL-2.0-or-later
//! Errors because this user has no permission: the files of a keyring belong to the account of mysqld.

use crate::error::Error;
use keyring_external::error::{Error as KeyringError, Failure};
use keyring_external::store::real::effective_user;
use std::io::ErrorKind;

/// The text of an error, with what to do if this user has no permission.
pub(super) fn explained(e: &Error) -> String {
    let hint = match e {
        Error::Keyring(e) => hint_of(e),
        _ => "",
    };
    format!("{e}{hint}")
}

/// What to do, to append to the message of an error, if this user has no permission.
pub(super) fn hint_of(e: &KeyringError) -> &'static str {
    if is_denied(e) { hint() } else { "" }
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
