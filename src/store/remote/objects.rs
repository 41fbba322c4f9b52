// SPDX-License-Identifier: GPL-2.0-or-later
//! What a remote engine must be able to do: read, put, list and delete small objects, and put one only if it is absent
//! or still is the version that was read.

use std::fmt;
use std::time::Instant;

/// Maximum length of an object in bytes. etcd takes 1.5 MiB in a request, and Vault 1 MiB in a value that holds the
/// object in base64.
pub const MAX_OBJECT: usize = 256 * 1024;

/// The version of an object, as the engine calls it: an S3 `ETag`, the version number of Vault's KV, or etcd's
/// `mod_revision` with the object's bytes. It is different after each change of the object's bytes;
/// of bytes that the object had before it may be that of then, so whoever depends on versions puts other bytes each time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version(pub String);

/// An object that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its version.
    pub version: Version,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} bytes, {:?})", self.bytes.len(), self.version)
    }
}

/// What an object is, to a program that knows a version of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Now {
    /// It still is that version.
    Same,
    /// It is another one, or the engine cannot leave out what is known; `None` if it does not exist.
    Object(Option<Object>),
}

/// What became of a put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Put {
    /// It is done and durable. The object has this version now.
    Done(Version),
    /// The object exists, or is not the version that was named. An earlier attempt of the same put, whose answer was
    /// lost, may be the reason.
    Conflict,
}

/// What is wrong with a remote, so that a program can tell cases apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// No endpoint could be reached: refused, no route, unknown host name, no answer in time.
    Unreachable,
    /// An endpoint answers, but the engine has no majority or no leader.
    NoMajority,
    /// The certificate of an endpoint is not valid, or it refuses ours.
    Certificate,
    /// The credentials are missing, wrong or expired.
    Credentials,
    /// The credentials do not allow this operation.
    NotAllowed,
    /// Vault or OpenBao is sealed.
    Sealed,
    /// The engine has no room: a quota, or a full disk.
    Full,
    /// The engine is too busy or answered with an internal error.
    Unwell,
    /// The bucket or mount does not exist, or the answer is not one of this kind of engine.
    NotTheEngine,
    /// The remotes file, or a file or secret that it names, cannot be used.
    Settings,
}

/// Why a request did not succeed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// What is wrong.
    pub cause: Cause,
    /// Whether the request may have been carried out all the same, now or later: its answer was lost.
    pub may_have_happened: bool,
    /// What happened, at which endpoint, and what to do next: a sentence for an administrator, without a secret and
    /// without a full stop at its end.
    pub told: String,
}

impl Trouble {
    /// A request that was certainly not carried out.
    pub fn not_done(cause: Cause, told: impl Into<String>) -> Self {
        Self { cause, may_have_happened: false, told: told.into() }
    }

    /// A request that may have been carried out.
    pub fn unknown(cause: Cause, told: impl Into<String>) -> Self {
        Self { cause, may_have_happened: true, told: told.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

/// An answer of an engine.
pub type Answer<T> = Result<T, Trouble>;

/// An engine's objects. Names are relative to what the remotes file says (bucket, mount), consist of ASCII letters,
/// digits, `.`, `_`, `-` and `/`, and do not begin or end with `/`.
///
/// Each call ends by `until` and leaves no thread. Within that time an implementation tries its endpoints in turn, and
/// renews its credentials if the engine refuses them; so a put may be sent more than once.
pub trait Objects: Send + Sync + fmt::Debug {
    /// Why the settings that are used are not those of the remotes file: it was changed so that it cannot be used. As of
    /// the last request.
    fn unusable_settings(&self) -> Option<String> {
        None
    }

    /// Reads an object, as the last put that was acknowledged to anyone left it. `None` if it does not exist.
    ///
    /// # Errors
    /// [`Trouble`].
    fn get(&self, name: &str, until: Instant) -> Answer<Option<Object>>;

    /// As [`Objects::get`], for a program that has the version `known`. An engine whose versions are different for
    /// different bytes, even after it was restored from a backup, need not send an object that still is that version.
    ///
    /// # Errors
    /// [`Trouble`].
    fn get_if_changed(&self, name: &str, _known: &Version, until: Instant) -> Answer<Now> {
        self.get(name, until).map(Now::Object)
    }

    /// Puts an object, durably, if it does not exist (`was` is `None`) or still is the version `was`.
    ///
    /// # Errors
    /// [`Trouble`].
    fn put(&self, name: &str, bytes: &[u8], was: Option<&Version>, until: Instant) -> Answer<Put>;

    /// Puts two objects in one step, durably: `new` if it does not exist, and `name` if it still is the version `was`.
    /// Either both are put or none is. Returns what became of `name`. `None` if the engine has no such step; then nothing
    /// was done.
    ///
    /// # Errors
    /// [`Trouble`].
    fn put_with(
        &self,
        _new: (&str, &[u8]),
        _name: &str,
        _bytes: &[u8],
        _was: &Version,
        _until: Instant,
    ) -> Answer<Option<Put>> {
        Ok(None)
    }

    /// Lists the names of all objects below `folder`, at any depth, in any order. An engine may leave out objects that
    /// were put a moment ago, and name objects that were deleted a moment ago.
    ///
    /// # Errors
    /// [`Trouble`].
    fn list(&self, folder: &str, until: Instant) -> Answer<Vec<String>>;

    /// Deletes objects with all their versions, if the engine keeps versions and allows that. It is no error if one does
    /// not exist.
    ///
    /// # Errors
    /// [`Trouble`]. Some of them may have been deleted.
    fn delete(&self, names: &[String], until: Instant) -> Answer<()>;
}
