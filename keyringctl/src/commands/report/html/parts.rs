// SPDX-License-Identifier: GPL-2.0-or-later
//! What all parts of the page show the same way: names, facts, and facts that are missing.

use crate::commands::output::visible;
use crate::commands::report::known::Known;
use maud::{Markup, Render, html};

/// A name or path as it was found: characters that are not seen, or that turn the text around, are shown as what they are.
pub(super) struct Name<T: std::fmt::Display>(pub T);

impl<T: std::fmt::Display> Render for Name<T> {
    fn render(&self) -> Markup {
        html! { span class="name" { (visible(self.0.to_string())) } }
    }
}

/// Why something is not known.
pub(super) fn unknown(why: &str) -> Markup {
    html! { span class="state unknown" { "not measured" } ": " (visible(why)) }
}

/// A fact, or why it is missing.
pub(super) fn known<T>(fact: &Known<T>, shown: impl FnOnce(&T) -> Markup) -> Markup {
    match fact {
        Known::Measured(value) => shown(value),
        Known::NotMeasured(why) => unknown(why),
    }
}
