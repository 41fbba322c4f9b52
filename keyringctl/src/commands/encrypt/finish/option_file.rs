// SPDX-License-Identifier: GPL-2.0-or-later
//! Settings that a start needs from its beginning: InnoDB applies what SET PERSIST stored only when a start is almost
//! complete. They are written to the server's option file; then the stored values are deleted.

use super::context::{DECLINED, Run};
use super::situation::Situation;
use super::step::{Action, Step, StepId, StepState};
use crate::commands::consent::{Effect, Plan};
use crate::commands::setup::change::{FileChange, is_root};
use crate::commands::site::{OPTION_DIRS, Site};
use crate::error::Result;
use crate::server::Settings;
use crate::show::Shown;
use std::path::PathBuf;

/// The settings, with the values that they must have.
const NEEDED: [(&str, &str); 3] = [
    ("innodb_redo_log_encrypt", "ON"),
    ("innodb_undo_log_encrypt", "ON"),
    ("innodb_change_buffering", "none"),
];
/// The file that is written into a directory of option files. It is read after the one of `keyringctl setup`.
const FILE: &str = "keyring_external_encryption.cnf";
const COMMENT: &str = "# Written by keyringctl encrypt finish: a start needs these from its beginning, so SET PERSIST is too late.";

/// The step, and whether the option file has all that is needed.
pub(super) struct Looked {
    pub step: Step,
    pub state: StepState,
}

/// Looks at the option file.
pub(super) fn look(situation: &Situation) -> Looked {
    let step = look_at_file(situation);
    Looked { state: step.state, step }
}

fn look_at_file(situation: &Situation) -> Step {
    let id = StepId::OptionFile;
    let settings = &situation.inventory.settings;
    if let Some(why) = settings.no_sources() {
        let why = format!("the server did not say where the values of settings come from: {why}");
        return Step::not_checked(id, why, "grant the account SELECT on performance_schema.variables_info");
    }
    if !is_set_now(settings) {
        return Step::to_do(id, "the settings are not set yet", "writes them when apply has set them")
            .after(StepId::Apply);
    }
    let late = late(settings);
    let had = "the server had them from the beginning of its start";
    let missing = missing(situation);
    let site = match &situation.site {
        _ if missing.is_empty() && late.is_empty() => return Step::done(id, had),
        Ok(_) if missing.is_empty() => return Step::done(id, "the option file has them"),
        Ok(site) => site,
        Err(why) => return Step::new(id, StepState::NotHere, why.clone(), by_hand(situation)),
    };
    let names = missing.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let why = if late.is_empty() {
        format!("{had}, but the option file no longer sets them as the server has them: {names}")
    } else {
        format!("missing: {names}")
    };
    match change(site, &due(situation), &missing) {
        Ok(change) => {
            Step::to_do(id, why, format!("shows the change of {}, asks, and writes it", change.path.shown()))
        }
        Err(why) => Step::new(id, StepState::NotHere, why, by_hand(situation)),
    }
}

/// What an administrator does instead.
pub(super) fn by_hand(situation: &Situation) -> Action {
    let lines = std::iter::once("add to the group [mysqld] of the server's option file:".to_owned());
    let missing = missing(situation).into_iter();
    Action::Administrator(lines.chain(missing.map(|(name, value)| format!("    {name} = {value}"))).collect())
}

/// Those of the settings that this server knows.
pub(super) fn needed(settings: &Settings) -> impl Iterator<Item = (&'static str, &'static str)> {
    NEEDED.into_iter().filter(|(name, _)| settings.get(name).is_some())
}

/// The settings that the option file must have: the late ones, and those that this start of the server had from options.
fn due(situation: &Situation) -> Vec<(&'static str, &'static str)> {
    let settings = &situation.inventory.settings;
    let is_due = |name: &str| settings.is_late(name) || settings.is_option(name);
    needed(settings).filter(|(name, value)| has(settings, name, value) && is_due(name)).collect()
}

/// Settings with the right value, which only SET PERSIST or SET GLOBAL has set.
fn late(settings: &Settings) -> Vec<(&'static str, &'static str)> {
    NEEDED.into_iter().filter(|(name, value)| has(settings, name, value) && settings.is_late(name)).collect()
}

fn has(settings: &Settings, name: &str, value: &str) -> bool {
    settings.get(name).is_some_and(|set| set.eq_ignore_ascii_case(value))
}

/// Whether all of them that the server knows have the right values now.
fn is_set_now(settings: &Settings) -> bool {
    NEEDED.iter().all(|(name, value)| settings.get(name).is_none() || has(settings, name, value))
}

/// Whether the server has started with all of them.
pub(super) fn is_in_effect(settings: &Settings) -> bool {
    is_set_now(settings) && late(settings).is_empty()
}

/// Those that the option files do not set, or set otherwise, as they are now.
fn missing(situation: &Situation) -> Vec<(&'static str, &'static str)> {
    let settings = &situation.inventory.settings;
    let is_there = |name: &str, value| match &situation.site {
        site if settings.is_late(name) => site.as_ref().is_ok_and(|site| is_set(site, name, value)),
        // What the running server read is not known to be read from elsewhere.
        _ => situation.reading().is_none_or(|site| is_set(site, name, value)),
    };
    due(situation).into_iter().filter(|(name, value)| !is_there(name, value)).collect()
}

fn is_set(site: &Site, name: &str, value: &str) -> bool {
    let Some(line) = site.option(&name.replace('_', "-")) else { return false };
    let on = value == "ON";
    match line.value.as_deref() {
        None => on,
        Some(set) if on => ["ON", "1", "TRUE"].iter().any(|word| set.eq_ignore_ascii_case(word)),
        Some(set) => set.eq_ignore_ascii_case(value) || set == "0",
    }
}

/// The change of the option file with which the server has all of them at its next start.
fn change(
    site: &Site,
    late: &[(&'static str, &'static str)],
    missing: &[(&'static str, &'static str)],
) -> std::result::Result<FileChange, String> {
    let group = if is_root() { 0 } else { rustix::process::getegid().as_raw() };
    let what = "settings that a start needs from its beginning";
    let text = |settings: &[(&str, &str)]| {
        let lines: String = settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        format!("{COMMENT}\n[mysqld]\n{lines}")
    };
    let change = match directory(site) {
        Some(directory) => FileChange::new(site, &directory.join(FILE), what, text(late), 0o644, group),
        None if site.defaults.files.is_empty() => {
            return Err(
                "mysqld is started with --no-defaults, so it reads no option file: remove that".to_owned()
            );
        }
        None => {
            let main = site.seen(&site.real(&site.main_option_file()));
            FileChange::appended(site, &main, what, &text(missing), group)
        }
    };
    change.map_err(|e| e.to_string())
}

/// The directory of option files that the server reads.
fn directory(site: &Site) -> Option<PathBuf> {
    let included = &site.options.directories;
    let preferred = OPTION_DIRS.map(PathBuf::from).into_iter().find(|dir| included.contains(dir));
    preferred.or_else(|| included.last().cloned())
}

/// Writes the option file. Returns what kept it from being written.
pub(super) fn write(run: &mut Run<'_>, situation: &Situation) -> Result<Option<String>> {
    let Ok(site) = &situation.site else { return Ok(None) };
    let (due, missing) = (due(situation), missing(situation));
    let change = match change(site, &due, &missing) {
        Ok(change) => change,
        Err(why) => return Ok(Some(why)),
    };
    // Another line may come later.
    let planned =
        run.args.site.look()?.with_option_files(&[(change.path.as_path(), change.contents.as_str())]);
    if let Some(other) = still_wrong(&planned, &due) {
        return Ok(Some(other));
    }
    if let Err(e) = change.check_writable(site) {
        // The advice of setup is not for this command.
        let text = e.to_string();
        let why = text.split(". Run setup").next().unwrap_or(&text);
        return Ok(Some(format!(
            "FAILED: {why}. Run this as root, on a filesystem that is mounted for writing, or add the lines by hand"
        )));
    }
    for line in change.text().lines() {
        run.out.verbatim(line);
    }
    let mut plan = Plan::new("Write this file?");
    plan.effect(Effect::new(
        change.path.shown(),
        "the next start begins without these settings",
        "the next start begins with them; a previous file is kept beside it as .bak",
    ));
    if !run.agreed(&plan)? {
        return Ok(Some(DECLINED.to_owned()));
    }
    let kept = change.write(site)?;
    if let Some(kept) = kept {
        run.say(format_args!("The previous {} was kept as {}", change.path.shown(), kept.shown()));
    }
    Ok(still_wrong(&run.args.site.look()?, &due))
}

/// Says which line keeps a setting from having its value.
fn still_wrong(site: &Site, late: &[(&'static str, &'static str)]) -> Option<String> {
    let (name, value) = late.iter().find(|(name, value)| !is_set(site, name, value))?;
    let place = site.option(&name.replace('_', "-")).map(|line| line.place());
    Some(match place {
        Some(place) => {
            format!("{place} sets {name} to another value, and is read later: change it to {value}")
        }
        None => format!("mysqld would not read {name} from there: add {name} = {value} to its option file"),
    })
}

/// Looks at the values that SET PERSIST stored. `file`: the state of the option file.
pub(super) fn look_at_persisted(situation: &Situation, file: StepState) -> Step {
    let id = StepId::ResetPersist;
    let settings = &situation.inventory.settings;
    let Some(stored) = stored(settings) else {
        return Step::not_checked(
            id,
            "the server did not show what SET PERSIST stored",
            "grant the account SELECT on performance_schema.persisted_variables",
        );
    };
    if stored.is_empty() {
        return Step::done(id, "no value of them is stored");
    }
    let how =
        stored.iter().map(|name| format!("RESET PERSIST IF EXISTS {name};")).collect::<Vec<_>>().join(" ");
    let why = format!("SET PERSIST stored {}", stored.join(", "));
    let step = Step::to_do(id, why, format!("runs {how}"));
    if file == StepState::Done { step } else { step.after(StepId::OptionFile) }
}

/// Those of the settings that SET PERSIST stored. `None`: the server does not tell.
fn stored(settings: &Settings) -> Option<Vec<&'static str>> {
    settings.persisted_among(&NEEDED.map(|(name, _)| name))
}

/// Deletes the values that SET PERSIST stored.
pub(super) fn reset(run: &mut Run<'_>, situation: &Situation) -> Result<Option<String>> {
    let Some(stored) = stored(&situation.inventory.settings) else { return Ok(None) };
    let mut plan = Plan::new("Delete these stored values?");
    for name in &stored {
        plan.effect(Effect::new(
            *name,
            "stored by SET PERSIST, which the server applies too late",
            "from the option file only",
        ));
    }
    if !run.agreed(&plan)? {
        return Ok(Some(DECLINED.to_owned()));
    }
    for name in stored {
        run.session.run(&format!("RESET PERSIST IF EXISTS {name}"))?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::site::{Args, Parts};
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_lines_go_where_the_server_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let look = || {
            let parts = Parts { root: dir.path().into(), ..Parts::default() };
            Args { parts, ..Args::default() }.look().unwrap()
        };
        let late = [("innodb_redo_log_encrypt", "ON"), ("innodb_change_buffering", "none")];
        write("etc/my.cnf", "[mysqld]\nport=3306\ninnodb_redo_log_encrypt\n");
        let site = look();
        let unset = |site: &Site| late.into_iter().filter(|(n, v)| !is_set(site, n, v)).collect::<Vec<_>>();
        let open = unset(&site);
        assert_eq!(open, [("innodb_change_buffering", "none")]);
        let appended = change(&site, &late, &open).unwrap();
        assert_eq!(appended.path, Path::new("/etc/my.cnf"));
        assert!(
            appended.contents.ends_with(&format!("{COMMENT}\n[mysqld]\ninnodb_change_buffering = none\n"))
        );
        let planned = look().with_option_files(&[(appended.path.as_path(), appended.contents.as_str())]);
        assert_eq!(still_wrong(&planned, &late), None);

        // A directory gets a file of its own, unless a later line contradicts it.
        write("etc/my.cnf", "[mysqld]\n!includedir /etc/my.cnf.d\ninnodb_redo_log_encrypt = OFF\n");
        write("etc/my.cnf.d/a.cnf", "[mysqld]\n");
        let site = look();
        let own = change(&site, &late, &unset(&site)).unwrap();
        assert_eq!(own.path, Path::new("/etc/my.cnf.d/keyring_external_encryption.cnf"));
        let planned = look().with_option_files(&[(own.path.as_path(), own.contents.as_str())]);
        let wrong = still_wrong(&planned, &late).unwrap();
        assert!(wrong.contains("my.cnf line 3 sets innodb_redo_log_encrypt to another value"), "{wrong}");
    }
}
