// SPDX-License-Identifier: GPL-2.0-or-later
//! SELinux: the type that each of a keyring's files must have, the commands that set it, and which types the policies of
//! distributions let mysqld use.

use super::needs::Need;
use super::{Host, Way, manifest_of};
use crate::show::Shown;
use keyring_external::config::file::file_in;
use keyring_external::store::file::volume::directory_of;
use keyring_external::unlock::UnlockSource;
use std::path::{Path, PathBuf};

/// The domain that mysqld runs in, and the type of its program, which makes systemd start it there.
pub const DOMAIN: &str = "mysqld_t";
/// The type of the mysqld program.
pub const PROGRAM: &str = "mysqld_exec_t";
/// The type of files that only mysqld reads and writes.
pub const DATA: &str = "mysqld_db_t";
/// The type of mysqld's configuration.
const SETTINGS: &str = "mysqld_etc_t";
const LIBRARY: &str = "lib_t";
const COMMAND: &str = "bin_t";

/// Filesystems that store no labels. NFS does only if its server was told to.
const WITHOUT_LABELS: [&str; 18] = [
    "vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "fuse", "nfs", "nfs4", "cifs", "smb3", "smbfs",
    "9p", "virtiofs", "iso9660", "udf", "hfsplus", "ceph",
];

/// The type in a context such as `system_u:object_r:mysqld_db_t:s0`.
pub fn type_of(context: &str) -> Option<&str> {
    context.split(':').nth(2)
}

/// The context for a mount of files of a type.
pub fn context_of(kind: &str) -> String {
    format!("system_u:object_r:{kind}:s0")
}

/// Whether a filesystem of this type has no labels, so that the mount must give one for all files.
pub fn has_no_labels(filesystem: &str) -> bool {
    WITHOUT_LABELS.contains(&filesystem) || filesystem.starts_with("fuse.")
}

/// The access to a file that SELinux must grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// The class of the object: `file` or `dir`.
    pub class: &'static str,
    /// The permissions of that class.
    pub permissions: &'static [&'static str],
    /// The types for which the policies of Red Hat and Debian grant them to mysqld.
    pub granted: &'static [&'static str],
}

/// What mysqld does with a directory on the way to its files.
pub const PASS: Access = Access { class: "dir", permissions: &["search"], granted: &[] };
/// What it does with the file of a credential.
pub const READ: Access = Access {
    class: "file",
    permissions: &["open", "read", "getattr"],
    granted: &[SETTINGS, DATA, "etc_t", "usr_t", LIBRARY, COMMAND],
};
const CHANGE: Access = Access {
    class: "file",
    permissions: &["open", "read", "write", "getattr", "setattr", "lock", "create", "rename", "unlink"],
    granted: &[DATA],
};
const CHANGE_IN: Access = Access {
    class: "dir",
    permissions: &["open", "read", "search", "getattr", "write", "add_name", "remove_name"],
    granted: &[DATA],
};
const LOAD: Access = Access {
    class: "file",
    permissions: &["open", "read", "getattr", "map", "execute"],
    granted: &[LIBRARY, "textrel_shlib_t"],
};
const RUN: Access = Access {
    class: "file",
    permissions: &["open", "read", "getattr", "map", "execute", "execute_no_trans"],
    granted: &[COMMAND, "shell_exec_t"],
};

/// The access that mysqld needs to a file.
pub fn access(need: &Need) -> Access {
    let is_directory = need.path.to_string_lossy().ends_with('/');
    match need.access {
        "rwk" => CHANGE,
        "mr" => LOAD,
        "x" => RUN,
        _ if is_directory => CHANGE_IN,
        _ => READ,
    }
}

/// Files that must have a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labelled {
    /// A file, or a directory with all that is in it.
    pub path: PathBuf,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// The type.
    pub kind: &'static str,
}

/// The files of a keyring that must have a type: the directories of the copies first, then that of an audit log.
pub fn labelled(host: &Host) -> Vec<Labelled> {
    let mut all: Vec<Labelled> = Vec::new();
    for (_, copy) in host.files() {
        let path = directory_of(copy).to_owned();
        if all.iter().all(|other| other.path != path) {
            all.push(Labelled { path, is_directory: true, kind: DATA });
        }
    }
    if let Some(log) = &host.audit.path {
        let path = directory_of(log).to_owned();
        // There, the policy itself gives the logs of mysqld a type.
        if !path.starts_with("/var/log") && all.iter().all(|other| other.path != path) {
            all.push(Labelled { path, is_directory: true, kind: DATA });
        }
    }
    let mut file = |path: PathBuf, kind| all.push(Labelled { path, is_directory: false, kind });
    match &host.unlock {
        // Fewer programs may read this type than that of configuration.
        UnlockSource::File(secret) => file(secret.clone(), DATA),
        UnlockSource::Command(words) => file(words.first().map(PathBuf::from).unwrap_or_default(), COMMAND),
        UnlockSource::Credential(_) | UnlockSource::Env(_) => {}
    }
    match host.way {
        Way::Plugin => file(host.option_file.clone(), SETTINGS),
        Way::Component => {
            file(manifest_of(&host.mysqld), SETTINGS);
            if host.local_manifest {
                file(host.manifest(), DATA);
            }
            file(file_in(&host.plugin_dir), SETTINGS);
        }
    }
    file(host.plugin_dir.join(host.way.library()), LIBRARY);
    all
}

impl Labelled {
    /// Whether this is about a file or directory that mysqld needs.
    pub fn covers(&self, path: &Path) -> bool {
        if self.is_directory { path.starts_with(&self.path) } else { path == self.path }
    }

    /// Whether the policy itself gives a file at this path a type that mysqld may use. `semanage` refuses some of these
    /// places, which the policy knows under another name.
    fn has_default(&self, path: &Path) -> bool {
        let below = |dirs: &[&str]| dirs.iter().any(|dir| path.starts_with(dir));
        match self.kind {
            DATA => below(&["/var/lib/mysql"]),
            _ => below(&["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"]),
        }
    }

    /// The commands that set the type of these files, now and for the next relabelling. `real` is the path without links,
    /// `equal` what the policy calls it.
    pub fn commands(&self, real: &Path, equal: &Path) -> Vec<String> {
        let mut all = Vec::new();
        if !self.has_default(real) {
            let below = if self.is_directory { "(/.*)?" } else { "" };
            let pattern = format!("{}{below}", escaped(&equal.to_string_lossy())).shown();
            let set = |change| format!("semanage fcontext {change} -t {} {pattern}", self.kind);
            // It can be added only once, and changed only then. What stops both is said by the second.
            all.push(format!("{} 2>/dev/null || {}", set("-m"), set("-a")));
        }
        let recursive = if self.is_directory { "R" } else { "" };
        all.push(format!("restorecon -{recursive}Fv {}", real.shown()));
        all
    }
}

/// Escapes a path as a regular expression of file contexts, which match whole paths and cannot contain blanks.
fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '.' | '^' | '$' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_ascii_whitespace() || c.is_ascii_control() => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)))
            }
            c => out.push(c),
        }
    }
    out
}

/// What the policy calls a path: its file contexts know some directories under another name only. `equivalences` are the
/// texts of `file_contexts.subs` and `file_contexts.subs_dist`.
pub fn equivalent(path: &Path, equivalences: &[String]) -> PathBuf {
    let mut path = path.to_owned();
    for text in equivalences {
        let rules = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        });
        let first = rules.filter_map(|(from, to)| Some((to, path.strip_prefix(from).ok()?))).next();
        if let Some((to, below)) = first {
            path = if below.as_os_str().is_empty() { to.into() } else { Path::new(to).join(below) };
        }
    }
    path
}

/// The option that gives all files of a mount a type. It must be in `/etc/fstab`, and cannot be changed by remounting.
pub fn mount_commands(point: &Path, kind: &str) -> Vec<String> {
    let shown = point.shown();
    vec![
        format!("in /etc/fstab, add to the options of {}: context={}", shown, context_of(kind)),
        format!("then run: umount {shown} && mount {shown}"),
    ]
}

/// The commands that let mysqld do this with files or directories of a type, by a policy module.
pub fn module_commands(kind: &str, accesses: &[Access]) -> Vec<String> {
    let rules = accesses.iter().map(|access| {
        format!("(allow {DOMAIN} {kind} ({} ({})))", access.class, access.permissions.join(" "))
    });
    let name = format!("keyring_external_{kind}");
    vec![format!("echo '{}' > {name}.cil", rules.collect::<String>()), format!("semodule -i {name}.cil")]
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    fn commands(path: &str, is_directory: bool, kind: &'static str) -> Vec<String> {
        let path = Path::new(path);
        Labelled { path: path.to_owned(), is_directory, kind }.commands(path, path)
    }

    #[test]
    fn a_path_is_one_word_and_matches_only_itself() {
        assert_eq!(
            commands("/mnt/a/keys", true, DATA),
            [
                "semanage fcontext -m -t mysqld_db_t '/mnt/a/keys(/.*)?' 2>/dev/null || semanage fcontext -a -t mysqld_db_t '/mnt/a/keys(/.*)?'",
                "restorecon -RFv /mnt/a/keys"
            ]
        );
        let [first, second] = &commands("/mnt/it's my.key (1)", true, DATA)[..] else { panic!() };
        assert!(first.ends_with(r"'/mnt/it'\''s\x20my\.key\x20\(1\)(/.*)?'"), "{first}");
        assert_eq!(second, r"restorecon -RFv '/mnt/it'\''s my.key (1)'");
    }

    #[test]
    fn places_that_the_policy_knows_get_their_own_type_back() {
        for (path, kind) in [
            ("/usr/lib64/mysql/plugin/keyring_external.so", LIBRARY),
            ("/etc/my.cnf.d/keyring_external.cnf", SETTINGS),
            ("/usr/sbin/mysqld.my", SETTINGS),
            ("/var/lib/mysql/mysqld.my", DATA),
        ] {
            assert_eq!(commands(path, false, kind), [format!("restorecon -Fv {path}")]);
        }
        for (path, kind) in [
            ("/opt/mysql/plugin/keyring_external.so", LIBRARY),
            ("/etc/keyring_external.secret", DATA),
            ("/opt/bin/secret", COMMAND),
        ] {
            let commands = commands(path, false, kind);
            assert!(commands.len() == 2 && commands[0].contains(&format!("-t {kind} ")), "{commands:?}");
        }
    }

    #[test]
    fn a_directory_that_the_policy_knows_under_another_name_is_translated() {
        let texts = [
            "# mine\n/srv/keys /mnt/a\n".to_owned(),
            "/run /var/run\n/usr/lib64 /usr/lib\n/mnt/a /x\n".to_owned(),
        ];
        for (path, expected) in [
            ("/run/keys", "/var/run/keys"),
            ("/run", "/var/run"),
            ("/runner/x", "/runner/x"),
            ("/srv/keys/b", "/x/b"),
        ] {
            assert_eq!(equivalent(Path::new(path), &texts), Path::new(expected));
        }
    }

    #[test]
    fn each_file_that_mysqld_opens_for_its_keyring_has_a_type() {
        for way in [Way::Plugin, Way::Component] {
            let mut host = example(way);
            host.local_manifest = way == Way::Component;
            for unlock in ["file:/etc/mysql/keyring_external.secret", "command:/usr/bin/get it"] {
                host.unlock = unlock.parse().unwrap();
                let all = labelled(&host);
                for need in super::super::needs::needs(&host) {
                    // The witness is in the data directory.
                    let covered = all.iter().find(|l| l.covers(&need.path));
                    assert!(covered.is_some() || need.what.contains("the witness"), "{need:?}");
                    // Types that MySQL's and the system's packages bring need not be those that the commands set.
                    let granted = access(&need).granted;
                    assert!(covered.is_none_or(|l| granted.contains(&l.kind)), "{need:?}");
                }
            }
        }
        let mut one = example(Way::Plugin);
        one.mirrors = vec!["/mnt/a/keys/other.keyring".into()];
        assert_eq!(labelled(&one).iter().filter(|l| l.is_directory).count(), 1);
    }

    #[test]
    fn filesystems_without_labels_are_known() {
        assert!(has_no_labels("vfat") && has_no_labels("fuse.sshfs") && has_no_labels("nfs4"));
        assert!(!has_no_labels("ext4") && !has_no_labels("xfs") && !has_no_labels("tmpfs"));
        assert_eq!(type_of(&context_of(DATA)), Some(DATA));
        assert_eq!(type_of("unlabeled"), None);
    }
}
