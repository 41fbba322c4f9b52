// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables that come in families: forms, code lists, audit trails.

use super::table::Column::{Choice, Code, Date, Decimal, Id, Int, Json, Ref, Text, Time};
use super::table::Table;

/// Forms, code lists and audit trails.
pub fn families() -> Vec<Table> {
    #[rustfmt::skip]
    const FORMS: [&str; 44] = [
        "admission", "alcohol", "allergies", "anaesthesia", "anthropometry", "apnoea", "asthma", "biopsy",
        "blood_pressure", "cardiology", "chemotherapy", "cognition", "dental", "depression", "dermatology",
        "diabetes", "diet", "discharge", "ecg", "endoscopy", "exercise", "eyes", "family_history", "fractures",
        "gait", "hearing", "hospital_stays", "imaging", "infections", "kidney", "liver", "lung", "medication",
        "migraine", "nutrition", "pain", "pregnancy", "radiology", "sleep", "smoking", "stroke", "surgery", "thyroid",
        "vaccination",
    ];
    #[rustfmt::skip]
    const CODES: [&str; 36] = [
        "analyte", "anticoagulant", "body_site", "cancer_stage", "cell_type", "clinical_state", "collection_method",
        "container_type", "country", "county", "device", "disposal_reason", "drug", "education", "ethnicity", "event",
        "fixation", "gender", "grade", "histology", "icd", "incident", "instrument", "kinship", "language",
        "marital_status", "occupation", "pathology_state", "preservation", "priority", "procedure", "quality",
        "species", "storage_type", "unit", "vital_status",
    ];
    #[rustfmt::skip]
    const AUDITED: [&str; 32] = [
        "participants", "contacts", "identifiers", "relatives", "enrolments", "consents", "visits", "diagnoses",
        "specimens", "boxes", "freezers", "shipments", "requests", "reports", "documents", "appointments", "messages",
        "staff", "roles", "studies", "sites", "departments", "forms", "codes", "results", "incidents", "logins",
        "exports", "imports", "queries", "prints", "merges",
    ];
    let form = [
        ("id", Id),
        ("visit_id", Ref("visits")),
        ("filled_by", Ref("staff")),
        ("filled", Time),
        ("level", Choice),
        ("score", Decimal),
        ("count", Int(100)),
        ("answer", Text(6)),
        ("free_text", Text(35)),
        ("more", Json),
    ];
    let code = [("id", Id), ("code", Code), ("title", Text(2)), ("valid_from", Date)];
    let audit = [
        ("id", Id),
        ("at", Time),
        ("by_id", Ref("staff")),
        ("row_id", Int(1_000_000)),
        ("old_value", Text(5)),
        ("new_value", Text(5)),
    ];
    let forms = FORMS.iter().map(|topic| Table::new(format!("form_{topic}"), 20_000, &form));
    let codes = CODES
        .iter()
        .map(|topic| Table::new(format!("code_{topic}"), 300, &code).options("TABLESPACE biobank_shared"));
    let audits = AUDITED.iter().map(|topic| Table::new(format!("audit_{topic}"), 15_000, &audit));
    forms.chain(codes).chain(audits).collect()
}
