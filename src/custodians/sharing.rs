// SPDX-License-Identifier: GPL-2.0-or-later
//! Shamir's scheme over GF(2^8), the field of AES (FIPS 197): each byte of the secret is the value at 0 of a
//! polynomial whose other coefficients are uniformly random, zero included, and a share is its value elsewhere.
//! Nothing here branches on a secret or looks it up in a table.

use crate::secret::Locked;
use std::io;

/// Multiplies in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, in constant time.
pub(super) fn multiply(mut a: u8, b: u8) -> u8 {
    let mut product = 0;
    for bit in 0..8 {
        product ^= a & (b >> bit & 1).wrapping_neg();
        a = a << 1 ^ ((a >> 7).wrapping_neg() & 0x1b);
    }
    product
}

/// The inverse, which is the power of 254; of 0, it is 0.
fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128.
    let (mut power, mut square) = (1, a);
    for _ in 0..7 {
        square = multiply(square, square);
        power = multiply(power, square);
    }
    power
}

/// The value at `x` of the polynomials that begin with the bytes of `secret`. `coefficients` has the others: all
/// those of x, then all of x^2 and so on.
pub(super) fn evaluate(secret: &[u8], coefficients: &[u8], x: u8, share: &mut [u8]) {
    share.fill(0);
    let highest_first = coefficients.chunks_exact(secret.len()).rev().chain([secret]);
    for coefficients in highest_first {
        for (value, coefficient) in share.iter_mut().zip(coefficients) {
            *value = multiply(*value, x) ^ coefficient;
        }
    }
}

/// The value at `at` of the polynomials of least degree through the points: different numbers `x` that are not
/// secret, each with the values there.
///
/// # Errors
/// No memory.
pub(super) fn interpolate(points: &[(u8, &[u8])], at: u8) -> io::Result<Locked> {
    let len = points.first().map_or(0, |(_, values)| values.len());
    let mut result = Locked::new(len)?;
    for (x, values) in points {
        let others = points.iter().map(|(other, _)| *other).filter(|other| other != x);
        let weight =
            others.fold(1, |weight, other| multiply(weight, multiply(at ^ other, inverse(x ^ other))));
        result.iter_mut().zip(*values).for_each(|(to, value)| *to ^= multiply(*value, weight));
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Sha256;
    use std::collections::HashSet;

    #[test]
    fn the_arithmetic_is_that_of_fips_197() {
        // Sections 4.2 and 4.2.1.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
        let doubled = [0x57, 0xae, 0x47, 0x8e, 0x07];
        assert!(doubled.windows(2).all(|pair| multiply(pair[0], 2) == pair[1]));
        // The inverses in the S-box, section 5.1.1: S(0x53) = 0xed is the affine image of 0xca.
        assert_eq!(inverse(0x53), 0xca);
        assert_eq!((inverse(0), inverse(1)), (0, 1));
        for a in 1..=255 {
            assert_eq!(multiply(a, inverse(a)), 1);
        }
        // 3 generates all that is not zero, as the tables of SLIP-0039 have it.
        let powers: HashSet<u8> =
            (0..255).scan(1, |power, _| Some(std::mem::replace(power, multiply(*power, 3)))).collect();
        assert!(powers.len() == 255 && !powers.contains(&0));
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// Shares of SLIP-0039's published vectors, as the values that their words stand for. Their secret is the value
    /// at 255, and that at 254 begins with a digest of it.
    #[test]
    fn the_shares_of_slip_0039_lead_to_their_secrets() {
        let two_of_three = [(2, "08fb14b66e692e25dfe2edf53289ed62"), (0, "06ab48fef4bedc8ce58baeef0a73f76e")];
        let three_of_five = [
            (4, "90f25bc998346d039203971999669e96"),
            (2, "fc119ebfe32da3d688dc1f26c22c7ffc"),
            (0, "9e6afad0e741c8c1c65b2785a942808a"),
        ];
        for (shares, secret) in [
            (&two_of_three[..], "cdc017fddc829e791b1371780be0605a"),
            (&three_of_five[..], "e0a3c2d22270a6497c10d76edc660894"),
        ] {
            let values: Vec<_> = shares.iter().map(|(x, hex)| (*x, bytes(hex))).collect();
            let points: Vec<_> = values.iter().map(|(x, values)| (*x, values.as_slice())).collect();
            let found = interpolate(&points, 255).unwrap();
            assert_eq!(*found, bytes(secret)[..]);
            let digest = interpolate(&points, 254).unwrap();
            use hmac::{KeyInit, Mac};
            let mac =
                hmac::Hmac::<Sha256>::new_from_slice(&digest[4..]).unwrap().chain_update(&*found).finalize();
            assert_eq!(mac.into_bytes()[..4], digest[..4]);
        }
    }

    /// All choices of `count` of the numbers 1 to `of`.
    fn choices(count: usize, of: u8) -> Vec<Vec<u8>> {
        let all = (0..1_u32 << of).filter(|set| set.count_ones() as usize == count);
        all.map(|set| (1..=of).filter(|x| set >> (x - 1) & 1 == 1).collect()).collect()
    }

    /// With one share of two, or two of three, whatever they are, every secret has been split by as many coefficients:
    /// the shares have the same distribution for all secrets.
    #[test]
    fn one_share_too_few_has_the_same_distribution_for_every_secret() {
        for (secret, x) in (0..=255).flat_map(|secret| (1..=16).map(move |x| (secret, x))) {
            let mut seen = [0; 256];
            for coefficient in 0..=255 {
                let mut share = [0];
                evaluate(&[secret], &[coefficient], x, &mut share);
                seen[usize::from(share[0])] += 1;
            }
            assert!(seen.iter().all(|times| *times == 1));
        }
        for pair in choices(2, 5) {
            for secret in [0, 1, 0x53, 0x80, 0xff] {
                let mut seen = vec![false; 1 << 16];
                for (first, second) in (0..=255).flat_map(|a| (0..=255).map(move |b| (a, b))) {
                    let mut values = [[0], [0]];
                    for (x, share) in pair.iter().zip(&mut values) {
                        evaluate(&[secret], &[first, second], *x, share);
                    }
                    seen[usize::from(values[0][0]) << 8 | usize::from(values[1][0])] = true;
                }
                assert!(seen.iter().all(|seen| *seen), "shares {pair:?} of secret {secret}");
            }
        }
    }

    /// For every k - 1 of n shares and every secret byte, there are coefficients that lead to these shares.
    #[test]
    fn one_share_too_few_leaves_every_secret_byte_possible() {
        for (threshold, of) in [(2, 3), (3, 5), (5, 8)] {
            let values = Locked::random(usize::from(of)).unwrap();
            for numbers in choices(threshold - 1, of) {
                let mut third_points = HashSet::new();
                for secret in 0..=255 {
                    let secret = [secret];
                    let mut points: Vec<(u8, &[u8])> = vec![(0, &secret)];
                    points
                        .extend(numbers.iter().map(|x| (*x, &values[usize::from(*x) - 1..usize::from(*x)])));
                    // The polynomial of degree k - 1 through them has its value everywhere, and each secret another one.
                    let elsewhere = (1..=of).find(|x| !numbers.contains(x)).unwrap();
                    let value = interpolate(&points, elsewhere).unwrap();
                    third_points.insert(value[0]);
                    let mut with_it = points[1..].to_vec();
                    with_it.push((elsewhere, &value));
                    assert_eq!(*interpolate(&with_it, 0).unwrap(), secret);
                }
                assert_eq!(third_points.len(), 256);
            }
        }
    }

    #[test]
    fn every_choice_of_enough_shares_leads_to_the_secret() {
        for (threshold, of) in [(2, 3), (3, 5), (5, 8), (10, 10)] {
            let secret = Locked::random(20).unwrap();
            let coefficients = Locked::random(20 * (threshold - 1)).unwrap();
            let shares: Vec<[u8; 20]> = (1..=of)
                .map(|x| {
                    let mut share = [0; 20];
                    evaluate(&secret, &coefficients, x, &mut share);
                    share
                })
                .collect();
            for count in 1..=usize::from(of) {
                for numbers in choices(count, of) {
                    let points: Vec<(u8, &[u8])> =
                        numbers.iter().map(|x| (*x, &shares[usize::from(*x) - 1][..])).collect();
                    let found = interpolate(&points, 0).unwrap();
                    assert_eq!(*found == *secret, count >= threshold, "{numbers:?} of {of}");
                }
            }
        }
    }
}
