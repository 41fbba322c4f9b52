// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds the audit log of the server on this host, for commands that do not look for its copies.

use super::apart::is_one_file;
use super::audit_trail::use_log_of_server;
use super::copies::of_server::{self, Server};
use super::site;
use std::path::Path;

/// Looks for the log of the server on this host, for a command that does not look for its copies: it is used if the server
/// has a copy at `path`.
pub(in crate::commands) fn look_for_server(path: &Path) {
    let args =
        site::Args { parts: site::Parts { root: "/".into(), ..site::Parts::default() }, datadir: None };
    if let Ok(Server::Ours(server)) = of_server::find(&args)
        && server.copies.iter().any(|copy| is_one_file(copy, path))
    {
        use_log_of_server(server.audit);
    }
}
