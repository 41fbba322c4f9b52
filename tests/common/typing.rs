// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs a program whose standard input is a terminal, at which somebody types.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::Write;
use std::process::{Command, Output};

/// Runs `command` with `lines` typed at a terminal that is its standard input.
pub fn typed(mut command: Command, lines: &str) -> Output {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    // The terminal keeps what is typed until it is read.
    let mut keyboard = File::from(keyboard);
    keyboard.write_all(lines.as_bytes()).unwrap();
    command.stdin(terminal).output().unwrap()
}
