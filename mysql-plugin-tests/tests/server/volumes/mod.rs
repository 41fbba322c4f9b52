// SPDX-License-Identifier: GPL-2.0-or-later
//! Volumes and copies: missing, late, older, foreign, diverged, mirrored.

pub mod diverged;
pub mod mandatory_locks;
pub mod mirrors;
pub mod refusal;
pub mod situations;
pub mod volume_gone;
