// SPDX-License-Identifier: GPL-2.0-or-later
//! The process that looks. If a volume is dead, a process that has asked it for something may not end, not even with
//! SIGKILL, and its parent would wait for it: so the process that the monitoring system waits for asks nothing itself.

use crate::commands::monitor_line::{Level, Line};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// The name by which the process knows what it is.
const NAME: &str = "keyringctl-check-worker";
/// How many earlier workers of the same check may still be there.
const MOST_STUCK: usize = 3;
/// Separates what is printed from the exit code.
const END: u8 = 0;

/// Whether this process is the one that looks. Gives it the name by which later checks find it.
pub(super) fn is_worker() -> bool {
    let is = std::env::args_os().next().is_some_and(|name| name == NAME);
    if is {
        // Without /proc, no check finds it.
        let _ = fs::write("/proc/self/comm", name());
    }
    is
}

/// Gives the answer to the process that asked.
pub(super) fn answer((code, text): &(u8, String)) -> u8 {
    let mut stdout = io::stdout().lock();
    let bytes = [text.as_bytes(), &[END, *code]].concat();
    // If nobody listens any more, nothing is left to do.
    let _ = stdout.write_all(&bytes).and_then(|()| stdout.flush());
    0
}

/// Starts a worker with the arguments of this process, and returns its answer.
///
/// # Errors
/// The line to print, if there is no answer within `limit`.
pub(super) fn ask(limit: Duration) -> Result<(u8, String), Line> {
    let stuck = earlier();
    if stuck.len() >= MOST_STUCK {
        return Err(line(
            Level::Critical,
            format!(
                "earlier checks have not ended (processes {}): a volume does not answer. Check the mounts (dmesg); see \
                 docs/OPERATIONS.md, Remote volumes",
                stuck.join(", ")
            ),
        ));
    }
    // The program itself, even if its file has been replaced.
    let mut worker = Command::new("/proc/self/exe");
    worker.arg0(NAME).args(std::env::args_os().skip(1)).stdout(Stdio::piped());
    // It must hold nothing that the monitoring system waits for.
    worker.stdin(Stdio::null()).stderr(Stdio::null());
    let not_started = |e: io::Error| line(Level::Unknown, format!("cannot start another process: {e}"));
    let mut worker = worker.spawn().map_err(not_started)?;
    let (send, receive) = channel();
    let mut stdout = worker.stdout.take();
    let read = move || {
        // The end of the stream is not waited for: it may not come.
        let (mut all, mut part) = (Vec::new(), [0; 4096]);
        while let Some(Ok(read @ 1..)) = stdout.as_mut().map(|stdout| stdout.read(&mut part)) {
            all.extend_from_slice(&part[..read]);
            if let [text @ .., END, code] = all.as_slice() {
                let _ = send.send((*code, String::from_utf8_lossy(text).into_owned()));
                return;
            }
        }
    };
    std::thread::Builder::new().spawn(read).map_err(not_started)?;
    let answer = receive.recv_timeout(limit);
    // It ends at once, unless a volume is dead.
    if answer.is_err() {
        let _ = worker.kill();
    }
    for _ in 0..20 {
        if !matches!(worker.try_wait(), Ok(None)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    answer.map_err(|e| {
        match e {
            RecvTimeoutError::Timeout => line(
                Level::Critical,
                format!(
                    "the check has not ended within {} seconds: a volume or the server does not answer. Check the mounts \
                     (dmesg) and the server's error log",
                    limit.as_secs()
                ),
            ),
            RecvTimeoutError::Disconnected => {
                line(Level::Unknown, "the check ended without a result".to_owned())
            }
        }
    })
}

fn line(level: Level, text: String) -> Line {
    Line { level, text, figures: Vec::new() }
}

/// The name of the workers of this check in /proc. A process that cannot end has lost its arguments, but not its name.
fn name() -> String {
    let mut hasher = DefaultHasher::new();
    std::env::args_os().skip(1).for_each(|argument| argument.hash(&mut hasher));
    // The kernel keeps 15 bytes.
    format!("kctl-{:010x}", hasher.finish() & 0xff_ffff_ffff)
}

/// Earlier workers of this check and user that have not ended.
fn earlier() -> Vec<String> {
    let (user, name) = (rustix::process::geteuid().as_raw(), name() + "\n");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| entry.metadata().is_ok_and(|m| m.uid() == user))
        .filter(|entry| fs::read_to_string(entry.path().join("comm")).is_ok_and(|found| found == name))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
