// SPDX-License-Identifier: GPL-2.0-or-later
//! The accounts of a host, in the format of `/etc/passwd` and `getent`.

use std::path::PathBuf;

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// The id of its main group.
    pub gid: u32,
}

/// Finds the home directory of the account with this name in the lines of `/etc/passwd`.
pub fn home(passwd: &str, name: &str) -> Option<PathBuf> {
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.first() == Some(&name))?;
    fields.get(5).filter(|home| home.starts_with('/')).map(PathBuf::from)
}

/// Finds the account with this name in the lines of `/etc/passwd`.
pub fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let mut id = || fields.next()?.parse().ok();
        // Skip the password.
        id();
        Some(Account { name: name.to_owned(), uid: id()?, gid: id()? })
    })
}

/// Finds the name of the account with this user id.
pub fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let name = |line: &str| line.split(':').next().map(str::to_owned);
    passwd.lines().filter_map(name).find(|name| find(passwd, name).is_some_and(|account| account.uid == uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let text = "root:x:0:0:root:/root:/bin/bash\nmysqlx:x:7:8::/:\nmysql:x:101:102:MySQL Server,,,:/nonexistent:/bin/false\n";
        assert_eq!(find(text, "mysql").map(|a| (a.uid, a.gid)), Some((101, 102)));
        assert_eq!(find(text, "mysq"), None);
        assert_eq!(find("mysql:x:a:b\n", "mysql"), None);
        assert_eq!(name_of(text, 101).as_deref(), Some("mysql"));
        assert_eq!(name_of(text, 102), None);
        assert_eq!(home(text, "mysql"), Some("/nonexistent".into()));
        assert_eq!(home("mysql:x:1:2\n", "mysql"), None);
    }
}
