//! A connection that appends: one attempt at a batch is one transaction of two round trips.

use std::collections::BTreeMap;

use futures::{FutureExt, future::try_join3};
use time::OffsetDateTime;
use tokio_postgres::{Client, Row, Statement, types::ToSql};

use super::{
    Append, Appended, Item,
    places::{Counter, Place, Placed, place},
    verdicts::{Verdict, verdicts},
};
use crate::{
    model::Error,
    store::{
        Store, add_options,
        sessions::{SessionCheck, session_end},
    },
};

/// Set on every connection that appends. The counters must be locked in the order of owners, which
/// only the nested loop over the sorted owners does. Between the two round trips there is nothing to
/// wait for, so a node that lets the server wait has stopped.
pub const LANE_SETTINGS: &str = "-c enable_hashjoin=off -c enable_mergejoin=off \
     -c enable_seqscan=off -c plan_cache_mode=force_generic_plan \
     -c idle_in_transaction_session_timeout=2s";

// `imctl bench` runs the same statements, to see what PostgreSQL does with them alone.
const COUNT: &str = include_str!("count.sql");
const CHECK: &str = include_str!("check.sql");
pub(in crate::store) const INSERT: &str = include_str!("insert.sql");

/// An open connection.
pub(super) struct Session {
    client: Client,
    begin: &'static str,
    count: Statement,
    check: Statement,
    insert: Statement,
}

/// What came of an attempt.
pub(super) enum Attempt {
    /// All are appended, in the order of the batch.
    Committed(Vec<Appended>),
    /// Nothing is appended; these items, by their place in the batch, must not be, or not like this.
    Refused(Vec<(usize, Verdict)>),
}

impl Session {
    /// Connects and prepares the statements; `begin` opens each transaction.
    pub(super) async fn open(
        store: &Store,
        begin: &'static str,
    ) -> Result<Self, tokio_postgres::Error> {
        let mut config = store.0.config.clone();
        add_options(&mut config, LANE_SETTINGS);
        let (client, connection) = config.connect(store.0.tls.clone()).await?;
        tokio::spawn(connection.map(drop));
        let (count, check, insert) =
            try_join3(client.prepare(COUNT), client.prepare(CHECK), client.prepare(INSERT)).await?;
        Ok(Self { client, begin, count, check, insert })
    }

    /// Tries to append the items; `in_doubt` when an earlier attempt may have been committed.
    pub(super) async fn attempt(
        &mut self,
        items: &[Item<'_>],
        in_doubt: bool,
    ) -> Result<Attempt, tokio_postgres::Error> {
        let (counters, checked) = self.lock_and_check(items).await?;
        let refused = verdicts(items, &counters, &checked, in_doubt);
        if !refused.is_empty() {
            self.roll_back().await?;
            return Ok(Attempt::Refused(self.with_reasons(items, refused).await?));
        }
        let placed = place(items, counters);
        self.insert_and_commit(items, &placed).await?;
        Ok(Attempt::Committed(
            items.iter().zip(placed).map(|(item, at)| at.appended(item.append)).collect(),
        ))
    }

    pub(super) async fn roll_back(&self) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute("ROLLBACK").await
    }

    /// Tells those whose sessions are gone with their users that it is so.
    async fn with_reasons(
        &self,
        items: &[Item<'_>],
        mut refused: Vec<(usize, Verdict)>,
    ) -> Result<Vec<(usize, Verdict)>, tokio_postgres::Error> {
        for (position, verdict) in &mut refused {
            if let Verdict::Settled(Err(Error::InvalidToken(_))) = verdict {
                let Append { sender, session_id, .. } = items[*position].append;
                let who: [&(dyn ToSql + Sync); 2] = [&sender.0, &session_id.0];
                let row = self.client.query_opt(&session_end(), &who).await?;
                if let Err(reason) = SessionCheck::read(row.as_ref()).require_live() {
                    *verdict = Verdict::Settled(Err(reason));
                }
            }
        }
        Ok(refused)
    }

    /// The first round trip: locks the counters, takes the places, then checks.
    async fn lock_and_check(
        &self,
        items: &[Item<'_>],
    ) -> Result<(BTreeMap<i64, Counter>, Vec<Row>), tokio_postgres::Error> {
        let mut entries: BTreeMap<i64, i64> = BTreeMap::new();
        for item in items {
            for (owner, places) in item.owners() {
                *entries.entry(owner.0).or_default() += places;
            }
        }
        let (owners, counts): (Vec<i64>, Vec<i64>) = entries.iter().unzip();
        let numbers: Vec<i64> = (0..).take(items.len()).collect();
        let senders = column(items, |item| item.sender.0);
        let sessions = column(items, |item| item.session_id.0);
        let ids = column(items, |item| item.client_message_id);
        let recipients = column(items, |item| item.recipient.0);
        // Polled together, so sent together.
        let ((), counters, checked) = try_join3(
            self.client.batch_execute(self.begin),
            self.client.query(&self.count, &[&owners, &counts]),
            self.client.query(&self.check, &[&numbers, &senders, &sessions, &ids, &recipients]),
        )
        .await?;
        let counter = |row: &Row| {
            let owner = row.get(0);
            (owner, Counter::before(row, entries[&owner]))
        };
        Ok((counters.iter().map(counter).collect(), checked))
    }

    /// The second round trip.
    async fn insert_and_commit(
        &self,
        items: &[Item<'_>],
        placed: &[Placed],
    ) -> Result<(), tokio_postgres::Error> {
        let received = |read: fn(&Place) -> i64| -> Vec<Option<i64>> {
            placed.iter().map(|p| p.received.as_ref().map(read)).collect()
        };
        let sent = |read: fn(&Place) -> i64| -> Vec<i64> {
            placed.iter().map(|p| read(&p.sent)).collect()
        };
        let sent_at: Vec<OffsetDateTime> = placed.iter().map(|p| p.sent.at).collect();
        let received_at: Vec<Option<OffsetDateTime>> =
            placed.iter().map(|p| p.received.as_ref().map(|place| place.at)).collect();
        let inserting = async {
            self.client
                .execute(
                    &self.insert,
                    &[
                        &column(items, |item| item.sender.0),
                        &sent(|place| place.cursor.seq),
                        &sent(|place| place.message_no),
                        &sent_at,
                        &column(items, |item| item.recipient.0),
                        &received(|place| place.cursor.seq),
                        &received(|place| place.message_no),
                        &received_at,
                        &column(items, |item| item.client_message_id),
                        &column(items, |item| item.content_hash.as_slice()),
                        &column(items, |item| item.content.content_type()),
                        &column(items, |item| item.content.body().as_ref()),
                    ],
                )
                .await
        };
        // A COMMIT behind a failed statement answers ROLLBACK and no error: both must succeed.
        futures::future::try_join(inserting, self.client.batch_execute("COMMIT")).await?;
        Ok(())
    }
}

fn column<'a, T>(items: &[Item<'a>], read: impl Fn(&'a Append) -> T) -> Vec<T> {
    items.iter().map(|item| read(item.append)).collect()
}
