// SPDX-License-Identifier: GPL-2.0-or-later
//! When to wait: the server has too much to do, or somebody asks for it with a file.

use crate::server::Session;
use keyring_external::error::{Error, Result};
use std::path::PathBuf;
use std::str::FromStr;

/// A status variable and the value that it may not pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Limit {
    name: String,
    most: u64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("{text:?} is not NAME=N, as in Threads_running=25");
        let (name, most) = text.split_once(['=', ':']).ok_or_else(wrong)?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match most.parse() {
            Ok(most) if is_name => Ok(Limit { name: name.to_owned(), most }),
            _ => Err(wrong()),
        }
    }
}

/// When to wait.
#[derive(Clone, Default)]
pub(super) struct Pace {
    pub limits: Vec<Limit>,
    pub pause_file: Option<PathBuf>,
}

impl Pace {
    /// Why to wait now, if so.
    pub fn why_wait(&self, session: &mut Session) -> Result<Option<String>> {
        if let Some(file) = self.pause_file.as_ref().filter(|f| f.exists()) {
            return Ok(Some(format!("until {} is removed", file.display())));
        }
        for limit in &self.limits {
            let query = format!("SHOW GLOBAL STATUS LIKE '{}'", limit.name.replace('_', "\\_"));
            let row = session.first::<(String, String)>(&query)?;
            let value = row.and_then(|(_, value)| value.parse::<u64>().ok()).ok_or_else(|| {
                Error::Config(format!("--max-load: the server has no number {} in SHOW STATUS", limit.name))
            })?;
            if value > limit.most {
                return Ok(Some(format!("{} is {value}, more than {}", limit.name, limit.most)));
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
        assert_eq!((limit.name.as_str(), limit.most), ("Threads_running", 25));
        assert_eq!("Threads_running:25".parse::<Limit>().unwrap(), limit);
        for bad in ["Threads_running", "=3", "a'b=3", "Threads_running=many"] {
            bad.parse::<Limit>().unwrap_err();
        }
    }
}
