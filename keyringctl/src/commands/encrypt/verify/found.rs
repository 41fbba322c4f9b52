// SPDX-License-Identifier: GPL-2.0-or-later
//! What files show of the places that they belong to. What was found corrects what the server reports, so that each place
//! is counted once, in the state in which it was found.

use crate::server::{DataPlace, PlaceKind, PlaceState, Remedy};
use crate::show::Shown;
use std::path::PathBuf;

/// The remedy that is a place's own.
pub(super) const APPLY: &str = "keyringctl encrypt apply";

/// What was found in a file.
pub(super) struct FileFinding {
    pub path: PathBuf,
    pub kind: PlaceKind,
    pub shows: FileShows,
    pub why: String,
    pub remedy: Option<String>,
    /// The place that the file belongs to. `None`: to none, so that it is a place of its own.
    pub owner: Option<Owner>,
}

/// What a file shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FileShows {
    /// It contains unencrypted data.
    Unencrypted,
    /// It could not be read, or its contents are not known.
    NotChecked,
}

/// A place, by its kind and name. Without a name, it is the only one of its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub kind: PlaceKind,
    pub name: Option<String>,
}

impl Owner {
    pub(super) fn only(kind: PlaceKind) -> Owner {
        Owner { kind, name: None }
    }

    fn is(&self, place: &DataPlace) -> bool {
        place.kind == self.kind && self.name.as_ref().is_none_or(|name| *name == place.name)
    }
}

/// Corrects the places by what was found in their files, and adds files that belong to none.
pub(super) fn correct(places: &mut Vec<DataPlace>, found: Vec<FileFinding>) {
    for file in found {
        let itself = Owner { kind: file.kind, name: Some(file.path.shown()) };
        let is_its = |place: &&mut DataPlace| {
            file.owner.as_ref().is_some_and(|owner| owner.is(place)) || itself.is(place)
        };
        match places.iter_mut().find(is_its) {
            Some(place) => add(place, file),
            None => places.push(DataPlace {
                kind: file.kind,
                name: file.path.shown(),
                bytes: std::fs::metadata(&file.path).map_or(0, |meta| meta.len()),
                state: state(file.shows),
                about: file.why,
                remedy: remedy(file.remedy),
                files: Vec::new(),
            }),
        }
    }
}

fn add(place: &mut DataPlace, file: FileFinding) {
    let what = format!("{}: {}", file.path.shown(), file.why);
    match place.state {
        PlaceState::Clear => {}
        // Its remedy takes care of the file too.
        PlaceState::HalfDone => place.state = state(file.shows),
        // It stays so, because what was not checked is never accepted.
        PlaceState::Unknown if !place.files.is_empty() || place.name == file.path.shown() => {}
        PlaceState::Unknown => place.about = format!("{}; {what}", place.about),
        PlaceState::Encrypted | PlaceState::Cannot | PlaceState::Unused => {
            place.about = what;
            place.state = state(file.shows);
            place.remedy = remedy(file.remedy);
        }
    }
    if place.name != file.path.shown() && !place.files.contains(&file.path) {
        place.files.push(file.path);
    }
}

fn state(shows: FileShows) -> PlaceState {
    match shows {
        FileShows::Unencrypted => PlaceState::Clear,
        FileShows::NotChecked => PlaceState::Unknown,
    }
}

fn remedy(how: Option<String>) -> Remedy {
    match how {
        Some(how) if how == APPLY => Remedy::Apply,
        Some(how) => Remedy::ByHand(how),
        None => Remedy::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Tally;

    fn place(kind: PlaceKind, name: &str, state: PlaceState) -> DataPlace {
        let remedy = if state == PlaceState::Clear { Remedy::Apply } else { Remedy::None };
        let about = "as the server says".to_owned();
        DataPlace { kind, name: name.to_owned(), bytes: 1, state, about, remedy, files: Vec::new() }
    }

    fn found(path: &str, kind: PlaceKind, shows: FileShows, owner: Option<Owner>) -> FileFinding {
        let (why, remedy) = ("what was read".to_owned(), Some(APPLY.to_owned()));
        FileFinding { path: path.into(), kind, shows, why, remedy, owner }
    }

    fn named(kind: PlaceKind, name: &str) -> Option<Owner> {
        Some(Owner { kind, name: Some(name.to_owned()) })
    }

    #[test]
    fn what_is_found_in_a_file_is_never_counted_as_encrypted() {
        use FileShows::{NotChecked, Unencrypted};
        let mut places = vec![
            place(PlaceKind::Table, "c.t", PlaceState::Encrypted),
            place(PlaceKind::Table, "c.u", PlaceState::Encrypted),
            place(PlaceKind::SystemTablespace, "ibdata1", PlaceState::Cannot),
        ];
        correct(
            &mut places,
            vec![
                found("/d/c/t.ibd", PlaceKind::Table, Unencrypted, named(PlaceKind::Table, "c.t")),
                found("/d/c/u.ibd", PlaceKind::Table, NotChecked, named(PlaceKind::Table, "c.u")),
                found(
                    "/d/ibdata1",
                    PlaceKind::SystemTablespace,
                    Unencrypted,
                    Some(Owner::only(PlaceKind::SystemTablespace)),
                ),
                found("/d/x", PlaceKind::Table, NotChecked, None),
            ],
        );
        let tally = Tally::of(&places);
        let counts = [tally.encrypted, tally.unencrypted, tally.not_supported, tally.not_checked];
        assert_eq!(counts.map(|sum| sum.places), [0, 2, 0, 2]);
        assert_eq!(places[0].about, "/d/c/t.ibd: what was read");
        assert_eq!(
            (places[0].remedy.clone(), places[0].files.clone()),
            (Remedy::Apply, vec!["/d/c/t.ibd".into()])
        );
        assert_eq!((places[3].name.as_str(), places[3].files.len()), ("/d/x", 0));
    }

    #[test]
    fn one_cause_is_one_place() {
        let mut places = vec![place(PlaceKind::BinaryLog, "binary logs", PlaceState::Clear)];
        let log = |path| {
            found(path, PlaceKind::BinaryLog, FileShows::Unencrypted, Some(Owner::only(PlaceKind::BinaryLog)))
        };
        let stray = || found("/d/x.ibd", PlaceKind::Table, FileShows::Unencrypted, None);
        correct(&mut places, vec![log("/d/b.1"), log("/d/b.2"), stray(), stray(), log("/d/b.1")]);
        assert_eq!(Tally::of(&places).left(), 2);
        assert_eq!(places[0].about, "as the server says");
        assert_eq!(places[0].files, ["/d/b.1", "/d/b.2"].map(PathBuf::from));
    }
}
