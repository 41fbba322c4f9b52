// SPDX-License-Identifier: GPL-2.0-or-later
//! A simulated filesystem ([`Sim`]) served to the kernel. Every request that can fail is one operation of
//! it, so that any of them can be made to fail, and the order of requests is the order of operations.

use super::locks::Locks;
use crate::common::sim::Sim;
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use keyring_external::store::file::fs::{FileKind, Fs, Meta};
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the simulated filesystem has what is at the root of the mounted one.
pub const DIRECTORY: &str = "/volume";
/// The kernel is to ask again each time,
const NEVER: Duration = Duration::ZERO;
/// but for the attributes of the directory, which never change.
const LONG: Duration = Duration::from_secs(3600);
/// The longest write that comes in one request.
const MAX_WRITE: u32 = 1 << 20;

/// What the kernel asked for, in order.
pub type Requests = Arc<Mutex<Vec<&'static str>>>;

/// The filesystem behind a mount.
#[derive(Debug)]
pub struct Served {
    /// What is behind it now.
    pub sim: Arc<Mutex<Sim>>,
    pub requests: Requests,
    /// Whether the kernel may keep pages of open files.
    pub cached: bool,
    /// Where locks keep others out; else the kernel keeps them, as advice.
    pub locks: Option<Locks>,
}

/// The kernel's number of a file. 1 is the root's.
fn node(ino: u64) -> INodeNo {
    INodeNo(ino + 2)
}

/// Ours. Asked for files only.
fn ino(node: INodeNo) -> usize {
    node.0 as usize - 2
}

fn path(name: &OsStr) -> PathBuf {
    PathBuf::from(DIRECTORY).join(name)
}

fn attributes(meta: Meta) -> FileAttr {
    let directory = meta.kind == FileKind::Directory;
    FileAttr {
        ino: if directory { INodeNo::ROOT } else { node(meta.ino) },
        size: meta.len,
        blocks: meta.len.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if directory { FileType::Directory } else { FileType::RegularFile },
        perm: meta.mode as u16,
        nlink: 1,
        uid: meta.uid,
        gid: meta.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn errno(e: io::Error) -> Errno {
    match e.raw_os_error() {
        Some(code) => Errno::from_i32(code),
        None if e.kind() == io::ErrorKind::AlreadyExists => Errno::EEXIST,
        None => Errno::EIO,
    }
}

impl Served {
    /// Notes a request that is one operation.
    fn asks(&self, request: &'static str) {
        self.requests.lock().unwrap().push(request);
    }

    fn sim(&self) -> Sim {
        self.sim.lock().unwrap().clone()
    }

    fn meta(&self, node: INodeNo) -> io::Result<Meta> {
        match node {
            INodeNo::ROOT => self.sim().meta(DIRECTORY.as_ref()),
            node => self.sim().file(ino(node)).meta(),
        }
    }

    fn open_flags(&self) -> FopenFlags {
        if self.cached { FopenFlags::empty() } else { FopenFlags::FOPEN_DIRECT_IO }
    }

    fn handle(&self, ino: usize) -> FileHandle {
        self.locks.as_ref().map_or(FileHandle(ino as u64), Locks::opened)
    }

    /// Whether nobody else's lock forbids it.
    fn check(&self, node: INodeNo, handle: Option<FileHandle>) -> Result<(), Errno> {
        self.locks.as_ref().map_or(Ok(()), |locks| locks.check(node, handle))
    }
}

/// Answers with an error when somebody else's lock forbids it.
macro_rules! allowed {
    ($self:expr, $reply:expr, $node:expr, $handle:expr) => {
        if let Err(e) = $self.check($node, $handle) {
            return $reply.error(e);
        }
    };
}

/// Answers with what an operation came to.
macro_rules! answer {
    ($reply:expr, $done:expr, |$value:pat_param| $ok:expr) => {
        match $done {
            Ok($value) => $ok,
            Err(e) => $reply.error(errno(e)),
        }
    };
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if self.locks.is_some() && config.add_capabilities(InitFlags::FUSE_FLOCK_LOCKS).is_err() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        config.set_max_write(MAX_WRITE).map(drop).map_err(|_| io::ErrorKind::Unsupported.into())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.asks("lookup");
        answer!(reply, self.sim().meta(&path(name)), |meta| reply.entry(
            &NEVER,
            &attributes(meta),
            Generation(0)
        ));
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.asks("getattr");
        let how_long = if node == INodeNo::ROOT { LONG } else { NEVER };
        answer!(reply, self.meta(node), |meta| reply.attr(&how_long, &attributes(meta)));
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if node == INodeNo::ROOT {
            return reply.error(Errno::EPERM);
        }
        if size.is_some() {
            allowed!(self, reply, node, handle);
        }
        self.asks("setattr");
        let file = self.sim().file(ino(node));
        let done = match size {
            Some(size) => file.truncate(size),
            None => file.set_owner(0, 0),
        };
        let answered = done.and_then(|()| {
            self.asks("getattr");
            file.meta()
        });
        answer!(reply, answered, |meta| reply.attr(&NEVER, &attributes(meta)));
    }

    fn create(&self, _: &Request, _: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        self.asks("create");
        let path = path(name);
        let made = self.sim().create_new(&path).map(|_| self.sim().ino(&path).expect("it was just made"));
        answer!(reply, made, |ino| {
            let meta =
                Meta { kind: FileKind::File, mode: 0o600, uid: 0, gid: 0, dev: 0, ino: ino as u64, len: 0 };
            let (handle, flags) = (self.handle(ino), self.open_flags());
            reply.created(&NEVER, &attributes(meta), Generation(0), handle, flags)
        });
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.asks("open");
        answer!(reply, self.sim().open_file(ino(node)), |_| reply
            .opened(self.handle(ino(node)), self.open_flags()));
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        allowed!(self, reply, node, Some(handle));
        self.asks("read");
        let mut bytes = vec![0; size as usize];
        answer!(reply, self.sim().file(ino(node)).read_at(&mut bytes, offset), |got| reply
            .data(&bytes[..got]));
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        allowed!(self, reply, node, Some(handle));
        self.asks("write");
        answer!(reply, self.sim().file(ino(node)).write_at(data, offset), |()| reply
            .written(data.len() as u32));
    }

    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.asks("fsync");
        answer!(reply, self.sim().file(ino(node)).sync(), |()| reply.ok());
    }

    fn opendir(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.asks("opendir");
        answer!(reply, self.meta(node), |_| reply.opened(FileHandle(0), FopenFlags::empty()));
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.asks("fsyncdir");
        answer!(reply, self.sim().sync_dir(DIRECTORY.as_ref()), |()| reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        from: &OsStr,
        _: INodeNo,
        to: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        self.asks("rename");
        let (sim, from, to) = (self.sim(), path(from), path(to));
        let new = flags.contains(RenameFlags::RENAME_NOREPLACE);
        answer!(reply, if new { sim.rename_new(&from, &to) } else { sim.rename(&from, &to) }, |()| reply
            .ok());
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.asks("unlink");
        answer!(reply, self.sim().unlink(&path(name)), |()| reply.ok());
    }

    // Asked for where locks keep others out.

    fn setlk(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        _: LockOwner,
        _: u64,
        _: u64,
        kind: i32,
        _: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        // Nobody here waits in the kernel: this filesystem answers one request after the other.
        let done = match &self.locks {
            Some(locks) if !sleep => locks.set(node, handle, kind),
            _ => Err(Errno::ENOSYS),
        };
        match done {
            Ok(()) => reply.ok(),
            Err(e) => reply.error(e),
        }
    }

    fn release(
        &self,
        _: &Request,
        node: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        if let Some(locks) = &self.locks {
            locks.closed(node, handle);
        }
        reply.ok();
    }

    // Those that the kernel asks for by itself, and that cannot fail to a program's harm.

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: fuser::ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }
}
