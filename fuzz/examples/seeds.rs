// SPDX-License-Identifier: GPL-2.0-or-later
//! Writes the seeds of a target into a directory: `seeds TARGET DIRECTORY`. Without arguments lists the targets.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, directory] = arguments.as_slice() else {
        keyring_external_fuzz::TARGETS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    std::fs::create_dir_all(directory)?;
    for (n, seed) in keyring_external_fuzz::seeds(target).iter().enumerate() {
        std::fs::write(Path::new(directory).join(format!("seed-{n:03}")), seed)?;
    }
    Ok(())
}
