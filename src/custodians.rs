// SPDX-License-Identifier: GPL-2.0-or-later
//! Custodians: people who each keep a share of a secret. Some number of the shares (the threshold) leads to the
//! secret, and fewer tell nothing about it. A share is 12 groups of 5 characters on paper.

mod sharing;

use crate::paper::{self, Mistake};
use crate::secret::{Locked, UnlockSecret, random_array};
use std::fmt;
use std::io;
use std::str::FromStr;
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Maximum number of shares.
pub const MAX_SHARES: u8 = 16;

/// Length of the secret that is split, in bytes.
const SECRET_LEN: usize = 20;
/// Bytes of a share before its part of the secret: numbers (2), keyring (4), set (4).
const HEAD_LEN: usize = 10;
const KEYRING_AT: usize = 2;
const SET_AT: usize = 6;
const GROUPS: usize = 12;
/// Characters of a share, without what separates them.
const CHARACTERS: usize = paper::characters(GROUPS);

/// How many custodians there are, and how many of them it takes: `2-of-3`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Custodians {
    threshold: u8,
    shares: u8,
}

impl Custodians {
    /// `threshold` of `shares`, if 2 ≤ threshold ≤ shares ≤ [`MAX_SHARES`].
    pub fn new(threshold: u8, shares: u8) -> Option<Self> {
        (2 <= threshold && threshold <= shares && shares <= MAX_SHARES).then_some(Self { threshold, shares })
    }

    /// How many shares are enough.
    pub fn threshold(self) -> u8 {
        self.threshold
    }

    /// How many shares there are.
    pub fn shares(self) -> u8 {
        self.shares
    }
}

impl fmt::Display for Custodians {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.threshold, self.shares)
    }
}

impl FromStr for Custodians {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok());
        let numbers = text.split_once("-of-").and_then(|(k, n)| Some((number(k)??, number(n)??)));
        numbers.and_then(|(threshold, shares)| Self::new(threshold, shares)).ok_or_else(|| {
            format!("write it as 2-of-3: at least 2 shares are needed, and there are at most {MAX_SHARES}")
        })
    }
}

/// Why a text is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ShareError {
    /// It does not have 60 characters.
    #[error("a share has 12 groups of 5 characters, and {0} characters were given")]
    Length(usize),
    /// A character of a group, counted from 1, is wrong. The number of the share is known unless that is in the first
    /// group.
    #[error("group {group} of {} has a typing mistake", share_name(*.number))]
    Group {
        /// The number on the share.
        number: Option<u8>,
        /// The group, counted from 1.
        group: usize,
    },
    /// All check characters are right, but the numbers at its beginning are not possible.
    #[error("this is not a share of a keyring, although its check characters are right")]
    NotAShare,
    /// A later program made it.
    #[error("this share has a form that this program does not know: use a later keyringctl")]
    Newer,
}

fn share_name(number: Option<u8>) -> String {
    number.map_or_else(|| "the share".to_owned(), |number| format!("share {number}"))
}

/// One share, in locked memory.
#[derive(Debug)]
pub struct Share {
    custodians: Custodians,
    number: u8,
    bytes: Locked,
}

impl Share {
    /// Splits a new random secret of the keyring `id`. Returns the secret and the shares.
    ///
    /// # Errors
    /// No memory or no randomness.
    pub(crate) fn split(custodians: Custodians, id: &Uuid) -> io::Result<(Locked, Vec<Self>)> {
        let secret = Locked::random(SECRET_LEN)?;
        let coefficients = Locked::random(SECRET_LEN * (usize::from(custodians.threshold) - 1))?;
        let set: [u8; 4] = random_array()?;
        let mut shares = Vec::new();
        for number in 1..=custodians.shares {
            let mut bytes = Locked::new(HEAD_LEN + SECRET_LEN)?;
            let numbers = [(custodians.threshold - 1) << 4 | (number - 1), (custodians.shares - 1) << 4];
            let head = numbers.iter().chain(id.as_bytes().iter().take(SET_AT - KEYRING_AT)).chain(&set);
            bytes.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
            let part = bytes.get_mut(HEAD_LEN..).unwrap_or_default();
            sharing::evaluate(&secret, &coefficients, number, part);
            shares.push(Self { custodians, number, bytes });
        }
        Ok((secret, shares))
    }

    /// Reads a typed share. Case, spaces and dashes do not matter.
    ///
    /// # Errors
    /// [`ShareError`], which names the group with the mistake. Lack of memory is reported as a wrong length.
    pub fn parse(text: &[u8]) -> Result<Self, ShareError> {
        let bytes = paper::read(text, GROUPS).map_err(|mistake| match mistake {
            Mistake::Length(count) => ShareError::Length(count),
            Mistake::Group(group) => {
                let number = paper::read_first_two(text).and_then(|[first, _]| valid(first, u8::MAX));
                ShareError::Group { number: number.map(|(_, number)| number), group }
            }
        })?;
        let (first, second) = (bytes.first().copied(), bytes.get(1).copied());
        let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
        if second & 15 != 0 {
            return Err(ShareError::Newer);
        }
        let (custodians, number) = valid(first, second).ok_or(ShareError::NotAShare)?;
        Ok(Self { custodians, number, bytes })
    }

    /// Writes the 12 groups to `out`, separated by dashes. This is the only place where a share leaves locked memory.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        paper::write(&self.bytes, out)
    }

    /// How many shares there are, and how many are enough.
    pub fn custodians(&self) -> Custodians {
        self.custodians
    }

    /// Its number, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The set that it belongs to: the shares that were made together. 8 hexadecimal digits.
    pub fn set(&self) -> String {
        self.bytes.iter().skip(SET_AT).take(HEAD_LEN - SET_AT).map(|byte| format!("{byte:02X}")).collect()
    }

    /// The first 8 hexadecimal digits of its keyring's id.
    pub fn keyring(&self) -> String {
        self.bytes
            .iter()
            .skip(KEYRING_AT)
            .take(SET_AT - KEYRING_AT)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether it may be of the keyring `id`.
    pub fn is_of(&self, id: &Uuid) -> bool {
        self.bytes.get(KEYRING_AT..SET_AT) == id.as_bytes().get(..SET_AT - KEYRING_AT)
    }

    /// Whether this was made together with another share.
    pub fn is_of_set_of(&self, other: &Self) -> bool {
        let set = |share: &Self| share.bytes.get(1..HEAD_LEN).map(<[u8]>::to_owned);
        self.custodians == other.custodians && set(self) == set(other)
    }

    /// Whether this is the same share as another one, which has the same number and is of the same set.
    pub fn is(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        bool::from(self.bytes.ct_eq(&other.bytes))
    }

    fn part(&self) -> &[u8] {
        self.bytes.get(HEAD_LEN..).unwrap_or_default()
    }
}

/// What the first byte of a share says, if the second one (the number of shares) allows it.
fn valid(first: u8, second: u8) -> Option<(Custodians, u8)> {
    let custodians = Custodians::new((first >> 4) + 1, (second >> 4) + 1)?;
    let number = (first & 15) + 1;
    (number <= custodians.shares).then_some((custodians, number))
}

/// Shares as an unlock secret: one after the other.
///
/// # Errors
/// No memory.
pub fn unlock_secret<'a>(shares: impl IntoIterator<Item = &'a Share>) -> io::Result<UnlockSecret> {
    // With room for all of it, so that no copy is left behind.
    let mut text = Zeroizing::new(String::with_capacity(usize::from(MAX_SHARES) * (CHARACTERS + GROUPS)));
    for share in shares.into_iter().take(usize::from(MAX_SHARES)) {
        // Writing to a String does not fail.
        let _ = share.write_to(&mut *text);
        text.push('\n');
    }
    Ok(UnlockSecret::new(Locked::copy_of(text.as_bytes())?))
}

/// The secret that the shares in `text` lead to, if they are enough shares of one set for these custodians, each given
/// once, and all of them agree.
///
/// # Errors
/// No memory.
pub(crate) fn secret_of(text: &[u8], custodians: Custodians) -> io::Result<Option<Locked>> {
    let count = paper::typed(text).count();
    let fits = count.is_multiple_of(CHARACTERS)
        && (usize::from(custodians.threshold)..=usize::from(custodians.shares))
            .contains(&(count / CHARACTERS));
    if !fits {
        return Ok(None);
    }
    let mut typed = Locked::new(count)?;
    typed.iter_mut().zip(paper::typed(text)).for_each(|(to, from)| *to = from);
    let mut shares: Vec<Share> = Vec::new();
    for text in typed.chunks_exact(CHARACTERS) {
        let Ok(share) = Share::parse(text) else { return Ok(None) };
        let fits = share.custodians == custodians
            && shares.iter().all(|other| other.number != share.number && other.is_of_set_of(&share));
        if !fits {
            return Ok(None);
        }
        shares.push(share);
    }
    let points: Vec<_> = shares.iter().map(|share| (share.number, share.part())).collect();
    let (enough, more) = points.split_at(usize::from(custodians.threshold).min(points.len()));
    for (number, part) in more {
        if *sharing::interpolate(enough, *number)? != **part {
            return Ok(None);
        }
    }
    sharing::interpolate(enough, 0).map(Some)
}

#[cfg(test)]
mod tests;
