// SPDX-License-Identifier: GPL-2.0-or-later
//! Secrets as characters for paper: groups of 4 characters (20 bits) and a check character each. Every wrong
//! character, every two swapped characters and every two swapped groups are detected, and the group is known.

use crate::secret::Locked;
use std::fmt;

/// Characters of a group before its check character.
const DATA: usize = 4;
/// Bits of a character.
const BITS: usize = 5;
/// Base 32 without I, L, O and U. They are read as 1, 1, 0 and V.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Why a text is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// It has this number of characters, which is another one.
    Length(usize),
    /// A character of this group is wrong, counted from 1.
    Group(usize),
}

/// How many characters `groups` groups have, without what separates them.
pub(crate) const fn characters(groups: usize) -> usize {
    groups * (DATA + 1)
}

/// The typed characters: case, spaces and dashes do not matter.
pub(crate) fn typed(text: &[u8]) -> impl Iterator<Item = u8> + Clone {
    text.iter().copied().filter(|c| !(c.is_ascii_whitespace() || *c == b'-'))
}

/// Reads `groups` groups, which hold a multiple of 8 bits.
///
/// # Errors
/// The first mistake. Lack of memory is reported as a wrong length.
pub(crate) fn read(text: &[u8], groups: usize) -> Result<Locked, Mistake> {
    let count = typed(text).count();
    if count != characters(groups) {
        return Err(Mistake::Length(count));
    }
    let mut symbols = Locked::new(count).map_err(|_| Mistake::Length(count))?;
    for (i, (to, c)) in symbols.iter_mut().zip(typed(text)).enumerate() {
        *to = value(c).ok_or(Mistake::Group(i / (DATA + 1) + 1))?;
    }
    let mut bytes = Locked::new(groups * DATA * BITS / 8).map_err(|_| Mistake::Length(count))?;
    for (group, five) in symbols.chunks_exact(DATA + 1).enumerate() {
        let (data, check_symbol) = five.split_at(DATA);
        if check_symbol.first() != Some(&check(group, data)) {
            return Err(Mistake::Group(group + 1));
        }
        for (i, symbol) in data.iter().enumerate() {
            put_bits(&mut bytes, (group * DATA + i) * BITS, *symbol);
        }
    }
    Ok(bytes)
}

/// The two bytes of the first group, if that group is right, whatever follows it.
pub(crate) fn read_first_two(text: &[u8]) -> Option<[u8; 2]> {
    let mut symbols = [0u8; DATA + 1];
    let mut characters = typed(text);
    for symbol in &mut symbols {
        *symbol = value(characters.next()?)?;
    }
    let (data, check_symbol) = symbols.split_at(DATA);
    let mut bytes = [0; 2];
    data.iter().enumerate().for_each(|(i, symbol)| put_bits(&mut bytes, i * BITS, *symbol));
    (check_symbol.first() == Some(&check(0, data))).then_some(bytes)
}

/// Writes the groups of `bytes` to `out`, separated by dashes.
///
/// # Errors
/// The errors of `out`.
pub(crate) fn write(bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    for group in 0..bytes.len() * 8 / (DATA * BITS) {
        let mut data = [0u8; DATA];
        for (i, symbol) in data.iter_mut().enumerate() {
            *symbol = get_bits(bytes, (group * DATA + i) * BITS);
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
    sum ^ ((group * 3 + 1) % 32) as u8
}

/// Multiplies by x in GF(32) modulo x^5 + x^2 + 1.
fn times_x(a: u8) -> u8 {
    let shifted = a << 1;
    if shifted & 32 != 0 { shifted ^ 0b10_0101 } else { shifted }
}

/// The 5 bits that begin at bit `at` (most significant first).
fn get_bits(bytes: &[u8], at: usize) -> u8 {
    (at..at + BITS).fold(0, |acc, bit| acc << 1 | bytes.get(bit / 8).map_or(0, |b| b >> (7 - bit % 8) & 1))
}

fn put_bits(bytes: &mut [u8], at: usize, symbol: u8) {
    for i in 0..BITS {
        if symbol >> (BITS - 1 - i) & 1 == 1
            && let Some(byte) = bytes.get_mut((at + i) / 8)
        {
            *byte |= 1 << (7 - (at + i) % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Locked;

    fn text(bytes: &[u8]) -> String {
        let mut out = String::new();
        write(bytes, &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_written_is_read_back_in_any_spelling() {
        for (len, groups) in [(20, 8), (30, 12)] {
            for _ in 0..100 {
                let bytes = Locked::random(len).unwrap();
                let printed = text(&bytes);
                assert_eq!(printed.len(), characters(groups) + groups - 1);
                assert_eq!(*read(printed.as_bytes(), groups).unwrap(), *bytes);
                let sloppy = printed.to_lowercase().replace('-', " ").replace('1', "l").replace('0', "o");
                assert_eq!(*read(sloppy.as_bytes(), groups).unwrap(), *bytes);
                assert_eq!(read_first_two(sloppy.as_bytes()).unwrap(), bytes[..2]);
            }
        }
    }

    #[test]
    fn every_wrong_character_is_found_in_its_group() {
        for (len, groups) in [(20, 8), (30, 12)] {
            let printed = text(&Locked::random(len).unwrap()).into_bytes();
            for at in (0..printed.len()).filter(|i| printed[*i] != b'-') {
                for c in (0..=255).filter(|c| value(*c).is_none_or(|v| Some(v) != value(printed[at]))) {
                    if c == b'-' || c.is_ascii_whitespace() {
                        continue;
                    }
                    let mut typed = printed.clone();
                    typed[at] = c;
                    assert_eq!(read(&typed, groups).unwrap_err(), Mistake::Group(at / 6 + 1));
                }
            }
        }
    }

    #[test]
    fn every_swap_of_neighbours_and_of_groups_is_found() {
        for (len, groups) in [(20, 8), (30, 12)] {
            let printed = text(&Locked::random(len).unwrap()).into_bytes();
            for at in (0..printed.len() - 1).filter(|i| i % 6 < 4) {
                let mut typed = printed.clone();
                typed.swap(at, at + 1);
                assert_eq!(read(&typed, groups).is_err(), typed != printed, "at {at}");
            }
            for (one, other) in (0..groups).flat_map(|one| (0..one).map(move |other| (one, other))) {
                let mut swapped: Vec<_> = printed.split(|c| *c == b'-').collect();
                swapped.swap(one, other);
                // Even two groups of the same data have different check characters.
                assert!(read(&swapped.concat(), groups).is_err(), "{one} and {other}");
            }
        }
    }

    #[test]
    fn another_length_is_refused() {
        assert_eq!(read(b"ABC", 8).unwrap_err(), Mistake::Length(3));
        assert_eq!(read(&[b'*'; 40], 8).unwrap_err(), Mistake::Group(1));
        assert_eq!(read_first_two(b"0000"), None);
    }
}
