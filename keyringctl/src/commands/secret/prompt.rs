// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks for secrets on the terminal, without echo. What cannot be right is asked again: an empty line, two new
//! passphrases that differ, a mistyped recovery key.

use crate::show::{self, Shown, visible};
use keyring_external::error::{Error, Failure, Result};
use keyring_external::keyring::MIN_PASSPHRASE;
use keyring_external::recovery::RecoveryKey;
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::unlock::MAX_UNLOCK;
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

pub(super) const TERMINAL: &str = "the terminal";
pub(super) const RECOVERY: &str = "the recovery key";
/// How often a secret is asked for.
pub(super) const TRIES: usize = 3;

/// Whether somebody can be asked.
pub(super) fn has_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks for a secret. `option` is what names its source instead.
pub(in crate::commands) fn ask(prompt: &str, option: &str) -> Result<UnlockSecret> {
    if !has_terminal() {
        return Err(refused(&format!(
            "standard input is not a terminal, so nobody can be asked. Name the source of the secret: {option} SOURCE"
        )));
    }
    tried(|| {
        let mut typed = rpassword::prompt_password(visible(prompt)).map_err(|e| refused(&e.to_string()))?;
        let secret = if typed.is_empty() { None } else { Some(Locked::copy_of(typed.as_bytes())?) };
        typed.zeroize();
        Ok(secret.map(UnlockSecret::new).ok_or_else(|| "the input was empty".to_owned()))
    })
}

/// Asks for a new passphrase, twice.
pub(super) fn ask_new(option: &str) -> Result<UnlockSecret> {
    tried(|| {
        let first = ask("New passphrase: ", option)?;
        let length = first.passphrase().len();
        if length < MIN_PASSPHRASE {
            return Ok(Err(format!(
                "a passphrase needs at least {MIN_PASSPHRASE} bytes, this one has {length}"
            )));
        }
        let again = ask("Repeat passphrase: ", option)?;
        Ok(if first.raw() == again.raw() { Ok(first) } else { Err("the two passphrases differ".to_owned()) })
    })
}

/// Reads a recovery key. Says where it was mistyped. Without a terminal, it is a line of standard input.
pub(super) fn read_recovery_key(path: &Path) -> Result<UnlockSecret> {
    let prompt = format!("Recovery key of {}: ", path.shown());
    if has_terminal() {
        return tried(|| {
            let secret = ask(&prompt, "--unlock")?;
            let wrong = RecoveryKey::parse(secret.raw()).err().map(|e| e.to_string());
            Ok(wrong.map_or(Ok(secret), Err))
        });
    }
    let unusable = |why: String| Error::from(Failure::Unlock { source_name: RECOVERY.to_owned(), why });
    // One line at most: another program may read the rest.
    let mut line = Zeroizing::new(Vec::new());
    std::io::stdin()
        .lock()
        .take(MAX_UNLOCK as u64)
        .read_until(b'\n', &mut line)
        .map_err(|e| unusable(e.to_string()))?;
    if line.is_empty() {
        let why = "standard input is empty. Pipe the recovery key in, or run this command on a terminal";
        return Err(unusable(why.to_owned()));
    }
    RecoveryKey::parse(&line).map_err(|e| unusable(e.to_string()))?;
    Ok(UnlockSecret::new(Locked::copy_of(&line)?))
}

/// Repeats a question until its answer can be used, at most [`TRIES`] times.
fn tried<T>(mut question: impl FnMut() -> Result<std::result::Result<T, String>>) -> Result<T> {
    let mut tries_left = TRIES;
    loop {
        tries_left -= 1;
        match question()? {
            Ok(answer) => return Ok(answer),
            Err(why) if tries_left == 0 => return Err(refused(&why)),
            Err(why) => show::warn(format_args!("{why}: try again")),
        }
    }
}

fn refused(why: &str) -> Error {
    Failure::Unlock { source_name: TERMINAL.to_owned(), why: why.to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_three_times_at_most() {
        for wrong in 0..4 {
            let mut asked = 0;
            let answer = tried(|| {
                asked += 1;
                Ok(if asked > wrong { Ok(asked) } else { Err("it is empty".to_owned()) })
            });
            assert_eq!(asked, TRIES.min(wrong + 1));
            assert_eq!(answer.is_ok(), wrong < TRIES, "{answer:?}");
        }
    }
}
