// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the server under test, the built library and the run's own files are.
//!
//! Settings: KX_MYSQL_ENV (default target/mysql/env), KX_LIBRARY_DIR (default target/release).

use super::programs::{run, told};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where everything is.
pub struct Place {
    pub mysqld: PathBuf,
    pub basedir: PathBuf,
    pub sharedir: PathBuf,
    pub version: String,
    pub keyringctl: PathBuf,
    /// The server's own plugins, and ours under its two names.
    pub plugins: PathBuf,
    /// The directory of this run. It is short: a socket's path has at most 107 bytes.
    pub run: PathBuf,
    /// What the file of get-mysql.sh says.
    named: Vec<(String, PathBuf)>,
}

static PLACE: OnceLock<Place> = OnceLock::new();

/// Where everything is. [`set_up`] came first.
pub fn place() -> &'static Place {
    PLACE.get().expect("set_up comes first")
}

/// Finds the server and the library, and prepares the run's directory.
pub fn set_up(run_dir: &Path) -> Result<(), String> {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package of the workspace");
    let env_file = setting("KX_MYSQL_ENV", repo.join("target/mysql/env"));
    let text = fs::read_to_string(&env_file).map_err(|e| {
        format!(
            "no MySQL server for the tests: {}: {e}. Run mysql-plugin-tests/get-mysql.sh",
            env_file.display()
        )
    })?;
    let env: HashMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let named = |key| match env.get(key) {
        Some(&value) if !value.is_empty() => Ok(PathBuf::from(value)),
        _ => Err(format!("{} names no {key}", env_file.display())),
    };
    let built = setting("KX_LIBRARY_DIR", repo.join("target/release"));
    let library = needed(built.join("libkeyring_external.so"))?;
    let place = Place {
        mysqld: needed(named("MYSQLD")?)?,
        basedir: named("MYSQL_BASEDIR")?,
        sharedir: named("MYSQL_SHAREDIR")?,
        version: named("MYSQL_VERSION")?.display().to_string(),
        keyringctl: needed(built.join("keyringctl"))?,
        plugins: run_dir.join("plugins"),
        run: run_dir.to_owned(),
        named: env.iter().map(|(&key, &path)| (key.to_owned(), path.into())).collect(),
    };
    make_plugins(&place.plugins, &named("MYSQL_PLUGIN_DIR")?, &library)
        .map_err(|e| format!("cannot make {}: {e}", place.plugins.display()))?;
    let _ = PLACE.set(place);
    Ok(())
}

fn setting(name: &str, default: PathBuf) -> PathBuf {
    std::env::var_os(name).map_or(default, PathBuf::from)
}

fn needed(path: PathBuf) -> Result<PathBuf, String> {
    match fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(e) => Err(format!(
            "{}: {e}. The tests run what was built for release: cargo build --release (KX_LIBRARY_DIR says where)",
            path.display()
        )),
    }
}

/// Links to the server's own plugins, copies of ours: a link would share one library's statics.
fn make_plugins(plugins: &Path, stock: &Path, library: &Path) -> std::io::Result<()> {
    fs::create_dir(plugins)?;
    for entry in fs::read_dir(stock)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_string_lossy().contains("keyring_external") {
            symlink(entry.path(), plugins.join(&name))?;
        }
    }
    for name in ["keyring_external.so", "component_keyring_external.so"] {
        fs::copy(library, plugins.join(name))?;
    }
    // Oracle's component, the reference, is configured in each data directory.
    fs::write(plugins.join("component_keyring_file.cnf"), r#"{ "read_local_config": true }"#)
}

impl Place {
    /// A fresh data directory at `to`: one is initialised per run, and copied.
    pub fn new_datadir(&self, to: &Path) {
        static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let template = self.run.join("template");
            let log = self.run.join("template.err");
            let mut mysqld = self.command(&self.mysqld, &template, &log);
            let output = mysqld.arg("--initialize-insecure").output().expect("mysqld runs");
            let log = fs::read_to_string(&log).unwrap_or_default();
            assert!(output.status.success(), "mysqld --initialize failed: {}\n{log}", told(&output));
            // Every server makes an identity of its own.
            fs::remove_file(template.join("auto.cnf")).unwrap();
            template
        });
        run(Command::new("cp").args(["-a", "--sparse=always"]).args([template, to]));
    }

    /// Whether the files of a run that failed are kept for people.
    pub fn keeps_data(&self) -> bool {
        std::env::var_os("KX_KEEP_DATA").is_some()
    }

    /// Whether mysqld takes an option, which is written without `--`. It is asked once.
    pub fn takes(&self, option: &str) -> bool {
        static OPTIONS: OnceLock<BTreeSet<String>> = OnceLock::new();
        let options = OPTIONS.get_or_init(|| {
            let mut mysqld = Command::new(&self.mysqld);
            mysqld.arg("--no-defaults").current_dir(&self.run);
            if rustix::process::geteuid().is_root() {
                mysqld.arg("--user=root");
            }
            options_in(&run(mysqld.args(["--verbose", "--help"])))
        });
        options.contains(option)
    }

    /// The directory of MySQL's test suite; it need not exist.
    pub fn test_suite(&self) -> PathBuf {
        let named = self.named.iter().find(|(key, _)| key == "MTR_DIR").map(|(_, dir)| dir.clone());
        named.filter(|dir| dir.is_dir()).unwrap_or_else(|| self.basedir.join("lib/mysql-test"))
    }

    /// A program that the server came with: get-mysql.sh names it by its name in capitals.
    pub(super) fn find_program(&self, name: &str) -> Option<PathBuf> {
        let key = name.to_ascii_uppercase();
        self.named.iter().find(|(k, path)| *k == key && path.exists()).map(|(_, path)| path.clone())
    }

    /// The options that every mysqld here gets. What makes a server's own writes durable is off: the
    /// data directory's filesystem never loses its power, and killing a process loses nothing.
    pub fn command(&self, mysqld: &Path, datadir: &Path, log: &Path) -> Command {
        let mut command = dying_with_us(mysqld);
        command.arg("--no-defaults");
        if rustix::process::geteuid().is_root() {
            command.arg("--user=root");
        }
        for (option, path) in [
            ("datadir", datadir),
            ("log-error", log),
            ("basedir", &self.basedir),
            ("lc-messages-dir", &self.sharedir),
            ("plugin-dir", &self.plugins),
        ] {
            command.arg(format!("--{option}={}", path.display()));
        }
        command.args([
            "--secure-file-priv=NULL",
            "--skip-networking",
            "--mysqlx=OFF",
            // Loose: 8.0 has it from 8.0.30 on.
            "--loose-innodb-redo-log-capacity=8M",
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-method=nosync",
            "--innodb-doublewrite=OFF",
            "--innodb-use-native-aio=OFF",
            "--sync-binlog=0",
            "--log-error-verbosity=3",
        ]);
        command
    }
}

/// The options in the text that `mysqld --verbose --help` prints, without `--`.
fn options_in(help: &str) -> BTreeSet<String> {
    let words = help.lines().filter_map(|line| line.split_whitespace().find(|w| w.starts_with("--")));
    let names = words.map(|word| word[2..].split(|c: char| c != '-' && !c.is_ascii_alphanumeric()).next());
    names.flatten().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A command that the kernel kills when this process dies before it could.
pub(super) fn dying_with_us(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if setpriv.exists() {
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}
