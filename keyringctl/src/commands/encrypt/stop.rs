// SPDX-License-Identifier: GPL-2.0-or-later
//! Ctrl-C, and what else ends a program: the run cancels what it does, and says what is left.

use crate::error::Result;
use keyring_external::error::Failure;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the user has asked for with Ctrl-C.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum StopRequest {
    /// Nothing.
    None,
    /// Stop after the current step.
    AfterStep,
    /// Cancel the current step.
    Cancel,
}

/// Listens for SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed).
pub(super) struct StopSignal {
    signalled: Arc<AtomicBool>,
    /// Stays set after the first signal, unlike `stopping` only after one.
    by_user: Arc<AtomicBool>,
    /// Whether the run is to stop.
    stopping: Arc<AtomicBool>,
    request: StopRequest,
}

impl StopSignal {
    /// Installs the signal handlers.
    pub(super) fn listen() -> Result<StopSignal> {
        let [signalled, by_user, stopping] = [(); 3].map(|()| Arc::<AtomicBool>::default());
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            for flag in [&signalled, &by_user, &stopping] {
                signal_hook::flag::register(signal, Arc::clone(flag)).map_err(Failure::System)?;
            }
        }
        Ok(StopSignal { signalled, by_user, stopping, request: StopRequest::None })
    }

    /// A flag that is set as soon as the user asks to stop.
    pub(super) fn stopping(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stopping)
    }

    /// Returns the present request, and whether it has changed since the last call.
    pub(super) fn poll(&mut self) -> (StopRequest, bool) {
        let changed = self.signalled.swap(false, Ordering::Relaxed) && self.request != StopRequest::Cancel;
        if changed {
            self.request = match self.request {
                StopRequest::None => StopRequest::AfterStep,
                StopRequest::AfterStep | StopRequest::Cancel => StopRequest::Cancel,
            };
        }
        (self.request, changed)
    }

    /// Stops the run as if the user had asked for it.
    pub(super) fn request(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Returns whether a signal has come, so that the run was not stopped by an error of its own.
    pub(super) fn is_signalled(&self) -> bool {
        self.by_user.load(Ordering::Relaxed)
    }

    /// Returns whether the run is to stop.
    pub(super) fn is_requested(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
