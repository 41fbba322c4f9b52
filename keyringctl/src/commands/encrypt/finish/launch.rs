// SPDX-License-Identifier: GPL-2.0-or-later
//! A program that stops or starts the server. It may run as long as the server that it starts, so it is watched, and its
//! end is never waited for.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A program that was started, or none, if a person does it.
pub(super) struct Launch {
    name: String,
    child: Option<Child>,
    failed: Option<String>,
}

impl Launch {
    /// A person does it.
    pub(super) fn none() -> Launch {
        Launch { name: String::new(), child: None, failed: None }
    }

    /// Starts a program in a process group of its own: Ctrl-C is for this program, which must not leave the server stopped.
    ///
    /// # Errors
    /// It cannot be run. Says why.
    pub(super) fn new(command: &mut Command, name: String) -> Result<Launch, String> {
        match command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).spawn() {
            Ok(child) => Ok(Launch { name, child: Some(child), failed: None }),
            Err(e) => Err(format!("{name} cannot be run: {e}")),
        }
    }

    /// Why it failed, if it has.
    pub(super) fn failure(&mut self) -> Option<String> {
        if let Some(child) = &mut self.child {
            self.failed = match child.try_wait() {
                Ok(None) => return None,
                Ok(Some(status)) if status.success() => None,
                Ok(Some(status)) => Some(format!("{} failed ({status})", self.name)),
                Err(e) => Some(format!("{} cannot be watched: {e}", self.name)),
            };
            self.child = None;
        }
        self.failed.clone()
    }

    /// The name of the program, if it has not ended.
    pub(super) fn running(&mut self) -> Option<&str> {
        if self.failure().is_none() && self.child.is_some() { Some(&self.name) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_program_that_does_not_return_is_not_waited_for_and_one_that_fails_is_named() {
        let shell = |script: &str| Launch::new(Command::new("sh").args(["-c", script]), script.to_owned());
        let mut sleeping = shell("exec sleep 1000").unwrap();
        assert_eq!((sleeping.failure(), sleeping.running()), (None, Some("exec sleep 1000")));
        sleeping.child.as_mut().unwrap().kill().unwrap();
        let mut failing = shell("exit 3").unwrap();
        for launch in [&mut sleeping, &mut failing] {
            while launch.failure().is_none() {
                thread::sleep(Duration::from_millis(5));
            }
        }
        assert_eq!(failing.failure().unwrap(), "exit 3 failed (exit status: 3)", "also when asked again");
        assert!(sleeping.failure().unwrap().starts_with("exec sleep 1000 failed (signal: 9"));
        let mut done = shell("exit 0").unwrap();
        while done.running().is_some() {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(done.failure(), None);
    }
}
