// SPDX-License-Identifier: GPL-2.0-or-later
//! What the settings of a bucket mean for a keyring: versions and locks keep what was removed, lifecycle rules delete
//! or archive what is needed.

use super::answers::{self, Doing};
use super::xml::Element;
use super::{Asked, S3};
use crate::store::remote::examine::{Examine, Observation, Subject, Weight};
use std::time::{Duration, Instant, SystemTime};

/// A difference of clocks that is worth telling. The store refuses requests at 15 minutes.
const CLOCK_OFF: Duration = Duration::from_secs(60);

/// What the bucket answered to a question about a setting.
enum Setting {
    /// It has this.
    Is(Element),
    /// It has no such setting, or the store does not know it.
    None,
    /// The credentials may not ask: the permission that this needs.
    NotAllowed(&'static str),
}

impl S3 {
    fn setting(&self, name: &'static str, permission: &'static str, until: Instant) -> Setting {
        let parameters = [(name, "")];
        let asked = Asked { parameters: &parameters, ..Asked::new("GET", Doing::Setting(permission), "") };
        let Ok(answer) = self.ask(&asked, until) else { return Setting::None };
        match (answer.status, Element::read(&answer.body)) {
            (200, Some(root)) => Setting::Is(root),
            (403, _) => Setting::NotAllowed(permission),
            _ => Setting::None,
        }
    }

    /// How far this machine's clock is from the store's.
    fn clock(&self, prefix: &str, until: Instant) -> Option<Observation> {
        let parameters = [("list-type", "2"), ("max-keys", "1"), ("prefix", &*format!("{prefix}/"))];
        let asked = Asked { parameters: &parameters, ..Asked::new("GET", Doing::List(prefix), "") };
        let answer = self.ask(&asked, until).ok()?;
        let theirs = answer.header("date").and_then(answers::http_date)?;
        let ours = SystemTime::now();
        let apart = ours.duration_since(theirs).unwrap_or_else(|e| e.duration());
        let (by, ahead) = answers::off(ours, theirs);
        let what = format!(
            "the clock of this machine is {by} {} the clock of {}",
            if ahead { "ahead of" } else { "behind" },
            answer.endpoint
        );
        (apart > CLOCK_OFF).then(|| {
            let why = "the store refuses all requests when the clocks differ by more than 15 minutes";
            Observation::new(Subject::Cluster, Weight::Warning, what, why).fix("timedatectl set-ntp true")
        })
    }
}

impl Examine for S3 {
    fn examine(&self, prefix: &str, until: Instant) -> Vec<Observation> {
        let mut found: Vec<Observation> = self.clock(prefix, until).into_iter().collect();
        let mut unseen = Vec::new();
        let bucket = &self.settings.bucket;
        let mut versioned = false;
        match self.setting("versioning", "s3:GetBucketVersioning", until) {
            Setting::Is(root) => {
                if let Some(status @ ("Enabled" | "Suspended")) = root.text_of("Status") {
                    versioned = true;
                    found.push(self.versioning(prefix, status, until));
                }
            }
            Setting::NotAllowed(permission) => unseen.push(permission),
            Setting::None => {}
        }
        match self.setting("object-lock", "s3:GetBucketObjectLockConfiguration", until) {
            Setting::Is(root) if root.text_of("ObjectLockEnabled") == Some("Enabled") => {
                let rule = root.all("Rule").flat_map(|rule| rule.all("DefaultRetention")).next();
                let kept = rule.map_or_else(String::new, |retention| {
                    let said = |name| retention.text_of(name).unwrap_or_default();
                    let (unit, count) = match said("Years") {
                        "" => ("days", said("Days")),
                        years => ("years", years),
                    };
                    format!(", and keeps each object for {count} {unit}")
                });
                let weight = if kept.is_empty() { Weight::Warning } else { Weight::Error };
                let what = format!("object lock is on for bucket {bucket}{kept}");
                let why = "what is locked cannot be deleted, so removed keys and the data key before a renewal stay";
                let fix = "use a bucket without object lock: it cannot be switched off";
                found.push(Observation::new(Subject::History, weight, what, why).fix(fix));
            }
            Setting::NotAllowed(permission) => unseen.push(permission),
            _ => {}
        }
        match self.setting("lifecycle", "s3:GetLifecycleConfiguration", until) {
            Setting::Is(root) => {
                found.extend(root.all("Rule").filter_map(|rule| lifecycle(rule, prefix, bucket)));
            }
            Setting::NotAllowed(permission) => unseen.push(permission),
            Setting::None => {}
        }
        match self.setting("replication", "s3:GetReplicationConfiguration", until) {
            Setting::Is(root) if root.all("Rule").any(|rule| rule.text_of("Status") == Some("Enabled")) => {
                let what = format!("bucket {bucket} is replicated to another one");
                let why = "removed keys can stay there, and it lags behind: never use it as an endpoint of this remote";
                found.push(Observation::new(Subject::History, Weight::Note, what, why));
            }
            Setting::NotAllowed(permission) => unseen.push(permission),
            _ => {}
        }
        if !unseen.is_empty() {
            let versions = if versioned { "" } else { " whether it keeps versions," };
            let what = format!("the credentials may not read all settings of bucket {bucket}");
            let why = format!(
                "not checked:{versions} whether a rule deletes, archives, locks or replicates its objects. A server does \
                 not need these rights"
            );
            let fix = format!("to check, use credentials that also have {}", unseen.join(", "));
            found.push(Observation::new(Subject::History, Weight::Note, what, why).fix(fix));
        }
        found
    }
}

impl S3 {
    /// The bucket keeps versions: whether they can be deleted.
    fn versioning(&self, prefix: &str, status: &str, until: Instant) -> Observation {
        let bucket = &self.settings.bucket;
        let folder = format!("{prefix}/");
        let parameters = [("versions", ""), ("prefix", folder.as_str()), ("max-keys", "1")];
        let asked = Asked { parameters: &parameters, ..Asked::new("GET", Doing::Versions(&folder), "") };
        let listed = match self.ask(&asked, until) {
            Ok(answer) => answer.status == 200,
            Err(_) => false,
        };
        let what = match status {
            "Enabled" => format!("bucket {bucket} keeps old versions of objects (versioning is on)"),
            _ => format!("bucket {bucket} may still have old versions of objects (versioning is suspended)"),
        };
        let rule = "better use a bucket without versioning, or one with a lifecycle rule that deletes noncurrent versions \
                    after 1 day";
        if listed {
            let why = "the pieces of a keyring are deleted with their versions, but old heads stay, and anyone who may \
                       restore versions can bring back an older keyring: the witness of a server refuses it";
            Observation::new(Subject::History, Weight::Note, what, why).fix(rule)
        } else {
            let why = "removed keys stay in old versions, which these credentials may not delete";
            Observation::new(Subject::History, Weight::Warning, what, why)
                .fix("allow s3:ListBucketVersions and s3:DeleteObjectVersion for the access key")
                .fix(rule)
        }
    }
}

/// What a lifecycle rule does to a keyring at `prefix`.
fn lifecycle(rule: &Element, prefix: &str, bucket: &str) -> Option<Observation> {
    if rule.text_of("Status") != Some("Enabled") {
        return None;
    }
    let filter = rule.all("Filter").next();
    let both = filter.and_then(|filter| filter.all("And").next());
    let places = [Some(rule), filter, both];
    let below = places.into_iter().flatten().find_map(|place| place.text_of("Prefix")).unwrap_or_default();
    let objects = format!("{prefix}/");
    // An empty prefix here is all keyrings of the remote.
    if !(prefix.is_empty() || objects.starts_with(below) || below.starts_with(&objects)) {
        return None;
    }
    let when = |element: &Element| {
        let after = element.text_of("Days").map(|days| format!("{days} days after their last change"));
        after.or_else(|| element.text_of("Date").map(|date| format!("on {date}")))
    };
    let expires = rule.all("Expiration").find_map(when);
    let archived = rule.all("Transition").find_map(|to| {
        let class =
            to.text_of("StorageClass").filter(|class| matches!(*class, "GLACIER" | "DEEP_ARCHIVE"))?;
        Some(format!("{}, to {class}", when(to)?))
    });
    let id = rule.text_of("ID").filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic()));
    let id = id.map_or_else(String::new, |id| format!(" {id}"));
    let (what, why) = match (expires, archived) {
        (Some(when), _) => (
            format!("lifecycle rule{id} of bucket {bucket} deletes objects of keyrings {when}"),
            "pieces that are still needed are deleted: all keys of the keyring would be lost",
        ),
        (None, Some(when)) => (
            format!("lifecycle rule{id} of bucket {bucket} archives objects of keyrings {when}"),
            "an archived object cannot be read, so the server would not start",
        ),
        (None, None) => return None,
    };
    let fix = "remove the rule, or restrict it to other prefixes or to noncurrent versions";
    Some(Observation::new(Subject::History, Weight::Error, what, why).fix(fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Option<String> {
        let rule = Element::read(text.as_bytes()).unwrap();
        lifecycle(&rule, "fleet/db1", "keys").map(|observation| observation.what)
    }

    #[test]
    fn a_lifecycle_rule_that_deletes_or_archives_objects_of_the_keyring_is_an_error() {
        let days = "<Expiration><Days>90</Days></Expiration>";
        let on = "<Status>Enabled</Status>";
        for (text, expected) in [
            (
                format!("<Rule><ID>old</ID>{on}<Filter/>{days}</Rule>"),
                Some("lifecycle rule old of bucket keys deletes"),
            ),
            (
                format!("<Rule>{on}<Prefix>fleet/</Prefix>{days}</Rule>"),
                Some("lifecycle rule of bucket keys deletes"),
            ),
            (
                format!(
                    "<Rule>{on}<Filter><And><Prefix>fleet/db1/pieces</Prefix></And></Filter>{days}</Rule>"
                ),
                Some("lifecycle rule of bucket keys deletes objects of keyrings 90 days after"),
            ),
            (
                format!(
                    "<Rule>{on}<Filter/><Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>"
                ),
                Some("lifecycle rule of bucket keys archives objects of keyrings 30 days"),
            ),
            (format!("<Rule>{on}<Filter><Prefix>logs/</Prefix></Filter>{days}</Rule>"), None),
            (format!("<Rule>{on}<Filter><Prefix>fleet/db12/</Prefix></Filter>{days}</Rule>"), None),
            (format!("<Rule><Status>Disabled</Status><Filter/>{days}</Rule>"), None),
            (
                format!(
                    "<Rule>{on}<Filter/><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>\
                     </NoncurrentVersionExpiration></Rule>"
                ),
                None,
            ),
            (
                format!(
                    "<Rule>{on}<Filter/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>\
                     </Expiration></Rule>"
                ),
                None,
            ),
        ] {
            match (rule(&text), expected) {
                (Some(what), Some(expected)) => assert!(what.starts_with(expected), "{what}"),
                (what, expected) => assert_eq!(what.as_deref(), expected, "{text}"),
            }
        }
    }
}
