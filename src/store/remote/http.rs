// SPDX-License-Identifier: GPL-2.0-or-later
//! The HTTP client of all engines: blocking, bounded, without a thread, and exact about what may have happened.
//!
//! A request is tried at the endpoints in turn, at the last good one first. Each try takes at most [`TRY`] and half of
//! the time that is left. As long as an endpoint can be reached, but gave no answer that counts, the round is repeated:
//! a cluster that elects a leader answers a second later. If none can be reached, the call ends after one round.
//!
//! Connections are kept for later requests, but never used by a fork of the process, nor after a file of certificates
//! has changed.

mod broken;
mod connection;
mod der;
mod dns;
mod endpoint;
mod exchange;
mod look;
mod request;
mod resolve;
mod tls;
mod tries;

pub use endpoint::{Endpoint, Proxy};
pub use look::Seen;
pub use request::{MAX_ANSWER, Request, Response, Verdict};
pub use tls::TlsSettings;

use crate::store::remote::objects::{Answer, Cause, Trouble};
use broken::Broken;
use connection::{Connection, How};
use der::not_after;
use exchange::{Answered, allowance, exchange};
use resolve::Names;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tls::Loaded;
use tries::{Told, usual, wants_tls};

/// How long an endpoint may take to answer before the next is tried.
pub const TRY: Duration = Duration::from_secs(2);

/// How long a connection is kept without use. Load balancers close idle ones after 60 seconds.
const KEEP: Duration = Duration::from_secs(20);

/// Maximum number of connections that are kept.
const MAX_KEPT: usize = 16;

/// Less time than this is too short for a try.
const TOO_SHORT: Duration = Duration::from_millis(20);

/// How long the first pause between two rounds is. Each further pause is twice as long, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Where an engine is, and how it is trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Its endpoints, at least one.
    pub endpoints: Vec<Endpoint>,
    /// Certificates.
    pub tls: TlsSettings,
    /// A proxy on the way to all endpoints.
    pub proxy: Option<Proxy>,
}

/// A client of one engine. Threads can share it: each request has a connection of its own.
pub struct Client {
    settings: Settings,
    names: Names,
    state: Mutex<State>,
}

/// What is kept between requests.
#[derive(Default)]
struct State {
    /// The process that made the connections.
    process: u32,
    /// Index of the endpoint that answered last.
    good: usize,
    tls: Option<Arc<Loaded>>,
    idle: Vec<Idle>,
}

struct Idle {
    endpoint: usize,
    since: Instant,
    connection: Connection,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.settings.endpoints).finish()
    }
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, names: Names::default(), state: Mutex::default() }
    }

    /// The endpoints, in the order of the settings.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.settings.endpoints
    }

    /// Reads the files of certificates if they have changed.
    ///
    /// # Errors
    /// [`Cause::Settings`]: one of them cannot be used.
    pub fn check_files(&self) -> Answer<()> {
        if self.settings.endpoints.iter().any(Endpoint::tls) { self.tls().map(drop) } else { Ok(()) }
    }

    /// As [`Client::send_with`], for a request that is the same at all endpoints. The next endpoint is tried after HTTP
    /// status 429, 502, 503 and 504, and after 500 if the request only reads.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn send(&self, request: &Request, until: Instant) -> Answer<Response> {
        self.run(until, &mut |_| Ok(Made::Same(request)), &mut |response| usual(request.change, response))
    }

    /// Sends a request that `make` makes for each endpoint, by `until`, and returns the first answer of which `judge`
    /// says that it is one.
    ///
    /// # Errors
    /// [`Trouble`] if no endpoint gave an answer: it says exactly whether the request may have been carried out. An
    /// error of `make` ends the call.
    pub fn send_with(
        &self,
        until: Instant,
        mut make: impl FnMut(&Endpoint) -> Answer<Request>,
        mut judge: impl FnMut(&Response) -> Verdict,
    ) -> Answer<Response> {
        self.run(
            until,
            &mut |endpoint| make(endpoint).map(|request| Made::New(Box::new(request))),
            &mut judge,
        )
    }

    /// Looks at one of the endpoints over a connection of its own, by `until`.
    pub fn look_at(&self, endpoint: &Endpoint, until: Instant) -> Seen {
        let tls = match endpoint.tls().then(|| self.tls()).transpose() {
            Ok(tls) => tls,
            Err(trouble) => return Seen::nothing(trouble.told),
        };
        Seen::look(&self.how(endpoint, tls.as_ref()), until.min(Instant::now() + TRY))
    }

    /// Returns when the client certificate that is shown to endpoints ends, in seconds since 1970; `None` if none is
    /// set.
    ///
    /// # Errors
    /// Its file cannot be used: a sentence that names it.
    pub fn own_certificate_ends(&self) -> Result<Option<u64>, String> {
        let chain = self.settings.tls.own_certificates()?;
        Ok(chain.first().and_then(|certificate| not_after(certificate)))
    }

    fn how<'h>(&'h self, endpoint: &'h Endpoint, tls: Option<&'h Arc<Loaded>>) -> How<'h> {
        How {
            endpoint,
            proxy: self.settings.proxy.as_ref(),
            tls: tls.map(|loaded| &loaded.config),
            server_name: self.settings.tls.server_name.as_deref(),
            names: &self.names,
        }
    }

    fn run<'r>(
        &self,
        until: Instant,
        make: &mut dyn FnMut(&Endpoint) -> Answer<Made<'r>>,
        judge: &mut dyn FnMut(&Response) -> Verdict,
    ) -> Answer<Response> {
        let mut told = Told::default();
        let mut sent_before = false;
        let mut pause = PAUSE;
        loop {
            let mut reached = false;
            let first = self.state().good;
            let count = self.settings.endpoints.len();
            for index in (0..count).map(|n| (first + n) % count) {
                let Some(endpoint) = self.settings.endpoints.get(index) else { continue };
                let left = until.saturating_duration_since(Instant::now());
                if left < TOO_SHORT {
                    return Err(told.trouble(sent_before));
                }
                let made = match make(endpoint) {
                    Ok(made) => made,
                    Err(trouble) => {
                        return Err(Trouble {
                            may_have_happened: trouble.may_have_happened || sent_before,
                            ..trouble
                        });
                    }
                };
                let request = made.request();
                match self.try_at(index, endpoint, request, until) {
                    Ok(answered) => {
                        let Answered { status, headers, body, .. } = answered;
                        let endpoint = endpoint.to_string();
                        let response = Response { status, headers, body, endpoint, sent_before };
                        match judge(&response) {
                            Verdict::Answer => {
                                self.state().good = index;
                                return Ok(response);
                            }
                            Verdict::Next(trouble) => {
                                reached = true;
                                sent_before |= request.change && trouble.may_have_happened;
                                told.add(trouble.cause, trouble.told);
                            }
                        }
                    }
                    Err(broken) => {
                        reached |= broken.sent;
                        sent_before |= request.change && broken.sent;
                        told.add(broken.cause, format!("{endpoint}: {}", broken.why));
                    }
                }
            }
            if !reached || until.saturating_duration_since(Instant::now()) < pause + TOO_SHORT {
                return Err(told.trouble(sent_before));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One try at one endpoint: on a connection that was kept, else on a new one.
    fn try_at(
        &self,
        index: usize,
        endpoint: &Endpoint,
        request: &Request,
        end: Instant,
    ) -> Result<Answered, Broken> {
        let began = Instant::now();
        let half = end.saturating_duration_since(began) / 2;
        let until = began + (TRY + allowance(request)).min(half);
        let tls = match endpoint.tls() {
            true => Some(self.tls().map_err(|trouble| Broken::before(trouble.cause, trouble.told))?),
            false => None,
        };
        let kept = self.kept(index);
        let new = kept.is_none();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(&self.how(endpoint, tls.as_ref()), until)?,
        };
        // An answer that began may take half of what is left.
        let answered = exchange(
            &mut connection,
            &endpoint.authority(),
            request,
            new,
            until,
            began + half.max(until - began),
        )
        .map_err(|broken| if endpoint.tls() { broken } else { broken.perhaps_tls() })?;
        if !endpoint.tls() && answered.status == 400 && wants_tls(&answered.body) {
            let why = "speaks TLS: write https:// in endpoints, and ca if its CA is your own";
            return Err(Broken::before(Cause::Settings, why));
        }
        if answered.keep {
            self.keep(index, connection, tls.as_ref());
        }
        Ok(answered)
    }

    /// The state, emptied if another process made it.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if state.process != process {
            *state = State { process, good: state.good, ..State::default() };
        }
        state
    }

    /// The certificates, read again if their files have changed; then no earlier connection is used any more.
    fn tls(&self) -> Answer<Arc<Loaded>> {
        let earlier = self.state().tls.clone();
        // Without the lock: a file may be on a volume that hangs.
        let now = self.settings.tls.load(earlier.as_ref())?;
        let mut state = self.state();
        if !state.tls.as_ref().is_some_and(|known| Arc::ptr_eq(known, &now)) {
            state.idle.clear();
            state.tls = Some(now.clone());
        }
        Ok(now)
    }

    /// A connection to an endpoint that was kept and is still open.
    fn kept(&self, index: usize) -> Option<Connection> {
        loop {
            let idle = {
                let mut state = self.state();
                state.idle.retain(|idle| idle.since.elapsed() < KEEP);
                let at = state.idle.iter().rposition(|idle| idle.endpoint == index)?;
                state.idle.remove(at)
            };
            if idle.connection.is_idle() {
                return Some(idle.connection);
            }
        }
    }

    fn keep(&self, endpoint: usize, connection: Connection, tls: Option<&Arc<Loaded>>) {
        let mut state = self.state();
        // The certificates may have changed meanwhile.
        let current = match (tls, &state.tls) {
            (Some(used), Some(now)) => Arc::ptr_eq(used, now),
            (used, _) => used.is_none(),
        };
        if current {
            state.idle.push(Idle { endpoint, since: Instant::now(), connection });
            let surplus = state.idle.len().saturating_sub(MAX_KEPT);
            state.idle.drain(..surplus);
        }
    }
}

/// A request that is the same at each endpoint, or was made for one.
enum Made<'r> {
    Same(&'r Request),
    New(Box<Request>),
}

impl Made<'_> {
    fn request(&self) -> &Request {
        match self {
            Self::Same(request) => request,
            Self::New(request) => request,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
