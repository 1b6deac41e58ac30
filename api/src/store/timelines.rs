//! Reading timelines forward, and the lock and counter that every change of one begins with.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use super::{
    Store, Transaction,
    entries::{ENTRY_COLUMNS, EventColumns, within_page},
    reading,
    retention::timeline,
    sessions::SessionCheck,
    tiers::read_retention,
};
use crate::model::{
    ConversationNo, Cursor, Entry, EntryKind, Error, EventKind, GroupNo, MessageId, Result,
    SessionId, Start, Stretch, TimelineNo, TimelineState, Truncated, UserId, UserNo,
};

/// A stretch of a timeline and how far the timeline reaches, from one snapshot.
#[derive(Debug)]
pub struct TimelinePage {
    /// How far the timeline reaches.
    pub state: TimelineState,
    /// The entries, in the order of `seq`.
    pub entries: Vec<Entry>,
    /// Where the page starts: the entries are those after this place.
    pub after: Cursor,
    /// Set when entries after the cursor can no longer be had.
    pub truncated: Option<Truncated>,
    /// Set when the cursor was of another numbering.
    pub reset: bool,
}

/// `timelines.state` of one that entries are appended to.
pub(super) const OPEN: i16 = 1;

/// Why nothing can be appended to a timeline. Numbered as in `timelines.state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// An import fills it.
    Importing = 2,
    /// It is on its way out with its user, or gone.
    Deleted = 3,
}

impl Closed {
    /// What `timelines.state` says.
    pub(super) fn read(state: i16) -> Option<Self> {
        match state {
            OPEN => None,
            2 => Some(Self::Importing),
            _ => Some(Self::Deleted),
        }
    }
}

impl Store {
    /// Reads up to `limit` entries from `start` on; fewer where the page would be too large in bytes.
    pub async fn read_timeline(
        &self,
        owner: UserNo,
        start: Start,
        limit: i64,
    ) -> Result<TimelinePage> {
        let rows = format!(
            "(SELECT {ENTRY_COLUMNS} FROM entries e
              WHERE e.owner = $1 AND e.seq > start.after ORDER BY e.seq LIMIT $5)"
        );
        // One statement, so that state and entries are of one snapshot.
        let sql = format!(
            "WITH RECURSIVE {timeline}, start AS (
                     SELECT CASE
                         WHEN $2::bigint IS NOT NULL THEN greatest(last_seq - $2, floor - 1)
                         WHEN $3 = epoch AND $4 <= last_seq THEN greatest($4, floor - 1)
                         ELSE floor - 1
                     END AS after
                     FROM timeline
                 )
                 SELECT timeline.*, start.*, e.*
                 FROM timeline CROSS JOIN start LEFT JOIN LATERAL ({page}) e ON true
                 ORDER BY e.seq",
            timeline = timeline(),
            page = within_page(&rows, "e.seq"),
        );
        let (last, cursor) = match start {
            Start::After(cursor) => (None, Some(cursor)),
            Start::Last(count) => (Some(count), None),
            Start::Floor => (None, None),
        };
        let (epoch, seq) = (cursor.map(|c| c.epoch), cursor.map(|c| c.seq));
        let values: [&(dyn ToSql + Sync); 5] = [&owner.0, &last, &epoch, &seq, &limit];
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query(&statement, &values).await?)
        })?;
        let Some(first) = rows.first() else { return Err(self.gone(owner).await) };
        let state = read_state(first);
        let after = Cursor { epoch: state.epoch, seq: first.get("after") };
        let reset = cursor.is_some_and(|c| c.epoch != state.epoch || c.seq > state.last_seq);
        let truncated = cursor.filter(|c| !reset && c.seq < after.seq).map(|c| Truncated {
            from: c.seq + 1,
            to: after.seq,
            retention: state.retention.clone(),
        });
        let entries = self.page_of(state.epoch, &rows).await?.entries;
        Ok(TimelinePage { state, entries, after, truncated, reset })
    }

    /// The entries of these stretches, by owner and seq; at most `limit` of them.
    pub async fn entries_in(
        &self,
        stretches: &[Stretch],
        limit: i64,
    ) -> Result<Vec<(TimelineNo, Entry)>> {
        if stretches.is_empty() {
            return Ok(Vec::new());
        }
        let column =
            |read: fn(&Stretch) -> i64| -> Vec<i64> { stretches.iter().map(read).collect() };
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!(
                "SELECT t.owner, stamp(t.epoch) AS epoch, e.*
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) s (owner, first, last)
                 JOIN timelines t USING (owner) CROSS JOIN LATERAL (
                     SELECT {ENTRY_COLUMNS} FROM entries e
                     WHERE e.owner = s.owner AND e.seq BETWEEN s.first AND s.last
                     ORDER BY e.seq LIMIT $4
                 ) e
                 ORDER BY t.owner, e.seq LIMIT $4"
            ))
            .await?;
        let (owners, firsts, lasts) =
            (column(|s| s.owner.0), column(|s| s.first), column(|s| s.last));
        let rows = client.query(&statement, &[&owners, &firsts, &lasts, &limit]).await?;
        drop(client);
        // The stamp of the numbering is set for each.
        let entries = self.entries_of(0, &rows).await?;
        let stamped = |(row, mut entry): (&Row, Entry)| {
            entry.cursor.epoch = row.get("epoch");
            (TimelineNo(row.get("owner")), entry)
        };
        Ok(rows.iter().zip(entries).map(stamped).collect())
    }

    /// The place of the newest entry of each of the timelines; `None` for one that is gone.
    pub async fn ends_of(&self, owners: &[i64]) -> Result<Vec<(TimelineNo, Option<Cursor>)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT owner, stamp(epoch) AS epoch, last_seq
                 FROM unnest($1::bigint[]) o (owner) LEFT JOIN timelines USING (owner)",
            )
            .await?;
        let rows = client.query(&statement, &[&owners]).await?;
        let end = |row: &Row| {
            let epoch: Option<i64> = row.get("epoch");
            let cursor = epoch.map(|epoch| Cursor { epoch, seq: row.get("last_seq") });
            (TimelineNo(row.get("owner")), cursor)
        };
        Ok(rows.iter().map(end).collect())
    }

    /// Why a timeline cannot be read that there was: a caller that was let in is told what became of
    /// its session.
    pub(super) async fn gone(&self, owner: UserNo) -> Error {
        // No session has this id, so the answer is about the user.
        let check = self.check_session(owner, SessionId(Uuid::nil())).await;
        match check.and_then(SessionCheck::require_live) {
            Err(error @ (Error::SessionEnded(_) | Error::Unavailable(_))) => error,
            Ok(()) | Err(_) => no_timeline(owner),
        }
    }
}

/// Reads the columns of [`timeline`].
pub(super) fn read_state(row: &Row) -> TimelineState {
    TimelineState {
        epoch: row.get("epoch"),
        last_seq: row.get("last_seq"),
        floor: row.get("floor"),
        retention: read_retention(row),
    }
}

/// Whose timeline that of a group is, for refusals.
pub(super) fn group_name(group_id: &str) -> String {
    format!("the group {group_id}")
}

pub(super) fn no_timeline(owner: UserNo) -> Error {
    Error::internal(format!("user {} has no timeline", owner.0))
}

/// Why nothing can be appended to a timeline.
pub(super) async fn why_closed(tx: &Transaction<'_>, owner: UserNo) -> Result<Error> {
    let row = tx
        .query_opt(
            "SELECT u.user_id, t.state FROM users u LEFT JOIN timelines t ON t.owner = u.user_no
             WHERE u.user_no = $1",
            &[&owner.0],
        )
        .await?;
    let Some(row) = row else { return Ok(no_timeline(owner)) };
    let user_id = UserId::from_stored(row.get("user_id"));
    Ok(match row.get::<_, Option<i16>>("state").and_then(Closed::read) {
        Some(Closed::Importing) => Error::ImportUnfinished(user_id.to_string()),
        Some(Closed::Deleted) | None => Error::UserNotFound(user_id),
    })
}

/// Notes that members of a group do not have all of its timeline yet, whose lock the transaction holds.
async fn mark_lagging(tx: &Transaction<'_>, group_no: GroupNo) -> Result<()> {
    let statement = tx
        .prepare_cached("INSERT INTO fan_outs (group_no) VALUES ($1) ON CONFLICT DO NOTHING")
        .await?;
    tx.execute(&statement, &[&group_no.0]).await?;
    Ok(())
}

/// The numbers of what an event is about.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct About {
    conversation: Option<ConversationNo>,
    /// Of the message.
    sender: Option<UserNo>,
    home_seq: Option<i64>,
    generation: i16,
}

impl About {
    /// A conversation as a whole.
    pub(super) fn conversation(conversation: impl Into<ConversationNo>) -> Self {
        Self { conversation: Some(conversation.into()), ..Self::default() }
    }

    /// A user.
    pub(super) fn user(user_no: UserNo) -> Self {
        Self { sender: Some(user_no), ..Self::default() }
    }

    /// A change of a group by a user, at `seq` of the group's timeline.
    pub(super) fn group(group_no: GroupNo, by: Option<UserNo>, seq: i64) -> Self {
        Self { sender: by, home_seq: Some(seq), ..Self::conversation(group_no) }
    }

    /// A message of a conversation.
    pub(super) fn message(
        conversation: ConversationNo,
        sender: UserNo,
        message_id: MessageId,
    ) -> Self {
        Self {
            sender: Some(sender),
            home_seq: Some(message_id.seq),
            generation: message_id.generation,
            ..Self::conversation(conversation)
        }
    }
}

/// Fills a place.
const INSERT: &str =
    "INSERT INTO entries (owner, seq, message_no, appended_at, kind, conversation, sender,
         home_seq, generation, target_seq, body)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9::smallint, 0), $10, $11)";

/// Fills a place, and writes the events that are the parts of its entry, with the kinds `$12`, for the webhooks that are
/// to be told of them.
fn insert_told() -> String {
    format!(
        "WITH filled AS (
             {INSERT}
         ), event AS MATERIALIZED (
             SELECT k.kind, (k.part - 1)::smallint AS part, (abs($1::bigint) % 16)::smallint AS partition
             FROM unnest($12::smallint[]) WITH ORDINALITY k (kind, part)
             WHERE EXISTS (SELECT FROM webhook_kinds w WHERE w.kind = k.kind)
         ), outboxed AS (
             INSERT INTO outbox (partition, at, owner, seq, part, kind, generation)
             SELECT partition, $4, $1, $2, part, kind, nullif(current_generation(), 0) FROM event
         )
         INSERT INTO webhook_queue (webhook_no, partition, at, owner, seq, part)
         SELECT w.webhook_no, e.partition, $4, $1, $2, e.part
         FROM event e JOIN webhook_kinds w ON w.kind = e.kind"
    )
}

/// The next place of a timeline, whose row stays locked until the transaction ends: what is read
/// after this is what held when the place was given. A rollback gives the place back.
pub(super) struct Place {
    owner: TimelineNo,
    cursor: Cursor,
    /// How many messages the timeline holds before it.
    message_no: i64,
    pub(super) at: OffsetDateTime,
    /// Whether webhooks are told of what comes here.
    told: bool,
}

impl Place {
    /// Takes the next place of `owner`'s timeline. To come first in its transaction.
    ///
    /// Errors: [`Error::UserNotFound`] when the owner is deleted; [`Error::ImportUnfinished`].
    pub(super) async fn take(tx: &Transaction<'_>, owner: UserNo) -> Result<Self> {
        match Self::take_if_open(tx, owner).await? {
            Some(place) => Ok(place),
            None => Err(why_closed(tx, owner).await?),
        }
    }

    /// Takes the next place of each of the timelines that are open: in the order of owners, as all do
    /// that lock more than one. To come first in its transaction.
    pub(super) async fn take_each(
        tx: &Transaction<'_>,
        owners: &BTreeSet<UserNo>,
    ) -> Result<BTreeMap<UserNo, Self>> {
        let mut places = BTreeMap::new();
        for &owner in owners {
            if let Some(place) = Self::take_if_open(tx, owner).await? {
                places.insert(owner, place);
            }
        }
        Ok(places)
    }

    /// Takes the next place of `owner`'s timeline, if it is open. To come first in its transaction.
    pub(super) async fn take_if_open(
        tx: &Transaction<'_>,
        owner: impl Into<TimelineNo>,
    ) -> Result<Option<Self>> {
        let owner = owner.into();
        let statement = tx
            .prepare_cached(
                "UPDATE timelines
                 SET last_seq = last_seq + 1, last_at = greatest(last_at, now())
                 WHERE owner = $1 AND state = $2
                 RETURNING stamp(epoch) AS epoch, last_seq, last_message_no, last_at",
            )
            .await?;
        let row = tx.query_opt(&statement, &[&owner.0, &OPEN]).await?;
        Ok(row.map(|row| Self {
            owner,
            cursor: Cursor { epoch: row.get("epoch"), seq: row.get("last_seq") },
            message_no: row.get("last_message_no"),
            at: row.get("last_at"),
            told: true,
        }))
    }

    /// The same place for what webhooks are told of by another one: of a message between two users both have entries,
    /// and a webhook one event.
    pub(super) fn untold(self) -> Self {
        Self { told: false, ..self }
    }

    /// The place itself.
    pub(super) fn seq(&self) -> i64 {
        self.cursor.seq
    }

    /// The newest seq before the place.
    pub(super) fn last_seq(&self) -> i64 {
        self.cursor.seq - 1
    }

    /// Fills the place with `event`; `about` are the numbers of what the event names by ids.
    pub(super) async fn fill(
        self,
        tx: &Transaction<'_>,
        about: About,
        event: EntryKind,
    ) -> Result<Entry> {
        let (cursor, appended_at) = (self.cursor, self.at);
        let columns = EventColumns::of(&event)?;
        let told = if self.told { EventKind::of(self.owner, &event) } else { Vec::new() };
        self.insert(tx, about, columns, &told).await?;
        Ok(Entry { cursor, appended_at, kind: event })
    }

    /// Fills the place with an event that is read again before anybody is told of it, and of which webhooks are told
    /// nothing: where it stands.
    pub(super) async fn fill_columns(
        self,
        tx: &Transaction<'_>,
        about: About,
        columns: EventColumns,
    ) -> Result<Stretch> {
        self.insert(tx, about, columns, &[]).await
    }

    /// Fills the place with the edit of the message at `seq` of the same timeline, which is read again before anybody
    /// is told of it: where the edit stands.
    pub(super) async fn fill_edit(
        self,
        tx: &Transaction<'_>,
        about: About,
        seq: i64,
    ) -> Result<Stretch> {
        let told = if self.told { &[EventKind::MessageEdited][..] } else { &[] };
        self.insert(tx, about, EventColumns::of_edit(seq), told).await
    }

    /// Fills the place, and writes for the webhooks that are to be told of it what they are told.
    async fn insert(
        self,
        tx: &Transaction<'_>,
        about: About,
        columns: EventColumns,
        told: &[EventKind],
    ) -> Result<Stretch> {
        let about_conversation = about.conversation.map(|no| no.0);
        let about_sender = about.sender.map(|no| no.0);
        let kinds: Vec<i16> = told.iter().map(|kind| *kind as i16).collect();
        let values: [&(dyn ToSql + Sync); 12] = [
            &self.owner.0,
            &self.cursor.seq,
            &self.message_no,
            &self.at,
            &columns.kind,
            &about_conversation,
            &about_sender,
            &about.home_seq,
            &about.generation,
            &columns.target_seq,
            &columns.body,
            &kinds,
        ];
        if told.is_empty() {
            let statement = tx.prepare_cached(INSERT).await?;
            tx.execute(&statement, &values[..11]).await?;
        } else {
            let statement = tx.prepare_cached(&insert_told()).await?;
            tx.execute(&statement, &values).await?;
        }
        if let Some(group_no) = self.owner.group() {
            mark_lagging(tx, group_no).await?;
        }
        Ok(Stretch::at(self.owner, self.cursor.seq))
    }

    /// Gives the place back, for a transaction that commits without an entry.
    pub(super) async fn give_back(self, tx: &Transaction<'_>) -> Result<()> {
        let statement = tx
            .prepare_cached("UPDATE timelines SET last_seq = last_seq - 1 WHERE owner = $1")
            .await?;
        tx.execute(&statement, &[&self.owner.0]).await?;
        Ok(())
    }
}
