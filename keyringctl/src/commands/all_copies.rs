// SPDX-License-Identifier: GPL-2.0-or-later
//! A change of slots or of the data key must reach all copies in the configuration of the server on this host. A copy
//! that is left out keeps the old data key; if the server then continues with that copy, the copies diverge.

use super::apart::is_one_file;
use super::doctor::configured::{self, Configured};
use super::doctor::finding::{FindingLevel, Findings};
use super::site;
use crate::error::{Error, Result};
use crate::show::{self, Shown};
use std::path::{Path, PathBuf};

/// Findings after which it is not known which copies the server uses.
const UNCLEAR: [&str; 3] = ["manifest", "component-configuration", "plugin-options"];

/// Where to find the copies that have to be named.
#[derive(clap::Args, Clone)]
#[group(id = "all-copies")]
pub(super) struct Args {
    /// Change only the copies named here, even if the server's configuration names more. The others keep the old
    /// secrets and the old data key until they are brought up to date, at a start of the server or by keyringctl sync.
    /// If the server stores a key on them before that, the copies diverge
    #[arg(long)]
    only_named_copies: bool,
    #[command(flatten)]
    site: site::Args,
}

impl Args {
    /// Refuses a change of the copies at `paths` that leaves out other copies in the server's configuration.
    /// `command` is the command to repeat, such as `slot add`; `last` is its argument after the path.
    ///
    /// # Errors
    /// [`Error::Usage`] names the missing copies and the complete command.
    pub(super) fn check(&self, command: &str, paths: &[PathBuf], last: &str) -> Result<()> {
        if self.only_named_copies {
            return Ok(());
        }
        let Some(copies) = self.configured()? else { return Ok(()) };
        let missing = left_out(&copies, paths);
        if missing.is_empty() {
            return Ok(());
        }
        let shown: Vec<_> = missing.iter().map(|copy| copy.shown()).collect();
        let (first, others) = (paths.first(), paths.iter().skip(1).chain(missing.iter().copied()));
        let path = first.map(|path| path.shown()).unwrap_or_default();
        let mirrors: String = others.map(|path| format!(" --mirror {}", path.shown())).collect();
        let what = format!(
            "the server on this host is configured with more copies of this keyring than were named: {} would be left \
             out, and could diverge. Nothing was changed. Name all copies, also those whose volume is not mounted now \
             (they are brought up to date later), and repeat your other options: \
             keyringctl {command} {path}{last}{mirrors}",
            shown.join(", ")
        );
        let otherwise =
            "To leave copies out on purpose, add --only-named-copies; see --help for the consequences";
        Err(Error::Lines(vec![what, otherwise.to_owned()]))
    }

    /// The copies in the server's configuration, with paths as this process sees them. `None` if the server is not
    /// configured with a keyring of this project.
    fn configured(&self) -> Result<Option<Vec<PathBuf>>> {
        let asked = self.site.root != Path::new("/") || !self.site.option_files.is_empty();
        let site = match self.site.look() {
            Err(e) if !asked => {
                warn(&e.to_string());
                return Ok(None);
            }
            site => site?,
        };
        match &site.option_error {
            Some(why) if !self.site.option_files.is_empty() => return Err(Error::Usage(why.clone())),
            Some(why) => warn(why),
            None => {}
        }
        let mut found = Findings::default();
        let Some(Configured { host, .. }) = configured::find(&site, &mut found) else {
            let findings = found.all();
            let unclear: Vec<_> = findings
                .iter()
                .filter(|f| f.level == FindingLevel::Error && UNCLEAR.contains(&f.check))
                .collect();
            unclear.iter().for_each(|f| warn(&f.what));
            if unclear.is_empty() && site.option_error.is_none() {
                show::warn(
                    "not checked whether all copies were named: no server with this kind of keyring is configured on \
                     this host",
                );
            }
            return Ok(None);
        };
        Ok(Some(host.copies().map(|copy| site.at(copy)).collect()))
    }
}

fn warn(why: &str) {
    show::warn(format_args!(
        "not checked whether all copies were named, so name all of them with --mirror: {why}"
    ));
}

/// The configured copies that are not among `named`. None, if none of the configured copies is.
fn left_out<'a>(configured: &'a [PathBuf], named: &[PathBuf]) -> Vec<&'a PathBuf> {
    let is_named = |copy: &PathBuf| named.iter().any(|path| is_one_file(path, copy));
    if configured.iter().any(is_named) {
        configured.iter().filter(|c| !is_named(c)).collect()
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const MANIFEST: &str = r#"{"components": "file://component_keyring_external"}"#;

    /// A host whose server uses the copies /mnt/a/k and /mnt/b/k; the second is not mounted.
    fn host() -> tempfile::TempDir {
        let host = tempfile::tempdir().unwrap();
        let config = r#"{"path": "/mnt/a/k", "mirrors": ["/mnt/b/k"], "unlock": "file:/etc/secret"}"#;
        for (path, text) in [
            ("usr/sbin/mysqld", ""),
            ("usr/sbin/mysqld.my", MANIFEST),
            ("usr/lib/mysql/plugin/component_keyring_external.cnf", config),
            ("mnt/a/k", "a copy"),
        ] {
            let path = host.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        host
    }

    fn check(host: &Path, only_named_copies: bool, named: &[&str]) -> Result<()> {
        let site = site::Args { root: host.to_owned(), ..site::Args::default() };
        let named: Vec<_> = named.iter().map(|path| host.join(path)).collect();
        Args { only_named_copies, site }.check("slot remove", &named, " 3")
    }

    #[test]
    fn a_copy_that_the_server_uses_is_not_left_out() {
        let host = host();
        let (a, b) = (host.path().join("mnt/a/k"), host.path().join("mnt/b/k"));
        let refused = check(host.path(), false, &["mnt/a/k"]).unwrap_err().to_string();
        let command = format!("keyringctl slot remove {} 3 --mirror {}", a.display(), b.display());
        assert!(refused.contains(&command), "{refused}");
        let refused = check(host.path(), false, &["mnt/b/k"]).unwrap_err().to_string();
        assert!(refused.contains(&format!("{} 3 --mirror {}", b.display(), a.display())), "{refused}");
        symlink(host.path().join("mnt/a"), host.path().join("mnt/link")).unwrap();
        fs::hard_link(&a, host.path().join("other")).unwrap();
        for other_name in ["mnt/link/k", "other"] {
            assert!(check(host.path(), false, &[other_name]).is_err(), "{other_name}");
            check(host.path(), false, &[other_name, "mnt/b/k"]).unwrap();
        }
        check(host.path(), false, &["mnt/a/k", "mnt/b/k"]).unwrap();
        check(host.path(), false, &["mnt/b/k", "mnt/c/k", "mnt/a/k"]).unwrap();
        check(host.path(), true, &["mnt/a/k"]).unwrap();
    }

    #[test]
    fn a_keyring_that_the_server_does_not_use_may_have_any_copies() {
        let host = host();
        check(host.path(), false, &["mnt/c/k"]).unwrap();
        fs::remove_file(host.path().join("usr/sbin/mysqld.my")).unwrap();
        check(host.path(), false, &["mnt/a/k"]).unwrap();
        let options = "[mysqld]\nearly-plugin-load=keyring_external.so\nkeyring_external_data=/mnt/a/k\n\
             keyring_external_mirrors=/mnt/b/k\nkeyring_external_unlock=file:/etc/secret\n";
        fs::create_dir_all(host.path().join("etc")).unwrap();
        fs::write(host.path().join("etc/other.cnf"), options).unwrap();
        check(host.path(), false, &["mnt/a/k"]).unwrap();
        let site = |file: &str| site::Args {
            option_files: vec![Path::new("/").join(file)],
            root: host.path().to_owned(),
            ..site::Args::default()
        };
        let with = |file: &str| Args { only_named_copies: false, site: site(file) };
        let named = [host.path().join("mnt/a/k")];
        let refused = with("etc/other.cnf").check("rekey", &named, "").unwrap_err().to_string();
        assert!(refused.contains("mnt/b/k would be left out"), "{refused}");
        let refused = with("etc/none.cnf").check("rekey", &named, "").unwrap_err().to_string();
        assert!(refused.contains("none.cnf"), "{refused}");
    }
}
