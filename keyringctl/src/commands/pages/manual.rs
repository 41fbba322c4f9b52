// SPDX-License-Identifier: GPL-2.0-or-later
//! Manual pages: one for each command, with its examples, exit status, files and what else to read.

use crate::commands::help::{AfterHelp, Example, continued};
use clap::Command;
use clap_mangen::Man;

/// The exit status of a command that does not say anything else.
const EXIT_STATUS: &str = "0 success, 1 a check failed or a keyring was refused, 2 usage or I/O error, or nothing was done because a confirmation is missing.";

/// A file that commands use which have one of these arguments; all commands if there is none.
struct UsedFile {
    path: &'static str,
    about: &'static str,
    arguments: &'static [&'static str],
}

const FILES: [UsedFile; 5] = [
    UsedFile {
        path: "/mnt/keyring/keys/main.keyring",
        about: "A keyring file, on a volume of its own. Examples use this path; yours is that of the setting keyring_external_data or of the component's configuration.",
        arguments: &[],
    },
    UsedFile {
        path: "/etc/mysql/keyring_external.secret",
        about: "The secret file that unlocks the keyring for the server and for this program, if the unlock source is file:/etc/mysql/keyring_external.secret.",
        arguments: &["unlock"],
    },
    UsedFile {
        path: "DATADIR/keyring_external.witness",
        about: "The witness: which keyring, and which state of it, the data directory was last used with.",
        arguments: &["datadir"],
    },
    UsedFile {
        path: "/etc/my.cnf, /etc/mysql/my.cnf, ~/.my.cnf, ~/.mylogin.cnf",
        about: "Option files from which the account and the address of the server are read, as the mysql client does.",
        arguments: &["defaults_file", "defaults_extra_file"],
    },
    UsedFile {
        path: "/etc/my.cnf, /etc/mysql/my.cnf",
        about: "Option files of the server, in which its keyring is configured.",
        arguments: &["option_file", "root", "mysqld"],
    },
];

/// The name and the text of the page of each command.
pub(super) fn pages(commands: Command) -> Vec<(String, String)> {
    let mut commands = commands.disable_help_subcommand(true);
    commands.build();
    let mut all = Vec::new();
    add(&commands, None, &mut all);
    all
}

fn add(command: &Command, parent: Option<&Command>, all: &mut Vec<(String, String)>) {
    all.push((format!("{}.1", page_name(command)), page(command, parent)));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        add(sub, Some(command), all);
    }
}

/// `keyringctl-slot-add`.
fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command, parent: Option<&Command>) -> String {
    let after = AfterHelp::of(command);
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    // Writing to a Vec does not fail.
    let _ = man.render_title(&mut page);
    let _ = man.render_name_section(&mut page);
    let _ = man.render_synopsis_section(&mut page);
    let _ = man.render_description_section(&mut page);
    let _ = man.render_options_section(&mut page);
    if command.has_subcommands() {
        let _ = man.render_subcommands_section(&mut page);
    }
    let mut page = String::from_utf8_lossy(&page).into_owned();
    if !after.notes.is_empty() {
        page += ".SH NOTES\n";
        after.notes.iter().for_each(|note| page += &format!(".PP\n{}\n", roff(note)));
    }
    page += ".SH EXAMPLES\n";
    for example in examples(command) {
        if !example.about.is_empty() {
            page += &format!(".PP\n{}\n", roff(&capitalized(&example.about)));
        }
        let lines: Vec<_> = continued(&example.command).iter().map(|line| roff(line)).collect();
        page += &format!(".PP\n.nf\n{}\n.fi\n", lines.join("\n"));
    }
    page += &format!(".SH \"EXIT STATUS\"\n{}\n", roff(after.exit_codes.as_deref().unwrap_or(EXIT_STATUS)));
    page += ".SH FILES\n";
    for file in FILES.iter().filter(|file| uses(command, file)) {
        page += &format!(".TP\n{}\n{}\n", roff(file.path), roff(file.about));
    }
    page + &see_also(command, parent)
}

/// The examples of a command; those of its commands if it is a group of them.
fn examples(command: &Command) -> Vec<Example> {
    let own = AfterHelp::of(command).examples;
    match own.is_empty() {
        true => command.get_subcommands().filter_map(|sub| examples(sub).into_iter().next()).collect(),
        false => own,
    }
}

fn uses(command: &Command, file: &UsedFile) -> bool {
    let mut arguments = command.get_arguments();
    file.arguments.is_empty()
        || arguments.any(|argument| file.arguments.contains(&argument.get_id().as_str()))
        || command.get_subcommands().any(|sub| uses(sub, file))
}

/// The command above, those beside and those below, and the documentation.
fn see_also(command: &Command, parent: Option<&Command>) -> String {
    let above = parent.map(page_name);
    let beside = parent.filter(|parent| parent.get_name() != "keyringctl");
    let beside = beside.into_iter().flat_map(Command::get_subcommands);
    let others = beside.chain(command.get_subcommands()).filter(|other| !other.is_hide_set());
    let others = others.map(page_name).filter(|name| *name != page_name(command));
    let names = above.into_iter().chain(others).map(|name| format!("\\fB{}\\fR(1)", roff(&name)));
    let mut names: Vec<_> = names.collect();
    names.push("\\fBmysqld\\fR(8)".to_owned());
    format!(".SH \"SEE ALSO\"\n{}\n.PP\n/usr/share/doc/keyring\\-external/\n", names.join(",\n"))
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A text that roff shows as it is.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('~', "\\(ti");
    let lines = text.lines().map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use clap::CommandFactory;

    #[test]
    fn each_page_has_all_sections() {
        let pages = pages(Cli::command());
        assert!(pages.len() > 25, "{}", pages.len());
        for (name, text) in &pages {
            for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS", "FILES", "SEE ALSO"]
            {
                let heading = [format!("\n.SH {section}\n"), format!("\n.SH \"{section}\"\n")];
                let begin = heading.iter().find_map(|h| Some(text.find(h.as_str())? + h.len()));
                let begin = begin.unwrap_or_else(|| panic!("{name} has no {section}"));
                let body = text[begin..].split("\n.SH").next().unwrap().trim();
                assert!(!body.is_empty(), "{name}: {section} is empty");
            }
            let others = text.split(".SH \"SEE ALSO\"").nth(1).unwrap().matches("\\fBkeyringctl").count();
            assert!(others > 0 || name == "keyringctl.1", "{name}");
        }
    }

    #[test]
    fn what_others_a_page_refers_to_exists() {
        let pages = pages(Cli::command());
        for (name, text) in &pages {
            for other in text.split("\\fBkeyringctl").skip(1).filter_map(|t| t.split("\\fR(1)").next()) {
                let other = format!("keyringctl{}.1", other.replace('\\', ""));
                let is_reference = !other.contains(['\n', ' ']);
                assert!(!is_reference || pages.iter().any(|(page, _)| *page == other), "{name}: {other}");
            }
        }
    }

    #[test]
    fn a_text_is_shown_by_roff_as_it_is() {
        assert_eq!(roff("--a 'b' \\"), "\\-\\-a \\(aqb\\(aq \\e");
        assert_eq!(roff(".SH x"), "\\&.SH x");
    }
}
