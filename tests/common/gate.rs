// SPDX-License-Identifier: GPL-2.0-or-later
//! A gate that holds up operations of a filesystem until a test lets them go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// Operations on a path that wait until they are let go.
pub struct Gate {
    /// Whether operations wait.
    pub closed: AtomicBool,
    arrived: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
}

impl Gate {
    /// The gate, the end that tells of an arrival, and the end that lets one go, or all when it is dropped.
    pub fn new() -> (Arc<Self>, Receiver<()>, Sender<()>) {
        let ((arrived, arrivals), (let_go, go)) = (channel(), channel());
        let gate = Self { closed: AtomicBool::new(true), arrived: Mutex::new(arrived), go: Mutex::new(go) };
        (Arc::new(gate), arrivals, let_go)
    }

    /// Waits while the gate is closed.
    pub fn pass(&self) {
        if self.closed.load(Ordering::Relaxed) {
            let _ = self.arrived.lock().unwrap().send(());
            if self.go.lock().unwrap().recv().is_err() {
                self.closed.store(false, Ordering::Relaxed);
            }
        }
    }
}
