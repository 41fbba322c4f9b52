// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl`: see [`keyring_external::cli`].
fn main() -> std::process::ExitCode {
    keyring_external::cli::main()
}
