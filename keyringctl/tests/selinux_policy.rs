// SPDX-License-Identifier: GPL-2.0-or-later
//! What keyringctl says about SELinux, against a compiled policy: `scripts/selinux.sh` builds Debian's and gives its
//! directory in KX_SELINUX.

use keyringctl::host::needs::needs;
use keyringctl::host::selinux::{Access, DATA, PASS, READ, access, equivalent, labelled};
use keyringctl::host::{Host, Way};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The directory of the policy.
fn policy() -> PathBuf {
    std::env::var_os("KX_SELINUX").expect("KX_SELINUX, which scripts/selinux.sh sets").into()
}

fn binary(policy: &Path) -> PathBuf {
    let mut files = fs::read_dir(policy.join("policy")).unwrap().map(|e| e.unwrap().path());
    files.find(|file| file.file_name().unwrap().to_string_lossy().starts_with("policy.")).unwrap()
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The permissions that the policy grants mysqld for a type, whatever its booleans. Each question takes seconds.
fn granted(policy: &Path, kind: &str, class: &str) -> BTreeSet<String> {
    static KNOWN: Mutex<BTreeMap<(String, String), BTreeSet<String>>> = Mutex::new(BTreeMap::new());
    let question = (kind.to_owned(), class.to_owned());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(question).or_insert_with(|| ask(policy, kind, class)).clone()
}

fn ask(policy: &Path, kind: &str, class: &str) -> BTreeSet<String> {
    let rules =
        run("sesearch", &["-A", "-s", "mysqld_t", "-t", kind, "-c", class, binary(policy).to_str().unwrap()]);
    let unconditional = rules.lines().filter(|rule| rule.trim_end().ends_with(';'));
    let permissions = unconditional.filter_map(|rule| rule.split_once(':'));
    permissions
        .flat_map(|(_, rest)| rest.split([' ', '{', '}', ';']).skip(1))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn lacks(policy: &Path, kind: &str, access: &Access) -> Vec<&'static str> {
    let granted = granted(policy, kind, access.class);
    access.permissions.iter().copied().filter(|permission| !granted.contains(*permission)).collect()
}

fn host(way: Way, unlock: &str) -> Host {
    Host {
        way,
        keyring: "/mnt/a/keys/main.keyring".into(),
        mirrors: vec!["/srv/it's my.key (1)/main.keyring".into()],
        min_copies: 1,
        wait: 0,
        allow_same_device: false,
        read_only: false,
        auto_create: false,
        audit: keyring_external::config::AuditConfig::default(),
        unlock: unlock.parse().unwrap(),
        credential: None,
        mysqld: "/usr/sbin/mysqld".into(),
        plugin_dir: "/usr/lib64/mysql/plugin".into(),
        datadir: "/var/lib/mysql".into(),
        unit: "mysqld.service".to_owned(),
        option_file: "/etc/my.cnf.d/keyring_external.cnf".into(),
        local_manifest: way == Way::Component,
        remotes: "/etc/mysql/keyring_external.remotes.json".into(),
        remote_files: Vec::new(),
    }
}

fn hosts() -> [Host; 2] {
    [host(Way::Component, "file:/etc/keyring_external.secret"), host(Way::Plugin, "command:/opt/get secret")]
}

#[test]
#[ignore = "needs a compiled SELinux policy (scripts/selinux.sh)"]
fn the_policy_grants_what_doctor_takes_for_granted() {
    let policy = policy();
    for host in hosts() {
        for need in needs(&host) {
            let access = access(&need);
            for kind in access.granted {
                assert_eq!(lacks(&policy, kind, &access), [""; 0], "{need:?} with {kind}");
            }
        }
    }
}

#[test]
#[ignore = "needs a compiled SELinux policy (scripts/selinux.sh)"]
fn the_policy_refuses_what_setup_warns_of() {
    let policy = policy();
    // Debian's policy differs from Red Hat's here: mysqld may not pass /mnt.
    assert_eq!(lacks(&policy, "mnt_t", &PASS), ["search"]);
    assert_eq!(lacks(&policy, "var_t", &PASS), [""; 0], "/srv");
    // What files in /run/credentials may be labelled with.
    for kind in ["ramfs_t", "tmpfs_t", "init_runtime_t", "var_run_t", "unlabeled_t"] {
        assert!(lacks(&policy, kind, &READ).contains(&"read"), "{kind}");
    }
    // What a new volume's files are labelled with, and a mount without the option `context=`.
    let write = |kind| granted(&policy, kind, "file").contains("write");
    for kind in ["unlabeled_t", "default_t", "mnt_t", "user_home_t", "dosfs_t", "nfs_t", "cifs_t", "fusefs_t"]
    {
        assert!(!write(kind), "{kind}");
    }
    assert!(write(DATA));
}

#[test]
#[ignore = "needs a compiled SELinux policy (scripts/selinux.sh)"]
fn fewer_domains_may_read_the_secrets_type_than_those_of_configuration() {
    let policy = policy();
    let readers = |kind: &str| {
        run("sesearch", &["-A", "-t", kind, "-c", "file", "-p", "read", binary(&policy).to_str().unwrap()])
            .lines()
            .count()
    };
    assert!(readers(DATA) < readers("mysqld_etc_t") && readers("mysqld_etc_t") < readers("etc_t"));
}

/// After the commands, the files get a type that mysqld may use, and their neighbours do not.
#[test]
#[ignore = "needs a compiled SELinux policy (scripts/selinux.sh)"]
fn file_contexts_give_every_file_a_usable_type() {
    let policy = policy();
    let contexts = policy.join("contexts/files");
    let equivalences = vec![fs::read_to_string(contexts.join("file_contexts.subs_dist")).unwrap()];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file_contexts");
    let type_of = |path: &str, mode: &str| {
        let found = run("matchpathcon", &["-n", "-m", mode, "-f", file.to_str().unwrap(), path]);
        found.trim().split(':').nth(2).map(str::to_owned)
    };
    fs::copy(contexts.join("file_contexts.subs_dist"), dir.path().join("file_contexts.subs_dist")).unwrap();
    for host in hosts() {
        let mut text = fs::read_to_string(contexts.join("file_contexts")).unwrap();
        for of in labelled(&host) {
            let commands = of.commands(&of.path, &equivalent(&of.path, &equivalences));
            for command in commands.iter().filter(|command| command.starts_with("semanage")) {
                // As the shell reads it: the last word of the last command.
                let script = format!("semanage() {{ [ \"$2\" = -a ] && printf '%s\\n' \"$5\"; }}; {command}");
                let pattern = run("sh", &["-c", &script]);
                assert!(!pattern.trim().contains(' '), "semanage refuses {pattern}");
                text.push_str(&format!("{}\tsystem_u:object_r:{}:s0\n", pattern.trim(), of.kind));
            }
        }
        fs::write(&file, text).unwrap();
        for need in needs(&host) {
            let path = need.path.to_string_lossy();
            let path = path.trim_end_matches('/');
            let mode = if path.len() < need.path.as_os_str().len() { "dir" } else { "file" };
            let kind = type_of(path, mode).unwrap_or_default();
            assert!(access(&need).granted.contains(&kind.as_str()), "{path} gets {kind}");
        }
        for other in ["/srv/it's myXkey (1)/x", "/mnt/a/keysX", "/mnt/a"] {
            assert_ne!(type_of(other, "dir").as_deref(), Some(DATA), "{other}");
        }
    }
}
