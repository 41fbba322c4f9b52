// SPDX-License-Identifier: GPL-2.0-or-later
//! Option files as mysqld 9.7 read them (`mysqld --print-defaults`), and files that are refused.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use tempfile::TempDir;

/// A directory that stands for the root.
struct Root(TempDir);

impl Root {
    fn new() -> Root {
        Root(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn read(&self) -> Result<OptionFiles> {
        OptionFiles::read(&self.at("my.cnf"), self.0.path())
    }

    /// The options of the group `mysqld`, as mysqld prints them.
    fn options(&self) -> String {
        let read = self.read().unwrap();
        let of_server = read.entries.iter().filter(|e| e.group == "mysqld");
        let shown = of_server.map(|e| match &e.value {
            Some(value) => format!("--{}={value}", e.name),
            None => format!("--{}", e.name),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn refuses(&self, words: &str) {
        let error = self.read().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn lines_are_read_as_mysqld_reads_them() {
    let root = Root::new();
    for (text, expected) in [
        ("[mysqld]\na=1#2\n", "--a=1"),
        ("[mysqld]\na = '1#2' # 3\n", "--a=1#2"),
        ("[mysqld]\na=\"x\\\"y\\'z\"\n", "--a=x\"y'z"),
        ("[mysqld]\na=x\\sy\\\\z\\q\n", "--a=x y\\z\\q"),
        ("[mysqld]\na='x\n", "--a='x"),
        ("[mysqld]\na=x'y'\n", "--a=x'y'"),
        ("[mysqld] # here\n  b_c  # d\n;e\n", "--b-c"),
        ("[mysqld  ]\na=\n[ mysqld]\nb\n", "--a="),
        ("[MySQLd]\na\n[Client]\nb\n", "--a"),
        ("[mysqld]\n!nonsense\n!nonsense x\nloose_a = x = y\n", "--a=x = y"),
    ] {
        root.write("my.cnf", text);
        assert_eq!(root.options(), expected, "{text}");
    }
    root.write("my.cnf", "a=1\n");
    root.refuses("line 1: there is an option before the first [group]");
    root.write("my.cnf", "[mysqld\na=1\n");
    root.refuses("line 1: the group has no ]");
    root.write("my.cnf", "[mysqld]\n!include\n");
    root.refuses("line 2: !include names no path");
    root.write("my.cnf", "[mysqld]\n!include # none\n");
    root.refuses("line 2: !include names no path");
}

#[test]
fn a_directory_is_read_in_the_order_of_its_bytes_and_only_cnf_files() {
    let root = Root::new();
    root.write("my.cnf", "[mysqld]\na\n!includedir /d\nz\n!include /one\n");
    for name in ["b.cnf", "A.cnf", "a.b.cnf", ".c.cnf", "d.ini", "e.CNF", "f.cnf~", "10.cnf", "9.cnf"] {
        root.write(&format!("d/{name}"), &format!("[mysqld]\n{name}\n"));
    }
    root.write("one", "[mysqld]\none\n");
    assert_eq!(root.options(), "--a --.c.cnf --10.cnf --9.cnf --A.cnf --a.b.cnf --b.cnf --z --one");
    let read = root.read().unwrap();
    assert_eq!(read.directories, [Path::new("/d")]);
    assert_eq!(read.files.len(), 8);
}

#[test]
fn what_does_not_exist_is_told_or_refused_as_mysqld_does() {
    let root = Root::new();
    root.write("my.cnf", "[mysqld]\na\n!include /none.cnf\nb\n");
    assert_eq!(root.options(), "--a --b");
    let idle = root.read().unwrap().idle;
    assert!(
        idle.len() == 1 && idle[0].ends_with("line 3 includes /none.cnf, which does not exist"),
        "{idle:?}"
    );
    root.write("my.cnf", "[mysqld]\n!includedir /none.d\n");
    root.refuses("line 2: cannot read the directory /none.d");
}

#[test]
fn a_comment_ends_the_path_of_an_include() {
    let root = Root::new();
    root.write("d/a.cnf", "[mysqld]\nb\n");
    root.write("my.cnf", "[mysqld]\na\n!includedir /d # ours\n!include /d/a.cnf# ours\n");
    assert_eq!(root.options(), "--a --b --b");
    assert_eq!(included_by("! include /d/a.cnf # ours"), Some("/d/a.cnf".into()));
    assert_eq!(included_by("!includedir /d"), None);
}

#[test]
fn what_an_included_file_has_wrong_ends_only_that_file() {
    for (wrong, options, told) in [
        ("q=1\n", "--a --b1 --b9 --z", "line 1: there is an option before the first [group]"),
        ("[mysqld]\nq\n[mysqld\nr\n", "--a --b1 --q --b9 --z", "line 3: the group has no ]"),
        ("[mysqld]\nq\n!includedir /none\nr\n", "--a --b1 --q --b9 --z", "the directory /none"),
        ("[mysqld]\nq\n!include\nr\n", "--a --b1 --q --b9 --z", "line 3: !include names no path"),
    ] {
        let root = Root::new();
        root.write("my.cnf", "[mysqld]\na\n!includedir /d\nz\n");
        root.write("d/b1.cnf", "[mysqld]\nb1\n");
        root.write("d/b5.cnf", wrong);
        root.write("d/b9.cnf", "[mysqld]\nb9\n");
        assert_eq!(root.options(), options, "{wrong}");
        let idle = root.read().unwrap().idle;
        assert!(idle.len() == 1 && idle[0].contains(told), "{idle:?}");
    }
}

#[test]
fn links_to_nothing_and_directories_are_passed_over() {
    let root = Root::new();
    root.write("my.cnf", "[mysqld]\na\n!includedir /d\nz\n!include /d\n");
    root.write("d/a.cnf", "[mysqld]\nb1\n");
    root.write("d/zz.cnf", "[mysqld]\nb9\n");
    symlink("none", root.at("d/b.cnf")).unwrap();
    symlink("c.cnf", root.at("d/c.cnf")).unwrap();
    fs::create_dir(root.at("d/sub.cnf")).unwrap();
    assert_eq!(root.options(), "--a --b1 --b9 --z");
    let idle = root.read().unwrap().idle.join("\n");
    for told in ["includes /d/b.cnf, which does not exist", "/d/c.cnf,", "sub.cnf is a directory"] {
        assert!(idle.contains(told), "{idle}");
    }
}

#[test]
fn the_directories_on_the_way_to_a_file_are_those_of_its_links_too() {
    let root = Root::new();
    root.write("etc/mysql/mysql.cnf", "");
    fs::create_dir_all(root.at("etc/alternatives")).unwrap();
    symlink("/etc/alternatives/my.cnf", root.at("etc/mysql/my.cnf")).unwrap();
    symlink("/etc/mysql/mysql.cnf", root.at("etc/alternatives/my.cnf")).unwrap();
    let dirs = ["etc", "etc/mysql", "etc/alternatives"].map(|dir| root.at(dir));
    assert_eq!(directories_to(root.0.path(), &root.at("etc/mysql/my.cnf")), dirs);
}

#[test]
fn links_in_an_image_do_not_lead_out_of_it() {
    let root = Root::new();
    root.write("etc/real.cnf", "[mysqld]\na\n!include /etc/more.cnf\n");
    root.write("etc/x.cnf", "[mysqld]\nx\n");
    symlink("/etc/alternatives/my.cnf", root.at("my.cnf")).unwrap();
    fs::create_dir(root.at("etc/alternatives")).unwrap();
    symlink("../real.cnf", root.at("etc/alternatives/my.cnf")).unwrap();
    symlink("../../../../etc/x.cnf", root.at("etc/more.cnf")).unwrap();
    assert_eq!(root.options(), "--a --x");
    fs::remove_file(root.at("etc/more.cnf")).unwrap();
    symlink("more.cnf", root.at("etc/more.cnf")).unwrap();
    assert_eq!(root.options(), "--a");
}

#[test]
fn only_regular_files_are_read_and_only_up_to_a_size() {
    let root = Root::new();
    // The devices are those of this host.
    let from_host = |text: &str| {
        root.write("host.cnf", text);
        OptionFiles::read(&root.at("host.cnf"), Path::new("/"))
    };
    let error = from_host("[mysqld]\n!include /dev/zero\n").unwrap_err().to_string();
    assert!(error.contains("/dev/zero is not a regular file"), "{error}");
    assert!(from_host("[mysqld]\n!include /dev/null\n").unwrap().ignored.is_empty());
    assert!(OptionFiles::read(Path::new("/dev/null"), Path::new("/")).unwrap().ignored.is_empty());
    assert!(OptionFiles::read(Path::new("/dev/zero"), Path::new("/")).is_err());
    let made = Command::new("mkfifo").arg(root.at("pipe")).status().unwrap();
    assert!(made.success());
    root.write("my.cnf", "!include /pipe\n");
    root.refuses("pipe is not a regular file");
    root.write("my.cnf", &"# much\n".repeat(200_000));
    root.refuses("is longer than 1024 KiB");
}

/// A pipe that somebody names is read, as from a shell's `<(...)`.
#[test]
fn a_named_pipe_is_read() {
    let root = Root::new();
    assert!(Command::new("mkfifo").arg(root.at("my.cnf")).status().unwrap().success());
    let pipe = root.at("my.cnf");
    let writer = std::thread::spawn(move || fs::write(pipe, "[mysqld]\na=1\n").unwrap());
    assert_eq!(root.options(), "--a=1");
    writer.join().unwrap();
}

#[test]
fn files_that_include_each_other_end() {
    let root = Root::new();
    root.write("my.cnf", "[mysqld]\na\n!include /my.cnf\nb\n");
    let read = root.read().unwrap();
    assert_eq!((read.files.len(), read.idle.len()), (11, 1), "{:?}", read.idle);
    let many = "!include /my.cnf\n!include /other.cnf\n".repeat(8);
    root.write("my.cnf", &many);
    root.write("other.cnf", &many);
    root.refuses("lead to more than 1000 others");
}

#[test]
fn a_file_that_every_user_can_write_to_is_ignored_wherever_it_is_named() {
    let root = Root::new();
    root.write("my.cnf", "[mysqld]\na\n!include /open.cnf\n");
    root.write("open.cnf", "[mysqld]\nb\n");
    fs::set_permissions(root.at("open.cnf"), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(root.options(), "--a");
    assert_eq!(root.read().unwrap().ignored, [root.at("open.cnf")]);
}
