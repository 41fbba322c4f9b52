// SPDX-License-Identifier: GPL-2.0-or-later
//! Ctrl-C, and what else ends a program in an orderly way: the drill ends its server and removes its files.

use crate::error::{Error, Result};
use keyring_external::error::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the drill is to stop. Cheap to clone.
#[derive(Clone, Default, Debug)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Installs the signal handlers.
    pub(super) fn listen() -> Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&stop.0)).map_err(Failure::System)?;
        }
        Ok(stop)
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// The drill is to stop.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_set() {
            return Err(Error::Usage(
                "the drill was stopped, so that nothing is proved. Its server was ended, and its files were removed. \
                 Nothing else was changed"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}
