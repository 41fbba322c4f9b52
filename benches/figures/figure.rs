// SPDX-License-Identifier: GPL-2.0-or-later
//! Figures: medians with their spread, and how they are written.

use serde::Serialize;

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Unit {
    /// Nanoseconds: less is better.
    Time,
    /// Bytes: less is better.
    Bytes,
    /// Things done in a second: more is better.
    PerSecond,
}

impl Unit {
    pub fn write(self, value: f64) -> String {
        let scaled = |steps: &[(f64, &str)]| {
            let (size, name) = steps.iter().rev().find(|(size, _)| value >= *size).unwrap_or(&steps[0]);
            format!("{} {name}", digits(value / size))
        };
        match self {
            Unit::Time => scaled(&[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")]),
            Unit::Bytes => scaled(&[(1.0, "B"), (1e3, "kB"), (1e6, "MB")]),
            Unit::PerSecond => format!("{}/s", grouped(value)),
        }
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value {
        v if v >= 100.0 => grouped(v),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A whole number with commas; small ones with what is behind the point.
pub fn grouped(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let whole = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The median of samples, and where the middle four fifths of them lie.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figure {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub samples: usize,
}

impl Figure {
    /// Of samples; `None` of none.
    pub fn of(samples: &[f64]) -> Option<Figure> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |part: f64| sorted[(last as f64 * part).round() as usize];
        let median = (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0;
        Some(Figure { median, low: at(0.1), high: at(0.9), samples: sorted.len() })
    }

    fn write(&self, unit: Unit) -> String {
        match self.samples {
            1 => unit.write(self.median),
            n => format!(
                "{} ({}..{}, {n})",
                unit.write(self.median),
                unit.write(self.low),
                unit.write(self.high)
            ),
        }
    }
}

/// One thing that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What.
    pub what: String,
    /// With how many keys or tablespaces.
    pub size: Option<u64>,
    pub unit: Unit,
    pub ours: Option<Figure>,
    pub peer: Option<Figure>,
    /// What neither can be faster than; without encryption, in the server.
    pub floor: Option<Figure>,
}

impl Row {
    /// Of samples of both.
    pub fn new(what: &str, size: Option<u64>, unit: Unit, ours: &[f64], peer: &[f64]) -> Row {
        Row { what: what.to_owned(), size, unit, ours: Figure::of(ours), peer: Figure::of(peer), floor: None }
    }

    /// And of the floor.
    pub fn with_floor(self, floor: &[f64]) -> Row {
        Row { floor: Figure::of(floor), ..self }
    }
}

/// The rows of one table.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub title: &'static str,
    /// What was done, in a sentence or two.
    pub about: String,
    /// The column of sizes.
    pub size: &'static str,
    /// The column of the floor; empty when there is none.
    pub floor: &'static str,
    pub rows: Vec<Row>,
}

impl Table {
    /// As Markdown, its columns aligned for who reads it as text.
    pub fn markdown(&self) -> String {
        let mut head = vec!["", self.size, "keyring_external", "component_keyring_file", "ratio"];
        if !self.floor.is_empty() {
            head.extend([self.floor, "to it"]);
        }
        let mut lines = vec![head.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()];
        lines.extend(self.rows.iter().map(|row| {
            let cell = |figure: Option<Figure>| figure.map_or("–".to_owned(), |f| f.write(row.unit));
            let ratio = |to: Option<Figure>| match (row.ours, to) {
                (Some(ours), Some(to)) if to.median > 0.0 => ratio(ours.median / to.median),
                _ => "–".to_owned(),
            };
            let size =
                row.size.map_or(String::new(), |s| if s < 100 { s.to_string() } else { grouped(s as f64) });
            let mut cells = vec![row.what.clone(), size, cell(row.ours), cell(row.peer), ratio(row.peer)];
            if !self.floor.is_empty() {
                cells.extend([cell(row.floor), ratio(row.floor)]);
            }
            cells
        }));
        let (head, rows) = lines.split_first().expect("a head");
        markdown(&head.iter().map(String::as_str).collect::<Vec<_>>(), rows)
    }
}

/// A table as Markdown. The first column is aligned to the left, the others to the right.
pub fn markdown(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |c: usize| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let put = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(c, (cell, width))| {
            if c == 0 { format!(" {cell:<width$} ") } else { format!(" {cell:>width$} ") }
        });
        format!("|{}|\n", padded.collect::<Vec<_>>().join("|"))
    };
    let rule = widths
        .iter()
        .enumerate()
        .map(|(c, width)| if c == 0 { "-".repeat(width + 2) } else { format!("{}:", "-".repeat(width + 1)) });
    let rule = format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
    lines.iter().enumerate().fold(String::new(), |mut out, (i, cells)| {
        out.push_str(&put(cells));
        if i == 0 {
            out.push_str(&rule);
        }
        out
    })
}

fn ratio(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
