// SPDX-License-Identifier: GPL-2.0-or-later
//! How `keyringctl` gets an unlock secret: from a source as the server does, or from the terminal,
//! without echo. Never from its arguments (invariant 6).

use crate::error::{Error, Result};
use crate::format::image::Note;
use crate::format::slots::UnlockSecret;
use crate::keyring::{Keyring, load_with};
use crate::secret::Locked;
use crate::store::fs::Fs;
use crate::unlock::UnlockSource;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroize;

const TERMINAL: &str = "the terminal";

#[derive(clap::Args)]
#[group(id = "secret")]
pub(super) struct Args {
    /// Where the unlock secret comes from: file:PATH, credential:NAME, env:NAME or
    /// "command:PROGRAM ARGS". Without it, a terminal is asked for a passphrase or recovery key
    #[arg(long, value_name = "SOURCE")]
    pub unlock: Option<UnlockSource>,
}

impl Args {
    /// What messages call the source.
    pub fn name(&self) -> String {
        self.unlock.as_ref().map_or_else(|| TERMINAL.to_owned(), UnlockSource::to_string)
    }

    /// Reads the secret of an existing keyring.
    pub fn read(&self, path: &Path) -> Result<UnlockSecret> {
        match &self.unlock {
            Some(source) => source.read(),
            None => ask(&format!("Passphrase or recovery key of {}: ", path.display())),
        }
    }

    /// The same secret once more, for another reader.
    pub fn read_again(&self, secret: &UnlockSecret) -> Result<UnlockSecret> {
        Ok(UnlockSecret::new(Locked::copy_of(secret.raw())?))
    }

    /// Reads the secret for a new keyring: a terminal is asked twice.
    pub fn read_new(&self) -> Result<UnlockSecret> {
        if let Some(source) = &self.unlock {
            return source.read();
        }
        let first = ask("New passphrase: ")?;
        let again = ask("The same again: ")?;
        if first.raw() != again.raw() {
            return Err(refused("the two passphrases differ: try again"));
        }
        Ok(first)
    }

    /// Opens a keyring.
    pub fn load(&self, fs: &Arc<dyn Fs>, path: &Path) -> Result<(Keyring, Vec<Note>)> {
        load_with(fs, path, &self.name(), || self.read(path))
    }
}

fn refused(why: &str) -> Error {
    Error::Unlock { source_name: TERMINAL.to_owned(), why: why.to_owned() }
}

fn ask(prompt: &str) -> Result<UnlockSecret> {
    if !std::io::stdin().is_terminal() {
        return Err(refused("there is none to ask: give the source of the secret with --unlock"));
    }
    let mut typed = rpassword::prompt_password(prompt).map_err(|e| refused(&e.to_string()))?;
    let secret = if typed.is_empty() {
        Err(refused("nothing was typed"))
    } else {
        Ok(Locked::copy_of(typed.as_bytes())?)
    };
    typed.zeroize();
    secret.map(UnlockSecret::new)
}
