// SPDX-License-Identifier: GPL-2.0-or-later
//! `encrypt apply` on a biobank in use: how long clients wait, by COPY and online, beside the same statements by hand.
//!
//! No time makes it fail. A row that is not as it should be does, and so does unencrypted data at the end.

mod by_hand;
mod load;
mod plots;
mod rows;
mod site;
mod speed;
mod target;
mod tell;
mod watch;
mod writers;

use crate::plan::Plan;
use crate::progress::Progress;
use load::Way;
use std::path::Path;
use std::sync::Arc;

/// What came of it.
pub struct Told {
    /// For the page, with links to the plots.
    pub text: String,
    /// Whether all rows are as they should be, and nothing was left unencrypted.
    pub fine: bool,
}

/// Measures, and writes the plots into a directory.
pub fn measure(plots: &Path, plan: &Plan, progress: &Progress) -> Result<Told, String> {
    progress.expect(7);
    progress.say("encrypting under load: making the biobank");
    let site = site::Site::new(plan.biobank_scale)?;
    let targets = Arc::new(target::targets(&site.biobank));
    progress.step();
    let (mut runs, mut wrong) = (Vec::new(), Vec::new());
    for way in Way::BOTH {
        let run = load::encrypt(&site, &targets, way, plan, progress)?;
        wrong.extend(run.wrong.iter().map(|what| format!("{}: {what}", way.name())));
        progress.print(&tell::one(&run, &targets));
        runs.push(run);
        progress.step();
    }
    let speeds = speed::measure(&site, progress)?;
    plots::write(plots, &runs)?;
    let text = tell::all(&site, &runs, &targets, &speeds, plan, &wrong);
    Ok(Told { text, fine: wrong.is_empty() })
}
