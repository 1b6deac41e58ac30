//! A connection that appends: one attempt at a batch is one transaction of one round trip.

use std::{collections::BTreeMap, sync::Arc};

use futures::{
    FutureExt,
    future::{join, try_join3, try_join4},
};
use tokio_postgres::{Client, Row, Statement, types::ToSql};

use super::{
    Append, Appended, Item,
    places::{Counter, Layout, appended},
    verdicts::{Verdict, verdicts},
};
use crate::{
    model::Error,
    store::{
        Store, add_options,
        login_points::{OTHER_NODES, OtherNodes, read_other_nodes},
        sessions::{SessionCheck, session_end},
    },
};

/// Set on every connection that appends. The counters must be locked in the order of owners, which
/// only the nested loop over the sorted owners does. A transaction comes in one piece, so a node that
/// lets the server wait in the middle of one has stopped.
pub const LANE_SETTINGS: &str = "-c enable_hashjoin=off -c enable_mergejoin=off \
     -c enable_seqscan=off -c plan_cache_mode=force_generic_plan \
     -c idle_in_transaction_session_timeout=2s";

// `imctl bench` runs the same statements, to see what PostgreSQL does with them alone.
const COUNT: &str = include_str!("count.sql");
const APPEND: &str = include_str!("append.sql");

/// An open connection.
pub(super) struct Session {
    client: Client,
    node_no: i64,
    begin: &'static str,
    count: Statement,
    append: Statement,
    other_nodes: Statement,
}

/// What the round trip of an attempt returned.
struct Appending {
    /// As they are with the batch.
    counters: BTreeMap<i64, Counter>,
    /// The items that keep the batch from being appended.
    refused: Vec<Row>,
    other_nodes: Option<Arc<OtherNodes>>,
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
        node_no: i64,
        begin: &'static str,
    ) -> Result<Self, tokio_postgres::Error> {
        let mut config = store.0.config.clone();
        add_options(&mut config, LANE_SETTINGS);
        let (client, connection) = config.connect(store.0.tls.clone()).await?;
        tokio::spawn(connection.map(drop));
        let (count, append, other_nodes) =
            try_join3(client.prepare(COUNT), client.prepare(APPEND), client.prepare(OTHER_NODES))
                .await?;
        Ok(Self { client, node_no, begin, count, append, other_nodes })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Tries to append the items; `in_doubt` when an earlier attempt may have been committed.
    ///
    /// After an error of the server the connection is good for another attempt: the COMMIT behind the
    /// failed statement has rolled it back.
    pub(super) async fn attempt(
        &mut self,
        items: &[Item<'_>],
        in_doubt: bool,
    ) -> Result<Attempt, tokio_postgres::Error> {
        let layout = Layout::of(items);
        let Appending { counters, refused, other_nodes } = self.append(items, &layout).await?;
        if !refused.is_empty() {
            let refused = verdicts(items, &refused, in_doubt);
            return Ok(Attempt::Refused(self.with_reasons(items, refused).await?));
        }
        let appended = |(item, later): (&Item<'_>, _)| Appended {
            other_nodes: other_nodes.clone(),
            ..appended(item.append, later, &counters)
        };
        Ok(Attempt::Committed(items.iter().zip(&layout.later).map(appended).collect()))
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

    /// The one round trip.
    async fn append(
        &self,
        items: &[Item<'_>],
        layout: &Layout,
    ) -> Result<Appending, tokio_postgres::Error> {
        let Layout { owners, entries, later } = layout;
        let sent: Vec<i64> = later.iter().map(|later| later.sent).collect();
        let received: Vec<Option<i64>> = later.iter().map(|later| later.received).collect();
        let appending = async {
            self.client
                .query(
                    &self.append,
                    &[
                        owners,
                        entries,
                        &column(items, |item| item.sender.0),
                        &column(items, |item| item.session_id.0),
                        &sent,
                        &column(items, |item| item.recipient.0),
                        &received,
                        &column(items, |item| item.client_message_id),
                        &column(items, |item| item.content_hash.as_slice()),
                        &column(items, |item| item.content.content_type()),
                        &column(items, |item| item.content.body().as_ref()),
                    ],
                )
                .await
        };
        // Polled together, so sent together. A COMMIT behind a failed statement answers ROLLBACK and no
        // error: all must succeed. But where the nodes concerned are not told, the batch stands all the
        // same.
        let (transaction, other_nodes) = join(
            try_join4(
                self.client.batch_execute(self.begin),
                self.client.query(&self.count, &[owners, entries]),
                appending,
                self.client.batch_execute("COMMIT"),
            ),
            self.client.query(&self.other_nodes, &[owners, &self.node_no]),
        )
        .await;
        let ((), counters, refused, ()) = transaction?;
        let counter = |row: &Row| (row.get("owner"), Counter::read(row));
        Ok(Appending {
            counters: counters.iter().map(counter).collect(),
            refused,
            other_nodes: other_nodes.ok().map(|rows| Arc::new(read_other_nodes(&rows))),
        })
    }
}

fn column<'a, T>(items: &[Item<'a>], read: impl Fn(&'a Append) -> T) -> Vec<T> {
    items.iter().map(|item| read(item.append)).collect()
}
