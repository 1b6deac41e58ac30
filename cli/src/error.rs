//! What can go wrong, and the exit code of each.

use std::{io, iter};

use thiserror::Error;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::output::printable;

/// The operation failed, or nothing matched.
const FAILED: u8 = 1;
/// The arguments or the configuration are wrong.
pub(crate) const USAGE: u8 = 2;
/// The server cannot be reached, or does not answer in time.
const UNREACHABLE: u8 = 3;
/// There is no admin key, or the server does not take it.
const REFUSED: u8 = 4;

/// Why a command did not succeed.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// Arguments or configuration.
    #[error("{0}")]
    Usage(String),
    /// No connection, or no answer within the timeout.
    #[error("cannot reach imd at {server}: {cause}")]
    Unreachable { server: String, cause: String },
    /// The place that was to have the admin key has none that can be used.
    #[error("{0}")]
    BadKey(String),
    /// None of the places has an admin key. Each is listed with what was found there.
    #[error("no admin key found; looked at\n  {}", .0.join("\n  "))]
    NoKey(Vec<String>),
    /// The server does not take the key.
    #[error("{server} refused the admin key from {key}: {}", describe(.status))]
    Refused { server: String, key: String, status: Box<Status> },
    /// The server answered with an error.
    #[error("{}", describe(.0))]
    Server(Box<Status>),
    /// The operation was possible, but there was nothing to do it to.
    #[error("{0}")]
    NothingMatched(String),
    /// The demo did not see what it should have.
    #[error("{0}")]
    Demo(String),
    /// The chat is over, or never began.
    #[error("{0}")]
    Chat(String),
    /// The benchmark could not be run, or found a violation.
    #[error("{0}")]
    Bench(String),
    /// A provider of push did not take what it was asked to tell.
    #[error("{0}")]
    Push(String),
    /// A check of the node or its database has failed.
    #[error("{0}")]
    Doctor(String),
    /// A webhook did not acknowledge a test.
    #[error("{0}")]
    Webhook(String),
    /// A file cannot be read or written, or what is in it is wrong.
    #[error("{0}")]
    File(String),
    /// The process was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// The operator did not agree to what would follow.
    #[error("nothing was changed")]
    Declined,
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Error {
    /// The exit code, as `imctl --help` lists them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Server(_)
            | Self::NothingMatched(_)
            | Self::Demo(_)
            | Self::Chat(_)
            | Self::Bench(_)
            | Self::Push(_)
            | Self::Doctor(_)
            | Self::Webhook(_)
            | Self::File(_)
            | Self::Interrupted
            | Self::Declined
            | Self::Output(_) => FAILED,
            Self::Usage(_) => USAGE,
            Self::Unreachable { .. } => UNREACHABLE,
            Self::BadKey(_) | Self::NoKey(_) | Self::Refused { .. } => REFUSED,
        }
    }

    /// Whether the server has answered with this reason.
    pub(crate) fn is(&self, reason: &str) -> bool {
        let Self::Server(status) = self else { return false };
        status.get_details_error_info().is_some_and(|info| info.reason == reason)
    }

    /// What the operator could do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { server, .. } if server.starts_with("https:") => Some(
                "is imd running there, and does it speak TLS? --ca names the authorities to trust; \
                 where the admin listener wants a certificate, give --client-cert and --client-key",
            ),
            Self::Unreachable { .. } => Some(
                "is imd running there? --server is the URL of its admin listener; for the demo \
                 and the chat, --public-server is that of its public one",
            ),
            Self::NoKey(_) => Some(
                "imd writes admin.key to its data folder at its first start: run imctl beside that \
                 folder, set IMD_DATA_DIR, or name the file with --admin-key-file",
            ),
            Self::Refused { .. } => Some("is it the key of this server, and of this data folder?"),
            _ => None,
        }
    }
}

/// The server's own words, its stable reason and the fields it complains about.
pub(crate) fn describe(status: &Status) -> String {
    let message = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    let reason = status.get_details_error_info().map(|info| format!(" ({})", info.reason));
    let fields = status
        .get_details_bad_request()
        .into_iter()
        .flat_map(|request| request.field_violations)
        .filter(|violation| !message.contains(&violation.description))
        .map(|violation| format!("\n  {}: {}", violation.field, violation.description));
    let told: String = iter::once(message.to_owned()).chain(reason).chain(fields).collect();
    // What others have written may be in it.
    told.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn a_server_error_shows_message_reason_and_fields() {
        let mut details = ErrorDetails::with_error_info("invalid_argument", "imd", []);
        details.add_bad_request_violation("password", "must have 8 to 1,024 bytes");
        let status =
            Status::with_error_details(Code::InvalidArgument, "the password is too short", details);
        assert_eq!(
            Error::Server(Box::new(status)).to_string(),
            "the password is too short (invalid_argument)\n  password: must have 8 to 1,024 bytes"
        );
    }

    #[test]
    fn a_field_that_the_message_is_about_is_not_repeated() {
        let mut details = ErrorDetails::with_error_info("invalid_argument", "imd", []);
        details.add_bad_request_violation("note", "is too long");
        let status =
            Status::with_error_details(Code::InvalidArgument, "note: is too long", details);
        assert_eq!(describe(&status), "note: is too long (invalid_argument)");
    }

    #[test]
    fn an_error_without_a_message_shows_its_code() {
        assert_eq!(
            describe(&Status::new(Code::NotFound, "")),
            "Some requested entity was not found"
        );
    }
}
