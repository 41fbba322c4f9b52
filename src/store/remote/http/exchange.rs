// SPDX-License-Identifier: GPL-2.0-or-later
//! One request and its answer on a connection (HTTP/1.1).

use super::broken::{Broken, certificate_refused, explained, timed_out};
use super::request::Request;
use crate::store::remote::objects::Cause;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult, state};
use ureq_proto::http;
use zeroize::{Zeroize, Zeroizing};

/// Maximum length of the status line and headers of an answer in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How long an endpoint may take to receive each further 128 KiB of a request. A slow line is not a hung one.
const PER_PIECE: Duration = Duration::from_secs(1);

/// Returns how much longer than usual a try with this request may take.
pub(super) fn allowance(request: &Request) -> Duration {
    PER_PIECE * u32::try_from(request.body.len() / (128 * 1024)).unwrap_or(u32::MAX)
}

/// Up to this length, a body is sent in one piece with the headers: an endpoint that gets them one after the other wakes
/// up twice.
const SENT_WITH_HEADERS: usize = 64 * 1024;

/// What an endpoint answered.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Zeroizing<Vec<u8>>,
    /// The connection can be used for another request.
    pub(super) keep: bool,
}

/// Sends a request and reads the answer. `line` ends each operation at `until`; the body of the answer may come until
/// `end`, because an endpoint that began to answer is not a hung one. `new`: nothing was sent on this connection before.
pub(super) fn exchange<L: Line>(
    line: &mut L,
    host: &str,
    request: &Request,
    new: bool,
    until: Instant,
    end: Instant,
) -> Result<Answered, Broken> {
    let call = prepared(host, request)
        .map_err(|e| Broken::before(Cause::Settings, format!("the request cannot be written: {e}")))?;
    line.set_until(until);
    let call = send(line, call, &request.body)?;
    receive(line, call, request.limit, new, end)
}

/// What requests are sent on.
pub(super) trait Line: Read + Write {
    /// Sets when operations end.
    fn set_until(&mut self, until: Instant);
}

impl Line for super::connection::Connection {
    fn set_until(&mut self, until: Instant) {
        super::connection::Connection::set_until(self, until);
    }
}

fn prepared(host: &str, request: &Request) -> Result<Call<state::Prepare>, String> {
    let mut head = http::Request::builder()
        .method(request.method)
        .uri(format!("http://{host}{}", request.target))
        .header("host", host)
        .header("user-agent", "keyring_external");
    for (name, value) in &request.headers {
        head = head.header(*name, value.as_str());
    }
    if !request.body.is_empty() || matches!(request.method, "PUT" | "POST") {
        head = head.header("content-length", request.body.len());
    }
    // Neither says what it could not use: that may be a secret.
    let head = head.body(()).map_err(|_| "a header or its path has characters that HTTP does not allow")?;
    let mut call = Call::new(head).map_err(|e| e.to_string())?;
    if !request.body.is_empty() {
        call.force_send_body();
    }
    Ok(call)
}

/// The call after the request was sent.
fn send(
    line: &mut impl Line,
    call: Call<state::Prepare>,
    body: &[u8],
) -> Result<Call<state::RecvResponse>, Broken> {
    let mut call = call.proceed();
    let mut out = Zeroizing::new(vec![0; 16 * 1024]);
    let unwritable =
        |e: ureq_proto::Error| Broken::before(Cause::Settings, format!("the request cannot be written: {e}"));
    let (with_headers, after) =
        if body.len() <= SENT_WITH_HEADERS { (body, &[][..]) } else { (&[][..], body) };
    let mut head = Zeroizing::new(Vec::with_capacity(out.len() + with_headers.len()));
    while !call.can_proceed() {
        let len = call.write(&mut out).map_err(unwritable)?;
        head.extend_from_slice(out.get(..len).unwrap_or_default());
    }
    let call = call.proceed().map_err(unwritable)?;
    head.extend_from_slice(with_headers);
    let mut sent = put(line, &head);
    let lost = || Broken::before(Cause::Settings, "the request has no end");
    let call = match call {
        Some(SendRequestResult::SendBody(mut call)) => {
            if sent.is_ok() && !after.is_empty() {
                sent = put(line, after);
            }
            call.consume_direct_write(body.len()).map_err(unwritable)?;
            call.proceed().ok_or_else(lost)?
        }
        Some(SendRequestResult::RecvResponse(call)) => call,
        _ => return Err(lost()),
    };
    match sent {
        Ok(()) => Ok(call),
        Err(e) if timed_out(&e) => {
            Err(Broken::after(Cause::Unreachable, "does not take the request in time"))
        }
        // It may have said why before it closed the connection.
        Err(_) => Ok(call),
    }
}

fn put(line: &mut impl Line, bytes: &[u8]) -> io::Result<()> {
    line.write_all(bytes)?;
    line.flush()
}

/// Reads into `input`, and returns the number of bytes that came: 0 at the end.
fn more(line: &mut impl Line, input: &mut Vec<u8>, began: bool, new: bool) -> Result<usize, Broken> {
    let mut piece = [0; 16 * 1024];
    let len = loop {
        match line.read(&mut piece) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if timed_out(&e) => {
                let what =
                    if began { "does not complete its answer in time" } else { "does not answer in time" };
                return Err(Broken::after(Cause::Unreachable, what));
            }
            Err(e) => {
                let (cause, why) = explained(&e);
                let refused = new && !began && certificate_refused(&e);
                return Err(Broken { cause, why, sent: !refused });
            }
            Ok(len) => break len,
        }
    };
    input.extend_from_slice(piece.get(..len).unwrap_or_default());
    piece.zeroize();
    Ok(len)
}

fn receive(
    line: &mut impl Line,
    mut call: Call<state::RecvResponse>,
    limit: usize,
    new: bool,
    end: Instant,
) -> Result<Answered, Broken> {
    let no_http = |e: ureq_proto::Error| {
        Broken::after(Cause::NotTheEngine, format!("answers with no valid HTTP ({e}): check the port"))
    };
    let mut input = Zeroizing::new(Vec::new());
    let head = loop {
        let (used, head) = call.try_response(&input, false).map_err(no_http)?;
        let used = used.min(input.len());
        input.drain(..used);
        if let Some(head) = head {
            break head;
        }
        if used > 0 {
            continue;
        }
        if input.len() > MAX_HEAD {
            return Err(Broken::after(
                Cause::NotTheEngine,
                format!("sends headers of more than {MAX_HEAD} bytes"),
            ));
        }
        let began = !input.is_empty();
        if more(line, &mut input, began, new)? == 0 {
            let why = if began {
                "closed the connection in the middle of its answer"
            } else {
                "closed the connection without an answer"
            };
            return Err(Broken::after(Cause::Unreachable, why));
        }
    };
    let headers = head
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    let mut answered =
        Answered { status: head.status().as_u16(), headers, body: Zeroizing::default(), keep: false };
    line.set_until(end);
    let closes = match call.proceed() {
        Some(RecvResponseResult::RecvBody(call)) => body(line, call, &mut input, &mut answered.body, limit)?,
        Some(RecvResponseResult::Cleanup(call)) => call.must_close_connection(),
        Some(RecvResponseResult::Redirect(call)) => call.must_close_connection(),
        None => true,
    };
    // Bytes that were not asked for are no beginning of the next answer.
    answered.keep = !closes && input.is_empty();
    Ok(answered)
}

/// Reads the body, and returns whether the connection must be closed.
fn body(
    line: &mut impl Line,
    mut call: Call<state::RecvBody>,
    input: &mut Vec<u8>,
    body: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, Broken> {
    let mut out = Zeroizing::new(vec![0; 16 * 1024]);
    let mut ended = false;
    loop {
        let (used, len) = call
            .read(input, &mut out)
            .map_err(|e| Broken::after(Cause::NotTheEngine, format!("answers with no valid HTTP ({e})")))?;
        let used = used.min(input.len());
        input.drain(..used);
        body.extend_from_slice(out.get(..len).unwrap_or_default());
        if body.len() > limit {
            return Err(Broken::after(Cause::NotTheEngine, format!("answers with more than {limit} bytes")));
        }
        // A body without a length ends with the connection.
        let by_closing = matches!(call.body_mode(), ureq_proto::BodyMode::CloseDelimited);
        if call.can_proceed() && (!by_closing || ended) {
            break;
        }
        if used > 0 || len > 0 {
            continue;
        }
        if ended {
            if call.is_ended_chunked() {
                return Ok(true);
            }
            return Err(Broken::after(
                Cause::Unreachable,
                "closed the connection in the middle of its answer",
            ));
        }
        // What is left is the beginning of a chunk's head.
        if input.len() > MAX_HEAD {
            return Err(Broken::after(
                Cause::NotTheEngine,
                format!("sends more than {MAX_HEAD} bytes between the parts of an answer"),
            ));
        }
        ended = more(line, input, true, false)? == 0;
    }
    Ok(match call.proceed() {
        Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
        Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
        None => true,
    })
}
