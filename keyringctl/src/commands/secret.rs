// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads unlock secrets: from a source, as the server does, or from the terminal without echo. Never from the
//! arguments (invariant 6).

use crate::show::{self, Shown, visible};
use keyring_external::error::{Error, Failure, Result};
use keyring_external::format::FormatError;
use keyring_external::format::cost::Cost;
use keyring_external::format::image::Note;
use keyring_external::keyring::{Keyring, Verifier, load_with};
use keyring_external::recovery::RecoveryKey;
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::fs::Fs;
use keyring_external::unlock::{MAX_UNLOCK, UnlockSource};
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

const TERMINAL: &str = "the terminal";
const RECOVERY: &str = "the recovery key";
/// The option that names the unlock secret in the commands of messages, if its source is not known.
const UNNAMED: &str = " --unlock SOURCE";
const RECOVERY_TRIES: usize = 3;

/// Where the secret of a new keyring or slot comes from.
#[derive(clap::Args)]
#[group(id = "source")]
pub(super) struct NewSecret {
    /// Source of the unlock secret: file:PATH, credential:NAME, env:NAME or "command:PROGRAM ARGS"
    /// [default: prompt for a passphrase]
    #[arg(long, value_name = "SOURCE")]
    pub unlock: Option<UnlockSource>,
}

/// Where the secret of an existing keyring comes from.
#[derive(clap::Args, Clone, Default, Debug)]
#[group(id = "secret")]
pub(super) struct Args {
    /// Source of the unlock secret: file:PATH, credential:NAME, env:NAME or "command:PROGRAM ARGS"
    /// [default: prompt for a passphrase or recovery key]
    #[arg(long, value_name = "SOURCE")]
    pub unlock: Option<UnlockSource>,
    /// Unlock with the recovery key: prompt for it, or read it from standard input if that is not a terminal
    #[arg(long, conflicts_with = "unlock")]
    pub recovery: bool,
}

fn name_of(source: &Option<UnlockSource>) -> String {
    source.as_ref().map_or_else(|| TERMINAL.to_owned(), UnlockSource::to_string)
}

impl NewSecret {
    /// The name of the source in messages.
    pub(super) fn name(&self) -> String {
        name_of(&self.unlock)
    }

    /// Reads the secret. Prompts twice on a terminal.
    pub(super) fn read_new(&self) -> Result<UnlockSecret> {
        if let Some(source) = &self.unlock {
            return read_source(source);
        }
        let first = ask("New passphrase: ")?;
        let again = ask("Repeat passphrase: ")?;
        if first.raw() != again.raw() {
            return Err(refused("the two passphrases differ: try again"));
        }
        Ok(first)
    }
}

impl Args {
    /// The name of the source in messages.
    pub(super) fn name(&self) -> String {
        if self.recovery { RECOVERY.to_owned() } else { name_of(&self.unlock) }
    }

    /// Whether the options name a source.
    pub(super) fn is_given(&self) -> bool {
        self.unlock.is_some() || self.recovery
    }

    /// The option that names the secret in a command: with the real source, if it is known.
    pub(super) fn option(&self) -> String {
        match &self.unlock {
            Some(source) if can_be_pasted(source) => format!(" --unlock {}", source.to_string().shown()),
            Some(_) => UNNAMED.to_owned(),
            None if self.recovery => " --recovery".to_owned(),
            None => UNNAMED.to_owned(),
        }
    }

    /// Puts the real source into the commands of a message.
    pub(super) fn named_in(&self, message: String) -> String {
        message.replace(UNNAMED, &self.option())
    }

    /// Reads the secret.
    pub(super) fn read(&self, path: &Path) -> Result<UnlockSecret> {
        match &self.unlock {
            Some(source) => read_source(source),
            None if self.recovery => read_recovery_key(path),
            None => ask(&format!("Passphrase or recovery key of {}: ", path.shown())),
        }
    }

    /// Copies a secret, for another reader.
    pub(super) fn read_again(&self, secret: &UnlockSecret) -> Result<UnlockSecret> {
        Ok(UnlockSecret::new(Locked::copy_of(secret.raw())?))
    }

    /// Opens a keyring.
    pub(super) fn load(&self, fs: &Arc<dyn Fs>, path: &Path) -> Result<(Keyring, Vec<Note>)> {
        load_with(fs, path, &self.name(), || self.read(path))
    }
}

/// Whether a source means the same in the administrator's shell: a credential is there for its service only, and messages
/// do not show the arguments of a program.
fn can_be_pasted(source: &UnlockSource) -> bool {
    match source {
        UnlockSource::Credential(_) => has_credentials(),
        UnlockSource::Command(words) => words.len() == 1,
        UnlockSource::File(_) | UnlockSource::Env(_) => true,
    }
}

fn has_credentials() -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some()
}

/// Reads the secret from a source. Says what to name instead of a credential in a shell.
fn read_source(source: &UnlockSource) -> Result<UnlockSecret> {
    match source {
        UnlockSource::Credential(name) if !has_credentials() => Err(Failure::Unlock {
            source_name: source.to_string(),
            why: format!(
                "systemd passes a credential to its service only. Here, name the file behind it: --unlock file:PATH, with the path that the unit of mysqld has in LoadCredential={name}:PATH"
            ),
        }
        .into()),
        _ => source.read(),
    }
}

/// A secret for several files, which is read or prompted for once, when the first of them needs it.
pub(super) struct Once<'a> {
    args: &'a Args,
    secret: Option<UnlockSecret>,
}

impl<'a> Once<'a> {
    pub(super) fn new(args: &'a Args) -> Self {
        Self { args, secret: None }
    }

    /// The options that name its source.
    pub(super) fn args(&self) -> &'a Args {
        self.args
    }

    /// Whether the options name a source.
    pub(super) fn is_given(&self) -> bool {
        self.args.is_given()
    }

    /// The secret; `path` is the file that needs it.
    pub(super) fn read(&mut self, path: &Path) -> Result<UnlockSecret> {
        let secret = match &mut self.secret {
            Some(secret) => secret,
            none => none.insert(self.args.read(path)?),
        };
        self.args.read_again(secret)
    }

    /// Opens a keyring.
    pub(super) fn load(&mut self, fs: &Arc<dyn Fs>, path: &Path) -> Result<(Keyring, Vec<Note>)> {
        load_with(fs, path, &self.args.name(), || self.read(path))
    }
}

/// A secret that is typed to verify a slot.
#[derive(Clone, Copy)]
pub(super) enum Typed {
    /// The recovery key, on a terminal or from standard input.
    RecoveryKey,
    /// A passphrase, on a terminal.
    Passphrase,
}

/// Reads a secret with which a slot is verified.
pub(super) fn read_typed(what: Typed, path: &Path) -> Result<Verifier> {
    let (source_name, secret) = match what {
        Typed::RecoveryKey => (RECOVERY, read_recovery_key(path)?),
        Typed::Passphrase => {
            (TERMINAL, ask(&format!("Passphrase of the slot of {} to verify: ", path.shown()))?)
        }
    };
    Ok(Verifier { source_name: source_name.to_owned(), secret })
}

/// Reads a recovery key. Says where it was mistyped, and prompts again on a terminal.
fn read_recovery_key(path: &Path) -> Result<UnlockSecret> {
    let terminal = std::io::stdin().is_terminal();
    for tries_left in (0..RECOVERY_TRIES).rev() {
        let secret = if terminal {
            ask(&format!("Recovery key of {}: ", path.shown()))?
        } else {
            // One line at most: another program may read the rest.
            let mut line = Zeroizing::new(Vec::new());
            std::io::stdin().lock().take(MAX_UNLOCK as u64).read_until(b'\n', &mut line).map_err(|e| {
                Error::from(Failure::Unlock { source_name: RECOVERY.to_owned(), why: e.to_string() })
            })?;
            if line.is_empty() {
                let why =
                    "standard input is empty. Pipe the recovery key in, or run this on a terminal".to_owned();
                return Err(Failure::Unlock { source_name: RECOVERY.to_owned(), why }.into());
            }
            UnlockSecret::new(Locked::copy_of(&line)?)
        };
        match RecoveryKey::parse(secret.raw()) {
            Ok(_) => return Ok(secret),
            Err(e) if terminal && tries_left > 0 => show::warn(format_args!("{e}: try again")),
            Err(e) => {
                return Err(Failure::Unlock { source_name: RECOVERY.to_owned(), why: e.to_string() }.into());
            }
        }
    }
    Err(refused("no recovery key was entered"))
}

/// The cost of Argon2id on this machine, if the new secret is a passphrase.
pub(super) fn measured_cost(secret: &UnlockSecret) -> Result<Cost> {
    let cost = if secret.is_text() { Cost::measured() } else { Ok(Cost::NONE) };
    cost.map_err(FormatError::in_memory)
}

fn refused(why: &str) -> Error {
    Failure::Unlock { source_name: TERMINAL.to_owned(), why: why.to_owned() }.into()
}

fn ask(prompt: &str) -> Result<UnlockSecret> {
    if !std::io::stdin().is_terminal() {
        return Err(refused("there is no terminal. Name the source of the secret with --unlock"));
    }
    let mut typed = rpassword::prompt_password(visible(prompt)).map_err(|e| refused(&e.to_string()))?;
    let secret = if typed.is_empty() {
        Err(refused("the input was empty"))
    } else {
        Ok(Locked::copy_of(typed.as_bytes())?)
    };
    typed.zeroize();
    secret.map(UnlockSecret::new)
}
