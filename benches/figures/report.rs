// SPDX-License-Identifier: GPL-2.0-or-later
//! Writes the tables into a page between two marks; what stands around them is kept.

use crate::figure::Table;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- figures: begin; make bench writes from here -->\n";
const END: &str = "<!-- figures: end -->\n";

/// Puts what was measured into the page `BENCHMARKS.md` in a directory.
pub fn write(dir: &Path, command: &str, machine: &str, tables: &[Table], counts: &str) -> Result<(), String> {
    let page = dir.join("BENCHMARKS.md");
    let failed = |e: std::io::Error| format!("{}: {e}", page.display());
    let old = match fs::read_to_string(&page) {
        Ok(old) => old,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => format!("# Benchmarks\n\n{BEGIN}{END}"),
        Err(e) => return Err(failed(e)),
    };
    let (before, rest) =
        old.split_once(BEGIN).ok_or_else(|| format!("{}: no line {BEGIN}", page.display()))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{}: no line {END}", page.display()))?;
    let mut new = format!("{before}{BEGIN}\n## The run\n\n    {command}\n\n{machine}\n");
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
    new.push_str(&format!("\n## Instructions\n\n{}\n\n{END}{after}", counts.replace('\n', "\n\n")));
    fs::create_dir_all(dir).and_then(|()| fs::write(&page, new)).map_err(failed)
}
