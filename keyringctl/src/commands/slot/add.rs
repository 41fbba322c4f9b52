// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl slot add`.

use crate::commands::handout::{self, Handout, Wait};
use crate::commands::output::Output;
use crate::commands::secret::{self, measured_cost};
use crate::commands::slot_row::{self, SlotRow};
use crate::commands::target::{OpenedTarget, TargetKeyring};
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::custodians::Custodians;
use keyring_external::format::layout::SLOT_NAME_LEN;
use keyring_external::keyring::{SET_IN_NAME_LEN, set_in_name};
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// Add an unlock slot for a passphrase, a secret file, a new recovery key or custodians
///
/// The new slot gets the lowest free number. --unlock, --recovery or --custodians says what unlocks the keyring now;
/// --new, --new-passphrase, --new-recovery or --new-custodians says what will unlock it too.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl slot add /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring_external.secret --new-recovery\n  \
    keyringctl slot add /mnt/keyring/keys/main.keyring --unlock file:/etc/mysql/keyring_external.secret --new-custodians 2-of-3\n  \
    keyringctl slot add /mnt/keyring/keys/main.keyring --recovery --new file:/etc/mysql/new.secret --name server")]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetKeyring,
    /// Source of the new secret, as for --unlock [default: --new-passphrase]
    #[arg(long, value_name = "SOURCE", group = "added")]
    new: Option<UnlockSource>,
    /// Prompt for a new passphrase
    #[arg(long, group = "added")]
    new_passphrase: bool,
    /// Create a recovery key and show it (shown only once)
    #[arg(long, group = "added")]
    new_recovery: bool,
    /// Create shares for custodians (shown only once), such as 2-of-3: 3 people get a share each, and any 2 of them can
    /// unlock the keyring together, but none alone. At most 16. --custodians 2-of-3 means the same, as in init
    #[arg(long, value_name = "K-of-N", group = "added")]
    new_custodians: Option<Custodians>,
    /// Write each share to a printable page of its own in this directory (HTML for A4, with a QR code), instead of showing
    /// it
    #[arg(long, value_name = "DIR", requires = "new_custodians")]
    pages: Option<PathBuf>,
    /// Name of the slot; readable without the secret. That of a slot for custodians ends with the set of their shares
    /// [default: "recovery key", or "added"]
    #[arg(long, value_name = "TEXT", value_parser = slot_name)]
    name: Option<String>,
}

/// The words of a command line, with `slot add --custodians 2-of-3` spelled in full. Without a number that option says what
/// unlocks the keyring, as in all commands, and clap cannot tell `--custodians KEYRING` from one with a number.
pub(in crate::commands) fn in_full(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const OPTION: &str = "--custodians";
    let mut words: Vec<_> = words.collect();
    let is_slot_add = words.windows(2).any(|two| two[0] == "slot" && two[1] == "add");
    let numbers = |word: &OsString| word.to_str().is_some_and(|text| Custodians::from_str(text).is_ok());
    for i in 0..if is_slot_add { words.len() } else { 0 } {
        if words[i] == "--" {
            break;
        }
        let joined = words[i].to_str().and_then(|word| word.strip_prefix(OPTION)?.strip_prefix('='));
        if let Some(number) = joined {
            words[i] = format!("--new-custodians={number}").into();
        } else if words[i] == OPTION && words.get(i + 1).is_some_and(numbers) {
            words[i] = "--new-custodians".into();
        }
    }
    words
}

/// A name that fits into a slot.
fn slot_name(text: &str) -> std::result::Result<String, String> {
    if text.len() > SLOT_NAME_LEN {
        return Err(format!("it has {} bytes, and a slot has room for {SLOT_NAME_LEN}", text.len()));
    }
    if set_in_name(text).is_some() {
        return Err(
            "it ends like the name of a slot for custodians, which says the set of their shares".to_owned()
        );
    }
    Ok(text.to_owned())
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<()> {
    let says_what =
        args.new.is_some() || args.new_passphrase || args.new_recovery || args.new_custodians.is_some();
    // An administrator may expect that it creates a recovery key, or shares.
    if args.target.secret.is_on_paper() && !says_what {
        let (option, with, another) = match args.target.secret.recovery {
            true => ("--recovery", "the recovery key", "--new-recovery creates another recovery key"),
            false => ("--custodians", "shares", "--new-custodians 2-of-3 creates new shares"),
        };
        return Err(Error::Usage(format!(
            "{option} unlocks the keyring with {with}, as in all commands. Say also what to add: {another}, --new SOURCE \
             adds a secret from a source, --new-passphrase asks for a passphrase. Nothing was changed"
        )));
    }
    handout::prepare(args.pages.as_deref())?;
    let opened = args.target.open()?;
    if let Some(custodians) = args.new_custodians {
        return add_custodians(args, custodians, &opened, out);
    }
    let (number, key) = if args.new_recovery {
        opened.bring_up_to_date()?;
        let (number, key) = opened.keyring.add_recovery_slot(args.name.as_deref())?;
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = key.write_to(&mut text);
        (number, Some(text))
    } else {
        (add_secret(args, &opened)?, None)
    };
    let rows = slot_row::rows(&opened.keyring.slots());
    let added = rows.iter().find(|row| row.number == number);
    let described = added.map(SlotRow::identity).unwrap_or_default();
    out.line(format_args!("Added slot {number}: {described}"));
    if let Some(key) = &key {
        out.line("The new recovery key (shown only once):");
        out.line("");
        out.line(format_args!("    {key}"));
        out.line("");
    }
    slot_row::print(&rows, out);
    let mut document = json!({ "added": added, "slots": rows });
    if let (Some(key), Some(fields)) = (&key, document.as_object_mut()) {
        fields.insert("recovery_key".to_owned(), key.clone().into());
    }
    out.document(&document);
    if key.is_some() {
        let delivered = out.deliver();
        undo_unless(delivered, "the new recovery key", &opened, number)?;
    }
    Ok(())
}

/// Adds a slot for custodians, and hands out their shares.
fn add_custodians(
    args: &Args,
    custodians: Custodians,
    opened: &OpenedTarget,
    out: &mut Output,
) -> Result<()> {
    let most = SLOT_NAME_LEN - SET_IN_NAME_LEN;
    if let Some(name) = args.name.as_ref().filter(|name| name.len() > most) {
        return Err(Error::Usage(format!(
            "--name has {} bytes, and the slot has room for {most} and the set of the shares: use a shorter one",
            name.len()
        )));
    }
    opened.bring_up_to_date()?;
    let (number, shares) = opened.keyring.add_custodians_slot(custodians, args.name.as_deref())?;
    let slots = opened.keyring.slots();
    let rows = slot_row::rows(&slots);
    let added = rows.iter().find(|row| row.number == number);
    out.line(format_args!("Added slot {number}: {}", added.map(SlotRow::identity).unwrap_or_default()));
    slot_row::print(&rows, out);
    let created = slots.get(number).map_or(0, |slot| slot.created);
    let delivered = opened.claims().and_then(|claims| {
        let mut document = json!({ "added": added, "slots": rows });
        let handout = Handout::new(&shares, &claims, created, args.pages.as_deref());
        let wait: Wait<'_> = &mut handout::wait_for_enter;
        handout.deliver(&mut document, out, Some(wait)).map_err(|e| Error::Usage(e.to_string()))
    });
    undo_unless(delivered, "the shares of the custodians", opened, number)
}

/// Adds a slot for a secret that unlocks none yet. Returns its number.
fn add_secret(args: &Args, opened: &OpenedTarget) -> Result<usize> {
    let secret = secret::read_new(args.new.as_ref(), "--new")?;
    let source = secret::name_of(args.new.as_ref());
    if let Some(number) = opened.keyring.slots_of(&secret)?.first() {
        return Err(Error::Usage(format!(
            "the secret from {} already unlocks {}. Nothing was changed",
            source.shown(),
            slot_row::named(&opened.keyring.slots(), *number)
        )));
    }
    let cost = measured_cost(&secret)?;
    opened.bring_up_to_date()?;
    let name = args.name.as_deref().unwrap_or("added");
    Ok(opened.keyring.add_slot(&secret, &source, name, cost)?)
}

/// Removes slot `number` again, unless `what` unlocks it was shown.
fn undo_unless<E: std::fmt::Display>(
    delivered: std::result::Result<(), E>,
    what: &str,
    opened: &OpenedTarget,
    number: usize,
) -> Result<()> {
    delivered.map_err(|e| {
        let then = match opened.keyring.remove_slot(number, None) {
            Ok(_) => "Its slot was removed again".to_owned(),
            Err(why) => format!(
                "Its slot could not be removed again ({why}): run keyringctl slot remove {} {number}{}",
                opened.copies.first().shown(),
                opened.copies.secret.option()
            ),
        };
        Error::Usage(format!(
            "{what} could not be shown ({e}). {then}. Run this command again with standard output to a \
             terminal, or to a file that only you can read"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custodians_with_a_number_are_new_ones() {
        let full = |text: &str| {
            let words = in_full(text.split(' ').map(OsString::from));
            words.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
        };
        for (given, meant) in [
            ("k slot add K --custodians 2-of-3", "k slot add K --new-custodians 2-of-3"),
            ("k slot add --custodians=3-of-5 K", "k slot add --new-custodians=3-of-5 K"),
            ("k slot add K --custodians=x", "k slot add K --new-custodians=x"),
            (
                "k --json slot add --custodians K --custodians 2-of-3",
                "k --json slot add --custodians K --new-custodians 2-of-3",
            ),
            ("k slot add --custodians K --new file:s", "k slot add --custodians K --new file:s"),
            ("k slot add -- --custodians 2-of-3", "k slot add -- --custodians 2-of-3"),
            ("k list --custodians 2-of-3", "k list --custodians 2-of-3"),
        ] {
            assert_eq!(full(given), meant);
        }
    }

    #[test]
    fn a_name_cannot_say_another_set_of_shares() {
        for name in ["set 073C8D5B", "Ward A, set 073c8d5b"] {
            assert!(slot_name(name).unwrap_err().contains("the set of their shares"), "{name}");
        }
        for name in ["Ward A", "set", "set 073C8D5", "reset 073C8D5B", "set 073C8D5B again", ""] {
            assert_eq!(slot_name(name).as_deref(), Ok(name));
        }
        assert!(slot_name(&"x".repeat(SLOT_NAME_LEN + 1)).is_err());
    }
}
