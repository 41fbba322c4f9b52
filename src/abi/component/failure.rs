// SPDX-License-Identifier: GPL-2.0-or-later
//! A change that fails logs why.

use crate::abi::guard::Failed;
use crate::abi::level::Level;
use crate::abi::services;
use crate::error::{BadRequest, Error, Result};

/// Does `work`, and logs its failure as "Error while {doing} key: ...".
pub(super) fn logging(doing: &str, work: impl FnOnce() -> Result<()>) -> std::result::Result<(), Failed> {
    work().map_err(|e| {
        let level = match e {
            // The caller made the mistake.
            Error::BadRequest(BadRequest::Key(_))
            | Error::BadRequest(BadRequest::Exists { .. })
            | Error::BadRequest(BadRequest::NoSuchKey { .. }) => Level::Note,
            _ => Level::Error,
        };
        services::log(level, &format!("Error while {doing} key: {e}"));
        Failed
    })
}
