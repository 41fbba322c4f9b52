// SPDX-License-Identifier: GPL-2.0-or-later
//! The line about a drill in the audit log: the single place for it.

use super::outcome::Outcome;

/// Adds the result to the audit log. This program keeps none so far.
pub(super) fn tell(_outcome: &Outcome) {}
