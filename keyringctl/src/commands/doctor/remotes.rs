// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the remotes that hold copies: the file that describes them, every endpoint on its own, certificates, the clock,
//! the credentials and their rights, that conditional writes are honoured, and what each engine says about itself.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use crate::commands::apart::remote_of;
use crate::commands::output::time;
use crate::commands::store_places::remotes_file;
use crate::show::{Shown, counted};
use keyring_external::config::{DEFAULT_REMOTES, RemoteName};
use keyring_external::keyring::now;
use keyring_external::store::remote::examine::{Engine, Subject, Weight};
use keyring_external::store::remote::http::Client;
use keyring_external::store::remote::objects::Cause;
use keyring_external::store::remote::open::open;
use keyring_external::store::remote::probe::{Verdict, honours_conditions};
use keyring_external::store::remote::remotes::{Remote, Remotes};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

const FILE: &str = "remotes-file";
const ENDPOINTS: &str = "remote-endpoints";
const CERTIFICATE: &str = "remote-certificate";
const CLOCK: &str = "remote-clock";
const CREDENTIALS: &str = "remote-credentials";
const RIGHTS: &str = "remote-rights";
const CONDITIONS: &str = "remote-conditions";
const HISTORY: &str = "remote-history";
const CLUSTER: &str = "remote-cluster";

/// How long a look at one thing may take.
const LOOK: Duration = Duration::from_secs(10);
/// A certificate that ends sooner gets a warning.
const SOON: u64 = 30 * 24 * 60 * 60;
/// S3 refuses requests of a clock that is 15 minutes off; tokens and certificates need less.
const CLOCK_OFF: u64 = 5 * 60;

/// Why it matters that a remote cannot be used.
const NO_COPY: &str = "mysqld can neither read nor change the copy there.";

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&[
        FILE,
        ENDPOINTS,
        CERTIFICATE,
        CLOCK,
        CREDENTIALS,
        RIGHTS,
        CONDITIONS,
        HISTORY,
        CLUSTER,
    ]);
    let names: BTreeSet<&str> = view.host.at_remotes().filter_map(|(_, copy)| remote_of(copy)).collect();
    if names.is_empty() {
        return;
    }
    let file = remotes_file();
    if file != Path::new(DEFAULT_REMOTES) {
        let what = format!("the remotes that were examined are those of {}", file.shown());
        found.note(FILE, what, "");
    }
    let remotes = match Remotes::read(&file) {
        Ok(remotes) => remotes,
        Err(trouble) => {
            let fix = vec!["correct the file as docs/REMOTES.md describes".to_owned()];
            return add(found, (FindingLevel::Error, FILE, Some(&file)), trouble.told, NO_COPY, &fix);
        }
    };
    for name in names {
        match remotes.get(name) {
            Ok(remote) => {
                endpoints(remote, found);
                let copies = view.host.at_remotes().filter(|(_, copy)| remote_of(copy) == Some(name));
                for (_, copy) in copies {
                    objects(copy, &file, view.host.read_only, found);
                }
            }
            Err(trouble) => {
                let fix = vec![format!("describe the remote {name} in {}", file.shown())];
                add(found, (FindingLevel::Error, FILE, Some(&file)), trouble.told, NO_COPY, &fix);
            }
        }
    }
}

/// Adds a finding about a remote. What fixes it is a change of another machine, or of the remotes file.
fn add(
    found: &mut Findings,
    (level, check, path): (FindingLevel, &'static str, Option<&Path>),
    what: impl Into<String>,
    why: &str,
    fix: &[String],
) {
    found.add(level, check, what, why, fix).path = path.map(Path::to_owned);
}

/// Looks at every endpoint on its own: a client that works hides those that do not. If none answers, what reads the copy
/// says so, and why.
fn endpoints(remote: &Remote, found: &mut Findings) {
    let client = Client::new(remote.client.clone());
    let all = client.endpoints().len();
    let mut silent = Vec::new();
    for endpoint in client.endpoints() {
        let seen = client.look_at(endpoint, Instant::now() + LOOK);
        if let Err(why) = &seen.answered {
            silent.push(format!("{endpoint}: {why}"));
        }
        if let Some(end) = seen.certificate_ends {
            certificate(&format!("the certificate of {endpoint} (remote {})", remote.name), end, found);
        }
        let date = seen.date.and_then(|date| http_date(&date));
        let here = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Some(off) = date.map(|date| date.abs_diff(here)).filter(|off| *off > CLOCK_OFF) {
            add(
                found,
                (FindingLevel::Warning, CLOCK, None),
                format!(
                    "the clock of {endpoint} and the clock of this host differ by {}",
                    counted(off as usize, "second")
                ),
                "Engines refuse requests and certificates when clocks differ, and the times of changes are wrong.",
                &["synchronise both clocks: timedatectl set-ntp true".to_owned()],
            );
        }
    }
    if !silent.is_empty() && silent.len() < all {
        add(
            found,
            (FindingLevel::Warning, ENDPOINTS, None),
            format!(
                "{} of {all} endpoints of the remote {} do not answer: {}",
                silent.len(),
                remote.name,
                silent.join("; ")
            ),
            "If the others fail too, mysqld can neither read nor change the copy there.",
            &["start the engine there, or correct the endpoints or certificates in the remotes file"
                .to_owned()],
        );
    }
    match client.own_certificate_ends() {
        Ok(Some(end)) => {
            certificate(&format!("the client certificate of the remote {}", remote.name), end, found)
        }
        Ok(None) => {}
        Err(why) => {
            add(found, (FindingLevel::Error, CERTIFICATE, None), why, NO_COPY, &fix_of(Cause::Settings));
        }
    }
}

/// What to do about a request that failed, beside what its message says.
fn fix_of(cause: Cause) -> Vec<String> {
    let fix = match cause {
        Cause::Credentials => {
            "correct the credentials that the remotes file names, or renew them at the engine"
        }
        Cause::NotAllowed => "give the credentials the rights that docs/REMOTES.md lists for this engine",
        Cause::Settings | Cause::NotTheEngine => "correct the remotes file as docs/REMOTES.md describes",
        Cause::Certificate => "renew the certificate, or correct ca, cert and key in the remotes file",
        Cause::Sealed => "unseal the engine",
        Cause::Full => "give the engine more room, or delete what it no longer needs",
        Cause::Unreachable => "start the engine there, or correct the endpoints in the remotes file",
        Cause::NoMajority | Cause::Unwell => "see that the members of the engine are well",
    };
    vec![fix.to_owned()]
}

/// Reports a certificate that ends soon.
fn certificate(whose: &str, end: u64, found: &mut Findings) {
    let left = end.saturating_sub(now());
    if left < SOON {
        let days = counted((left / (24 * 60 * 60)) as usize, "day");
        add(
            found,
            (FindingLevel::Warning, CERTIFICATE, None),
            format!("{whose} ends in {days}, at {}", time(end)),
            "After that, mysqld cannot reach the copy there.",
            &["renew the certificate; mysqld reads the new file when it changes".to_owned()],
        );
    }
}

/// Looks at what the credentials may do, and at what the engine says of itself.
fn objects(copy: &Path, file: &Path, read_only: bool, found: &mut Findings) {
    let Ok(RemoteName { remote, prefix }) = RemoteName::parse(copy) else { return };
    let Ok(engine) = open(file, &remote) else { return };
    let until = || Instant::now() + LOOK;
    if let Err(trouble) = engine.get(&format!("{prefix}/head"), until()) {
        let check = match trouble.cause {
            Cause::Credentials | Cause::Settings => CREDENTIALS,
            Cause::NotAllowed => RIGHTS,
            Cause::Certificate => CERTIFICATE,
            Cause::Unreachable => ENDPOINTS,
            _ => CLUSTER,
        };
        let what = format!("cannot read {}: {trouble}", copy.shown());
        let fix = fix_of(trouble.cause);
        return add(found, (FindingLevel::Error, check, Some(copy)), what, NO_COPY, &fix);
    }
    rights(copy, &prefix, engine.as_ref(), found);
    if !read_only {
        conditions(copy, &prefix, engine.as_ref(), found);
    }
    for seen in engine.examine(&prefix, until()) {
        let level = match seen.weight {
            Weight::Error => FindingLevel::Error,
            Weight::Warning => FindingLevel::Warning,
            Weight::Note => FindingLevel::Note,
        };
        let check = match seen.subject {
            Subject::Credentials => CREDENTIALS,
            Subject::Rights => RIGHTS,
            Subject::History => HISTORY,
            Subject::Cluster => CLUSTER,
        };
        let what = format!("{}: {}", copy.shown(), seen.what);
        add(found, (level, check, Some(copy)), what, &sentence(&seen.why), &seen.fix);
    }
}

/// Tries to read beside the prefix, which least rights do not allow.
fn rights(copy: &Path, prefix: &str, engine: &dyn Engine, found: &mut Findings) {
    // No name that begins with the prefix: a right to all that begins so would allow it.
    let beside = match prefix.rsplit_once('/') {
        Some((above, _)) => format!("{above}/0-keyringctl-doctor/head"),
        None => "0-keyringctl-doctor/head".to_owned(),
    };
    if engine.get(&beside, Instant::now() + LOOK).is_ok() {
        add(
            found,
            (FindingLevel::Warning, RIGHTS, Some(copy)),
            format!("the credentials for {} may also read what is stored beside it", copy.shown()),
            "Anyone who has the credentials of this server can read, and perhaps delete, the keyrings of others. They are \
             encrypted, but a deleted one is lost.",
            &[format!(
                "give this server credentials that may only use {prefix}/ (docs/REMOTES.md has the policies)"
            )],
        );
    }
}

/// Lets several writers race for an object below the prefix: only one may win.
fn conditions(copy: &Path, prefix: &str, engine: &dyn Engine, found: &mut Findings) {
    match honours_conditions(engine, prefix, Instant::now() + 2 * LOOK) {
        Ok(Verdict::Honoured) => {}
        Ok(Verdict::Broken(what)) => add(
            found,
            (FindingLevel::Error, CONDITIONS, Some(copy)),
            format!("the engine of {} does not do what a keyring needs: {what}", copy.shown()),
            "Two programs that change the keyring at the same time would lose keys.",
            &["use another engine, or a version of it that honours conditional writes".to_owned()],
        ),
        Err(trouble) => add(
            found,
            (FindingLevel::Error, CONDITIONS, Some(copy)),
            format!("cannot write below {}: {trouble}", copy.shown()),
            "mysqld can store no new key there.",
            &fix_of(trouble.cause),
        ),
    }
}

/// A sentence of an engine as findings have it.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str().trim_end_matches('.')),
        None => String::new(),
    }
}

/// The time of a `Date` header, in seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split(", ").nth(1)?.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let parsed = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()?;
    Some(parsed.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_answer_is_read() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("yesterday"), None);
        assert_eq!(http_date("Sun, 06 Foo 1994 08:49:37 GMT"), None);
    }
}
