// SPDX-License-Identifier: GPL-2.0-or-later
//! A host in a directory: a mysqld of its own, an account for it, volumes, and a server in it under strace.

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use mysql_plugin_tests::rig::{Feature, Kind, Volume, needs, place, run, told, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The id of the account `mysql` there.
const USER: u32 = 4242;
const LIMIT: Duration = Duration::from_secs(60);

/// Why there can be none here, when there can't.
pub fn why_not() -> Option<String> {
    if let Some(why) = Kind::Ext4.why_not() {
        return Some(why);
    }
    let strace = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    match strace {
        Ok(output) if output.status.success() => {}
        Ok(output) => return Some(format!("strace does not work here: {}", told(&output))),
        Err(e) => return Some(format!("needs strace: {e}")),
    }
    // An installed server's libraries are all over the system.
    (!unpacked().join("usr/sbin/mysqld").exists() || unpacked() == Path::new("/"))
        .then(|| "needs the unpacked MySQL server".to_owned())
}

/// Where the test server was unpacked.
fn unpacked() -> PathBuf {
    place().basedir.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Where packages put a server's option files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A main file that includes a directory.
    Debian,
    /// `/etc/my.cnf`, which includes nothing, beside an empty directory for option files.
    OracleRpm,
}

/// The host.
pub struct Guest {
    root: TempDir,
    /// What is mounted there, in that order.
    mounts: Vec<PathBuf>,
    _volumes: [Volume; 2],
}

impl Guest {
    /// A host with that AppArmor profile, an initialised server and two mounted volumes, and without a keyring.
    pub fn new(profile: &str, layout: Layout) -> Guest {
        needs(Feature::Library("keyring_udf.so"));
        let root = tempfile::Builder::new().prefix("g").tempdir_in(&place().run).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut guest = Guest { root, mounts: Vec::new(), _volumes: [Volume::ext4(), Volume::ext4()] };
        for dir in
            ["tmp", "run/mysqld", "var/log/mysql", "var/lib", "etc/systemd/system", "etc/apparmor.d/local"]
        {
            fs::create_dir_all(guest.at(dir)).unwrap();
        }
        guest.write(
            "etc/passwd",
            &format!("root:x:0:0::/:/bin/sh\nmysql:x:{USER}:{USER}::/nonexistent:/bin/false\n"),
        );
        guest.write("etc/group", &format!("root:x:0:\nmysql:x:{USER}:\n"));
        guest.write(
            "etc/fstab",
            "UUID=1 /mnt/a ext4 nofail,nodev,nosuid,noexec 0 2\nUUID=2 /mnt/b ext4 nofail 0 2\n",
        );
        guest.write("etc/apparmor.d/usr.sbin.mysqld", profile);
        guest.write(
            "usr/lib/systemd/system/mysql.service",
            "[Service]\nUser=mysql\nExecStart=/usr/sbin/mysqld\n",
        );
        match layout {
            Layout::Debian => {
                guest.write("etc/mysql/mysql.cnf", "!includedir /etc/mysql/mysql.conf.d/\n");
                std::os::unix::fs::symlink("/etc/mysql/mysql.cnf", guest.at("etc/mysql/my.cnf")).unwrap();
                guest.write("etc/mysql/mysql.conf.d/mysqld.cnf", &options());
            }
            Layout::OracleRpm => {
                fs::create_dir_all(guest.at("etc/my.cnf.d")).unwrap();
                guest.write("etc/my.cnf", &options());
            }
        }
        guest.programs();
        guest.mount(&unpacked(), unpacked().strip_prefix("/").unwrap().to_str().unwrap(), "ro");
        for (i, point) in ["mnt/a", "mnt/b"].into_iter().enumerate() {
            let source = guest._volumes[i].mount_point();
            guest.mount(&source, point, "nodev,nosuid,noexec");
            // As mkfs leaves it.
            fs::set_permissions(guest.at(point), fs::Permissions::from_mode(0o755)).unwrap();
        }
        place().new_datadir(&guest.at("var/lib/mysql"));
        let owned = ["var/lib/mysql", "run/mysqld", "var/log/mysql"].map(|dir| guest.at(dir));
        let owner = format!("{USER}:{USER}");
        run(Command::new("chown").args(["-R", &owner]).args(owned));
        // Alone: the programs may be mounted below it.
        run(Command::new("chown").arg(&owner).arg(guest.at("tmp")));
        guest
    }

    fn programs(&self) {
        let copy = |from: &Path, to: &str| {
            let to = self.at(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        };
        copy(&place().mysqld, "usr/sbin/mysqld");
        for library in ["keyring_external.so", "component_keyring_external.so", "keyring_udf.so"] {
            let to = format!("usr/lib/mysql/plugin/{library}");
            copy(&fs::canonicalize(place().plugins.join(library)).unwrap(), &to);
            fs::set_permissions(self.at(&to), fs::Permissions::from_mode(0o644)).unwrap();
        }
    }

    /// Shows a directory at another place too.
    fn mount(&mut self, source: &Path, point: &str, options: &str) {
        let point = self.at(point);
        fs::create_dir_all(&point).unwrap();
        run(Command::new("mount").arg("--bind").arg(source).arg(&point));
        self.mounts.push(point.clone());
        run(Command::new("mount").args(["-o", &format!("remount,bind,{options}")]).arg(&point));
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A path in it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// All files in it, with their modes and sizes; the unpacked server is left out.
    pub fn files(&self) -> BTreeMap<PathBuf, (u32, u64)> {
        let mut all = BTreeMap::new();
        let mut open = vec![self.root.path().to_owned()];
        let left_out = self.mounts.first().cloned();
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                if Some(&path) == left_out.as_ref() {
                    continue;
                }
                if meta.is_dir() {
                    open.push(path.clone());
                }
                all.insert(path, (meta.mode(), if meta.is_dir() { 0 } else { meta.len() }));
            }
        }
        all
    }

    /// Runs a command of `keyringctl` on it: its exit code and its report.
    pub fn ctl(&self, command: &str, args: &[&str]) -> (i32, Value) {
        let output = Command::new(&place().keyringctl)
            .args(["--json", command, "--root"])
            .arg(self.root.path())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let report =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
        (output.status.code().unwrap(), report)
    }

    fn mysqld(&self, mut command: Command) -> Command {
        command
            .arg("chroot")
            .arg(format!("--userspec={USER}:{USER}"))
            .arg(self.root.path())
            .arg("/usr/sbin/mysqld");
        command
    }

    /// mysqld prints its settings without a complaint, as root, and leaves nothing that is root's.
    pub fn mysqld_tells_its_options(&self) {
        let told_options = run(Command::new("chroot").arg(self.root.path()).args([
            "/usr/sbin/mysqld",
            "--verbose",
            "--help",
        ]));
        assert!(told_options.contains("innodb-redo-log-encrypt"), "{told_options}");
        for dir in ["mnt/a/keys", "mnt/b/keys", "var/lib/mysql"] {
            for entry in fs::read_dir(self.at(dir)).unwrap() {
                let path = entry.unwrap().path();
                assert_eq!(fs::metadata(&path).unwrap().uid(), USER, "{}", path.display());
            }
        }
    }

    /// The options that mysqld reads there, as it prints them.
    pub fn print_defaults(&self) -> String {
        run(Command::new("chroot").arg(self.root.path()).args(["/usr/sbin/mysqld", "--print-defaults"]))
    }

    pub fn socket(&self) -> PathBuf {
        self.at("run/mysqld/mysqld.sock")
    }

    /// What strace wrote.
    pub fn trace(&self) -> String {
        let file = self.root.path().with_extension("trace");
        let ended = wait_until(LIMIT, || {
            // The tracer outlives mysqld by a little.
            fs::read_to_string(&file)
                .is_ok_and(|t| t.lines().last().is_some_and(|l| l.contains("+++ exited")))
        });
        assert!(ended, "strace has not ended");
        let text = fs::read_to_string(&file).unwrap();
        text.replace(&self.root.path().display().to_string(), "")
    }

    /// Starts its server under strace.
    pub fn start(&self) -> GuestServer {
        let mut strace = Command::new("strace");
        // The tracer as a grandchild: the child is mysqld itself.
        strace.args([
            "-D",
            "-f",
            "-y",
            "-s",
            "4096",
            "-e",
            "trace=/^(open|openat|creat|rename|renameat2?|unlink|unlinkat|flock)$",
            "-o",
        ]);
        strace.arg(self.root.path().with_extension("trace"));
        let child = self
            .mysqld(strace)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server =
            GuestServer { child, socket: self.socket(), log: self.at("var/log/mysql/error.log") };
        let ready =
            wait_until(LIMIT, || server.connect().is_ok() || server.child.try_wait().unwrap().is_some());
        assert!(ready && server.connect().is_ok(), "the server did not start:\n{}", server.log());
        server
    }
}

/// Nothing may be left mounted when the directory is removed.
impl Drop for Guest {
    fn drop(&mut self) {
        for point in self.mounts.iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(point).status();
        }
    }
}

/// Where all is, and what makes it quick.
fn options() -> String {
    format!(
        "[mysqld]\nuser=mysql\nlc-messages-dir={}\nplugin-dir=/usr/lib/mysql/plugin\ndatadir=/var/lib/mysql\ntmpdir=/tmp\n\
         socket=/run/mysqld/mysqld.sock\npid-file=/run/mysqld/mysqld.pid\nlog-error=/var/log/mysql/error.log\n\
         skip-networking\nmysqlx=OFF\nsecure-file-priv=NULL\nloose-innodb-redo-log-capacity=8M\ninnodb-buffer-pool-size=32M\n\
         innodb-flush-method=nosync\ninnodb-use-native-aio=OFF\n",
        place().sharedir.display()
    )
}

/// The server in the host. It never outlives its value.
pub struct GuestServer {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl GuestServer {
    fn connect(&self) -> mysql::Result<Conn> {
        Conn::new(OptsBuilder::new().socket(Some(self.socket.display().to_string())).user(Some("root")))
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Carries out a statement.
    pub fn sql(&self, statement: &str) {
        self.connect()
            .unwrap()
            .query_drop(statement)
            .unwrap_or_else(|e| panic!("{statement}: {e}\n{}", self.log()));
    }

    /// The one text that a query answers.
    pub fn value(&self, query: &str) -> String {
        let answer = self.connect().unwrap().query_first(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        answer.unwrap_or_else(|| panic!("{query}: no row\n{}", self.log()))
    }

    /// Shuts it down.
    pub fn stop(mut self) {
        let _ = kill_process(Pid::from_raw(self.child.id() as i32).unwrap(), Signal::TERM);
        let mut status = None;
        wait_until(LIMIT, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(
            status.is_some_and(|s| s.success()),
            "the server did not shut down: {status:?}\n{}",
            self.log()
        );
    }
}

impl Drop for GuestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
