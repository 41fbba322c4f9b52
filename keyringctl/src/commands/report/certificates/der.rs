// SPDX-License-Identifier: GPL-2.0-or-later
//! What the report shows of an X.509 certificate (RFC 5280): names, serial number and validity. It checks no signature:
//! that is up to those who connect.

use super::Certificate;
use crate::commands::output::hex;
use sha2::{Digest, Sha256};
use std::time::UNIX_EPOCH;

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// The version of the certificate, which may be left out.
const VERSION: u8 = 0xa0;

/// Kinds of attributes of a name, in DER.
const ATTRIBUTES: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// Elements of DER, one after the other.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next element, if it has this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().and_then(|(found, content)| (found == tag).then_some(content))
    }
}

impl Certificate {
    /// Reads a certificate; `None` if it is none.
    pub(super) fn from_der(der: &[u8]) -> Option<Certificate> {
        let outer = Elements(der).expect(SEQUENCE)?;
        let mut parts = Elements(Elements(outer).expect(SEQUENCE)?);
        if parts.0.first() == Some(&VERSION) {
            parts.next()?;
        }
        let serial = parts.expect(INTEGER)?;
        let _algorithm = parts.expect(SEQUENCE)?;
        let issuer = name(parts.expect(SEQUENCE)?)?;
        let mut validity = Elements(parts.expect(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = name(parts.expect(SEQUENCE)?)?;
        let sha256 = hex(&Sha256::digest(der));
        Some(Certificate { subject, issuer, serial: hex(serial), not_before, not_after, sha256 })
    }
}

/// A distinguished name in the order in which it is written, with commas escaped.
fn name(der: &[u8]) -> Option<String> {
    let (mut sets, mut parts) = (Elements(der), Vec::new());
    while !sets.0.is_empty() {
        let mut attributes = Elements(sets.expect(SET)?);
        while !attributes.0.is_empty() {
            let mut attribute = Elements(attributes.expect(SEQUENCE)?);
            let kind = attribute.expect(OBJECT_ID)?;
            let value = text(attribute.next()?).replace('\\', "\\\\").replace(',', "\\,");
            let known = ATTRIBUTES.iter().find(|(id, _)| *id == kind).map(|(_, name)| (*name).to_owned());
            parts.push(format!("{}={value}", known.unwrap_or_else(|| hex(kind))));
        }
    }
    Some(parts.join(", "))
}

fn text((tag, content): (u8, &[u8])) -> String {
    if tag == BMP_STRING {
        let units: Vec<_> =
            content.chunks(2).map(|pair| pair.iter().fold(0, |n, byte| n << 8 | u16::from(*byte))).collect();
        return String::from_utf16_lossy(&units);
    }
    String::from_utf8_lossy(content).into_owned()
}

/// Seconds since 1970. Years of two digits are from 1950 to 2049.
fn time((tag, content): (u8, &[u8])) -> Option<u64> {
    let digits = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let digits = match (tag, digits.get(..2)?.parse::<u8>().ok()?) {
        (UTC_TIME, 50..) => format!("19{digits}"),
        (UTC_TIME, _) => format!("20{digits}"),
        (GENERALIZED_TIME, _) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, len: usize| digits.get(from..from + len);
    let (date, clock) = ([part(0, 4)?, part(4, 2)?, part(6, 2)?], [part(8, 2)?, part(10, 2)?, part(12, 2)?]);
    let time = humantime::parse_rfc3339(&format!("{}T{}Z", date.join("-"), clock.join(":"))).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::tests::PEM;
    use super::*;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    #[test]
    fn times_of_both_forms_are_read() {
        let read = |tag, text: &str| time((tag, text.as_bytes())).map(crate::commands::output::time);
        assert_eq!(read(UTC_TIME, "360101000000Z").as_deref(), Some("2036-01-01T00:00:00Z"));
        assert_eq!(read(UTC_TIME, "990101000000Z").as_deref(), Some("1999-01-01T00:00:00Z"));
        assert_eq!(read(GENERALIZED_TIME, "20501231235959Z").as_deref(), Some("2050-12-31T23:59:59Z"));
        for wrong in ["", "Z", "36Z", "360101000000", "991301000000Z", "\u{e4}60101000000Z"] {
            assert_eq!(read(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_byte_of_a_certificate_ends_the_report() {
        let der = CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap();
        assert!(Certificate::from_der(&der).is_some());
        for end in 0..der.len() {
            assert_eq!(Certificate::from_der(&der[..end]), None, "{end}");
        }
        for at in 0..der.len() {
            for value in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = der.to_vec();
                changed[at] = value;
                let _ = Certificate::from_der(&changed);
            }
        }
    }

    #[test]
    fn names_of_other_kinds_are_read() {
        let bmp = [0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55, 0x04, 0x03, BMP_STRING, 0x04, 0, b'd', 0, b'b'];
        assert_eq!(name(&bmp).as_deref(), Some("CN=db"));
        let unknown = [0x31, 0x09, 0x30, 0x07, 0x06, 0x02, 0x2a, 0x03, 0x0c, 0x01, b'x'];
        assert_eq!(name(&unknown).as_deref(), Some("2a03=x"));
    }
}
