// SPDX-License-Identifier: GPL-2.0-or-later
//! Ctrl-C: the first one ends the work after the step in hand, the second one breaks that off.

use keyring_external::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the user asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Wish {
    /// Nothing: go on.
    GoOn,
    /// Stop after the step in hand.
    Stop,
    /// Break the step in hand off.
    BreakOff,
}

/// Listens to SIGINT and SIGTERM.
pub(super) struct Stop {
    signalled: Arc<AtomicBool>,
    wish: Wish,
}

impl Stop {
    pub fn listen() -> Result<Stop> {
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&signalled)).map_err(Error::System)?;
        }
        Ok(Stop { signalled, wish: Wish::GoOn })
    }

    /// What is wished by now. `true`: it has just changed.
    pub fn look(&mut self) -> (Wish, bool) {
        let changed = self.signalled.swap(false, Ordering::Relaxed) && self.wish != Wish::BreakOff;
        if changed {
            self.wish = if self.wish == Wish::GoOn { Wish::Stop } else { Wish::BreakOff };
        }
        (self.wish, changed)
    }

    /// Whether the work is to end.
    pub fn is_wished(&mut self) -> bool {
        self.look().0 != Wish::GoOn
    }
}
