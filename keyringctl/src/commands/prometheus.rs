// SPDX-License-Identifier: GPL-2.0-or-later
//! Metrics for monitoring, in the text format of Prometheus (version 0.0.4) that node_exporter's textfile collector
//! reads.

use super::output::Output;
use crate::show::visible_lines;
use std::fmt::{Display, Write};

/// The labels of a sample: names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a dyn Display)];

/// Metrics, collected family by family.
#[derive(Default)]
pub(super) struct Metrics {
    text: String,
}

impl Metrics {
    /// Begins a family of gauges. Its samples must follow.
    pub(super) fn family(&mut self, name: &str, help: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    /// Adds a sample to the family.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{}\"", escaped(&visible_lines(&value.to_string()))))
            .collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }

    /// The metrics.
    #[cfg(test)]
    pub(super) fn text(self) -> String {
        self.text
    }

    /// Prints the metrics instead of the other output of the command.
    pub(super) fn print(self, out: &mut Output) {
        out.only(self.text);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut metrics = Metrics::default();
        metrics.family("up", "Whether.");
        metrics.sample("up", &[("path", &"a\"b\\c\nd"), ("n", &1)], 0);
        metrics.sample("down", &[], 2.5);
        let expected =
            "# HELP up Whether.\n# TYPE up gauge\nup{path=\"a\\\"b\\\\c\\nd\",n=\"1\"} 0\ndown 2.5\n";
        assert_eq!(metrics.text, expected);
    }
}
