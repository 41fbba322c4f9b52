// SPDX-License-Identifier: GPL-2.0-or-later
//! The cryptographic modules that protect keys and data, and what each of them does. None of keyring_external's is
//! validated under FIPS 140.

use crate::error::Result;
use crate::server::Session;
use serde::Serialize;

/// The crates of this build with their versions.
const LOCK: &str = include_str!("../../../../Cargo.lock");

/// A crate and what it does here: its name, and the primitive with its use.
const CRATES: [(&str, &str); 8] = [
    ("aes", "AES-256, the cipher of keys in the keyring file and of the data key in its slots"),
    ("ctr", "counter mode of AES-256"),
    ("sha2", "SHA-256, the hash in HMAC, HKDF and the checksums of headers"),
    ("hmac", "HMAC-SHA-256, which authenticates every byte of the keyring file"),
    (
        "hkdf",
        "HKDF-SHA-256, which derives keys from the data key, and from random secrets: of secret files, recovery keys and custodians",
    ),
    ("argon2", "Argon2id, which derives a key from a passphrase"),
    ("x25519-dalek", "X25519, with which slots follow a renewal of the data key"),
    ("getrandom", "the random generator of the operating system's kernel, the source of all keys"),
];
/// Those of connections to remotes.
const OF_REMOTES: [(&str, &str); 2] = [
    ("rustls", "TLS 1.2 and 1.3 of connections to remotes, and of keyringctl to a server"),
    ("ring", "the ciphers and signatures of that TLS"),
];

/// A module and what it does.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Module {
    pub name: &'static str,
    pub version: String,
    pub does: &'static str,
    /// Whether only connections use it, not the keyring file.
    pub for_connections: bool,
}

/// The modules of keyring_external and of the server.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Modules {
    /// Whether the modules of keyring_external are validated under FIPS 140: they are not.
    pub fips_validated: bool,
    pub of_keyring: Vec<Module>,
    /// The server's TLS library, as it reports it: it encrypts tablespaces and logs too.
    pub server_library: Option<String>,
    /// The server's `ssl_fips_mode`; `None` if it has no such setting.
    pub server_fips_mode: Option<String>,
}

impl Modules {
    pub(super) fn query(session: &mut Session) -> Result<Modules> {
        // The status variable exists since 8.0.30.
        let library: Option<(String, String)> =
            session.first("SHOW GLOBAL STATUS LIKE 'Tls_library_version'")?;
        Ok(Modules {
            server_library: library.map(|(_, version)| version).filter(|version| !version.is_empty()),
            server_fips_mode: session.variable("ssl_fips_mode")?,
            ..Modules::of_this_build()
        })
    }

    pub(super) fn of_this_build() -> Modules {
        let module = |for_connections| {
            move |(name, does)| Module {
                name,
                version: version(name).unwrap_or_default(),
                does,
                for_connections,
            }
        };
        let of_keyring =
            CRATES.into_iter().map(module(false)).chain(OF_REMOTES.into_iter().map(module(true)));
        Modules {
            fips_validated: false,
            of_keyring: of_keyring.collect(),
            server_library: None,
            server_fips_mode: None,
        }
    }
}

/// The version of a crate that keyring_external is built from, or of one that it brings.
fn version(name: &str) -> Option<String> {
    let packages = || LOCK.split("[[package]]\n");
    let value = |package: &str, field: &str| {
        let line =
            package.lines().find_map(|line| line.strip_prefix(&format!("{field} = \"")).map(str::to_owned));
        line.and_then(|line| line.strip_suffix('"').map(str::to_owned))
    };
    let library = packages().find(|p| value(p, "name").as_deref() == Some("keyring_external"))?;
    // A dependency of which there are several versions is listed with its own.
    let listed =
        library.lines().find_map(|line| line.trim().strip_prefix(&format!("\"{name} ")).map(str::to_owned));
    let listed = listed.and_then(|line| line.split('"').next().map(str::to_owned));
    let of_name = || packages().find(|p| value(p, "name").as_deref() == Some(name));
    listed.or_else(|| value(of_name()?, "version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_a_version() {
        let modules = Modules::of_this_build();
        for module in &modules.of_keyring {
            assert!(module.version.starts_with(|c: char| c.is_ascii_digit()), "{module:?}");
        }
        assert_eq!(modules.of_keyring.len(), CRATES.len() + OF_REMOTES.len());
        assert!(!modules.fips_validated);
        assert_eq!(version("none of these"), None);
    }
}
