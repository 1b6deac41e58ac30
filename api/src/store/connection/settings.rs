//! What imd sets on each connection. A role, a database or `postgresql.conf` may set anything; what imd
//! promises must not depend on it, so imd sets all that its statements, its locks and its acks rely on,
//! reads it back, and refuses a server where it does not hold.
//!
//! The settings travel in statements: the startup parameter `options` is refused, or silently dropped,
//! by connection poolers.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Extra, Role, error::Refusal};

/// Name and value.
const SETTINGS: &[(&str, &str)] = &[
    // A statement that takes this long has lost its purpose; its caller has gone.
    ("statement_timeout", "10s"),
    // A node that stops in the middle of a transaction must not hold others up for more than seconds.
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("idle_session_timeout", "0"),
    // Checks come after locks, and see what the holders of those locks have committed.
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    // What values look like on the way.
    ("client_encoding", "UTF8"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    // What statements mean.
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    ("row_security", "on"),
    ("exit_on_error", "off"),
    // Lanes lock counters in the order in which a nested loop meets them.
    ("enable_nestloop", "on"),
    ("enable_indexscan", "on"),
];

/// As strong as `on`, which waits for the disk here and for the standbys that are synchronous; or
/// stronger.
const SYNCHRONOUS_COMMIT: &str = "CASE current_setting('synchronous_commit') \
     WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END";

/// What only later versions, or not all platforms of the server, know. With the second, a server
/// notices within this time that the caller of a long statement has closed the connection.
const WHERE_KNOWN: [&str; 2] = [
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'",
    "SET client_connection_check_interval = '1s'",
];

/// Sets up a connection, in `schema` when it is known.
pub(super) async fn prepare(
    client: &Client,
    role: Role,
    schema: Option<&str>,
    extra: Extra<'_>,
) -> Result<(), Refusal> {
    let path = schema.map(|schema| format!("\"{}\"", schema.replace('"', "\"\"")));
    let path = path.as_deref().map(|path| ("search_path", path));
    let mut values: Vec<(&str, &str)> = SETTINGS.to_vec();
    for (name, value) in extra.iter().copied().chain(path) {
        values.retain(|(known, _)| *known != name);
        values.push((name, value));
    }
    let mut names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let set = |(name, value): &(&str, &str)| {
        format!("set_config('{name}', '{}', false)", value.replace('\'', "''"))
    };
    let mut sets: Vec<String> = values.iter().map(set).collect();
    names.push("synchronous_commit");
    sets.push(format!("set_config('synchronous_commit', {SYNCHRONOUS_COMMIT}, false)"));
    let set = format!("SELECT {}", sets.join(", "));
    let read: Vec<String> = names.iter().map(|name| format!("current_setting('{name}')")).collect();
    let read = format!(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), \
         current_setting('session_replication_role'), {}",
        read.join(", ")
    );
    // Sent at once; each a transaction of its own.
    let (set, _, _, read) = futures::join!(
        client.simple_query(&set),
        client.simple_query(WHERE_KNOWN[0]),
        client.simple_query(WHERE_KNOWN[1]),
        client.simple_query(&read),
    );
    let (set, read) = (row(set?)?, row(read?)?);
    match (read[0].as_str(), read[1].as_str()) {
        _ if role == Role::Follower => {}
        ("t", _) => return Err(Refusal::ReadOnly { standby: true }),
        (_, "on") => return Err(Refusal::ReadOnly { standby: false }),
        _ => {}
    }
    if read[2] != "origin" {
        let reason = "session_replication_role is not `origin`, so the server would check no references; reset it for the role and the database";
        return Err(Refusal::Unfit(reason.to_owned()));
    }
    match names.iter().zip(&set).zip(&read[3..]).find(|((_, set), read)| set != read) {
        Some(((name, _), _)) => Err(Refusal::Unfit(format!(
            "`SET {name}` does not last until the next transaction, as behind a connection pooler in transaction mode, which imd cannot use: connect to PostgreSQL itself, or have the pooler use session mode"
        ))),
        None => Ok(()),
    }
}

/// The first row of an answer.
fn row(answer: Vec<SimpleQueryMessage>) -> Result<Vec<String>, Refusal> {
    let row = answer.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.ok_or_else(|| Refusal::Unfit("the server answers with no row".to_owned()))?;
    Ok((0..row.len()).map(|place| row.get(place).unwrap_or_default().to_owned()).collect())
}
