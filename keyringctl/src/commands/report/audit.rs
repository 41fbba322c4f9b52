// SPDX-License-Identifier: GPL-2.0-or-later
//! The audit log of the server: which lines of it are verified, what is missing or was changed, and what it tells.

mod lines;

pub(super) use lines::{DestroyedKey, EventLines, LogLine};

use super::known::{ELSEWHERE, Known};
use crate::commands::audit::{known, of_log, words};
use crate::commands::audit_of_server;
use crate::commands::audit_trail::{self, OfServer};
use crate::error::Result;
use crate::server::{ServerKeyring, Session, audit_failures};
use crate::show::Shown;
use keyring_external::audit::verify::{Trouble, Verification};
use keyring_external::config::{AuditConfig, Forward};
use keyring_external::keyring::Keyring;
use lines::Lines;
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Why the log is not known. The server is a component, which does not say where its log is.
pub(super) const NOT_NAMED: &str = "the keyring notes an audit log, but it is not known where that is: run keyringctl report with --audit-log FILE";

/// What was verified.
#[derive(Debug, Serialize)]
pub(super) struct AuditFacts {
    /// The log; `None` if the server keeps none.
    #[serde(serialize_with = "crate::show::optional_path")]
    pub file: Option<PathBuf>,
    /// The files that were read: the log, and those beside it that a rotation has renamed.
    #[serde(serialize_with = "crate::show::paths")]
    pub files: Vec<PathBuf>,
    /// Those of them that hold no line of a log, or cannot be unpacked.
    #[serde(serialize_with = "crate::show::paths")]
    pub unreadable: Vec<PathBuf>,
    /// Why, for each of them.
    #[serde(skip)]
    pub unreadable_why: Vec<String>,
    /// The line that the keyring notes.
    pub note: Option<NotedLine>,
    pub logs: Vec<VerifiedLog>,
    /// How many lines the server could not write since it started; `None` if it does not say.
    pub failures: Option<u64>,
    /// What the lines tell, by kind of event.
    pub events: Vec<EventLines>,
    /// The keys that the lines say were destroyed, the last first.
    pub destroyed: Vec<DestroyedKey>,
}

/// A line that the keyring notes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct NotedLine {
    pub log: Uuid,
    pub number: u64,
}

/// One log, as `audit verify` shows it.
#[derive(Debug, Serialize)]
pub(super) struct VerifiedLog {
    #[serde(flatten)]
    pub document: Value,
    #[serde(skip)]
    pub checked: Verification,
    /// What is wrong with it, in words.
    #[serde(skip)]
    pub findings: Vec<String>,
    /// What is remarkable in it.
    #[serde(skip)]
    pub remarks: Vec<String>,
}

impl AuditFacts {
    /// Verifies the log of the server, whose keyring was opened before.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn check(
        session: &mut Session,
        datadir: Option<&Path>,
        server: &ServerKeyring,
        opened: std::result::Result<&Keyring, String>,
    ) -> Result<Known<AuditFacts>> {
        let keyring = match opened {
            Ok(keyring) => keyring,
            Err(why) => return Ok(Known::NotMeasured(why)),
        };
        let Some(datadir) = datadir else { return Ok(Known::NotMeasured(ELSEWHERE.to_owned())) };
        let note = keyring.log_note();
        let note = note.map(|note| NotedLine { log: Uuid::from_bytes(note.log), number: note.seq });
        let of_plugin = session.variable("keyring_external_audit_log")?;
        match (&of_plugin, server.paths.first()) {
            (Some(path), _) => {
                let forward = session.variable("keyring_external_audit_log_forward")?.unwrap_or_default();
                let settings = AuditConfig {
                    path: Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()),
                    forward: Forward::parse(&forward).unwrap_or(Forward::No),
                };
                audit_trail::use_log_of_server(OfServer::new(&settings, datadir, Path::to_owned));
            }
            // A component does not say which it is: its configuration does.
            (None, Some(copy)) => audit_of_server::look_for_server(copy),
            (None, None) => {}
        }
        let file = audit_trail::path();
        if file.is_none() && of_plugin.is_none() && note.is_some() {
            return Ok(Known::NotMeasured(NOT_NAMED.to_owned()));
        }
        let mut facts = AuditFacts {
            file,
            files: Vec::new(),
            unreadable: Vec::new(),
            unreadable_why: Vec::new(),
            note,
            logs: Vec::new(),
            failures: audit_failures(session)?,
            events: Vec::new(),
            destroyed: Vec::new(),
        };
        let read = facts.read(keyring);
        // The lines that were verified have none of this.
        audit_trail::attach(keyring);
        Ok(read.map(|()| facts).into())
    }

    fn read(&mut self, keyring: &Keyring) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let found = of_log(file, &known(keyring)?)?;
        let lines = Lines::of(&found.contents, &found.logs);
        self.events = lines.events();
        self.destroyed = lines.destroyed();
        self.unreadable =
            found.unreadable.iter().filter_map(|index| found.files.get(*index)).cloned().collect();
        self.unreadable_why = found.unreadable.iter().map(|index| found.fault_of(*index)).collect();
        self.logs = found.logs.into_iter().map(|log| VerifiedLog::new(log, &found.files)).collect();
        self.files = found.files;
        Ok(())
    }

    /// What is wrong, in words, each with the line that it is about.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<_> = self.logs.iter().flat_map(|log| log.findings.iter().cloned()).collect();
        let unreadable = self.unreadable.iter().enumerate();
        faults.extend(unreadable.map(|(index, file)| {
            let why =
                self.unreadable_why.get(index).map_or("no line of an audit log is in it", String::as_str);
            format!("{}: {why}", file.shown())
        }));
        if let (Some(file), [], Some(note)) = (&self.file, &self.logs[..], self.note) {
            faults.push(format!(
                "no line of it is in {}, although the keyring notes line {} of the log {}",
                file.shown(),
                note.number,
                note.log
            ));
        }
        faults
    }

    /// Whether all that is wrong is that the keyring notes, or noted, a line of another log. Several servers with one keyring
    /// have a log each.
    pub(super) fn lacks_only_another_log(&self) -> bool {
        self.has_only(&[Trouble::NotedLogNotGiven, Trouble::EarlierLogNotGiven])
    }

    /// Whether all that is wrong is that lines cannot be checked.
    pub(super) fn has_only_not_checkable(&self) -> bool {
        self.has_only(&[Trouble::NotCheckable])
    }

    fn has_only(&self, troubles: &[Trouble]) -> bool {
        let found = self.logs.iter().flat_map(|log| &log.checked.findings);
        let of_these = found.filter(|finding| troubles.contains(&finding.trouble)).count();
        of_these > 0 && of_these == self.faults().len()
    }

    /// The lines that nobody could check when later ones were written, in words.
    pub(super) fn never_checked(&self) -> Vec<&str> {
        let remarks = self.logs.iter().flat_map(|log| log.checked.remarks.iter().zip(&log.remarks));
        let of_this = remarks.filter(|(remark, _)| remark.trouble == Trouble::NeverChecked);
        of_this.map(|(_, text)| text.as_str()).collect()
    }

    /// When the first line of it was written; `None` if there is none.
    pub(super) fn since(&self) -> Option<&str> {
        let firsts = self.logs.iter().filter_map(|log| log.checked.range.as_ref());
        firsts.map(|(first, _)| first.time.as_str()).min()
    }

    /// The numbers of the lines in earlier files that are not here.
    pub(super) fn earlier(&self) -> Option<(u64, u64)> {
        let remarks = self.logs.iter().flat_map(|log| &log.checked.remarks);
        remarks.filter(|remark| remark.trouble == Trouble::EarlierNotGiven).find_map(|remark| remark.seqs)
    }

    /// How many lines it has.
    pub(super) fn lines(&self) -> usize {
        self.logs.iter().map(|log| log.checked.counts.lines).sum()
    }
}

impl VerifiedLog {
    pub(super) fn new(checked: Verification, files: &[PathBuf]) -> VerifiedLog {
        let told = |all: &[_]| all.iter().map(|finding| words::text(finding, files)).collect();
        VerifiedLog {
            document: words::document(&checked, files),
            findings: told(&checked.findings),
            remarks: told(&checked.remarks),
            checked,
        }
    }
}
