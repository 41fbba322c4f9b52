// SPDX-License-Identifier: GPL-2.0-or-later
//! What an engine takes for writes and reads that curl asks for, one after the other over one connection.

use mysql_plugin_tests::rig::Site;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How curl asks an engine.
pub struct Floor {
    dir: PathBuf,
    kind: String,
    /// Where objects are: `/` and a name follow.
    base: String,
    /// Options of every request, as curl's configuration has them.
    options: String,
}

impl Floor {
    pub fn new(site: &Site) -> Result<Floor, String> {
        let remote = site.described();
        let text = |key: &str| remote[key].as_str().unwrap_or_default().to_owned();
        let endpoint = remote["endpoints"][0].as_str().ok_or("no endpoint")?.to_owned();
        let mut options = String::new();
        for (key, option) in [("ca", "cacert"), ("cert", "cert"), ("key", "key")] {
            if remote[key].is_string() {
                let _ = writeln!(options, "{option} = \"{}\"", text(key));
            }
        }
        let kind = text("kind");
        let base = match kind.as_str() {
            "etcd" => endpoint,
            "vault" => {
                let token = match &remote["token"] {
                    Value::String(source) => secret(source)?,
                    _ => log_in(&endpoint, &options, &remote["approle"])?,
                };
                let _ = writeln!(options, "header = \"X-Vault-Token: {token}\"");
                format!("{endpoint}/v1/{}/data", text("mount"))
            }
            "s3" => {
                let (access, key) = (secret(&text("access_key"))?, secret(&text("secret_key"))?);
                let _ = writeln!(options, "aws-sigv4 = \"aws:amz:{}:s3\"", text("region"));
                let _ = writeln!(options, "user = \"{access}:{key}\"");
                format!("{endpoint}/{}", text("bucket"))
            }
            other => return Err(format!("there is no floor of {other}")),
        };
        Ok(Floor { dir: site.dir.path().to_owned(), kind, base, options })
    }

    /// The part of curl's configuration that writes an object of so many bytes.
    fn write(&self, name: &str, bytes: usize) -> Result<String, String> {
        let value = "A".repeat(bytes.div_ceil(3) * 4);
        let (url, verb, body) = match self.kind.as_str() {
            "etcd" => {
                let key = in_base64(name);
                (
                    format!("{}/v3/kv/put", self.base),
                    "POST",
                    format!(r#"{{"key":"{key}","value":"{value}"}}"#),
                )
            }
            "vault" => (format!("{}/{name}", self.base), "POST", format!(r#"{{"data":{{"v":"{value}"}}}}"#)),
            _ => (format!("{}/{name}", self.base), "PUT", "A".repeat(bytes)),
        };
        let file = self.dir.join(format!("body-{bytes}-{}", name.replace('/', "-")));
        std::fs::write(&file, body).map_err(|e| e.to_string())?;
        Ok(self.request(&url, verb, Some(&file)))
    }

    fn read(&self, name: &str) -> Result<String, String> {
        if self.kind != "etcd" {
            return Ok(self.request(&format!("{}/{name}", self.base), "GET", None));
        }
        let file = self.dir.join(format!("read-{}", name.replace('/', "-")));
        std::fs::write(&file, format!(r#"{{"key":"{}"}}"#, in_base64(name))).map_err(|e| e.to_string())?;
        Ok(self.request(&format!("{}/v3/kv/range", self.base), "POST", Some(&file)))
    }

    fn request(&self, url: &str, verb: &str, body: Option<&PathBuf>) -> String {
        let body = body.map_or(String::new(), |file| {
            let signed =
                if self.kind == "s3" { "header = \"x-amz-content-sha256: UNSIGNED-PAYLOAD\"\n" } else { "" };
            format!("{signed}data-binary = \"@{}\"\n", file.display())
        });
        format!(
            "url = \"{url}\"\nrequest = \"{verb}\"\nhttp1.1\nsilent\noutput = \"/dev/null\"\n\
             write-out = \"%{{http_code}} %{{time_total}} %{{num_connects}}\\n\"\n{body}{}",
            self.options
        )
    }

    /// Nanoseconds of each request. The first one, which opens the connection, is not among them.
    fn ask(&self, requests: &[String]) -> Result<Vec<f64>, String> {
        let first = requests.first().ok_or("no requests")?;
        let all: Vec<&str> = [first].into_iter().chain(requests).map(String::as_str).collect();
        let text = curl(&all.join("next\n"))?;
        let mut times = Vec::new();
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [status, seconds, connects] = fields[..] else { return Err(format!("curl printed {line}")) };
            if !status.starts_with('2') || (!times.is_empty() && connects != "0") {
                return Err(format!("{}: {line}", self.base));
            }
            times.push(seconds.parse::<f64>().map_err(|e| e.to_string())? * 1e9);
        }
        if times.len() != all.len() {
            return Err(format!("curl made {} of {} requests", times.len(), all.len()));
        }
        times.remove(0);
        Ok(times)
    }

    /// Nanoseconds of each pair of writes.
    pub fn pairs_of_writes(&self, pairs: usize, piece: usize, head: usize) -> Result<Vec<f64>, String> {
        let pair = [self.write("floor/piece", piece)?, self.write("floor/head", head)?];
        let requests: Vec<String> = (0..pairs).flat_map(|_| pair.clone()).collect();
        Ok(self.ask(&requests)?.chunks(2).map(|pair| pair.iter().sum()).collect())
    }

    /// Puts pieces to be read.
    pub fn put_pieces(&self, pieces: usize, bytes: usize) -> Result<(), String> {
        let requests: Result<Vec<_>, _> =
            (0..pieces).map(|n| self.write(&format!("floor/{n}"), bytes)).collect();
        self.ask(&requests?).map(drop)
    }

    /// Nanoseconds to read a head and pieces.
    pub fn reads(&self, pieces: usize) -> Result<f64, String> {
        let names = (0..pieces).map(|n| format!("floor/{n}"));
        let requests: Result<Vec<_>, _> =
            ["floor/head".to_owned()].into_iter().chain(names).map(|name| self.read(&name)).collect();
        Ok(self.ask(&requests?)?.iter().sum())
    }
}

/// Runs curl with a configuration, and returns what it prints.
fn curl(configuration: &str) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("curl: {e}");
    let mut curl = Command::new("curl")
        .args(["--disable", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    curl.stdin.take().expect("piped").write_all(configuration.as_bytes()).map_err(failed)?;
    let output = curl.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(format!("curl: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a source of the remotes file holds.
fn secret(source: &str) -> Result<String, String> {
    let file = source.strip_prefix("file:").ok_or_else(|| format!("{source}: only files here"))?;
    Ok(std::fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?.trim().to_owned())
}

/// A token of Vault for a role.
fn log_in(endpoint: &str, options: &str, role: &Value) -> Result<String, String> {
    let secret_id = secret(role["secret_id"].as_str().unwrap_or_default())?;
    let body = serde_json::json!({ "role_id": role["role_id"], "secret_id": secret_id }).to_string();
    let body = body.replace('"', "\\\"");
    let answer = curl(&format!(
        "url = \"{endpoint}/v1/auth/approle/login\"\nsilent\nrequest = \"POST\"\ndata = \"{body}\"\n{options}"
    ))?;
    let answer: Value = serde_json::from_str(&answer).map_err(|e| format!("{endpoint}: {e}"))?;
    answer["auth"]["client_token"].as_str().map(str::to_owned).ok_or_else(|| format!("no token: {answer}"))
}

fn in_base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of = |chunk: &[u8]| {
        let number = (0..3).fold(0u32, |number, i| number << 8 | u32::from(*chunk.get(i).unwrap_or(&0)));
        let digit = |i: usize| char::from(DIGITS[(number >> (18 - 6 * i)) as usize & 63]);
        (0..4).map(|i| if i <= chunk.len() { digit(i) } else { '=' }).collect::<String>()
    };
    text.as_bytes().chunks(3).map(of).collect()
}
