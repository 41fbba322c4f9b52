// SPDX-License-Identifier: GPL-2.0-or-later
//! The arguments of `keyringctl setup`.

use crate::commands::site;
use crate::host::Way;
use keyring_external::unlock::UnlockSource;
use std::path::PathBuf;

/// Make a keyring, and write what mysqld, systemd and AppArmor need for it
///
/// Asks for what is not given, shows every file that it would write, and asks again before it writes. A file that is
/// there with other contents is shown as a difference and kept as FILE.bak. Nothing is restarted.
#[derive(clap::Args)]
#[group(id = "setup")]
#[command(after_help = "Examples:\n  \
    keyringctl setup\n  \
    keyringctl setup /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --dry-run\n  \
    keyringctl setup /mnt/a/keys/main.keyring --unlock credential:keyring --yes")]
pub(in crate::commands) struct Args {
    /// The keyring file, on the external volume. One that is there already is used
    pub path: Option<PathBuf>,
    /// A further copy, on another volume (repeatable)
    #[arg(long = "mirror", value_name = "PATH")]
    pub mirrors: Vec<PathBuf>,
    /// A name for people, shown by status; readable without the secret
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub label: String,
    /// Where mysqld gets the unlock secret from: file:PATH, credential:NAME (systemd), env:NAME or "command:PROGRAM ARGS".
    /// A file that is not there is made, with 32 random bytes [default: file:/etc/mysql/keyring_external.secret]
    #[arg(long, value_name = "SOURCE")]
    pub unlock: Option<UnlockSource>,
    /// The file that systemd hands to mysqld as that credential [default: /etc/mysql/keyring_external.secret]
    #[arg(long, value_name = "PATH")]
    pub credential_file: Option<PathBuf>,
    /// How mysqld loads it [default: component from 8.4 on, plugin before]
    #[arg(long = "as", value_name = "WAY")]
    pub load_as: Option<LoadAs>,
    /// On how many copies a new key must be before MySQL gets it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub min_copies: u32,
    /// Seconds that mysqld waits at start for a volume that mounts late
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    pub wait: u32,
    /// Allow the keyring on the data directory's own filesystem: whoever takes that disk has both
    #[arg(long)]
    pub allow_same_device: bool,
    /// Take other keyrings out of the manifest. Import their keys first: keyringctl import
    #[arg(long)]
    pub replace_keyring: bool,
    /// The directory for the option file [default: /etc/mysql/mysql.conf.d, /etc/mysql/conf.d or /etc/my.cnf.d]
    #[arg(long, value_name = "DIR")]
    pub option_dir: Option<PathBuf>,
    /// Write nothing for it (repeatable)
    #[arg(long, value_name = "PART")]
    pub without: Vec<Part>,
    /// Ask nothing: write all
    #[arg(long)]
    pub yes: bool,
    /// Show every file that would be written, and write nothing
    #[arg(long, conflicts_with = "yes")]
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

/// What can be left out.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands) enum Part {
    Systemd,
    Apparmor,
}
