// SPDX-License-Identifier: GPL-2.0-or-later
//! Random bytes from the operating system.

use std::io;

/// Fills `buf` with random bytes from the operating system.
///
/// # Errors
/// If the system's generator fails.
pub fn fill_random(buf: &mut [u8]) -> io::Result<()> {
    getrandom::fill(buf).map_err(|e| io::Error::other(format!("the system's random generator: {e}")))
}

/// Returns an array of random bytes, for values that are not secret: salts and nonces.
///
/// # Errors
/// If the system's generator fails.
pub fn random_array<const N: usize>() -> io::Result<[u8; N]> {
    let mut out = [0; N];
    fill_random(&mut out)?;
    Ok(out)
}
