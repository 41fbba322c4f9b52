// SPDX-License-Identifier: GPL-2.0-or-later
//! The recovery key: 160 random bits, printed as 8 groups of 4 characters (20 bits) and a check character
//! each. Every wrong character, every two swapped characters and every two swapped groups are detected, and
//! the message names the group.

use crate::secret::Locked;
use std::fmt;
use std::io;
use thiserror::Error;

/// Length of a recovery key in bytes.
pub(crate) const RECOVERY_LEN: usize = 20;
const GROUPS: usize = 8;
/// Characters of a group before its check character.
const DATA: usize = 4;
/// Base 32 without I, L, O and U. They are read as 1, 1, 0 and V.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Why a text is not a recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecoveryError {
    /// It does not have 40 characters.
    #[error("a recovery key has 8 groups of 5 characters, and {0} characters were given")]
    Length(usize),
    /// A character of this group is wrong, counted from 1.
    #[error("group {0} of the recovery key has a typing mistake")]
    Group(usize),
}

/// A recovery key in locked memory.
#[derive(Debug)]
pub struct RecoveryKey(Locked);

impl RecoveryKey {
    /// Generates a recovery key.
    ///
    /// # Errors
    /// No memory or no randomness.
    pub fn generate() -> io::Result<Self> {
        Ok(Self(Locked::random(RECOVERY_LEN)?))
    }

    /// The bytes of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a typed recovery key. Case, spaces and dashes do not matter.
    ///
    /// # Errors
    /// [`RecoveryError`], which names the group with the mistake. Lack of memory is reported as a wrong
    /// length.
    pub fn parse(text: &[u8]) -> Result<Self, RecoveryError> {
        let typed = text.iter().filter(|c| !(c.is_ascii_whitespace() || **c == b'-'));
        let count = typed.clone().count();
        if count != GROUPS * (DATA + 1) {
            return Err(RecoveryError::Length(count));
        }
        let mut symbols = Locked::new(count).map_err(|_| RecoveryError::Length(count))?;
        for (i, (to, c)) in symbols.iter_mut().zip(typed).enumerate() {
            *to = value(*c).ok_or(RecoveryError::Group(i / (DATA + 1) + 1))?;
        }
        let mut key = Locked::new(RECOVERY_LEN).map_err(|_| RecoveryError::Length(count))?;
        for (group, five) in symbols.chunks_exact(DATA + 1).enumerate() {
            let (data, check_symbol) = five.split_at(DATA);
            if check_symbol.first() != Some(&check(group, data)) {
                return Err(RecoveryError::Group(group + 1));
            }
            for (i, symbol) in data.iter().enumerate() {
                put_bits(&mut key, (group * DATA + i) * 5, *symbol);
            }
        }
        Ok(Self(key))
    }

    /// Writes the 8 groups to `out`, separated by dashes. This is the only place where the key leaves locked
    /// memory.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        for group in 0..GROUPS {
            let mut data = [0u8; DATA];
            for (i, symbol) in data.iter_mut().enumerate() {
                *symbol = get_bits(&self.0, (group * DATA + i) * 5);
            }
            if group > 0 {
                out.write_char('-')?;
            }
            for symbol in data.iter().chain([&check(group, &data)]) {
                out.write_char(char::from(ALPHABET[usize::from(symbol % 32)]))?;
            }
        }
        Ok(())
    }
}

fn value(c: u8) -> Option<u8> {
    let c = match c.to_ascii_uppercase() {
        b'I' | b'L' => b'1',
        b'O' => b'0',
        b'U' => b'V',
        c => c,
    };
    ALPHABET.iter().position(|a| *a == c).map(|i| i as u8)
}

/// The check character of a group: a sum in GF(32), weighted by powers of the generator so that each position
/// counts differently, and shifted by the group number.
fn check(group: usize, data: &[u8]) -> u8 {
    let sum = data.iter().fold(0, |sum, symbol| times_x(sum ^ symbol));
    sum ^ (group as u8 * 3 + 1)
}

/// Multiplies by x in GF(32) modulo x^5 + x^2 + 1.
fn times_x(a: u8) -> u8 {
    let shifted = a << 1;
    if shifted & 32 != 0 { shifted ^ 0b10_0101 } else { shifted }
}

/// The 5 bits that begin at bit `at` (most significant first).
fn get_bits(bytes: &[u8], at: usize) -> u8 {
    (at..at + 5).fold(0, |acc, bit| acc << 1 | bytes.get(bit / 8).map_or(0, |b| b >> (7 - bit % 8) & 1))
}

fn put_bits(bytes: &mut [u8], at: usize, symbol: u8) {
    for i in 0..5 {
        if symbol >> (4 - i) & 1 == 1
            && let Some(byte) = bytes.get_mut((at + i) / 8)
        {
            *byte |= 1 << (7 - (at + i) % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &RecoveryKey) -> String {
        let mut out = String::new();
        key.write_to(&mut out).unwrap();
        out
    }

    #[test]
    fn a_printed_key_is_read_back() {
        for _ in 0..100 {
            let key = RecoveryKey::generate().unwrap();
            let printed = text(&key);
            assert_eq!(printed.len(), 47);
            assert_eq!(RecoveryKey::parse(printed.as_bytes()).unwrap().bytes(), key.bytes());
            let sloppy = printed.to_lowercase().replace('-', " ").replace('1', "l").replace('0', "o");
            assert_eq!(RecoveryKey::parse(sloppy.as_bytes()).unwrap().bytes(), key.bytes());
        }
    }

    #[test]
    fn every_wrong_character_is_found_in_its_group() {
        let printed = text(&RecoveryKey::generate().unwrap()).into_bytes();
        for at in (0..printed.len()).filter(|i| printed[*i] != b'-') {
            for c in ALPHABET.iter().filter(|c| **c != printed[at]) {
                let mut typed = printed.clone();
                typed[at] = *c;
                assert_eq!(RecoveryKey::parse(&typed).unwrap_err(), RecoveryError::Group(at / 6 + 1));
            }
        }
    }

    #[test]
    fn every_swap_is_found() {
        let printed = text(&RecoveryKey::generate().unwrap()).into_bytes();
        for at in (0..printed.len() - 1).filter(|i| i % 6 < 4) {
            let mut typed = printed.clone();
            typed.swap(at, at + 1);
            let swapped = typed != printed;
            assert_eq!(RecoveryKey::parse(&typed).is_err(), swapped, "at {at}");
        }
        let mut groups: Vec<_> = printed.split(|c| *c == b'-').collect();
        groups.swap(2, 5);
        let swapped = groups[2] != groups[5];
        assert_eq!(RecoveryKey::parse(&groups.concat()).is_err(), swapped);
    }

    #[test]
    fn another_length_is_refused() {
        assert_eq!(RecoveryKey::parse(b"ABC").unwrap_err(), RecoveryError::Length(3));
        assert_eq!(RecoveryKey::parse(&[b'*'; 40]).unwrap_err(), RecoveryError::Group(1));
    }
}
