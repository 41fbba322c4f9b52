// SPDX-License-Identifier: GPL-2.0-or-later
//! The power cut: the filesystem's shutdown ioctl. The one unsafe call of these tests.
#![allow(unsafe_code)]

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use std::fs::File;
use std::io;
use std::path::Path;

/// EXT4_IOC_SHUTDOWN, which XFS calls XFS_IOC_GOINGDOWN.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// What is in the filesystem's log and not yet on the device is lost.
const NO_LOG_FLUSH: u32 = 2;

/// Ends the filesystem mounted at `mount_point` as a power cut would: nothing that is not on the device
/// by now gets there, and every later call fails. Only root can.
pub fn cut(mount_point: &Path) -> io::Result<()> {
    let dir = File::open(mount_point)?;
    // SAFETY: the request reads one u32, as the opcode says; it has no effect on memory.
    unsafe { ioctl(dir, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }?;
    Ok(())
}
