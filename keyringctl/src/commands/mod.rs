// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl`: one file per command. Exit codes: 0 fine, 1 what was checked is not fine, 2 usage or I/O.

mod all_copies;
mod apart;
mod backup;
mod content;
mod doctor;
mod encrypt;
mod export;
mod foreign;
mod import;
mod init;
mod list;
mod missing;
mod output;
mod pages;
mod prometheus;
mod rekey;
mod report;
mod secret;
mod server;
mod setup;
mod site;
mod slot;
mod stat;
mod status;
mod sync;
mod verify;
mod witness;

use clap::{Parser, Subcommand};
use keyring_external::error::Error;
use output::Output;
use std::process::ExitCode;

/// What was checked is not fine.
const NOT_FINE: u8 = 1;
/// Usage or I/O.
const FAILED: u8 = 2;

#[derive(Parser)]
#[command(name = "keyringctl", version, about = "Makes and looks after keyrings of keyring_external", long_about = None)]
#[command(after_help = "Exit codes: 0 fine, 1 what was checked is not fine, 2 usage or I/O error.")]
struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Doctor(doctor::Args),
    Init(init::Args),
    Status(status::Args),
    List(list::Args),
    Verify(verify::Args),
    Slot(slot::Args),
    Rekey(rekey::Args),
    Import(import::Args),
    Export(export::Args),
    Sync(sync::Args),
    Backup(backup::Args),
    Witness(witness::Args),
    Encrypt(encrypt::Args),
    Report(report::Args),
    Completions(pages::CompletionsArgs),
    Man(pages::ManArgs),
}

/// How a command ended that could be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Fine,
    NotFine,
}

impl Verdict {
    fn and(self, other: Verdict) -> Verdict {
        if self == Verdict::Fine { other } else { self }
    }
}

/// Runs `keyringctl` with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are answers, not errors.
            let code = if e.use_stderr() { FAILED } else { 0 };
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let mut out = Output::new(cli.json);
    let done = match cli.command {
        Command::Setup(args) => setup::run(&args, &mut out),
        Command::Doctor(args) => doctor::run(&args, &mut out),
        Command::Init(args) => init::run(&args, &mut out),
        Command::Status(args) => status::run(&args, &mut out),
        Command::List(args) => list::run(&args, &mut out),
        Command::Verify(args) => verify::run(&args, &mut out),
        Command::Slot(args) => slot::run(&args, &mut out),
        Command::Rekey(args) => rekey::run(&args, &mut out),
        Command::Import(args) => import::run(&args, &mut out),
        Command::Export(args) => export::run(&args, &mut out),
        Command::Sync(args) => sync::run(&args, &mut out),
        Command::Witness(args) => witness::run(&args, &mut out),
        Command::Encrypt(args) => encrypt::run(&args, &mut out),
        Command::Report(args) => report::run(&args, &mut out),
        Command::Backup(args) => backup::run(&args, &mut out),
        Command::Completions(args) => pages::completions(&args, &mut out),
        Command::Man(args) => pages::man(&args, &mut out),
    };
    let code = match done {
        Ok(Verdict::Fine) => 0,
        Ok(Verdict::NotFine) => NOT_FINE,
        Err(e) => {
            out.error(&e);
            exit_code(&e)
        }
    };
    ExitCode::from(if out.finish().is_ok() { code } else { FAILED })
}

/// How a command ends that failed.
fn exit_code(e: &Error) -> u8 {
    if e.is_about_the_keyring() { NOT_FINE } else { FAILED }
}

#[cfg(test)]
mod messages;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use keyring_external::format::FormatError;
    use keyring_external::key::KeyError;
    use std::path::PathBuf;
    use uuid::Uuid;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let path = || PathBuf::from("/k");
        let (id, text) = (Uuid::nil(), String::new);
        let io = || std::io::Error::from(std::io::ErrorKind::Other);
        let findings = [
            Error::Missing { path: path(), found: text() },
            Error::NotAKeyring { path: path() },
            Error::Newer { path: path(), version: 9 },
            Error::Damaged { path: path(), offset: 0, what: "" },
            Error::WrongSecret { path: path(), source_name: text(), slots: text() },
            Error::Foreign { path: path(), found: id, expected: id },
            Error::Older { path: path(), id, found: 1, expected: 2 },
            Error::Changed { path: path(), detail: text() },
            Error::OtherKey { path: path() },
            Error::Fork { path: path(), other: path(), generation: 1 },
            Error::Diverged { path: path(), found: 1, expected: 2 },
            Error::ForgedSlot { path: path(), number: 1, name: text() },
            Error::SlotsUntried { path: path(), source_name: text(), untried: 1 },
            Error::SlotNotVerified { path: path(), number: 1, name: text() },
            Error::VerifiesNoSlot { path: path(), source_name: text(), count: 1 },
            Error::OneFile { path: path(), other: path() },
            Error::DamagedNewest { path: path(), offset: 0, what: "", found: 2, best: 1 },
            Error::WitnessForeign { path: path(), found: id, expected: id, witness: path() },
            Error::WitnessOlder { path: path(), id, found: 1, expected: 2, witness: path() },
            Error::WitnessFork { path: path(), generation: 1, witness: path() },
            Error::OtherKeyring { path: path(), format: "", why: text() },
            Error::NotAFile { path: path(), kind: "" },
            Error::Exposed { path: path(), mode: 0o644, fix: "" },
            Error::Owner { path: path(), owner: 1, user: 2 },
        ];
        let failures = [
            Error::Key(KeyError::EmptyId),
            Error::Exists { name: text() },
            Error::NoSuchKey { name: text() },
            Error::ReadOnly { path: path() },
            Error::SameDevice { path: path(), datadir: path() },
            Error::TooFewCopies { reachable: 0, needed: 1, why: text() },
            Error::Hung { path: path(), seconds: 1 },
            Error::AlreadyThere { path: path() },
            Error::Locked { path: path(), seconds: 1 },
            Error::Unlock { source_name: text(), why: text() },
            Error::Config(text()),
            Error::Unavailable,
            Error::Retired,
            Error::NoFreeSlot,
            Error::NoSuchSlot { number: 1, count: 1 },
            Error::LastSlot,
            Error::Server { doing: text(), code: 0, why: text() },
            Error::Io { doing: "", path: path(), cause: io() },
            Error::Internal(FormatError::NotAKeyring),
            Error::System(io()),
        ];
        assert!(findings.iter().all(|e| exit_code(e) == 1), "a finding about a keyring ends in 1");
        assert!(failures.iter().all(|e| exit_code(e) == 2), "what could not be carried out ends in 2");
        let by_another = |e: &&Error| e.is_by_another();
        assert_eq!(findings.iter().chain(&failures).filter(by_another).count(), 3);
    }
}
