// SPDX-License-Identifier: GPL-2.0-or-later
//! The least rights that the documentation gives are enough for a keyring, and allow nothing else.

use crate::opened::{PREFIX, soon, trouble};
use keyring_external::store::remote::objects::{Answer, Cause, Objects};

/// The remote has rights for [`PREFIX`] only.
pub fn end_at_the_prefix(objects: &dyn Objects) {
    // Each begins as the prefix does, or is above it.
    for folder in [format!("{PREFIX}0"), "keyrings/db2".to_owned(), "other".to_owned()] {
        let head = format!("{folder}/head");
        let refused = |what: &str, answer: Answer<()>| {
            let trouble = trouble(&format!("{what} {head}"), answer);
            assert_eq!(trouble.cause, Cause::NotAllowed, "{what} {head}: {trouble}");
            assert!(!trouble.may_have_happened, "{what} {head}: {trouble}");
        };
        refused("get", objects.get(&head, soon()).map(drop));
        refused("put", objects.put(&head, b"x", None, soon()).map(drop));
        refused("list", objects.list(&folder, soon()).map(drop));
        refused("delete", objects.delete(std::slice::from_ref(&head), soon()));
    }
}
