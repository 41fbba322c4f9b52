// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl`: see the library of this package.
fn main() -> std::process::ExitCode {
    keyringctl::main()
}
