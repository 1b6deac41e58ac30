//! The limits of what one client may take.

/// Which limit is reached. Its name is that of the setting below `limits.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Failed logins of one account from one address.
    FailedLogins,
    /// Failed logins from one address.
    FailedLoginsPerAddress,
    /// Successful logins of one user.
    LoginsPerUser,
    /// Messages of one session.
    SendsPerSession,
    /// Messages of one user.
    SendsPerUser,
    /// Signals of one session.
    SignalsPerSession,
    /// Reads of one user.
    ReadsPerUser,
    /// Reads of one user that run or wait.
    ReadsAtOnce,
    /// Changes of one user.
    ChangesPerUser,
    /// Open streams of one session.
    StreamsPerSession,
    /// Pings over one WebSocket: it ends.
    PingsPerSecond,
    /// Open connections of one address.
    ConnectionsPerAddress,
    /// Calls and streams of one HTTP/2 connection: the stream is reset.
    StreamsPerConnection,
    /// Answers that a connection has not read.
    UnreadBytes,
    /// The header of a request: the connection ends.
    HeaderBytes,
    /// How long a connection may say nothing of what it wants: it ends.
    HeaderTimeout,
    /// How long a call may take: it ends.
    CallTimeout,
}

impl Limit {
    /// As the setting is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FailedLogins => "failed_logins",
            Self::FailedLoginsPerAddress => "failed_logins_per_address",
            Self::LoginsPerUser => "logins_per_user",
            Self::SendsPerSession => "sends_per_session",
            Self::SendsPerUser => "sends_per_user",
            Self::SignalsPerSession => "signals_per_session",
            Self::ReadsPerUser => "reads_per_user",
            Self::ReadsAtOnce => "reads_at_once",
            Self::ChangesPerUser => "changes_per_user",
            Self::StreamsPerSession => "streams_per_session",
            Self::PingsPerSecond => "pings_per_second",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::StreamsPerConnection => "streams_per_connection",
            Self::UnreadBytes => "unread_bytes",
            Self::HeaderBytes => "header_bytes",
            Self::HeaderTimeout => "header_timeout",
            Self::CallTimeout => "call_timeout",
        }
    }
}
