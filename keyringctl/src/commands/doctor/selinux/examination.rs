// SPDX-License-Identifier: GPL-2.0-or-later
//! What the checks of SELinux examine: a host, the labels of its files and the policy.

use super::policy::Policy;
use crate::commands::doctor::finding::FindingLevel;
use crate::commands::doctor::host_view::HostView;
use crate::commands::selinux::Mode;
use std::path::Path;

/// What is examined, and how. Tests give labels and a policy of their own.
pub(in crate::commands::doctor) struct Examination<'a> {
    pub view: &'a HostView<'a>,
    pub mode: Mode,
    /// Reads the label of a file.
    pub label: &'a dyn Fn(&Path) -> Option<String>,
    pub policy: &'a dyn Policy,
}

impl Examination<'_> {
    /// The level of something that SELinux refuses.
    pub(super) fn level(&self) -> FindingLevel {
        if self.mode == Mode::Permissive { FindingLevel::Note } else { FindingLevel::Error }
    }

    /// What a finding ends with if SELinux only logs.
    pub(super) fn only_logged(&self) -> &'static str {
        if self.mode == Mode::Permissive { ". It is permissive now, and only logs that" } else { "" }
    }
}
