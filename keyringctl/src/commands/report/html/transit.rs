// SPDX-License-Identifier: GPL-2.0-or-later
//! The section on connections and their certificates.

use super::super::certificates::{CertificateFile, Use};
use super::super::facts::Facts;
use super::super::transit::ReplicationLink;
use super::parts::{Column, Name, known, table, text, unknown};
use crate::commands::output::time;
use crate::show::{Shown, visible};
use maud::{Markup, html};

pub(super) fn section(facts: &Facts) -> Markup {
    let transit = &facts.transit;
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let required = match transit.require_secure_transport {
        Some(true) => {
            html! { span class="state good" { "ON" } ": every connection over the network is encrypted" }
        }
        Some(false) => html! { span class="state risk" { "OFF" } ": clients may connect without TLS" },
        None => unknown("the server does not have this setting"),
    };
    html! {
        section aria-labelledby="transit" {
            h2 id="transit" { "In transit" }
            dl {
                dt { "require_secure_transport" } dd { (required) }
                dt { "tls_version" } dd { (Name(or_none(&transit.tls_version))) }
                dt { "Server certificate" } dd { (Name(or_none(&transit.certificate))) }
                dt { "Valid from" } dd { (visible(or_none(&transit.not_before))) }
                dt { "Valid until" } dd { (visible(or_none(&transit.not_after))) }
                dt { "Connections at that time" }
                dd {
                    (known(&transit.connections, |all| html! {
                        @for (i, (kind, n)) in all.iter().enumerate() { @if i > 0 { ", " } (n) " by " (visible(kind)) }
                        " (including the one of this report)"
                    }))
                }
                dt { "Replicas at that time" } dd { (known(&transit.replicas, |all| replicas(all))) }
            }
            (known(&transit.replication, |links| replication(links)))
            (certificates(&transit.certificates, facts.measured))
        }
    }
}

fn replicas(all: &[(String, bool)]) -> Markup {
    html! {
        @if all.is_empty() { "none is connected" }
        @for (i, (host, tls)) in all.iter().enumerate() {
            @if i > 0 { ", " }
            (Name(host)) " " (encrypted(*tls))
        }
    }
}

fn encrypted(tls: bool) -> Markup {
    html! {
        @if tls { span class="state good" { "encrypted" } } @else { span class="state risk" { "not encrypted" } }
    }
}

fn replication(links: &[ReplicationLink]) -> Markup {
    let rows = links.iter().map(|link| {
        let verified = html! {
            @if link.verified { span class="state good" { "checked" } }
            @else { span class="state risk" { "not checked" } }
        };
        let channel = if link.channel.is_empty() {
            html! { "default" }
        } else {
            html! { (Name(&link.channel)) }
        };
        vec![html! { (Name(&link.source)) }, channel, encrypted(link.tls), verified]
    });
    let columns = [text("From"), text("Channel"), text("Connection"), text("Certificate of the source")];
    html! {
        @if links.is_empty() { p { "This server gets no changes from other servers." } }
        @else { (table("Connections through which this server gets changes", &columns, rows)) }
    }
}

fn certificates(files: &[CertificateFile], now: u64) -> Markup {
    let mut rows = Vec::new();
    for file in files {
        let purpose = match file.purpose {
            Use::Server => "",
            Use::Client => ", this server's own",
            Use::Authority => ", authority",
        };
        let place = html! { (Name(file.path.shown())) " (" (visible(&file.of)) (purpose) ")" };
        let Some(all) = file.certificates.measured() else {
            rows.push(vec![place, known(&file.certificates, |_| html! {}), html! {}, html! {}]);
            continue;
        };
        for (i, certificate) in all.iter().enumerate() {
            let place = if i == 0 {
                place.clone()
            } else {
                html! { (Name(file.path.shown())) ", next" }
            };
            let end = html! {
                @if certificate.not_after <= now { span class="state bad" { "ended" } " " }
                (time(certificate.not_after))
                @if i == 0 && file.differs_from_loaded() { br; span class="state risk" { "not the loaded one" } }
            };
            rows.push(vec![
                place,
                html! { (Name(&certificate.subject)) },
                html! { @if certificate.issuer == certificate.subject { "itself" } @else { (Name(&certificate.issuer)) } },
                end,
            ]);
        }
    }
    let columns =
        [Column("File", Some("third")), text("Subject"), text("Issuer"), Column("Ends", Some("nowrap"))];
    html! {
        @if !rows.is_empty() { (table("Certificates in the files that the server uses", &columns, rows)) }
        p { "No signature of a certificate was checked. Serial numbers and SHA-256 hashes are in the JSON." }
    }
}
