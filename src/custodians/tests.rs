// SPDX-License-Identifier: GPL-2.0-or-later
//! Shares: split, written, mistyped and put together.

use super::*;

fn id() -> Uuid {
    Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
}

fn split(threshold: u8, shares: u8) -> (Custodians, Locked, Vec<Share>) {
    let custodians = Custodians::new(threshold, shares).unwrap();
    let (secret, shares) = Share::split(custodians, &id()).unwrap();
    (custodians, secret, shares)
}

fn text(share: &Share) -> String {
    let mut text = String::new();
    share.write_to(&mut text).unwrap();
    text
}

fn combined<'a>(shares: impl IntoIterator<Item = &'a Share>, custodians: Custodians) -> Option<Vec<u8>> {
    let secret = unlock_secret(shares).unwrap();
    secret_of(secret.raw(), custodians).unwrap().map(|secret| secret.to_vec())
}

#[test]
fn every_subset_of_enough_shares_leads_to_the_secret_and_no_smaller_one_does() {
    for (threshold, count) in [(2, 3), (3, 5), (5, 8)] {
        let (custodians, secret, shares) = split(threshold, count);
        for set in 1..1_u32 << count {
            let chosen = shares.iter().filter(|share| set >> (share.number - 1) & 1 == 1);
            let expected = (set.count_ones() >= u32::from(threshold)).then(|| secret.to_vec());
            assert_eq!(combined(chosen, custodians), expected, "{set:b} of {custodians}");
        }
        // In any order, typed in any way.
        let typed: String =
            shares.iter().rev().map(|share| text(share).to_lowercase().replace('-', " ")).collect();
        assert_eq!(secret_of(typed.as_bytes(), custodians).unwrap().unwrap()[..], secret[..]);
    }
}

#[test]
fn a_share_says_what_it_is() {
    let (custodians, _, shares) = split(2, 3);
    for (number, share) in (1..).zip(&shares) {
        let printed = text(share);
        assert_eq!((printed.len(), printed.split('-').count()), (71, 12));
        let read = Share::parse(printed.as_bytes()).unwrap();
        assert_eq!((read.custodians(), read.number()), (custodians, number));
        assert!(read.is(share) && read.is_of(&id()) && !read.is_of(&Uuid::from_u128(1)));
        assert_eq!((read.keyring().as_str(), read.set()), ("01234567", shares[0].set()));
        assert!(read.is_of_set_of(&shares[0]) && !read.is_of_set_of(&split(2, 3).2[0]));
    }
    assert_eq!(shares[0].bytes[..6], [0x10, 0x20, 0x01, 0x23, 0x45, 0x67]);
    assert_eq!(split(16, 16).2[15].bytes[..2], [0xff, 0xf0]);
    let shown = format!("{:?}", shares[0]);
    assert!(shown.contains("Locked(..)") && !shown.contains("bytes: ["), "{shown}");
}

#[test]
fn every_mistyped_character_of_a_share_is_found_and_placed() {
    let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for share in &split(3, 5).2 {
        let printed = text(share).into_bytes();
        for at in (0..printed.len()).filter(|at| printed[*at] != b'-') {
            for c in alphabet.iter().filter(|c| **c != printed[at]) {
                let mut typed = printed.clone();
                typed[at] = *c;
                let group = at / 6 + 1;
                // Its number is in the first group.
                let number = (group > 1).then_some(share.number);
                assert_eq!(Share::parse(&typed).unwrap_err(), ShareError::Group { number, group });
            }
        }
    }
    let mistake = ShareError::Group { number: Some(2), group: 5 };
    assert_eq!(mistake.to_string(), "group 5 of share 2 has a typing mistake");
    let mistake = ShareError::Group { number: None, group: 1 };
    assert_eq!(mistake.to_string(), "group 1 of the share has a typing mistake");
}

#[test]
fn what_is_no_share_is_refused() {
    let with = |first: u8, second: u8| {
        let mut bytes = [7; 30];
        (bytes[0], bytes[1]) = (first, second);
        let mut text = String::new();
        paper::write(&bytes, &mut text).unwrap();
        Share::parse(text.as_bytes())
    };
    assert!(with(0x10, 0x20).is_ok());
    assert_eq!(with(0x10, 0x21).unwrap_err(), ShareError::Newer);
    // One share would be enough; more are needed than there are; the number is too high.
    for (first, second) in [(0x00, 0x20), (0x30, 0x20), (0x13, 0x20)] {
        assert_eq!(with(first, second).unwrap_err(), ShareError::NotAShare);
    }
    assert_eq!(Share::parse(b"ABC").unwrap_err(), ShareError::Length(3));
    for text in ["2-of-3", "16-of-16", "2-of-2"] {
        assert_eq!(text.parse::<Custodians>().unwrap().to_string(), text);
    }
    for text in ["", "2", "1-of-3", "4-of-3", "2-of-17", "+2-of-3", "2 of 3", "2-of-", "258-of-300"] {
        assert!(text.parse::<Custodians>().is_err(), "{text}");
    }
}

#[test]
fn shares_that_do_not_belong_together_lead_to_nothing() {
    let (custodians, secret, shares) = split(2, 4);
    let (_, _, other_set) = split(2, 4);
    assert_eq!(combined([&shares[0], &other_set[1]], custodians), None);
    assert_eq!(combined([&shares[0], &shares[0]], custodians), None, "one share twice");
    assert_eq!(combined(&shares, Custodians::new(2, 3).unwrap()), None, "another slot");
    let forged = |number: usize| {
        let mut bytes = Locked::copy_of(&shares[number].bytes).unwrap();
        bytes[15] ^= 1;
        Share { custodians, number: shares[number].number, bytes }
    };
    // Two shares always lead to something, and a third one that does not agree says that it is wrong.
    assert_ne!(combined([&shares[0], &forged(1)], custodians), Some(secret.to_vec()));
    assert_eq!(combined([&shares[0], &forged(1), &shares[2]], custodians), None);
    assert_eq!(combined([&shares[0], &shares[1], &forged(2)], custodians), None);
}

/// How far the frequencies of bytes are from equal ones: 255 on average for uniform bytes, with a deviation of 23.
fn chi_square(counts: &[u32; 256]) -> f64 {
    let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
    counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
}

#[test]
fn coefficients_and_shares_are_uniform_zero_included() {
    let (mut coefficients, mut values) = ([0; 256], [0; 256]);
    for _ in 0..4000 {
        let (_, secret, shares) = split(2, 2);
        for (at, byte) in secret.iter().enumerate() {
            // The share at 1 is the secret plus the coefficient.
            coefficients[usize::from(shares[0].part()[at] ^ byte)] += 1;
            values[usize::from(shares[1].part()[at])] += 1;
        }
    }
    for counts in [coefficients, values] {
        // For uniform bytes, once in more than 10^15 runs. Without zeros, it would be above 550.
        assert!(chi_square(&counts) < 500.0, "{} of {counts:?}", chi_square(&counts));
    }
    assert!(coefficients[0] > 150, "80000 coefficients, and {} are zero", coefficients[0]);
}
