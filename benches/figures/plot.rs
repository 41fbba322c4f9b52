// SPDX-License-Identifier: GPL-2.0-or-later
//! Plots of a cost over the number of keys: ours, the peer's and the floor, on logarithmic axes.

use crate::figure::{Figure, Row, Table, grouped};
use plotters::prelude::*;
use std::path::Path;

/// The table, the file, and the row in it.
pub const PLOTS: &[(&str, &str, &str)] = &[
    ("Fetch", "fetch.svg", "a fetch"),
    ("Store, generate, remove", "store.svg", "a store"),
    ("Load", "load.svg", "keyring_load"),
];

/// Writes the plots of `tables` into a directory.
pub fn write(dir: &Path, tables: &[Table]) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    for (title, file, what) in PLOTS {
        let path = dir.join(file);
        if let Some(table) = tables.iter().find(|t| t.title == *title) {
            let rows: Vec<_> = table.rows.iter().filter(|row| row.what == *what).collect();
            plot(&path, what, &rows).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    Ok(())
}

type Of = fn(&Row) -> Option<Figure>;

const LINES: [(&str, RGBColor, Of); 3] = [
    ("keyring_external", RGBColor(0, 114, 178), |row| row.ours),
    ("component_keyring_file", RGBColor(213, 94, 0), |row| row.peer),
    ("append and fdatasync", RGBColor(110, 110, 110), |row| row.floor),
];

/// Nanoseconds, in the unit that fits.
fn time(ns: f64) -> String {
    match ns {
        ns if ns >= 1e9 => format!("{} s", ns / 1e9),
        ns if ns >= 1e6 => format!("{} ms", ns / 1e6),
        ns if ns >= 1e3 => format!("{} µs", ns / 1e3),
        ns => format!("{ns} ns"),
    }
}

fn plot(path: &Path, what: &str, rows: &[&Row]) -> Result<(), Box<dyn std::error::Error>> {
    let points = |of: Of| -> Vec<(f64, f64)> {
        rows.iter().filter_map(|row| Some((row.size? as f64, of(row)?.median))).collect()
    };
    let all: Vec<_> = LINES.iter().flat_map(|(_, _, of)| points(*of)).collect();
    let ends = |values: &dyn Fn(&(f64, f64)) -> f64| {
        let logs = all.iter().map(|point| values(point).log10());
        let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        (10f64.powf(low.floor()), 10f64.powf(high.ceil()))
    };
    if all.is_empty() {
        return Ok(());
    }
    let ((left, right), (bottom, top)) = (ends(&|p| p.0), ends(&|p| p.1));
    let area = SVGBackend::new(path, (720, 400)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{what}, by number of keys"), ("sans-serif", 18))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(36)
        .y_label_area_size(72)
        .build_cartesian_2d((left..right).log_scale(), (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|keys| grouped(*keys).trim_end_matches(".0").to_owned())
        .y_label_formatter(&|ns| time(*ns))
        .x_desc("keys")
        .draw()?;
    for (name, color, of) in LINES {
        let points = points(of);
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}
