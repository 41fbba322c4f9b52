// SPDX-License-Identifier: GPL-2.0-or-later
//! Follows roles and proxies: what an account has itself, and what it has through others.

use super::account::{Account, Right};
use super::grants::{Bond, Grants, Holder, Name};
use std::collections::{BTreeSet, VecDeque};

/// Plugins that check a password, so that an empty one lets everybody in.
const BY_PASSWORD: [&str; 3] = ["caching_sha2_password", "sha256_password", "mysql_native_password"];

impl Grants {
    /// Returns every account with a right, also through roles that it must first activate.
    pub(super) fn resolve(&self) -> Vec<Account> {
        let accounts = self.holders.iter().filter(|(name, holder)| !self.is_role(name, holder));
        let accounts = accounts.map(|(name, holder)| Account {
            user: name.0.clone(),
            host: name.1.clone(),
            locked: holder.locked,
            no_password: !holder.has_secret && BY_PASSWORD.contains(&holder.plugin.as_str()),
            plugin: holder.plugin.clone(),
            tls: holder.tls.clone(),
            rights: self.rights(name),
        });
        accounts.filter(|account| !account.rights.is_empty()).collect()
    }

    /// Whether it is a role: CREATE ROLE creates an account that is locked, and whose empty password has expired.
    fn is_role(&self, name: &Name, holder: &Holder) -> bool {
        let is_granted = || self.bonds.iter().any(|(_, of, bond)| of == name && *bond == Bond::Role);
        holder.locked && ((holder.expired && !holder.has_secret) || is_granted())
    }

    /// What an account has: itself, then through those that are fewest steps away.
    fn rights(&self, name: &Name) -> Vec<Right> {
        let mut rights: Vec<Right> = Vec::new();
        let mut seen = BTreeSet::from([name]);
        let mut next = VecDeque::from([(name, None)]);
        while let Some((of, through)) = next.pop_front() {
            for (ability, privilege) in self.holders.get(of).into_iter().flat_map(|holder| &holder.direct) {
                if !rights.iter().any(|right| right.ability == *ability && right.privilege == *privilege) {
                    let through: Option<String> = through.clone();
                    rights.push(Right { ability: *ability, privilege: privilege.clone(), through });
                }
            }
            for (_, held, bond) in self.bonds.iter().filter(|(holder, _, _)| holder == of) {
                if seen.insert(held) {
                    let kind = if *bond == Bond::Role { "role" } else { "proxy for" };
                    next.push_back((held, Some(format!("{kind} {}@{}", held.0, held.1))));
                }
            }
        }
        rights.sort();
        rights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::report::access::Ability;

    fn name(user: &str) -> Name {
        (user.to_owned(), "%".to_owned())
    }

    fn grants() -> Grants {
        let mut grants = Grants::default();
        for user in ["anna", "bert", "cleo", "dora", "keeper", "chief", "other"] {
            let is_role = matches!(user, "keeper" | "chief" | "other");
            let plugin = "caching_sha2_password".to_owned();
            let holder = Holder {
                locked: is_role,
                expired: is_role,
                plugin,
                has_secret: !is_role,
                ..Holder::default()
            };
            grants.holders.insert(name(user), holder);
        }
        grants.add(&name("keeper"), Ability::Rotate, "ENCRYPTION_KEY_ADMIN".to_owned());
        grants.add(&name("anna"), Ability::Files, "FILE".to_owned());
        let role = |to: &str, of: &str| (name(to), name(of), Bond::Role);
        // A circle of roles ends.
        grants.bonds = vec![
            role("chief", "keeper"),
            role("keeper", "chief"),
            role("anna", "chief"),
            role("cleo", "other"),
        ];
        grants.bonds.push((name("bert"), name("anna"), Bond::Proxy));
        grants
    }

    #[test]
    fn roles_are_followed_to_the_end() {
        let accounts = grants().resolve();
        let names: Vec<_> = accounts.iter().map(|account| account.user.as_str()).collect();
        assert_eq!(names, ["anna", "bert"], "{accounts:#?}");
        let rights = |account: &Account| {
            let all = account
                .rights
                .iter()
                .map(|r| format!("{} {}", r.privilege, r.through.as_deref().unwrap_or("-")));
            all.collect::<Vec<_>>()
        };
        assert_eq!(rights(&accounts[0]), ["ENCRYPTION_KEY_ADMIN role keeper@%", "FILE -"]);
        assert_eq!(rights(&accounts[1]), ["ENCRYPTION_KEY_ADMIN role keeper@%", "FILE proxy for anna@%"]);
        assert_eq!(accounts[0].abilities(), [Ability::Rotate, Ability::Files]);
        assert!(accounts[0].may(Ability::Files) && !accounts[0].may(Ability::Grant));
    }

    #[test]
    fn an_empty_password_is_told_from_a_plugin_that_needs_none() {
        let mut grants = grants();
        for (user, plugin) in [("anna", "caching_sha2_password"), ("dora", "auth_socket")] {
            let holder = grants.holders.get_mut(&name(user)).expect("an account");
            (holder.has_secret, holder.plugin) = (false, plugin.to_owned());
        }
        grants.add(&name("dora"), Ability::Grant, "CREATE USER".to_owned());
        let none = grants.resolve().into_iter().filter(|account| account.no_password);
        assert_eq!(none.map(|account| account.user).collect::<Vec<_>>(), ["anna"]);
    }
}
