// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl init`: creates a keyring.

use super::apart::{self, Places};
use super::audit_trail;
use super::copies::of_server::{self, Server};
use super::handout::{self, Handout, Wait};
use super::output::Output;
use super::secret::{self, measured_cost};
use super::traces::Traces;
use super::verdict::Verdict;
use super::{copies, missing, site, stat};
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::host::accounts;
use crate::show::{Shown, exact_paths};
use keyring_external::audit::{Event, EventKind, Of};
use keyring_external::custodians::{Custodians, Share};
use keyring_external::error::Failure;
use keyring_external::format::header::Header;
use keyring_external::keyring::NewKeyring;
use keyring_external::secret::Locked;
use keyring_external::secret::MIN_SECRET;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::vacancy::create_file;
use keyring_external::store::file::volume::{self, directory_of};
use keyring_external::store::places::{self, is_remote};
use keyring_external::store::vacancy::{CreatedCopy, Vacancy};
use keyring_external::unlock::UnlockSource;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Create a keyring and show its recovery key, or the shares of its custodians (shown only once)
#[derive(clap::Args)]
#[command(after_help = "Example: keyringctl init /mnt/keyring/hospital.keyring \\
           --unlock file:/etc/mysql/keyring_external.secret --generate-secret --label 'Biobank, server 1'")]
pub(super) struct Args {
    /// Keyring file to create, in a directory of mode 0700 on the external volume
    path: PathBuf,
    #[command(flatten)]
    secret: secret::NewSecret,
    /// Create the unlock secret first: write 32 random bytes to the file that --unlock file:PATH names
    #[arg(long, requires = "unlock")]
    generate_secret: bool,
    /// Additional copy on another volume (repeatable)
    #[arg(long = "mirror", value_name = "PATH")]
    mirrors: Vec<PathBuf>,
    /// Label of the keyring, shown by status; readable without the secret
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    label: String,
    /// Create a new keyring although the server on this host, which is configured with this path, has used another one.
    /// Data that is encrypted with the keys of the old one cannot be read with the new one
    #[arg(long)]
    new_keyring: bool,
    #[command(flatten)]
    recovery: NewRecovery,
}

/// What unlocks a new keyring if its unlock secret is lost.
#[derive(clap::Args, Default)]
pub(super) struct NewRecovery {
    /// Instead of a recovery key, create shares for custodians, such as 2-of-3: 3 people get a share each, and any 2 of
    /// them can unlock the keyring together, but none alone. At most 16
    #[arg(long, value_name = "K-of-N")]
    pub custodians: Option<Custodians>,
    /// Write each share to a printable page of its own in this directory (HTML for A4, with a QR code), instead of showing
    /// it
    #[arg(long, value_name = "DIR")]
    pub pages: Option<PathBuf>,
}

impl NewRecovery {
    /// Checks the options.
    ///
    /// # Errors
    /// There are no shares for the pages.
    pub(super) fn check(&self) -> Result<()> {
        if self.pages.is_some() && self.custodians.is_none() {
            return Err(Error::Usage(
                "--pages is for the shares of custodians: add --custodians, for example --custodians 2-of-3. Nothing was \
                 changed"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// What unlocks a keyring that was created, if its unlock secret is lost.
pub(super) enum Recovery {
    /// A recovery key, as text.
    Key(String),
    /// The shares of custodians.
    Shares(Vec<Share>),
}

/// A keyring that was just created.
pub(super) struct CreatedKeyring {
    pub header: Header,
    pub recovery: Recovery,
    /// The secret file, if one was created.
    pub secret_file: Option<PathBuf>,
    files: Vec<CreatedCopy>,
    /// The keyring as the audit log names it.
    of: Of,
}

impl CreatedKeyring {
    /// Writes to the audit log of this command, if there is one, that the keyring was created.
    pub(super) fn record(&self) {
        let Some(log) = audit_trail::log() else { return };
        let copies: Vec<_> = self.files.iter().map(|copy| copy.path().exact()).collect();
        let slots: Vec<_> = self.header.slots.iter().map(|(_, slot)| json!(slot.kind)).collect();
        let event = Event::new(EventKind::CopiesCreated).with("new_keyring", true);
        // A line that cannot be written is told.
        let _ = log.write(Some(&self.of), &event.with("copies", json!(copies)).with("slots", slots));
    }

    /// Prints the output so far and the recovery key or the shares, and adds them to the document. `wait` asks a question
    /// and returns when it was answered, if somebody can be asked. If that fails, removes all files that were created: without them, the keyring is
    /// not what was asked for.
    ///
    /// # Errors
    /// The output could not be printed, or the pages could not be written.
    pub(super) fn deliver(
        &self,
        fs: &dyn Fs,
        (pages, document): (Option<&Path>, &mut Value),
        out: &mut Output,
        wait: Option<Wait<'_>>,
    ) -> Result<()> {
        let (shown, what) = match &self.recovery {
            Recovery::Key(key) => {
                show_recovery(key, out);
                document["recovery_key"] = json!(key);
                out.document(document);
                (out.deliver(), "the recovery key")
            }
            Recovery::Shares(shares) => {
                let handout = Handout::new(shares, &self.header, self.header.created, pages);
                (handout.deliver(document, out, wait), "the shares of the custodians")
            }
        };
        shown.map_err(|e| {
            self.files.iter().for_each(CreatedCopy::remove);
            if let Some(secret) = &self.secret_file {
                let _ = fs.unlink(secret);
            }
            let paths = self.files.iter().map(CreatedCopy::path).chain(self.secret_file.as_deref());
            let left: Vec<_> = paths.filter(|p| fs.meta(p).is_ok()).map(|p| p.shown()).collect();
            let then = if left.is_empty() {
                "The keyring was removed again and nothing is left of it".to_owned()
            } else {
                format!("These files could not be removed again, remove them: {}", left.join(", "))
            };
            Error::Usage(format!(
                "{what} could not be shown ({e}). {then}. Run this command again with standard output to a \
                 terminal, or to a file that only you can read"
            ))
        })
    }
}

/// Whether a secret file is created for a new keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SecretFile {
    /// No: the source already holds a secret.
    Existing,
    /// Yes, with the owner that the keyring will have.
    CreateForKeyringOwner,
    /// Yes, by root for this user and group.
    CreateFor(u32, u32),
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let paths = copies::distinct([&args.path].into_iter().chain(&args.mirrors))?;
    let path = paths.first().cloned().unwrap_or_default();
    let parts = site::Parts { root: "/".into(), ..site::Parts::default() };
    let traces = traces(&site::Args { parts, ..site::Args::default() }, &paths);
    if let Some(traces) = traces.as_ref().filter(|_| !args.new_keyring) {
        return Err(traces.refusal(&path));
    }
    args.recovery.check()?;
    handout::prepare(args.recovery.pages.as_deref())?;
    let file = if args.generate_secret { SecretFile::CreateForKeyringOwner } else { SecretFile::Existing };
    super::new_at_remote::check_conditions(paths.iter().map(PathBuf::as_path), super::new_at_remote::AGAIN)?;
    // The server on this host may name the remotes file.
    let places = store_places();
    let secret =
        NewSlots { source: &args.secret, name: &args.secret.name(), custodians: args.recovery.custodians };
    let created = create(&places, &paths, &secret, &args.label, file)?;
    let header = &created.header;
    out.line(format_args!("Created keyring {} at {}", header.id, path.shown()));
    for mirror in paths.iter().skip(1) {
        out.line(format_args!("Created its copy at {}", mirror.shown()));
    }
    if let Some(secret) = &created.secret_file {
        out.line(format_args!("Wrote a new unlock secret to {}", secret.shown()));
    }
    let secret = match &args.secret.unlock {
        Some(UnlockSource::File(file)) => Some(file.as_path()),
        _ => None,
    };
    let datadir = site::Args::default().look().ok().map(|site| site.datadir).filter(|dir| dir.is_dir());
    let apart = Places { copies: &paths, secret, datadir: datadir.as_deref() };
    apart::warn_of(&apart::doubts(apart, Path::to_owned), out);
    apart::warn_of(&traces.iter().map(Traces::warning).collect::<Vec<_>>(), out);
    let mut document = json!({
        "path": path.exact(),
        "mirrors": exact_paths(paths.get(1..).unwrap_or_default()),
        "id": header.id,
        "label": header.label,
        "slots": header.slots.iter().map(|(_, s)| s.kind).collect::<Vec<_>>(),
        "secret_file": created.secret_file.as_deref().map(Shown::exact),
        "secret_on_keyring_volume": secret.is_some_and(|secret| apart::is_beside(secret, &paths)),
    });
    let pages = args.recovery.pages.as_deref();
    created.deliver(places.fs().as_ref(), (pages, &mut document), out, Some(&mut handout::wait_for_enter))?;
    created.record();
    Ok(Verdict::Fine)
}

/// What says that the server of a host has used another keyring, if it is configured with one of these paths.
fn traces(host: &site::Args, paths: &[PathBuf]) -> Option<Traces> {
    // This user may have no permission to find out.
    let Server::Ours(server) = of_server::find(host).ok()? else { return None };
    let is_configured = |path: &PathBuf| server.copies.iter().any(|copy| apart::is_one_file(copy, path));
    if !paths.iter().any(is_configured) {
        return None;
    }
    audit_trail::use_log_of_server(server.audit);
    let traces = Traces::find(&server.datadir, &[]).ok()?;
    // Without a witness, the files may need keys of another kind of keyring, which are imported into the new one.
    traces.accept().is_some().then_some(traces)
}

/// Shows the recovery key of a new keyring.
fn show_recovery(recovery: &str, out: &mut Output) {
    out.line("");
    out.line("The recovery key unlocks the keyring if the unlock secret is lost. It is shown only once:");
    out.line("");
    out.line(format_args!("    {recovery}"));
    out.line("");
    out.line("Write it on paper and lock it away, separate from the server and from the volume.");
}

/// The unlock slots of a new keyring.
pub(super) struct NewSlots<'a> {
    /// The source of the unlock secret.
    pub source: &'a secret::NewSecret,
    /// The name of the source in messages.
    pub name: &'a str,
    /// Custodians, if there is no recovery key.
    pub custodians: Option<Custodians>,
}

/// Creates a keyring at paths where no file exists. Creates the secret file first, if `file` says so.
pub(super) fn create(
    places: &places::Places,
    paths: &[PathBuf],
    slots: &NewSlots<'_>,
    label: &str,
    file: SecretFile,
) -> Result<CreatedKeyring> {
    let mut vacancies = Vec::new();
    for path in paths {
        let vacancy = places.replica(path).and_then(|copy| copy.find_vacant());
        let vacancy = vacancy.and_then(|found| copies::check_directory(places, path).map(|()| found));
        let owned_alike = paths.iter().find(|other| stat::is_there(directory_of(other)));
        vacancies.push(vacancy.map_err(|e| {
            missing::cannot_create(e, owned_alike.map(PathBuf::as_path), "this command again")
        })?);
    }
    let secret_file = generate_secret(places, slots.source, paths, file)?;
    let (new, recovery, files) = write(&vacancies, slots, label).inspect_err(|_| {
        // The next attempt would stop at a secret file that already exists.
        if let Some(file) = &secret_file {
            let _ = places.fs().unlink(file);
        }
    })?;
    let of = Of {
        keyring: new.header().id,
        key: Arc::new(new.audit_key()?),
        generation: NewKeyring::GENERATION,
        note: None,
    };
    Ok(CreatedKeyring { header: new.header().clone(), recovery, secret_file, files, of })
}

/// The user and group that a secret belongs to if all copies are at remotes: root's is mysqld's, which reads it.
fn owner_for_remotes() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mysqld = accounts::find(&passwd, "mysql").map(|account| (account.uid, account.gid));
    mysqld.filter(|_| own.0 == 0).unwrap_or(own)
}

fn write(
    vacancies: &[Vacancy],
    slots: &NewSlots<'_>,
    label: &str,
) -> Result<(NewKeyring, Recovery, Vec<CreatedCopy>)> {
    let secret = slots.source.read_new()?;
    let mut new = NewKeyring::new(label, &secret, slots.name, measured_cost(&secret)?)?;
    let recovery = match slots.custodians {
        Some(custodians) => Recovery::Shares(new.add_custodians(custodians)?),
        None => {
            let mut key = String::new();
            // Writing to a String does not fail.
            let _ = new.add_recovery()?.write_to(&mut key);
            Recovery::Key(key)
        }
    };
    let files = new.make_at(vacancies)?;
    Ok((new, recovery, files))
}

/// Creates the secret file, if `file` says so.
fn generate_secret(
    places: &places::Places,
    source: &secret::NewSecret,
    copies: &[PathBuf],
    file: SecretFile,
) -> Result<Option<PathBuf>> {
    let (uid, gid) = match file {
        SecretFile::Existing => return Ok(None),
        SecretFile::CreateForKeyringOwner => match copies.iter().find(|copy| !is_remote(copy)) {
            Some(copy) => {
                let owner = volume::directory_meta(places.fs().as_ref(), copy)?;
                (owner.uid, owner.gid)
            }
            None => owner_for_remotes(),
        },
        SecretFile::CreateFor(uid, gid) => (uid, gid),
    };
    let Some(UnlockSource::File(path)) = &source.unlock else {
        return Err(Error::Usage("--generate-secret needs --unlock file:PATH".to_owned()));
    };
    let secret = Locked::random(MIN_SECRET).map_err(Failure::System)?;
    create_file(places.fs(), path, Some((uid, gid)), &secret)?;
    Ok(Some(path.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyring_external::store::witness::WITNESS_NAME;
    use std::fs;

    #[test]
    fn a_path_of_the_server_whose_keyring_the_witness_knows_is_not_free() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in ["etc", "usr/sbin", "var/lib/mysql", "mnt/a/keys"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("usr/sbin/mysqld"), "").unwrap();
        let options = "[mysqld]\nearly-plugin-load=keyring_external.so\nkeyring_external_data=/mnt/a/keys/k\n\
            keyring_external_unlock=file:/etc/secret\n";
        fs::write(at("etc/my.cnf"), options).unwrap();
        let parts = site::Parts { root: dir.path().canonicalize().unwrap(), ..site::Parts::default() };
        let host = site::Args { parts, ..site::Args::default() };
        let path = at("mnt/a/keys/k");
        // Before the first start, the keyring is created for this configuration.
        assert!(traces(&host, std::slice::from_ref(&path)).is_none());
        fs::write(at("var/lib/mysql").join(WITNESS_NAME), "damaged").unwrap();
        let found = traces(&host, &[at("mnt/b"), path]).unwrap();
        assert!(found.refusal(Path::new("/mnt/a/keys/k")).to_string().contains("--new-keyring"));
        assert!(traces(&host, &[at("mnt/a/keys/other")]).is_none());
    }
}
