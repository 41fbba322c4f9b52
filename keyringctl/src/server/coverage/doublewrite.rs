// SPDX-License-Identifier: GPL-2.0-or-later
//! The doublewrite files. InnoDB writes each page to them first, in the form of its tablespace, and leaves it there until
//! another page takes its place. No server says what is in them: their state follows from their contents.

use super::item::{DataPlace, PlaceKind, PlaceState, Remedy};
use crate::server::Settings;
use crate::show::Shown;
use std::path::PathBuf;

/// What is known of the pages in a server's doublewrite files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DoublewritePages {
    /// There are no such files: before 8.0.20, the server keeps the pages in the system tablespace.
    InSystemTablespace,
    /// The files were not read, for this reason.
    NotRead(String),
    /// They were counted.
    Counted {
        /// The directory of the files.
        directory: PathBuf,
        /// The files with unencrypted pages of tablespaces that could be encrypted.
        unencrypted_in: Vec<PathBuf>,
        /// The number of those pages.
        unencrypted: u64,
        /// The number of encrypted pages.
        encrypted: u64,
        /// The size of all files.
        bytes: u64,
    },
}

pub(super) fn item(settings: &Settings, pages: &DoublewritePages) -> DataPlace {
    let off = settings.get("innodb_doublewrite").is_some_and(|v| v.eq_ignore_ascii_case("OFF"));
    let place = DataPlace {
        kind: PlaceKind::Doublewrite,
        name: "doublewrite files (*.dblwr)".to_owned(),
        bytes: 0,
        state: PlaceState::Unused,
        about: if off { "off".to_owned() } else { "they hold no page of a tablespace".to_owned() },
        remedy: Remedy::None,
        files: Vec::new(),
    };
    match pages {
        DoublewritePages::InSystemTablespace if off => place,
        DoublewritePages::InSystemTablespace => DataPlace {
            name: "doublewrite buffer (in ibdata1)".to_owned(),
            state: PlaceState::Cannot,
            about: "MySQL before 8.0.20 keeps it in ibdata1, and does not encrypt the pages in it".to_owned(),
            ..place
        },
        DoublewritePages::NotRead(why) => DataPlace {
            state: PlaceState::Unknown,
            about: format!(
                "they may hold unencrypted pages from before a table was encrypted. Their pages were not read: {why}"
            ),
            remedy: Remedy::ByHand("run this on the server, as root".to_owned()),
            ..place
        },
        DoublewritePages::Counted { directory, unencrypted_in, unencrypted: 1.., bytes, .. } => DataPlace {
            bytes: *bytes,
            state: PlaceState::Clear,
            about: unencrypted(pages),
            // It comes last: what removes other unencrypted data may write to them.
            remedy: Remedy::ByHand(format!(
                "at last, run in the server: SET GLOBAL innodb_fast_shutdown = 0; then stop it, rm {}/*.dblwr, and start it: it recreates the files",
                directory.shown()
            )),
            files: unencrypted_in.clone(),
            ..place
        },
        DoublewritePages::Counted { encrypted: 1.., bytes, .. } => DataPlace {
            bytes: *bytes,
            state: PlaceState::Encrypted,
            about: "all their pages are encrypted".to_owned(),
            ..place
        },
        DoublewritePages::Counted { bytes, .. } => DataPlace { bytes: *bytes, ..place },
    }
}

fn unencrypted(pages: &DoublewritePages) -> String {
    let DoublewritePages::Counted { unencrypted, encrypted, .. } = pages else { return String::new() };
    let all = unencrypted.saturating_add(*encrypted);
    format!(
        "{unencrypted} of their {} unencrypted, and remain so until other pages overwrite them",
        if all == 1 { "1 page is".to_owned() } else { format!("{all} pages are") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(unencrypted: u64, encrypted: u64) -> PlaceState {
        let pages = DoublewritePages::Counted {
            directory: "/d".into(),
            unencrypted_in: Vec::new(),
            unencrypted,
            encrypted,
            bytes: 7,
        };
        item(&Settings::default(), &pages).state
    }

    #[test]
    fn the_state_of_doublewrite_files_follows_from_their_pages() {
        assert_eq!(state(1, 500), PlaceState::Clear);
        assert_eq!(state(0, 500), PlaceState::Encrypted);
        assert_eq!(state(0, 0), PlaceState::Unused);
        let not_read = item(&Settings::default(), &DoublewritePages::NotRead("elsewhere".to_owned()));
        assert_eq!(not_read.state, PlaceState::Unknown);
        assert!(not_read.about.contains("not read: elsewhere"), "{}", not_read.about);
    }
}
