// SPDX-License-Identifier: GPL-2.0-or-later
//! What the administrator allows and provides.

use crate::commands::site;
use crate::server::PlaceKind;
use std::path::Path;

/// How the administrator lets this program act.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    /// The options that say where the server is installed.
    pub site: &'a site::Args,
    /// A command that restarts the server.
    pub restart_command: Option<&'a str>,
    /// Where to write the backup of the keyring.
    pub backup: Option<&'a Path>,
    /// Kinds of places that may stay unencrypted.
    pub accept: &'a [PlaceKind],
    /// Whether somebody can be told to stop and start the server.
    pub watches: bool,
}
