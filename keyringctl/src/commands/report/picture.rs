// SPDX-License-Identifier: GPL-2.0-or-later
//! The picture: a bar that shows how many bytes are encrypted, unencrypted, or cannot be encrypted, as SVG.

use crate::commands::encrypt::sizes;
use crate::server::Tally;
use maud::{Markup, html};

const WIDTH: f64 = 1000.0;
/// The least width of a part that is not empty, so that it can be seen.
const LEAST: f64 = 6.0;

/// A part of the bar.
struct BarPart {
    name: &'static str,
    class: &'static str,
    bytes: u64,
    percent: f64,
    x: f64,
    width: f64,
}

fn parts(tally: &Tally) -> Vec<BarPart> {
    let all = tally.bytes().max(1) as f64;
    let kinds = [
        ("encrypted", "encrypted", tally.encrypted.bytes.saturating_add(tally.half_done.bytes)),
        ("unencrypted", "clear", tally.unencrypted.bytes),
        ("not supported by MySQL", "cannot", tally.not_supported.bytes),
        ("not checked", "unknown", tally.not_checked.bytes),
    ];
    let wide: Vec<f64> = kinds
        .iter()
        .map(|(_, _, b)| if *b == 0 { 0.0 } else { (*b as f64 / all * WIDTH).max(LEAST) })
        .collect();
    // The extra width of narrow parts is taken from all parts.
    let scale = WIDTH / wide.iter().sum::<f64>().max(1.0);
    let mut x = 0.0;
    kinds
        .into_iter()
        .zip(wide)
        .map(|((name, class, bytes), width)| {
            let width = width * scale;
            let part = BarPart { name, class, bytes, percent: bytes as f64 / all * 100.0, x, width };
            x += width;
            part
        })
        .collect()
}

/// Formats a percentage, and never rounds it to 0 or 100.
fn percent(part: f64) -> String {
    match part {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.1 => "less than 0.1 %".to_owned(),
        p if p >= 100.0 => "100 %".to_owned(),
        p if p > 99.9 => "more than 99.9 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

/// Returns the bar with a text for screen readers, and the same as a table.
pub(super) fn picture(tally: &Tally) -> Markup {
    let parts = parts(tally);
    let shares: Vec<_> = parts
        .iter()
        .map(|p| format!("{} {} ({})", percent(p.percent), p.name, sizes::bytes(p.bytes)))
        .collect();
    let desc = format!("A bar with one part for each state, by bytes: {}.", shares.join("; "));
    html! {
        figure {
            svg class="bar" viewBox="0 0 1000 60" role="img" aria-labelledby="bar-title bar-desc" preserveAspectRatio="none" {
                title id="bar-title" { "Bytes on disk by state" }
                desc id="bar-desc" { (desc) }
                defs {
                    pattern id="stripes" width="10" height="10" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        rect class="clear" width="10" height="10" {}
                        rect class="stripe" width="4" height="10" {}
                    }
                    pattern id="dots" width="10" height="10" patternUnits="userSpaceOnUse" {
                        rect class="cannot" width="10" height="10" {}
                        circle class="dot" cx="5" cy="5" r="2" {}
                    }
                    pattern id="grid" width="10" height="10" patternUnits="userSpaceOnUse" {
                        rect class="unknown" width="10" height="10" {}
                        rect class="stripe" width="2" height="10" {}
                        rect class="stripe" width="10" height="2" {}
                    }
                }
                @for part in parts.iter().filter(|p| p.bytes > 0) {
                    rect class=(part.class) x=(format!("{:.1}", part.x)) y="0" width=(format!("{:.1}", part.width)) height="60" fill=(match part.class { "clear" => "url(#stripes)", "cannot" => "url(#dots)", "unknown" => "url(#grid)", _ => "currentColor" }) {}
                }
            }
            figcaption { "Sizes as the server reports them. Settings and other items without a size are in the tables below." }
        }
        table class="narrow" {
            caption { "Bytes on disk by state" }
            thead { tr { th scope="col" { "State" } th scope="col" class="number" { "Size" } th scope="col" class="number" { "Share" } } }
            tbody {
                @for part in &parts {
                    tr {
                        th scope="row" { span class=(format!("key {}", part.class)) {} (part.name) }
                        td class="number" { (sizes::bytes(part.bytes)) }
                        td class="number" { (percent(part.percent)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::PlaceSum;

    #[test]
    fn every_part_that_is_not_empty_is_visible_and_the_bar_is_full() {
        let bytes = |bytes| PlaceSum { places: 1, bytes };
        let tally = Tally { encrypted: bytes(1 << 40), unencrypted: bytes(1), ..Tally::default() };
        let parts = parts(&tally);
        assert!(parts[1].width > 5.0, "{}", parts[1].width);
        assert_eq!(parts[2].width, 0.0);
        let end = parts[1].x + parts[1].width;
        assert!((end - WIDTH).abs() < 0.001, "{end}");
        assert!((parts[1].x - parts[0].width).abs() < 0.001);
    }

    #[test]
    fn nearly_all_is_not_called_all() {
        assert_eq!(percent(99.999_99), "more than 99.9 %");
        assert_eq!(percent(0.000_01), "less than 0.1 %");
        assert_eq!(percent(100.0), "100 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(12.34), "12.3 %");
    }

    #[test]
    fn an_empty_server_has_a_picture_too() {
        let page = picture(&Tally::default()).into_string();
        assert!(page.contains("<svg") && !page.contains("NaN"), "{page}");
    }
}
