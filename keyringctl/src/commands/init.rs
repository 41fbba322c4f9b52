// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl init`: makes a new keyring.

use super::output::Output;
use super::secret::{self, measured_cost};
use super::verdict::Verdict;
use super::{apart, missing, stat, sync};
use crate::error::{Error, Result};
use keyring_external::error::Failure;
use keyring_external::format::header::Header;
use keyring_external::keyring::NewKeyring;
use keyring_external::secret::Locked;
use keyring_external::secret::MIN_SECRET;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::store::replica::FileReplica;
use keyring_external::store::vacancy::{self, Vacancy};
use keyring_external::store::volume::{self, directory_of};
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Make a new keyring and print its recovery key, once
#[derive(clap::Args)]
#[command(after_help = "Example: keyringctl init /mnt/keyring/hospital.keyring \\
           --unlock file:/etc/mysql/keyring.secret --generate-secret --label 'Biobank, server 1'")]
pub(super) struct Args {
    /// The keyring file to make, in a directory of mode 0700 on the external volume
    path: PathBuf,
    #[command(flatten)]
    secret: secret::Source,
    /// First write 32 random bytes to the file that --unlock file:PATH names
    #[arg(long, requires = "unlock")]
    generate_secret: bool,
    /// A further copy, on another volume (repeatable)
    #[arg(long = "mirror", value_name = "PATH")]
    mirrors: Vec<PathBuf>,
    /// A name for people, shown by status; readable without the secret
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    label: String,
}

/// A keyring that was made.
pub(super) struct Made {
    pub header: Header,
    pub recovery: String,
    /// The file with a new secret.
    pub secret_file: Option<PathBuf>,
    files: Vec<vacancy::CreatedFile>,
}

impl Made {
    /// Prints what there is so far, the recovery key in it. When nobody gets it, all that was made goes again: a
    /// keyring whose recovery key nobody has is not what was asked for.
    ///
    /// # Errors
    /// It could not be printed.
    pub fn deliver(&self, fs: &dyn Fs, out: &mut Output) -> Result<()> {
        out.deliver().map_err(|e| {
            self.files.iter().for_each(vacancy::CreatedFile::remove);
            if let Some(secret) = &self.secret_file {
                let _ = fs.unlink(secret);
            }
            let paths = self.files.iter().map(vacancy::CreatedFile::path).chain(self.secret_file.as_deref());
            let left: Vec<_> =
                paths.filter(|p| fs.meta(p).is_ok()).map(|p| p.display().to_string()).collect();
            let then = if left.is_empty() {
                "so the keyring was removed again, and nothing is left of it".to_owned()
            } else {
                format!("and these files could not be removed again: {}. Remove them", left.join(", "))
            };
            Error::Usage(format!(
                "the recovery key could not be shown ({e}), {then}. Run this again with standard output to a terminal, \
                 or to a file that only you read"
            ))
        })
    }
}

/// The file with the secret of a new keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SecretFile {
    /// Nothing is made: the source has a secret.
    IsThere,
    /// To be made, for whoever the keyring will belong to.
    ForTheKeyringsOwner,
    /// To be made by root, for this user and group.
    For(u32, u32),
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let paths = sync::paths(&args.path, &args.mirrors)?;
    let path = paths.first().cloned().unwrap_or_default();
    let file = if args.generate_secret { SecretFile::ForTheKeyringsOwner } else { SecretFile::IsThere };
    let made = make(&fs, &paths, &args.secret, &args.secret.name(), &args.label, file)?;
    let header = &made.header;
    out.line(format_args!("Made the keyring {} at {}", header.id, path.display()));
    for mirror in paths.iter().skip(1) {
        out.line(format_args!("and a copy of it at {}", mirror.display()));
    }
    if let Some(secret) = &made.secret_file {
        out.line(format_args!("Wrote a new unlock secret to {}", secret.display()));
    }
    apart::warn(&paths, 0, out);
    let same_disk = secret_beside_keyring(fs.as_ref(), args, &paths);
    if let Some(secret) = &same_disk {
        out.line(format_args!(
            "WARNING: {} is on the same filesystem as the keyring: whoever takes that volume has both. \
             Keep the secret on the server.",
            secret.display()
        ));
    }
    show_recovery(&made.recovery, out);
    out.document(&json!({
        "path": path,
        "mirrors": paths.get(1..).unwrap_or_default(),
        "id": header.id,
        "label": header.label,
        "slots": header.slots.iter().map(|s| s.kind).collect::<Vec<_>>(),
        "secret_file": made.secret_file,
        "secret_on_keyring_volume": same_disk.is_some(),
        "recovery_key": made.recovery,
    }));
    made.deliver(fs.as_ref(), out)?;
    Ok(Verdict::Fine)
}

/// Shows the recovery key of a new keyring.
pub(super) fn show_recovery(recovery: &str, out: &mut Output) {
    out.line("");
    out.line("The recovery key opens the keyring when the unlock secret is lost. It is shown this once:");
    out.line("");
    out.line(format_args!("    {recovery}"));
    out.line("");
    out.line("Write it on paper and lock that away, neither with the server nor with the volume.");
}

/// Makes a keyring where there is none, with a secret from `source`, which its slot calls `name`; first
/// writes the secret's file if there is to be one.
pub(super) fn make(
    fs: &Arc<dyn Fs>,
    paths: &[PathBuf],
    source: &secret::Source,
    name: &str,
    label: &str,
    file: SecretFile,
) -> Result<Made> {
    let mut places = Vec::new();
    for path in paths {
        let place = FileReplica::new(Arc::clone(fs), path).vacancy();
        let place = place.and_then(|place| volume::check_directory(fs.as_ref(), path).map(|()| place));
        let like = paths.iter().find(|other| stat::is_there(directory_of(other)));
        places.push(place.map_err(|e| missing::no_place(e, like.map(PathBuf::as_path), "this again"))?);
    }
    let keyring = paths.first().cloned().unwrap_or_default();
    let secret_file = generate_secret(fs, source, &keyring, file)?;
    let (new, recovery, files) = write(&places, source, name, label).inspect_err(|_| {
        // A secret that opens nothing would only be in the way of the next try.
        if let Some(made) = &secret_file {
            let _ = fs.unlink(made);
        }
    })?;
    Ok(Made { header: new.header().clone(), recovery, secret_file, files })
}

fn write(
    places: &[Vacancy],
    source: &secret::Source,
    name: &str,
    label: &str,
) -> Result<(NewKeyring, String, Vec<vacancy::CreatedFile>)> {
    let secret = source.read_new()?;
    let mut new = NewKeyring::new(label, &secret, name, measured_cost(&secret)?)?;
    let mut recovery = String::new();
    // Writing to a String does not fail.
    let _ = new.add_recovery()?.write_to(&mut recovery);
    let files = new.make_at(places)?;
    Ok((new, recovery, files))
}

/// Writes a new secret file, if there is to be one.
fn generate_secret(
    fs: &Arc<dyn Fs>,
    source: &secret::Source,
    keyring: &Path,
    file: SecretFile,
) -> Result<Option<PathBuf>> {
    let (uid, gid) = match file {
        SecretFile::IsThere => return Ok(None),
        SecretFile::ForTheKeyringsOwner => {
            let owner = volume::owner_of_directory(fs.as_ref(), keyring)?;
            (owner.uid, owner.gid)
        }
        SecretFile::For(uid, gid) => (uid, gid),
    };
    let Some(UnlockSource::File(path)) = &source.unlock else {
        return Err(Error::Usage("--generate-secret writes a file: give --unlock file:PATH".to_owned()));
    };
    FileReplica::new(Arc::clone(fs), path).create_for(
        uid,
        gid,
        &Locked::random(MIN_SECRET).map_err(Failure::System)?,
    )?;
    Ok(Some(path.clone()))
}

/// The secret's file, when it lies on the filesystem of a copy.
fn secret_beside_keyring(fs: &dyn Fs, args: &Args, paths: &[PathBuf]) -> Option<PathBuf> {
    let Some(UnlockSource::File(file)) = &args.secret.unlock else { return None };
    let of_secret = device(fs, file)?;
    paths.iter().any(|path| device(fs, path) == Some(of_secret)).then(|| file.clone())
}

fn device(fs: &dyn Fs, path: &Path) -> Option<u64> {
    fs.meta(path).ok().map(|m| m.dev)
}
