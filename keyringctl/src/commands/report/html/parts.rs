// SPDX-License-Identifier: GPL-2.0-or-later
//! What all parts of the page show the same way: names, facts, and facts that are missing.

use crate::commands::report::known::Known;
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
