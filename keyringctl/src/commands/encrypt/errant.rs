// SPDX-License-Identifier: GPL-2.0-or-later
//! Transactions of a replica's own, which may be errant: after a crash, the server writes one to its binary log by itself.

use crate::error::Result;
use crate::server::{Role, Session};

/// Says which transactions a replica, or a member of a group, has under its own number.
///
/// # Errors
/// What the server answers.
pub(super) fn own_transactions(session: &mut Session, role: &Role) -> Result<Option<String>> {
    if role.channels.is_empty() {
        return Ok(None);
    }
    let asked: Option<(String, String)> = session.first("SELECT @@server_uuid, @@GLOBAL.gtid_executed")?;
    Ok(asked.and_then(|(uuid, executed)| own(&uuid, &executed)).map(|own| {
        format!(
            "This replica has transactions of its own: {own}. That is right if it was a source before and its source has them too (SELECT @@GLOBAL.gtid_executed). One that the source lacks is errant: give it an empty one of that number. On the source, run, with UUID:NUMBER: SET GTID_NEXT = 'UUID:NUMBER'; BEGIN; COMMIT; SET GTID_NEXT = 'AUTOMATIC'"
        )
    }))
}

/// The part of a set of GTIDs that is of one server.
fn own(uuid: &str, executed: &str) -> Option<String> {
    let own = executed.split(',').map(str::trim);
    own.filter(|set| set.starts_with(uuid)).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_transactions_of_the_server_itself_are_its_own() {
        assert_eq!(own("b", "a:1-9,\nb:1-2:5"), Some("b:1-2:5".to_owned()));
        assert_eq!(own("c", "a:1-9,\nb:1"), None);
        assert_eq!(own("c", ""), None);
    }
}
