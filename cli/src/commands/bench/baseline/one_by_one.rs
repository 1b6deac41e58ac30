//! A plain client: a transaction for each message, two round trips long.

use futures::future::{try_join, try_join3};
use time::OffsetDateTime;
use tokio_postgres::{Client, Config, Error, Row, Statement};
use uuid::Uuid;

use super::{connect, user_no};

const COUNT: &str = "\
    UPDATE timelines
    SET last_seq = last_seq + 1, last_message_no = last_message_no + 1,
        last_at = greatest(last_at, now())
    WHERE owner = $1
    RETURNING last_seq, last_message_no, last_at";

const INSERT: &str = "\
    INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no, appended_at, kind,
        client_message_id, content_hash, copies, body)
    VALUES
        ($1::bigint, $2::bigint, $3::bigint, $1, $2, $4::bigint, $5::timestamptz, 1,
         $6::uuid, $7::bytea, ARRAY[$3, $8::bigint], $9::bytea),
        ($3, $8, $1, $1, $2, $10::bigint, $11::timestamptz, 1, NULL, NULL, NULL, $9)";

/// A connection.
pub(super) struct Single {
    client: Client,
    count: Statement,
    insert: Statement,
}

/// A place in a timeline: seq, number of the message, time.
type Place = (i64, i64, OffsetDateTime);

impl Single {
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        let client = connect(config).await?;
        let (count, insert) = try_join(client.prepare(COUNT), client.prepare(INSERT)).await?;
        Ok(Self { client, count, insert })
    }

    /// Appends one message to both timelines, and commits.
    pub(super) async fn append(
        &self,
        (sender, recipient): (usize, usize),
        body: &[u8],
    ) -> Result<(), Error> {
        let (sender, recipient) = (user_no(sender), user_no(recipient));
        // In the order of owners, lest two transactions wait for each other.
        let (low, high) = (sender.min(recipient), sender.max(recipient));
        let ((), low_row, high_row) = try_join3(
            self.client.batch_execute("BEGIN"),
            self.client.query_one(&self.count, &[&low]),
            self.client.query_one(&self.count, &[&high]),
        )
        .await?;
        let (mut sent, mut received) = (place(&low_row), place(&high_row));
        if sender == high {
            (sent, received) = (received, sent);
        }
        let id = Uuid::new_v4();
        let hash: &[u8] = id.as_bytes();
        let inserting = async {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 11] = [
                &sender,
                &sent.0,
                &recipient,
                &sent.1,
                &sent.2,
                &id,
                &hash,
                &received.0,
                &body,
                &received.1,
                &received.2,
            ];
            self.client.execute(&self.insert, &values).await
        };
        try_join(inserting, self.client.batch_execute("COMMIT")).await.map(drop)
    }
}

fn place(row: &Row) -> Place {
    (row.get(0), row.get(1), row.get(2))
}
