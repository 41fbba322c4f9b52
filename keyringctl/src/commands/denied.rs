// SPDX-License-Identifier: GPL-2.0-or-later
//! Errors because this user has no permission: the files of a keyring belong to the account of mysqld.

use crate::error::Error;
use keyring_external::error::{Error as KeyringError, Failure};
use keyring_external::store::real::effective_user;
use std::io::ErrorKind;

/// The text of an error, with what to do if this user has no permission.
pub(super) fn explained(e: &Error) -> String {
    let text = e.to_string();
    if is_denied(e) { text + &hint() } else { text }
}

/// What to do without a permission, to append to a message. Root is not sent to root: it has no permission on a network
/// volume whose server does not trust this host's root.
pub(super) fn hint() -> String {
    hint_for(effective_user() == 0).to_owned()
}

fn hint_for(is_root: bool) -> &'static str {
    if is_root {
        ". Run this as the user that mysqld runs as (sudo -u mysql)"
    } else {
        ". Run this with sudo"
    }
}

fn is_denied(e: &Error) -> bool {
    // The source of a secret gives its reason as a text.
    let is_text = |why: &str| {
        why.starts_with(&ErrorKind::PermissionDenied.to_string()) || why.starts_with("Permission denied")
    };
    match e {
        Error::Keyring(KeyringError::Failure(Failure::Unlock { why, .. })) => is_text(why),
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
        for e in [Error::io("open", Path::new("/k"), denied()), unlock.into()] {
            assert!(is_denied(&e), "{e}");
        }
        assert!(!is_denied(&Error::io("open", Path::new("/k"), io::Error::from_raw_os_error(2))));
        assert!(hint_for(false).ends_with("with sudo") && hint_for(true).ends_with("(sudo -u mysql)"));
    }
}
