// SPDX-License-Identifier: GPL-2.0-or-later
//! When to wait: the server is busier than allowed, or the pause file exists.

use crate::error::{Error, Result};
use crate::server::Session;
use crate::show::Shown;
use std::path::PathBuf;
use std::str::FromStr;

/// A status variable and the highest value that it may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Limit {
    name: String,
    limit: u64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("{text:?} is not of the form NAME=N, for example Threads_running=25");
        let (name, limit) = text.split_once(['=', ':']).ok_or_else(wrong)?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match limit.parse() {
            Ok(limit) if is_name => Ok(Limit { name: name.to_owned(), limit }),
            _ => Err(wrong()),
        }
    }
}

/// The conditions under which the run waits.
#[derive(Clone, Default)]
pub(super) struct Throttle {
    pub limits: Vec<Limit>,
    pub pause_file: Option<PathBuf>,
}

impl Throttle {
    /// Returns why the run must wait now, if it must.
    pub(super) fn why_wait(&self, session: &mut Session) -> Result<Option<String>> {
        if let Some(file) = self.pause_file.as_ref().filter(|f| f.exists()) {
            return Ok(Some(format!("{} exists. Remove it to continue", file.shown())));
        }
        for limit in &self.limits {
            let query = format!("SHOW GLOBAL STATUS LIKE '{}'", limit.name.replace('_', "\\_"));
            let row = session.first::<(String, String)>(&query)?;
            let value = row.and_then(|(_, value)| value.parse::<u64>().ok()).ok_or_else(|| {
                Error::Usage(format!(
                    "--max-load {}: SHOW GLOBAL STATUS has no number of that name",
                    limit.name
                ))
            })?;
            if value > limit.limit {
                return Ok(Some(format!("{} is {value}; the limit is {}", limit.name, limit.limit)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let limit = "Threads_running=25".parse::<Limit>().unwrap();
        assert_eq!((limit.name.as_str(), limit.limit), ("Threads_running", 25));
        assert_eq!("Threads_running:25".parse::<Limit>().unwrap(), limit);
        for bad in ["Threads_running", "=3", "a'b=3", "Threads_running=many"] {
            bad.parse::<Limit>().unwrap_err();
        }
    }
}
