// SPDX-License-Identifier: GPL-2.0-or-later
//! AWS Signature Version 4 in a header, with the hash of the body signed.
//!
//! This is our own, and no crate: HMAC and SHA-256 are in mysqld anyway, and what signs for S3 without doing I/O
//! (rusty-s3) makes presigned addresses only, which leave the body unsigned, and brings a calendar and a time zone
//! library into mysqld. The tests are AWS's published examples.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fmt::Write;
use std::time::SystemTime;
use zeroize::Zeroizing;

/// What a request is signed with.
#[derive(PartialEq, Eq)]
pub(super) struct Credentials {
    /// The name of the key, which each request shows.
    pub(super) access_key: Zeroizing<String>,
    /// The secret key, which no request shows.
    pub(super) secret_key: Zeroizing<String>,
    /// What belongs to temporary credentials.
    pub(super) session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even the access key: somebody may have confused the two.
        f.write_str("Credentials(..)")
    }
}

/// A request as far as its signature covers it.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    /// `GET`, `PUT`, `DELETE`.
    pub(super) method: &'a str,
    /// The path, encoded by [`encoded`] except for its slashes.
    pub(super) path: &'a str,
    /// The parameters after the question mark, encoded and ordered by [`query`].
    pub(super) query: &'a str,
    /// Headers with names in lower case, in alphabetical order, without those that signing adds.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub(super) body: &'a [u8],
}

/// The headers that make a request a signed one, with names in lower case.
pub(super) type Headers = Vec<(&'static str, Zeroizing<String>)>;

/// Returns the headers that sign a request for a region at a time. The caller sends them beside `request.headers`.
pub(super) fn sign(
    request: &Signed<'_>,
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
) -> Headers {
    let time = stamp(now);
    let date = time.get(..8).unwrap_or_default();
    let body_hash = hex(&Sha256::digest(request.body));
    let mut added: Headers = vec![
        ("x-amz-content-sha256", Zeroizing::new(body_hash.clone())),
        ("x-amz-date", Zeroizing::new(time.clone())),
    ];
    if let Some(token) = &credentials.session_token {
        added.push(("x-amz-security-token", token.clone()));
    }
    let mut headers: Vec<(&str, &str)> = request.headers.to_vec();
    headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");

    let Signed { method, path, query, .. } = request;
    let mut canonical = Zeroizing::new(format!("{method}\n{path}\n{query}\n"));
    for (name, value) in &headers {
        // Writing to a String cannot fail.
        let _ = writeln!(canonical, "{name}:{}", value.trim());
    }
    let _ = write!(canonical, "\n{names}\n{body_hash}");

    let scope = format!("{date}/{region}/s3/aws4_request");
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let first = Zeroizing::new(format!("AWS4{}", credentials.secret_key.as_str()));
    let key = [date, region, "s3", "aws4_request"]
        .iter()
        .fold(Zeroizing::new(first.as_bytes().to_vec()), |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &to_sign));
    let access_key = credentials.access_key.as_str();
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={names},Signature={signature}"
    );
    added.push(("authorization", Zeroizing::new(authorization)));
    added
}

fn mac(key: &[u8], text: &str) -> Zeroizing<Vec<u8>> {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|hmac| Zeroizing::new(hmac.chain_update(text).finalize().into_bytes().to_vec()))
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns a time as `20130524T000000Z`.
fn stamp(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string();
    text.chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

/// Returns text as signatures want it: all but letters, digits and `-._~` as `%XX`.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut done, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                done.push(char::from(byte))
            }
            _ => {
                let _ = write!(done, "%{byte:02X}");
            }
        }
        done
    })
}

/// Returns parameters as they stand after the question mark, in the order in which they are signed.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    let mut parts: Vec<_> =
        parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    parts.sort_unstable();
    parts.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn example() -> Credentials {
        Credentials {
            access_key: Zeroizing::new("AKIAIOSFODNN7EXAMPLE".into()),
            secret_key: Zeroizing::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into()),
            session_token: None,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn of<'a>(headers: &'a Headers, name: &str) -> &'a str {
        headers.iter().find(|(has, _)| *has == name).map(|(_, value)| value.as_str()).unwrap()
    }

    /// The examples of "Signature Calculations for the Authorization Header" in AWS's S3 API reference.
    #[test]
    fn signatures_are_those_of_aws_examples() {
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let cases: [(Signed<'_>, &str, &str); 4] = [
            (
                Signed {
                    method: "GET",
                    path: "/test.txt",
                    query: "",
                    headers: &[host, ("range", "bytes=0-9")],
                    body: b"",
                },
                "host;range;x-amz-content-sha256;x-amz-date",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                Signed {
                    method: "PUT",
                    path: &format!("/{}", encoded("test$file.text")),
                    query: "",
                    headers: &[
                        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                        host,
                        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                    ],
                    body: b"Welcome to Amazon S3.",
                },
                "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                Signed {
                    method: "GET",
                    path: "/",
                    query: &query(&[("lifecycle", "")]),
                    headers: &[host],
                    body: b"",
                },
                "host;x-amz-content-sha256;x-amz-date",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                Signed {
                    method: "GET",
                    path: "/",
                    query: &query(&[("prefix", "J"), ("max-keys", "2")]),
                    headers: &[host],
                    body: b"",
                },
                "host;x-amz-content-sha256;x-amz-date",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (request, names, signature) in cases {
            let headers = sign(&request, &example(), "us-east-1", at(1_369_353_600));
            assert_eq!(of(&headers, "x-amz-date"), "20130524T000000Z");
            assert_eq!(
                of(&headers, "authorization"),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                     SignedHeaders={names},Signature={signature}"
                )
            );
        }
    }

    #[test]
    fn a_session_token_is_sent_and_signed() {
        let request = Signed { method: "GET", path: "/x", query: "", headers: &[("host", "h")], body: b"" };
        let credentials = Credentials { session_token: Some(Zeroizing::new("tok".into())), ..example() };
        let headers = sign(&request, &credentials, "r", at(0));
        assert_eq!(of(&headers, "x-amz-security-token"), "tok");
        assert!(of(&headers, "authorization").contains("x-amz-date;x-amz-security-token,"));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        assert_eq!(format!("{:?}", example()), "Credentials(..)");
    }

    #[test]
    fn parameters_are_encoded_and_ordered() {
        assert_eq!(
            query(&[("prefix", "a/b c"), ("list-type", "2"), ("z", "+=")]),
            "list-type=2&prefix=a%2Fb%20c&z=%2B%3D"
        );
    }
}
