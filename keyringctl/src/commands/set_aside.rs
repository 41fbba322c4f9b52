// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl set-aside`: makes room for a new copy at a remote, and keeps what is there.

use super::consent::{Consent, Decision, Effect, Plan};
use super::copies::of_server::{self, Server};
use super::output::{Output, counted, time};
use super::site;
use super::store_places::{remotes_file, remotes_option, store_places};
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::Shown;
use crate::tablespace::{self, Shutdown};
use keyring_external::config::{RemoteName, is_remote};
use keyring_external::error::Failure;
use keyring_external::format::{commit, header};
use keyring_external::keyring::inspect;
use keyring_external::store::remote::head::Head;
use keyring_external::store::remote::objects::Trouble;
use keyring_external::store::remote::open::open;
use keyring_external::store::remote::set_aside::Remains;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What starts it if the copy can be read.
const WORD: &str = "set-aside";
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Make room for a new copy at a remote, and keep what is there
///
/// Where the head of a copy at a remote is damaged or was deleted, no copy can be created: what is there may be all that is
/// left of a keyring. This command copies the head and the pieces of @NAME/PREFIX to @NAME/PREFIX/kept-1 (or the next
/// number), and then frees the prefix. Nothing is deleted that is not kept. Afterwards create the copy again with keyringctl
/// sync, from another copy or from a backup.
///
/// It needs no secret. For a copy that can still be read, it asks for a word instead of a yes. It refuses if that is the only
/// readable copy of a server that runs on this host; other hosts it cannot see.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  keyringctl set-aside @bucket/hospital/db1 --dry-run\n  \
    keyringctl set-aside @bucket/hospital/db1\n\n\
    Exit codes: 0 the prefix is free, or was before, or this was a dry run; 2 it could not be done, and nothing was changed unless the message says so.")]
pub(super) struct Args {
    /// The copy at a remote: @NAME/PREFIX
    #[arg(value_name = "COPY")]
    path: PathBuf,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    site: site::Args,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let path = &args.path;
    if !is_remote(path) {
        return Err(Error::Usage(format!(
            "{} is a file: rename it instead. This command is for copies at a remote, @NAME/PREFIX",
            path.shown()
        )));
    }
    let name = RemoteName::parse(path).map_err(|e| Error::Usage(e.to_string()))?;
    let is_readable = refuse_last_copy(args)?;
    let failed =
        |doing| move |trouble: Trouble| Failure::Remote { doing, path: path.clone(), why: trouble.told };
    let engine = open(&remotes_file(), &name.remote).map_err(failed("look at"))?;
    let until = Instant::now() + LIMIT;
    let found = Remains::find(engine.as_ref(), &name.prefix, until).map_err(failed("look at"))?;
    let Some(remains) = found else {
        out.line(format_args!("{} is free: a copy can be created there", path.shown()));
        out.document(&json!({ "freed": false }));
        return Ok(Verdict::Fine);
    };
    let kept = PathBuf::from(format!("@{}/{}", name.remote, remains.kept()));
    let mut plan = Plan::new(format!("Set aside what is at {}?", path.shown()));
    let (pieces, missing) = (remains.pieces(), remains.missing());
    if missing > 0 {
        plan.note(format!(
            "{} not there, so the copy cannot be read in full. From an intact copy it is brought up to date without \
             setting anything aside: keyringctl sync COPY --mirror {}{}",
            if missing == 1 { "A piece is".to_owned() } else { format!("{missing} pieces are") },
            path.shown(),
            remotes_option()
        ));
    } else if is_readable {
        plan = plan.typed(WORD);
        plan.note(format!(
            "The copy at {} can be read: there is no reason to set aside a copy in order.",
            path.shown()
        ));
    }
    let head = remains.head().map_or_else(|| "none".to_owned(), described);
    plan.effect(Effect::new("head", head, format!("kept as {}", kept.shown())));
    let there = match missing {
        0 => pieces.to_string(),
        _ => format!("{} of {pieces}", pieces - missing),
    };
    plan.effect(Effect::new("pieces", there, format!("kept below {}", kept.shown())));
    plan.note("A server that uses this copy goes on without it. Make sure that it has another one.");
    plan.detail("kept", json!(kept.exact()));
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    // A server may have been started while the question was open.
    refuse_last_copy(args)?;
    remains.set_aside(engine.as_ref(), Instant::now() + LIMIT).map_err(failed("set aside"))?;
    out.line(format_args!("{} is free, and what was there is at {}", path.shown(), kept.shown()));
    out.line(format_args!(
        "Next: keyringctl sync COPY --mirror {} --create{}, with another copy or a backup as COPY",
        path.shown(),
        remotes_option()
    ));
    out.document(&json!({ "freed": true, "kept": kept.exact() }));
    Ok(Verdict::Fine)
}

/// What a head says of itself.
fn described(bytes: &[u8]) -> String {
    let Some(head) = Head::decode(bytes) else { return counted(bytes.len(), "byte") + " that are no head" };
    let front = head.front().0;
    let header = header::read(&front).ok();
    let claims =
        header.and_then(|copies| copies.readable.into_iter().next().map(|copy| copy.claims().clone()));
    let Some(claims) = claims else { return "a head whose header cannot be read".to_owned() };
    let generation = commit::claimed(&front)
        .map_or_else(String::new, |commit| format!(", generation {}", commit.generation));
    format!("of keyring {}{generation}, last changed {}", claims.id, time(head.written))
}

/// Refuses the only copy that can be read of a server that runs on this host. Returns whether it can be read.
fn refuse_last_copy(args: &Args) -> Result<bool> {
    let path = &args.path;
    // This also finds the remotes file of the server.
    let server = of_server::find(&args.site);
    let places = store_places();
    let can_be_read = |copy: &PathBuf| inspect(&places, copy).is_ok();
    if !can_be_read(path) {
        return Ok(false);
    }
    let Ok(Server::Ours(server)) = server else { return Ok(true) };
    let files = tablespace::find(std::slice::from_ref(&server.datadir));
    let runs = || matches!(tablespace::shutdown(&server.datadir, &files), Shutdown::Running { .. });
    let is_another = |copy: &&PathBuf| *copy != path;
    if !server.copies.contains(path) || !runs() || server.copies.iter().filter(is_another).any(can_be_read) {
        return Ok(true);
    }
    Err(Error::Usage(format!(
        "nothing was changed: a server runs on this host, and {path} is its only copy that can be read ({}). Create another \
         one first: keyringctl sync {path} --mirror NEW{} --create",
        server.source,
        remotes_option(),
        path = path.shown(),
    )))
}
