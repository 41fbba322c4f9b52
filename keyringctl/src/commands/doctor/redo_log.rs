// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks that the keyring has the master keys that the redo log needs. Without one, the server does not start.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use crate::commands::content::Content;
use crate::commands::needs::LOG_LACKS_KEY;
use crate::show::Shown;
use crate::tablespace::{MasterKeys, Shutdown, find, log_needs, shutdown};
use keyring_external::keyring::load_with;
use keyring_external::store::places::Places;
use std::io;
use std::path::{Path, PathBuf};

const CHECK: &str = "redo-log";

/// Checks it with the newest of the copies that the secret unlocked.
pub(super) fn check(view: &HostView<'_>, places: &Places, opened: &[(&Path, Content)], found: &mut Findings) {
    // Of copies in the same state, the first.
    let unlocked = opened.iter().rev().filter_map(|(path, content)| Some((*path, content.keyring.as_ref()?)));
    let Some((copy, keyring)) = unlocked.max_by_key(|(_, keyring)| keyring.status().generation) else {
        return;
    };
    let datadir = view.local_path(&view.host.datadir);
    let files = find(&directories(view, &datadir));
    if let Some((path, _)) =
        files.unreadable.iter().find(|(_, e)| e.kind() == io::ErrorKind::PermissionDenied)
    {
        return found.no_permission(CHECK, path);
    }
    found.run_checks(&[CHECK]);
    let needs = log_needs(&datadir, &files, keyring);
    if let Some(log) = &needs.missing_log {
        found.add(
            FindingLevel::Warning,
            CHECK,
            format!("{} lacks {log}", datadir.shown()),
            "Which master keys it needs is not known. If the redo log is lost, a server that was not shut down cleanly does not \
             start.",
            &[
                "if it is in another directory, name that in the option file: innodb_log_group_home_dir".to_owned(),
                "or, if it is lost and the server was not shut down cleanly, restore a backup of the data".to_owned(),
            ],
        );
    }
    let mut missing = needs.missing(keyring);
    // A running server writes it at the moment.
    if missing.is_empty() && !matches!(shutdown(&datadir, &files), Shutdown::Running { .. }) {
        for log in &needs.unread {
            let why = log.notes.join("; ");
            found.note(
                CHECK,
                format!("not checked which keys the redo log {} needs: {why}", log.path.shown()),
                "",
            );
        }
    }
    // A running server stores a key before its log names it.
    if !missing.is_empty()
        && let Some(source) = view.secret()
        && let Ok((now, _)) = load_with(places, &view.local_path(copy), &source.to_string(), || source.read())
    {
        missing.retain(|id, _| !now.with_key(id, &mut |_| ()));
    }
    let Some((key, named)) = missing.first_key_value() else { return };
    let log = named.first().map_or_else(String::new, |path| path.shown());
    let all: Vec<_> = view.host.copies().map(|copy| view.word(copy)).collect();
    found.error(
        CHECK,
        copy,
        format!("the redo log {log} needs master key {}, which {} does not have", key.shown(), copy.shown()),
        &format!("{LOG_LACKS_KEY}. A server that runs has the key in its memory: do not stop it."),
        &[
            "find a copy or a backup of the keyring that has the key, and name all that you have in the place of BACKUP:".to_owned(),
            format!(
                "keyringctl which {} BACKUP --datadir {}{}{}",
                all.join(" "),
                view.word(&view.host.datadir),
                also(view),
                view.secret_args().option()
            ),
        ],
    );
}

/// The data directory, and the directory of the redo log if that is elsewhere.
fn directories(view: &HostView<'_>, datadir: &Path) -> Vec<PathBuf> {
    let elsewhere = view.site.redo_directory(&view.host.datadir).map(|directory| view.local_path(&directory));
    std::iter::once(datadir.to_owned()).chain(elsewhere).collect()
}

/// The directory of the redo log as an option for the commands in messages, if it is elsewhere.
pub(super) fn also(view: &HostView<'_>) -> String {
    view.site
        .redo_directory(&view.host.datadir)
        .map_or_else(String::new, |directory| format!(" --also {}", view.word(&directory)))
}
