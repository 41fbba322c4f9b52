// SPDX-License-Identifier: GPL-2.0-or-later
//! A patient's data in a server of a container.

use super::image::Running;

pub(super) const PATIENT: &str = "Astrid Lindqvist";

/// The server encrypts a table with a key of the keyring, and everything else by itself.
pub(super) fn encrypts(server: &Running<'_>) {
    server.sql("CREATE DATABASE clinic");
    server.sql("CREATE TABLE clinic.patient (name VARCHAR(99))");
    server.sql(&format!("INSERT INTO clinic.patient VALUES ('{PATIENT}')"));
    let options = "SELECT create_options FROM information_schema.tables WHERE table_schema = 'clinic'";
    assert_eq!(server.value(options), "ENCRYPTION='Y'");
    let mysql = "SELECT encryption FROM information_schema.innodb_tablespaces WHERE name = 'mysql'";
    assert_eq!(server.value(mysql), "Y");
    server.sql("ALTER INSTANCE ROTATE INNODB MASTER KEY");
}

pub(super) fn reads_back(server: &Running<'_>) {
    assert_eq!(server.value("SELECT name FROM clinic.patient"), PATIENT);
    server.sql("FLUSH TABLES");
    assert_eq!(server.value("SELECT name FROM clinic.patient"), PATIENT);
}
