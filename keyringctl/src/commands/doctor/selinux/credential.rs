// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether SELinux lets mysqld read its credential. The policies of distributions have no rule for that.

use super::examination::Examination;
use super::policy::Answer;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::selinux::Mode;
use crate::host::Host;
use crate::host::needs::credentials_of;
use crate::host::selinux::{PASS, READ, module_commands, type_of};
use crate::show::Shown;
use keyring_external::unlock::UnlockSource;

pub(super) const CREDENTIAL: &str = "selinux-credential";

const WHY: &str = "mysqld then has no unlock secret and cannot open the keyring.";

impl Examination<'_> {
    /// Checks the credential where systemd passed it, if mysqld runs. Otherwise the policy cannot be asked.
    pub(super) fn credential(&self, found: &mut Findings) {
        let host = &self.view.host;
        let UnlockSource::Credential(name) = &host.unlock else { return };
        let file = credentials_of(&host.unit).join(name);
        let place = self.view.local_path(&file);
        let Some(context) = (self.label)(&place).filter(|_| place.exists()) else {
            likely_refused(host, self.mode, &self.view.secret_from_file(), found);
            return;
        };
        match self.policy.answer(&context, &READ) {
            Answer::Granted => {}
            Answer::Refused(_) => {
                let kind = type_of(&context).unwrap_or_default();
                let mut fix = self.view.secret_from_file();
                fix.push("or let mysqld read this type:".to_owned());
                fix.extend(module_commands(kind, &[PASS, READ]));
                found
                    .add(
                        self.level(),
                        CREDENTIAL,
                        format!(
                            "SELinux does not let mysqld read its credential {}: its label is {context}{}",
                            place.shown(),
                            self.only_logged()
                        ),
                        WHY,
                        &fix,
                    )
                    .path = Some(file);
            }
            Answer::Unusual | Answer::Unknown => {
                likely_refused(host, self.mode, &self.view.secret_from_file(), found)
            }
        }
    }
}

/// Reports that SELinux is likely to refuse the credential, if the secret comes from one. `instead` says how to use a file.
pub(in crate::commands) fn likely_refused(host: &Host, mode: Mode, instead: &[String], found: &mut Findings) {
    let UnlockSource::Credential(name) = &host.unlock else { return };
    let directory = credentials_of(&host.unit);
    let level = if mode == Mode::Permissive { FindingLevel::Note } else { FindingLevel::Warning };
    let mut fix = instead.to_vec();
    fix.push(format!(
        "or start mysqld once, and run keyringctl doctor: it reads the label of {} and names the rule that is missing",
        directory.join(name).shown()
    ));
    found.add(
        level,
        CREDENTIAL,
        format!(
            "SELinux is likely to refuse mysqld its credential {name}: the policies of distributions do not let mysqld read {}",
            directory.shown()
        ),
        WHY,
        &fix,
    );
}
