// SPDX-License-Identifier: GPL-2.0-or-later
//! Who the temporary server runs as, and what separates it from the rest of the host.
//!
//! As root, the server gets a user id that nothing else uses, and a network namespace with no interface that is up. Another
//! user also cannot write to files that the backup's dictionary may name by an absolute path, which may be those of the live
//! server. Both, and a signal that ends the server when this program dies, come from two programs of util-linux: the system
//! calls would need unsafe code here.

use crate::error::{Error, Result};
use keyring_external::error::Failure;
use keyring_external::secret::random_array;
use rustix::process::geteuid;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The user ids that systemd keeps for accounts that exist only while a service runs.
const DYNAMIC: std::ops::RangeInclusive<u32> = 61184..=65519;

/// Starts a program only if this one still lives: it may have been killed before the signal at its death was asked for.
const IF_PARENT_LIVES: &str = "[ \"$PPID\" = \"$0\" ] && exec \"$@\"";

/// How the programs of a drill are started.
#[derive(Debug)]
pub(super) struct Account {
    /// The user and group id; `None`: that of this process.
    id: Option<u32>,
    /// The words of the command before the program.
    before: Vec<String>,
    has_namespace: bool,
}

impl Account {
    /// Chooses the account, and finds out what this host allows.
    pub(super) fn choose() -> Result<Account> {
        let id = if geteuid().is_root() { Some(unused_id()?) } else { None };
        let own_network: &[&str] = match id {
            Some(_) => &["unshare", "--net", "--"],
            None => &["unshare", "--user", "--map-current-user", "--net", "--"],
        };
        let has_namespace = works(own_network);
        let mut before: Vec<String> = Vec::new();
        if has_namespace {
            before.extend(own_network.iter().map(ToString::to_string));
        }
        let mut limits = vec!["setpriv".to_owned()];
        if let Some(id) = id {
            limits.extend([format!("--reuid={id}"), format!("--regid={id}"), "--clear-groups".to_owned()]);
            limits.extend(["--bounding-set=-all", "--inh-caps=-all"].map(str::to_owned));
        }
        limits.extend(["--no-new-privs", "--pdeathsig", "KILL", "--"].map(str::to_owned));
        let words: Vec<_> = limits.iter().map(String::as_str).collect();
        if !works(&words) {
            return Err(Error::Usage(
                "cannot start a program with setpriv of util-linux (2.33 or later), which makes sure that the temporary \
                 server ends with this program. Install util-linux; in a container, run this with the capabilities \
                 CAP_SETUID and CAP_SETGID"
                    .to_owned(),
            ));
        }
        before.extend(limits);
        Ok(Account { id, before, has_namespace })
    }

    /// Starts a program under this account, in a process group of its own: Ctrl-C reaches this program only.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut words = self.before.iter();
        let mut command = Command::new(words.next().map_or("setpriv", String::as_str));
        let parent = std::process::id().to_string();
        command.args(words).args(["sh", "-c", IF_PARENT_LIVES, &parent]);
        command.arg(program).process_group(0).env_remove("LD_PRELOAD");
        command
    }

    /// Makes a path belong to the account.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        let Some(id) = self.id else { return Ok(()) };
        std::os::unix::fs::lchown(path, Some(id), Some(id))
            .map_err(|e| Error::io("change the owner of", path, e))
    }

    /// Makes an open file belong to the account.
    pub(super) fn own_file(&self, file: &fs::File) -> std::io::Result<()> {
        match self.id {
            Some(id) => std::os::unix::fs::fchown(file, Some(id), Some(id)),
            None => Ok(()),
        }
    }

    /// How the server is kept apart, as it is reported.
    pub(super) fn described(&self) -> String {
        let network = if self.has_namespace {
            "in a network namespace of its own"
        } else {
            "with skip_networking only"
        };
        match self.id {
            Some(id) => format!("user id {id}, {network}"),
            None => format!("user id {} of this program, {network}", geteuid().as_raw()),
        }
    }

    /// Checks that the account can reach a directory.
    pub(super) fn check_reach(&self, directory: &Path) -> Result<()> {
        if self.id.is_none() {
            return Ok(());
        }
        let real = fs::canonicalize(directory).map_err(|e| Error::io("look at", directory, e))?;
        for above in real.ancestors() {
            let mode = fs::metadata(above).map_err(|e| Error::io("look at", above, e))?.mode();
            if mode & 0o001 == 0 {
                use crate::show::Shown;
                return Err(Error::Usage(format!(
                    "the temporary server runs as a user of its own, which cannot pass {} (mode {:04o}): name a directory with \
                     --work that all users can reach, such as one below /var/tmp. Its files are closed to other users",
                    above.shown(),
                    mode & 0o7777
                )));
            }
        }
        Ok(())
    }
}

fn works(before: &[&str]) -> bool {
    let Some((program, args)) = before.split_first() else { return true };
    let mut command = Command::new(program);
    command.args(args).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A user id that no account has and no process runs as.
fn unused_id() -> Result<u32> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut used: BTreeSet<u32> = passwd.lines().filter_map(|l| l.split(':').nth(2)?.parse().ok()).collect();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        used.extend(process.metadata().map(|meta| meta.uid()));
    }
    let (first, count) = (*DYNAMIC.start(), DYNAMIC.end() - DYNAMIC.start() + 1);
    loop {
        let random = random_array::<4>().map_err(Failure::System)?;
        let id = first + u32::from_le_bytes(random) % count;
        if !used.contains(&id) {
            return Ok(id);
        }
    }
}
