// SPDX-License-Identifier: GPL-2.0-or-later
//! What all parts of the page show the same way: names, facts, facts that are missing, and tables.

use crate::commands::report::known::Known;
use crate::server::PlaceState;
use crate::show::visible;
use maud::{Markup, Render, html};

/// A name or path from outside. Invisible characters, and those that reverse the text, are shown as escapes.
pub(super) struct Name<T: std::fmt::Display>(pub T);

impl<T: std::fmt::Display> Render for Name<T> {
    fn render(&self) -> Markup {
        html! { span class="name" { (visible(self.0.to_string())) } }
    }
}

/// Says why something was not checked.
pub(super) fn unknown(why: &str) -> Markup {
    html! { span class="state unknown" { "not checked" } ": " (visible(why)) }
}

/// Shows a fact, or why it is missing.
pub(super) fn known<T>(fact: &Known<T>, shown: impl FnOnce(&T) -> Markup) -> Markup {
    match fact {
        Known::Measured(value) => shown(value),
        Known::NotMeasured(why) => unknown(why),
    }
}

/// The state of a place or setting: a setting is not encrypted, it is set.
pub(super) fn state(state: PlaceState, is_setting: bool) -> Markup {
    let (class, word) = match (state, is_setting) {
        (PlaceState::Encrypted, false) => ("good", "encrypted"),
        (PlaceState::Encrypted, true) => ("good", "set"),
        (PlaceState::Clear, false) => ("bad", "unencrypted"),
        (PlaceState::Clear, true) => ("bad", "NOT SET"),
        (PlaceState::HalfDone, _) => ("bad", "half-done"),
        (PlaceState::Cannot, _) => ("neutral", "not supported"),
        (PlaceState::Unknown, _) => ("unknown", "not checked"),
        (PlaceState::Unused, _) => ("neutral", "unused"),
    };
    html! { span class=(format!("state {class}")) { (word) } }
}

/// A column of a table: its heading, and its class if its cells have one.
pub(super) struct Column(pub &'static str, pub Option<&'static str>);

/// A column of numbers.
pub(super) fn number(heading: &'static str) -> Column {
    Column(heading, Some("number"))
}

/// A column of text.
pub(super) fn text(heading: &'static str) -> Column {
    Column(heading, None)
}

/// A table whose rows begin with their headings. On a narrow screen each row is a block of lines, which repeat the
/// columns' headings and leave out what is empty.
pub(super) fn table(
    caption: impl Render,
    columns: &[Column],
    rows: impl IntoIterator<Item = Vec<Markup>>,
) -> Markup {
    html! {
        table {
            caption { (caption) }
            thead { tr { @for Column(heading, class) in columns { th scope="col" class=[class] { (heading) } } } }
            tbody { @for row in rows { tr {
                @for (i, (cell, Column(heading, class))) in row.into_iter().zip(columns).enumerate() {
                    @if i == 0 { th scope="row" class=[class] { (cell) } }
                    @else { td class=[class] data-label=(heading) { (cell) } }
                }
            } } }
        }
    }
}
