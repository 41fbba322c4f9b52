// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl backup`: makes a verified copy of a keyring file.

use super::audit_trail;
use super::copies::{self, Copies, Purpose};
use super::output::{Output, counted, hex, stderr_report};
use super::verdict::Verdict;
use super::{missing, new_at_remote, secret};
use crate::commands::store_places::store_places;
use crate::error::Result;
use crate::show::Shown;
use keyring_external::audit::{Event, EventKind};
use keyring_external::error::{Error as KeyringError, Refusal};
use keyring_external::keyring::{Keyring, Status, load_all};
use keyring_external::store::places::Places;
use keyring_external::store::reading::FRONT_LEN;
use keyring_external::store::tasks::CHANGE_WAIT;
use keyring_external::store::vacancy::Vacancy;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Back up a keyring: copy its file byte for byte and verify the copy
///
/// The secrets that unlock the keyring today will always unlock this backup: protect it like the keyring. The server can
/// keep running; the keyring itself is not changed. For a copy that is kept up to date, use a mirror instead: see sync.
///
/// Without KEYRING, it backs up the keyring of the server on this host, and reads the secret where the server does. Of
/// several copies, it takes the newest intact one.
#[derive(clap::Args)]
#[command(
    override_usage = "keyringctl backup [OPTIONS] [KEYRING] <BACKUP>",
    after_help = "Examples:\n  keyringctl backup /mnt/safe/keys/2026-11-24.keyring\n  keyringctl backup /mnt/keyring/keys/main.keyring /mnt/safe/keys/2026-11-24.keyring --unlock file:/etc/mysql/keyring_external.secret"
)]
pub(super) struct Args {
    /// Keyring file [default: all copies of the server on this host, and its unlock source], and the backup file to
    /// create, in a directory of mode 0700. If it is a directory, the new file in it has the date and time in its name
    #[arg(required = true, num_args = 1..=2, value_names = ["KEYRING", "BACKUP"])]
    files: Vec<OsString>,
    #[command(flatten)]
    others: copies::Others,
    #[command(flatten)]
    secret: secret::Args,
}

impl Args {
    /// A backup of the keyring with the copies `path` and `mirrors`, and with no others.
    pub(super) fn new(path: &Path, mirrors: &[PathBuf], destination: &Path, secret: secret::Args) -> Args {
        let server = copies::ServerArgs { only_named_copies: true, ..copies::ServerArgs::default() };
        let others = copies::Others { mirrors: mirrors.to_vec(), server, ..copies::Others::default() };
        Args { files: vec![path.into(), destination.into()], others, secret }
    }
}

/// Most attempts, because a server may write to the file while it is read.
const TRIES: usize = 5;

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let (path, destination) = copies::split_last(&args.files);
    let copies = args.others.find(path.as_ref(), &args.secret, Purpose::Read)?;
    let made = Backup::new(copies, &file_at(Path::new(destination), "backup"))?.make()?;
    made.print(out);
    out.document(&made.document());
    Ok(Verdict::Fine)
}

/// The file to create at `path`: in a directory, one with the date and time in its name, after `name`.
pub(super) fn file_at(path: &Path, name: &str) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    path.join(format!("{name}-{}.keyring", now.replace([':', '-'], "")))
}

/// A backup that can be made: nothing is in its place, and its directory is fit for it.
pub(super) struct Backup {
    places: Places,
    copies: Copies,
    destination: PathBuf,
    vacancy: Vacancy,
}

/// A backup that was made, and read back.
pub(super) struct MadeBackup {
    path: PathBuf,
    pub destination: PathBuf,
    /// What the backup holds.
    pub status: Status,
    sha256: String,
    notes: Vec<String>,
}

impl Backup {
    /// Checks that nothing is at `destination`, and its directory. Changes nothing.
    pub(super) fn new(copies: Copies, destination: &Path) -> Result<Backup> {
        let places = store_places();
        let cannot_create =
            |e: KeyringError| missing::cannot_create(e, Some(copies.first()), "this command again");
        let vacancy =
            places.replica(destination).and_then(|copy| copy.find_vacant()).map_err(cannot_create)?;
        copies::check_directory(&places, destination).map_err(cannot_create)?;
        Ok(Backup { places, copies, destination: destination.to_owned(), vacancy })
    }

    /// Copies the newest intact copy, and reads the backup back.
    pub(super) fn make(self) -> Result<MadeBackup> {
        let Backup { places, copies, destination, vacancy } = self;
        new_at_remote::check_conditions([destination.as_path()], new_at_remote::AGAIN)?;
        let mut secret = secret::Once::new(&copies.secret);
        let path = if copies.paths.len() > 1 {
            let name = copies.secret.name();
            let opened = secret.open(copies.first(), |read| {
                load_all(&places, &copies.paths, 1, &name, read, stderr_report)
            })?;
            newest(&opened.0, copies.first())
        } else {
            copies.first().to_owned()
        };
        let mut open = |path: &Path| secret.load(&places, path);
        let (source, notes) = open(&path)?;
        audit_trail::attach(&source);
        let mut tries = 0;
        let (made, sha256) = loop {
            tries += 1;
            let bytes = read_copy(&places, &path)?;
            let file = vacancy.create(&bytes)?;
            // Report only what is read back from the backup.
            let made = open(&destination).and_then(|(made, _)| {
                let fits = made.id() == source.id() && made.status().generation >= source.status().generation;
                let written = read_copy(&places, &destination)?;
                let changed = || {
                    Refusal::Changed {
                        path: destination.clone(),
                        detail: "its content is not what was written".to_owned(),
                    }
                    .into()
                };
                (fits && written == bytes).then_some((made, Sha256::digest(&written))).ok_or_else(changed)
            });
            match made {
                Ok(done) => break done,
                Err(e) => {
                    // The server may have written to the keyring while it was read.
                    file.remove();
                    if tries == TRIES {
                        return Err(e.into());
                    }
                }
            }
        };
        let event = Event::new(EventKind::Backup).with("copy", path.exact());
        let event = event.with("destination", destination.exact()).with("sha256", hex(&sha256));
        source.record(&event);
        Ok(MadeBackup {
            path,
            destination,
            status: made.status(),
            sha256: hex(&sha256),
            notes: notes.iter().map(ToString::to_string).collect(),
        })
    }
}

impl MadeBackup {
    pub(super) fn print(&self, out: &mut Output) {
        out.line(format_args!(
            "Copied {} to {}: keyring {}, generation {}, {}, every byte authenticated",
            self.path.shown(),
            self.destination.shown(),
            self.status.id,
            self.status.generation,
            counted(self.status.keys, "key")
        ));
        out.field("sha256", &self.sha256);
        for note in &self.notes {
            out.line(format_args!("  note: {note}"));
        }
    }

    pub(super) fn document(&self) -> Value {
        json!({
            "path": self.path.exact(),
            "destination": self.destination.exact(),
            "id": self.status.id,
            "generation": self.status.generation,
            "keys": self.status.keys,
            "sha256": self.sha256,
            "notes": self.notes,
        })
    }
}

/// The first of the copies that holds the newest state.
pub(super) fn newest(keyring: &Keyring, first: &Path) -> PathBuf {
    let current = keyring.standings().into_iter().find(|(_, standing)| standing.is_up_to_date());
    current.map_or_else(|| first.to_owned(), |(path, _)| path)
}

/// The bytes of a copy.
pub(super) fn read_copy(places: &Places, path: &Path) -> keyring_external::error::Result<Vec<u8>> {
    let reading = places.replica(path)?.open_to_read()?;
    let rest = reading.rest(reading.len.saturating_sub(FRONT_LEN as u64), CHANGE_WAIT)?;
    Ok([&reading.front.0[..], &rest].concat())
}
