//! Whether the database can be worked with at this moment.

use std::time::{Duration, Instant};

use tokio::{sync::Mutex, time::timeout};
use tokio_postgres::SimpleQueryMessage;

use super::{
    Store,
    connection::{Connector, Link},
    fault::Fault,
};
use crate::model::{Error, Result};

/// How long an answer may take. A node that cannot say so within this time is not ready.
const ANSWER: Duration = Duration::from_secs(2);

/// How long an answer is good for all who ask.
const FRESH: Duration = Duration::from_millis(200);

/// How long a server that had no room, or no memory, for what was to be written counts as full.
const FULL: Duration = Duration::from_secs(10);

/// A connection to ask on, so that neither requests that use up the pool nor those who ask stand in
/// each other's way.
#[derive(Default)]
pub(super) struct Health(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    link: Option<Link>,
    last: Option<(Instant, Result<()>)>,
}

impl Store {
    /// Whether the database answers and takes writes. Says so within two seconds, whatever the database
    /// does. Errors: [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<()> {
        let asking = timeout(ANSWER, self.0.health.ask(&self.0.connector));
        asking.await.unwrap_or_else(|_| {
            self.0.connector.note_silence();
            Err(Error::unavailable(format!("PostgreSQL does not answer within {ANSWER:?}")))
        })
    }
}

impl Health {
    async fn ask(&self, connector: &Connector) -> Result<()> {
        let mut asked = self.0.lock().await;
        if let Some((at, answer)) = &asked.last
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        // Whoever is interrupted leaves no connection behind that owes an answer.
        let answer = match look(connector, asked.link.take()).await {
            Ok(link) => {
                asked.link = Some(link);
                full(connector)
            }
            Err(fault) => Err(fault.into()),
        };
        asked.last = Some((Instant::now(), answer.clone()));
        answer
    }
}

/// Asks the server; the connection to ask on again.
async fn look(connector: &Connector, link: Option<Link>) -> Result<Link, Fault> {
    let Some(link) = link.filter(|link| connector.trusts(link)) else {
        // Opening one asks the same.
        return Ok(connector.open(&[]).await?);
    };
    let question = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool";
    let answer = link.client.simple_query(question).await?;
    let writable = answer.iter().any(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0) == Some("f"),
        _ => false,
    });
    if writable {
        return Ok(link);
    }
    connector.suspect();
    Ok(connector.open(&[]).await?)
}

/// Whether the server had no room just now.
fn full(connector: &Connector) -> Result<()> {
    match connector.full_since() {
        Some(at) if at.elapsed() < FULL => {
            Err(Error::unavailable("PostgreSQL has just refused a write for want of resources"))
        }
        _ => Ok(()),
    }
}
