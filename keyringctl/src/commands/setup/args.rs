// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl setup`.

use crate::commands::init::NewRecovery;
use crate::commands::site;
use crate::host::Way;
use keyring_external::unlock::UnlockSource;
use std::path::PathBuf;

/// Create a keyring and configure mysqld, systemd, AppArmor and SELinux for it
///
/// Prompts for what was not given; what is configured already is the default. Shows every file that it will write and every command that it will run, and asks for
/// confirmation before it does so. If a file exists with other contents, the difference is shown and the old file kept as
/// FILE.bak. Nothing is restarted.
#[derive(clap::Args, Default)]
#[group(id = "setup")]
#[command(after_help = "Examples:\n  \
    keyringctl setup\n  \
    keyringctl setup /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --dry-run\n  \
    keyringctl setup /mnt/a/keys/main.keyring --unlock credential:keyring --yes")]
pub(in crate::commands) struct Args {
    /// Keyring file on the external volume; an existing one is used
    pub path: Option<PathBuf>,
    /// Additional copy on another volume (repeatable)
    #[arg(long = "mirror", value_name = "PATH")]
    pub mirrors: Vec<PathBuf>,
    /// Copy that the server no longer uses; the file itself is not removed (repeatable). Without this option, setup keeps
    /// every copy that is configured
    #[arg(long = "remove-mirror", value_name = "PATH")]
    pub remove_mirrors: Vec<PathBuf>,
    /// Label of the keyring, shown by status; readable without the secret
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub label: String,
    #[command(flatten)]
    pub recovery: NewRecovery,
    /// Source of the unlock secret for mysqld: file:PATH, credential:NAME (systemd), env:NAME or
    /// "command:PROGRAM ARGS". A missing file is created with 32 random bytes
    /// [default: what is configured, or file:/etc/mysql/keyring_external.secret]
    #[arg(long, value_name = "SOURCE")]
    pub unlock: Option<UnlockSource>,
    /// File that systemd passes to mysqld as the credential [default: what is configured, or
    /// /etc/mysql/keyring_external.secret]
    #[arg(long, value_name = "PATH")]
    pub credential_file: Option<PathBuf>,
    /// How mysqld loads the keyring [default: as it does now; if it loads none, component from MySQL 8.4 on, plugin
    /// before]
    #[arg(long = "as", value_name = "WAY")]
    pub load_as: Option<LoadAs>,
    /// Minimum number of copies that must store a new key before MySQL gets it [default: what is configured, or 1]
    #[arg(long, value_name = "N")]
    pub min_copies: Option<u32>,
    /// Seconds that mysqld waits at start for a volume that is mounted late [default: what is configured, or 0]
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u32>,
    /// Allow the keyring on the filesystem of the data directory: anyone who takes that disk has both [default: what is
    /// configured, or false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_same_device: Option<bool>,
    /// Audit log that mysqld writes, and setup itself; none: no audit log. A missing directory is created [default: what
    /// is configured, or none]
    // It takes the place of the global option of the same name.
    #[arg(long, value_name = "FILE")]
    pub audit_log: Option<PathBuf>,
    /// Remove other keyrings from the manifest. Import their keys first: keyringctl import
    #[arg(long)]
    pub replace_keyring: bool,
    /// Create a new keyring although the server has, or had, another one. Data that is encrypted with the keys of the old
    /// one cannot be read with the new one
    #[arg(long)]
    pub new_keyring: bool,
    /// Directory for the option file of the plugin. If mysqld does not read it, the server's main option file gets a line
    /// that includes the file [default: a directory that mysqld reads]
    #[arg(long, value_name = "DIR")]
    pub option_dir: Option<PathBuf>,
    /// Do not configure this part (repeatable)
    #[arg(long, value_name = "PART")]
    pub without: Vec<SkippedPart>,
    /// Do not ask: write everything
    #[arg(long)]
    pub yes: bool,
    /// Show every file that would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub site: site::Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands) enum LoadAs {
    Plugin,
    Component,
}

impl From<LoadAs> for Way {
    fn from(way: LoadAs) -> Way {
        match way {
            LoadAs::Plugin => Way::Plugin,
            LoadAs::Component => Way::Component,
        }
    }
}

/// A part that can be skipped.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands) enum SkippedPart {
    Systemd,
    Apparmor,
    Selinux,
}
