// SPDX-License-Identifier: GPL-2.0-or-later
//! What a store could answer. Real ones do not give most of it.

use super::fake::{Says, Store, error};
use super::*;
use crate::store::remote::examine::{Examine, Weight};
use crate::store::remote::http::TlsSettings;
use std::time::Duration;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Time for a few tries.
fn briefly() -> Instant {
    Instant::now() + Duration::from_secs(3)
}

#[test]
fn an_object_is_read_and_put_under_its_version() {
    let store = Store::saying(&[
        (200, "ETag: \"abc\"\r\n", "bytes"),
        (200, "ETag: \"def\"\r\n", ""),
        (412, "", &error("PreconditionFailed")),
        (409, "", &error("ConditionalRequestConflict")),
        (404, "", &error("NoSuchKey")),
        (200, "etag: ghi\r\n", ""),
        (404, "", &error("NoSuchKey")),
    ]);
    let s3 = &store.s3;
    let was = Version("abc".into());
    assert_eq!(
        s3.get("db1/head", soon()).unwrap(),
        Some(Object { bytes: b"bytes".to_vec(), version: was.clone() })
    );
    assert_eq!(s3.put("db1/head", b"new", Some(&was), soon()).unwrap(), Put::Done(Version("def".into())));
    assert_eq!(s3.put("db1/head", b"new", Some(&was), soon()).unwrap(), Put::Conflict);
    assert_eq!(s3.put("db1/head", b"new", None, soon()).unwrap(), Put::Conflict);
    assert_eq!(s3.put("db1/head", b"new", Some(&was), soon()).unwrap(), Put::Conflict);
    assert_eq!(s3.put("db1/head", b"new", None, soon()).unwrap(), Put::Done(Version("ghi".into())));
    assert_eq!(s3.get("db1/head", soon()).unwrap(), None);

    let requests = store.requests();
    let sent: Vec<_> = requests
        .iter()
        .map(|text| {
            let condition = text.lines().find(|line| line.to_ascii_lowercase().starts_with("if-"));
            (text.lines().next().unwrap(), condition.unwrap_or_default().to_ascii_lowercase())
        })
        .collect();
    let expected = [
        ("GET /keys/db1/head HTTP/1.1", ""),
        ("PUT /keys/db1/head HTTP/1.1", "if-match: \"abc\""),
        ("PUT /keys/db1/head HTTP/1.1", "if-match: \"abc\""),
        ("PUT /keys/db1/head HTTP/1.1", "if-none-match: *"),
        ("PUT /keys/db1/head HTTP/1.1", "if-match: \"abc\""),
        ("PUT /keys/db1/head HTTP/1.1", "if-none-match: *"),
        ("GET /keys/db1/head HTTP/1.1", ""),
    ];
    assert_eq!(sent, expected.map(|(line, condition)| (line, condition.to_owned())));
    assert!(requests[1].ends_with("\r\n\r\nnew"), "{}", requests[1]);
    assert!(
        requests[1]
            .contains("/eu-1/s3/aws4_request,SignedHeaders=content-type;host;if-match;x-amz-content-sha256;")
    );
}

#[test]
fn an_object_that_is_known_is_not_sent_again() {
    let store = Store::saying(&[
        (304, "ETag: \"abc\"\r\n", ""),
        (200, "ETag: \"def\"\r\n", "bytes"),
        (404, "", &error("NoSuchKey")),
        (304, "", ""),
    ]);
    let known = Version("abc".into());
    let ask = || store.s3.get_if_changed("db1/head", &known, soon());
    assert_eq!(ask(), Ok(Now::Same));
    let other = Object { bytes: b"bytes".to_vec(), version: Version("def".into()) };
    assert_eq!(ask(), Ok(Now::Object(Some(other))));
    assert_eq!(ask(), Ok(Now::Object(None)));
    // Nobody asked for this.
    let strange = store.s3.get("db1/head", soon()).unwrap_err();
    assert_eq!((strange.cause, strange.may_have_happened), (Cause::NotTheEngine, false), "{strange}");
    let requests = store.requests();
    let conditional = |text: &String| text.to_ascii_lowercase().contains("\r\nif-none-match: \"abc\"\r\n");
    assert_eq!(requests.iter().map(conditional).collect::<Vec<_>>(), [true, true, true, false]);
    assert!(
        requests[0].contains("SignedHeaders=host;if-none-match;x-amz-content-sha256;"),
        "{}",
        requests[0]
    );
}

#[test]
fn each_refusal_has_its_cause_and_says_what_to_do() {
    let wrong_region = "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-2</Region></Error>";
    let skewed = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    let cases: [(Says<'_>, Cause, &str); 16] = [
        ((404, "", &error("NoSuchBucket")), Cause::NotTheEngine, "bucket keys does not exist. Create it"),
        ((403, "", &error("InvalidAccessKeyId")), Cause::Credentials, "does not know the access key"),
        (
            (403, "", &error("SignatureDoesNotMatch")),
            Cause::Credentials,
            "/secret does not belong to the access key",
        ),
        ((400, "", &error("ExpiredToken")), Cause::Credentials, "the temporary credentials have expired"),
        (
            (403, skewed, &error("RequestTimeTooSkewed")),
            Cause::Credentials,
            "ahead of the store's. Set the clock",
        ),
        ((301, "x-amz-bucket-region: eu-2\r\n", ""), Cause::NotTheEngine, "is in region eu-2, not in eu-1"),
        ((400, "", wrong_region), Cause::NotTheEngine, "is in region eu-2, not in eu-1"),
        ((501, "", &error("NotImplemented")), Cause::NotTheEngine, "does not support conditional writes"),
        ((507, "", ""), Cause::Full, "no room to write db1/head (HTTP status 507)"),
        (
            (403, "", &error("QuotaExceeded")),
            Cause::Full,
            "no room to write db1/head (HTTP status 403 QuotaExceeded: No)",
        ),
        ((400, "", &error("XMinioStorageFull")), Cause::Full, "Raise the quota or free space"),
        ((403, "", "<html>"), Cause::NotTheEngine, "the store refuses to write db1/head (HTTP status 403)"),
        ((404, "", "not found"), Cause::NotTheEngine, "is not one of an S3 store"),
        ((400, "", &error("InvalidRequest")), Cause::NotTheEngine, "(HTTP status 400 InvalidRequest: No)"),
        ((403, "", &error("InvalidObjectState")), Cause::NotAllowed, "the object was archived"),
        (
            (403, "", &error("AccessDenied")),
            Cause::NotAllowed,
            "Allow s3:PutObject and s3:GetObject for the access key",
        ),
    ];
    for (says, cause, told) in cases {
        let store = Store::saying(&[says]);
        let trouble = store.s3.put("db1/head", b"x", None, soon()).unwrap_err();
        assert_eq!(trouble.cause, cause, "{trouble}");
        assert!(trouble.told.contains(told), "{trouble}");
        assert!(trouble.told.starts_with(&format!("http://127.0.0.1:{}: ", store.at)), "{trouble}");
        assert_eq!(trouble.may_have_happened, says.0 == 507, "{trouble}");
        assert_eq!(store.requests().len(), 1, "{trouble}");
    }
}

/// Such an answer says nothing about whether it was done: some stores give it after half of the work.
#[test]
fn a_store_that_fails_or_is_too_busy_is_asked_again_and_else_it_is_not_known_what_became_of_a_put() {
    let store = Store::saying(&[
        (503, "", &error("SlowDown")),
        (500, "", &error("InternalError")),
        (409, "", &error("OperationAborted")),
        (200, "ETag: \"a\"\r\n", ""),
    ]);
    assert_eq!(store.s3.put("db1/head", b"x", None, soon()).unwrap(), Put::Done(Version("a".into())));
    assert_eq!(store.requests().len(), 4);

    let refused = error("SlowDown");
    let all = [(503, "", refused.as_str()); 100];
    let store = Store::saying(&all);
    let trouble = store.s3.put("db1/head", b"x", None, briefly()).unwrap_err();
    assert_eq!((trouble.cause, trouble.may_have_happened), (Cause::Unwell, true), "{trouble}");
    assert!(trouble.told.contains("the store is too busy (HTTP status 503 SlowDown: No)"), "{trouble}");
}

#[test]
fn an_answer_without_a_version_or_with_a_weak_one_is_not_one_that_a_keyring_can_build_on() {
    for (headers, told) in
        [("", "has no ETag"), ("ETag: W/\"a\"\r\n", "is a weak one"), ("ETag: \"\"\u{e9}\r\n", "has no ETag")]
    {
        let store = Store::saying(&[(200, headers, ""), (200, headers, "")]);
        let trouble = store.s3.put("db1/head", b"x", None, soon()).unwrap_err();
        assert!(trouble.may_have_happened && trouble.told.contains(told), "{trouble}");
        assert_eq!(store.s3.get("db1/head", soon()).unwrap_err().cause, Cause::NotTheEngine);
    }
}

#[test]
fn credentials_are_read_again_when_the_store_refuses_them() {
    let wrong = error("SignatureDoesNotMatch");
    let found = (200, "ETag: \"a\"\r\n", "x");
    let store = Store::saying(&[found, (403, "", &wrong), found, (403, "", &wrong)]);
    assert!(store.s3.get("db1/head", soon()).unwrap().is_some());
    store.key("secret", "new");
    assert!(store.s3.get("db1/head", soon()).unwrap().is_some());
    // The same ones are not tried again.
    assert_eq!(store.s3.get("db1/head", soon()).unwrap_err().cause, Cause::Credentials);
    let requests = store.requests();
    let signature = |n: usize| requests[n].lines().find(|line| line.contains("Signature=")).unwrap();
    assert_eq!(requests.len(), 4);
    assert_ne!(signature(1), signature(2));
}

/// Who may list only below a prefix gets 403 for an object that does not exist.
#[test]
fn an_object_that_may_not_be_read_and_is_not_listed_does_not_exist() {
    let denied = error("AccessDenied");
    let list =
        |keys: &str| format!("<ListBucketResult><IsTruncated>false</IsTruncated>{keys}</ListBucketResult>");
    let other = list("<Contents><Key>db1/head-2</Key></Contents>");
    let same = list("<Contents><Key>db1/head</Key></Contents>");
    for (answer, absent) in [
        ((200, "", list("").as_str()), true),
        ((200, "", other.as_str()), true),
        ((200, "", same.as_str()), false),
        ((200, "", "<Other/>"), false),
        ((403, "", denied.as_str()), false),
    ] {
        let store = Store::saying(&[(403, "", &denied), answer]);
        match store.s3.get("db1/head", soon()) {
            Ok(found) => assert!(absent && found.is_none()),
            Err(trouble) => assert!(!absent && trouble.told.contains("Allow s3:GetObject"), "{trouble}"),
        }
        let requests = store.requests();
        assert!(
            requests[1].starts_with("GET /keys?list-type=2&max-keys=1&prefix=db1%2Fhead HTTP"),
            "{}",
            requests[1]
        );
    }
}

#[test]
fn a_list_is_read_page_by_page_and_ends() {
    let page = |more: &str, keys: &[&str]| {
        let keys: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
        format!("<ListBucketResult><Name>keys</Name>{more}{keys}</ListBucketResult>")
    };
    let more = |token: &str| {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>")
    };
    let first = page(&more("a+/="), &["db1/head", "db1/", "db12/head", "db1/a b", "db1/&lt;"]);
    let last = page("<IsTruncated>false</IsTruncated>", &["db1/pieces/1"]);
    let store = Store::saying(&[(200, "", &first), (200, "", &last)]);
    assert_eq!(store.s3.list("db1", soon()).unwrap(), ["db1/head", "db1/pieces/1"]);
    let requests = store.requests();
    assert!(requests[0].starts_with("GET /keys?list-type=2&prefix=db1%2F HTTP"), "{}", requests[0]);
    assert!(
        requests[1].starts_with("GET /keys?continuation-token=a%2B%2F%3D&list-type=2&prefix=db1%2F HTTP"),
        "{}",
        requests[1]
    );

    // One that goes in circles, one that breaks off, one that is none.
    let circle = page(&more("b"), &["db1/head"]);
    let broken_off = page("<IsTruncated>true</IsTruncated>", &["db1/head"]);
    for answers in [
        vec![(200, "", circle.as_str()), (200, "", circle.as_str())],
        vec![(200, "", broken_off.as_str())],
        vec![(200, "", "<ListBucketResult></ListBucketResult>")],
        vec![(200, "", "no list")],
    ] {
        let store = Store::saying(&answers);
        assert_eq!(store.s3.list("db1", soon()).unwrap_err().cause, Cause::NotTheEngine);
        assert_eq!(store.requests().len(), answers.len());
    }
}

#[test]
fn a_bucket_that_keeps_versions_loses_them_too_if_the_credentials_allow_that() {
    let versions = "<ListVersionsResult><IsTruncated>false</IsTruncated>\
        <Version><Key>db1/pieces/1</Key><VersionId>v1</VersionId></Version>\
        <Version><Key>db1/pieces/12</Key><VersionId>other</VersionId></Version>\
        <DeleteMarker><Key>db1/pieces/1</Key><VersionId>m/1</VersionId></DeleteMarker></ListVersionsResult>";
    let marked = (204, "x-amz-delete-marker: true\r\nx-amz-version-id: m/1\r\n", "");
    let store =
        Store::saying(&[marked, (200, "", versions), (204, "", ""), (404, "", &error("NoSuchVersion"))]);
    store.s3.delete(&["db1/pieces/1".into()], soon()).unwrap();
    let lines: Vec<_> = store.requests().iter().map(|text| text.lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        lines,
        [
            "DELETE /keys/db1/pieces/1 HTTP/1.1",
            "GET /keys?prefix=db1%2Fpieces%2F1&versions= HTTP/1.1",
            "DELETE /keys/db1/pieces/1?versionId=v1 HTTP/1.1",
            "DELETE /keys/db1/pieces/1?versionId=m%2F1 HTTP/1.1",
        ]
    );

    let store = Store::saying(&[marked, (403, "", &error("AccessDenied")), (204, "", "")]);
    store.s3.delete(&["db1/pieces/1".into(), "db1/pieces/2".into()], soon()).unwrap();
    assert_eq!(store.requests().len(), 3);
}

#[test]
fn settings_of_the_bucket_that_harm_a_keyring_are_told() {
    let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
        <Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    let store = Store::saying(&[
        (200, "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n", empty),
        (200, "", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
        (403, "", &error("AccessDenied")),
        (200, "", lock),
        (403, "", &error("AccessDenied")),
        (404, "", &error("ReplicationConfigurationNotFoundError")),
    ]);
    let found = store.s3.examine("db1", soon());
    let told: Vec<_> = found.iter().map(|found| (found.weight, found.what.as_str())).collect();
    assert!(told[0].1.contains("ahead of the clock of http://127.0.0.1:"), "{told:?}");
    assert_eq!(
        told[1..],
        [
            (Weight::Warning, "bucket keys keeps old versions of objects (versioning is on)"),
            (Weight::Error, "object lock is on for bucket keys, and keeps each object for 30 days"),
            (Weight::Note, "the credentials may not read all settings of bucket keys"),
        ]
    );
    assert!(found[3].fix[0].ends_with("s3:GetLifecycleConfiguration"), "{:?}", found[3]);

    let none = (404, "", "");
    let store = Store::saying(&[none, (200, "", "<VersioningConfiguration/>"), none, none, none]);
    assert_eq!(store.s3.examine("db1", soon()), []);
}

#[test]
fn a_bucket_can_be_part_of_the_host_name() {
    let store = Store::saying(&[]);
    let settings = S3Settings { path_style: false, ..store.s3.settings.clone() };
    let client = Settings {
        endpoints: vec![
            "https://s3.eu-1.example".parse().unwrap(),
            "https://s3.eu-2.example:9000".parse().unwrap(),
        ],
        tls: TlsSettings::default(),
        proxy: None,
    };
    let s3 = S3::new(client, settings);
    let endpoints: Vec<_> = s3.client.endpoints().iter().map(Endpoint::authority).collect();
    assert_eq!(endpoints, ["keys.s3.eu-1.example", "keys.s3.eu-2.example:9000"]);
}

/// A put whose answer was lost (500), and whose repetition is refused for the credentials.
#[test]
fn what_was_sent_before_credentials_were_read_again_may_have_been_carried_out() {
    let found = (200, "ETag: \"a\"\r\n", "x");
    let (lost, expired) = (error("InternalError"), error("ExpiredToken"));
    let denied = error("AccessDenied");
    // The new ones are refused, too; there are none.
    for secret in ["new", ""] {
        let mut says = vec![found, (500, "", lost.as_str()), (400, "", expired.as_str())];
        if !secret.is_empty() {
            says.push((403, "", denied.as_str()));
        }
        let store = Store::saying(&says);
        assert!(store.s3.get("db1/head", soon()).unwrap().is_some());
        store.key("secret", secret);
        let trouble = store.s3.put("db1/head", b"x", None, soon()).unwrap_err();
        assert!(trouble.may_have_happened, "{secret:?}: {trouble}");
    }
}
