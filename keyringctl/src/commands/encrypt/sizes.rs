// SPDX-License-Identifier: GPL-2.0-or-later
//! Formats sizes and times for people.

use std::time::Duration;

/// Formats a size with two or three digits and a decimal unit: `1.9 GB`.
pub(in crate::commands) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if unit > 0 && value < 9.95 { 1 } else { 0 };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// Formats a time: `45 s`, `1 min 34 s`, `12 min`, `2 h 10 min`.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_millis() >= 500);
    match seconds {
        0 => "less than a second".to_owned(),
        1..=90 => format!("{seconds} s"),
        91..600 if !seconds.is_multiple_of(60) => format!("{} min {} s", seconds / 60, seconds % 60),
        91..=5400 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        for (size, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (16384, "16 KB"),
            (999_600, "1.0 MB"),
            (2_147_483_648, "2.1 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        for (seconds, text) in [
            (0.2, "less than a second"),
            (45.0, "45 s"),
            (94.0, "1 min 34 s"),
            (120.0, "2 min"),
            (640.0, "11 min"),
            (7800.0, "2 h 10 min"),
        ] {
            assert_eq!(time(Duration::from_secs_f64(seconds)), text);
        }
    }
}
