// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the XML of a store's answers: elements and their text. Attributes, comments, and namespaces are skipped; a
//! document type, from which XML's dangers come, is refused. Whatever the bytes are, the work and the memory grow with
//! their number only, and anything that is not such a document is `None`.

/// How deep elements may lie in each other. Lists have four levels.
const MAX_DEPTH: usize = 8;
/// How many elements a document may have. A list of 1000 objects has some 10,000.
const MAX_ELEMENTS: usize = 50_000;

/// An element.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Element {
    /// Its name without a prefix.
    pub(super) name: String,
    /// Its text, without that of the elements in it.
    pub(super) text: String,
    /// The elements in it.
    pub(super) children: Vec<Element>,
}

impl Element {
    /// Reads a document. Returns its root.
    pub(super) fn read(document: &[u8]) -> Option<Self> {
        let mut rest = std::str::from_utf8(document).ok()?;
        rest = rest.strip_prefix('\u{feff}').unwrap_or(rest);
        // The elements that are open. The first holds the root.
        let mut open = vec![Self::default()];
        let mut elements = 0;
        while let Some((text, tag)) = rest.split_once('<') {
            append(&mut open, text)?;
            if let Some(after) = tag.strip_prefix("!--") {
                rest = after.split_once("-->")?.1;
            } else if let Some(after) = tag.strip_prefix("![CDATA[") {
                let (text, after) = after.split_once("]]>")?;
                open.last_mut()?.text.push_str(text);
                rest = after;
            } else if let Some(after) = tag.strip_prefix('?') {
                rest = after.split_once("?>")?.1;
            } else if tag.starts_with('!') {
                return None;
            } else {
                let (tag, after) = tag.split_at_checked(end_of_tag(tag)?)?;
                rest = after.strip_prefix('>')?;
                if let Some(name) = tag.strip_prefix('/') {
                    let done = open.pop()?;
                    if done.name != local(name.trim_end())? {
                        return None;
                    }
                    open.last_mut()?.children.push(done);
                } else {
                    let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
                    let name = tag
                        .split_ascii_whitespace()
                        .next()
                        .filter(|_| !tag.starts_with([' ', '\n', '\t']))?;
                    let element = Self { name: local(name)?.to_owned(), ..Self::default() };
                    elements += 1;
                    if elements > MAX_ELEMENTS || open.len() > MAX_DEPTH {
                        return None;
                    }
                    if empty {
                        open.last_mut()?.children.push(element);
                    } else {
                        open.push(element);
                    }
                }
            }
        }
        let top = open.pop().filter(|_| open.is_empty() && rest.trim().is_empty())?;
        let mut roots = top.children.into_iter();
        roots.next().filter(|_| roots.next().is_none() && top.text.trim().is_empty())
    }

    /// The elements of a name in this one.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element of a name in this one.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.all(name).next().map(|child| child.text.as_str())
    }
}

/// Where a tag ends: at the first `>` that is not in the value of an attribute.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (byte, quote) {
            (b'>', None) => return Some(at),
            (b'<', None) => return None,
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(opened)) if byte == opened => quote = None,
            _ => {}
        }
    }
    None
}

/// The name of an element without its prefix.
fn local(name: &str) -> Option<&str> {
    let name = name.rsplit_once(':').map_or(name, |(_, name)| name);
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    (fits && !name.is_empty()).then_some(name)
}

/// Adds text to the innermost open element, with its references resolved.
fn append(open: &mut [Element], text: &str) -> Option<()> {
    let into = &mut open.last_mut()?.text;
    let mut rest = text;
    while let Some((plain, reference)) = rest.split_once('&') {
        into.push_str(plain);
        let (name, after) = reference.split_once(';').filter(|(name, _)| name.len() <= 8)?;
        into.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = after;
    }
    into.push_str(rest);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let text = br#"<?xml version="1.0" encoding="UTF-8"?>
            <!-- > --><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/" x='a>b'>
            <Name>b&amp;c &#65;&#x42;</Name><Empty/><IsTruncated>true</IsTruncated>
            <s3:Contents><Key>db1/head</Key></s3:Contents><Contents><Key><![CDATA[a<b]]></Key></Contents>
            </ListBucketResult>
            "#;
        let root = Element::read(text).unwrap();
        assert_eq!(root.name, "ListBucketResult");
        assert_eq!(root.text_of("Name"), Some("b&c AB"));
        assert_eq!(root.text_of("Empty"), Some(""));
        assert_eq!(root.text_of("Absent"), None);
        let keys: Vec<_> = root.all("Contents").filter_map(|found| found.text_of("Key")).collect();
        assert_eq!(keys, ["db1/head", "a<b"]);
    }

    #[test]
    fn what_is_not_such_a_document_is_refused() {
        for text in [
            "",
            "x",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "x<a/>",
            "<a",
            "<a b=\"",
            "< a/>",
            "<>",
            "</>",
            "<a><</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a>&b;</a>",
            "<a>&#xD800;</a>",
            "<a>&#;</a>",
            "<a>&</a>",
            "<!-- ",
            "<![CDATA[",
            "<?",
            "<a><!--</a>",
            "{\"errors\":[]}",
            "<html><body><p>x<br></body></html>",
        ] {
            assert_eq!(Element::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Element::read(b"<a>\xff</a>"), None);
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        assert_eq!(Element::read(deep.as_bytes()), None);
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS + 1));
        assert_eq!(Element::read(wide.as_bytes()), None);
    }

    /// Every beginning of a document, and every document with one byte changed, is read or refused.
    #[test]
    fn no_bytes_make_the_reader_panic() {
        let text =
            b"<?xml version='1'?><a b=\"c\"><d>e&amp;&#x41;</d><!-- f --><g/><![CDATA[h]]>\xc3\xa9</a>";
        for end in 0..text.len() {
            let _ = Element::read(&text[..end]);
            for byte in 0..=255 {
                let mut changed = text.to_vec();
                changed[end] = byte;
                let _ = Element::read(&changed);
            }
        }
    }
}
