//! What PostgreSQL's errors mean for who called: which pass by themselves or by an operator's doing,
//! which say that the connection leads to the wrong place, and after which nothing is known.

use tokio_postgres::error::SqlState;

use super::connection::ConnectError;
use crate::model::Error;

/// Why an exchange with the database came to no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There was no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There was one.
    #[error(transparent)]
    Sql(#[from] tokio_postgres::Error),
}

impl Fault {
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Connect(_) => None,
            Self::Sql(error) => error.code(),
        }
    }

    /// Whether the same may succeed in a moment, here or on another server.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Connect(error) => error.passes(),
            Self::Sql(error) => error.code().is_some_and(passes) || is_lost(error),
        }
    }

    /// Whether the connection must not be used any more.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            Self::Sql(error) => error.code().is_none_or(ends_connection),
        }
    }

    /// Whether a COMMIT that had been sent may have been carried out.
    pub(super) fn leaves_doubt(&self) -> bool {
        match self {
            Self::Connect(_) => false,
            Self::Sql(error) => error.code().is_none_or(|code| code.code().starts_with("57P")),
        }
    }
}

/// Whether something passes: time or an operator mends it, and the request need not change.
pub(super) fn passes(code: &SqlState) -> bool {
    let class = &code.code()[..2];
    // Connections, resources, an operator's intervention, the system below PostgreSQL.
    matches!(class, "08" | "53" | "57" | "58")
        || is_conflict(code)
        || [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(code)
        || code.code() == "25P04"
}

/// Whether transactions came in each other's way. Nothing of this one is left: it can be run again.
pub(super) fn is_conflict(code: &SqlState) -> bool {
    [SqlState::T_R_DEADLOCK_DETECTED, SqlState::T_R_SERIALIZATION_FAILURE].contains(code)
}

/// Whether the server had no room for what was to be written, or no memory.
pub(super) fn is_full(code: &SqlState) -> bool {
    [SqlState::DISK_FULL, SqlState::OUT_OF_MEMORY].contains(code)
}

/// Whether the connection is lost, or leads to a server that does not take writes any more.
pub(super) fn ends_connection(code: &SqlState) -> bool {
    let text = code.code();
    text.starts_with("08")
        || text.starts_with("57P")
        || text.starts_with("58")
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        || text == "25P04"
}

/// Whether the server is going down, or takes no writes any more. The other connections lead to the
/// same one.
pub(super) fn leaves_server(code: &SqlState) -> bool {
    let text = code.code();
    text.starts_with("57P")
        || text.starts_with("58")
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
}

/// Whether the connection was lost, before an answer or with it. What is wrong with a value that was to
/// be sent, or with an answer, has no code either, and is no such error.
pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
    let io = |source: &(dyn std::error::Error + 'static)| source.is::<std::io::Error>();
    match error.code() {
        Some(code) => ends_connection(code),
        None => error.is_closed() || std::error::Error::source(error).is_some_and(io),
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            // An operator mends what does not pass, too, and the node goes on without a restart.
            Fault::Connect(error) => Self::unavailable(error),
            Fault::Sql(error) => error.into(),
        }
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        Self::unavailable(error)
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let passing = error.code().is_some_and(passes) || is_lost(&error);
        if passing { Self::unavailable(error) } else { Self::internal(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_time_or_an_operator_mends_passes() {
        for code in [
            "08006", "53100", "53200", "53300", "57014", "57P01", "57P03", "58030", "25006",
            "40001", "40P01", "55P03", "25P03", "25P04",
        ] {
            assert!(passes(&SqlState::from_code(code)), "{code}");
        }
        for code in ["23505", "22003", "42P01", "42501", "XX000", "0A000"] {
            assert!(!passes(&SqlState::from_code(code)), "{code}");
        }
    }

    #[test]
    fn a_server_that_takes_no_writes_any_more_is_left() {
        for code in ["08006", "57P01", "58030", "25006"] {
            assert!(ends_connection(&SqlState::from_code(code)), "{code}");
        }
        for code in ["53100", "57014", "40P01", "23505"] {
            assert!(!ends_connection(&SqlState::from_code(code)), "{code}");
        }
    }
}
