// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads unlock secrets: from a source, as the server does, or from the terminal without echo. Never from the
//! arguments (invariant 6).

mod custodians;
pub(super) mod prompt;

use crate::commands::store_places::remotes_option;
use crate::show::{self, Shown};
use custodians::SHARES;
use keyring_external::error::{Failure, Refusal, Result};
use keyring_external::format::FormatError;
use keyring_external::format::cost::Cost;
use keyring_external::format::image::Note;
use keyring_external::keyring::{Keyring, Verifier, load_with};
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use prompt::{RECOVERY, TERMINAL};
use std::path::Path;

/// The option that names the unlock secret in the commands of messages, if its source is not known.
pub(super) const UNNAMED: &str = " --unlock SOURCE";

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
    /// Unlock with the shares of custodians: prompt for them one after the other until there are enough, or read them from
    /// standard input, one a line, if that is not a terminal
    #[arg(long, conflicts_with_all = ["unlock", "recovery"])]
    pub custodians: bool,
}

/// The name of a source in messages.
pub(super) fn name_of(source: Option<&UnlockSource>) -> String {
    source.map_or_else(|| TERMINAL.to_owned(), UnlockSource::to_string)
}

impl NewSecret {
    /// The name of the source in messages.
    pub(super) fn name(&self) -> String {
        name_of(self.unlock.as_ref())
    }

    /// Reads the secret. Prompts twice on a terminal.
    pub(super) fn read_new(&self) -> Result<UnlockSecret> {
        read_new(self.unlock.as_ref(), "--unlock")
    }
}

/// Reads a new secret from `source`, which `option` names. Without a source, prompts twice on a terminal.
pub(super) fn read_new(source: Option<&UnlockSource>, option: &str) -> Result<UnlockSecret> {
    source.map_or_else(|| prompt::ask_new(option), read_source)
}

impl Args {
    /// The name of the source in messages.
    pub(super) fn name(&self) -> String {
        match self.unlock.as_ref() {
            None if self.recovery => RECOVERY.to_owned(),
            None if self.custodians => SHARES.to_owned(),
            source => name_of(source),
        }
    }

    /// Whether the options name a source.
    pub(super) fn is_given(&self) -> bool {
        self.unlock.is_some() || self.is_on_paper()
    }

    /// Whether people are asked for what they keep on paper.
    pub(super) fn is_on_paper(&self) -> bool {
        self.recovery || self.custodians
    }

    /// The options of a command that opens the same copies: the secret, with the real source if it is known, and the
    /// remotes file, if this run was given one.
    pub(super) fn option(&self) -> String {
        self.unlock_option() + &remotes_option()
    }

    /// The option that names the secret in a command.
    pub(super) fn unlock_option(&self) -> String {
        match &self.unlock {
            Some(source) if can_be_pasted(source) => format!(" --unlock {}", source.to_string().shown()),
            Some(_) => UNNAMED.to_owned(),
            None if self.recovery => " --recovery".to_owned(),
            None if self.custodians => " --custodians".to_owned(),
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
            None if self.recovery => prompt::read_recovery_key(path),
            None if self.custodians => custodians::read(path),
            None => prompt::ask(&format!("Passphrase or recovery key of {}: ", path.shown()), "--unlock"),
        }
    }

    /// Copies a secret, for another reader.
    pub(super) fn read_again(&self, secret: &UnlockSecret) -> Result<UnlockSecret> {
        Ok(UnlockSecret::new(Locked::copy_of(secret.raw())?))
    }

    /// Whether somebody types the secret, and so can type it again. Shares are tried while they are asked for.
    fn is_typed(&self) -> bool {
        self.unlock.is_none() && !self.custodians && prompt::has_terminal()
    }

    /// Opens a keyring.
    pub(super) fn load(&self, places: &Places, path: &Path) -> Result<(Keyring, Vec<Note>)> {
        Once::new(self).load(places, path)
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

/// Reads the secret from a source, as far as this process can. Says what to name instead of a credential in a shell.
pub(super) fn read_source(source: &UnlockSource) -> Result<UnlockSecret> {
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
    pub(super) fn load(&mut self, places: &Places, path: &Path) -> Result<(Keyring, Vec<Note>)> {
        let name = self.args.name();
        self.open(path, |read| load_with(places, path, &name, read))
    }

    /// Opens something with `open`, which reads the secret when it needs it. A secret that somebody types for it, and that
    /// does not unlock it, is asked for again.
    pub(super) fn open<T>(
        &mut self,
        path: &Path,
        mut open: impl FnMut(&mut dyn FnMut() -> Result<UnlockSecret>) -> Result<T>,
    ) -> Result<T> {
        let mut tries_left = if self.secret.is_none() && self.args.is_typed() { prompt::TRIES } else { 1 };
        loop {
            tries_left -= 1;
            let opened = open(&mut || self.read(path));
            let is_wrong =
                opened.as_ref().is_err_and(|e| matches!(e.refusal(), Some(Refusal::WrongSecret { .. })));
            if !is_wrong || tries_left == 0 {
                return opened;
            }
            self.secret = None;
            let what = if self.args.recovery { "recovery key" } else { "secret" };
            show::warn(format_args!("this {what} does not unlock {}: try again", path.shown()));
        }
    }
}

/// A secret that is typed to verify a slot.
#[derive(Clone, Copy)]
pub(super) enum Typed {
    /// The recovery key, on a terminal or from standard input.
    RecoveryKey,
    /// The shares of custodians, on a terminal or from standard input.
    Shares,
    /// A passphrase, on a terminal.
    Passphrase,
}

/// Reads a secret with which a slot of `keyring` is verified. One that is typed, and fits no slot, is asked for again.
pub(super) fn read_typed(what: Typed, keyring: &Keyring, path: &Path) -> Result<Verifier> {
    let mut tries_left = prompt::TRIES;
    loop {
        tries_left -= 1;
        let (source_name, secret) = match what {
            Typed::RecoveryKey => (RECOVERY, prompt::read_recovery_key(path)?),
            Typed::Shares => (SHARES, custodians::read(path)?),
            Typed::Passphrase => {
                let question = format!("Passphrase of the slot of {} to verify: ", path.shown());
                (TERMINAL, prompt::ask(&question, "--verify-slot")?)
            }
        };
        // If it fits no slot after all, the renewal says so.
        if tries_left == 0 || !prompt::has_terminal() || !keyring.slots_of(&secret)?.is_empty() {
            return Ok(Verifier { source_name: source_name.to_owned(), secret });
        }
        show::warn("this secret fits no slot: try again");
    }
}

/// The cost of Argon2id on this machine, if the new secret is a passphrase.
pub(super) fn measured_cost(secret: &UnlockSecret) -> Result<Cost> {
    let cost = if secret.is_text() { Cost::measured() } else { Ok(Cost::NONE) };
    cost.map_err(FormatError::in_memory)
}

#[cfg(test)]
mod tests {
    use crate::commands::Cli;
    use clap::{Command, CommandFactory};

    /// The help of `--recovery` in all commands that have it.
    fn helps(command: &Command, found: &mut Vec<(String, String)>) {
        for arg in command.get_arguments().filter(|arg| arg.get_long() == Some("recovery")) {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            found.push((command.get_name().to_owned(), help));
        }
        command.get_subcommands().for_each(|sub| helps(sub, found));
    }

    #[test]
    fn recovery_means_one_thing_in_all_commands() {
        let mut found = Vec::new();
        helps(&Cli::command(), &mut found);
        assert!(found.iter().any(|(name, _)| name == "add") && found.len() > 8, "{found:?}");
        for (name, help) in &found {
            assert!(help.starts_with("Unlock with the recovery key"), "{name}: {help}");
        }
    }
}
