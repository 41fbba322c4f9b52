// SPDX-License-Identifier: GPL-2.0-or-later
//! Ages of keys.

use crate::commands::output::counted;
use keyring_external::keyring::now;

/// Seconds of a day.
pub(in crate::commands) const DAY: u64 = 24 * 60 * 60;

/// How many days have passed since a moment, in seconds since 1970.
pub(in crate::commands) fn days_since(moment: u64) -> u64 {
    now().saturating_sub(moment) / DAY
}

/// An age for people.
pub(in crate::commands) fn age(days: u64) -> String {
    counted(usize::try_from(days).unwrap_or(usize::MAX), "day")
}
