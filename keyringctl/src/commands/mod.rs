// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl`: one file per command. Exit codes: 0 success, 1 a check failed or a keyring was refused, 2 usage or I/O;
//! those of `check` are its own.

mod apart;
mod apparmor;
mod audit;
mod audit_of_server;
mod audit_trail;
mod backup;
mod check;
mod command_line;
mod consent;
mod content;
mod copies;
mod dependents;
mod doctor;
mod drill;
mod encrypt;
mod export;
mod fleet;
mod foreign;
mod handout;
mod help;
mod hints;
mod import;
mod init;
mod keys;
mod list;
mod missing;
mod monitor_line;
mod needs;
mod new_at_remote;
mod older;
mod outdated;
mod output;
mod pages;
mod prometheus;
mod redo_directory;
mod rekey;
mod remote_facts;
mod remote_files;
mod report;
mod secret;
mod selinux;
mod server;
mod set_aside;
mod setup;
mod site;
mod slot;
mod slot_row;
mod stat;
mod status;
mod store_places;
mod sync;
mod target;
mod traces;
mod verdict;
mod verify;
mod which;
mod witness;

use crate::show::{is_hidden, visible};
use crate::terminal::{self, Color, Screen};
use clap::error::{ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use output::Output;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use verdict::Verdict;

/// A check failed, or a keyring was refused.
const NOT_FINE: u8 = 1;
/// A usage or I/O error.
const FAILED: u8 = 2;

#[derive(Parser)]
#[command(name = "keyringctl", version, about = "Create and manage keyrings of keyring_external, and encrypt MySQL with them", long_about = None)]
#[command(
    after_help = "Exit codes: 0 success, 1 a check failed or a keyring was refused, 2 usage or I/O error. \
                  Those of check are what monitoring systems expect, see its help."
)]
struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    /// When to colour status words: auto (on a terminal), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    color: Color,
    /// File that describes the remotes of copies named @NAME/PREFIX [default: the server's, or
    /// /etc/mysql/keyring_external.remotes.json]
    #[arg(long, global = true, value_name = "FILE")]
    remotes: Option<PathBuf>,
    /// Audit log to which the command writes what it does with a keyring [default: that of the server on this host]
    #[arg(long, global = true, value_name = "FILE")]
    audit_log: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    Doctor(doctor::Args),
    Init(init::Args),
    Status(status::Args),
    Check(check::Args),
    List(list::Args),
    Keys(keys::Args),
    Verify(verify::Args),
    Slot(slot::Args),
    Rekey(rekey::Args),
    Import(import::Args),
    Export(export::Args),
    Sync(sync::Args),
    Backup(backup::Args),
    Drill(drill::Args),
    Fleet(fleet::Args),
    SetAside(set_aside::Args),
    Audit(audit::Args),
    Which(which::Args),
    Witness(witness::Args),
    Encrypt(encrypt::Args),
    Report(report::Args),
    Completions(pages::CompletionsArgs),
    Man(pages::ManArgs),
}

/// Runs `keyringctl` with the process's arguments.
pub fn main() -> ExitCode {
    let (cli, command) = match parse() {
        Ok(parsed) => parsed,
        Err(e) => {
            let e = printable(e);
            // --help and --version arrive here too, but are not errors.
            let (rendered, json) = (e.render().to_string(), is_json());
            let said = match e.kind() {
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "the command is missing: see --help",
                _ => rendered.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ").trim(),
            };
            if let (true, Some(command)) = (e.use_stderr(), check_given()) {
                return ExitCode::from(monitor_line::usage_error(said, command, json));
            }
            if e.use_stderr() && json {
                let mut out = Output::on_stdout(&command_given(), json, Color::Never);
                out.error_only(said);
                // The exit code says the same.
                let _ = out.finish();
            }
            let code = if e.use_stderr() { FAILED } else { 0 };
            print_about_arguments(&e);
            return ExitCode::from(code);
        }
    };
    if let Some(file) = cli.remotes {
        // Relative to where the command was given.
        store_places::give_remotes(std::path::absolute(&file).unwrap_or(file));
    }
    audit_trail::give_command(&command);
    // The option of setup is the log that it configures.
    if let Some(file) = cli.audit_log.filter(|_| !matches!(cli.command, Command::Setup(_))) {
        audit_trail::give_log(std::path::absolute(&file).unwrap_or(file));
    }
    let mut out = Output::on_stdout(&command, cli.json, cli.color);
    let done = match cli.command {
        Command::Setup(args) => setup::run(&args, &mut out),
        Command::Doctor(args) => doctor::run(&args, &mut out),
        Command::Init(args) => init::run(&args, &mut out),
        Command::Status(args) => status::run(&args, &mut out),
        // It has exit codes of its own.
        Command::Check(args) => return ExitCode::from(check::run(&args, cli.json)),
        Command::List(args) => list::run(&args, &mut out),
        Command::Keys(args) => keys::run(&args, &mut out),
        Command::Verify(args) => verify::run(&args, &mut out),
        Command::Slot(args) => slot::run(&args, &mut out),
        Command::Rekey(args) => rekey::run(&args, &mut out),
        Command::Import(args) => import::run(&args, &mut out),
        Command::Export(args) => export::run(&args, &mut out),
        Command::Sync(args) => sync::run(&args, &mut out),
        Command::Audit(args) => audit::run(&args, &mut out),
        Command::Which(args) => which::run(&args, &mut out),
        Command::Witness(args) => witness::run(&args, &mut out),
        Command::Encrypt(args) => encrypt::run(&args, &mut out),
        Command::Report(args) => report::run(&args, &mut out),
        Command::Backup(args) => backup::run(&args, &mut out),
        Command::Drill(args) => drill::run(&args, &mut out),
        Command::SetAside(args) => set_aside::run(&args, &mut out),
        Command::Fleet(args) => match fleet::check(&args, cli.json) {
            Some(code) => return ExitCode::from(code),
            None => fleet::run(&args, &mut out),
        },
        Command::Completions(args) => pages::completions(&args, Cli::command(), &mut out),
        Command::Man(args) => pages::man(&args, Cli::command(), &mut out),
    };
    let code = match done {
        Ok(Verdict::Fine) => 0,
        Ok(Verdict::NotFine) => NOT_FINE,
        Err(e) => {
            out.error(&e);
            e.exit_code()
        }
    };
    ExitCode::from(if out.finish().is_ok() { code } else { FAILED })
}

/// Parses the process's arguments. Returns the name of the command, too.
fn parse() -> Result<(Cli, String), clap::Error> {
    let width = terminal::width_for_help(&std::io::stdout());
    let command = help::with_examples(Cli::command()).term_width(width).color(color_given().into());
    let matches = command.try_get_matches_from(slot::in_full(std::env::args_os()))?;
    let (mut command, mut names) = (&matches, Vec::new());
    while let Some((name, sub)) = command.subcommand() {
        names.push(name);
        command = sub;
    }
    let cli = Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut Cli::command()))?;
    Ok((cli, names.join(" ")))
}

/// Prints a help text, or an error about the command line.
fn print_about_arguments(e: &clap::Error) {
    let (stdout, stderr, color) = (std::io::stdout(), std::io::stderr(), color_given());
    let screen = if e.use_stderr() { Screen::of(&stderr, color) } else { Screen::of(&stdout, color) };
    let text = e.render();
    let text = help::spaced(&if screen.colour { text.ansi().to_string() } else { text.to_string() });
    // The exit code says the same.
    let _ = match e.use_stderr() {
        true => stderr.lock().write_all(text.as_bytes()),
        false => stdout.lock().write_all(text.as_bytes()),
    };
}

/// The name of the command on the command line, which could not be parsed: as much of it as exists.
fn command_given() -> String {
    let (mut command, mut names) = (Cli::command(), Vec::new());
    let takes_value = |option: &str| {
        let cli = Cli::command();
        let found = cli.get_arguments().find(|arg| option.strip_prefix("--") == arg.get_long());
        found.is_some_and(|arg| arg.get_action().takes_values())
    };
    let mut is_value = false;
    for word in words_given() {
        if std::mem::take(&mut is_value) {
            continue;
        }
        if let Some(sub) = command.find_subcommand(&word) {
            names.push(word);
            command = sub.clone();
        } else if word.starts_with('-') {
            is_value = takes_value(&word);
        } else {
            break;
        }
    }
    names.join(" ")
}

/// The words of the command line up to `--`.
fn words_given() -> impl Iterator<Item = String> {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    words.take_while(|word| word != "--")
}

/// When the command line, which is not parsed yet, allows colours in help texts and in errors about it.
fn color_given() -> Color {
    let words: Vec<_> = words_given().collect();
    let mut given = words.iter().enumerate().filter_map(|(i, word)| match word.strip_prefix("--color")? {
        "" => words.get(i + 1).map(String::as_str),
        value => value.strip_prefix('='),
    });
    given.next_back().and_then(|value| Color::from_str(value, false).ok()).unwrap_or_default()
}

/// An error about the command line whose message shows the arguments as names are shown everywhere.
fn printable(mut e: clap::Error) -> clap::Error {
    let is_odd = |text: &str| text.contains(is_hidden);
    let texts: Vec<_> = e
        .context()
        .filter_map(|(kind, value)| {
            let value = match value {
                ContextValue::String(text) => ContextValue::String(visible(text)),
                ContextValue::Strings(all) => ContextValue::Strings(all.iter().map(visible).collect()),
                // A tip, which repeats an argument.
                ContextValue::StyledStr(tip) if is_odd(&tip.to_string()) => ContextValue::None,
                ContextValue::StyledStrs(tips) if tips.iter().any(|tip| is_odd(&tip.to_string())) => {
                    ContextValue::None
                }
                _ => return None,
            };
            Some((kind, value))
        })
        .collect();
    for (kind, value) in texts {
        e.insert(kind, value);
    }
    e
}

/// The command of the command line, which could not be parsed, if it is one for monitoring systems.
fn check_given() -> Option<&'static str> {
    let given = command_given();
    ["check", "fleet check"].into_iter().find(|command| *command == given)
}

/// Whether the command line, which could not be parsed, asks for JSON.
fn is_json() -> bool {
    words_given().any(|word| word == "--json")
}

#[cfg(test)]
mod documents;
#[cfg(test)]
mod messages;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
