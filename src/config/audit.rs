// SPDX-License-Identifier: GPL-2.0-or-later
//! The settings of the audit log.

use crate::error::{BadRequest, Result};
use std::path::PathBuf;

/// The settings of the audit log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditConfig {
    /// The file. Without one, there is no audit log.
    pub path: Option<PathBuf>,
    /// Where its lines are passed on to.
    pub forward: Forward,
}

/// Where the lines of an audit log are passed on to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Forward {
    /// Nowhere.
    #[default]
    No,
    /// The system log, through `/dev/log`.
    Syslog,
    /// The journal of systemd.
    Journal,
}

impl AuditConfig {
    /// Reads the settings, which messages call by these names.
    ///
    /// # Errors
    /// A path that is not absolute; another value than [`Forward::name`] shows.
    pub fn parse(path: PathBuf, forward: &str, names: [&str; 2]) -> Result<Self> {
        let [path_name, forward_name] = names;
        let wrong = |why: String| Err(BadRequest::Config(why).into());
        let Some(forward) = Forward::parse(forward) else {
            return wrong(format!("{forward_name} is {forward:?}: it must be syslog, journal or empty"));
        };
        let path = Some(path).filter(|path| !path.as_os_str().is_empty());
        if path.as_ref().is_some_and(|path| !path.is_absolute() || path.file_name().is_none()) {
            return wrong(format!("{path_name} must be the absolute path of a file"));
        }
        if path.is_none() && forward != Forward::No {
            return wrong(format!(
                "{forward_name} is set, but {path_name} is not: name the file of the audit log"
            ));
        }
        Ok(Self { path, forward })
    }
}

impl Forward {
    /// Reads the setting; an empty text is [`Forward::No`].
    pub fn parse(text: &str) -> Option<Self> {
        [Forward::No, Forward::Syslog, Forward::Journal].into_iter().find(|forward| forward.name() == text)
    }

    /// The setting.
    pub fn name(self) -> &'static str {
        match self {
            Forward::No => "",
            Forward::Syslog => "syslog",
            Forward::Journal => "journal",
        }
    }

    /// The socket that takes the lines.
    pub fn socket(self) -> Option<&'static str> {
        match self {
            Forward::No => None,
            Forward::Syslog => Some("/dev/log"),
            Forward::Journal => Some("/run/systemd/journal/socket"),
        }
    }
}
