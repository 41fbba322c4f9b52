// SPDX-License-Identifier: GPL-2.0-or-later
//! The server's installation, on this host or in an image below a directory: where its parts are.

mod version;

use crate::error::{Error, Result};
use crate::host::accounts::{self, Account};
use crate::host::mounts::{self, Mount};
use crate::host::unit::Unit;
use crate::host::{Host, Way};
use crate::server::{OptionFiles, OptionLine};
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 5] = [
    "/usr/sbin/mysqld",
    "/usr/libexec/mysqld",
    "/usr/local/mysql/bin/mysqld",
    "/usr/local/sbin/mysqld",
    "/usr/bin/mysqld",
];
const PLUGIN_DIRS: [&str; 3] =
    ["/usr/lib/mysql/plugin", "/usr/lib64/mysql/plugin", "/usr/local/mysql/lib/plugin"];
/// Plugin directories below a base directory.
const BELOW_BASEDIR: [&str; 3] = ["lib/plugin", "lib/mysql/plugin", "lib64/mysql/plugin"];
const DATADIR: &str = "/var/lib/mysql";
/// Option files of a server, in MySQL's order. On Debian, the second one is a link to `DEBIAN_OPTION_FILE`.
const OPTION_FILES: [&str; 2] = ["/etc/my.cnf", "/etc/mysql/my.cnf"];
const DEBIAN_OPTION_FILE: &str = "/etc/mysql/mysql.cnf";
const OPTION_DIRS: [&str; 3] = ["/etc/mysql/mysql.conf.d", "/etc/mysql/conf.d", "/etc/my.cnf.d"];
const UNIT_DIRS: [&str; 4] =
    ["/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system"];
const UNITS: [&str; 2] = ["mysql.service", "mysqld.service"];

/// Where the server's parts are, if they are not where its packages install them.
#[derive(clap::Args, Clone, Default)]
#[group(id = "site")]
#[command(next_help_heading = "Installation of the server")]
pub(super) struct Args {
    /// Treat all paths as relative to this directory, such as the root of an image or container
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,
    /// mysqld program [default: where packages install it]
    #[arg(long, value_name = "PATH")]
    pub mysqld: Option<PathBuf>,
    /// Directory of plugins and components [default: from the option files, or where packages install them]
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
    /// Data directory [default: from the option files, or /var/lib/mysql]
    #[arg(long, value_name = "DIR")]
    pub datadir: Option<PathBuf>,
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

/// Where the server's parts are. Paths are those that mysqld sees; [`Site::at`] converts them for this process.
#[derive(Debug, Default)]
pub(super) struct Site {
    pub root: PathBuf,
    pub mysqld: PathBuf,
    pub version: Option<(u32, u32)>,
    pub plugin_dir: PathBuf,
    pub datadir: PathBuf,
    pub user: String,
    pub account: Option<Account>,
    pub unit_name: String,
    /// `None` if there is no such unit.
    pub unit: Option<Unit>,
    pub option_dir: PathBuf,
    /// The settings in the server's groups of its option files.
    pub options: OptionFiles,
    /// Why one of the option files was not read.
    pub option_error: Option<String>,
}

impl Args {
    /// Finds the parts of the installation.
    pub(super) fn look(&self) -> Result<Site> {
        let root = fs::canonicalize(&self.root).map_err(|e| Error::io("look at", &self.root, e))?;
        let mut site = Site { root, ..Site::default() };
        site.mysqld = match &self.mysqld {
            Some(path) => absolute(path)?,
            None => first(&site, &PROGRAMS),
        };
        (site.options, site.option_error) = self.options(&site)?;
        // Programs of an image are not run.
        site.version = if site.is_below() {
            version::packaged(&site.mysqld, |path| site.text(path).ok().flatten())
        } else {
            version::printed(&site.mysqld)
        };
        let setting = |flag: &Option<PathBuf>, name: &str, default: &Path| match flag {
            Some(path) => absolute(path),
            None => {
                let configured = site.option(name).and_then(|e| e.value.as_deref());
                Ok(tidy(configured.filter(|p| p.starts_with('/')).map_or(default, Path::new)))
            }
        };
        let plugin_dir = setting(&self.plugin_dir, "plugin-dir", &plugin_dir(&site))?;
        let datadir = setting(&self.datadir, "datadir", Path::new(DATADIR))?;
        (site.plugin_dir, site.datadir) = (plugin_dir, datadir);
        let names = self.unit.as_deref().map_or(UNITS.to_vec(), |name| vec![name]);
        let names =
            names.iter().map(|n| if n.contains('.') { (*n).to_owned() } else { format!("{n}.service") });
        let names: Vec<String> = names.collect();
        site.unit_name = names.first().cloned().unwrap_or_default();
        for name in names {
            if let Some(unit) = site.read_unit(&name)? {
                (site.unit_name, site.unit) = (name, Some(unit));
                break;
            }
        }
        site.user = self.mysqld_user.clone().unwrap_or_else(|| {
            let configured = site.option("user").and_then(|e| e.value.clone());
            let of_unit = site.unit.as_ref().and_then(|u| u.user().map(str::to_owned));
            of_unit.or(configured).unwrap_or_else(|| "mysql".to_owned())
        });
        site.account = site.account_of(&site.user);
        site.option_dir = first(&site, &OPTION_DIRS);
        Ok(site)
    }

    fn options(&self, site: &Site) -> Result<(OptionFiles, Option<String>)> {
        let mut all = OptionFiles::default();
        let mut error = None;
        let given = !self.option_files.is_empty();
        let files: Vec<PathBuf> = if given {
            self.option_files.iter().map(|f| absolute(f)).collect::<Result<_>>()?
        } else {
            OPTION_FILES.iter().map(PathBuf::from).collect()
        };
        for file in files {
            let mut path = site.at(&file);
            // An absolute link below a root would lead out of it.
            if file == Path::new(OPTION_FILES[1]) && site.is_below() && path.is_symlink() {
                path = site.at(Path::new(DEBIAN_OPTION_FILE));
            }
            match OptionFiles::read(&path, &site.root) {
                Ok(read) => {
                    all.entries.extend(read.entries.into_iter().filter(|e| is_servers(&e.group)));
                    all.files.extend(read.files);
                    all.ignored.extend(read.ignored);
                }
                Err(e) if !given && e.io_kind() == Some(io::ErrorKind::NotFound) => {}
                Err(e) => error = Some(e.to_string()),
            }
        }
        Ok((all, error))
    }
}

/// Whether a server reads this group: `[mysqld]`, `[server]`, or a group for one version.
fn is_servers(group: &str) -> bool {
    group == "server" || group == "mysqld" || group.starts_with("mysqld-")
}

impl Site {
    /// A path of the server, as this process sees it.
    pub(super) fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path of this process, as the server sees it.
    pub(super) fn seen(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_| path.to_owned(), |below| Path::new("/").join(below))
    }

    /// Whether this is an image below a directory, not the running system.
    pub(super) fn is_below(&self) -> bool {
        self.root != Path::new("/")
    }

    /// The last setting of an option, which is the effective one.
    pub(super) fn option(&self, name: &str) -> Option<&OptionLine> {
        self.options.entries.iter().rev().find(|e| e.name == name)
    }

    /// All settings of an option.
    pub(super) fn all_options<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a OptionLine> {
        self.options.entries.iter().filter(move |e| e.name == name)
    }

    /// This server with a keyring of default settings.
    pub(super) fn host(&self, way: Way, keyring: PathBuf, unlock: UnlockSource) -> Host {
        Host {
            way,
            keyring,
            mirrors: Vec::new(),
            min_copies: 1,
            wait: 0,
            allow_same_device: false,
            unlock,
            credential: None,
            mysqld: self.mysqld.clone(),
            plugin_dir: self.plugin_dir.clone(),
            datadir: self.datadir.clone(),
            unit: self.unit_name.clone(),
            option_dir: self.option_dir.clone(),
            local_manifest: false,
        }
    }

    /// The text of a file; `None` if it does not exist.
    pub(super) fn text(&self, path: &Path) -> Result<Option<String>> {
        let path = self.at(path);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(Error::io("read", &path, e)),
        }
    }

    fn account_of(&self, name: &str) -> Option<Account> {
        let passwd = fs::read_to_string(self.at(Path::new("/etc/passwd"))).unwrap_or_default();
        accounts::find(&passwd, name).or_else(|| {
            // Accounts may come from a directory service.
            let answer =
                (!self.is_below()).then(|| Command::new("getent").args(["passwd", name]).output())?.ok()?;
            accounts::find(&String::from_utf8_lossy(&answer.stdout), name)
        })
    }

    /// Reads a unit with its drop-ins.
    fn read_unit(&self, name: &str) -> Result<Option<Unit>> {
        let mut unit = None::<Unit>;
        // A unit in /etc replaces the package's.
        let file = UNIT_DIRS.iter().rev().map(|dir| Path::new(dir).join(name)).find(|f| self.at(f).exists());
        if let Some(file) = file {
            unit.get_or_insert_default().add(&self.text(&file)?.unwrap_or_default());
        }
        let mut drop_ins = Vec::new();
        for dir in UNIT_DIRS {
            let entries =
                fs::read_dir(self.at(&Path::new(dir).join(format!("{name}.d")))).into_iter().flatten();
            drop_ins.extend(
                entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "conf")),
            );
        }
        drop_ins.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        // The same directory under two names is read once.
        drop_ins.dedup_by_key(|path| fs::canonicalize(path).ok());
        for file in drop_ins {
            let text = fs::read_to_string(&file).map_err(|e| Error::io("read", &file, e))?;
            unit.get_or_insert_default().add(&text);
        }
        Ok(unit)
    }
}

/// The mounts below a directory, with paths relative to it.
pub(super) fn mounts_below(root: &Path) -> Vec<Mount> {
    mounts::mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), root)
}

/// The plugin directory of the packages, or of the base directory that the option files name.
fn plugin_dir(site: &Site) -> PathBuf {
    let basedir = site.option("basedir").and_then(|e| e.value.as_deref()).map(Path::new);
    let below = basedir.into_iter().flat_map(|base| BELOW_BASEDIR.map(|dir| base.join(dir)));
    below.into_iter().find(|dir| site.at(dir).is_dir()).unwrap_or_else(|| first(site, &PLUGIN_DIRS))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map(|p| tidy(&p)).map_err(|e| Error::io("look at", path, e))
}

/// Removes a slash at the end.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The first path that exists, or the first path.
fn first(site: &Site, paths: &[&str]) -> PathBuf {
    let existing = paths.iter().find(|p| site.at(Path::new(p)).exists());
    PathBuf::from(existing.or(paths.first()).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_below_a_root_is_run_to_learn_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let version = || Args { root: dir.path().into(), ..Args::default() }.look().unwrap().version;
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
        std::os::unix::fs::symlink("/etc/alternatives/my.cnf", dir.path().join("etc/mysql/my.cnf")).unwrap();
        write("usr/lib/systemd/system/mysqld.service", "[Service]\nUser=mysql\n");
        write("etc/systemd/system/mysqld.service.d/x.conf", "[Service]\nLimitMEMLOCK=1M\n");
        let site = Args { root: dir.path().into(), ..Args::default() }.look().unwrap();
        assert_eq!(site.datadir, Path::new("/srv/mysql"));
        assert_eq!(site.plugin_dir, Path::new("/opt/plugins"));
        assert_eq!(site.account.as_ref().map(|a| (a.uid, a.gid)), Some((101, 102)));
        assert_eq!(site.unit_name, "mysqld.service");
        assert_eq!(site.unit.as_ref().and_then(Unit::memlock), Some(Some(1 << 20)));
        assert_eq!(site.option_dir, Path::new("/etc/mysql/conf.d"));
        write("etc/mysql/conf.d/a.cnf", "[mysqld]\nbasedir=/srv/own\n");
        write("srv/own/lib/plugin/x.so", "");
        let own = Args { root: dir.path().into(), ..Args::default() }.look().unwrap();
        assert_eq!((own.plugin_dir, own.datadir), ("/srv/own/lib/plugin".into(), DATADIR.into()));
        assert_eq!(site.seen(&site.at(Path::new("/a"))), Path::new("/a"));
        let named = Args { root: dir.path().into(), unit: Some("mysql".to_owned()), ..Args::default() };
        let named = named.look().unwrap();
        assert!(named.unit_name == "mysql.service" && named.unit.is_none());
    }
}
