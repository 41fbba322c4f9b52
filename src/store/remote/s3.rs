// SPDX-License-Identifier: GPL-2.0-or-later
//! Objects in a bucket of S3, or of a store that speaks its protocol and honours `If-Match` and `If-None-Match`.
//!
//! **Versions.** The version of an object is its `ETag`, which on S3 is the MD5 of its bytes: an object with the bytes
//! of an earlier one has the version of that one again. For a head that cannot happen, because its bytes contain its
//! sequence number, which is one more with each replacement, and the id of its copy, which is random when a copy is
//! created. So a delayed request that replaces an earlier head cannot succeed once another head is in place. The same
//! holds after a fence, which replaces a head with itself and the next sequence number. If two programs set the same
//! fence, both may believe that theirs was the one, which is true of its bytes; of the heads that they then build on it
//! still only one succeeds. Pieces are never replaced.
//!
//! **Consistency.** S3 shows every read the last put since December 2020, and so do the stores listed in
//! docs/REMOTES.md. Where a read shows an older head, the witness refuses it at a start, and a change that builds on it
//! is refused by the store: nothing is lost. [`super::probe`] reads after each put and delete, and finds such a store.

mod answers;
mod examine;
#[cfg(test)]
mod fake;
mod lists;
mod sign;
#[cfg(test)]
mod tests;
mod xml;

use super::http::{Client, Endpoint, Request, Response, Settings, Verdict};
use super::objects::{Answer, Cause, MAX_OBJECT, Now, Object, Objects, Put, Trouble, Version};
use super::remotes::{S3Settings, Source};
use answers::{Context, Doing, Refusal};
use sign::{Credentials, Signed};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use zeroize::Zeroizing;

/// Maximum length of an `ETag` in bytes.
const MAX_ETAG: usize = 256;
/// Maximum length of a page of a list in bytes. It has up to 1000 objects.
const MAX_PAGE: usize = 2 * 1024 * 1024;

/// The objects of a bucket.
pub struct S3 {
    client: Client,
    settings: S3Settings,
    credentials: Mutex<Option<Arc<Credentials>>>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3").field(&self.client).field(&self.settings).finish()
    }
}

/// A request to the bucket.
struct Asked<'a> {
    method: &'static str,
    doing: Doing<'a>,
    /// The name of the object; empty for the bucket itself.
    object: &'a str,
    parameters: &'a [(&'a str, &'a str)],
    headers: &'a [(&'static str, &'a str)],
    body: &'a [u8],
    limit: usize,
}

impl<'a> Asked<'a> {
    fn new(method: &'static str, doing: Doing<'a>, object: &'a str) -> Self {
        Self { method, doing, object, parameters: &[], headers: &[], body: &[], limit: MAX_PAGE }
    }
}

impl S3 {
    /// A bucket that was not asked yet.
    pub fn new(mut client: Settings, settings: S3Settings) -> Self {
        if !settings.path_style {
            client.endpoints =
                client.endpoints.iter().map(|endpoint| endpoint.below(&settings.bucket)).collect();
        }
        Self { client: Client::new(client), settings, credentials: Mutex::default() }
    }

    /// Sends a request. If the store refuses the credentials and others can be read now, sends it again with those.
    fn ask(&self, asked: &Asked<'_>, until: Instant) -> Answer<Response> {
        let credentials = self.credentials(until)?;
        let answer = self.send(asked, &credentials, until)?;
        if (200..300).contains(&answer.status) || !Refusal::of(&answer).of_credentials() {
            return Ok(answer);
        }
        // What was sent before the refusal may have been carried out, whatever comes now.
        let sent_before = answer.sent_before;
        let carried = |trouble: Trouble| Trouble {
            may_have_happened: trouble.may_have_happened || sent_before,
            ..trouble
        };
        let fresh = self.fresh(until).map_err(carried)?;
        if fresh == credentials {
            return Ok(answer);
        }
        let mut answer = self.send(asked, &fresh, until).map_err(carried)?;
        answer.sent_before |= sent_before;
        Ok(answer)
    }

    fn credentials(&self, until: Instant) -> Answer<Arc<Credentials>> {
        let known = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(known) => Ok(known),
            None => self.fresh(until),
        }
    }

    /// Reads the credentials from their sources and remembers them.
    fn fresh(&self, until: Instant) -> Answer<Arc<Credentials>> {
        let S3Settings { access_key, secret_key, session_token, .. } = &self.settings;
        // Without the lock: a file may be on a volume that hangs.
        let text = |source: &Source| Ok(Zeroizing::new(source.read(until)?.text().to_owned()));
        let read = Arc::new(Credentials {
            access_key: text(access_key)?,
            secret_key: text(secret_key)?,
            session_token: session_token.as_ref().map(text).transpose()?,
        });
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
        Ok(read)
    }

    fn send(&self, asked: &Asked<'_>, credentials: &Credentials, until: Instant) -> Answer<Response> {
        let query = sign::query(asked.parameters);
        let path = match (self.settings.path_style, asked.object) {
            (true, "") => format!("/{}", sign::encoded(&self.settings.bucket)),
            (true, object) => format!("/{}/{object}", sign::encoded(&self.settings.bucket)),
            (false, object) => format!("/{object}"),
        };
        let target = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
        let make = |endpoint: &Endpoint| {
            let host = endpoint.authority();
            let mut headers: Vec<(&str, &str)> = asked.headers.to_vec();
            headers.push(("host", &host));
            let signed = Signed {
                method: asked.method,
                path: &path,
                query: &query,
                headers: &headers,
                body: asked.body,
            };
            let mut request = match asked.method {
                "GET" => Request::reading("GET", target.clone()),
                method => Request::changing(method, target.clone()).body(asked.body),
            };
            for (name, value) in asked.headers {
                request = request.header(name, *value);
            }
            for (name, value) in sign::sign(&signed, credentials, &self.settings.region, SystemTime::now()) {
                request = request.header(name, value.as_str());
            }
            Ok(request.limit(asked.limit))
        };
        self.client.send_with(until, make, |answer| {
            if (200..300).contains(&answer.status) {
                return Verdict::Answer;
            }
            let refusal = Refusal::of(answer);
            match refusal.passes() && !is_conflict(&refusal) {
                true => Verdict::Next(refusal.trouble(answer, asked.doing, &self.context())),
                false => Verdict::Answer,
            }
        })
    }

    /// Reads an object, unless it still is the version `known`.
    fn read(&self, name: &str, known: Option<&Version>, until: Instant) -> Answer<Now> {
        let doing = Doing::Read(name);
        let tag = known.map(|version| format!("\"{}\"", version.0));
        let condition = tag.as_ref().map(|tag| ("if-none-match", tag.as_str()));
        let asked =
            Asked { headers: condition.as_slice(), limit: MAX_OBJECT, ..Asked::new("GET", doing, name) };
        let mut answer = self.ask(&asked, until)?;
        match answer.status {
            200 => {
                let version = self.version(&answer)?;
                return Ok(Now::Object(Some(Object { bytes: std::mem::take(&mut *answer.body), version })));
            }
            304 if known.is_some() => return Ok(Now::Same),
            _ => {}
        }
        match Refusal::of(&answer).code.as_str() {
            "NoSuchKey" => Ok(Now::Object(None)),
            "AccessDenied" if self.is_absent(name, until) => Ok(Now::Object(None)),
            _ => Err(self.refused(&answer, doing)),
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            bucket: &self.settings.bucket,
            region: &self.settings.region,
            source: &self.settings.secret_key,
            now: SystemTime::now(),
        }
    }

    /// What to tell about an answer that is not the one that was hoped for.
    fn refused(&self, answer: &Response, doing: Doing<'_>) -> Trouble {
        Refusal::of(answer).trouble(answer, doing, &self.context())
    }

    /// An answer that says that something was done, but is not one of an S3 store.
    fn strange(&self, answer: &Response, what: &str) -> Trouble {
        let told = format!(
            "{what}. This is not an S3 store that can keep keyrings, or something in front of it changes its answers"
        );
        answer.unknown(Cause::NotTheEngine, told)
    }

    fn version(&self, answer: &Response) -> Answer<Version> {
        match answer.header("etag") {
            Some(tag) if tag.starts_with("W/") => {
                Err(self.strange(answer, "the ETag of an object is a weak one, which names no exact version"))
            }
            Some(tag)
                if (1..=MAX_ETAG).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                // Some stores leave the quotes out in some answers.
                Ok(Version(tag.trim_matches('"').to_owned()))
            }
            _ => Err(self.strange(answer, "an answer about an object has no ETag")),
        }
    }
}

/// Whether a store refused a put because of its condition.
fn is_conflict(refusal: &Refusal) -> bool {
    refusal.status == 412 || (refusal.status == 409 && refusal.code == "ConditionalRequestConflict")
}

impl Objects for S3 {
    fn get(&self, name: &str, until: Instant) -> Answer<Option<Object>> {
        match self.read(name, None, until)? {
            Now::Object(object) => Ok(object),
            Now::Same => Ok(None),
        }
    }

    fn get_if_changed(&self, name: &str, known: &Version, until: Instant) -> Answer<Now> {
        self.read(name, Some(known), until)
    }

    fn put(&self, name: &str, bytes: &[u8], was: Option<&Version>, until: Instant) -> Answer<Put> {
        let quoted = was.map(|version| format!("\"{}\"", version.0));
        let condition = match &quoted {
            Some(tag) => ("if-match", tag.as_str()),
            None => ("if-none-match", "*"),
        };
        let headers = [("content-type", "application/octet-stream"), condition];
        let doing = Doing::Put(name);
        let asked = Asked { headers: &headers, body: bytes, ..Asked::new("PUT", doing, name) };
        let answer = self.ask(&asked, until)?;
        let refusal = Refusal::of(&answer);
        match answer.status {
            200..=299 => Ok(Put::Done(self.version(&answer)?)),
            // What should be replaced does not exist.
            404 if was.is_some() && refusal.code == "NoSuchKey" => Ok(Put::Conflict),
            _ if is_conflict(&refusal) => Ok(Put::Conflict),
            _ => Err(self.refused(&answer, doing)),
        }
    }

    fn list(&self, folder: &str, until: Instant) -> Answer<Vec<String>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut names = Vec::new();
        let next = [("NextContinuationToken", "continuation-token")];
        self.pages(Doing::List(folder), &[("list-type", "2"), ("prefix", &prefix)], &next, until, |page| {
            let keys = page.all("Contents").filter_map(|found| found.text_of("Key"));
            names.extend(keys.filter(|key| key.starts_with(&prefix) && is_name(key)).map(str::to_owned));
        })?;
        Ok(names)
    }

    fn delete(&self, names: &[String], until: Instant) -> Answer<()> {
        for name in names {
            let doing = Doing::Delete(name);
            let answer = self.ask(&Asked::new("DELETE", doing, name), until)?;
            match answer.status {
                200..=299 => {}
                404 if Refusal::of(&answer).code == "NoSuchKey" => {}
                _ => return Err(self.refused(&answer, doing)),
            }
            // A bucket that keeps versions answers with one of these.
            if answer.header("x-amz-delete-marker").is_some() || answer.header("x-amz-version-id").is_some() {
                self.delete_versions(name, until)?;
            }
        }
        Ok(())
    }
}

/// Whether something in the bucket has a name that this program gives.
fn is_name(key: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    key.bytes().all(known) && !key.starts_with('/') && !key.ends_with('/')
}
