// SPDX-License-Identifier: GPL-2.0-or-later
//! A directory with the paths of MySQL's official image, and containers of it: processes in a chroot there, in a mount
//! namespace of their own, that do what the image's entrypoint does.
//!
//! What is known of the image was read in its Dockerfile and entrypoint for 8.0, 8.4 and 9.7.

use super::dockerfile::Copied;
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use mysql_plugin_tests::rig::{Feature, Kind, needs, place, program, run, signal, told, wait_until};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The account `mysql` of the image, and its group.
pub(super) const MYSQL: u32 = 999;
const LIMIT: Duration = Duration::from_secs(120);
const DATADIR: &str = "/var/lib/mysql";
const SOCKET: &str = "/var/run/mysqld/mysqld.sock";
/// The log of a container is its standard error. Here it is a file.
const LOG: &str = "/var/run/mysqld/error.log";

/// Why there can be none here, when there can't.
pub fn why_not() -> Option<String> {
    // An installed server's libraries are all over the system.
    Kind::Ext4.why_not().or_else(|| {
        (!unpacked().join("usr/sbin/mysqld").exists() || unpacked() == Path::new("/"))
            .then(|| "needs the unpacked MySQL server".to_owned())
    })
}

/// Where the test server was unpacked.
fn unpacked() -> PathBuf {
    place().basedir.parent().unwrap_or(Path::new("/")).to_owned()
}

/// The root directory of an image.
pub(super) struct Image {
    root: TempDir,
}

impl Image {
    /// The official image.
    pub fn official() -> Image {
        needs(Feature::Library("keyring_udf.so"));
        let image = Image::empty();
        for dir in ["usr/sbin", "usr/lib64/mysql/plugin", "etc/mysql/conf.d", "docker-entrypoint-initdb.d"] {
            fs::create_dir_all(image.at(dir)).unwrap();
        }
        for dir in ["var/lib/mysql", "run/mysqld", "var/lib/mysql-files"] {
            fs::create_dir_all(image.at(dir)).unwrap();
            own(&image.at(dir));
        }
        symlink("../run", image.at("var/run")).unwrap();
        fs::write(image.at("etc/my.cnf"), options()).unwrap();
        fs::copy(&place().mysqld, image.at("usr/sbin/mysqld")).unwrap();
        let udf = fs::canonicalize(place().plugins.join("keyring_udf.so")).unwrap();
        fs::copy(udf, image.at("usr/lib64/mysql/plugin/keyring_udf.so")).unwrap();
        image
    }

    /// An image with programs for a shell script.
    pub fn with_shell() -> Image {
        let image = Image::empty();
        let programs = ["/usr/bin/install", "/bin/mkdir", "/bin/chmod", "/usr/bin/dirname", "/bin/sleep"];
        image.programs(&["/bin/sh"]);
        image.programs(&programs);
        image
    }

    fn empty() -> Image {
        let root = tempfile::Builder::new().prefix("i").tempdir_in(&place().run).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let image = Image { root };
        for dir in ["tmp", "dev", "etc", "usr/bin", "usr/lib", "usr/lib64"] {
            fs::create_dir_all(image.at(dir)).unwrap();
        }
        fs::set_permissions(image.at("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        for dir in ["bin", "lib", "lib64"] {
            symlink(format!("usr/{dir}"), image.at(dir)).unwrap();
        }
        let account = |file: &str, line: String| fs::write(image.at(file), line).unwrap();
        account(
            "etc/passwd",
            format!("root:x:0:0::/:/bin/sh\nmysql:x:{MYSQL}:{MYSQL}::{DATADIR}:/bin/false\n"),
        );
        account("etc/group", format!("root:x:0:\nmysql:x:{MYSQL}:\n"));
        image
    }

    /// With the files that a stage of the Dockerfile copies.
    pub fn with(self, files: &[Copied]) -> Image {
        for file in files {
            let to = self.at(&file.target);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file.source, &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(file.mode)).unwrap();
            if file.target.ends_with("/keyringctl") {
                self.libraries(&file.source);
            }
        }
        self
    }

    /// A path in it.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn programs(&self, programs: &[&str]) {
        for program in programs {
            let program = Path::new(program);
            fs::copy(program, self.at("usr/bin").join(program.file_name().unwrap())).unwrap();
            self.libraries(program);
        }
    }

    /// The libraries of a program of this machine, at their own paths.
    pub fn libraries(&self, program: &Path) {
        let listed = run(Command::new("ldd").arg(program));
        for word in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = self.at(word);
            if !to.exists() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(word, to).unwrap();
            }
        }
    }
}

fn own(path: &Path) {
    std::os::unix::fs::chown(path, Some(MYSQL), Some(MYSQL)).unwrap();
}

/// The image's /etc/my.cnf; then what makes a server quick, and what differs in the test server: where its plugins
/// and messages are.
fn options() -> String {
    format!(
        "[mysqld]\ndatadir={DATADIR}\nsocket={SOCKET}\nsecure-file-priv=/var/lib/mysql-files\nuser=mysql\n\
         pid-file=/var/run/mysqld/mysqld.pid\n\
         plugin-dir=/usr/lib64/mysql/plugin\nlc-messages-dir={}\nlog-error={LOG}\nskip-networking\nmysqlx=OFF\n\
         loose-innodb-redo-log-capacity=8M\ninnodb-buffer-pool-size=32M\ninnodb-flush-method=nosync\ninnodb-use-native-aio=OFF\n\
         [client]\nsocket={SOCKET}\n!includedir /etc/mysql/conf.d/\n",
        place().sharedir.display()
    )
}

/// A file or directory of the host that a container sees.
#[derive(Clone, Debug)]
pub(super) struct Mount {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
}

/// A container of an image.
pub(super) struct Container<'a> {
    pub image: &'a Image,
    pub mounts: Vec<Mount>,
    /// The user that its programs run as. `None`: root, and the entrypoint changes to `mysql`.
    pub user: Option<u32>,
    pub read_only_root: bool,
}

impl Container<'_> {
    /// A program in it. Mounts of the host below a mounted directory come and go in the container too.
    pub fn command(&self, user: Option<u32>, program: &str, args: &[&str]) -> Command {
        let root = self.image.root.path().display();
        let mut script = format!("mount --rbind {root} {root}\n");
        let programs = unpacked();
        let mut bind = |source: &Path, target: &str, read_only: bool| {
            let to = self.image.at(target);
            if source.is_dir() {
                fs::create_dir_all(&to).unwrap();
            } else if !to.exists() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::write(&to, "").unwrap();
            }
            script += &format!("mount --rbind {} {}\n", source.display(), to.display());
            if read_only {
                script += &format!("mount -o remount,bind,ro {}\n", to.display());
            }
        };
        bind(Path::new("/dev"), "/dev", false);
        bind(Path::new("/proc"), "/proc", false);
        for mount in &self.mounts {
            bind(&mount.source, &mount.target, mount.read_only);
        }
        // Last, because what is mounted on /tmp would hide the programs of a checkout there.
        let to = self.image.at(programs.to_str().unwrap());
        fs::create_dir_all(&to).unwrap();
        let (from, to) = (programs.display(), to.display());
        script += &format!("mkdir -p {to}\nmount --rbind {from} {to}\nmount -o remount,bind,ro {to}\n");
        if self.read_only_root {
            script += &format!("mount -o remount,bind,ro {root}\n");
        }
        let user = user.map(|id| format!("--userspec={id}:{id} --groups={id}")).unwrap_or_default();
        script += &format!("exec env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin chroot {user} {root} \"$@\"");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "slave", "--", "/bin/sh", "-ec", &script, "sh", program])
            .args(args);
        command.stdin(Stdio::null());
        command
    }

    fn output(&self, user: Option<u32>, program: &str, args: &[&str]) -> Output {
        self.command(user, program, args).output().unwrap()
    }

    /// Runs a program in it that must succeed, as its user or as `mysql`.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        run(&mut self.command(self.user.or(Some(MYSQL)), program, args))
    }

    /// What a program in it says that must fail.
    pub fn refusal(&self, program: &str, args: &[&str]) -> String {
        let output = self.output(self.user.or(Some(MYSQL)), program, args);
        assert!(!output.status.success(), "{program} {args:?}: {}", told(&output));
        told(&output)
    }

    /// The path on the host of a path in it.
    fn on_host(&self, path: &str) -> PathBuf {
        let path = path.replace("/var/run/", "/run/");
        let mut inner = self.mounts.iter().filter_map(|mount| {
            let target = mount.target.replace("/var/run/", "/run/");
            let rest = Path::new(&path).strip_prefix(target).ok()?.to_owned();
            Some(if rest.as_os_str().is_empty() { mount.source.clone() } else { mount.source.join(rest) })
        });
        inner.next_back().unwrap_or_else(|| self.image.at(&path))
    }

    /// What its servers wrote to their log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.on_host(LOG)).unwrap_or_default()
    }

    /// Does what the image's entrypoint does, and returns the server that it ends in.
    pub fn start(&self) -> Result<Running<'_>, String> {
        self.check(self.user)?;
        if self.user.is_none() {
            // All that is not mysql's in these directories becomes mysql's. Then the script runs again, as mysql.
            for dir in [DATADIR, "/var/run/mysqld", "/var/lib/mysql-files"] {
                run(Command::new("find")
                    .arg(self.on_host(dir))
                    .args(["!", "-user", "999", "-exec", "chown", "-h", "999", "{}", "+"]));
            }
            self.check(Some(MYSQL))?;
        }
        let user = Some(MYSQL);
        if !self.on_host(DATADIR).join("mysql").exists() {
            let zone = "--default-time-zone=SYSTEM";
            let made = self.output(user, "mysqld", &["--initialize-insecure", zone]);
            if !made.status.success() {
                return Err(format!("--initialize-insecure: {}\n{}", told(&made), self.log()));
            }
            let socket = format!("--socket={SOCKET}");
            let begun = self.output(user, "mysqld", &["--daemonize", "--skip-networking", zone, &socket]);
            if !begun.status.success() {
                return Err(format!("the temporary server: {}\n{}", told(&begun), self.log()));
            }
            let temporary = Running { container: self, child: None };
            self.scripts(&temporary);
            temporary.shut_down();
        }
        let child =
            self.command(user, "mysqld", &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Running { container: self, child: Some(child) };
        let mut ended = false;
        wait_until(LIMIT, || {
            ended = server.child.as_mut().unwrap().try_wait().unwrap().is_some();
            ended || server.connect().is_ok()
        });
        if ended || server.connect().is_err() {
            return Err(format!("the server did not start:\n{}", self.log()));
        }
        Ok(server)
    }

    /// mysqld prints its settings, from which the entrypoint takes where its directories are.
    fn check(&self, user: Option<u32>) -> Result<(), String> {
        let told_options = self.output(user, "mysqld", &["--verbose", "--help", "--log-bin-index=/tmp/none"]);
        if !told_options.status.success() {
            return Err(format!("--verbose --help: {}", told(&told_options)));
        }
        let text = String::from_utf8_lossy(&told_options.stdout);
        let setting = |name| text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        assert_eq!((setting("datadir "), setting("socket ")), (Some("/var/lib/mysql/"), Some(SOCKET)));
        Ok(())
    }

    /// Runs the scripts of the first start.
    fn scripts(&self, server: &Running<'_>) {
        let dir = "/docker-entrypoint-initdb.d";
        let mounted = self.mounts.iter().filter(|m| m.target.starts_with(dir)).map(|m| m.source.clone());
        let own = fs::read_dir(self.image.at(dir)).unwrap().map(|entry| entry.unwrap().path());
        for script in own.chain(mounted) {
            let text = fs::read_to_string(&script).unwrap();
            let text: Vec<_> = text.lines().filter(|line| !line.starts_with("--")).collect();
            for statement in text.join("\n").split(';').map(str::trim).filter(|s| !s.is_empty()) {
                server.sql(statement);
            }
        }
    }
}

/// A server in a container. It never outlives its value.
pub(super) struct Running<'a> {
    container: &'a Container<'a>,
    /// `None`: a daemon.
    child: Option<Child>,
}

impl Running<'_> {
    pub fn connect(&self) -> mysql::Result<Conn> {
        let socket = self.container.on_host(SOCKET).display().to_string();
        Conn::new(OptsBuilder::new().socket(Some(socket)).user(Some("root")))
    }

    pub fn sql(&self, statement: &str) {
        let done = self.connect().and_then(|mut conn| conn.query_drop(statement));
        done.unwrap_or_else(|e| panic!("{statement}: {e}\n{}", self.container.log()));
    }

    /// The one text that a query answers.
    pub fn value(&self, query: &str) -> String {
        let answer = self.connect().and_then(|mut conn| conn.query_first(query));
        answer.unwrap_or_else(|e| panic!("{query}: {e}")).unwrap_or_else(|| panic!("{query}: no row"))
    }

    /// Waits until a query answers that.
    pub fn comes_to(&self, query: &str, expected: &str) {
        let came = wait_until(LIMIT, || self.value(query) == expected);
        assert!(came, "{query}: {}, not {expected}\n{}", self.value(query), self.container.log());
    }

    /// Shuts it down as mysqladmin does for the entrypoint.
    pub fn shut_down(mut self) {
        let pid = self.pid();
        let mut admin = Command::new(program("mysqladmin"));
        admin.args(["--no-defaults", "-uroot", "shutdown"]);
        run(admin.arg(format!("--socket={}", self.container.on_host(SOCKET).display())));
        let ended = wait_until(LIMIT, || match &mut self.child {
            Some(child) => child.try_wait().unwrap().is_some(),
            None => pid.is_none_or(|pid| !is_running(pid)),
        });
        assert!(ended, "the server did not shut down:\n{}", self.container.log());
    }

    fn pid(&self) -> Option<u32> {
        let file = self.container.on_host("/var/run/mysqld/mysqld.pid");
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }
}

fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.split_once(" (mysqld) ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        match &mut self.child {
            Some(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            None => {
                if let Some(pid) = self.pid().filter(|pid| is_running(*pid)) {
                    signal(pid, Signal::KILL);
                }
            }
        }
    }
}

/// Who owns a file, and its mode.
pub(super) fn owner_and_mode(path: &Path) -> (u32, u32) {
    let meta = fs::metadata(path).unwrap();
    (meta.uid(), meta.mode() & 0o7777)
}
