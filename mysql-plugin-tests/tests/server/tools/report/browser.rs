// SPDX-License-Identifier: GPL-2.0-or-later
//! A real browser without a window, Debian's chromium. Tests read its screenshots pixel by pixel.

use flate2::read::ZlibDecoder;
use mysql_plugin_tests::rig::told;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why there is no browser.
pub fn why_no_chromium() -> Option<String> {
    let version = Command::new("chromium").arg("--version").output();
    if version.is_ok_and(|o| o.status.success()) {
        return None;
    }
    Some("no chromium; apt-get install chromium".to_owned())
}

/// The browser on a page; its own files go to `dir`.
fn browser(page: &Path, dir: &Path, option: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["120", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
    command.args(["--disable-dev-shm-usage", "--no-first-run", "--window-size=1000,1600", option]);
    command.arg(format!("--user-data-dir={}", dir.display())).arg(format!("file://{}", page.display()));
    command.env("HOME", dir);
    command
}

fn browse(page: &Path, dir: &Path, option: &str) {
    mysql_plugin_tests::rig::run(&mut browser(page, dir, option));
}

/// Returns how wide the page's content is in a window of that width: no wider, unless it must be scrolled to the side.
pub fn content_width(page: &Path, dir: &Path, window: u32) -> u32 {
    counted(page, dir, window, "shown.documentElement.scrollWidth")
}

/// Returns how many texts of the picture of the chain of keys are outside of all of its boxes, in a window of that width.
pub fn texts_outside_of_boxes(page: &Path, dir: &Path, window: u32) -> u32 {
    let drawn = "[...shown.querySelectorAll('.chain svg')].filter(s => s.getBoundingClientRect().width > 0)";
    let inside =
        "b => b.left <= t.left && t.right <= b.right && b.top <= t.top + 2 && t.bottom <= b.bottom + 2";
    let count = format!(
        "{drawn}.map(s => {{ const all = q => [...s.querySelectorAll(q)].map(e => e.getBoundingClientRect());
         const boxes = all('rect.box'), texts = all('text:not(.band):not(.arrow)');
         return texts.length == 0 ? 1000 : texts.filter(t => !boxes.some({inside})).length; }}).reduce((a, b) => a + b, 0)"
    );
    counted(page, dir, window, &count)
}

/// Returns a number that a script counts in the page, which is the document `shown`.
fn counted(page: &Path, dir: &Path, window: u32, script: &str) -> u32 {
    let frame = page.with_file_name(format!("frame{window}.html"));
    let name = page.file_name().unwrap().to_str().unwrap();
    let html = format!(
        "<!DOCTYPE html><script>function count(shown) {{ document.title = 'counted ' + ({script}) + ' in it'; }}</script>
         <iframe id=frame src='{name}' style='width:{window}px;height:900px;border:0' onload=\"count(frame.contentDocument)\"></iframe>"
    );
    fs::write(&frame, html).unwrap();
    let mut command = browser(&frame, dir, "--dump-dom");
    let output =
        command.args(["--allow-file-access-from-files", "--virtual-time-budget=10000"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let number = said.split_once("<title>counted ").and_then(|(_, rest)| rest.split_once(" in it"));
    number
        .and_then(|(number, _)| number.parse().ok())
        .unwrap_or_else(|| panic!("no number: {}", told(&output)))
}

/// Returns the page as shown, as a PNG.
pub fn screenshot(page: &Path, dir: &Path) -> PathBuf {
    let shot = page.with_extension("png");
    browse(page, dir, &format!("--screenshot={}", shot.display()));
    shot
}

/// Returns the page as printed, as a PDF.
pub fn print(page: &Path, dir: &Path) -> PathBuf {
    let pdf = page.with_extension("pdf");
    browse(page, dir, &format!("--print-to-pdf={}", pdf.display()));
    pdf
}

/// A picture's pixels, row by row.
pub struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a PNG with 8 bits per channel, with or without transparency (PNG specification, third edition).
    pub fn read(path: &Path) -> Picture {
        let bytes = fs::read(path).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{} is a PNG", path.display());
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (width, depth, colour, interlaced) = (number(16), bytes[24], bytes[25], bytes[28]);
        assert!(depth == 8 && interlaced == 0, "depth {depth}, interlaced {interlaced}");
        let channels = match colour {
            2 => 3,
            6 => 4,
            other => panic!("colour type {other}"),
        };
        let (mut data, mut at) = (Vec::new(), 8);
        while at < bytes.len() {
            let len = number(at);
            if &bytes[at + 4..at + 8] == b"IDAT" {
                data.extend_from_slice(&bytes[at + 8..at + 8 + len]);
            }
            at += 12 + len;
        }
        let mut raw = Vec::new();
        ZlibDecoder::new(&data[..]).read_to_end(&mut raw).unwrap();
        let mut above = vec![0; width * channels];
        let mut pixels = Vec::new();
        for row in raw.chunks_exact(1 + width * channels) {
            let mut line = row[1..].to_vec();
            for i in 0..line.len() {
                let left = if i < channels { 0 } else { line[i - channels] };
                let corner = if i < channels { 0 } else { above[i - channels] };
                line[i] = line[i].wrapping_add(predicted(row[0], left, above[i], corner));
            }
            pixels.extend(line.chunks_exact(channels).map(|p| [p[0], p[1], p[2]]));
            above = line;
        }
        Picture { width, pixels }
    }

    /// Returns how many pixels have a colour.
    pub fn count(&self, colour: [u8; 3]) -> usize {
        self.pixels.iter().filter(|p| **p == colour).count()
    }

    /// Returns the share of a colour in the row with most pixels of it, without the white ones at both sides.
    pub fn share_of_row(&self, colour: [u8; 3]) -> f64 {
        let rows = self.pixels.chunks_exact(self.width);
        let count = |row: &&[[u8; 3]]| row.iter().filter(|p| **p == colour).count();
        let row = rows.max_by_key(count).expect("a row");
        let white = |p: &[u8; 3]| *p == [255; 3];
        let from = row.iter().position(|p| !white(p)).expect("a row with something in it");
        let to = row.iter().rposition(|p| !white(p)).expect("a row with something in it");
        count(&row) as f64 / (to - from + 1) as f64
    }
}

/// Returns what a PNG filter adds.
fn predicted(filter: u8, left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i32::from(left), i32::from(up), i32::from(corner));
    match filter {
        0 => 0,
        1 => left,
        2 => up,
        3 => ((a + b) / 2) as u8,
        4 => {
            let p = a + b - c;
            let (pa, pb, pc) = ((p - a).abs(), (p - b).abs(), (p - c).abs());
            if pa <= pb && pa <= pc {
                left
            } else if pb <= pc {
                up
            } else {
                corner
            }
        }
        other => panic!("PNG filter {other}"),
    }
}
