//! The hot path below the contract: how batches lock, and what they refuse.

mod baseline;
mod batch;
pub(crate) mod locks;

use imd::{
    model::{Content, ConversationId, IfBlocked, Mentions, Notice, SessionId, UserId, UserNo},
    store::{Append, AppendConnection, Store},
};
use uuid::Uuid;

use crate::support::postgres::Database;

/// A user with a live session, made behind the server's back.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) user_no: UserNo,
    pub(crate) user_id: UserId,
    pub(crate) session_id: SessionId,
}

/// Makes users `user-1` to `user-<count>`, each with a live session.
pub(crate) async fn senders(database: &Database, count: i32) -> Vec<Sender> {
    let sql = database.sql().await;
    let make = "
        WITH made AS (
            INSERT INTO users (user_id)
            SELECT 'user-' || n FROM generate_series(1, $1) n RETURNING user_no, user_id
        ), counted AS (
            INSERT INTO timelines (owner, epoch) SELECT user_no, 1 FROM made
        )
        INSERT INTO sessions (user_no, session_id, terminal_type, device_id, device_name, created_at,
            last_used_at, refresh_hash, refresh_expires_at)
        SELECT user_no, gen_random_uuid(), 'phone', 'p', user_id, now(), now(), '', now() + interval '1 d'
        FROM made
        RETURNING user_no, device_name, session_id";
    let rows = sql.query(make, &[&count]).await.expect("users");
    let sender = |row: &tokio_postgres::Row| Sender {
        user_no: UserNo(row.get(0)),
        user_id: UserId::from_stored(row.get(1)),
        session_id: SessionId(row.get(2)),
    };
    rows.iter().map(sender).collect()
}

/// A lane's connection of a node of its own.
pub(crate) fn lane(database: &Database) -> AppendConnection {
    Store::new(database.url(), 2).expect("a store").append_connection(0)
}

pub(crate) fn message(from: &Sender, to: &Sender, client_message_id: Uuid, text: &str) -> Append {
    let content = Content::text(text.to_owned(), 1_000).expect("a text");
    Append {
        sender: from.user_no,
        sender_id: from.user_id.clone(),
        session_id: Some(from.session_id),
        conversation: to.user_no.into(),
        conversation_id: ConversationId::User(to.user_id.clone()),
        client_message_id,
        content_hash: content.hash(),
        content,
        mentions: Mentions::default(),
        if_blocked: IfBlocked::Refuse,
        bypass: false,
        notice: Notice::default(),
        sender_timeline: true,
        quote: None,
        forward: None,
        attachments: std::sync::Arc::default(),
    }
}

/// Panics unless every timeline is dense, ends where its counter says and counts its messages at each
/// entry; how many entries there are.
pub(crate) async fn assert_dense(database: &Database) -> i64 {
    let sql = database.sql().await;
    let uneven = "
        SELECT t.owner, t.last_seq, t.last_message_no, count(e.seq), min(e.seq), max(e.seq), max(e.message_no)
        FROM timelines t LEFT JOIN entries e USING (owner)
        GROUP BY t.owner
        HAVING count(e.seq) <> t.last_seq OR coalesce(max(e.seq), 0) <> t.last_seq
            OR coalesce(max(e.message_no), 0) <> t.last_message_no
            OR count(e.seq) FILTER (WHERE e.kind = 1) <> t.last_message_no";
    let uneven = sql.query(uneven, &[]).await.expect("the timelines");
    assert!(uneven.is_empty(), "{uneven:?}");
    let miscounted = "
        SELECT owner, seq, message_no, messages
        FROM (SELECT owner, seq, message_no,
                  count(*) FILTER (WHERE kind = 1) OVER (PARTITION BY owner ORDER BY seq) AS messages
              FROM entries) e
        WHERE message_no <> messages";
    let miscounted = sql.query(miscounted, &[]).await.expect("the entries");
    assert!(miscounted.is_empty(), "{miscounted:?}");
    sql.query_one("SELECT count(*) FROM entries", &[]).await.expect("a number").get(0)
}
