//! What the server must be like, looked at once, when a node starts.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use super::{Store, clock, connection::Link};

/// The oldest version that imd works with, as the server numbers it.
const OLDEST: u32 = 15_00_00;

/// How long two connections may take to be told apart.
const TOLD_APART: Duration = Duration::from_secs(5);

/// How often they are compared, each in another order than the time before.
const COMPARISONS: usize = 3;

/// Why a node cannot work with its database, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnusableDatabase(String);

impl UnusableDatabase {
    pub(super) fn new(why: impl Display) -> Self {
        Self(why.to_string())
    }

    /// With the causes, of which the last says most.
    pub(super) fn because(error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        Self(causes.join(": "))
    }
}

impl From<tokio_postgres::Error> for UnusableDatabase {
    fn from(error: tokio_postgres::Error) -> Self {
        let said = error.as_db_error().map(|said| said.message().to_owned());
        Self(said.unwrap_or_else(|| error.to_string()))
    }
}

/// What a node asks the server. The schemas are those that hold tables of imd.
const QUESTIONS: &str = "SELECT current_setting('server_version_num'), current_setting('server_version'),
    current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'),
    current_database(), current_user, current_schema(),
    (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = to_regclass('refinery_schema_history')),
    (SELECT min(n.nspname) FROM pg_class h JOIN pg_class t USING (relnamespace)
     JOIN pg_namespace n ON n.oid = h.relnamespace
     WHERE h.relname = 'refinery_schema_history' AND t.relname = 'timelines')";

impl Store {
    /// Checks that the server is one that imd works with, and finds the schema for all connections from
    /// now on: whatever becomes of the role's search path, the tables are found where they were.
    pub async fn check_server(&self) -> Result<(), UnusableDatabase> {
        let open = async || {
            let link = self.0.connector.open(&[]).await;
            link.map_err(UnusableDatabase::new)
        };
        let link = open().await?;
        let answer = first_row(link.client.simple_query(QUESTIONS).await?);
        let [
            version,
            version_text,
            encoding,
            fsync,
            full_pages,
            database,
            role,
            current,
            found,
            other,
        ] = &answer[..]
        else {
            return Err(UnusableDatabase(
                "the server does not answer as PostgreSQL does".to_owned(),
            ));
        };
        if version.parse::<u32>().is_ok_and(|version| version < OLDEST) {
            return Err(UnusableDatabase(format!(
                "the server runs PostgreSQL {version_text}; imd needs PostgreSQL 15 or newer"
            )));
        }
        if encoding != "UTF8" {
            return Err(UnusableDatabase(format!(
                "the encoding of the database {database:?} is {encoding}; imd needs UTF8: make one with `CREATE DATABASE imd TEMPLATE template0 ENCODING 'UTF8'` and name it in database.url"
            )));
        }
        for (name, value) in [("fsync", fsync), ("full_page_writes", full_pages)] {
            if value == "off" {
                tracing::warn!(
                    "{name} is off: a crash of the server may lose acknowledged messages"
                );
            }
        }
        self.0.connector.use_schema(schema(role, current, found, other)?);
        let asked = Instant::now();
        let reading = first_row(link.client.simple_query(clock::QUESTION).await?);
        if let Some(reading) = reading.first().and_then(|reading| reading.parse().ok()) {
            self.0.connector.clock.set(asked, reading);
        }
        tell_apart(&link, &open().await?).await
    }
}

/// The schema that holds the tables, or that is to hold them.
fn schema(role: &str, current: &str, found: &str, other: &str) -> Result<String, UnusableDatabase> {
    match (found, other, current) {
        ("", "", "") => Err(UnusableDatabase(format!(
            "the search_path of the role {role:?} names no schema that exists: create one, or reset the search_path of the role and the database"
        ))),
        ("", "", current) => Ok(current.to_owned()),
        ("", other, _) => Err(UnusableDatabase(format!(
            "the tables of imd are in the schema {other:?}, where the search_path of the role {role:?} does not lead: run `ALTER ROLE {role:?} SET search_path = {other:?}`"
        ))),
        (found, ..) => Ok(found.to_owned()),
    }
}

/// Makes sure that each connection has a server process of its own, as it has not behind a pooler in
/// transaction mode: locks, LISTEN and settings would be another client's.
async fn tell_apart(one: &Link, other: &Link) -> Result<(), UnusableDatabase> {
    let shared = || {
        UnusableDatabase("connections share server processes, as behind a connection pooler in transaction or statement mode, which imd cannot use: connect to PostgreSQL itself, or have the pooler use session mode".to_owned())
    };
    let compared = timeout(TOLD_APART, async {
        let mut of_each = [Vec::new(), Vec::new()];
        for round in 0..COMPARISONS {
            // Poolers hand out the server process that was given back last, or first.
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for place in order {
                let begin = "BEGIN; SELECT pg_backend_pid()";
                let process = first_row([one, other][place].client.simple_query(begin).await?);
                if round == 0 {
                    of_each[place] = process;
                } else if of_each[place] != process {
                    return Ok(false);
                }
            }
            for link in [one, other] {
                link.client.simple_query("COMMIT").await?;
            }
        }
        Ok::<_, tokio_postgres::Error>(true)
    });
    match compared.await {
        Ok(Ok(true)) => Ok(()),
        // One that has a single server process has the second connection wait for the first; one in
        // statement mode refuses BEGIN.
        Ok(Ok(false)) | Err(_) => Err(shared()),
        Ok(Err(error)) => {
            let error = UnusableDatabase::from(error);
            Err(if error.0.contains("pooling mode") { shared() } else { error })
        }
    }
}

/// NULL comes as an empty text.
fn first_row(answer: Vec<SimpleQueryMessage>) -> Vec<String> {
    let row = answer.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let Some(row) = row else { return Vec::new() };
    (0..row.len()).map(|place| row.get(place).unwrap_or_default().to_owned()).collect()
}
