// SPDX-License-Identifier: GPL-2.0-or-later
//! How a command of `keyringctl` ended.

use super::json_form;
use serde_json::Value;
use std::process::Output;

/// Its exit code, what it printed and what it complained of.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(output: &Output) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ended { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// With this code, and every one of these texts in what it printed or complained of.
    #[track_caller]
    pub fn says(self, code: i32, texts: &[&str]) -> Ended {
        assert_eq!(self.code, code, "{self:?}");
        for text in texts {
            assert!(self.out.contains(text) || self.err.contains(text), "no {text:?} in {self:?}");
        }
        self
    }

    /// What it printed, in the form that docs/schema/ gives it.
    #[track_caller]
    pub fn json(&self) -> Value {
        let document = serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        json_form::check(&document);
        document
    }
}
