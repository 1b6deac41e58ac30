//! A client that does what a lane of imd does with a batch: the same statements, one round trip.

use std::collections::BTreeMap;

use futures::future::{try_join, try_join4};
use tokio_postgres::{Client, Config, Error, Statement};
use uuid::Uuid;

use super::{
    connect,
    sql::{APPEND, COUNT, LANE_SETTINGS},
    user_no,
};

/// A connection.
pub(super) struct Lane {
    client: Client,
    count: Statement,
    append: Statement,
}

impl Lane {
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        let client = connect(config, LANE_SETTINGS).await?;
        let (count, append) = try_join(client.prepare(COUNT), client.prepare(APPEND)).await?;
        Ok(Self { client, count, append })
    }

    /// Appends messages between these (sender, recipient), and commits.
    pub(super) async fn append(
        &self,
        batch: &[(usize, usize)],
        sessions: &[Uuid],
        body: &[u8],
    ) -> Result<(), Error> {
        let mut entries: BTreeMap<i64, i64> = BTreeMap::new();
        let mut take = |user| {
            let taken = entries.entry(user_no(user)).or_default();
            *taken += 1;
            *taken - 1
        };
        let later = batch.iter().rev().map(|&(sender, recipient)| (take(sender), take(recipient)));
        let mut later: Vec<(i64, i64)> = later.collect();
        later.reverse();
        let (sent, received): (Vec<i64>, Vec<i64>) = later.into_iter().unzip();
        let (owners, counts): (Vec<i64>, Vec<i64>) = entries.into_iter().unzip();
        let senders: Vec<i64> = batch.iter().map(|(sender, _)| user_no(*sender)).collect();
        let recipients: Vec<i64> = batch.iter().map(|(_, other)| user_no(*other)).collect();
        let sessions: Vec<Uuid> = batch.iter().map(|(sender, _)| sessions[*sender]).collect();
        let ids: Vec<Uuid> = batch.iter().map(|_| Uuid::new_v4()).collect();
        let hashes: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
        let content_types: Vec<Option<&str>> = vec![None; batch.len()];
        let bodies = vec![body; batch.len()];
        let no_flags: Vec<Option<i16>> = vec![None; batch.len()];
        let drop_if_blocked = vec![false; batch.len()];
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 12] = [
            &senders,
            &sessions,
            &sent,
            &recipients,
            &received,
            &drop_if_blocked,
            &ids,
            &hashes,
            &content_types,
            &bodies,
            &content_types,
            &no_flags,
        ];
        let ((), _, refused, ()) = try_join4(
            self.client.batch_execute("BEGIN"),
            self.client.query(&self.count, &[&owners, &counts]),
            self.client.query(&self.append, &values),
            self.client.batch_execute("COMMIT"),
        )
        .await?;
        debug_assert!(refused.is_empty(), "sessions are live and ids are new");
        Ok(())
    }
}
