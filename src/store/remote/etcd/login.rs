// SPDX-License-Identifier: GPL-2.0-or-later
//! The login of a user with a password, and the token that etcd gives for it.

use super::answers::{self, Authenticated};
use super::refusal::{Fate, Refusal, Who};
use crate::store::remote::http::{Client, Request, Response, Verdict};
use crate::store::remote::objects::{Answer, Cause, Trouble};
use crate::store::remote::remotes::Source;
use serde::Serialize;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use zeroize::Zeroizing;

/// A token. Threads share it.
type Token = Arc<Zeroizing<String>>;

/// A user who authenticates, if there is one.
pub(super) struct Login {
    user: Option<(String, Source)>,
    /// What etcd gave for the password.
    state: Mutex<State>,
}

#[derive(Clone)]
enum State {
    /// Nobody has logged in, or etcd has forgotten it.
    LoggedOut,
    LoggedIn(Token),
    /// The cluster does not ask for users.
    Needless,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Login").field(&self.user).finish()
    }
}

#[derive(Serialize)]
struct NameAndPassword<'a> {
    name: &'a str,
    password: &'a str,
}

impl Login {
    pub(super) fn new(user: Option<(String, Source)>) -> Self {
        Self { user, state: Mutex::new(State::LoggedOut) }
    }

    /// The user's name.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|(name, _)| name.as_str())
    }

    /// Who asks with this token, or without one.
    pub(super) fn who(&self, token: &Option<Token>) -> Who<'_> {
        match (self.user(), token) {
            (None, _) => Who::Nobody,
            (Some(user), None) => Who::NotAsked(user),
            (Some(user), Some(_)) => Who::User(user),
        }
    }

    /// Returns the token, after a login if there is none. `None` if nobody needs one.
    pub(super) fn token(&self, client: &Client, until: Instant) -> Answer<Option<Token>> {
        let Some((name, source)) = &self.user else { return Ok(None) };
        let known = self.state().clone();
        match known {
            State::LoggedIn(token) => return Ok(Some(token)),
            State::Needless => return Ok(None),
            State::LoggedOut => {}
        }
        // Without the lock: nobody waits for another's login.
        let state = log_in(client, name, source, until)?;
        self.state().clone_from(&state);
        Ok(match state {
            State::LoggedIn(token) => Some(token),
            State::LoggedOut | State::Needless => None,
        })
    }

    /// Forgets a token that etcd refused, unless there is a newer one. Returns whether it is worth asking again.
    pub(super) fn forget(&self, refused: Option<Token>) -> bool {
        let mut state = self.state();
        let same = match (&*state, &refused) {
            (State::LoggedIn(token), Some(refused)) => Arc::ptr_eq(token, refused),
            (State::Needless, None) => true,
            _ => false,
        };
        if same {
            *state = State::LoggedOut;
        }
        self.user.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_in(client: &Client, name: &str, source: &Source, until: Instant) -> Answer<State> {
    let password = source.read(until)?;
    let make = |_: &_| {
        // Large enough for both, so that no other place in memory has held the password.
        let mut body = Vec::with_capacity(64 + 6 * (name.len() + password.text().len()));
        serde_json::to_writer(&mut body, &NameAndPassword { name, password: password.text() })
            .map_err(|e| Trouble::not_done(Cause::Settings, e.to_string()))?;
        // It changes nothing that matters: etcd forgets a login that nobody uses.
        Ok(Request::reading("POST", "/v3/auth/authenticate")
            .header("Content-Type", "application/json")
            .body(body))
    };
    let refusal = |response: &Response| Refusal::of(response.status, &response.body, Who::User(name), "");
    let judge = |response: &Response| match response.status {
        200 => Verdict::Answer,
        _ => match refusal(response) {
            Refusal { fate: Fate::Refused | Fate::Token, .. } => Verdict::Answer,
            Refusal { cause, told, .. } => Verdict::Next(response.not_done(cause, told)),
        },
    };
    let response = client.send_with(until, make, judge)?;
    if response.status != 200 {
        let refusal = refusal(&response);
        return match refusal.authentication_off {
            true => Ok(State::Needless),
            false => Err(response.not_done(refusal.cause, refusal.told)),
        };
    }
    let token = answers::read::<Authenticated>(&response.body).map(|answer| Zeroizing::new(answer.token));
    match token {
        // What a header can carry.
        Some(token) if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(State::LoggedIn(Arc::new(token)))
        }
        _ => {
            let unreadable = Refusal::unreadable();
            Err(response.not_done(unreadable.cause, unreadable.told))
        }
    }
}
