// SPDX-License-Identifier: GPL-2.0-or-later
//! How many places a server has in each state: the one count that `encrypt plan`, `apply`, `verify` and `report` show, and
//! that their exit codes follow.

use super::item::{DataPlace, PlaceKind, PlaceState};
use serde::Serialize;
use std::fmt;

/// The places of a server by their state. Places hold data; settings, which decide whether later data is encrypted, are
/// counted apart.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Tally {
    /// Encrypted places.
    pub encrypted: PlaceSum,
    /// Places that could be encrypted, or whose unencrypted data could be removed.
    pub unencrypted: PlaceSum,
    /// Places whose data is encrypted, but that an interrupted run has left half-done.
    pub half_done: PlaceSum,
    /// Places that MySQL cannot encrypt.
    pub not_supported: PlaceSum,
    /// Places that could not be looked at.
    pub not_checked: PlaceSum,
    /// Places that hold nothing.
    pub unused: usize,
    /// The settings.
    pub settings: SettingsTally,
}

/// Places in one state.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct PlaceSum {
    /// How many there are.
    pub places: usize,
    /// Their size, as far as the server reports it. What is part of another place counts there only.
    pub bytes: u64,
}

/// Settings that decide whether later data is encrypted, with the defaults of schemas.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct SettingsTally {
    /// Those that make the server encrypt.
    pub set: usize,
    /// Those that do not.
    pub not_set: usize,
    /// Those that could not be looked at.
    pub not_checked: usize,
}

impl DataPlace {
    /// Whether it keeps a server from being encrypted completely: it is unencrypted, or not set, or half-done, or was not
    /// checked.
    pub fn is_left(&self) -> bool {
        matches!(self.state, PlaceState::Clear | PlaceState::HalfDone | PlaceState::Unknown)
    }
}

impl Tally {
    /// Counts these places.
    pub fn of<'a>(places: impl IntoIterator<Item = &'a DataPlace>) -> Tally {
        let (mut tally, mut in_system) = (Tally::default(), 0_u64);
        for place in places {
            if place.kind.is_setting() {
                tally.settings.add(place.state);
                continue;
            }
            let sum = match place.state {
                PlaceState::Encrypted => &mut tally.encrypted,
                PlaceState::Clear => &mut tally.unencrypted,
                PlaceState::HalfDone => &mut tally.half_done,
                PlaceState::Cannot => &mut tally.not_supported,
                PlaceState::Unknown => &mut tally.not_checked,
                PlaceState::Unused => {
                    tally.unused += 1;
                    continue;
                }
            };
            sum.places += 1;
            sum.bytes = sum.bytes.saturating_add(place.bytes);
            if place.kind == PlaceKind::SystemTable {
                in_system = in_system.saturating_add(place.bytes);
            }
        }
        // These tables are in the system tablespace, whose size is added too.
        tally.not_supported.bytes = tally.not_supported.bytes.saturating_sub(in_system);
        tally
    }

    /// How many places and settings keep the server from being encrypted completely. Any makes the exit code 1.
    pub fn left(&self) -> usize {
        let settings = self.settings.not_set + self.settings.not_checked;
        self.unencrypted.places + self.half_done.places + self.not_checked.places + settings
    }

    /// The bytes of all places.
    pub fn bytes(&self) -> u64 {
        let sums = [self.encrypted, self.unencrypted, self.half_done, self.not_supported, self.not_checked];
        sums.iter().fold(0, |all, sum| all.saturating_add(sum.bytes))
    }

    /// The count in two sentences, as every command shows it.
    pub fn lines(&self) -> [String; 2] {
        [format!("{self}."), format!("{}.", self.settings)]
    }
}

impl SettingsTally {
    fn add(&mut self, state: PlaceState) {
        match state {
            PlaceState::Encrypted => self.set += 1,
            PlaceState::Clear => self.not_set += 1,
            PlaceState::Unknown => self.not_checked += 1,
            PlaceState::HalfDone | PlaceState::Cannot | PlaceState::Unused => {}
        }
    }
}

/// The places in one clause: `12 places are encrypted, 3 unencrypted, 6 not supported by MySQL, 0 not checked`; with those
/// that are half-done if there are any.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half_done = match self.half_done.places {
            0 => String::new(),
            places => format!("{places} half-done, "),
        };
        write!(
            f,
            "{} encrypted, {} unencrypted, {half_done}{} not supported by MySQL, {} not checked",
            are(self.encrypted.places, "place"),
            self.unencrypted.places,
            self.not_supported.places,
            self.not_checked.places
        )
    }
}

/// The settings in one clause: `5 settings are set, 2 not set`.
impl fmt::Display for SettingsTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} set, {} not set", are(self.set, "setting"), self.not_set)?;
        if self.not_checked > 0 { write!(f, ", {} not checked", self.not_checked) } else { Ok(()) }
    }
}

fn are(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing} is") } else { format!("{n} {thing}s are") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Remedy;

    fn place(kind: PlaceKind, bytes: u64, state: PlaceState) -> DataPlace {
        DataPlace {
            kind,
            name: String::new(),
            bytes,
            state,
            about: String::new(),
            remedy: Remedy::None,
            files: Vec::new(),
        }
    }

    #[test]
    fn places_and_settings_are_counted_apart_and_say_what_is_left() {
        use PlaceState::{Cannot, Clear, Encrypted, Unknown, Unused};
        let places = [
            place(PlaceKind::Table, 10, Encrypted),
            place(PlaceKind::OtherEngine, 5, Clear),
            place(PlaceKind::Doublewrite, 0, Clear),
            place(PlaceKind::ErrorLog, 0, Cannot),
            place(PlaceKind::RelayLog, 0, Unused),
            place(PlaceKind::Tablespace, 7, Unknown),
            place(PlaceKind::Setting, 0, Encrypted),
            place(PlaceKind::Schema, 0, Clear),
            place(PlaceKind::LateSetting, 0, Clear),
            place(PlaceKind::ChangeBuffer, 0, Encrypted),
        ];
        let tally = Tally::of(&places);
        assert_eq!(
            tally.to_string(),
            "1 place is encrypted, 2 unencrypted, 1 not supported by MySQL, 1 not checked"
        );
        assert_eq!(tally.settings.to_string(), "2 settings are set, 2 not set");
        assert_eq!(tally.left(), places.iter().filter(|place| place.is_left()).count());
        assert_eq!((tally.left(), tally.unused, tally.bytes()), (5, 1, 22));
        assert_eq!(Tally::of(&places[..1]).left(), 0);
        let unknown = Tally::of(&[place(PlaceKind::Schema, 0, Unknown)]);
        assert_eq!(unknown.settings.to_string(), "0 settings are set, 0 not set, 1 not checked");
        assert_eq!(
            unknown.to_string(),
            "0 places are encrypted, 0 unencrypted, 0 not supported by MySQL, 0 not checked"
        );
        assert_eq!(unknown.left(), 1);
    }

    #[test]
    fn what_is_half_done_is_left_and_never_encrypted_nor_unencrypted() {
        let places = [
            place(PlaceKind::Scratch, 9, PlaceState::HalfDone),
            place(PlaceKind::Table, 1, PlaceState::Encrypted),
        ];
        let tally = Tally::of(&places);
        assert_eq!(
            tally.to_string(),
            "1 place is encrypted, 0 unencrypted, 1 half-done, 0 not supported by MySQL, 0 not checked"
        );
        assert_eq!((tally.left(), tally.bytes(), places[0].is_left()), (1, 10, true));
    }

    #[test]
    fn a_table_in_the_system_tablespace_is_not_measured_twice() {
        let places = [
            place(PlaceKind::Table, 10, PlaceState::Encrypted),
            place(PlaceKind::SystemTable, 3, PlaceState::Clear),
            place(PlaceKind::SystemTablespace, 12, PlaceState::Cannot),
            place(PlaceKind::OtherEngine, 99, PlaceState::Unused),
        ];
        let tally = Tally::of(&places);
        let bytes = [tally.encrypted, tally.unencrypted, tally.not_supported].map(|sum| sum.bytes);
        assert_eq!((bytes, tally.bytes()), ([10, 3, 9], 22));
    }

    #[test]
    fn sizes_that_a_server_gets_wrong_do_not_overflow() {
        use PlaceState::{Cannot, Clear, Encrypted, Unknown};
        let places: Vec<_> = [Encrypted, Clear, Cannot, Unknown]
            .into_iter()
            .flat_map(|state| {
                [place(PlaceKind::RelayLog, u64::MAX - 294, state), place(PlaceKind::Table, 1000, state)]
            })
            .collect();
        assert_eq!(Tally::of(&places).bytes(), u64::MAX);
    }
}
