// SPDX-License-Identifier: GPL-2.0-or-later
//! The end of a certificate's validity, from its DER (RFC 5280). Nothing depends on it but a warning: rustls has
//! validated the certificate.

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The tag of the version, which is left out for version 1.
const VERSION: u8 = 0xa0;

/// Returns when a certificate ends, in seconds since 1970. `None` if these bytes are no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (certificate, _) = content(certificate, SEQUENCE)?;
    let (mut rest, _) = content(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = content(rest, VERSION)?.1;
    }
    // Serial number, algorithm and issuer stand before the validity.
    for _ in 0..3 {
        rest = content(rest, *rest.first()?)?.1;
    }
    let (validity, _) = content(rest, SEQUENCE)?;
    let (_, end) = content(validity, *validity.first()?)?;
    match *end.first()? {
        UTC_TIME => {
            let (digits, _) = content(end, UTC_TIME)?;
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            seconds(if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (digits, _) = content(end, GENERALIZED_TIME)?;
            let (year, rest) = digits.split_at_checked(4)?;
            seconds(number(year)?, rest)
        }
        _ => None,
    }
}

/// The content of the first element of `der`, which must have this tag, and what follows it.
fn content(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (len, rest) = rest.split_first()?;
    let (len, rest) = match len {
        len @ 0..=0x7f => (usize::from(*len), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(len - 0x80))?;
            (bytes.iter().fold(0, |len, b| len << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    (*first == tag).then(|| rest.split_at_checked(len)).flatten()
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

/// The time of month, day, hour, minute and second, two digits each, in that year, in UTC.
fn seconds(year: u64, rest: &[u8]) -> Option<u64> {
    let digits = rest.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let parts: Option<Vec<u64>> = digits.chunks(2).map(number).collect();
    let &[month, day, hour, minute, second] = parts?.as_slice() else { return None };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    // Years begin in March, so that a leap day is the last one.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // The days from 1 March of the year 0 to 1 January 1970.
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element with this tag.
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len();
        match len {
            0..0x80 => [&[tag, len as u8], content].concat(),
            _ => [&[tag, 0x82, (len >> 8) as u8, len as u8], content].concat(),
        }
    }

    fn certificate(end: &[u8], padding: usize) -> Vec<u8> {
        let validity = element(SEQUENCE, &[&element(UTC_TIME, b"250101000000Z"), end].concat());
        let fields = [
            element(VERSION, &[2, 1, 2]),
            element(2, &[9; 20]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &vec![1; padding]),
            validity,
            element(SEQUENCE, &[]),
        ];
        element(SEQUENCE, &element(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let utc = |text: &str| not_after(&certificate(&element(UTC_TIME, text.as_bytes()), 300));
        assert_eq!(utc("270101000000Z"), Some(1_798_761_600));
        assert_eq!(utc("240229235959Z"), Some(1_709_251_199));
        assert_eq!(utc("700101000000Z"), Some(0));
        let long = not_after(&certificate(&element(GENERALIZED_TIME, b"20991231235959Z"), 3));
        assert_eq!(long, Some(4_102_444_799));
        for bad in ["270101000000", "27010100000Z", "271301000000Z", "270100000000Z", "2x0101000000Z"] {
            assert_eq!(utc(bad), None, "{bad}");
        }
    }

    #[test]
    fn other_bytes_are_no_certificate() {
        let good = certificate(&element(UTC_TIME, b"270101000000Z"), 300);
        for len in 0..good.len() {
            assert_eq!(not_after(&good[..len]), None, "{len}");
        }
        for at in 0..30 {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                // Whatever it says, it does not panic.
                let _ = not_after(&bad);
            }
        }
    }
}
