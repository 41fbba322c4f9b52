// SPDX-License-Identifier: GPL-2.0-or-later
//! Draws stages of boxes below each other as SVG. Its colours are those of the page's style.

use super::stage::{Band, Block, Line, Stage};
use super::text;
use maud::{Markup, html};

/// The size of a picture and of what is in it, in pixels if the page shows it in its own size.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    name: &'static str,
    width: usize,
    /// Boxes beside each other.
    columns: usize,
    font: usize,
}

impl Layout {
    pub(super) const WIDE: Layout = Layout { name: "wide", width: 760, columns: 2, font: 13 };
    pub(super) const NARROW: Layout = Layout { name: "narrow", width: 330, columns: 1, font: 12 };

    /// How many columns of a terminal's text fit into so many pixels. A letter of the widest font of the page's list has
    /// 0.6 of its size, and one of a path 0.56.
    fn columns_in(self, pixels: usize, is_path: bool) -> usize {
        pixels * 100 / (self.font * if is_path { 56 } else { 61 })
    }

    fn line(self) -> usize {
        self.font * 14 / 10
    }
}

const MARGIN: usize = 10;
const PADDING: usize = 10;
const GAP: usize = 12;
/// The height of an arrow with its label, and the one of a band's name.
const ARROW: usize = 34;
const BAND: usize = 24;

/// A box with its lines.
struct Placed<'a> {
    block: &'a Block,
    /// Each with whether it is a path.
    lines: Vec<(String, bool)>,
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// An arrow between two stages: where it begins, and what it means.
struct Arrow {
    x: usize,
    y: usize,
    text: &'static str,
}

/// A background that shows where boxes are.
struct Background {
    class: &'static str,
    name: &'static str,
    y: usize,
    height: usize,
}

pub(super) fn drawing(stages: &[Stage], description: &str, layout: Layout) -> Markup {
    let (mut boxes, mut arrows, mut bands): (Vec<Placed<'_>>, Vec<Arrow>, Vec<Background>) =
        Default::default();
    let mut y = 0;
    for (i, stage) in stages.iter().enumerate() {
        let is_new = i
            .checked_sub(1)
            .and_then(|before| stages.get(before))
            .is_none_or(|before| before.band != stage.band);
        if is_new {
            bands.push(Background { class: stage.band.class(), name: stage.band.name(), y, height: 0 });
            y += BAND;
        }
        y = place(stage, layout, y, &mut boxes);
        let ends = stages.get(i + 1).is_none_or(|next| next.band != stage.band);
        if ends {
            y += MARGIN;
            if let Some(band) = bands.last_mut() {
                band.height = y - band.y;
            }
        }
        if !stage.arrow.is_empty() {
            // Tables and logs beside each other have an arrow each.
            let both = stage.band == Band::Server && layout.columns == 2;
            for x in [layout.width / 6, layout.width / 6 + layout.width / 2]
                .into_iter()
                .take(1 + usize::from(both))
            {
                arrows.push(Arrow { x, y: if ends { y - MARGIN } else { y }, text: stage.arrow });
            }
            y += ARROW - if ends { MARGIN } else { 0 };
        }
    }
    let (width, height) = (layout.width, y);
    let (title, desc) = (format!("chain-{}-title", layout.name), format!("chain-{}-desc", layout.name));
    html! {
        svg class=(layout.name) viewBox=(format!("0 0 {width} {height}")) role="img" aria-labelledby=(format!("{title} {desc}")) font-size=(layout.font) {
            title id=(title) { "The chain of keys" }
            desc id=(desc) { (description) }
            @for band in &bands {
                rect class=(format!("band {}", band.class)) x="0" y=(band.y) width=(width) height=(band.height) rx="6" {}
                text class="band" x=(MARGIN) y=(band.y + 17) { (band.name) }
            }
            @for arrow in &arrows { (arrow_of(arrow)) }
            @for placed in &boxes { (box_of(placed, layout)) }
        }
    }
}

/// Places the boxes of a stage below `y`, and returns where they end.
fn place<'a>(stage: &'a Stage, layout: Layout, y: usize, boxes: &mut Vec<Placed<'a>>) -> usize {
    let columns = layout.columns.min(stage.blocks.len()).max(1);
    let width = (layout.width - 2 * MARGIN - (columns - 1) * GAP) / columns;
    let mut y = y;
    for (row, blocks) in stage.blocks.chunks(columns).enumerate() {
        if row > 0 {
            y += GAP;
        }
        let lines: Vec<_> = blocks.iter().map(|block| lines(block, layout, width)).collect();
        let most = lines.iter().map(Vec::len).max().unwrap_or(0);
        let height = 2 * PADDING + layout.line() * (most + 1);
        for (column, (block, lines)) in blocks.iter().zip(lines).enumerate() {
            let x = MARGIN + column * (width + GAP);
            boxes.push(Placed { block, lines, x, y, width, height });
        }
        y += height;
    }
    y
}

fn lines(block: &Block, layout: Layout, width: usize) -> Vec<(String, bool)> {
    let columns = |is_path| layout.columns_in(width - 2 * PADDING, is_path);
    let wrapped = block.lines.iter().flat_map(|line| {
        let (lines, is_path) = match line {
            Line::Words(words) => (text::words(words, columns(false)), false),
            Line::Path(path) => (text::path(path, columns(true)), true),
        };
        lines.into_iter().map(move |line| (line, is_path))
    });
    wrapped.collect()
}

fn box_of(placed: &Placed<'_>, layout: Layout) -> Markup {
    let Placed { block, lines, x, y, width, height } = placed;
    let baseline = |line: usize| y + PADDING + layout.line() * line + layout.font - 2;
    html! {
        rect class="box" x=(x) y=(y) width=(width) height=(height) rx="4" {}
        text class="title" x=(x + PADDING) y=(baseline(0)) { (block.title) }
        @for (i, (line, is_path)) in lines.iter().enumerate() {
            text class=[is_path.then_some("path")] x=(x + PADDING) y=(baseline(i + 1)) { (line) }
        }
    }
}

fn arrow_of(arrow: &Arrow) -> Markup {
    let x = arrow.x;
    let (from, to) = (arrow.y + 3, arrow.y + ARROW - 3);
    html! {
        path class="arrow" d=(format!("M{x} {from}V{}", to - 6)) {}
        path class="head" d=(format!("M{} {}H{}L{x} {to}Z", x - 5, to - 8, x + 5)) {}
        text class="arrow" x=(x + 14) y=(arrow.y + ARROW / 2 + 4) { (arrow.text) }
    }
}
