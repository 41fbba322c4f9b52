// SPDX-License-Identifier: GPL-2.0-or-later
//! What SELinux lets mysqld do: the loaded policy's answer, or what the policies of distributions have in common.

use crate::host::selinux::{Access, DATA, DOMAIN, type_of};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;

/// Whether mysqld has an access.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::commands::doctor) enum Answer {
    Granted,
    /// The policy does not grant these permissions.
    Refused(Vec<&'static str>),
    /// The policies of distributions do not grant it, but a policy of the administrator's may.
    Unusual,
    Unknown,
}

/// Answers what mysqld may do with an object that has this context.
pub(in crate::commands::doctor) trait Policy {
    fn answer(&self, context: &str, access: &Access) -> Answer;
}

/// The policies of Red Hat and Debian, as far as mysqld and a keyring are concerned.
pub(in crate::commands::doctor) struct DistributedPolicies;

impl Policy for DistributedPolicies {
    fn answer(&self, context: &str, access: &Access) -> Answer {
        match type_of(context) {
            Some(kind) if access.granted.contains(&kind) => Answer::Granted,
            // In all of them, mysqld changes only files of its own type.
            _ if access.granted == [DATA] => Answer::Refused(Vec::new()),
            Some(_) if !access.granted.is_empty() => Answer::Unusual,
            _ => Answer::Unknown,
        }
    }
}

/// The policy that the kernel enforces, with all that the administrator added to it.
pub(in crate::commands::doctor) struct LoadedPolicy {
    /// Where the kernel's filesystem for SELinux is mounted.
    pub selinuxfs: PathBuf,
}

impl Policy for LoadedPolicy {
    fn answer(&self, context: &str, access: &Access) -> Answer {
        self.ask(context, access).unwrap_or_else(|| DistributedPolicies.answer(context, access))
    }
}

impl LoadedPolicy {
    fn ask(&self, context: &str, access: &Access) -> Option<Answer> {
        let class = self.selinuxfs.join("class").join(access.class);
        let number = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u32>().ok();
        let index = number(class.join("index"))?;
        // A question and its answer belong to one open file.
        let mut file = OpenOptions::new().read(true).write(true).open(self.selinuxfs.join("access")).ok()?;
        file.write_all(format!("system_u:system_r:{DOMAIN}:s0 {context} {index}").as_bytes()).ok()?;
        let mut reply = [0_u8; 256];
        let len = file.read(&mut reply).ok()?;
        let allowed = allowed(&String::from_utf8_lossy(reply.get(..len)?))?;
        let refused = |name: &&str| {
            // A kernel that does not know a permission does not check it.
            let bit = number(class.join("perms").join(name)).and_then(|number| number.checked_sub(1));
            bit.and_then(|bit| 1_u32.checked_shl(bit)).is_some_and(|bit| allowed & bit == 0)
        };
        let refused: Vec<_> = access.permissions.iter().copied().filter(refused).collect();
        Some(if refused.is_empty() { Answer::Granted } else { Answer::Refused(refused) })
    }
}

/// The permissions in the kernel's reply: six numbers, of which the first are the permissions in hexadecimal and the last
/// says whether the domain is permissive.
fn allowed(reply: &str) -> Option<u32> {
    let mut fields = reply.trim_end_matches('\0').split_whitespace();
    let allowed = u32::from_str_radix(fields.next()?, 16).ok()?;
    let flags = fields.nth(4).and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or_default();
    Some(if flags & 1 == 1 { u32::MAX } else { allowed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::selinux::{PASS, READ};

    #[test]
    fn replies_of_the_kernel_are_read() {
        assert_eq!(allowed("42 ffffffff 0 ffffffff 7 0"), Some(0x42));
        assert_eq!(allowed("0 ffffffff 0 ffffffff 7 1\0"), Some(u32::MAX));
        assert_eq!(allowed("2"), Some(2));
        assert_eq!(allowed(""), None);
    }

    #[test]
    fn without_a_loaded_policy_the_policies_of_distributions_answer() {
        let dir = tempfile::tempdir().unwrap();
        let policy = LoadedPolicy { selinuxfs: dir.path().into() };
        assert_eq!(policy.answer("system_u:object_r:etc_t:s0", &READ), Answer::Granted);
        assert_eq!(policy.answer("system_u:object_r:shadow_t:s0", &READ), Answer::Unusual);
        assert_eq!(policy.answer("system_u:object_r:mnt_t:s0", &PASS), Answer::Unknown);
    }
}
