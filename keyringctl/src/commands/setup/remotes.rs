// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks for the remotes that the remotes file does not describe yet, writes the file, and tries them.

use super::args::Args;
use super::ask::Prompt;
use super::change::{FileChange, is_root};
use super::remote_entry::RemoteEntry;
use super::remote_rights;
use crate::commands::apart::remote_of;
use crate::commands::new_at_remote;
use crate::commands::output::Output;
use crate::commands::secret::prompt;
use crate::commands::site::Site;
use crate::commands::store_places::{remotes_file, store_places};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::show::Shown;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::file::vacancy::create_file;
use keyring_external::store::remote::remotes::Remotes;
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The end of the message if only the remotes file was written.
const WRITTEN: &str = "Nothing else was changed";

const SOURCES: &str = "file:PATH, credential:NAME, env:NAME or command:PROGRAM ARGS";

/// A secret file to write.
struct NewSecret {
    path: PathBuf,
    secret: UnlockSecret,
}

/// Describes every remote of the copies that the file does not describe, if somebody can be asked. Otherwise what reads
/// the remote refuses, and says what to do.
///
/// # Errors
/// The administrator stops, or a file cannot be written.
pub(super) fn describe(
    (args, site): (&Args, &Site),
    host: &Host,
    prompt: &mut Prompt<'_>,
    out: &mut Output,
) -> Result<()> {
    let file = remotes_file();
    // A dry run writes nothing, and without the file nothing can be read at the remote.
    if !prompt.is_interactive() || args.dry_run || site.at(&host.remotes) != file {
        return Ok(());
    }
    for name in not_described(host, &file) {
        let copies: Vec<_> =
            host.at_remotes().map(|(_, copy)| copy).filter(|copy| remote_of(copy) == Some(&name)).collect();
        one(site, host, (&name, &copies), prompt, out)?;
    }
    Ok(())
}

/// The remotes of the copies that the file lacks. None if the file cannot be used: that is refused later.
fn not_described(host: &Host, file: &Path) -> Vec<String> {
    let known: Vec<String> = match file.symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        _ => match Remotes::read(file) {
            Ok(remotes) => remotes.all().iter().map(|remote| remote.name.clone()).collect(),
            Err(_) => return Vec::new(),
        },
    };
    let mut names: Vec<String> = Vec::new();
    for name in host.at_remotes().filter_map(|(_, copy)| remote_of(copy)) {
        if !known.iter().chain(&names).any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn one(
    site: &Site,
    host: &Host,
    (name, copies): (&str, &[&Path]),
    prompt: &mut Prompt<'_>,
    out: &mut Output,
) -> Result<()> {
    let file = &host.remotes;
    out.line(format_args!("The remote {name} is not described in {} yet.", file.shown()));
    out.flush_text();
    let mut secrets = Vec::new();
    let entry = ask((site, name, copies), prompt, out, &mut secrets)?;
    let existing = site.text(file)?.unwrap_or_default();
    let text = entry.added_to(&existing).ok_or_else(|| {
        Error::Usage(format!("{} is not a JSON object. Nothing was changed", site.at(file).shown()))
    })?;
    Remotes::check(text.as_bytes())
        .map_err(|why| Error::Usage(format!("the answers do not fit: {why}. Nothing was changed")))?;
    let account = site.account.as_ref().filter(|_| is_root());
    let group = account.map_or_else(|| rustix::process::getegid().as_raw(), |account| account.gid);
    let change = FileChange::new(site, file, "remotes file", text, 0o640, group)?;
    for secret in &secrets {
        out.line(format_args!("SECRET     {} (mode 0600, for {})", secret.path.shown(), site.user));
    }
    for line in change.text().trim_end().lines() {
        out.verbatim(line);
    }
    out.flush_text();
    change.check_writable(site)?;
    if !prompt.confirm("Write this now?")? {
        return Err(Error::Usage("the remotes file was not written: nothing was changed".to_owned()));
    }
    for NewSecret { path, secret } in &secrets {
        let owner = account.map(|account| (account.uid, account.gid));
        create_file(store_places().fs(), path, owner, secret.raw())?;
    }
    if let Some(kept) = change.write(site)? {
        out.line(format_args!("The previous {} was kept as {}", file.shown(), site.seen(&kept).shown()));
    }
    try_it(copies, prompt, out)
}

/// Reads and writes at the remote, until it works or the administrator stops.
fn try_it(copies: &[&Path], prompt: &mut Prompt<'_>, out: &mut Output) -> Result<()> {
    loop {
        let tried = copies
            .iter()
            .try_for_each(|copy| new_at_remote::check_answers(copy, WRITTEN))
            .and_then(|()| new_at_remote::check_conditions(copies.iter().copied(), WRITTEN));
        let Err(e) = tried else {
            let shown: Vec<_> = copies.iter().map(|copy| copy.shown()).collect();
            out.line(format_args!(
                "{} can be read and written, and honours conditional writes.",
                shown.join(" and ")
            ));
            out.flush_text();
            return Ok(());
        };
        out.line(&e);
        out.flush_text();
        if !prompt.confirm("Correct it, then try again?")? {
            return Err(Error::Usage(format!(
                "the remote cannot be used yet. {} describes it: correct the file or the engine, then run setup again",
                remotes_file().shown()
            )));
        }
    }
}

/// Asks for the fields of an entry, and shows the commands that give the server its rights.
fn ask(
    (site, name, copies): (&Site, &str, &[&Path]),
    prompt: &mut Prompt<'_>,
    out: &mut Output,
    secrets: &mut Vec<NewSecret>,
) -> Result<RemoteEntry> {
    let kind = prompt.checked("Its kind: s3, vault (also for OpenBao) or etcd", "", |typed| match typed {
        "s3" | "vault" | "etcd" => Ok(typed.to_owned()),
        _ => Err(Error::Usage("the kind is s3, vault or etcd".to_owned())),
    })?;
    let mut entry = RemoteEntry::new(name, &kind);
    let endpoints =
        prompt.checked("Its endpoints, with spaces between them (https://HOST:PORT)", "", |typed| {
            let all: Vec<_> = typed.split_whitespace().map(str::to_owned).collect();
            entry.check("endpoints", all.clone()).map_err(Error::Usage)?;
            Ok(all)
        })?;
    let tls = endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
    entry.set("endpoints", endpoints);
    if tls {
        let ca = "File with the CA certificates of the engine (empty: those that the system trusts)";
        optional(&mut entry, "ca", ca, "", prompt)?;
        let cert = "File with a client certificate (empty: none)";
        if optional(&mut entry, "cert", cert, "", prompt)?.is_some() {
            needed(&mut entry, "key", "File with its key", "", prompt)?;
        }
    }
    let prefixes: Vec<_> =
        copies.iter().filter_map(|copy| copy.to_str()?.split_once('/')).map(|(_, prefix)| prefix).collect();
    let server = prefixes.first().and_then(|prefix| prefix.rsplit('/').next()).unwrap_or_default();
    let at = match kind.as_str() {
        "s3" => {
            let bucket = needed(&mut entry, "bucket", "Its bucket, which must exist", "", prompt)?;
            needed(&mut entry, "region", "The region", "us-east-1", prompt)?;
            bucket
        }
        "vault" => {
            optional(&mut entry, "namespace", "The namespace (empty: none)", "", prompt)?;
            needed(&mut entry, "mount", "The path of the KV version 2 mount", "secret", prompt)?
        }
        _ => {
            let question = format!("User, such as {server} (empty: the engine asks for none)");
            optional(&mut entry, "user", &question, "", prompt)?.unwrap_or_default()
        }
    };
    let rights = remote_rights::lines(&kind, &at, &prefixes);
    if !rights.is_empty() {
        out.line("This gives the server the rights that it needs. If it has them not yet, an administrator of the engine sets them now (docs/REMOTES.md):");
        rights.iter().for_each(|line| out.verbatim(format_args!("    {line}")));
        out.flush_text();
    }
    let mut source = |field, what: &str, prompt: &mut Prompt<'_>, entry: &RemoteEntry| {
        let (source, new) = source((site, name, entry), field, what, prompt)?;
        secrets.extend(new);
        Ok::<_, Error>(source)
    };
    match kind.as_str() {
        "s3" => {
            for (field, what) in [("access_key", "the access key id"), ("secret_key", "the secret key")] {
                let from = source(field, what, prompt, &entry)?;
                entry.set(field, from);
            }
        }
        "vault" => {
            let role = prompt.line("The role_id of the AppRole (empty: a token is used)", "")?;
            if role.is_empty() {
                let from = source("token", "the token", prompt, &entry)?;
                entry.set("token", from);
            } else {
                let from = source("secret_id", "the secret_id", prompt, &entry)?;
                entry.set("approle", json!({ "role_id": role, "secret_id": from }));
            }
        }
        _ if at.is_empty() => {}
        _ => {
            let from = source("password", "the password", prompt, &entry)?;
            entry.set("password", from);
        }
    }
    Ok(entry)
}

/// Asks for a field, until it is valid.
fn needed(
    entry: &mut RemoteEntry,
    field: &'static str,
    question: &str,
    default: &str,
    prompt: &mut Prompt<'_>,
) -> Result<String> {
    let text = prompt.checked(question, default, |typed| {
        entry.check(field, typed).map_err(Error::Usage)?;
        Ok(typed.to_owned())
    })?;
    entry.set(field, text.clone());
    Ok(text)
}

/// As [`needed`], of a field that may be left out.
fn optional(
    entry: &mut RemoteEntry,
    field: &'static str,
    question: &str,
    default: &str,
    prompt: &mut Prompt<'_>,
) -> Result<Option<String>> {
    let text = prompt.checked(question, default, |typed| {
        if !typed.is_empty() {
            entry.check(field, typed).map_err(Error::Usage)?;
        }
        Ok(typed.to_owned())
    })?;
    if text.is_empty() {
        return Ok(None);
    }
    entry.set(field, text.clone());
    Ok(Some(text))
}

/// Asks where a secret comes from. If that is a file that does not exist, offers to write it.
fn source(
    (site, name, entry): (&Site, &str, &RemoteEntry),
    field: &'static str,
    what: &str,
    prompt: &mut Prompt<'_>,
) -> Result<(String, Option<NewSecret>)> {
    let default = format!("file:/etc/mysql/keyring_external.{name}.{field}");
    let question = format!("Source of {what} ({SOURCES})");
    let text = prompt.checked(&question, &default, |typed| {
        let checked = match field {
            "secret_id" => entry.check("approle", json!({ "role_id": "x", "secret_id": typed })),
            _ => entry.check(field, typed),
        };
        checked.map_err(Error::Usage)?;
        Ok(typed.to_owned())
    })?;
    let Ok(UnlockSource::File(file)) = text.parse() else { return Ok((text, None)) };
    if !matches!(fs::symlink_metadata(&file), Err(e) if e.kind() == ErrorKind::NotFound) {
        return Ok((text, None));
    }
    let question = format!("{} does not exist. Write {what} to it, for {} only?", file.shown(), site.user);
    if !prompt.confirm(&question)? {
        return Ok((text, None));
    }
    let secret = prompt::ask(&format!("Type {what} (it is not shown): "), "--remotes")?;
    Ok((text, Some(NewSecret { path: file, secret })))
}
