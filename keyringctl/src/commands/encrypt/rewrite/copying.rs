// SPDX-License-Identifier: GPL-2.0-or-later
//! What the session that copies a table sets for that table. The copy must change neither a row nor the definition, so the server
//! is as strict as the table allows.

use crate::error::Result;
use crate::server::{Session, quoted_text};

/// SQL modes that change what an expression returns, not only whether it fails. Not NO_BACKSLASH_ESCAPES: the server stores
/// definitions with backslash escapes, so that mode reads another definition, and a copy would store that one.
const OF_EXPRESSIONS: [&str; 3] =
    ["NO_UNSIGNED_SUBTRACTION", "PAD_CHAR_TO_FULL_LENGTH", "TIME_TRUNCATE_FRACTIONAL"];

/// Settings for one table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Copying {
    /// SQL modes of expressions.
    modes: Vec<String>,
    time_zone: String,
    /// Whether invalid dates are values like others. If not, they must be an error.
    invalid_dates: bool,
    /// Whether values that do not fit are an error.
    strict_values: bool,
    /// Whether the server refuses options of the table that it would otherwise ignore.
    strict_options: bool,
}

impl Copying {
    /// The strictest settings, with what expressions depend on as the server's defaults have it.
    pub(crate) fn strict(session: &mut Session) -> Result<Copying> {
        let mode = session.variable("sql_mode")?.unwrap_or_default();
        let modes = mode.split(',').filter(|mode| OF_EXPRESSIONS.contains(mode)).map(str::to_owned).collect();
        let time_zone = session.variable("time_zone")?.unwrap_or_else(|| "SYSTEM".to_owned());
        Ok(Copying { modes, time_zone, invalid_dates: true, strict_values: true, strict_options: true })
    }

    /// Returns other settings in which expressions may return the values that are stored.
    pub(crate) fn others(&self) -> Vec<Copying> {
        let mut others: Vec<Copying> = OF_EXPRESSIONS
            .iter()
            .map(|mode| {
                let mut other = self.clone();
                match other.modes.iter().position(|m| m == mode) {
                    Some(at) => drop(other.modes.remove(at)),
                    None => other.modes.push((*mode).to_owned()),
                }
                other
            })
            .collect();
        others
            .extend(["SYSTEM", "+00:00"].map(|zone| Copying { time_zone: zone.to_owned(), ..self.clone() }));
        others.push(Copying { invalid_dates: false, ..self.clone() });
        others.retain(|other| other != self);
        others
    }

    /// Returns these settings with subtractions of unsigned numbers that may be negative.
    pub(crate) fn with_signed_subtraction(&self) -> Option<Copying> {
        let mode = OF_EXPRESSIONS[0].to_owned();
        (!self.modes.contains(&mode)).then(|| {
            let mut other = self.clone();
            other.modes.push(mode);
            other
        })
    }

    /// Returns these settings for a table with options that only a session without strict mode accepts.
    pub(crate) fn with_any_option(&self) -> Option<Copying> {
        self.strict_options.then(|| Copying { strict_options: false, ..self.clone() })
    }

    /// Makes a session use them.
    ///
    /// # Errors
    /// What the server answers about those without which the copy could change rows.
    pub(crate) fn set(&self, session: &mut Session) -> Result<()> {
        // Without the privilege for it, the server's default applies.
        let on = if self.strict_options { "ON" } else { "OFF" };
        let _ = session.run(&format!("SET SESSION innodb_strict_mode = {on}"));
        let mut modes = vec!["NO_ENGINE_SUBSTITUTION"];
        modes.extend(self.modes.iter().map(String::as_str));
        if self.invalid_dates {
            modes.push("ALLOW_INVALID_DATES");
        }
        if self.strict_values {
            modes.push("STRICT_ALL_TABLES");
        }
        session.run(&format!("SET SESSION sql_mode = '{}'", modes.join(",")))?;
        session.run(&format!("SET SESSION time_zone = {}", quoted_text(&self.time_zone)))
    }

    /// Returns these settings without strict mode: expressions may then return values that do not fit. `None`: that
    /// would change dates of the table, unless it `has_none`.
    pub(crate) fn with_any_value(&self, has_none: bool) -> Option<Copying> {
        let keeps_dates = self.invalid_dates || has_none;
        (self.strict_values && keeps_dates).then(|| Copying { strict_values: false, ..self.clone() })
    }
}
