// SPDX-License-Identifier: GPL-2.0-or-later

use super::*;
use std::os::unix::fs::PermissionsExt;

/// A file with this text and mode.
fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("remotes.json");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

fn read(text: &str) -> Answer<Remotes> {
    let (_dir, path) = file(text, 0o600);
    Remotes::read(&path)
}

const ALL: &str = r#"{
  "vault": {"kind": "vault", "endpoints": ["https://10.0.0.5:8200"], "mount": "kv/keys", "ca": "/etc/ssl/bao.pem",
            "namespace": "biobank", "approle": {"role_id": "r-1", "secret_id": "file:/etc/mysql/bao.secret"}},
  "token": {"kind": "vault", "endpoints": ["http://127.0.0.1:8200"], "token": "credential:bao"},
  "bucket": {"kind": "s3", "endpoints": ["https://s3.example"], "region": "eu-1", "bucket": "keys",
             "access_key": "env:ID", "secret_key": "command:/usr/bin/key --of db1", "path_style": false,
             "proxy": "http://proxy.example:3128"},
  "cluster": {"kind": "etcd", "endpoints": ["https://a:2379", "https://[fd00::1]:2379"], "ca": "/e/ca.pem",
              "cert": "/e/c.pem", "key": "/e/c.key", "server_name": "etcd.example", "user": "db1",
              "password": "file:/e/password"}
}"#;

#[test]
fn a_file_with_all_fields_is_read() {
    let all = read(ALL).unwrap();
    let names: Vec<_> = all.all().iter().map(|remote| remote.name.as_str()).collect();
    assert_eq!(names, ["vault", "token", "bucket", "cluster"]);
    let Kind::Vault(vault) = &all.get("vault").unwrap().kind else { panic!() };
    assert_eq!((vault.mount.as_str(), vault.namespace.as_deref()), ("kv/keys", Some("biobank")));
    let VaultLogin::AppRole { role_id, mount, .. } = &vault.login else { panic!() };
    assert_eq!((role_id.as_str(), mount.as_str()), ("r-1", "approle"));
    let Kind::Vault(vault) = &all.get("token").unwrap().kind else { panic!() };
    assert_eq!(vault.mount, "secret");
    let bucket = all.get("bucket").unwrap();
    let Kind::S3(s3) = &bucket.kind else { panic!() };
    assert_eq!((s3.region.as_str(), s3.bucket.as_str(), s3.path_style), ("eu-1", "keys", false));
    assert_eq!(bucket.client.proxy.as_ref().unwrap().to_string(), "http://proxy.example:3128");
    let cluster = all.get("cluster").unwrap();
    let Kind::Etcd(etcd) = &cluster.kind else { panic!() };
    assert_eq!(etcd.user.as_ref().unwrap().0, "db1");
    let shown: Vec<_> = cluster.client.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["https://a:2379", "https://[fd00::1]:2379"]);
    // Arguments of programs may be secrets.
    let debug = format!("{all:?}");
    assert!(
        debug.contains("command:/usr/bin/key") && !debug.contains("db1\")") && !debug.contains("--of"),
        "{debug}"
    );
    let e = all.get("other").unwrap_err();
    assert!(e.cause == Cause::Settings && e.told.contains("it has vault, token, bucket, cluster"), "{e}");
    assert!(read("{}").unwrap().get("x").unwrap_err().told.contains("it is empty"));
}

/// A bucket of S3 with its own host name, at this endpoint.
fn below(endpoint: &str) -> String {
    format!(
        r#"{{"x": {{"kind": "s3", "endpoints": ["https://a", "{endpoint}"], "bucket": "keys", "path_style": false,
            "access_key": "env:A", "secret_key": "env:B"}}}}"#
    )
}

#[test]
fn a_bucket_becomes_part_of_a_host_name_with_tls_only() {
    assert!(read(&below("https://b:9000")).is_ok());
    for endpoint in
        ["https://10.0.0.5:9000", "https://[fd00::1]", "http://127.0.0.1:9000", "http://localhost"]
    {
        let told = read(&below(endpoint)).unwrap_err().told;
        assert!(told.contains("because the bucket becomes a part of it"), "{endpoint}: {told}");
    }
}

#[test]
fn each_mistake_has_its_own_message_with_file_remote_and_field() {
    let e = r#""endpoints": ["https://a"]"#;
    let etcd = |rest: &str| format!(r#"{{"x": {{"kind": "etcd", {e}, {rest}}}}}"#);
    let s3 = |rest: &str| format!(r#"{{"x": {{"kind": "s3", {e}, {rest}}}}}"#);
    let vault = |rest: &str| format!(r#"{{"x": {{"kind": "vault", {e}, {rest}}}}}"#);
    let ends = |list: &str| format!(r#"{{"x": {{"kind": "etcd", "endpoints": {list}}}}}"#);
    let keys = r#""access_key": "env:A", "secret_key": "env:B""#;
    let mut told: Vec<String> = Vec::new();
    for (text, expected) in [
        ("".to_owned(), "not valid JSON"),
        ("{\"x\": \u{1}}".to_owned(), "line 1 column 7"),
        ("[]".to_owned(), "one field for each remote"),
        (r#"{"a b": {}}"#.to_owned(), r#"remote "a b": a name consists of"#),
        (r#"{"x": []}"#.to_owned(), r#"remote "x": it must be an object"#),
        (format!(r#"{{"x": {{"kind": "etcd", {e}}}, "x": {{}}}}"#), r#"remote "x": it occurs twice"#),
        (r#"{"x": {}}"#.to_owned(), r#""kind" is missing"#),
        (r#"{"x": {"kind": 1}}"#.to_owned(), r#""kind" must be a text"#),
        (format!(r#"{{"x": {{"kind": "consul", {e}}}}}"#), "also for OpenBao"),
        (r#"{"x": {"kind": "etcd"}}"#.to_owned(), r#""endpoints" is missing"#),
        (r#"{"x": {"kind": "etcd", "endpoint": "https://a"}}"#.to_owned(), r#"write "endpoints""#),
        (ends("\"https://a\""), r#""endpoints" must be a list"#),
        (ends("[]"), "1 to 8 entries, not 0"),
        (ends(&format!("[{}]", ["\"https://a\""; 9].join(","))), "1 to 8 entries, not 9"),
        (ends(r#"["https://a", "https://A:443/"]"#), "entry 2 occurs twice"),
        (ends(r#"["a:2379"]"#), "entry 1 must begin with https://"),
        (ends(r#"["http://a:2379"]"#), "only an endpoint on 127.0.0.1, ::1 or localhost may use http://"),
        (ends(r#"["https://a/v1"]"#), "without a path"),
        (ends(r#"["https://u:p@a"]"#), "must not contain a user name"),
        (ends(r#"["https://a:0"]"#), "1 to 65535"),
        (ends(r#"["https://a:b"]"#), "a port that is not a number"),
        (ends(r#"["https://fd00::1"]"#), "needs brackets"),
        (ends(r#"["https://"]"#), "no valid host name"),
        (etcd(r#""cluster": "y""#), r#""cluster" is not a known field: there are kind"#),
        (etcd(r#""ca": "ca.pem""#), r#""ca" must be a path that begins with /"#),
        (etcd(r#""ca": "/a", "ca": "/b""#), r#""ca" occurs twice"#),
        (etcd(r#""cert": "/a""#), r#""cert" needs "key""#),
        (etcd(r#""key": "/a""#), r#""key" needs "cert""#),
        (etcd(r#""server_name": "a:1""#), r#""server_name" must be a host name"#),
        (etcd(r#""proxy": "https://p:1""#), r#""proxy" must have the form"#),
        (etcd(r#""proxy": "http://p""#), "the port is missing"),
        (
            ends(r#"["http://localhost:1"], "proxy": "http://p:1""#),
            r#""proxy" needs endpoints that begin with https"#,
        ),
        (etcd(r#""user": "u""#), r#""user" needs "password""#),
        (etcd(r#""password": "env:P""#), r#""password" needs "user""#),
        (etcd(r#""user": "", "password": "env:P""#), r#""user" is empty"#),
        (etcd(r#""user": "a\nb", "password": "env:P""#), "control character"),
        (ends(r#"["http://[::1]:1"], "ca": "/a""#), "have no effect"),
        (s3(&format!(r#""bucket": "B", {keys}"#)), "is not the name of a bucket"),
        (s3(keys), r#""bucket" is missing"#),
        (s3(r#""bucket": "keys", "secret_key": "env:B""#), r#""access_key" is missing"#),
        (s3(&format!(r#""bucket": "keys", "region": "eu 1", {keys}"#)), r#""region" is not"#),
        (s3(&format!(r#""bucket": "keys", "path_style": "no", {keys}"#)), "true or false"),
        (s3(&format!(r#""bucket": "keys", "session_token": "file:a", {keys}"#)), "the full path of the file"),
        (below("http://localhost:9000"), "leave path_style out for an IP address or http://"),
        (vault(r#""mount": "secret""#), r#""token" or "approle" is missing"#),
        (vault(r#""mount": "/secret", "token": "env:T""#), r#""mount" must be segments"#),
        (vault(r#""namespace": "a/../b", "token": "env:T""#), r#""namespace" must be segments"#),
        (vault(r#""token": "env:T", "approle": {}"#), "exclude each other"),
        (vault(r#""approle": "r""#), r#""approle" must be an object"#),
        (vault(r#""approle": {"secret_id": "env:S"}"#), r#""approle.role_id" is missing"#),
        (vault(r#""approle": {"role_id": "r"}"#), r#""approle.secret_id" is missing"#),
        (
            vault(r#""approle": {"role_id": "r", "secret_id": "env:S", "ttl": 1}"#),
            r#""approle.ttl" is not a known"#,
        ),
    ] {
        let (_dir, path) = file(&text, 0o640);
        let e = Remotes::read(&path).expect_err(&text);
        assert!(e.cause == Cause::Settings && !e.may_have_happened);
        assert!(e.told.contains(expected) && e.told.contains(&path.display().to_string()), "{text}: {e}");
        let message = e.told.replace(&path.display().to_string(), "");
        assert!(!told.contains(&message), "two mistakes, one message: {message}");
        told.push(message);
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_shown() {
    for text in [
        r#"{"x": {"kind": "vault", "endpoints": ["https://a"], "token": "hvs.VERYSECRET"}}"#,
        r#"{"x": {"kind": "vault", "endpoints": ["https://a"], "token": "VERY:SECRET"}}"#,
        r#"{"x": {"kind": "vault", "endpoints": ["https://a"], "token": ["SECRET"]}}"#,
        r#"{"x": {"kind": "etcd", "endpoints": ["https://a"], "user": "u", "password": "SECRET"}}"#,
        r#"{"x": {"kind": "etcd", "endpoints": ["https://user:SECRET@a"]}}"#,
        r#"{"x": {"kind": "s3", "endpoints": ["https://a"], "bucket": "keys", "access_key": "SECRET"}}"#,
        r#"{"x": "SECRET"}"#,
        r#"{"x": {"kind": "SECRET"}}"#,
        r#""SECRET""#,
        r#"{"x": {"kind": "vault", "token": SECRET}}"#,
    ] {
        let e = read(text).unwrap_err();
        assert!(!e.told.contains("SECRET") && !format!("{e:?}").contains("SECRET"), "{e}");
    }
    let e = read(r#"{"x": {"kind": "vault", "endpoints": ["https://a"], "token": "hvs.X"}}"#).unwrap_err();
    assert!(e.told.contains("file:PATH") && e.told.contains("replace it"), "{e}");
}

#[test]
fn a_file_that_others_can_read_or_write_is_refused() {
    for (mode, expected) in [
        (0o644, "open to other users (mode 0644): run chmod 0640"),
        (0o602, "open to other users"),
        (0o660, "written by its group (mode 0660): run chmod 0640"),
    ] {
        let (_dir, path) = file("{}", mode);
        let e = Remotes::read(&path).unwrap_err();
        assert!(e.told.contains(expected), "{e}");
    }
    for mode in [0o400, 0o440, 0o600, 0o640] {
        let (_dir, path) = file("{}", mode);
        Remotes::read(&path).unwrap();
    }
    let (dir, path) = file("{}", 0o600);
    let owner = std::fs::metadata(&path).unwrap().uid();
    // Whoever is neither root nor the owner.
    let e = (owner != 0).then(|| Remotes::read_as(&path, owner + 1).unwrap_err().told);
    assert!(e.is_none_or(|e| e.contains("who is neither root nor")), "a file of another user");
    for missing in [dir.path().join("none"), dir.path().to_owned()] {
        let e = Remotes::read(&missing).unwrap_err();
        assert!(e.told.contains("does not exist. Create it") || e.told.contains("not a regular file"), "{e}");
    }
    std::fs::write(&path, vec![b' '; MAX_FILE as usize + 1]).unwrap();
    assert!(Remotes::read(&path).unwrap_err().told.contains("longer than"));
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR).unwrap();
    assert!(Remotes::read(&pipe).unwrap_err().told.contains("not a regular file"));
}

#[test]
fn root_runs_no_program_that_another_user_names() {
    let (_dir, path) = file(ALL, 0o600);
    if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let e = Remotes::read_as(&path, 0).unwrap_err();
    assert!(
        e.told.contains(r#"remote "bucket" names a program"#) && e.told.contains("run chown root"),
        "{e}"
    );
    Remotes::read_as(&path, 12345).unwrap();
    let e = Remotes::read_as(&path, 12346).unwrap_err();
    assert!(e.told.contains("belongs to user id 12345") && e.told.contains("run chown root"), "{e}");
}

#[test]
fn a_secret_is_one_line_of_text() {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let (_dir, path) = file("s3cr3t wörd\r\n", 0o600);
    let source = Source::new("token", UnlockSource::File(path.clone()));
    let secret = source.read(until).unwrap();
    assert_eq!((secret.text(), format!("{secret:?}").as_str()), ("s3cr3t wörd", "Secret(..)"));
    for (text, expected) in
        [(&b"\n"[..], "empty"), (b"a\nb", "not one line"), (b"\xff", "not one line"), (b"", "empty")]
    {
        std::fs::write(&path, text).unwrap();
        let e = source.read(until).unwrap_err();
        assert!(e.cause == Cause::Settings && e.told.contains(expected), "{e}");
        assert!(e.told.starts_with(&format!("token could not be read from file:{}", path.display())), "{e}");
    }
}

#[test]
fn no_bytes_of_a_file_panic_or_are_shown() {
    let text = ALL.replace("credential:bao", "SECRET:bao").into_bytes();
    for at in 0..text.len() {
        for byte in [0, b'"', b'{', b'}', b'[', b'\\', b',', b':', b'1', 0xff] {
            let mut bad = text.clone();
            bad[at] = byte;
            let Err(mistake) = parse::parse(&bad) else { continue };
            assert!(!mistake.why.contains("SECRET:"), "{mistake:?}");
        }
        let _ = parse::parse(&text[..at]);
    }
    assert!(parse::parse("[".repeat(100_000).as_bytes()).is_err(), "nested without end");
}
