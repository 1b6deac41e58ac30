//! Why there is no connection.

use std::{fmt, io, sync::Arc, time::Duration};

use tokio_postgres::error::SqlState;

use crate::store::fault;

/// Why no host of the database could be used, in one line that says what to do.
#[derive(Debug, Clone)]
pub(in crate::store) struct ConnectError(Arc<Vec<(String, Refusal)>>);

/// Why one host could not be used.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its name could not be resolved.
    Unknown(io::Error),
    /// It did not answer in this time.
    Silent(Duration),
    /// It, or the way there, answered with an error.
    Sql(tokio_postgres::Error),
    /// It takes no writes; whether as a standby.
    ReadOnly { standby: bool },
    /// Another server was promoted in its place, and was there just now.
    Replaced,
    /// It cannot be used as it is configured: what is wrong and what to do.
    Unfit(String),
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl ConnectError {
    pub(super) fn new(refusals: Vec<(String, Refusal)>) -> Self {
        Self(Arc::new(refusals))
    }

    /// None of them was of use within this time.
    pub(in crate::store) fn late(deadline: Duration) -> Self {
        Self::new(vec![("all hosts".to_owned(), Refusal::Silent(deadline))])
    }

    /// Whether it may be different in a moment, on one of the hosts, without anybody's doing.
    pub(in crate::store) fn passes(&self) -> bool {
        self.0.iter().any(|(_, refusal)| refusal.passes())
    }
}

impl Refusal {
    fn passes(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::Silent(_) | Self::ReadOnly { .. } | Self::Replaced => true,
            Self::Sql(error) => match error.code() {
                Some(code) => fault::passes(code),
                None => io_error(error).is_some() || error.is_closed(),
            },
            Self::Unfit(_) => false,
        }
    }
}

fn io_error(error: &tokio_postgres::Error) -> Option<&io::Error> {
    // TLS errors come as I/O errors, too, with a cause of their own.
    let source = std::error::Error::source(error)?.downcast_ref::<io::Error>()?;
    source.get_ref().is_none().then_some(source)
}

impl std::error::Error for ConnectError {}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot connect to PostgreSQL")?;
        for (place, (host, refusal)) in self.0.iter().enumerate() {
            let (joint, again) = if place == 0 { (" at ", "") } else { ("; ", "at ") };
            write!(f, "{joint}{again}{host}: {refusal}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(error) => {
                write!(f, "the host cannot be found ({error}); check database.url")
            }
            Self::Silent(time) => write!(f, "no answer within {:.1} s", time.as_secs_f32()),
            Self::Sql(error) => describe(error, f),
            Self::ReadOnly { standby: true } => f.write_str("this is a standby, not the primary"),
            Self::ReadOnly { standby: false } => {
                f.write_str("the database is read-only; check default_transaction_read_only")
            }
            Self::Replaced => f.write_str("another server was promoted in this one's place"),
            Self::Unfit(reason) => f.write_str(reason),
        }
    }
}

/// What the server said, or what came in the way, and what to do about it.
fn describe(error: &tokio_postgres::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(said) = error.as_db_error() {
        let what_to_do = match *said.code() {
            SqlState::INVALID_PASSWORD => "; check the role and the password in database.url",
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                "; check the role in database.url and the server's pg_hba.conf"
            }
            SqlState::INVALID_CATALOG_NAME => "; create it, or check the name in database.url",
            SqlState::TOO_MANY_CONNECTIONS => {
                "; raise max_connections, or lower database.pool_size"
            }
            _ => "",
        };
        return write!(f, "{}{what_to_do}", said.message());
    }
    if io_error(error).is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        return f.write_str("connection refused; is PostgreSQL running there?");
    }
    write!(f, "{error}")?;
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        write!(f, ": {error}")?;
        cause = error.source();
    }
    Ok(())
}
