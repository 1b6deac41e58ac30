//! A client that does what a lane of imd does with a batch: the same statements, two round trips.

use std::collections::BTreeMap;

use futures::future::{try_join, try_join3};
use time::OffsetDateTime;
use tokio_postgres::{Client, Config, Error, Row, Statement};
use uuid::Uuid;

use super::{
    connect,
    sql::{CHECK, COUNT, INSERT, LANE_SETTINGS},
    user_no,
};

/// A connection.
pub(super) struct Lane {
    client: Client,
    count: Statement,
    check: Statement,
    insert: Statement,
}

/// A timeline's counter.
struct Counter {
    seq: i64,
    message_no: i64,
    at: OffsetDateTime,
}

/// The columns of one side of the batch, sender's or recipient's.
#[derive(Default)]
struct Places {
    owners: Vec<i64>,
    seqs: Vec<i64>,
    message_nos: Vec<i64>,
    at: Vec<OffsetDateTime>,
}

impl Lane {
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        let client = connect(config, LANE_SETTINGS).await?;
        let (count, check, insert) =
            try_join3(client.prepare(COUNT), client.prepare(CHECK), client.prepare(INSERT)).await?;
        Ok(Self { client, count, check, insert })
    }

    /// Appends messages between these (sender, recipient), and commits.
    pub(super) async fn append(
        &self,
        batch: &[(usize, usize)],
        sessions: &[Uuid],
        body: &[u8],
    ) -> Result<(), Error> {
        let ids: Vec<Uuid> = batch.iter().map(|_| Uuid::new_v4()).collect();
        let mut counters = self.lock_and_check(batch, &ids, sessions).await?;
        let (mut sent, mut received) = (Places::default(), Places::default());
        for &(sender, recipient) in batch {
            sent.take(user_no(sender), &mut counters);
            received.take(user_no(recipient), &mut counters);
        }
        let hashes: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        let content_types: Vec<Option<&str>> = vec![None; batch.len()];
        let bodies = vec![body; batch.len()];
        let inserting = async {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 12] = [
                &sent.owners,
                &sent.seqs,
                &sent.message_nos,
                &sent.at,
                &received.owners,
                &received.seqs,
                &received.message_nos,
                &received.at,
                &ids,
                &hashes,
                &content_types,
                &bodies,
            ];
            self.client.execute(&self.insert, &values).await
        };
        try_join(inserting, self.client.batch_execute("COMMIT")).await.map(drop)
    }

    /// The counters as they were before the batch.
    async fn lock_and_check(
        &self,
        batch: &[(usize, usize)],
        ids: &[Uuid],
        sessions: &[Uuid],
    ) -> Result<BTreeMap<i64, Counter>, Error> {
        let mut entries: BTreeMap<i64, i64> = BTreeMap::new();
        for &(sender, recipient) in batch {
            for user in [sender, recipient] {
                *entries.entry(user_no(user)).or_default() += 1;
            }
        }
        let (owners, counts): (Vec<i64>, Vec<i64>) = entries.iter().unzip();
        let items: Vec<i64> = (0..).take(batch.len()).collect();
        let senders: Vec<i64> = batch.iter().map(|(sender, _)| user_no(*sender)).collect();
        let recipients: Vec<i64> = batch.iter().map(|(_, other)| user_no(*other)).collect();
        let sessions: Vec<Uuid> = batch.iter().map(|(sender, _)| sessions[*sender]).collect();
        let ((), rows, refused) = try_join3(
            self.client.batch_execute("BEGIN"),
            self.client.query(&self.count, &[&owners, &counts]),
            self.client.query(&self.check, &[&items, &senders, &sessions, &ids, &recipients]),
        )
        .await?;
        debug_assert!(refused.is_empty(), "sessions are live and ids are new");
        let counter = |row: &Row| {
            let owner: i64 = row.get(0);
            let taken = entries[&owner];
            let (seq, message_no) = (row.get::<_, i64>(2) - taken, row.get::<_, i64>(3) - taken);
            (owner, Counter { seq, message_no, at: row.get(4) })
        };
        Ok(rows.iter().map(counter).collect())
    }
}

impl Places {
    fn take(&mut self, owner: i64, counters: &mut BTreeMap<i64, Counter>) {
        let counter = counters.get_mut(&owner).expect("every user has a timeline");
        counter.seq += 1;
        counter.message_no += 1;
        self.owners.push(owner);
        self.seqs.push(counter.seq);
        self.message_nos.push(counter.message_no);
        self.at.push(counter.at);
    }
}
