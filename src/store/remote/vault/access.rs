// SPDX-License-Identifier: GPL-2.0-or-later
//! Requests with a token: to which node they go, and what happens when the token is refused.

use super::node::may_be_stale;
use super::refusal::{Refusal, errors, refusal};
use super::session::{Token, login_body, login_refused};
use crate::store::remote::http::{Client, Request, Response, Verdict};
use crate::store::remote::objects::{Answer, Cause, Trouble};
use crate::store::remote::remotes::VaultLogin;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use zeroize::Zeroizing;

/// What is asked of an engine.
pub(super) struct Ask {
    method: &'static str,
    path: String,
    change: bool,
    body: Zeroizing<Vec<u8>>,
}

impl Ask {
    pub(super) fn reading(method: &'static str, path: String) -> Self {
        Self { method, path, change: false, body: Zeroizing::default() }
    }

    pub(super) fn changing(method: &'static str, path: String) -> Self {
        Self { change: true, ..Self::reading(method, path) }
    }

    pub(super) fn body(mut self, bytes: Vec<u8>) -> Self {
        self.body = Zeroizing::new(bytes);
        self
    }
}

/// A trouble on the way to a change, which was not sent.
pub(super) fn before(trouble: Trouble) -> Trouble {
    Trouble { may_have_happened: false, ..trouble }
}

fn trouble(refused: Refusal, response: &Response) -> Trouble {
    if refused.certain {
        response.not_done(refused.cause, refused.told)
    } else {
        response.unknown(refused.cause, refused.told)
    }
}

/// The way to an engine: its endpoints, and the token.
pub(super) struct Access {
    client: Client,
    namespace: Option<String>,
    login: VaultLogin,
    session: Mutex<Option<Token>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

impl Access {
    pub(super) fn new(client: Client, namespace: Option<String>, login: VaultLogin) -> Self {
        Self { client, namespace, login, session: Mutex::default() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether tokens come from a login, so that there is always another one.
    pub(super) fn logs_in(&self) -> bool {
        matches!(self.login, VaultLogin::AppRole { .. })
    }

    /// Sends a request, with a new token if the engine refuses the one that is remembered. Returns the first answer of a
    /// node that did what was asked: status 200 to 299, 404 for a secret that does not exist, or 400 for a version that
    /// is another.
    pub(super) fn ask(&self, ask: &Ask, until: Instant) -> Answer<Response> {
        let response = self.ask_with_token(ask, until)?;
        if response.status == 403 {
            let told = format!(
                "does not allow {} {}. Add it to the token's policy: see docs/REMOTES.md",
                ask.method,
                ask.path.trim_start_matches("/v1/")
            );
            return Err(response.not_done(Cause::NotAllowed, told));
        }
        Ok(response)
    }

    /// As [`Access::ask`], but status 403 is an answer.
    pub(super) fn ask_with_token(&self, ask: &Ask, until: Instant) -> Answer<Response> {
        let token = self.token(until).map_err(before)?;
        let response = self.send(ask, Some(&token), refusal, until)?;
        if response.status != 403 {
            return Ok(response);
        }
        let sent_before = response.sent_before;
        let maybe = |t: Trouble| Trouble { may_have_happened: sent_before, ..t };
        // A node that is not the active one may not know a new token yet: the next request goes to the active one.
        self.active(until).map_err(maybe)?;
        let about = self.send(&look_up(), Some(&token), refusal, until).map_err(maybe)?;
        let token =
            if about.status == 200 { token } else { self.other_token(&token, until).map_err(maybe)? };
        let mut response = self
            .send(ask, Some(&token), refusal, until)
            .map_err(|t| Trouble { may_have_happened: t.may_have_happened || sent_before, ..t })?;
        response.sent_before |= sent_before;
        Ok(response)
    }

    /// Whether a token is valid, by the answer to its look at itself. One that is valid but may not look says so in
    /// other words than one that has ended; a login is the surer way, where there is one.
    fn knows(&self, about: &Response) -> bool {
        let said = errors(&about.body);
        about.status == 200
            || (!self.logs_in() && said.starts_with("1 error occurred") && !said.contains("invalid token"))
    }

    /// Sends a request to the endpoints in turn until a node gives an answer that counts. `what` tells which do not.
    fn send(
        &self,
        ask: &Ask,
        token: Option<&Token>,
        what: impl Fn(u16, &[u8]) -> Option<Refusal>,
        until: Instant,
    ) -> Answer<Response> {
        let make = || {
            let request = if ask.change {
                Request::changing(ask.method, ask.path.as_str())
            } else {
                Request::reading(ask.method, ask.path.as_str())
            };
            let request = match token {
                Some(token) => request.header("X-Vault-Token", token.text()),
                None => request,
            };
            let request = match &self.namespace {
                Some(namespace) => request.header("X-Vault-Namespace", namespace.as_str()),
                None => request,
            };
            if ask.body.is_empty() { request } else { request.body(ask.body.to_vec()) }
        };
        let mut patience = Patience::default();
        let response =
            self.client.send_with(until, |_| Ok(make()), |response| patience.judge(response, &what))?;
        match what(response.status, &response.body) {
            Some(refused) => Err(trouble(refused, &response)),
            None => Ok(response),
        }
    }

    /// Looks for the active node: the next request goes to it first. Returns its endpoint.
    pub(super) fn active(&self, until: Instant) -> Answer<String> {
        // Without the namespace: only the root namespace tells.
        let health = || Request::reading("GET", "/v1/sys/health");
        let mut patience = Patience::default();
        let response = self.client.send_with(
            until,
            |_| Ok(health()),
            |response| patience.judge(response, &may_be_stale),
        )?;
        match may_be_stale(response.status, &response.body) {
            Some(refused) => Err(trouble(refused, &response)),
            None => Ok(response.endpoint),
        }
    }

    /// The token to use now.
    fn token(&self, until: Instant) -> Answer<Token> {
        let known = self.session().clone();
        let now = Instant::now();
        match known {
            Some(token) if token.is_over(now) => self.other_token(&token, until),
            Some(token) if token.wants_renewal(now) => Ok(self.renewed(token, until)),
            Some(token) => Ok(token),
            None => self.new_token(None, until),
        }
    }

    fn session(&self) -> MutexGuard<'_, Option<Token>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, token: Token) -> Token {
        *self.session() = Some(token.clone());
        token
    }

    /// A token in place of one that is refused or over.
    fn other_token(&self, refused: &Token, until: Instant) -> Answer<Token> {
        // Another thread may have got one meanwhile.
        let known = self.session().clone();
        match known.filter(|known| known.text() != refused.text()) {
            Some(token) => Ok(token),
            None => self.new_token(Some(refused), until),
        }
    }

    /// The token, valid for longer. It stays as it is if it cannot be renewed.
    fn renewed(&self, token: Token, until: Instant) -> Token {
        let renew = Ask::changing("POST", "/v1/auth/token/renew-self".to_owned()).body(b"{}".to_vec());
        let asked = Instant::now();
        match self.send(&renew, Some(&token), refusal, until) {
            Ok(response) => match Token::granted(&response.body, asked) {
                Some(longer) => self.remember(longer),
                None => self.remember(token.not_renewable()),
            },
            Err(trouble) if trouble.cause == Cause::NotTheEngine => self.remember(token.not_renewable()),
            // The request that follows tells what is wrong.
            Err(_) => token,
        }
    }

    /// Logs in, or reads the token from its source.
    fn new_token(&self, refused: Option<&Token>, until: Instant) -> Answer<Token> {
        // The active node knows a new token first.
        self.active(until)?;
        let token = match &self.login {
            VaultLogin::Token(source) => {
                let token = Token::new(source.read(until)?.text());
                let asked = Instant::now();
                let about = self.send(&look_up(), Some(&token), refusal, until)?;
                if self.knows(&about) {
                    token.looked_up(&about.body, asked)
                } else if refused.is_some_and(|refused| refused.text() == token.text()) {
                    let told = format!(
                        "refuses the token: it has expired or was revoked. Write a new one to {source}"
                    );
                    return Err(about.not_done(Cause::Credentials, told));
                } else {
                    // It may not look itself up: it is used until it is refused.
                    token
                }
            }
            VaultLogin::AppRole { mount, role_id, secret_id } => {
                let secret_id = secret_id.read(until)?;
                let login = Ask::changing("POST", format!("/v1/auth/{mount}/login"))
                    .body(login_body(role_id, secret_id.text()));
                let asked = Instant::now();
                let what = |status, body: &[u8]| {
                    login_refused(status, body, mount).or_else(|| refusal(status, body))
                };
                let response = self.send(&login, None, what, until)?;
                Token::granted(&response.body, asked).ok_or_else(|| {
                    response.not_done(Cause::NotTheEngine, "answers a login without a token")
                })?
            }
        };
        Ok(self.remember(token))
    }
}

pub(super) fn look_up() -> Ask {
    Ask::reading("GET", "/v1/auth/token/lookup-self".to_owned())
}

/// How long to ask nodes that cannot answer. An election is over in seconds, so they are asked again and again. But a
/// sealed node waits for a person: if all nodes that answer are sealed, twice is enough.
#[derive(Default)]
struct Patience {
    sealed: Vec<String>,
    others: bool,
}

impl Patience {
    fn judge(&mut self, response: &Response, what: &impl Fn(u16, &[u8]) -> Option<Refusal>) -> Verdict {
        let Some(refused) = what(response.status, &response.body).filter(|refused| refused.elsewhere) else {
            return Verdict::Answer;
        };
        if refused.cause != Cause::Sealed {
            self.others = true;
        } else if !self.others && self.sealed.contains(&response.endpoint) {
            return Verdict::Answer;
        } else {
            self.sealed.push(response.endpoint.clone());
        }
        Verdict::Next(trouble(refused, response))
    }
}
