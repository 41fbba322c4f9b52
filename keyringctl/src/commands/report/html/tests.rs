// SPDX-License-Identifier: GPL-2.0-or-later
//! Tests of the page's structure, also with hostile names.

use super::*;
use crate::commands::report::facts::SchemaRow;
use crate::commands::report::findings::findings;
use crate::commands::report::known::Known;
use crate::commands::report::sample::{fine, item};
use crate::server::{PlaceKind, PlaceState};

fn shown(facts: &Facts) -> String {
    let found = findings(facts);
    let outcome = ReportVerdict::from_findings(facts, &found);
    page(facts, &found, outcome, &outcome.headline(facts, &found), "00ff")
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
    for foreign in
        ["<script", "<link", "<img", "src=", "href=", "http://", "https://", "@import", "javascript:"]
    {
        assert!(!page.contains(foreign), "{foreign}");
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
    facts.server.hostname = hostile.to_owned();
    facts.server.version = hostile.to_owned();
    facts.server.datadir = hostile.to_owned();
    facts.way = hostile.to_owned();
    facts.keyring.last_error = hostile.to_owned();
    facts.transit.certificate = hostile.to_owned();
    facts.transit.not_after = hostile.to_owned();
    facts.transit.connections = Known::Measured(vec![(hostile.to_owned(), 1)]);
    facts.files = Known::NotMeasured(hostile.to_owned());
    facts.keys = Known::NotMeasured(hostile.to_owned());
    facts.copies[0].path = hostile.into();
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
