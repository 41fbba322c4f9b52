// SPDX-License-Identifier: GPL-2.0-or-later
//! Writes the tables into a page between two marks; what stands around them is kept.

use crate::figure::Table;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- figures: begin; make bench writes from here -->\n";
const END: &str = "<!-- figures: end -->\n";
const BEGIN_ONLINE: &str = "<!-- online: begin; make bench ONLY=online writes from here -->\n";
const END_ONLINE: &str = "<!-- online: end -->\n";
const BEGIN_REMOTES: &str = "<!-- remotes: begin; make bench ONLY=remotes writes from here -->\n";
const END_REMOTES: &str = "<!-- remotes: end -->\n";
const BEGIN_AUDIT: &str = "<!-- audit: begin; make bench ONLY=audit writes from here -->\n";
const END_AUDIT: &str = "<!-- audit: end -->\n";

/// Puts what the audit log costs into the page `BENCHMARKS.md` in a directory.
pub fn write_audit(dir: &Path, command: &str, machine: &str, told: &str) -> Result<(), String> {
    let new = format!("\n    {command}\n\n{machine}\n{told}\n");
    put(dir, (BEGIN_AUDIT, END_AUDIT), &new)
}

/// Puts what keyrings at a remote came to into the page `BENCHMARKS.md` in a directory.
pub fn write_remotes(dir: &Path, command: &str, machine: &str, told: &str) -> Result<(), String> {
    let new = format!("\n    {command}\n\n{machine}\n{told}\n");
    put(dir, (BEGIN_REMOTES, END_REMOTES), &new)
}

/// Puts what encrypting a database in use came to into the page `BENCHMARKS.md` in a directory.
pub fn write_online(dir: &Path, command: &str, machine: &str, told: &str) -> Result<(), String> {
    let new = format!("\n    {command}\n\n{machine}\n{told}\n");
    put(dir, (BEGIN_ONLINE, END_ONLINE), &new)
}

/// Puts what was measured into the page `BENCHMARKS.md` in a directory.
pub fn write(dir: &Path, command: &str, machine: &str, tables: &[Table], counts: &str) -> Result<(), String> {
    let mut new = format!("\n## The run\n\n    {command}\n\n{machine}\n");
    new.push_str(
        "A cell shows the median, and in brackets the range of the middle four fifths of the samples and their number. \
         The ratio is keyring_external to the peer.\n",
    );
    for table in tables {
        new.push_str(&format!("\n## {}\n\n{}\n\n{}", table.title, table.about, table.markdown()));
        for (of, file, what) in crate::plot::PLOTS {
            if *of == table.title {
                new.push_str(&format!("\n![{what} over the number of keys](bench/{file})\n"));
            }
        }
    }
    new.push_str(&format!("\n## Instructions\n\n{}\n\n", counts.replace('\n', "\n\n")));
    put(dir, (BEGIN, END), &new)
}

/// Replaces what is between two marks; a page without them gets them at its end.
fn put(dir: &Path, (begin, end): (&str, &str), text: &str) -> Result<(), String> {
    let page = dir.join("BENCHMARKS.md");
    let failed = |e: std::io::Error| format!("{}: {e}", page.display());
    let old = match fs::read_to_string(&page) {
        Ok(old) => old,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "# Benchmarks\n".to_owned(),
        Err(e) => return Err(failed(e)),
    };
    let (before, rest) = old.split_once(begin).unwrap_or((&old, end));
    let (_, after) = rest.split_once(end).ok_or_else(|| format!("{}: no line {end}", page.display()))?;
    let gap = if before.len() == old.len() { "\n" } else { "" };
    let new = format!("{before}{gap}{begin}{text}{end}{after}");
    fs::create_dir_all(dir).and_then(|()| fs::write(&page, new)).map_err(failed)
}
