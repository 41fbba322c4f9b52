// SPDX-License-Identifier: GPL-2.0-or-later
//! Replaces the head, and finds out what became of a replacement whose answer was lost.
//!
//! The put is sent again with the same bytes and the same condition: of all attempts together one can happen at most. If
//! that does not help, it must be made sure that none happens later. A put that names the version of the head can be
//! carried out at any time, but only as long as the head has that version. So the head is given another version, with the
//! same content: this is the fence.

use super::folder::{Folder, Pauses};
use super::head::{Head, PieceName, Present};
use super::objects::{Cause, Put, Trouble, Version};
use std::time::{Instant, SystemTime};

/// How often a put whose answer was lost is sent again before it is fenced off.
const AGAIN: usize = 1;

/// What became of a replacement.
#[derive(Debug)]
pub(super) enum Replaced {
    /// It is done, and the head has this version.
    Done(Version),
    /// It was not done, and cannot be done later. This is the head now; its content is what it was.
    Not(Trouble, Present),
    /// Another program replaced the head with this one, `None` if that is damaged or was deleted. If an answer was lost,
    /// this program's replacement may have come first.
    Another(Option<Head>),
    /// It may have been done, or may yet be done.
    Unknown(Trouble),
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

pub(super) fn too_large() -> Trouble {
    Trouble::not_done(Cause::Full, "the keyring has more pieces than its list at a remote can name")
}

impl Folder {
    /// Replaces the head `present` by `next`. A piece that no head names yet, and that was not put before, is put with it.
    pub(super) fn replace(
        &self,
        present: &Present,
        next: &Head,
        piece: Option<(PieceName, &[u8])>,
        until: Instant,
    ) -> Replaced {
        let Some(wanted) = next.encode() else { return Replaced::Not(too_large(), present.clone()) };
        let put = |first: bool, until: Instant| {
            if let Some((name, bytes)) = piece {
                if let Some(put) = self.put_together(name, bytes, &wanted, &present.version, until)? {
                    return Ok(put);
                }
                // Whatever becomes of the piece, the head was not asked for.
                let not_done = |trouble| Trouble { may_have_happened: false, ..trouble };
                if first {
                    self.put_piece(name, bytes, until).map_err(not_done)?;
                }
            }
            self.put_head(&wanted, Some(&present.version), until)
        };
        // Time is left to find out what happened.
        let left = until.saturating_duration_since(Instant::now());
        let lost = match put(true, until - left.mul_f64(0.4)) {
            Ok(Put::Done(version)) => return Replaced::Done(version),
            Ok(Put::Conflict) => None,
            Err(trouble) if !trouble.may_have_happened => return Replaced::Not(trouble, present.clone()),
            Err(trouble) => Some(trouble),
        };
        let fence = present.head.as_ref().map(Head::with_next_sequence);
        let fence_bytes = fence.as_ref().and_then(Head::encode);
        let unknown = |lost: Option<Trouble>| {
            let conflict = "the remote refused to replace an object that did not change";
            Replaced::Unknown(lost.unwrap_or_else(|| Trouble::unknown(Cause::Unwell, conflict)))
        };
        let mut pauses = Pauses::until(until);
        let mut again = 0;
        loop {
            match self.get_head(until) {
                Ok(Some(there)) if there.bytes == wanted => return Replaced::Done(there.version),
                Ok(Some(there)) if fence_bytes.as_ref() == Some(&there.bytes) => {
                    let now = Present { head: fence, version: there.version };
                    return match lost {
                        Some(trouble) => not_done(trouble, now),
                        // Nothing was fenced off here, so another program did it: to be the next.
                        None => Replaced::Another(now.head),
                    };
                }
                Ok(Some(there)) if there.version == present.version && again < AGAIN => {
                    again += 1;
                    if let Ok(Put::Done(version)) = put(false, until) {
                        return Replaced::Done(version);
                    }
                }
                Ok(Some(there)) if there.version == present.version => {
                    let Some(bytes) = &fence_bytes else { return unknown(lost) };
                    match self.put_head(bytes, Some(&present.version), until) {
                        Ok(Put::Done(version)) => {
                            let busy = || Trouble::not_done(Cause::Unwell, "the remote was busy: try again");
                            return not_done(lost.unwrap_or_else(busy), Present { head: fence, version });
                        }
                        // An engine without room has none a moment later either.
                        Err(trouble) if trouble.cause == Cause::Full => return unknown(lost),
                        _ => {}
                    }
                }
                Ok(there) => {
                    return Replaced::Another(there.and_then(|there| Head::decode(&there.bytes)));
                }
                Err(_) => {}
            }
            if !pauses.wait() {
                return unknown(lost);
            }
        }
    }
}

fn not_done(trouble: Trouble, now: Present) -> Replaced {
    Replaced::Not(Trouble { may_have_happened: false, ..trouble }, now)
}
