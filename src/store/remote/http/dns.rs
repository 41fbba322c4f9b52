// SPDX-License-Identifier: GPL-2.0-or-later
//! Messages of the domain name system (RFC 1035): a question for addresses, and what an answer says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of IPv4 or of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    V4 = 1,
    V6 = 28,
}

/// What a server answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It knows these addresses; none, if the name has no address of this kind.
    Addresses(Vec<IpAddr>),
    /// The name does not exist.
    NoSuchName,
    /// The server could not find out.
    Failed,
    /// It did not fit: to be asked again over TCP.
    Truncated,
}

/// The question for a name's addresses. `None` if it is no name that can be asked for.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(name.len() + 18);
    message.extend_from_slice(&id.to_be_bytes());
    // A question, recursion desired; one question, nothing else.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let len = u8::try_from(label.len()).ok().filter(|len| (1..=63).contains(len))?;
        message.push(len);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, kind as u8, 0, 1]);
    (message.len() <= 12 + 255 + 4).then_some(message)
}

/// Reads an answer to `question`. `None` if it is something else, which must be ignored.
pub(super) fn answer(question: &[u8], message: &[u8]) -> Option<Answer> {
    let asked = question.get(12..)?;
    let [flags, codes] = *message.get(2..4)?.first_chunk()?;
    let is_answer = flags & 0x80 != 0 && flags & 0x78 == 0;
    let same = message.get(..2) == question.get(..2)
        && number(message, 4)? == 1
        && message.get(12..12 + asked.len())?.eq_ignore_ascii_case(asked);
    if !is_answer || !same {
        return None;
    }
    Some(match codes & 0x0f {
        _ if flags & 0x02 != 0 => Answer::Truncated,
        // An answer that ends too early is as good as none.
        0 => addresses(message, 12 + asked.len()).map_or(Answer::Failed, Answer::Addresses),
        3 => Answer::NoSuchName,
        _ => Answer::Failed,
    })
}

/// The addresses in the records from `at` on. An alias (CNAME) precedes the addresses that it stands for.
fn addresses(message: &[u8], mut at: usize) -> Option<Vec<IpAddr>> {
    let mut found = Vec::new();
    for _ in 0..number(message, 6)? {
        at = after_name(message, at)?;
        let (kind, class, len) = (number(message, at)?, number(message, at + 2)?, number(message, at + 8)?);
        let data = message.get(at + 10..)?.get(..usize::from(len))?;
        if class == 1 && kind == Kind::V4 as u16 {
            found.push(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?)));
        } else if class == 1 && kind == Kind::V6 as u16 {
            found.push(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?)));
        }
        at += 10 + usize::from(len);
    }
    Some(found)
}

/// Where the name at `at` ends. A pointer to an earlier name ends it.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            len if len & 0xc0 == 0xc0 => return Some(at + 2),
            len if len & 0xc0 == 0 => at += 1 + usize::from(len),
            _ => return None,
        }
    }
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..).and_then(<[u8]>::first_chunk).copied().map(u16::from_be_bytes)
}
