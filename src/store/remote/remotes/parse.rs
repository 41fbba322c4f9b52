// SPDX-License-Identifier: GPL-2.0-or-later
//! From the text of the remotes file to settings.

use super::fields::{Fields, plain};
use super::json::Json;
use super::settings::{EtcdSettings, Kind, Remote, S3Settings, VaultLogin, VaultSettings};
use crate::store::remote::http::{Endpoint, Proxy, Settings, TlsSettings};
use std::net::IpAddr;
use std::str::FromStr;

/// Maximum number of endpoints of a remote.
const MAX_ENDPOINTS: usize = 8;

/// Maximum length of a remote's name.
const MAX_NAME: usize = 64;

const COMMON: &str = "kind, endpoints, ca, cert, key, server_name, proxy";

/// A mistake, and the remote that it is in, if it is in one.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) remote: Option<String>,
    pub(super) why: String,
}

/// Reads the text of the file.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Remote>, Mistake> {
    let file = |why: String| Mistake { remote: None, why };
    let text = std::str::from_utf8(text).map_err(|_| file("it is not text in UTF-8".to_owned()))?;
    // A message of serde_json about syntax has the line, and nothing of the text.
    let json: Json = serde_json::from_str(text).map_err(|e| file(format!("it is not valid JSON: {e}")))?;
    let Json::Object(entries) = json else {
        return Err(file(
            "it must be an object with one field for each remote: {\"NAME\": {...}}".to_owned(),
        ));
    };
    let mut remotes: Vec<Remote> = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let mistake = |why: String| Mistake { remote: Some(plain(&name)), why };
        if !is_name(&name) {
            return Err(mistake(format!(
                "a name consists of letters, digits, _ and -, and has at most {MAX_NAME} characters"
            )));
        }
        if remotes.iter().any(|earlier| earlier.name == name) {
            return Err(mistake("it occurs twice".to_owned()));
        }
        let (client, kind) = remote(entry).map_err(mistake)?;
        remotes.push(Remote { name, client, kind });
    }
    Ok(remotes)
}

/// Whether this is the name of a remote, without the `@`.
pub(super) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn remote(entry: Json) -> Result<(Settings, Kind), String> {
    let mut fields = Fields::of(entry, "it", "")?;
    let kind = fields.needed("kind")?;
    let client = client(&mut fields)?;
    let (kind, own) = match kind.as_str() {
        "s3" => (
            Kind::S3(s3(&mut fields, &client.endpoints)?),
            "region, bucket, access_key, secret_key, session_token and path_style",
        ),
        "vault" => (Kind::Vault(vault(&mut fields)?), "mount, namespace, token and approle"),
        "etcd" => (Kind::Etcd(etcd(&mut fields)?), "user and password"),
        _ => return Err("\"kind\" must be \"s3\", \"vault\" (also for OpenBao) or \"etcd\"".to_owned()),
    };
    fields.end(&format!("{COMMON}, {own}"))?;
    Ok((client, kind))
}

fn client(fields: &mut Fields) -> Result<Settings, String> {
    let list = "\"endpoints\" must be a list of texts: [\"https://HOST:PORT\", ...]";
    let endpoints = match fields.take("endpoints") {
        None if fields.take("endpoint").is_some() => {
            return Err(format!("\"endpoint\" is not a known field: write \"endpoints\". {list}"));
        }
        None => return Err("\"endpoints\" is missing".to_owned()),
        Some(Json::List(list)) => list,
        Some(_) => return Err(list.to_owned()),
    };
    if !(1..=MAX_ENDPOINTS).contains(&endpoints.len()) {
        return Err(format!("\"endpoints\" must have 1 to {MAX_ENDPOINTS} entries, not {}", endpoints.len()));
    }
    let mut known: Vec<Endpoint> = Vec::new();
    for (index, endpoint) in endpoints.into_iter().enumerate() {
        let Json::Text(text) = endpoint else { return Err(list.to_owned()) };
        let bad = |why: &str| format!("\"endpoints\": entry {} {why}", index + 1);
        let endpoint = Endpoint::from_str(&text).map_err(|why| bad(&why))?;
        if known.contains(&endpoint) {
            return Err(bad("occurs twice"));
        }
        known.push(endpoint);
    }
    let proxy = match fields.text("proxy")? {
        None => None,
        Some(text) => Some(Proxy::from_str(&text).map_err(|why| format!("\"proxy\" {why}"))?),
    };
    let tls = TlsSettings {
        ca: fields.path("ca")?,
        cert: fields.path("cert")?,
        key: fields.path("key")?,
        server_name: fields.checked("server_name", is_host, "must be a host name, without a port")?,
    };
    match (&tls.cert, &tls.key) {
        (Some(_), None) => return Err("\"cert\" needs \"key\" as well".to_owned()),
        (None, Some(_)) => return Err("\"key\" needs \"cert\" as well".to_owned()),
        _ => {}
    }
    if proxy.is_some() && !known.iter().all(Endpoint::tls) {
        return Err(
            "\"proxy\" needs endpoints that begin with https://: the way to the proxy is not encrypted"
                .to_owned(),
        );
    }
    if tls != TlsSettings::default() && !known.iter().any(Endpoint::tls) {
        return Err(
            "\"ca\", \"cert\", \"key\" and \"server_name\" have no effect: no endpoint begins with https://"
                .to_owned(),
        );
    }
    Ok(Settings { endpoints: known, tls, proxy })
}

fn is_host(name: &str) -> bool {
    rustls::pki_types::ServerName::try_from(name).is_ok()
}

fn s3(fields: &mut Fields, endpoints: &[Endpoint]) -> Result<S3Settings, String> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let bucket = fields.checked(
        "bucket",
        |name| {
            (3..=63).contains(&name.len())
                && name.bytes().all(|byte| word(byte) || byte == b'.')
                && !name.starts_with(['.', '-'])
                && !name.ends_with(['.', '-'])
                && !name.contains("..")
        },
        "is not the name of a bucket: 3 to 63 lower-case letters, digits, - and .",
    )?;
    let region = fields.checked(
        "region",
        |name| {
            name.len() <= 64
                && name.bytes().all(|byte| word(byte) || byte == b'_' || byte.is_ascii_uppercase())
        },
        "is not the name of a region: letters, digits, - and _",
    )?;
    let path_style = fields.flag("path_style")?.unwrap_or(true);
    // The bucket makes it another host, which the DNS is asked for: not this machine, and no address.
    let named = |endpoint: &Endpoint| endpoint.tls() && endpoint.host().parse::<IpAddr>().is_err();
    if !path_style && !endpoints.iter().all(named) {
        return Err(
            "\"path_style\": false needs endpoints of the form https://HOST with a host name, because the bucket \
             becomes a part of it: leave path_style out for an IP address or http://"
                .to_owned(),
        );
    }
    Ok(S3Settings {
        bucket: bucket.ok_or("\"bucket\" is missing")?,
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        access_key: fields.needed_source("access_key", "access_key")?,
        secret_key: fields.needed_source("secret_key", "secret_key")?,
        session_token: fields.source("session_token", "session_token")?,
        path_style,
    })
}

/// Whether this is a path of Vault: segments of letters, digits, `_`, `-` and `.` between slashes.
fn is_path(path: &str) -> bool {
    path.len() <= 200
        && path.split('/').all(|segment| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        })
}

fn vault(fields: &mut Fields) -> Result<VaultSettings, String> {
    let path = "must be segments of letters, digits, _, - and . with / between them, without a / at its ends";
    let mount = fields.checked("mount", is_path, path)?;
    let namespace = fields.checked("namespace", is_path, path)?;
    let token = fields.source("token", "token")?;
    let login = match (token, fields.take("approle")) {
        (Some(token), None) => VaultLogin::Token(token),
        (None, Some(approle)) => {
            let mut approle = Fields::of(approle, "\"approle\"", "approle.")?;
            let login = VaultLogin::AppRole {
                role_id: approle.needed("role_id")?,
                secret_id: approle.needed_source("secret_id", "approle.secret_id")?,
                mount: approle.checked("mount", is_path, path)?.unwrap_or_else(|| "approle".to_owned()),
            };
            approle.end("role_id, secret_id and mount")?;
            login
        }
        (None, None) => return Err("\"token\" or \"approle\" is missing".to_owned()),
        (Some(_), Some(_)) => return Err("\"token\" and \"approle\" exclude each other".to_owned()),
    };
    Ok(VaultSettings { mount: mount.unwrap_or_else(|| "secret".to_owned()), namespace, login })
}

fn etcd(fields: &mut Fields) -> Result<EtcdSettings, String> {
    let user = match (fields.text("user")?, fields.source("password", "password")?) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => return Err("\"user\" needs \"password\" as well".to_owned()),
        (None, Some(_)) => return Err("\"password\" needs \"user\" as well".to_owned()),
    };
    Ok(EtcdSettings { user })
}
