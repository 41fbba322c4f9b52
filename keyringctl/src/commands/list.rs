// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl list`: the keys of a keyring, never their bytes.

use super::copies::{self, Purpose};
use super::keys::dates::{age, days_since};
use super::output::{Output, counted, table, time};
use super::secret;
use super::verdict::Verdict;
use crate::error::Result;
use serde::Serialize;
use serde_json::json;

/// List the keys of a keyring: ids, users, types, lengths, ages and which are retired, never their bytes
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  keyringctl list\n  keyringctl list /mnt/keyring/hospital.keyring --unlock file:/etc/mysql/keyring_external.secret"
)]
pub(super) struct Args {
    #[command(flatten)]
    copies: copies::Args,
    #[command(flatten)]
    secret: secret::Args,
}

#[derive(Serialize)]
struct ListedKey {
    id: String,
    user: String,
    #[serde(rename = "type")]
    key_type: String,
    length: usize,
    created: u64,
    /// How long ago it was stored, in days.
    age_days: u64,
    retired: Option<u64>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let (keyring, _) = args.copies.find(&args.secret, Purpose::Read)?.load()?;
    let mut rows = Vec::new();
    keyring.for_each(|key| {
        rows.push(ListedKey {
            id: key.name.id().escape_ascii().to_string(),
            user: key.name.user().escape_ascii().to_string(),
            key_type: key.key_type.bytes().escape_ascii().to_string(),
            length: key.data.len(),
            created: key.created,
            age_days: days_since(key.created),
            retired: key.retired.map(|at| at.get()),
        });
    });
    let retired = rows.iter().filter(|key| key.retired.is_some()).count();
    let mut headings = vec!["KEY ID", "USER", "TYPE", "BYTES", "STORED", "AGE"];
    if retired > 0 {
        headings.push("RETIRED");
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|r| {
            let (length, stored, age) = (r.length.to_string(), time(r.created), age(r.age_days));
            let mut cells = vec![r.id.clone(), r.user.clone(), r.key_type.clone(), length, stored, age];
            if retired > 0 {
                cells.push(r.retired.map(time).unwrap_or_default());
            }
            cells
        })
        .collect();
    table(out, &headings, &cells);
    out.line(match retired {
        0 => counted(rows.len(), "key"),
        retired => format!("{}, {retired} of them retired", counted(rows.len(), "key")),
    });
    out.document(&json!({ "keys": rows }));
    Ok(Verdict::Fine)
}
