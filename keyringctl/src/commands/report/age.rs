// SPDX-License-Identifier: GPL-2.0-or-later
//! How old a master key may become before it is rotated: the author of a report says it.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const DAY: u64 = 86_400;

/// The longest time that a master key may be in use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::commands) struct MaxAge {
    seconds: u64,
    /// As it was given.
    text: String,
}

impl MaxAge {
    pub(super) fn seconds(&self) -> u64 {
        self.seconds
    }
}

impl FromStr for MaxAge {
    type Err = String;

    fn from_str(text: &str) -> Result<MaxAge, String> {
        let trimmed = text.trim();
        let (seconds, shown) = match trimmed.parse::<u64>() {
            Ok(days) => (days.checked_mul(DAY), format!("{days} days")),
            Err(_) => {
                (humantime::parse_duration(trimmed).ok().map(|d| Duration::as_secs(&d)), trimmed.to_owned())
            }
        };
        match seconds {
            Some(seconds) if seconds > 0 => Ok(MaxAge { seconds, text: shown }),
            _ => Err("expected a number of days, or a time such as 1y, 6months or 90d".to_owned()),
        }
    }
}

impl fmt::Display for MaxAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for MaxAge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.seconds)
    }
}

/// An age in days.
pub(super) fn days(seconds: u64) -> String {
    match seconds / DAY {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_number_of_days_or_a_time() {
        let seconds = |text: &str| text.parse::<MaxAge>().map(|age| age.seconds / DAY);
        assert_eq!((seconds("365"), seconds("90d"), seconds("1y")), (Ok(365), Ok(90), Ok(365)));
        assert_eq!("365".parse::<MaxAge>().map(|age| age.to_string()), Ok("365 days".to_owned()));
        for wrong in ["", "0", "0d", "-1", "soon", "99999999999999999999"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!([0, DAY, 3 * DAY].map(days), ["less than a day", "1 day", "3 days"]);
    }
}
