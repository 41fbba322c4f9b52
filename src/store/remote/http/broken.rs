// SPDX-License-Identifier: GPL-2.0-or-later
//! Why an endpoint gave no answer.

use crate::store::remote::objects::Cause;
use std::io;

/// How an endpoint that ends a connection is told.
const CLOSED: &str = "closed the connection";

/// A try that brought no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Broken {
    pub(super) cause: Cause,
    /// What happened, to be put behind the name of the endpoint.
    pub(super) why: String,
    /// The endpoint may have got the request.
    pub(super) sent: bool,
}

impl Broken {
    /// Before anything was sent.
    pub(super) fn before(cause: Cause, why: impl Into<String>) -> Self {
        Self { cause, why: why.into(), sent: false }
    }

    /// After some of the request may have been sent.
    pub(super) fn after(cause: Cause, why: impl Into<String>) -> Self {
        Self { cause, why: why.into(), sent: true }
    }

    /// At an address of clear text: an etcd that expects TLS closes the connection.
    pub(super) fn perhaps_tls(mut self) -> Self {
        if self.why.starts_with(CLOSED) {
            self.why.push_str(". If it expects TLS, write https:// in endpoints");
        }
        self
    }
}

/// Whether an operation ended because its time was up.
pub(super) fn timed_out(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// What is wrong with a connection, in words that follow the name of the endpoint.
pub(super) fn explained(e: &io::Error) -> (Cause, String) {
    if let Some(tls) = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return (Cause::Certificate, tls_error(tls));
    }
    let why = match e.kind() {
        io::ErrorKind::ConnectionRefused => {
            "refuses the connection: check the port, and that it runs there".to_owned()
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            CLOSED.to_owned()
        }
        io::ErrorKind::UnexpectedEof => "closed the connection without a complete answer".to_owned(),
        _ if timed_out(e) => "does not answer in time".to_owned(),
        _ => format!("cannot be reached: {e}"),
    };
    (Cause::Unreachable, why)
}

/// Why a handshake failed.
fn tls_error(e: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    match e {
        Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "its certificate has expired: renew it at the engine, or correct this host's clock".to_owned(),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "its certificate is not valid yet: check the clocks".to_owned()
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "its certificate is for another name: connect to a name in the certificate, or set server_name"
                    .to_owned()
            }
            // A CA of the same name, whose key was renewed, signed it.
            Bad::UnknownIssuer | Bad::BadSignature => {
                "its certificate is not signed by a CA that is trusted: set ca to the file with the engine's CA"
                    .to_owned()
            }
            Bad::Revoked => "its certificate was revoked".to_owned(),
            other => format!("its certificate is not valid: {other}"),
        },
        Error::AlertReceived(alert) => match alert {
            Alert::CertificateRequired => {
                "it requires a client certificate: set cert and key".to_owned()
            }
            Alert::UnknownCA | Alert::DecryptError | Alert::BadCertificate | Alert::CertificateUnknown | Alert::AccessDenied => {
                "it refuses the client certificate, or needs one and none is set: set cert and key to ones that the engine's CA signed".to_owned()
            }
            Alert::CertificateExpired => "it says that the client certificate has expired: renew it".to_owned(),
            Alert::CertificateRevoked => "it says that the client certificate was revoked: renew it".to_owned(),
            other => format!("it ended the TLS handshake: {other:?}"),
        },
        Error::InvalidMessage(_) => "it does not speak TLS: check the port".to_owned(),
        Error::PeerIncompatible(_) => "it offers no TLS version or cipher suite that is safe: TLS 1.2 or 1.3 is needed".to_owned(),
        other => format!("the TLS handshake failed: {other}"),
    }
}

/// Whether the endpoint refused the client certificate, or that there is none. With TLS 1.3 it says so after the
/// handshake is over for the client, as the first answer on a new connection, and then never looked at the request. Any
/// other alert may come at any time.
pub(super) fn certificate_refused(e: &io::Error) -> bool {
    use rustls::{AlertDescription as Alert, Error};
    matches!(
        e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        Some(Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::UnknownCA
                | Alert::DecryptError
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateUnknown
                | Alert::CertificateExpired
                | Alert::CertificateRevoked
                | Alert::AccessDenied
        ))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription as Alert;

    #[test]
    fn only_an_alert_about_a_certificate_tells_that_the_request_was_not_looked_at() {
        let refused = |alert| certificate_refused(&io::Error::other(rustls::Error::AlertReceived(alert)));
        for alert in [Alert::CertificateRequired, Alert::UnknownCA, Alert::CertificateExpired] {
            assert!(refused(alert), "{alert:?}");
        }
        for alert in [Alert::InternalError, Alert::BadRecordMac, Alert::CloseNotify, Alert::UserCanceled] {
            assert!(!refused(alert), "{alert:?}");
        }
        assert!(!certificate_refused(&io::ErrorKind::ConnectionReset.into()));
    }
}
