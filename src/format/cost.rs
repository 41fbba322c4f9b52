// SPDX-License-Identifier: GPL-2.0-or-later
//! The cost of unlocking a passphrase slot: Argon2id (RFC 9106) and its parameters.

use super::error::Result;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use zeroize::Zeroize;

/// Target time for unlocking a new passphrase slot, on the machine that creates it.
const AIM: Duration = Duration::from_secs(1);

/// Largest number of passes that [`Cost::measured`] chooses.
const MOST_PASSES: u32 = 12;

/// Limit on the cost of all passphrase slots of a header together, and of one opening of a keyring, in KiB
/// times passes. It allows eight slots of the largest cost that [`Cost::measured`] chooses: 6 GiB over all
/// passes.
pub const BUDGET: u64 = 8 * MOST_PASSES as u64 * Cost::RECOMMENDED.memory_kib as u64;

static DERIVATIONS: AtomicU64 = AtomicU64::new(0);

/// Number of Argon2id runs in this process, for tests.
#[doc(hidden)]
pub fn derivations() -> u64 {
    DERIVATIONS.load(Ordering::Relaxed)
}

/// The cost of Argon2id. All zero in slots that do not use it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Degree of parallelism.
    pub lanes: u32,
}

impl Cost {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    pub const RECOMMENDED: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// The cost of slots without Argon2id.
    pub const NONE: Cost = Cost { memory_kib: 0, passes: 0, lanes: 0 };

    /// Whether Argon2id accepts these parameters and a file may ask for them: at most 1 GiB, and 4 GiB over
    /// all passes.
    pub(crate) fn is_bounded(&self) -> bool {
        (1..=16).contains(&self.passes)
            && (1..=16).contains(&self.lanes)
            && (8 * self.lanes..=1 << 20).contains(&self.memory_kib)
            && self.work() <= 4 << 20
    }

    /// The work in KiB times passes.
    pub fn work(&self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }

    /// Returns [`Cost::RECOMMENDED`] with as many passes, up to 12, as this machine does in about a second.
    /// That makes guessing as expensive as possible without delaying a server start by more than a second.
    ///
    /// # Errors
    /// No memory.
    pub fn measured() -> Result<Cost> {
        let one = Cost { passes: 1, ..Self::RECOMMENDED };
        let began = Instant::now();
        one.stretch(b"measured", &[0; 32], &mut [0; 32])?;
        let passes = AIM.as_micros() / began.elapsed().as_micros().max(1);
        Ok(Cost { passes: (passes as u32).clamp(Self::RECOMMENDED.passes, MOST_PASSES), ..one })
    }

    /// Computes Argon2id, version 0x13, of `passphrase`, without secret and associated data, and wipes the
    /// work area.
    ///
    /// # Errors
    /// No memory; a cost out of bounds.
    pub(super) fn stretch(&self, passphrase: &[u8], salt: &[u8], out: &mut [u8]) -> Result<()> {
        let invalid =
            |e: argon2::Error| io::Error::new(io::ErrorKind::InvalidInput, format!("Argon2id: {e}"));
        if !self.is_bounded() {
            return Err(invalid(argon2::Error::MemoryTooMuch).into());
        }
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(out.len())).map_err(invalid)?;
        DERIVATIONS.fetch_add(1, Ordering::Relaxed);
        let mut area: Vec<Block> = Vec::new();
        let blocks = params.block_count();
        area.try_reserve_exact(blocks).map_err(|_| {
            io::Error::new(io::ErrorKind::OutOfMemory, format!("Argon2id needs {blocks} KiB of memory"))
        })?;
        area.resize(blocks, Block::default());
        let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase, salt, out, &mut area);
        area.iter_mut().for_each(|block| block.zeroize());
        Ok(done.map_err(invalid)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_cost_is_at_least_the_recommended_one_and_bounded() {
        let cost = Cost::measured().unwrap();
        assert!(cost.is_bounded());
        assert!((Cost::RECOMMENDED.passes..=MOST_PASSES).contains(&cost.passes));
        assert_eq!(Cost { passes: 3, ..cost }, Cost::RECOMMENDED);
        assert!(8 * cost.work() <= BUDGET);
        assert_eq!(BUDGET, 6 << 20);
    }
}
