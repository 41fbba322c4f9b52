// SPDX-License-Identifier: GPL-2.0-or-later
//! The core: participants, visits, specimens, consents and what belongs to them, and tables of odd kinds.

use super::table::Column::{
    Blob, Choice, Code, Date, Decimal, Double, Generated, Id, Int, Json, Name, Number, OldDate, Parent,
    Point, Ref, Text, Time, Word,
};
use super::table::Table;

/// What a biobank is about.
pub fn core() -> Vec<Table> {
    vec![
        Table::new("sites", 200, &[("id", Id), ("title", Text(3)), ("place", Point), ("code", Code)])
            .key("SPATIAL KEY (place)"),
        Table::new("departments", 400, &[("id", Id), ("site_id", Ref("sites")), ("title", Word)]),
        Table::new(
            "staff",
            2_000,
            &[("id", Id), ("department_id", Ref("departments")), ("full_name", Name), ("login", Code)],
        ),
        Table::new("roles", 30, &[("id", Id), ("title", Word)]),
        Table::new(
            "staff_roles",
            4_000,
            &[("id", Id), ("staff_id", Ref("staff")), ("role_id", Ref("roles")), ("since", Date)],
        ),
        Table::new(
            "studies",
            150,
            &[
                ("id", Id),
                ("title", Text(8)),
                ("head_id", Ref("staff")),
                ("starts", Date),
                ("protocol", Text(300)),
            ],
        ),
        Table::new(
            "study_sites",
            600,
            &[("id", Id), ("study_id", Ref("studies")), ("site_id", Ref("sites"))],
        ),
        Table::new(
            "participants",
            120_000,
            &[
                ("id", Id),
                ("site_id", Ref("sites")),
                ("full_name", Name),
                ("birth", OldDate),
                ("national_id", Code),
                ("sex", Choice),
                ("remarks", Text(12)),
                ("initial", Generated("VARCHAR(1) GENERATED ALWAYS AS (LEFT(full_name, 1)) STORED")),
            ],
        )
        .key("KEY (full_name)")
        .key("KEY (national_id)")
        .key("KEY upper_name ((UPPER(full_name)))")
        .least(1_200),
        Table::new(
            "participant_contacts",
            150_000,
            &[
                ("id", Id),
                ("participant_id", Ref("participants")),
                ("contact_name", Name),
                ("phone", Code),
                ("address", Text(6)),
            ],
        )
        .key("KEY (contact_name)")
        .least(1_200),
        Table::new(
            "participant_identifiers",
            120_000,
            &[("id", Id), ("participant_id", Ref("participants")), ("number", Code), ("issuer", Word)],
        ),
        Table::new(
            "relatives",
            40_000,
            &[("id", Id), ("participant_id", Ref("participants")), ("full_name", Name), ("kinship", Word)],
        ),
        Table::new(
            "enrolments",
            150_000,
            &[
                ("id", Id),
                ("participant_id", Ref("participants")),
                ("study_id", Ref("studies")),
                ("since", Date),
                ("state", Choice),
            ],
        ),
        Table::new(
            "consent_texts",
            60,
            &[("id", Id), ("study_id", Ref("studies")), ("version", Int(20)), ("body", Text(800))],
        ),
        Table::new(
            "consents",
            150_000,
            &[
                ("id", Id),
                ("enrolment_id", Ref("enrolments")),
                ("text_id", Ref("consent_texts")),
                ("signed", Time),
                ("signed_by", Name),
                ("answers", Json),
            ],
        ),
        Table::new(
            "consent_scans",
            3_000,
            &[("id", Id), ("consent_id", Ref("consents")), ("scan", Blob(24_000))],
        )
        .least(20),
        Table::new(
            "visits",
            400_000,
            &[
                ("id", Id),
                ("enrolment_id", Ref("enrolments")),
                ("day", Date),
                ("seen_by", Ref("staff")),
                ("weight", Decimal),
                ("summary", Text(14)),
            ],
        )
        .key("KEY (day)"),
        Table::new(
            "diagnoses",
            300_000,
            &[
                ("id", Id),
                ("visit_id", Ref("visits")),
                ("code", Code),
                ("certainty", Choice),
                ("note", Text(5)),
            ],
        )
        .key("KEY (code)"),
        Table::new(
            "freezers",
            100,
            &[("id", Id), ("site_id", Ref("sites")), ("title", Word), ("degrees", Int(90))],
        ),
        Table::new(
            "boxes",
            20_000,
            &[("id", Id), ("freezer_id", Ref("freezers")), ("within", Parent), ("label", Code)],
        ),
        Table::new(
            "specimens",
            500_000,
            &[
                ("id", Id),
                ("visit_id", Ref("visits")),
                ("taken_from", Parent),
                ("box_id", Ref("boxes")),
                ("label", Code),
                ("kind", Word),
                ("amount", Decimal),
                ("taken", Time),
            ],
        )
        .key("UNIQUE KEY one_label (label, id)"),
        Table::new(
            "specimen_events",
            900_000,
            &[
                ("id", Id),
                ("specimen_id", Ref("specimens")),
                ("at", Time),
                ("what", Word),
                ("by_id", Ref("staff")),
            ],
        ),
        Table::new(
            "lab_results",
            1_500_000,
            &[
                ("id", Id),
                ("specimen_id", Ref("specimens")),
                ("analyte", Code),
                ("value", Decimal),
                ("raw", Double),
                ("unit", Word),
                ("measured", Time),
            ],
        )
        .key("KEY (analyte, value)"),
        Table::new(
            "shipments",
            4_000,
            &[
                ("id", Id),
                ("from_id", Ref("sites")),
                ("to_id", Ref("sites")),
                ("sent", Time),
                ("addressee", Name),
            ],
        ),
        Table::new(
            "shipment_items",
            60_000,
            &[("id", Id), ("shipment_id", Ref("shipments")), ("specimen_id", Ref("specimens"))],
        ),
        Table::new(
            "requests",
            8_000,
            &[("id", Id), ("study_id", Ref("studies")), ("made_by", Ref("staff")), ("reason", Text(40))],
        ),
        Table::new(
            "request_items",
            40_000,
            &[("id", Id), ("request_id", Ref("requests")), ("specimen_id", Ref("specimens"))],
        ),
        Table::new(
            "pathology_reports",
            12_000,
            &[
                ("id", Id),
                ("specimen_id", Ref("specimens")),
                ("written", Time),
                ("by_id", Ref("staff")),
                ("report", Text(250)),
            ],
        )
        .key("FULLTEXT KEY (report)"),
        Table::new(
            "documents",
            2_500,
            &[
                ("id", Id),
                ("participant_id", Ref("participants")),
                ("title", Text(4)),
                ("content", Blob(40_000)),
            ],
        )
        .least(20),
        Table::new(
            "appointments",
            60_000,
            &[
                ("id", Id),
                ("participant_id", Ref("participants")),
                ("at", Time),
                ("with_id", Ref("staff")),
                ("note", Text(4)),
            ],
        ),
        Table::new(
            "messages",
            80_000,
            &[
                ("id", Id),
                ("to_id", Ref("staff")),
                ("about_id", Ref("participants")),
                ("body", Text(30)),
                ("sent", Time),
            ],
        ),
    ]
}

/// Tables of kinds that need care. Partitioned ones have no foreign keys: MySQL does not allow both.
pub fn odd() -> Vec<Table> {
    let audit = [
        ("id", Id),
        ("at", Time),
        ("who", Name),
        ("entity", Word),
        ("row_id", Int(1_000_000)),
        ("change", Json),
        ("details", Text(10)),
    ];
    vec![
        Table::new("audit_events", 800_000, &audit).key("PRIMARY KEY (id, at)").key("KEY (who)").options(
            "PARTITION BY RANGE COLUMNS (at) (PARTITION p2016 VALUES LESS THAN ('2017-01-01'), PARTITION p2018 VALUES LESS THAN ('2019-01-01'), \
             PARTITION p2020 VALUES LESS THAN ('2021-01-01'), PARTITION p2022 VALUES LESS THAN ('2023-01-01'), PARTITION later VALUES LESS THAN (MAXVALUE))",
        ),
        Table::new("access_log", 900_000, &[("id", Id), ("at", Time), ("who", Name), ("page", Word)]).options("PARTITION BY HASH (id) PARTITIONS 8"),
        Table::new("visit_archive", 80_000, &[("id", Id), ("day", Date), ("site", Int(50)), ("summary", Text(20))])
            .key("PRIMARY KEY (id, day)")
            .options(
                "PARTITION BY RANGE (YEAR(day)) SUBPARTITION BY HASH (TO_DAYS(day)) SUBPARTITIONS 2 \
                 (PARTITION old VALUES LESS THAN (2020), PARTITION `not so old` VALUES LESS THAN MAXVALUE)",
            ),
        Table::new("scanned_letters", 15_000, &[("id", Id), ("participant_id", Ref("participants")), ("body", Text(200))])
            .options("ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8"),
        Table::new("call_lists", 20_000, &[("id", Number), ("full_name", Name), ("called", OldDate)]).least(1_000),
        Table::new("patients of 1998", 5_000, &[("id", Id), ("full name", Name), ("born", OldDate)]).options("ROW_FORMAT=REDUNDANT"),
        Table::new("settings", 100, &[("id", Id), ("title", Word), ("value", Code)]),
    ]
}
