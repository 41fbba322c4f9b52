// SPDX-License-Identifier: GPL-2.0-or-later
//! How mysqld takes the values of the plugin's options.

/// How the server loads a plugin: the values of `keyring_external`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands) enum LoadOption {
    Off,
    On,
    Force,
    ForcePlusPermanent,
}

impl LoadOption {
    /// Parses the value, in any case, as the beginning of a name, or as a number. The name of the option alone is ON.
    /// `None`: mysqld refuses the value.
    pub(in crate::commands) fn parse(value: Option<&str>) -> Option<LoadOption> {
        use LoadOption::{Force, ForcePlusPermanent, Off, On};
        let all = [("OFF", Off), ("ON", On), ("FORCE", Force), ("FORCE_PLUS_PERMANENT", ForcePlusPermanent)];
        let Some(value) = value else { return Some(On) };
        let word = value.to_ascii_uppercase();
        let begins = || all.iter().filter(|(name, _)| !word.is_empty() && name.starts_with(&word));
        let exact = begins().find(|(name, _)| *name == word);
        let only = begins().next().filter(|_| begins().count() == 1);
        let numbered = || all.get(value.parse::<usize>().ok()?);
        exact.or(only).or_else(numbered).map(|(_, option)| *option)
    }
}

/// How mysqld takes a boolean: the name of the option alone is ON.
///
/// # Errors
/// It does not recognise the value, and takes it for OFF.
pub(super) fn switch(value: Option<&str>) -> Result<bool, String> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("1" | "on" | "true") => Ok(true),
        Some("0" | "off" | "false") => Ok(false),
        Some(_) => Err(format!(
            "= {} is not a boolean, and mysqld takes it for OFF: use ON or OFF",
            value.unwrap_or_default()
        )),
    }
}

/// How mysqld takes a number from `min` to `max`: one outside becomes the nearest, and a negative one the least. What
/// follows the digits may begin with K, M, G, T, P or E for a power of 1024; the rest is ignored.
///
/// # Errors
/// mysqld refuses the value.
pub(super) fn number(value: Option<&str>, min: u32, max: u32) -> Result<u32, String> {
    let text = value.ok_or("has no value, and mysqld refuses it")?.trim_start();
    if text.starts_with('-') {
        return Ok(min);
    }
    let wrong = || format!("= {text} is not a number, and mysqld refuses it");
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
    let (digits, suffix) = unsigned.split_at(end);
    let shift = match suffix.chars().next() {
        None => 0,
        Some('k' | 'K') => 10,
        Some('m' | 'M') => 20,
        Some('g' | 'G') => 30,
        Some('t' | 'T') => 40,
        Some('p' | 'P') => 50,
        Some('e' | 'E') => 60,
        Some(_) => return Err(wrong()),
    };
    let number = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift)).ok_or_else(wrong)?;
    Ok(u32::try_from(number).unwrap_or(max).clamp(min, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_mysqld_does() {
        use LoadOption::{Force, ForcePlusPermanent, Off, On};
        for (value, option) in [
            ("FORCE", Some(Force)),
            ("force_plus_permanent", Some(ForcePlusPermanent)),
            ("Force_P", Some(ForcePlusPermanent)),
            ("3", Some(ForcePlusPermanent)),
            ("2", Some(Force)),
            ("0", Some(Off)),
            ("on", Some(On)),
            ("FORCE-PLUS-PERMANENT", None),
            ("F", None),
            ("4", None),
            ("", None),
        ] {
            assert_eq!(LoadOption::parse(Some(value)), option, "{value}");
        }
        assert_eq!(LoadOption::parse(None), Some(On));
        for (value, on) in
            [("1", true), ("On", true), ("TRUE", true), ("0", false), ("off", false), ("False", false)]
        {
            assert_eq!(switch(Some(value)), Ok(on), "{value}");
        }
        assert_eq!(switch(None), Ok(true));
        for value in ["yes", "maybe", "", "2"] {
            assert!(switch(Some(value)).is_err(), "{value}");
        }
        for (value, number_of) in [
            ("5", 5),
            ("0", 1),
            ("1k", 1024),
            ("99999999", 3600),
            (" 7", 7),
            ("9G", 3600),
            ("+7", 7),
            ("010", 10),
        ] {
            assert_eq!(number(Some(value), 1, 3600), Ok(number_of), "{value}");
        }
        for value in ["-5", "-0", "--5", " -5", "-abc", "-99999999999999999999"] {
            assert_eq!(number(Some(value), 1, 3600), Ok(1), "{value}");
        }
        for (value, number_of) in [("1e1", 3600), ("10k", 3600), ("2kx", 2048), ("1T", 3600), ("4P9", 3600)] {
            assert_eq!(number(Some(value), 0, 3600), Ok(number_of), "{value}");
        }
        for value in [
            Some("abc"),
            Some("5x"),
            Some("0x10"),
            Some("5.5"),
            Some(""),
            Some("99999999999999999999"),
            Some("16777216T"),
            None,
        ] {
            assert!(number(value, 0, 3600).is_err(), "{value:?}");
        }
    }
}
