// SPDX-License-Identifier: GPL-2.0-or-later
//! The server's installation, on this host or in an image below a directory: where its parts are.

mod command_line;
mod defaults;
mod parts;
mod persisted;
mod places;
pub(super) mod systemd;
mod units;
mod version;

pub(super) use parts::{OPTION_DIRS, OPTION_FILE, Site, mounts_below};

use crate::error::{Error, Result};
use defaults::Defaults;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const DATADIR: &str = "/var/lib/mysql";

/// Where the server's parts are, if they are not where its packages install them.
#[derive(clap::Args, Clone, Default)]
#[group(id = "site")]
#[command(next_help_heading = "Installation of the server")]
pub(super) struct Args {
    #[command(flatten)]
    pub parts: Parts,
    /// Data directory [default: from the option files, or /var/lib/mysql]
    #[arg(long, value_name = "DIR")]
    pub datadir: Option<PathBuf>,
}

/// The parts without the data directory, which some commands take for themselves.
#[derive(clap::Args, Clone, Default)]
#[group(id = "site-parts")]
#[command(next_help_heading = "Installation of the server")]
pub(super) struct Parts {
    /// Treat all paths as relative to this directory, such as the root of an image or container
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,
    /// mysqld program [default: where packages install it]
    #[arg(long, value_name = "PATH")]
    pub mysqld: Option<PathBuf>,
    /// Directory of plugins and components [default: from the option files, or where packages install them]
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
    /// Account that mysqld runs as [default: from the systemd unit or the option files, or mysql]
    #[arg(long, value_name = "NAME")]
    pub mysqld_user: Option<String>,
    /// systemd unit of mysqld [default: mysql.service or mysqld.service, whichever exists]
    #[arg(long, value_name = "NAME")]
    pub unit: Option<String>,
    /// Option file of the server, instead of those that it reads by default (repeatable)
    #[arg(long = "option-file", value_name = "FILE")]
    pub option_files: Vec<PathBuf>,
}

impl Parts {
    /// Whether any option says which server is meant.
    pub(super) fn is_given(&self) -> bool {
        let is_below = !self.root.as_os_str().is_empty() && self.root != Path::new("/");
        let parts = self.mysqld.is_some() || self.plugin_dir.is_some() || self.unit.is_some();
        is_below || parts || !self.option_files.is_empty()
    }
}

impl Site {
    /// This server as it will be when these option files, by their paths on it, have been written.
    pub(super) fn with_option_files(mut self, files: &[(&Path, &str)]) -> Site {
        let planned = files.iter().map(|(path, text)| (self.real(path), (*text).to_owned())).collect();
        let (options, error) = self.defaults.read_with(&self.root, self.version, &planned);
        self.options = options;
        self.option_error = error.map(|e| e.to_string());
        let persisted = persisted::options(&self);
        self.options.entries.extend(persisted);
        self
    }
}

impl Args {
    /// Finds the parts of the installation.
    pub(super) fn look(&self) -> Result<Site> {
        self.look_with(|site| {
            let named = self.parts.option_files.iter().map(|f| absolute(f)).collect::<Result<Vec<_>>>()?;
            command_line::defaults(site, named)
        })
    }

    /// Finds the parts, with the option files that a running mysqld reads, whatever unit or files are named.
    pub(super) fn look_at_process(&self, pid: u32) -> Result<Site> {
        self.look_with(|site| command_line::of_process(site, pid))
    }

    fn look_with(&self, defaults: impl FnOnce(&Site) -> Result<Defaults>) -> Result<Site> {
        let root =
            fs::canonicalize(&self.parts.root).map_err(|e| Error::io("look at", &self.parts.root, e))?;
        let mut site = Site { root, ..Site::default() };
        units::find(&mut site, self.parts.unit.as_deref())?;
        site.mysqld = match &self.parts.mysqld {
            Some(path) => absolute(path)?,
            None => places::mysqld(&site),
        };
        // Programs of an image are not run.
        site.version = if site.is_below() {
            version::packaged(&site.mysqld, |path| site.text(path).ok().flatten())
        } else {
            version::printed(&site.mysqld)
        };
        site.defaults = defaults(&site)?;
        let (options, error) = site.defaults.read(&site.root, site.version);
        site.options = options;
        let denied = error.as_ref().and_then(Error::io_kind) == Some(io::ErrorKind::PermissionDenied);
        (site.option_error, site.option_denied) = (error.map(|e| e.to_string()), denied);
        let setting = |flag: &Option<PathBuf>, name: &str, default: &Path| match flag {
            Some(path) => absolute(path),
            None => {
                let configured = site.option(name).and_then(|e| e.value.as_deref());
                Ok(tidy(configured.filter(|p| p.starts_with('/')).map_or(default, Path::new)))
            }
        };
        let plugin_dir = setting(&self.parts.plugin_dir, "plugin-dir", &places::plugin_dir(&site))?;
        let datadir = setting(&self.datadir, "datadir", Path::new(DATADIR))?;
        (site.plugin_dir, site.datadir) = (plugin_dir, datadir);
        let persisted = persisted::options(&site);
        site.options.entries.extend(persisted);
        site.user = self.parts.mysqld_user.clone().unwrap_or_else(|| {
            let configured = site.option("user").and_then(|e| e.value.clone());
            let of_unit = site.unit.as_ref().and_then(|u| u.user().map(str::to_owned));
            of_unit.or(configured).unwrap_or_else(|| "mysql".to_owned())
        });
        site.account = site.account_of(&site.user);
        Ok(site)
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map(|p| tidy(&p)).map_err(|e| Error::io("look at", path, e))
}

/// Removes a slash at the end.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::unit::Unit;

    fn args(root: &Path) -> Args {
        Args { parts: Parts { root: root.to_owned(), ..Parts::default() }, datadir: None }
    }

    #[test]
    fn nothing_below_a_root_is_run_to_learn_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let version = || args(dir.path()).look().unwrap().version;
        write("usr/sbin/mysqld", "");
        assert_eq!(version(), None, "nothing tells it");
        write(
            "var/lib/dpkg/status",
            "Package: mysql-server\nArchitecture: all\nVersion: 1:5.5.1\n\n\
             Package: ../mysql-server\nArchitecture: all\nVersion: 5.7.1\n\n\
             Package: mysql-server-core\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:9.7.4-2\n",
        );
        assert_eq!(version(), None, "no package has mysqld");
        write("var/lib/dpkg/mysql-server.list", "/usr/sbin/mysqld\n");
        write("var/lib/dpkg/info/mysql-server.list", "/.\n");
        write("var/lib/dpkg/info/mysql-server-core:amd64.list", "/.\n/usr/sbin\n/usr/sbin/mysqld\n");
        assert_eq!(version(), Some((9, 7)));
    }

    #[test]
    fn a_site_below_a_root_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("etc/passwd", "mysql:x:101:102::/:/bin/false\n");
        write("etc/mysql/mysql.cnf", "[client]\nport=1\n!includedir /etc/mysql/conf.d/\n");
        write("etc/mysql/conf.d/a.cnf", "[mysqld]\ndatadir=/srv/mysql/\nplugin_dir = /opt/plugins\n");
        let link =
            |target: &str, path: &str| std::os::unix::fs::symlink(target, dir.path().join(path)).unwrap();
        fs::create_dir(dir.path().join("etc/alternatives")).unwrap();
        link("/etc/alternatives/my.cnf", "etc/mysql/my.cnf");
        link("/etc/mysql/mysql.cnf", "etc/alternatives/my.cnf");
        write("usr/lib/systemd/system/mysqld.service", "[Service]\nUser=mysql\n");
        write("etc/systemd/system/mysqld.service.d/x.conf", "[Service]\nLimitMEMLOCK=1M\n");
        let site = args(dir.path()).look().unwrap();
        assert_eq!(site.datadir, Path::new("/srv/mysql"));
        assert_eq!(site.plugin_dir, Path::new("/opt/plugins"));
        assert_eq!(site.account.as_ref().map(|a| (a.uid, a.gid)), Some((101, 102)));
        assert_eq!(site.unit_name, "mysqld.service");
        assert_eq!(site.unit.as_ref().and_then(Unit::memlock), Some(Some(1 << 20)));
        assert_eq!(site.options.directories, [Path::new("/etc/mysql/conf.d")]);
        write("etc/mysql/conf.d/a.cnf", "[mysqld]\nbasedir=/srv/own\n");
        write("srv/own/lib/plugin/x.so", "");
        let own = args(dir.path()).look().unwrap();
        assert_eq!((own.plugin_dir, own.datadir), ("/srv/own/lib/plugin".into(), DATADIR.into()));
        assert_eq!(site.seen(&site.at(Path::new("/a"))), Path::new("/a"));
        let named =
            Args { parts: Parts { unit: Some("mysql".to_owned()), ..args(dir.path()).parts }, datadir: None };
        let named = named.look().unwrap();
        assert!(named.unit_name == "mysql.service" && named.unit.is_none());
    }
}
