// SPDX-License-Identifier: GPL-2.0-or-later
//! Statements that older servers know by another name. The server is asked, never its version: what it does not know, it
//! refuses with one of a few errors, and then the next form is tried.

use crate::error::{Error, Result, ServerError};

/// MySQL's errors for syntax, a column, a table of information_schema, a table and a variable that the server does not know.
const UNKNOWN: [u16; 5] = [1064, 1054, 1109, 1146, 1193];

/// Since 8.0.22; the older form was removed in 8.4.
pub(super) const REPLICAS: [&str; 2] = ["SHOW REPLICAS", "SHOW SLAVE HOSTS"];
/// What follows the name: since 8.0.16, a schema has a default for encryption.
pub const SCHEMA_DEFAULTS: [&str; 2] =
    ["DEFAULT CHARACTER SET utf8mb4 DEFAULT ENCRYPTION = 'Y'", "DEFAULT CHARACTER SET utf8mb4"];
/// Since 8.0.22; the older form was removed in 8.4.
pub(super) const REPLICA_STATUS: [&str; 2] = ["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"];

/// Returns the answer to the first form that the server knows.
///
/// # Errors
/// What the server answers to it, or to the last one.
pub fn first_known<T>(forms: &[&str], mut ask: impl FnMut(&str) -> Result<T>) -> Result<T> {
    let (last, earlier) = forms.split_last().ok_or_else(|| Error::Usage("no statement".to_owned()))?;
    for form in earlier {
        match ask(form) {
            Err(e) if is_unknown(&e) => {}
            answer => return answer,
        }
    }
    ask(last)
}

/// Whether the server does not know what it was asked for.
pub(super) fn is_unknown(e: &Error) -> bool {
    matches!(e, Error::Server(ServerError { code, .. }) if UNKNOWN.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16) -> Error {
        Error::Server(ServerError { doing: String::new(), code, silent: false, why: String::new() })
    }

    #[test]
    fn a_server_that_lacks_the_new_form_is_asked_in_the_old_one() {
        let old_server = |form: &str| if form == REPLICAS[1] { Ok(1) } else { Err(refusal(1064)) };
        assert_eq!(first_known(&REPLICAS, old_server).unwrap(), 1);
        let new_server = |form: &str| if form == REPLICAS[0] { Ok(2) } else { Err(refusal(1064)) };
        assert_eq!(first_known(&REPLICAS, new_server).unwrap(), 2);
        let reversed = [REPLICAS[1], REPLICAS[0]];
        assert_eq!(first_known(&reversed, new_server).unwrap(), 2);
    }

    #[test]
    fn a_schema_is_created_where_schemas_have_no_default_for_encryption() {
        let mut asked = Vec::new();
        let before_8_0_16 = |defaults: &str| {
            asked.push(defaults.to_owned());
            if defaults.contains("ENCRYPTION") { Err(refusal(1064)) } else { Ok(()) }
        };
        first_known(&SCHEMA_DEFAULTS, before_8_0_16).unwrap();
        assert_eq!(asked, SCHEMA_DEFAULTS);
    }

    #[test]
    fn a_form_that_is_refused_for_another_reason_is_not_replaced() {
        let mut asked = 0;
        let answer = first_known(&REPLICAS, |_| -> Result<()> {
            asked += 1;
            Err(refusal(1227))
        });
        assert!(answer.is_err());
        assert_eq!(asked, 1);
    }
}
