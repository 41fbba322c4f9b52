// SPDX-License-Identifier: GPL-2.0-or-later
//! Which certificates are trusted and shown, from files that are read again when they change.

use crate::store::remote::objects::{Answer, Cause, Trouble};
use crate::store::remote::stamp::Stamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Maximum length of a file with certificates or a key in bytes. A system's trust store has some 200 KB.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Where systems keep the certificates that they trust: Debian, Fedora and RHEL, SUSE, Alpine.
const TRUST_STORES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Files of certificates, PEM, and the name that an engine's certificate must be valid for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsSettings {
    /// Certificates of the CAs that are trusted, instead of those that the system trusts.
    pub ca: Option<PathBuf>,
    /// The client certificate, and intermediate ones after it. Only together with `key`.
    pub cert: Option<PathBuf>,
    /// The client certificate's key.
    pub key: Option<PathBuf>,
    /// The name that the certificates of all endpoints must be valid for, instead of the host of each.
    pub server_name: Option<String>,
}

/// The settings with the contents of their files.
#[derive(Debug)]
pub(super) struct Loaded {
    stamps: Vec<Stamp>,
    pub(super) config: Arc<ClientConfig>,
}

impl TlsSettings {
    /// The files that count, in a fixed order.
    fn files(&self) -> Vec<&Path> {
        let ca = match &self.ca {
            Some(ca) => Some(ca.as_path()),
            None => TRUST_STORES.iter().map(Path::new).find(|path| path.exists()),
        };
        ca.into_iter().chain(self.cert.as_deref()).chain(self.key.as_deref()).collect()
    }

    /// Returns `earlier` if no file has changed since, else reads the files. While one of them cannot be used, as in
    /// the middle of its renewal, `earlier` stays.
    pub(super) fn load(&self, earlier: Option<&Arc<Loaded>>) -> Answer<Arc<Loaded>> {
        let stamps: Vec<Stamp> = self.files().into_iter().map(Stamp::of).collect();
        if let Some(earlier) = earlier
            && earlier.stamps == stamps
        {
            return Ok(earlier.clone());
        }
        match (self.config(), earlier) {
            (Ok(config), _) => Ok(Arc::new(Loaded { stamps, config: Arc::new(config) })),
            (Err(_), Some(earlier)) => Ok(earlier.clone()),
            (Err(why), None) => Err(Trouble::not_done(Cause::Settings, why)),
        }
    }

    /// Reads all files.
    ///
    /// # Errors
    /// A sentence that names the file.
    fn config(&self) -> Result<ClientConfig, String> {
        let broken = |e: rustls::Error| format!("cannot set up TLS: {e}");
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(broken)?
            .with_root_certificates(self.trusted()?);
        let mut config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates("cert", cert)?;
                builder.with_client_auth_cert(chain, private_key(key)?).map_err(|e| {
                    let (cert, key) = (cert.display(), key.display());
                    match e {
                        rustls::Error::InconsistentKeys(_) => {
                            format!("the key {key} does not belong to the certificate {cert}")
                        }
                        rustls::Error::General(_) => {
                            format!("cannot use key {key}: it is no RSA, ECDSA or Ed25519 key")
                        }
                        e => format!("cannot use the certificate {cert} with the key {key}: {e}"),
                    }
                })?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err("cert needs key as well".to_owned()),
            (None, Some(_)) => return Err("key needs cert as well".to_owned()),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The client certificate and those after it, in DER; none if none is set.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(super) fn own_certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        self.cert.as_deref().map_or_else(|| Ok(Vec::new()), |cert| certificates("cert", cert))
    }

    fn trusted(&self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        let path = match &self.ca {
            Some(ca) => ca.clone(),
            None => TRUST_STORES.iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(|| {
                format!(
                    "this system has no file of trusted CAs ({}): install the package ca-certificates, or set ca",
                    TRUST_STORES.join(", ")
                )
            })?,
        };
        let (added, _) = store.add_parsable_certificates(certificates("ca", &path)?);
        if added == 0 {
            return Err(format!("cannot use ca {}: it holds no valid certificate", path.display()));
        }
        Ok(store)
    }
}

fn certificates(field: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bad = |why: String| format!("cannot use {field} {}: {why}", path.display());
    let (bytes, _) = read(path).map_err(bad)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|_| bad("it is not valid PEM".to_owned()))?;
    if found.is_empty() {
        return Err(bad("it holds no certificate in PEM".to_owned()));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bad = |why: String| format!("cannot use key {}: {why}", path.display());
    let (bytes, meta) = read(path).map_err(bad)?;
    if meta.mode() & 0o007 != 0 {
        return Err(bad(format!(
            "it is open to other users (mode {:04o}): run chmod o= {}",
            meta.mode() & 0o7777,
            path.display()
        )));
    }
    // The reason is not shown: it may repeat what the file holds.
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| bad("it holds no unencrypted private key in PEM".to_owned()))
}

fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Metadata), String> {
    use rustix::fs::{Mode, OFlags};
    // A pipe in the file's place must not block.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file: File =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|e| std::io::Error::from(e).to_string())?.into();
    let meta = file.metadata().map_err(|e| e.to_string())?;
    if !meta.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if meta.len() > MAX_FILE {
        return Err(format!("it is longer than {MAX_FILE} bytes"));
    }
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0).saturating_add(1)));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    Ok((bytes, meta))
}
