// SPDX-License-Identifier: GPL-2.0-or-later
//! Tests of the page's structure, also with hostile names.

use super::*;
use crate::commands::report::access::{Ability, Access, Account, Right};
use crate::commands::report::audit::{DestroyedKey, EventLines, LogLine};
use crate::commands::report::certificates::{Certificate, CertificateFile, Use};
use crate::commands::report::findings::findings;
use crate::commands::report::known::Known;
use crate::commands::report::sample::{fine, item};
use crate::commands::report::tables::{SchemaRow, TableRow};
use crate::server::{PlaceKind, PlaceState, Tally};

fn shown(facts: &Facts) -> String {
    let found = findings(facts);
    let outcome = ReportVerdict::from_findings(facts, &found);
    let controls = crate::commands::report::controls::controls(facts);
    page(facts, &found, &controls, (outcome, &outcome.headline(facts, &found)), "00ff")
}

/// Tags that are never closed.
const VOID: [&str; 3] = ["meta", "!DOCTYPE", "br"];

/// Names of all elements, when each is closed where it should be.
fn elements(page: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let mut rest = page;
    while let Some((_, tail)) = rest.split_once('<') {
        let (tag, after) = tail.split_once('>').expect("a tag ends");
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed where {after:.60} begins");
        } else if !VOID.contains(&name.as_str()) {
            open.push(name.clone());
            all.push(name);
        }
        rest = after;
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    all
}

#[test]
fn the_page_is_complete_and_loads_nothing() {
    let page = shown(&fine());
    let elements = elements(&page);
    for name in ["h1", "main", "svg", "title", "desc", "caption", "footer"] {
        assert!(elements.iter().any(|e| e == name), "no {name}");
    }
    let count = |name: &str| elements.iter().filter(|e| *e == name).count();
    assert_eq!(count("h1"), 1);
    assert_eq!(count("table"), count("caption"), "every table has a caption");
    assert_eq!(
        page.matches("<th ").count(),
        page.matches("<th scope=").count(),
        "every heading says of what"
    );
    for foreign in ["<script", "<link", "<img", "src=", "http://", "https://", "@import", "javascript:"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(
        page.matches("href=").count(),
        page.matches("href=\"#").count(),
        "links lead to the page itself"
    );
    for (id, _) in SECTIONS {
        assert_eq!(page.matches(&format!("<h2 id=\"{id}\"")).count(), 1, "{id}");
    }
    let outside = page.replace("url(#stripes)", "").replace("url(#dots)", "");
    assert!(!outside.contains("url("));
    assert!(page.contains("OK: Everything that MySQL can encrypt is encrypted") && page.contains("00ff"));
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "a<script>alert(1)</script>&amp;\"'`><!--\u{202e}x\n</td></table>";
    let mut facts = fine();
    facts.places.push(item(PlaceKind::Table, hostile, PlaceState::Clear));
    facts.schemas.push(SchemaRow { name: hostile.to_owned(), clear: 1, ..SchemaRow::default() });
    facts.tables.push(TableRow {
        schema: hostile.to_owned(),
        name: hostile.to_owned(),
        about: hostile.to_owned(),
        ..facts.tables[0].clone()
    });
    facts.origin.account = hostile.to_owned();
    facts.origin.client = hostile.to_owned();
    facts.origin.user = hostile.to_owned();
    facts.origin.sudo_user = Some(hostile.to_owned());
    facts.origin.host = hostile.to_owned();
    facts.origin.command = hostile.to_owned();
    facts.server.hostname = hostile.to_owned();
    facts.server.version = hostile.to_owned();
    facts.server.datadir = hostile.to_owned();
    facts.way = hostile.to_owned();
    facts.keyring.last_error = hostile.to_owned();
    facts.transit.certificate = hostile.to_owned();
    facts.transit.not_after = hostile.to_owned();
    facts.transit.connections = Known::Measured(vec![(hostile.to_owned(), 1)]);
    facts.transit.replicas = Known::Measured(vec![(hostile.to_owned(), true)]);
    facts.transit.replication = Known::NotMeasured(hostile.to_owned());
    facts.modules.server_library = Some(hostile.to_owned());
    facts.modules.server_fips_mode = Some(hostile.to_owned());
    let right =
        Right { ability: Ability::Rotate, privilege: "X".to_owned(), through: Some(hostile.to_owned()) };
    let (user, host, plugin, tls) =
        (hostile.to_owned(), hostile.to_owned(), hostile.to_owned(), hostile.to_owned());
    let account = Account { user, host, plugin, tls, locked: false, no_password: false, rights: vec![right] };
    let secure_file_priv = Some(hostile.to_owned());
    facts.access = Known::Measured(Access { accounts: vec![account], secure_file_priv });
    let (subject, issuer) = (hostile.to_owned(), format!("{hostile}2"));
    let certificate = Certificate {
        subject,
        issuer,
        serial: String::new(),
        not_before: 0,
        not_after: 0,
        sha256: String::new(),
    };
    facts.transit.certificates.push(CertificateFile {
        of: hostile.to_owned(),
        purpose: Use::Authority,
        path: hostile.into(),
        certificates: Known::Measured(vec![certificate]),
        loaded_not_after: None,
    });
    facts.files = Known::NotMeasured(hostile.to_owned());
    facts.keys = Known::NotMeasured(hostile.to_owned());
    facts.copies[0].path = hostile.into();
    let Known::Measured(audit) = &mut facts.audit else { unreachable!("the sample's log was verified") };
    audit.file = Some(hostile.into());
    audit.files.push(hostile.into());
    audit.logs[0].findings.push(hostile.to_owned());
    audit.logs[0].remarks.push(hostile.to_owned());
    let (time, event, who) = (hostile.to_owned(), hostile.to_owned(), hostile.to_owned());
    let (log, about) = (audit.logs[0].checked.log, hostile.to_owned());
    let log = uuid::Uuid::from_bytes(log);
    let last = LogLine { log, number: 1, time, event, who, about };
    audit.events.push(EventLines { what: "x", name: "x", lines: 1, last: Some(last) });
    let (key, time, who) = (hostile.to_owned(), hostile.to_owned(), hostile.to_owned());
    audit.destroyed.push(DestroyedKey {
        key,
        time,
        who,
        min_wait_days: None,
        confirmed: false,
        log,
        number: 1,
    });
    let page = shown(&facts);
    elements(&page);
    assert!(!page.contains("<script") && !page.contains("</td></table>\n") && !page.contains("<!--"));
    assert!(!page.contains('\u{202e}') && page.contains("\\u{202e}x\\u{a}"));
    assert!(page.contains("a&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;&quot;"), "it is still to be read");
}

#[test]
fn what_was_not_measured_is_shown() {
    let mut facts = fine();
    facts.files = Known::NotMeasured("no permission".to_owned());
    facts.keys = Known::NotMeasured("no secret".to_owned());
    let page = shown(&facts);
    assert!(page.contains("INCOMPLETE: "));
    assert!(page.contains("not checked</span>: no permission"));
    assert!(page.contains("not checked</span>: no secret"));
    assert!(!page.contains("No unencrypted data</span>"));
}

#[test]
fn unencrypted_data_in_files_is_not_denied() {
    let said = |unencrypted: usize, not_read: usize| {
        let mut facts = fine();
        if let Known::Measured(files) = &mut facts.files {
            (files.seen.unencrypted, files.seen.not_read) = (unencrypted, not_read);
        }
        let page = shown(&facts);
        (
            page.contains("No unencrypted data</span>"),
            page.contains("Unencrypted data</span> was found in 11 of them"),
        )
    };
    assert_eq!((said(0, 0), said(11, 0), said(0, 1)), ((true, false), (false, true), (false, false)));
}

#[test]
fn every_table_is_listed_with_schema_state_and_size() {
    let mut facts = fine();
    facts.tables = (0..300)
        .map(|i| TableRow { name: format!("t{i}"), bytes: 2_000_000, ..facts.tables[0].clone() })
        .collect();
    facts.tables[7].state = PlaceState::Clear;
    facts.schemas = vec![SchemaRow {
        name: "clinic".to_owned(),
        encrypted: 299,
        clear: 1,
        new_tables: Some(false),
        ..SchemaRow::default()
    }];
    let page = shown(&facts);
    let (_, list) = page.split_once("All tables").expect("a section");
    for i in 0..300 {
        let (_, row) = list.split_once(&format!(">t{i}</span>")).expect("a row");
        let (row, _) = row.split_once("</tr>").expect("its end");
        let state = if i == 7 { ">unencrypted<" } else { ">encrypted<" };
        assert!(row.contains(state) && row.contains("2.0 MB") && row.contains("3 partitions"), "{row}");
    }
    assert!(list.contains("300 tables, 299 encrypted, 1 unencrypted"));
    // A closed part of the page would be missing on paper.
    assert_eq!(page.matches("<details").count(), page.matches("<details open").count());
}

#[test]
fn the_page_says_who_made_it_from_where_and_how() {
    let page = shown(&fine());
    for fact in [
        "<span class=\"name\">root@localhost</span>",
        "user <span class=\"name\">root</span> of the host <span class=\"name\">db</span>",
        "which <span class=\"name\">anna</span> became through sudo",
        "<code>keyringctl report --html encryption.html</code>",
        "/run/mysqld/mysqld.sock",
        "2026-06-01T00:00:00Z, with keyringctl 0",
        "<dt>Server UUID</dt><dd><span class=\"name\">u</span></dd>",
    ] {
        assert!(page.contains(fact), "{fact}");
    }
}

#[test]
fn settings_are_set_or_not_set_and_never_encrypted_or_unencrypted() {
    let mut facts = fine();
    let kinds = [PlaceKind::Setting, PlaceKind::LateSetting, PlaceKind::Schema, PlaceKind::ChangeBuffer];
    for (state, word) in [(PlaceState::Clear, "NOT SET"), (PlaceState::Encrypted, "set")] {
        facts.places = kinds.map(|kind| item(kind, "x", state)).to_vec();
        let page = shown(&facts);
        let (_, settings) = page.split_once("Settings that decide").expect("a table");
        let (settings, _) = settings.split_once("</table>").expect("its end");
        assert_eq!(settings.matches(&format!(">{word}</span>")).count(), 4, "{settings}");
        for wrong in ["in clear", "encrypted</span>"] {
            assert!(!settings.contains(wrong), "{settings}");
        }
    }
    assert!(!shown(&facts).contains("in clear"));
}

#[test]
fn the_summary_has_the_count_that_all_commands_show() {
    let mut facts = fine();
    facts.places.push(item(PlaceKind::OtherEngine, "clinic.old", PlaceState::Clear));
    facts.places.push(item(PlaceKind::Schema, "clinic", PlaceState::Clear));
    facts.tally = Tally::of(&facts.places);
    let page = shown(&facts);
    for line in facts.tally.lines() {
        assert!(page.contains(&line), "{line}");
    }
    assert!(page.contains("Not everything is encrypted: 1 place is unencrypted, 1 setting is not set"));
}

#[test]
fn on_a_narrow_screen_each_cell_repeats_its_heading() {
    let mut facts = fine();
    facts.places.push(item(PlaceKind::Table, "clinic.names", PlaceState::Clear));
    let page = shown(&facts);
    let cells = page.split("<td").skip(1);
    let without = cells.filter(|cell| !cell.split('>').next().unwrap_or_default().contains("data-label="));
    // The bar's legend has three short columns, which fit: four rows of two cells beside their headings.
    assert_eq!(without.count(), 8);
    assert!(STYLE.contains("content: attr(data-label)"));
}

#[test]
fn the_log_is_shown_with_its_faults_and_what_it_tells_of_destroyed_keys() {
    let mut facts = fine();
    let page = shown(&facts);
    assert!(page.contains(">verified</span>: no line was changed, moved or is missing"));
    assert!(page.contains("3, from number 1 (2026-05-31T00:00:00.000Z) to number 3"));
    assert!(
        page.contains("The audit log tells of none since it begins, on <span class=\"nowrap\">2026-05-31")
    );
    let Known::Measured(audit) = &mut facts.audit else { unreachable!("the sample's log was verified") };
    audit.logs[0].findings.push("/v/audit.log line 2: the line was changed".to_owned());
    audit.destroyed.push(DestroyedKey {
        key: "INNODBKey-u-1".to_owned(),
        time: "2026-05-31T00:00:00.500Z".to_owned(),
        who: "keyringctl keys destroy, user root".to_owned(),
        min_wait_days: Some(30),
        confirmed: true,
        log: uuid::Uuid::nil(),
        number: 2,
    });
    let page = shown(&facts);
    assert!(
        page.contains(">1 fault</span>")
            && page.contains("<li>/v/audit.log line 2: the line was changed</li>")
    );
    for told in ["2026-05-31T00:00:00.500Z", "keyringctl keys destroy, user root", "30 days"] {
        assert!(page.contains(told), "{told}");
    }
    let Known::Measured(audit) = &mut facts.audit else { unreachable!("the sample's log was verified") };
    audit.file = None;
    let page = shown(&facts);
    assert!(
        page.contains("The server keeps none.") && page.contains("nothing records which keys were destroyed")
    );
}
