// SPDX-License-Identifier: GPL-2.0-or-later
//! What the picture of the chain of keys consists of.

/// Where something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Band {
    Server,
    Keyring,
    Places,
}

impl Band {
    pub(super) fn name(self) -> &'static str {
        match self {
            Band::Server => "On the server's disk",
            Band::Keyring => "In the keyring, encrypted",
            Band::Places => "Where copies of the keyring are",
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Band::Server => "server",
            Band::Keyring => "keyring",
            Band::Places => "places",
        }
    }
}

/// A box: a heading, and lines below it. Lines of paths break anywhere.
pub(super) struct Block {
    pub title: String,
    pub lines: Vec<Line>,
}

/// A line of a box, which is wrapped.
pub(super) enum Line {
    Words(String),
    Path(String),
}

/// Boxes side by side, and what the arrows from them to the next ones mean.
pub(super) struct Stage {
    pub band: Band,
    pub blocks: Vec<Block>,
    pub arrow: &'static str,
}
