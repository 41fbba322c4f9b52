// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies the files of a backup. On a filesystem that can, the copy shares the blocks of the backup (btrfs, xfs).
//!
//! There is no overlay in its place: InnoDB opens every tablespace for writing, and an overlay copies a whole file when it is
//! opened so.

use super::account::Account;
use super::progress::{Progress, Unit};
use super::stop::Stop;
use super::work::Work;
use crate::error::{Error, Result};
use crate::show::Shown;
use crate::tablespace::{DataFileKind, DataFiles};
use rustix::fs::ioctl_ficlone;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const CHUNK: usize = 1 << 20;
/// Links are followed: a copy of a link would lead the server to files of the backup.
const DEEPEST: usize = 32;

/// What is to be copied.
#[derive(Default)]
struct Plan {
    /// Directories, by their paths below the data directory, each before what is in it.
    directories: Vec<PathBuf>,
    /// Files of the backup and where they go.
    files: Vec<(PathBuf, PathBuf)>,
    /// Bytes that the files take.
    bytes: u64,
}

/// Copies all files of the directories into the data directory of the drill. Binary logs, text logs and temporary
/// tablespaces stay where they are: the drill does not need them.
pub(super) fn copy(
    roots: &[PathBuf],
    found: &DataFiles,
    work: &Work,
    account: &Account,
    stop: &Stop,
) -> Result<u64> {
    let left_out: BTreeSet<&Path> = found
        .files
        .iter()
        .filter(|(_, kind)| {
            matches!(kind, DataFileKind::BinaryLog | DataFileKind::TextLog | DataFileKind::Temporary)
        })
        .map(|(path, _)| path.as_path())
        .collect();
    let mut plan = Plan::default();
    for root in roots {
        plan.add(root, Path::new(""), &left_out, 0)?;
    }
    let data = work.data();
    for directory in &plan.directories {
        let to = data.join(directory);
        match DirBuilder::new().mode(0o700).create(&to) {
            Ok(()) => account.own(&to)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io("create", &to, e)),
        }
    }
    let progress = Progress::begin("copying the backup", plan.bytes, Unit::Bytes);
    let mut is_checked = false;
    for (from, to) in &plan.files {
        stop.check()?;
        let to = data.join(to);
        let (mut source, mut target) = open(from, &to)?;
        account.own_file(&target).map_err(|e| Error::io("change the owner of", &to, e))?;
        if ioctl_ficlone(&target, &source).is_ok() {
            let length = source.metadata().map_or(0, |meta| meta.len());
            progress.add(length);
            continue;
        }
        // Blocks that are shared take no space.
        if !std::mem::replace(&mut is_checked, true) {
            work.require(plan.bytes)?;
        }
        copy_bytes((&mut source, from), (&mut target, &to), work, &progress, stop)?;
    }
    Ok(plan.bytes)
}

fn open(from: &Path, to: &Path) -> Result<(File, File)> {
    let source = File::open(from).map_err(|e| Error::io("open", from, e))?;
    let target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let target = target.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Error::Usage(format!(
            "the directories of the backup hold two files for {}: name each directory once",
            to.shown()
        )),
        _ => Error::io("create", to, e),
    })?;
    Ok((source, target))
}

/// Copies one file, without the parts that hold only zeros.
fn copy_bytes(
    (source, from): (&mut File, &Path),
    (target, to): (&mut File, &Path),
    work: &Work,
    progress: &Progress,
    stop: &Stop,
) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut length = 0_u64;
    loop {
        stop.check()?;
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::io("read", from, e)),
        };
        let bytes = buffer.get(..n).unwrap_or_default();
        let written = if bytes.iter().all(|byte| *byte == 0) {
            target.seek(SeekFrom::Current(n as i64)).map(drop)
        } else {
            target.write_all(bytes)
        };
        if let Err(e) = written {
            work.require_not_full()?;
            return Err(Error::io("write to", to, e));
        }
        length += n as u64;
        progress.add(n as u64);
    }
    target.set_len(length).map_err(|e| Error::io("write to", to, e))
}

impl Plan {
    fn add(&mut self, root: &Path, below: &Path, left_out: &BTreeSet<&Path>, depth: usize) -> Result<()> {
        let directory = root.join(below);
        if depth > DEEPEST {
            return Err(Error::Usage(format!(
                "{} is too deep, or a link leads back to it",
                directory.shown()
            )));
        }
        let entries = fs::read_dir(&directory).map_err(|e| Error::io("read", &directory, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("read", &directory, e))?;
            let (path, to) = (entry.path(), below.join(entry.file_name()));
            if left_out.contains(path.as_path()) {
                continue;
            }
            // A link to nothing is what a socket or a lock file can be.
            let Ok(meta) = fs::metadata(&path) else { continue };
            if meta.is_dir() {
                self.directories.push(to.clone());
                self.add(root, &to, left_out, depth + 1)?;
            } else if meta.is_file() && !is_left_by_server(&to) {
                self.bytes += meta.len().min(meta.blocks() * 512);
                self.files.push((path, to));
            }
        }
        Ok(())
    }
}

/// What says of a server that it runs, or how it is configured.
fn is_left_by_server(to: &Path) -> bool {
    let name = to.to_string_lossy();
    name.ends_with(".pid") || name.ends_with(".lock") || name == "mysqld-auto.cnf" || name == "mysqld.my"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tablespace::find;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_copy_has_the_same_bytes_no_links_and_no_binary_logs() {
        let dir = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();
        let at = |name: &str| dir.path().join(name);
        for made in ["backup", "backup/clinic", "elsewhere", "work"] {
            fs::create_dir(at(made)).unwrap();
        }
        let mut page = vec![0; 3 * CHUNK + 7];
        page[CHUNK + 5] = 9;
        fs::write(at("backup/clinic/patient.ibd"), &page).unwrap();
        fs::write(at("elsewhere/far.ibd"), b"far").unwrap();
        symlink(at("elsewhere"), at("backup/other")).unwrap();
        fs::write(at("backup/binlog.000001"), b"\xfebin and more").unwrap();
        fs::write(at("backup/host.pid"), b"1").unwrap();
        let account = Account::choose().unwrap();
        let work = Work::create(&at("work"), &account).unwrap();
        let roots = [at("backup")];
        copy(&roots, &find(&roots), &work, &account, &Stop::default()).unwrap();
        assert_eq!(fs::read(work.data().join("clinic/patient.ibd")).unwrap(), page);
        assert_eq!(fs::read(work.data().join("other/far.ibd")).unwrap(), b"far");
        assert!(!work.data().join("other").is_symlink());
        assert!(!work.data().join("binlog.000001").exists() && !work.data().join("host.pid").exists());
        let path = work.data();
        drop(work);
        assert!(!path.exists());
    }
}
