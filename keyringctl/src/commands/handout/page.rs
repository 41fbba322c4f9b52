// SPDX-License-Identifier: GPL-2.0-or-later
//! A printable page with one share: one file that loads nothing and runs nothing, for A4.

use super::about::{About, COMMAND, GROUPS_OF_LINE, text};
use keyring_external::custodians::Share;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use qrcode::types::Color;
use qrcode::{EcLevel, QrCode};
use std::fmt::Write;
use zeroize::Zeroizing;

const STYLE: &str = include_str!("page.css");
/// Makes a browser load nothing and run nothing, whatever the page contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Unprinted modules around a QR code, without which a scanner does not find it.
const QUIET: usize = 4;

/// The page of a share.
pub(super) fn page(of: &About, share: &Share) -> Zeroizing<String> {
    let text = text(share);
    let groups: Vec<_> = text.split('-').enumerate().collect();
    let (needed, all) = of.needed();
    let [alone, keep, use_it] = of.advice();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width";
                meta name="robots" content="noindex";
                title { "Share " (share.number()) " of " (all) ", keyring " (of.id) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Share " (share.number()) " of " (all) }
                p.lead { "Any " (needed) " of " (all) " shares unlock the keyring together" }
                dl {
                    @for (name, value) in of.facts() {
                        dt { (name) }
                        dd { (value) }
                    }
                }
                div.share {
                    (qr_code(&text))
                    table {
                        @for line in groups.chunks(GROUPS_OF_LINE) {
                            tr {
                                @for (at, group) in line { td { small { (at + 1) } (group) } }
                            }
                        }
                    }
                }
                p.alone { (alone) }
                p { (keep) }
                p { (use_it) " " code { (COMMAND) } }
                p {
                    "Spaces, dashes and lower case do not matter when the share is typed. The last character of each group finds a \
                     mistake in it. A scanner may type the QR code, which holds the same characters."
                }
                footer { "Custodian: " span.line {} }
            }
        }
    };
    Zeroizing::new(page.into_string())
}

/// The QR code of a text, as a picture in the page.
fn qr_code(text: &str) -> Markup {
    // A share has 71 characters: there is always a version that holds them.
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return html! {} };
    let (width, colors) =
        (code.width(), Zeroizing::new(code.to_colors().iter().map(dark).collect::<Vec<_>>()));
    let mut path = Zeroizing::new(String::with_capacity(16 * colors.len()));
    for at in (0..colors.len()).filter(|at| colors[*at]) {
        // Writing to a String does not fail.
        let _ = write!(path, "M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET);
    }
    let size = width + 2 * QUIET;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {size} {size}")) role="img"
            aria-label="QR code of the share" shape-rendering="crispEdges" {
            rect width=(size) height=(size) fill="#fff" {}
            path d=(*path) fill="#000" {}
        }
    }
}

fn dark(color: &Color) -> bool {
    *color == Color::Dark
}
