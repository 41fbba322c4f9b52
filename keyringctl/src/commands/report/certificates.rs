// SPDX-License-Identifier: GPL-2.0-or-later
//! The certificates of a server's connections: what their files say of them.

mod der;

use super::known::{ELSEWHERE, Known};
use crate::show::Shown;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// No file of certificates is larger; one of all public authorities has 250 KB.
const MAX_BYTES: u64 = 4 << 20;
/// The number of certificates of a file that are listed.
const LISTED: usize = 20;

/// What a certificate says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Certificate {
    pub subject: String,
    pub issuer: String,
    /// In hexadecimal digits.
    pub serial: String,
    /// In seconds since 1970.
    pub not_before: u64,
    pub not_after: u64,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub sha256: String,
}

/// What a file of certificates is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Use {
    /// With it, the server proves to clients who it is.
    Server,
    /// With it, this server proves to another who it is.
    Client,
    /// What others' certificates are checked with.
    Authority,
}

/// A file of certificates.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CertificateFile {
    /// Which connections it is for: `clients`, `replication from h:3306`, `remote a`, ...
    pub of: String,
    #[serde(rename = "use")]
    pub purpose: Use,
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    /// The certificates in it, the first one first.
    pub certificates: Known<Vec<Certificate>>,
    /// When the server's own certificate ends that it loaded from there, in seconds since 1970.
    pub loaded_not_after: Option<u64>,
}

impl CertificateFile {
    /// Reads a file. A relative path begins at the data directory.
    pub(super) fn read(of: &str, purpose: Use, path: &str, datadir: Option<&Path>) -> CertificateFile {
        let (path, certificates) = match datadir {
            Some(datadir) => {
                let path = datadir.join(path);
                let certificates = read(&path).into();
                (path, certificates)
            }
            None => (PathBuf::from(path), Known::NotMeasured(ELSEWHERE.to_owned())),
        };
        CertificateFile { of: of.to_owned(), purpose, path, certificates, loaded_not_after: None }
    }

    /// Whether the file holds another certificate than the one that the server has loaded.
    pub(super) fn differs_from_loaded(&self) -> bool {
        let first = self.certificates.measured().and_then(|all| all.first());
        matches!((first, self.loaded_not_after), (Some(file), Some(loaded)) if file.not_after != loaded)
    }

    /// The certificate in it that ends first.
    pub(super) fn ends_first(&self) -> Option<&Certificate> {
        self.certificates.measured()?.iter().min_by_key(|certificate| certificate.not_after)
    }
}

fn read(path: &Path) -> Result<Vec<Certificate>, String> {
    let io = |e: std::io::Error| format!("cannot read {}: {e}", path.shown());
    if !path.metadata().map_err(io)?.is_file() {
        return Err(format!("{} is not a file", path.shown()));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).take(LISTED).collect();
    let found = found.map_err(|e| format!("{} is not a PEM file of certificates: {e}", path.shown()))?;
    if found.is_empty() {
        return Err(format!("{} holds no certificate", path.shown()));
    }
    let read = found.iter().map(|der| Certificate::from_der(der));
    let read: Option<Vec<_>> = read.collect();
    read.ok_or_else(|| format!("a certificate in {} cannot be read", path.shown()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A certificate of the P-256 key of nobody, made with `openssl req -x509 -subj '/C=DE/O=Bio\, bank/CN=db'`.
    pub(super) const PEM: &str = include_str!("certificates/sample.pem");

    #[test]
    fn a_file_of_certificates_is_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("c.pem"), format!("text before\n{PEM}{PEM}")).unwrap();
        let file = CertificateFile::read("clients", Use::Server, "c.pem", Some(dir.path()));
        let all = file.certificates.measured().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].subject, "C=DE, O=Bio\\, bank, CN=db");
        assert_eq!(all[0].issuer, all[0].subject);
        assert_eq!(all[0].sha256.len(), 64);
        assert_eq!(file.ends_first(), Some(&all[0]));
        let loaded = |end| CertificateFile { loaded_not_after: end, ..file.clone() }.differs_from_loaded();
        assert!(!loaded(None) && !loaded(Some(all[0].not_after)) && loaded(Some(all[0].not_after + 1)));
    }

    #[test]
    fn what_is_no_certificate_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let why = |name: &str, content: &str| {
            fs::write(dir.path().join(name), content).unwrap();
            let file = CertificateFile::read("x", Use::Client, name, Some(dir.path()));
            file.certificates.why_not().unwrap_or_default().to_owned()
        };
        assert!(why("a", "").ends_with("holds no certificate"));
        assert!(
            why("b", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
                .ends_with("cannot be read")
        );
        let directory = CertificateFile::read("x", Use::Client, ".", Some(dir.path()));
        assert!(directory.certificates.why_not().unwrap().ends_with("is not a file"));
        assert!(CertificateFile::read("x", Use::Client, "a", None).certificates.why_not().is_some());
    }
}
