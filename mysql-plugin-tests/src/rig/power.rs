// SPDX-License-Identifier: GPL-2.0-or-later
//! The power cut (the filesystem's shutdown ioctl) and the device that stops answering: the unsafe calls
//! of these tests.
#![allow(unsafe_code)]

use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};
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

/// LOOP_SET_STATUS64 and LOOP_GET_STATUS64: plain numbers of old.
const LOOP_SET_STATUS: Opcode = 0x4C04;
const LOOP_GET_STATUS: Opcode = 0x4C05;
/// struct loop_info64 of linux/loop.h, as words, and the place of lo_sizelimit in it.
type LoopInfo = [u64; 29];
const SIZE_LIMIT: usize = 4;

/// Makes a loop device one sector long: every read and write behind that fails, as on a device that is
/// not there any more. What is on it by now stays in its image.
pub fn shrink(device: &Path) -> io::Result<()> {
    let device = File::options().read(true).write(true).open(device)?;
    let mut info: LoopInfo = [0; 29];
    // SAFETY: the kernel writes 232 bytes, and reads as many: that is how long the structure is.
    unsafe {
        ioctl(&device, Updater::<LOOP_GET_STATUS, LoopInfo>::new(&mut info))?;
        info[SIZE_LIMIT] = 512;
        ioctl(&device, Setter::<LOOP_SET_STATUS, LoopInfo>::new(info))?;
    }
    Ok(())
}
