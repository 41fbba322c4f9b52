// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads fields from untrusted bytes, and writes them. Integers are little-endian.

/// Takes fields off the front of a slice. Every read is bounds-checked.
pub(super) struct FieldReader<'a>(pub &'a [u8]);

impl<'a> FieldReader<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes a text field: one length byte and `room` bytes. Returns `None` if the length exceeds `room`, the
    /// text is not UTF-8, or a byte after it is not zero.
    pub(crate) fn text(&mut self, room: usize) -> Option<String> {
        let len = usize::from(self.u8()?);
        let (text, padding) = self.take(room)?.split_at_checked(len)?;
        padding.iter().all(|b| *b == 0).then_some(())?;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

/// Appends fields to a block and pads it with zeros to its size.
pub(super) struct FieldWriter(pub Vec<u8>);

impl FieldWriter {
    pub(crate) fn with_capacity(n: usize) -> Self {
        Self(Vec::with_capacity(n))
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn pad_to(&mut self, n: usize) -> &mut Self {
        self.0.resize(n, 0);
        self
    }

    /// Appends the field that [`FieldReader::text`] reads. A text longer than `room` is truncated at a
    /// character boundary.
    pub(crate) fn text(&mut self, text: &str, room: usize) -> &mut Self {
        let mut len = text.len().min(room).min(255);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        let end = self.0.len() + 1 + room;
        self.0.push(len as u8);
        self.put(text.get(..len).unwrap_or_default().as_bytes()).pad_to(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_truncated_at_a_character() {
        let mut w = FieldWriter::with_capacity(8);
        w.text("abcdé", 5);
        assert_eq!(w.0, [4, b'a', b'b', b'c', b'd', 0]);
        assert_eq!(FieldReader(&w.0).text(5).unwrap(), "abcd");
    }

    #[test]
    fn a_length_beyond_its_field_is_refused() {
        assert_eq!(FieldReader(&[6, 0, 0, 0, 0, 0]).text(5), None);
        assert_eq!(FieldReader(&[1]).u32(), None);
    }

    #[test]
    fn invalid_text_is_refused() {
        assert_eq!(FieldReader(&[1, 0xff, 0, 0, 0, 0]).text(5), None);
        assert_eq!(FieldReader(&[1, 0xc3, 0xa9, 0, 0, 0]).text(5), None, "half a character");
        assert_eq!(FieldReader(&[1, b'a', b'b', 0, 0, 0]).text(5), None);
        assert_eq!(FieldReader(&[1, b'a', 0, 0, 0, 1]).text(5), None);
        assert_eq!(FieldReader(&[0; 6]).text(5).unwrap(), "");
    }
}
