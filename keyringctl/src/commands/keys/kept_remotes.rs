// SPDX-License-Identifier: GPL-2.0-or-later
//! Other copies of the keyring at the remotes of its copies, which keep a key that was destroyed: what keyringctl set-aside
//! has kept, and backups. It lists and reads; nothing else is asked of the engine.

use super::named::Unread;
use crate::commands::store_places::remotes_file;
use crate::show::Shown;
use keyring_external::config::RemoteName;
use keyring_external::format::header;
use keyring_external::store::places::is_remote;
use keyring_external::store::remote::head::{HEAD, Head, front_of_damaged, is_mark};
use keyring_external::store::remote::objects::{Answer, Objects};
use keyring_external::store::remote::open::open;
use keyring_external::store::remote::remotes::{Kind, Remotes};
use keyring_external::store::remote::set_aside::is_kept;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a remote may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Copies that are none of those that are used, each with the command that removes it, and where none could be looked for.
#[derive(Debug, Default)]
pub(super) struct KeptRemotes {
    pub found: BTreeMap<PathBuf, String>,
    pub not_searched: Vec<Unread>,
}

/// Finds the other copies of keyring `id` at the remotes of its `copies`.
pub(super) fn find(copies: &[PathBuf], id: Uuid) -> KeptRemotes {
    let mut all = KeptRemotes::default();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in copies.iter().filter(|copy| is_remote(copy)).filter_map(|copy| RemoteName::parse(copy).ok()) {
        used.entry(name.remote).or_default().insert(name.prefix);
    }
    for (remote, used) in &used {
        if let Err(trouble) = all.search(remote, used, id) {
            all.not_searched(remote, trouble.told);
        }
    }
    all
}

impl KeptRemotes {
    fn not_searched(&mut self, remote: &str, why: String) {
        self.not_searched.push(Unread { path: format!("@{remote}").into(), why });
    }

    fn search(&mut self, remote: &str, used: &BTreeSet<String>, id: Uuid) -> Answer<()> {
        let file = remotes_file();
        let kind = Remotes::read(&file)?.get(remote)?.kind.clone();
        let engine = open(&file, remote)?;
        let until = Instant::now() + LIMIT;
        let names = match engine.list("", until) {
            Ok(names) => names,
            // The credentials may be for the prefixes of the copies only.
            Err(trouble) => {
                let below =
                    used.iter().map(|prefix| engine.list(prefix, until)).collect::<Answer<Vec<_>>>()?;
                let why = format!(
                    "only the prefixes of the copies could be listed, so other copies of the keyring there were not looked for: {}",
                    trouble.told
                );
                self.not_searched(remote, why);
                below.concat()
            }
        };
        for prefix in prefixes(&names).filter(|prefix| !used.contains(*prefix)) {
            let is_of_copy =
                is_kept(prefix) && used.iter().any(|used| prefix.starts_with(&format!("{used}/")));
            // What a head that cannot be read is of, or pieces without one, is known by the place only.
            let is_ours = match id_at(&*engine, prefix, until)? {
                Some(of) => of == id,
                None => is_of_copy,
            };
            if is_ours {
                let path = format!("@{remote}/{prefix}").into();
                self.found.insert(path, removal(&kind, prefix, &names));
            }
        }
        Ok(())
    }
}

/// The prefixes with a head, and those where something was kept.
fn prefixes(names: &[String]) -> impl Iterator<Item = &str> {
    let of_name = |name: &'_ String| -> Option<usize> {
        let mut parents = name.match_indices('/').map(|(at, _)| at);
        let kept = parents.rfind(|at| name.get(..*at).is_some_and(is_kept));
        let head = name.strip_suffix(HEAD).and_then(|rest| rest.strip_suffix('/')).map(str::len);
        head.or(kept)
    };
    let all: BTreeSet<_> = names.iter().filter_map(|name| name.get(..of_name(name)?)).collect();
    all.into_iter()
}

/// The id of the keyring whose head is there.
fn id_at(engine: &(impl Objects + ?Sized), prefix: &str, until: Instant) -> Answer<Option<Uuid>> {
    let Some(head) = engine.get(&format!("{prefix}/{HEAD}"), until)?.filter(|head| !is_mark(&head.bytes))
    else {
        return Ok(None);
    };
    let front = Head::decode(&head.bytes).map_or_else(|| front_of_damaged(&head.bytes), |head| head.front());
    let copies = header::read(&front.0).ok();
    Ok(copies.and_then(|copies| copies.readable.first().map(|copy| copy.claims().id)))
}

/// The command of the engine's own program that removes what is at a prefix.
fn removal(kind: &Kind, prefix: &str, names: &[String]) -> String {
    match kind {
        Kind::Etcd(_) => format!("etcdctl del --prefix {}", format!("/{prefix}/").shown()),
        Kind::S3(s3) => {
            format!("aws s3 rm --recursive {}", format!("s3://{}/{prefix}/", s3.bucket).shown())
        }
        Kind::Vault(vault) => {
            let namespace = vault.namespace.as_ref().map(|name| format!(" -namespace={}", name.shown()));
            let namespace = namespace.unwrap_or_default();
            let below = format!("{prefix}/");
            let own = names.iter().filter(|name| name.starts_with(&below));
            let delete = own.map(|name| {
                format!("bao kv metadata delete{namespace} {}", format!("{}/{name}", vault.mount).shown())
            });
            delete.collect::<Vec<_>>().join(" && ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_those_of_heads_and_of_what_was_kept() {
        let names =
            ["a/db1/head", "a/db1/pieces/1-2", "a/db1/kept-1/pieces/3-4", "b/head", "c/pieces/5-6", "head"];
        let names = names.map(str::to_owned);
        assert_eq!(prefixes(&names).collect::<Vec<_>>(), ["a/db1", "a/db1/kept-1", "b"]);
    }
}
