//! Who has read a message of a group.

use tokio_postgres::Row;

use crate::{
    model::{Error, GroupNo, MessageId, Result, TimelineNo, UserId, UserNo},
    store::{Store, entries::KIND_MESSAGE, timelines::no_timeline},
};

/// Who has read a message.
#[derive(Debug)]
pub struct Readers {
    /// Members other than the sender, in the order of their numbers, of one page.
    pub readers: Vec<(UserNo, UserId)>,
    /// How many members who have the message have read it, the sender left out.
    pub read: i64,
    /// How many have not.
    pub unread: i64,
}

/// Members who got the message and did not send it.
const AUDIENCE: &str = "m.group_no = $1 AND m.left_seq IS NULL AND m.user_no <> e.sender
     AND m.joined_seq < e.seq";

impl Store {
    /// Who of a group's members has read a message: at most `limit` of them, all after `after`.
    ///
    /// Errors: [`Error::MessageNotFound`] for what is no message of a group that `caller` is a member of,
    /// or was sent before it joined.
    pub async fn readers(
        &self,
        caller: UserNo,
        message_id: MessageId,
        after: UserNo,
        limit: i64,
    ) -> Result<Readers> {
        let group_no: GroupNo = message_id.home.group().ok_or(Error::MessageNotFound)?;
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT count(*) FILTER (WHERE m.read_seq >= e.seq) AS read,
                     count(*) FILTER (WHERE m.read_seq < e.seq) AS unread
                 FROM entries e
                 JOIN group_members own ON own.group_no = $1 AND own.user_no = $2
                     AND own.left_seq IS NULL AND own.joined_seq < e.seq
                 LEFT JOIN group_members m ON {AUDIENCE}
                 WHERE e.owner = $3 AND e.seq = $4 AND e.kind = $5
                     AND coalesce(e.generation, 0::smallint) = $6
                 GROUP BY e.seq"
            ))
            .await?;
        let MessageId { home: TimelineNo(owner), seq, generation } = message_id;
        let counted = client
            .query_opt(
                &statement,
                &[&group_no.0, &caller.0, &owner, &seq, &KIND_MESSAGE, &generation],
            )
            .await?;
        let counted = counted.ok_or(Error::MessageNotFound)?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT m.user_no FROM entries e JOIN group_members m ON {AUDIENCE}
                 WHERE e.owner = $2 AND e.seq = $3 AND m.read_seq >= e.seq AND m.user_no > $4
                 ORDER BY m.user_no LIMIT $5"
            ))
            .await?;
        let rows = client.query(&statement, &[&group_no.0, &owner, &seq, &after.0, &limit]).await?;
        drop(client);
        let users = self.known_users(&rows.iter().map(|row| row.get(0)).collect()).await?;
        let reader = |row: &Row| {
            let user_no = UserNo(row.get(0));
            let known = users.get(&user_no.0).ok_or_else(|| no_timeline(user_no))?;
            Ok((user_no, known.user_id.clone()))
        };
        let readers = rows.iter().map(reader).collect::<Result<_>>()?;
        Ok(Readers { readers, read: counted.get("read"), unread: counted.get("unread") })
    }
}
