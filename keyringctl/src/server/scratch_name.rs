// SPDX-License-Identifier: GPL-2.0-or-later
//! The names of scratch tablespaces, which tell what they are for.

use super::names::quoted;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::path::Path;

/// The schema in which a run keeps the full-text indexes that it has dropped from a table, until it adds them again: as those
/// of an empty table, which has the name of the table's scratch tablespace.
pub const KEPT_INDEXES: &str = "keyring_external_fulltext";
/// What the names of all scratch tablespaces begin with.
pub const SCRATCH: &str = "keyring_external_";
/// How many hexadecimal digits tell the table.
const DIGITS: usize = 12;
/// The longest name that a server accepts for a tablespace.
const LONGEST: usize = 64;
/// The name of a scratch tablespace, which tells what it is for:
/// `keyring_external_encrypt_logged_0123456789ab_6925d1f0_clinic_pat`. Each run gives a name of its own, so that what is said of one
/// in a binary log is of that run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct ScratchName(String);

impl ScratchName {
    /// The name for a table. `encrypts`: the table is encrypted on this way, not decrypted. `is_logged`: the statements are
    /// written to the server's binary log. `begun`: the server's time, in seconds since 1970.
    pub fn new(encrypts: bool, is_logged: bool, (schema, table): (&str, &str), begun: u32) -> ScratchName {
        let direction = if encrypts { "encrypt" } else { "decrypt" };
        let log = if is_logged { "logged" } else { "local" };
        let mut name = format!("{SCRATCH}{direction}_{log}_{}_{begun:08x}_", digits(schema, table));
        // For people who look at it. It is also the name of a file, so that it has only what every filesystem accepts.
        let readable = format!("{schema}_{table}").to_lowercase();
        let plain = readable.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        name.extend(plain.take(LONGEST - name.len()));
        ScratchName(name)
    }

    /// Reads a tablespace's name. `None`: it is another one.
    pub fn parse(name: &str) -> Option<ScratchName> {
        let parts = parts(name)?;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_scratch = matches!(parts[0], "encrypt" | "decrypt")
            && matches!(parts[1], "logged" | "local")
            && parts[2].len() == DIGITS
            && parts[2].bytes().all(|b| b.is_ascii_hexdigit())
            && name.chars().all(is_plain);
        is_scratch.then(|| ScratchName(name.to_owned()))
    }

    /// Reads the name of a scratch tablespace's file, or of that of a table which keeps full-text indexes. `None`: it is
    /// another one.
    pub fn of_file(path: &Path) -> Option<ScratchName> {
        let is_tablespace = path.extension().is_some_and(|extension| extension == "ibd");
        path.file_stem().filter(|_| is_tablespace).and_then(OsStr::to_str).and_then(ScratchName::parse)
    }

    /// The name as the server has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, quoted for statements.
    pub fn quoted(&self) -> String {
        quoted(&self.0)
    }

    /// The name of its file.
    pub fn file(&self) -> String {
        format!("{}.ibd", self.0)
    }

    /// Whether its table is to be encrypted, not decrypted.
    pub fn encrypts(&self) -> bool {
        self.part(0) == "encrypt"
    }

    /// Whether its statements are written to the binary log.
    pub fn is_logged(&self) -> bool {
        self.part(1) == "logged"
    }

    /// Whether it was created for a table of this name. The table may have got another name meanwhile.
    pub fn is_for(&self, schema: &str, table: &str) -> bool {
        self.part(2) == digits(schema, table)
    }

    /// What the names of all have that are created for the same table in the same way.
    pub(super) fn same_way(&self) -> &str {
        &self.0[..SCRATCH.len() + self.part(0).len() + self.part(1).len() + DIGITS + 3]
    }

    /// The server's time when the run began, in seconds since 1970. `None`: the name does not tell.
    pub fn begun(&self) -> Option<u64> {
        let digits = self.part(3).split('_').next().filter(|part| part.len() == 8)?;
        u64::from_str_radix(digits, 16).ok()
    }

    fn part(&self, index: usize) -> &str {
        parts(&self.0).map_or("", |parts| parts[index])
    }
}

impl std::fmt::Display for ScratchName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Direction, log, table, and the rest.
fn parts(name: &str) -> Option<[&str; 4]> {
    let mut parts = name.strip_prefix(SCRATCH)?.splitn(4, '_');
    Some([parts.next()?, parts.next()?, parts.next()?, parts.next().unwrap_or_default()])
}

fn digits(schema: &str, table: &str) -> String {
    let digest = Sha256::digest(format!("{schema}\0{table}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_scratch_tablespace_tells_what_it_is_for() {
        for (encrypts, is_logged, schema, table) in [
            (true, true, "clinic", "patients"),
            (false, false, "clinic", "patients"),
            (true, false, "b`o/b", "t é\u{202e}.#sql' %"),
            (false, true, &"S".repeat(64), &"\u{1f600}".repeat(64)),
        ] {
            let name = ScratchName::new(encrypts, is_logged, (schema, table), 1_764_086_256);
            assert_eq!(ScratchName::parse(name.as_str()), Some(name.clone()));
            assert_eq!((name.encrypts(), name.is_logged()), (encrypts, is_logged));
            assert_eq!(name.begun(), Some(1_764_086_256));
            assert!(name.is_for(schema, table) && !name.is_for(table, schema));
            assert_eq!(ScratchName::of_file(&Path::new("/d").join(name.file())), Some(name.clone()));
            assert!(name.as_str().len() <= LONGEST && name.file().is_ascii(), "{name}");
        }
        assert_eq!(
            ScratchName::new(true, true, ("clinic", "Patients"), 0x6925_d1f0).as_str(),
            "keyring_external_encrypt_logged_639d4a7405e0_6925d1f0_clinic_pat"
        );
    }

    #[test]
    fn other_tablespaces_are_none() {
        for name in [
            "clinic",
            "keyring_external_",
            "keyring_external_encrypt_logged",
            "keyring_external_encrypt_often_0123456789ab_a_b",
            "keyring_external_encrypt_logged_0123456789_a_b",
            "keyring_external_encrypt_logged_0123456789xy_a_b",
            "keyring_external_encrypt_logged_0123456789ab_a'b",
        ] {
            assert_eq!(ScratchName::parse(name), None, "{name}");
            assert_eq!(ScratchName::of_file(&Path::new(name).with_extension("ibd")), None, "{name}");
        }
    }
}
