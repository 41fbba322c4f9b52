// SPDX-License-Identifier: GPL-2.0-or-later
//! The canary: writes random texts into a new table, and searches for them wherever the server writes what it is told. As a
//! control, it also searches for the name of a column, which the server writes unencrypted into a file beside the table's
//! while the table is flushed for export. If that is found, the search works.

use super::file_remedies::FileRemedies;
use super::finding::VerifyFinding;
use super::found::{FileFinding, FileShows};
use super::redo_log::{self, Lsns};
use super::search::{Search, contains};
use crate::commands::encrypt::scratch::{NAME, PATIENCE, Scratch};
use crate::commands::output::counted;
use crate::error::{Error, Result, ServerError};
use crate::readers::Readers;
use crate::server::{Below, DatadirAccess, FileNames, FilePlace, PlaceKind, Privileges, Session};
use crate::show::Shown;
use keyring_external::error::Failure;
use keyring_external::secret::fill_random;
use memchr::memmem::Finder;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Rows of the canary.
const ROWS: usize = 64;
/// Rows of one statement.
const AT_ONCE: usize = 4;
/// How many times the long values repeat the text.
const REPEATED: usize = 500;

/// The result of the canary.
#[derive(Default, Serialize)]
pub(super) struct CanaryResult {
    rows: usize,
    /// Files that were searched; 0 if the data directory cannot be read.
    files: usize,
    /// The directories of these files.
    #[serde(serialize_with = "crate::show::paths")]
    directories: Vec<PathBuf>,
    #[serde(serialize_with = "crate::show::paths")]
    found_in: Vec<PathBuf>,
    /// What that shows of the places of these files.
    #[serde(skip)]
    pub found: Vec<FileFinding>,
    /// Whether the control, which is in a file unencrypted, was found there.
    control_found: bool,
    /// Whether the server had written every changed page of every tablespace when the files were searched. Otherwise undo
    /// tablespaces and doublewrite files may not have received the texts yet.
    pages_written: bool,
    looked: bool,
    /// What was not searched, because it cannot hold the texts.
    not_searched: Vec<NotSearched>,
    /// Why nothing was written.
    left_out: Option<String>,
}

#[derive(Serialize)]
struct NotSearched {
    #[serde(serialize_with = "crate::show::path")]
    what: PathBuf,
    why: &'static str,
}

impl CanaryResult {
    /// Whether the texts were written and searched for.
    pub(super) fn looked(&self) -> bool {
        self.looked
    }

    pub(super) fn lines(&self) -> Vec<String> {
        if let Some(why) = &self.left_out {
            return vec![format!("Canary: NOT WRITTEN, so it proves nothing: {why}")];
        }
        if self.rows == 0 {
            return vec!["Canary: not completed, see below".to_owned()];
        }
        if !self.looked {
            return vec![format!(
                "Canary: the server reports a new table with {} random texts as encrypted; its files were not searched",
                self.rows
            )];
        }
        let control = if self.control_found {
            "; found the control, a column name that is unencrypted for a moment"
        } else {
            "; did NOT find the control, a column name that is unencrypted for a moment, so this proves nothing"
        };
        let found = match self.found_in.len() {
            0 => "found none of them".to_owned(),
            n => format!("FOUND them in {}", counted(n, "file")),
        };
        let directories: Vec<_> = self.directories.iter().map(|dir| dir.shown()).collect();
        let mut lines = vec![
            format!(
                "Canary: wrote {} random texts and searched {}: {found}{control}",
                self.rows,
                counted(self.files, "file")
            ),
            format!("        searched in {}", directories.join(", ")),
        ];
        if !self.pages_written {
            lines.push(
                "        the server had not written all changed pages yet: undo tablespaces and doublewrite files may receive the texts later. Their pages are counted above".to_owned(),
            );
        }
        for place in &self.not_searched {
            lines.push(format!("        not searched: {} ({})", place.what.shown(), place.why));
        }
        lines
    }
}

/// Writes the canary, searches for it, and removes it. What prevents that becomes a finding, so that everything else is
/// reported.
pub(super) fn run(
    session: &mut Session,
    here: &DatadirAccess,
    remedies: &FileRemedies<'_>,
    findings: &mut Vec<VerifyFinding>,
) -> CanaryResult {
    let mut outcome = CanaryResult::default();
    match read_only(session) {
        Some(why) => outcome.left_out = Some(why.to_owned()),
        None => {
            if let Err(e) = write_and_search(session, here, remedies, &mut outcome, findings) {
                outcome.looked = false;
                match why_forbidden(&e, || Privileges::query(session).ok()) {
                    Some(why) => outcome.left_out = Some(why),
                    None => findings.push(VerifyFinding::not_checked(
                        PlaceKind::Setting,
                        "canary",
                        e,
                        Some(
                            "run keyringctl encrypt verify again, or with --no-canary to do without it"
                                .to_owned(),
                        ),
                    )),
                }
            }
        }
    }
    outcome
}

const READ_ONLY: &str = "the server is read-only. Nothing can be written here; everything else was checked";

/// Why the server takes no statement that writes, if it says so.
fn read_only(session: &mut Session) -> Option<&'static str> {
    let on = |name: &str, session: &mut Session| {
        session.variable(name).ok().flatten().is_some_and(|value| value.eq_ignore_ascii_case("ON"))
    };
    (on("super_read_only", session) || on("innodb_read_only", session)).then_some(READ_ONLY)
}

/// What the canary needs on its schema.
const ON_SCHEMA: [&str; 6] = ["CREATE", "DROP", "SELECT", "INSERT", "UPDATE", "LOCK TABLES"];

/// The statements that let the account write the canary. `code`: of the error that it got without them.
fn grants(privileges: &Privileges, code: u16) -> String {
    let mut global = Vec::new();
    if !["SESSION_VARIABLES_ADMIN", "SYSTEM_VARIABLES_ADMIN", "SUPER"].iter().any(|name| privileges.has(name))
    {
        global.push("SESSION_VARIABLES_ADMIN");
    }
    if !privileges.has("RELOAD") {
        global.push("RELOAD");
    }
    if matches!(code, 3826 | 3827) && !privileges.has("TABLE_ENCRYPTION_ADMIN") {
        global.push("TABLE_ENCRYPTION_ADMIN");
    }
    let on_schema = ON_SCHEMA.iter().any(|name| !privileges.has(name));
    let on_schema = on_schema.then(|| privileges.grant_on_schema(&ON_SCHEMA, NAME));
    let statements: Vec<_> = privileges.grant_everywhere(&global).into_iter().chain(on_schema).collect();
    statements.join(" ")
}

/// Why this account, or this server, never lets the canary be written.
fn why_forbidden(e: &Error, privileges: impl FnOnce() -> Option<Privileges>) -> Option<String> {
    let Error::Server(ServerError { code, why, .. }) = e else { return None };
    match code {
        // --read-only, --innodb-read-only.
        1290 | 1836 => Some(READ_ONLY.to_owned()),
        // A privilege for a schema, a table, a setting; for encryption.
        1044 | 1142 | 1227 | 3826 | 3827 => {
            let grants = privileges().map(|privileges| grants(&privileges, *code)).unwrap_or_default();
            let remedy = match grants.as_str() {
                "" => "docs/ENCRYPTING.md, 'Where verify searches', lists what to grant".to_owned(),
                grants => format!("As an administrator, run: {grants}"),
            };
            Some(format!("the account lacks a privilege for the schema {NAME}: {why}. {remedy}"))
        }
        _ => None,
    }
}

fn write_and_search(
    session: &Session,
    here: &DatadirAccess,
    remedies: &FileRemedies<'_>,
    outcome: &mut CanaryResult,
    findings: &mut Vec<VerifyFinding>,
) -> Result<()> {
    let (text, control) = (random_text("canary")?, random_text("control")?);
    let mut scratch = Scratch::create(session, PATIENCE)?;
    scratch.create_table(
        "canary",
        &format!("id INT NOT NULL PRIMARY KEY, a VARCHAR(80), b MEDIUMTEXT, {control} INT, KEY (a)"),
    )?;
    let before = redo_log::lsns(&mut scratch.session);
    fill(&mut scratch.session, &text)?;
    outcome.rows = ROWS;
    let encrypted: Option<String> = scratch.session.first(&format!(
        "SELECT ENCRYPTION FROM information_schema.INNODB_TABLESPACES WHERE NAME = '{NAME}/canary'"
    ))?;
    if encrypted.as_deref() != Some("Y") {
        let why = "the server does not report a new table with ENCRYPTION = 'Y' as encrypted".to_owned();
        findings.push(VerifyFinding::new(PlaceKind::Setting, "canary", why, None));
    }
    if let Some(datadir) = here.readable() {
        search(&mut scratch, datadir, remedies, before, &Texts { text, control }, outcome, findings);
        outcome.looked = true;
    }
    if let Err(e) = scratch.remove() {
        findings.push(VerifyFinding::new(
            PlaceKind::Setting,
            NAME,
            format!("the temporary schema could not be dropped: {e}"),
            Some(format!("the next run drops it; or run DROP SCHEMA {NAME}")),
        ));
    }
    Ok(())
}

struct Texts {
    text: String,
    control: String,
}

/// Inserts rows with the text and updates some, so that undo logs contain it too. Some texts are repeated over pages of
/// their own: there, every block of the redo log (512 bytes) holds whole ones.
fn fill(session: &mut Session, text: &str) -> Result<()> {
    // No statement and no value may be longer than a packet.
    let packet: Option<usize> = session.first("SELECT @@SESSION.max_allowed_packet")?;
    let most = packet.map_or(REPEATED, |packet| (packet / text.len()).min(REPEATED));
    let rows: Vec<_> = (0..ROWS)
        .map(|id| format!("({id}, '{text}', REPEAT('{text}', {}), 0)", if id % 16 == 0 { most } else { 1 }))
        .collect();
    for some in rows.chunks(AT_ONCE) {
        session.run(&format!("INSERT INTO canary VALUES {}", some.join(", ")))?;
    }
    session.run("UPDATE canary SET a = REVERSE(a) WHERE id % 2 = 0")
}

/// Searches the files to which the server writes: the canary's own, and all that belong to no single table. Other tables'
/// files are left out.
fn search(
    scratch: &mut Scratch,
    datadir: &Path,
    remedies: &FileRemedies<'_>,
    before: Option<Lsns>,
    texts: &Texts,
    outcome: &mut CanaryResult,
    findings: &mut Vec<VerifyFinding>,
) {
    let files = remedies.files;
    let mut search = Search::new(texts.text.as_bytes(), &files.unsearched);
    let (redo, others): (Vec<_>, Vec<_>) =
        files.written.iter().partition(|place| place.kind == PlaceKind::Redo);
    let after = redo_log::write_out(&mut scratch.session);
    redo.iter().for_each(|place| search.place(place));
    if let Some(why) = redo_log::unproven(&mut scratch.session, before, after, datadir, &search.files) {
        let directory = redo.first().map_or(datadir, |place| &place.directory);
        search.failed.push((directory.to_owned(), PlaceKind::Redo, why));
    }
    if let Err(e) = search_own(scratch, datadir, texts, &mut search, outcome) {
        search.failed.push((datadir.join(NAME), PlaceKind::Table, e.to_string()));
    } else if !outcome.control_found {
        let why =
            "the search did not find the control, which is unencrypted, so it proves nothing".to_owned();
        findings.push(VerifyFinding::new(PlaceKind::Setting, "canary", why, None));
    }
    outcome.pages_written = redo_log::wait_for_checkpoint(&mut scratch.session, after);
    others.iter().for_each(|place| search.place(place));

    let found = search.found.iter().map(|(path, kind)| FileFinding {
        path: path.clone(),
        kind: *kind,
        shows: FileShows::Unencrypted,
        why: "contains the canary's text unencrypted".to_owned(),
        remedy: Some(remedy(*kind, path)),
        owner: remedies.owner_of_searched(*kind, path),
    });
    outcome.found = found.collect();
    for (path, kind, why) in &search.failed {
        let why = format!("not searched for the canary: {why}");
        findings.push(VerifyFinding::not_checked(*kind, path.shown(), why, None));
    }
    outcome.files = search.files.len();
    outcome.directories = search.directories();
    outcome.found_in = search.found.into_iter().map(|(path, _)| path).collect();
    outcome.not_searched =
        files.unsearched.iter().map(|place| NotSearched { what: place.pattern(), why: place.why }).collect();
}

/// What to do about a file that received the canary.
fn remedy(kind: PlaceKind, path: &Path) -> String {
    use PlaceKind as Place;
    match kind {
        Place::Doublewrite => format!(
            "first run keyringctl encrypt apply; then, at last, run in the server: SET GLOBAL innodb_fast_shutdown = 0; stop it, rm {}, and start it",
            path.shown()
        ),
        Place::GeneralLog | Place::SlowLog => {
            format!("switch this log off in the server and in its option file, then: rm {}", path.shown())
        }
        Place::SystemTablespace => "run keyringctl encrypt apply, then this again; if it is still so, load a dump into a new instance".to_owned(),
        Place::ErrorLog | Place::Temporary => "MySQL cannot encrypt this file: put it on an encrypted filesystem".to_owned(),
        _ => "run keyringctl encrypt apply, then this again".to_owned(),
    }
}

/// Searches the canary's own files, and the one that contains the control.
fn search_own(
    scratch: &mut Scratch,
    datadir: &Path,
    texts: &Texts,
    search: &mut Search<'_>,
    outcome: &mut CanaryResult,
) -> Result<()> {
    // Writes the table's pages to its file, and blocks changes until they have been read. The server purges nothing
    // meanwhile.
    scratch.session.run("FLUSH TABLES canary FOR EXPORT")?;
    let own = datadir.join(NAME);
    search.place(&FilePlace {
        kind: PlaceKind::Table,
        directory: own.clone(),
        names: FileNames::All,
        below: Below::None,
        named_by: "datadir",
        required: true,
    });
    let control = Finder::new(texts.control.as_bytes());
    outcome.control_found = contains(&own.join("canary.cfg"), &control, &Readers::new()).unwrap_or(false);
    scratch.session.run("UNLOCK TABLES")
}

/// Returns a random text.
fn random_text(start: &str) -> Result<String> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes).map_err(Failure::System)?;
    Ok(format!("{start}_{:032x}", u128::from_be_bytes(bytes)))
}
