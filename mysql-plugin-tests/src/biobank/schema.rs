// SPDX-License-Identifier: GPL-2.0-or-later
//! Which tables there are.

use super::table::Table;
use super::{core, families};

/// The general tablespace.
pub const SHARED: &str = "biobank_shared";

/// All tables; those that are referred to come first.
pub fn tables() -> Vec<Table> {
    let mut all = core::core();
    all.extend(core::odd());
    all.extend(families::families());
    all
}

/// What comes when the rows are there: as in a system in use. Rows with planted names are changed and deleted, so that
/// their old versions are in undo and redo.
pub fn afterwards() -> Vec<String> {
    vec![
        "UPDATE participants SET remarks = CONCAT('was ', full_name) WHERE id <= 1000".to_owned(),
        "UPDATE participant_contacts SET contact_name = 'withdrawn' WHERE id % 3 = 0 AND id <= 1000".to_owned(),
        "DELETE FROM call_lists WHERE id % 2 = 0".to_owned(),
        "CREATE TRIGGER visits_audit AFTER UPDATE ON visits FOR EACH ROW \
         INSERT INTO audit_visits (at, by_id, row_id, old_value, new_value) VALUES (NOW(), OLD.seen_by, OLD.id, LEFT(OLD.summary, 90), LEFT(NEW.summary, 90))"
            .to_owned(),
        "CREATE VIEW people AS SELECT p.id, p.full_name, s.title FROM participants p JOIN sites s ON s.id = p.site_id".to_owned(),
        "CREATE TABLE load_visits (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, participant_id BIGINT UNSIGNED NOT NULL, version INT UNSIGNED NOT NULL, \
         summary VARCHAR(400) NOT NULL, KEY (summary), FOREIGN KEY (participant_id) REFERENCES participants (id))"
            .to_owned(),
        "CREATE TABLE load_log (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, visit_id BIGINT UNSIGNED NOT NULL, at TIMESTAMP(6) NOT NULL DEFAULT NOW(6), \
         what VARCHAR(400) NOT NULL, KEY (visit_id))"
            .to_owned(),
    ]
}
