// SPDX-License-Identifier: GPL-2.0-or-later
//! A certificate authority for one test, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A certificate authority whose files are in one directory.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one, with its certificate in `DIR/ca.pem`.
    pub fn new(dir: &Path) -> Authority {
        let mut params = CertificateParams::default();
        // Two of them must not look like one whose key was changed.
        params.distinguished_name.push(DnType::CommonName, format!("authority of {}", dir.display()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        fs::write(dir.join("ca.pem"), cert.pem()).unwrap();
        Authority { dir: dir.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Its own certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// One for an endpoint that has these addresses, and the name localhost. Clusters show it to each other too.
    pub fn server(&self, name: &str, addresses: &[Ipv4Addr]) -> Certificate {
        self.sign(name, server_params(addresses))
    }

    /// One for an endpoint at 127.0.0.1 that ended years ago.
    pub fn expired_server(&self, name: &str) -> Certificate {
        let mut params = server_params(&[Ipv4Addr::LOCALHOST]);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.sign(name, params)
    }

    /// One for a client; without a common name it has an alternative name only.
    pub fn client(&self, name: &str, common_name: Option<&str>) -> Certificate {
        self.sign(name, client_params(name, common_name))
    }

    /// One for a client that ended years ago.
    pub fn expired_client(&self, name: &str) -> Certificate {
        let mut params = client_params(name, None);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.sign(name, params)
    }

    fn sign(&self, name: &str, params: CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let files = Certificate {
            cert: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
        };
        fs::write(&files.cert, cert.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        files
    }
}

fn server_params(addresses: &[Ipv4Addr]) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let names = addresses.iter().map(|ip| rcgen::SanType::IpAddress(IpAddr::V4(*ip)));
    params.subject_alt_names.extend(names);
    // A member of a cluster is a client of the others.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn client_params(name: &str, common_name: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::new(vec![format!("{name}.test")]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(common_name) = common_name {
        params.distinguished_name.push(DnType::CommonName, common_name);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
