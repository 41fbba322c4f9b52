// SPDX-License-Identifier: GPL-2.0-or-later
//! What a store's refusals mean, in words for an administrator.

use super::xml::Element;
use crate::store::remote::http::Response;
use crate::store::remote::objects::{Cause, Trouble};
use crate::store::remote::remotes::Source;
use std::time::{Duration, SystemTime};

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doing<'a> {
    /// Reading an object.
    Read(&'a str),
    /// Putting an object under a condition.
    Put(&'a str),
    /// Listing what is below a folder.
    List(&'a str),
    /// Deleting an object, or one of its versions.
    Delete(&'a str),
    /// Listing the versions of an object.
    Versions(&'a str),
    /// Reading a setting of the bucket: the permission that this needs.
    Setting(&'a str),
}

impl Doing<'_> {
    /// What is done, for "not allowed to ...".
    fn words(self) -> String {
        match self {
            Self::Read(name) => format!("read {name}"),
            Self::Put(name) => format!("write {name}"),
            Self::List("") => "list all objects".to_owned(),
            Self::List(folder) => format!("list {folder}/"),
            Self::Delete(name) => format!("delete {name}"),
            Self::Versions(name) => format!("list the versions of {name}"),
            Self::Setting(_) => "read the settings of the bucket".to_owned(),
        }
    }

    /// The permissions that it needs.
    fn needs(self) -> String {
        match self {
            Self::Read(_) => "s3:GetObject".to_owned(),
            Self::Put(_) => "s3:PutObject and s3:GetObject".to_owned(),
            Self::List(_) => "s3:ListBucket".to_owned(),
            Self::Delete(_) => "s3:DeleteObject".to_owned(),
            Self::Versions(_) => "s3:ListBucketVersions".to_owned(),
            Self::Setting(permission) => permission.to_owned(),
        }
    }
}

/// What a message needs to know of the settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The bucket.
    pub(super) bucket: &'a str,
    /// The region that requests are signed for.
    pub(super) region: &'a str,
    /// Where the secret key comes from.
    pub(super) source: &'a Source,
    /// The time by this machine.
    pub(super) now: SystemTime,
}

/// An answer other than success.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// The store's word for it; empty if the answer is not one of an S3 store.
    pub(super) code: String,
    message: String,
    region: Option<String>,
    time: Option<SystemTime>,
}

impl Refusal {
    /// Reads an answer.
    pub(super) fn of(answer: &Response) -> Self {
        let error = Element::read(&answer.body).filter(|root| root.name == "Error").unwrap_or_default();
        let said = |name| error.text_of(name).filter(|text| !text.is_empty());
        let region = answer.header("x-amz-bucket-region").or_else(|| said("Region"));
        Self {
            status: answer.status,
            code: plain(said("Code").unwrap_or_default(), 64),
            message: plain(said("Message").unwrap_or_default(), 200),
            region: region.map(|text| plain(text, 64)).filter(|text| !text.is_empty()),
            time: answer.header("date").and_then(http_date),
        }
    }

    /// Whether other credentials might be accepted: the present ones are wrong or have expired.
    pub(super) fn of_credentials(&self) -> bool {
        self.cause() == Cause::Credentials && self.code != "RequestTimeTooSkewed"
    }

    /// Whether another endpoint, or the same one a moment later, may do better.
    pub(super) fn passes(&self) -> bool {
        self.cause() == Cause::Unwell
    }

    fn cause(&self) -> Cause {
        match (self.status, self.code.as_str()) {
            (
                _,
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "TokenRefreshRequired"
                | "InvalidClientTokenId"
                | "RequestTimeTooSkewed",
            ) => Cause::Credentials,
            (507, _) => Cause::Full,
            (_, code)
                if code.contains("Quota")
                    || code.contains("StorageFull")
                    || code.contains("InsufficientStorage") =>
            {
                Cause::Full
            }
            (501, _) => Cause::NotTheEngine,
            (429 | 500..=599, _)
            | (_, "SlowDown" | "RequestTimeout" | "OperationAborted" | "ConditionalRequestConflict") => {
                Cause::Unwell
            }
            (401 | 403 | 405, code) if !code.is_empty() => Cause::NotAllowed,
            _ => Cause::NotTheEngine,
        }
    }

    /// What to tell about a request that was answered like this.
    pub(super) fn trouble(&self, answer: &Response, doing: Doing<'_>, context: &Context<'_>) -> Trouble {
        let told = self.told(doing, context);
        // A store that is full or broken may have done half of it. What it refuses, it has not done.
        let refused = matches!(self.status, 300..=499 | 501);
        if refused { answer.not_done(self.cause(), told) } else { answer.unknown(self.cause(), told) }
    }

    fn told(&self, doing: Doing<'_>, context: &Context<'_>) -> String {
        let Context { bucket, region, source, now } = context;
        match (self.status, self.code.as_str()) {
            (_, "NoSuchBucket") => {
                format!("bucket {bucket} does not exist. Create it, or correct `bucket` in the remotes file")
            }
            (_, "InvalidAccessKeyId" | "InvalidClientTokenId") => {
                "the store does not know the access key. Check `access_key` and `endpoints` in the remotes file".to_owned()
            }
            (_, "SignatureDoesNotMatch") => format!(
                "the secret key from {source} does not belong to the access key, or a proxy changes the requests. Check \
                 `secret_key` in the remotes file"
            ),
            (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
                "the temporary credentials have expired or are not valid. Renew what `session_token`, `access_key` and \
                 `secret_key` in the remotes file name"
                    .to_owned()
            }
            (_, "RequestTimeTooSkewed") => format!(
                "the clock of this machine {}. Set the clock: the store refuses requests whose time differs by more than \
                 15 minutes",
                self.clock(*now)
            ),
            (_, "AccessDenied" | "AllAccessDisabled" | "AccountProblem") => format!(
                "not allowed to {} in bucket {bucket}. Allow {} for the access key",
                doing.words(),
                doing.needs()
            ),
            (_, "InvalidObjectState") => {
                format!("cannot {}: the object was archived. Restore it, and remove the lifecycle rule", doing.words())
            }
            (301 | 307 | 308, _) | (_, "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException") => {
                match &self.region {
                    Some(right) if right != region => format!(
                        "bucket {bucket} is in region {right}, not in {region}. Correct `region` and `endpoints` in the \
                         remotes file"
                    ),
                    _ => format!(
                        "bucket {bucket} is not at this endpoint or not in region {region}. Correct `region` and \
                         `endpoints` in the remotes file"
                    ),
                }
            }
            (501, _) if matches!(doing, Doing::Put(_)) => {
                "the store does not support conditional writes (If-Match, If-None-Match), without which two programs \
                 could overwrite each other's keys. Use another store"
                    .to_owned()
            }
            _ if self.cause() == Cause::Full => {
                format!("no room to {}{}. Raise the quota or free space", doing.words(), self.answered())
            }
            (503 | 429, _) | (_, "SlowDown") => format!("the store is too busy{}", self.answered()),
            (500..=599, _) => format!("the store failed to {}{}", doing.words(), self.answered()),
            (404, "") => format!(
                "the answer to the request to {} is not one of an S3 store (HTTP status 404). Check `endpoints` in the \
                 remotes file",
                doing.words()
            ),
            _ => format!("the store refuses to {}{}", doing.words(), self.answered()),
        }
    }

    /// The status and what the store says about it, in parentheses.
    fn answered(&self) -> String {
        let mut all = format!(" (HTTP status {}", self.status);
        for (before, text) in [(" ", &self.code), (": ", &self.message)] {
            if !text.is_empty() {
                all.push_str(before);
                all.push_str(text.trim_end_matches('.'));
            }
        }
        all + ")"
    }

    fn clock(&self, now: SystemTime) -> String {
        let Some(time) = self.time else { return "differs from the store's".to_owned() };
        match off(now, time) {
            (by, true) => format!("is {by} ahead of the store's"),
            (by, false) => format!("is {by} behind the store's"),
        }
    }
}

/// How far `ours` is from `theirs`, in words, and whether it is ahead.
pub(super) fn off(ours: SystemTime, theirs: SystemTime) -> (String, bool) {
    let (by, ahead) = match ours.duration_since(theirs) {
        Ok(by) => (by, true),
        Err(e) => (e.duration(), false),
    };
    (humantime::format_duration(Duration::from_secs(by.as_secs())).to_string(), ahead)
}

/// Reads `Fri, 27 Nov 2026 02:04:40 GMT`.
pub(super) fn http_date(text: &str) -> Option<SystemTime> {
    let (_, date) = text.trim().strip_suffix(" GMT")?.split_once(", ")?;
    let mut parts = date.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

/// What a store says, as far as it is fit for a log: printable ASCII, at most `limit` characters.
fn plain(text: &str, limit: usize) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(limit).collect()
}
