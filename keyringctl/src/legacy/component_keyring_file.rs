// SPDX-License-Identifier: GPL-2.0-or-later
//! The file of MySQL's component `component_keyring_file`: one JSON object with `"version":"1.0"` and
//! `"elements"`, an array of objects of `user`, `data_id`, `data_type`, `data` (hexadecimal) and
//! `extension` (an empty array). Names are bytes that need not be UTF-8. There is no checksum.

use super::fault::{Fault, Result};
use super::keys::{Key, KeyEntry, LegacyKeys};
use keyring_external::secret::Locked;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, Visitor};
use std::borrow::Cow;
use std::fmt;

const VERSION: &str = "1.0";

/// Reads the keys of a file. Unknown members are ignored, as by the component.
///
/// # Errors
/// The file has another format, is damaged, or has two keys with one name.
pub fn read(bytes: &[u8]) -> Result<LegacyKeys> {
    if bytes.is_empty() {
        return LegacyKeys::new(Locked::new(0)?, Vec::new(), "without content", None);
    }
    // serde's message may quote a key, so it is not used.
    let file: JsonFile<'_> = serde_json::from_slice(bytes)
        .map_err(|e| Fault::Json { line: e.line().max(1), column: e.column() })?;
    if &*file.version.0 != VERSION.as_bytes() {
        return Err(Fault::Version { known: VERSION });
    }
    let room = file.elements.iter().map(|element| element.data.0.len().div_ceil(2)).sum();
    let mut open = Locked::new(room)?;
    let mut at = 0;
    let mut entries = Vec::with_capacity(file.elements.len());
    for Element { user, data_id, data_type, data, extension } in file.elements {
        let (user, id) = (user.0.into_owned(), data_id.0.into_owned());
        let name = || Key { id: &id, user: &user, key_type: b"", data: b"" }.to_string();
        if !extension.is_empty() {
            return Err(Fault::Extension { name: name() });
        }
        let len = data.0.len().div_ceil(2);
        let place = open.get_mut(at..at + len).unwrap_or_default();
        unhex(data.0, place).ok_or_else(|| Fault::Hex { name: name() })?;
        entries.push(KeyEntry { user, id, key_type: data_type.0.into_owned(), data: at..at + len });
        at += len;
    }
    LegacyKeys::new(open, entries, VERSION, None)
}

#[derive(serde::Deserialize)]
struct JsonFile<'a> {
    #[serde(borrow)]
    version: Text<'a>,
    #[serde(borrow)]
    elements: Vec<Element<'a>>,
}

#[derive(serde::Deserialize)]
struct Element<'a> {
    #[serde(borrow)]
    user: Text<'a>,
    #[serde(borrow)]
    data_id: Text<'a>,
    #[serde(borrow)]
    data_type: Text<'a>,
    #[serde(borrow)]
    data: Hex<'a>,
    extension: Vec<IgnoredAny>,
}

/// The bytes of a string, which need not be UTF-8.
struct Text<'a>(Cow<'a, [u8]>);

/// The hexadecimal digits of a key, borrowed from the file: a copy made by the parser would not be wiped.
struct Hex<'a>(&'a [u8]);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_bytes<E: de::Error>(self, v: &'de [u8]) -> std::result::Result<Text<'de>, E> {
                Ok(Text(v.into()))
            }
            fn visit_bytes<E: de::Error>(self, v: &[u8]) -> std::result::Result<Text<'de>, E> {
                Ok(Text(v.to_vec().into()))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Hex<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Digits;
        impl<'de> Visitor<'de> for Digits {
            type Value = Hex<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string without escapes")
            }
            fn visit_borrowed_bytes<E: de::Error>(self, v: &'de [u8]) -> std::result::Result<Hex<'de>, E> {
                Ok(Hex(v))
            }
        }
        from.deserialize_bytes(Digits)
    }
}

/// Decodes hexadecimal digits into `to`, which has room for them. If their number is odd, the first is a byte of its own.
fn unhex(digits: &[u8], to: &mut [u8]) -> Option<()> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).map(|v| v as u8);
    let (lone, pairs) = digits.split_at_checked(digits.len() % 2)?;
    let mut places = to.iter_mut();
    if let Some(digit) = lone.first() {
        *places.next()? = value(digit)?;
    }
    for pair in pairs.as_chunks::<2>().0 {
        let [high, low] = pair;
        *places.next()? = value(high)? << 4 | value(low)?;
    }
    Some(())
}

/// Formats keys as the component does. `each` is called twice and must pass the same keys both times. Returns a locked
/// buffer, and how many of its bytes are the file.
///
/// # Errors
/// The system has no memory.
pub fn write(each: impl Fn(&mut dyn FnMut(Key<'_>))) -> Result<(Locked, usize)> {
    let mut len = 0;
    put_all(&each, &mut |bytes| len += bytes.len());
    let mut file = Locked::new(len)?;
    let mut rest: &mut [u8] = &mut file;
    put_all(&each, &mut |bytes| {
        if let Some((to, behind)) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
            to.copy_from_slice(bytes);
            rest = behind;
        }
    });
    Ok((file, len))
}

fn put_all(each: impl Fn(&mut dyn FnMut(Key<'_>)), to: &mut impl FnMut(&[u8])) {
    to(br#"{"version":"1.0","elements":["#);
    let mut before: &[u8] = b"{";
    each(&mut |Key { id, user, key_type, data }| {
        to(std::mem::replace(&mut before, b",{"));
        for (member, text) in [("user", user), ("data_id", id), ("data_type", key_type)] {
            to(b"\"");
            to(member.as_bytes());
            to(b"\":\"");
            text.iter().for_each(|byte| escape(*byte, to));
            to(b"\",");
        }
        to(br#""data":""#);
        data.iter().for_each(|byte| to(&hex(*byte)));
        to(br#"","extension":[]}"#);
    });
    to(b"]}");
}

/// Writes a byte of a string with the escapes of JSON.
fn escape(byte: u8, to: &mut impl FnMut(&[u8])) {
    match byte {
        b'"' | b'\\' => to(&[b'\\', byte]),
        0..=0x1f => {
            to(br"\u00");
            to(&hex(byte));
        }
        _ => to(&[byte]),
    }
}

fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| if digit < 10 { b'0' + digit } else { b'A' + digit - 10 })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, Sample};
    use super::*;

    fn written(keys: &[Sample]) -> Vec<u8> {
        let (file, len) = write(|put| samples::each(keys, put)).unwrap();
        file[..len].to_vec()
    }

    fn element(members: &str) -> Vec<u8> {
        format!(r#"{{"version":"1.0","elements":[{{{members}}}]}}"#).into_bytes()
    }

    const WHOLE: &str = r#""user":"u","data_id":"k","data_type":"AES","data":"0aB","extension":[]"#;

    #[test]
    fn what_is_written_is_read() {
        for count in [0, 1, 9] {
            let keys = samples::some(count);
            let read = read(&written(&keys)).unwrap();
            assert_eq!(samples::of(&read), samples::sorted(keys));
            assert_eq!((read.version, read.checksum), ("1.0", None));
        }
    }

    #[test]
    fn every_byte_of_a_name_is_kept() {
        let all: Vec<u8> = (0..=255).collect();
        let keys = vec![(all.clone(), all.clone(), all.clone(), all)];
        assert_eq!(samples::of(&read(&written(&keys)).unwrap()), keys);
    }

    #[test]
    fn the_output_is_that_of_the_component() {
        let keys = [(b"u".to_vec(), b"a\"\n".to_vec(), b"AES".to_vec(), vec![0, 0xab])];
        assert_eq!(
            String::from_utf8(written(&keys)).unwrap(),
            r#"{"version":"1.0","elements":[{"user":"u","data_id":"a\"\u000A","data_type":"AES","data":"00AB","extension":[]}]}"#
        );
    }

    #[test]
    fn digits_may_have_either_case_and_an_odd_first_digit_is_a_byte() {
        let keys = read(&element(WHOLE)).unwrap();
        assert_eq!(keys.get(b"k", b"u").unwrap().data, [0, 0xab]);
    }

    #[test]
    fn unknown_members_are_ignored() {
        let more = format!(r#""note":{{"a":["b",1]}},{WHOLE}"#);
        assert_eq!(read(&element(&more)).unwrap().len(), 1);
    }

    #[test]
    fn a_file_from_which_a_key_would_be_lost_is_refused() {
        for (member, other) in [
            (r#""0aB""#, r#""0x""#),
            (r#""0aB""#, r#""0a b""#),
            (r#""0aB""#, r#""\u0041""#),
            (r#""0aB""#, "10"),
            (r#""user":"u","#, ""),
            (r#","extension":[]"#, ""),
            ("[]", "[1]"),
            ("[]", "{}"),
            (r#""user":"u""#, r#""user":null"#),
            (r#""user":"u""#, r#""user":"u","user":"v""#),
        ] {
            let changed = WHOLE.replace(member, other);
            assert_ne!(changed, WHOLE);
            let e = read(&element(&changed)).unwrap_err().to_string();
            assert!(!e.contains("0aB") && !e.contains("0x"), "{e}");
        }
        let twice = format!("{WHOLE}}},{{{WHOLE}");
        assert!(matches!(read(&element(&twice)), Err(Fault::Twice { .. })));
        assert!(matches!(read(br#"{"version":"1.1","elements":[]}"#), Err(Fault::Version { .. })));
        assert!(matches!(read(br#"{"version":"1.0"}"#), Err(Fault::Json { .. })));
        assert!(matches!(read(br#"{"version":"1.0","elements":[]} x"#), Err(Fault::Json { .. })));
    }

    #[test]
    fn changed_and_truncated_files_are_refused_or_read_without_harm() {
        let file = written(&samples::some(3));
        for at in 0..file.len() {
            let mut other = file.clone();
            for value in 0..=255 {
                other[at] = value;
                if let Ok(keys) = read(&other) {
                    assert!(keys.len() <= 3);
                }
            }
            assert!(at == 0 || read(&file[..at]).is_err(), "truncated to {at}");
        }
        let deep = [&br#"{"version":"1.0","elements":[],"x":"#[..], &b"[".repeat(100_000)].concat();
        assert!(read(&deep).is_err());
    }

    #[test]
    fn a_file_of_no_bytes_is_an_empty_keyring() {
        assert!(read(b"").unwrap().is_empty());
        assert!(read(b" ").is_err());
    }
}
