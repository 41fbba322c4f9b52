// SPDX-License-Identifier: GPL-2.0-or-later
//! Plots of one load under both ways: what clients waited over time, with the statements below, and how much they wrote.

use super::load::{Run, Way};
use super::watch::Kind;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;
use std::time::Duration;

/// The files.
pub const LATENCY: &str = "online-latency.svg";
pub const THROUGHPUT: &str = "online-throughput.svg";

/// Dots from left to right: each is the longest of the writes of its piece of time.
const DOTS: f64 = 500.0;
/// Writes that took this long are drawn each, as long as they took.
const LONG: Duration = Duration::from_millis(300);
/// Seconds of the axis of latencies.
const BOTTOM: f64 = 1e-4;

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Writes both plots into a directory.
pub fn write(dir: &Path, runs: &[Run]) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    for (file, draw) in [(LATENCY, latency as fn(&Path, &[Run]) -> Drawn), (THROUGHPUT, throughput)] {
        let path = dir.join(file);
        draw(&path, runs).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

fn color_of(kind: Kind) -> RGBColor {
    match kind {
        Kind::Copy => RGBColor(213, 94, 0),
        Kind::In => RGBColor(0, 114, 178),
        Kind::Encrypt => RGBColor(0, 158, 115),
        Kind::Out => RGBColor(86, 180, 233),
        Kind::Scratch => RGBColor(110, 110, 110),
    }
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Copy, "COPY"),
    (Kind::In, "into a scratch tablespace"),
    (Kind::Encrypt, "encrypt a tablespace"),
    (Kind::Out, "into its own file"),
];

/// Seconds before `apply` began are negative.
fn seconds(run: &Run, at: Duration) -> f64 {
    at.as_secs_f64() - run.from.as_secs_f64()
}

/// Left and right end of the axis of time.
fn ends(runs: &[Run]) -> (f64, f64) {
    let left = runs.iter().map(|run| seconds(run, Duration::ZERO)).fold(0.0, f64::min);
    (left, runs.iter().map(|run| seconds(run, run.end)).fold(1.0, f64::max))
}

/// The longest time in each piece of time, as dots.
fn longest(run: &Run, piece_of: f64) -> Vec<(f64, f64)> {
    let mut dots: Vec<(f64, f64)> = Vec::new();
    for write in &run.written.writes {
        let piece = (seconds(run, write.start) / piece_of).floor() * piece_of;
        let took = write.took.as_secs_f64();
        match dots.last_mut() {
            Some((at, longest)) if *at == piece => *longest = longest.max(took),
            _ => dots.push((piece, took)),
        }
    }
    dots
}

fn latency(path: &Path, runs: &[Run]) -> Drawn {
    let area = SVGBackend::new(path, (960, 340 * runs.len() as u32 + 40)).into_drawing_area();
    area.fill(&WHITE)?;
    let (plots, legend) = area.split_vertically(340 * runs.len() as u32);
    let longest_of_all =
        runs.iter().flat_map(|r| &r.written.writes).map(|w| w.took.as_secs_f64()).fold(1.0, f64::max);
    let top = 10f64.powf(longest_of_all.log10().ceil());
    for (run, area) in runs.iter().zip(plots.split_evenly((runs.len(), 1))) {
        latency_of(run, &area, ends(runs), top)?;
    }
    let mut x = 80;
    for (kind, name) in KINDS {
        legend.draw(&Rectangle::new([(x, 8), (x + 16, 20)], color_of(kind).filled()))?;
        legend.draw(&Text::new(name, (x + 22, 8), ("sans-serif", 13)))?;
        x += 60 + 7 * name.len() as i32;
    }
    area.present()?;
    Ok(())
}

fn latency_of(
    run: &Run,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    (left, right): (f64, f64),
    top: f64,
) -> Drawn {
    let piece = (right - left) / DOTS;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("longest write in each {piece:.1} s, {}", run.way.name()), ("sans-serif", 16))
        .margin(10)
        .margin_right(30)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(left..right, (BOTTOM..top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("seconds since apply began")
        .x_label_formatter(&|s| format!("{s:.0}"))
        .y_label_formatter(&|s| if *s >= 1.0 { format!("{s} s") } else { format!("{} ms", s * 1e3) })
        .draw()?;
    // What ran when; where one that took long begins and ends, a line goes up.
    for (kind, from, to) in bars(run, piece) {
        let color = color_of(kind);
        chart.draw_series([Rectangle::new([(from, BOTTOM), (to, BOTTOM * 2.0)], color.filled())])?;
    }
    for statement in &run.seen.statements {
        let (from, to) = (seconds(run, statement.from), seconds(run, statement.to));
        if to - from > (right - left) / 60.0 {
            let color = color_of(statement.kind).mix(0.35);
            chart.draw_series([from, to].map(|at| PathElement::new([(at, BOTTOM), (at, top)], color)))?;
        }
    }
    let dots = longest(run, piece).into_iter().map(|dot| Circle::new(dot, 1, BLACK.mix(0.7).filled()));
    chart.draw_series(dots)?;
    let long = run.written.writes.iter().filter(|write| write.took >= LONG);
    chart.draw_series(long.map(|write| {
        let took = write.took.as_secs_f64();
        let from = seconds(run, write.start);
        PathElement::new([(from, took), (from + took, took)], BLACK)
    }))?;
    Ok(())
}

/// What ran when. Statements of one kind with little time between them are one.
fn bars(run: &Run, piece: f64) -> Vec<(Kind, f64, f64)> {
    let mut bars: Vec<(Kind, f64, f64)> = Vec::new();
    for statement in run.seen.statements.iter().filter(|s| s.kind != Kind::Scratch) {
        let (from, to) = (seconds(run, statement.from), seconds(run, statement.to));
        match bars.last_mut() {
            Some((kind, _, end)) if *kind == statement.kind && from - *end < piece => *end = to.max(*end),
            _ => bars.push((statement.kind, from, to.max(from + piece / 2.0))),
        }
    }
    bars
}

fn throughput(path: &Path, runs: &[Run]) -> Drawn {
    let area = SVGBackend::new(path, (960, 340)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = ends(runs);
    let lines: Vec<(Way, Vec<(f64, f64)>)> = runs.iter().map(|run| (run.way, per_second(run))).collect();
    let top = lines.iter().flat_map(|(_, line)| line).map(|(_, n)| *n).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(&area)
        .caption("writes in a second", ("sans-serif", 16))
        .margin(10)
        .margin_right(30)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(left..right, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("seconds since apply began")
        .x_label_formatter(&|s| format!("{s:.0}"))
        .y_label_formatter(&|n| format!("{n:.0}"))
        .draw()?;
    for (way, line) in lines {
        let color = color_of(if way == Way::Copy { Kind::Copy } else { Kind::In });
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)))?
            .label(way.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}

/// How many writes ended in each second; none is a second of its own.
fn per_second(run: &Run) -> Vec<(f64, f64)> {
    let mut counts = vec![0.0; run.end.as_secs() as usize + 1];
    for write in &run.written.writes {
        if let Some(count) = counts.get_mut(write.end().as_secs() as usize) {
            *count += 1.0;
        }
    }
    // The last second is not a whole one.
    counts.pop();
    counts.into_iter().enumerate().map(|(at, n)| (at as f64 + 0.5 - run.from.as_secs_f64(), n)).collect()
}
