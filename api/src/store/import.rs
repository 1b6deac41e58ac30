//! Importing messages from elsewhere, with their own times: into timelines that hold nothing else, so
//! that the order of seqs stays that of times. A timeline that an import has begun takes nothing but
//! imported messages until the import is finished.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    Audit, Store, Transaction,
    timelines::{Closed, OPEN},
    transaction,
};
use crate::model::{Content, ContentHash, Error, Result, UserId, UserNo};

const INSERT: &str = include_str!("import_insert.sql");

/// A message from elsewhere.
#[derive(Debug, Clone)]
pub struct ImportMessage {
    /// Where it stands in what is imported, for refusals.
    pub line: i64,
    /// Who sent it.
    pub sender: UserNo,
    /// The same, by id.
    pub sender_id: UserId,
    /// To whom; the sender for a note to oneself.
    pub recipient: UserNo,
    /// The same, by id.
    pub recipient_id: UserId,
    /// The id that its sender gave it.
    pub client_message_id: Uuid,
    /// When it was sent.
    pub sent_at: OffsetDateTime,
    /// What it says.
    pub content: Content,
    /// [`Content::hash`] of it.
    pub content_hash: ContentHash,
}

impl ImportMessage {
    /// Requires a time between that of the message before it and now.
    fn require_order(&self, last_at: Option<OffsetDateTime>, now: OffsetDateTime) -> Result<()> {
        if self.sent_at > now {
            return Err(Error::invalid("sent_at", "is in the future"));
        }
        if last_at.is_some_and(|last| self.sent_at < last) {
            return Err(Error::invalid("sent_at", "is before that of the message before it"));
        }
        Ok(())
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportedBatch {
    /// Messages that stand now.
    pub imported: i64,
    /// Messages that stood before.
    pub duplicates: i64,
}

/// A timeline that is being filled.
struct Filled {
    user_id: UserId,
    closed: Option<Closed>,
    seq: i64,
    message_no: i64,
    last_at: Option<OffsetDateTime>,
    grown: bool,
}

/// The place of one copy.
#[derive(Clone, Copy)]
struct Place {
    seq: i64,
    message_no: i64,
}

/// A message and its places.
struct Placed<'a> {
    message: &'a ImportMessage,
    sent: Place,
    received: Option<Place>,
}

/// A message as the sender's copy of it tells it.
type Known = (i64, Vec<u8>);

impl Store {
    /// Appends the messages with their own times, all or none; those that stand already are left. Their
    /// timelines belong to the import from now on. What is imported counts as read. `last_at` is the
    /// time of the message before them.
    ///
    /// Errors, each with the line: [`Error::UserNotFound`]; [`Error::TimelineNotEmpty`] for one that
    /// was not begun by an import; [`Error::InvalidArgument`] for a time that is before that of the
    /// message before it or of another in the timeline, or to come; [`Error::ClientMessageIdConflict`].
    pub async fn import_batch(
        &self,
        import_id: Uuid,
        last_at: Option<OffsetDateTime>,
        batch: &[ImportMessage],
        audit: Option<Audit<'_>>,
    ) -> Result<ImportedBatch> {
        transaction!(self, async |tx| {
            let mut timelines = lock(&tx, batch).await?;
            let now = tx.query_one("SELECT now()", &[]).await?.get(0);
            let mut known = known(&tx, batch).await?;
            let (mut placed, mut last_at) = (Vec::with_capacity(batch.len()), last_at);
            for message in batch {
                let at_line = |error| Error::at_line(message.line, error);
                message.require_order(last_at, now).map_err(at_line)?;
                last_at = Some(message.sent_at);
                if is_known(&mut known, message).map_err(at_line)? {
                    continue;
                }
                placed.push(place(message, &mut timelines).map_err(at_line)?);
            }
            insert(&tx, &placed).await?;
            count(&tx, import_id, &timelines).await?;
            mark_read(&tx, &placed).await?;
            if let Some(audit) = &audit {
                audit.record(&tx, None).await?;
            }
            tx.commit().await?;
            let imported = i64::try_from(placed.len()).unwrap_or(i64::MAX);
            let duplicates = i64::try_from(batch.len() - placed.len()).unwrap_or(i64::MAX);
            Ok(ImportedBatch { imported, duplicates })
        })
    }

    /// Opens up to `limit` of the timelines that the import has filled, or any import when none is
    /// named: how many.
    pub async fn finish_import_batch(&self, import_id: Option<Uuid>, limit: i64) -> Result<i64> {
        transaction!(self, async |tx| {
            let rows = tx
                .query(
                    "SELECT t.owner FROM timelines t JOIN (
                     SELECT owner FROM imports WHERE $1::uuid IS NULL OR import_id = $1
                     ORDER BY owner LIMIT $2
                 ) i USING (owner)
                 ORDER BY t.owner FOR UPDATE OF t",
                    &[&import_id, &limit],
                )
                .await?;
            let owners: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            tx.execute(
                "UPDATE timelines SET state = $2 WHERE owner = ANY($1) AND state = $3",
                &[&owners, &OPEN, &(Closed::Importing as i16)],
            )
            .await?;
            tx.execute("DELETE FROM imports WHERE owner = ANY($1)", &[&owners]).await?;
            tx.commit().await?;
            Ok(i64::try_from(owners.len()).unwrap_or(limit))
        })
    }
}

/// Locks the timelines concerned, in the order of owners.
async fn lock(tx: &Transaction<'_>, batch: &[ImportMessage]) -> Result<BTreeMap<i64, Filled>> {
    let owners: BTreeSet<i64> = batch.iter().flat_map(|m| [m.sender.0, m.recipient.0]).collect();
    let owners: Vec<i64> = owners.into_iter().collect();
    let rows = tx
        .query(
            "SELECT t.owner, u.user_id, t.state, t.last_seq, t.last_message_no, t.last_at
             FROM timelines t JOIN users u ON u.user_no = t.owner
             WHERE t.owner = ANY($1) ORDER BY t.owner FOR UPDATE OF t",
            &[&owners],
        )
        .await?;
    let timeline = |row: &Row| {
        let filled = Filled {
            user_id: UserId::from_stored(row.get("user_id")),
            closed: Closed::read(row.get("state")),
            seq: row.get("last_seq"),
            message_no: row.get("last_message_no"),
            last_at: row.get("last_at"),
            grown: false,
        };
        (row.get("owner"), filled)
    };
    Ok(rows.iter().map(timeline).collect())
}

/// Those of the messages that stand already.
async fn known(
    tx: &Transaction<'_>,
    batch: &[ImportMessage],
) -> Result<HashMap<(UserNo, Uuid), Known>> {
    let senders: Vec<i64> = batch.iter().map(|m| m.sender.0).collect();
    let ids: Vec<Uuid> = batch.iter().map(|m| m.client_message_id).collect();
    let rows = tx
        .query(
            "SELECT e.owner, e.client_message_id, e.conversation, e.content_hash
             FROM unnest($1::bigint[], $2::uuid[]) i (sender, client_message_id)
             JOIN entries e ON e.owner = i.sender AND e.client_message_id = i.client_message_id",
            &[&senders, &ids],
        )
        .await?;
    let known = |row: &Row| {
        let name = (UserNo(row.get("owner")), row.get("client_message_id"));
        (name, (row.get("conversation"), row.get("content_hash")))
    };
    Ok(rows.iter().map(known).collect())
}

/// Whether the message stands already or comes for the second time. It is known from now on.
fn is_known(known: &mut HashMap<(UserNo, Uuid), Known>, message: &ImportMessage) -> Result<bool> {
    let this = (message.recipient.0, message.content_hash.to_vec());
    let name = (message.sender, message.client_message_id);
    match known.get(&name) {
        Some(earlier) if *earlier == this => Ok(true),
        Some(_) => Err(Error::ClientMessageIdConflict),
        None => {
            known.insert(name, this);
            Ok(false)
        }
    }
}

/// Gives a message its places.
fn place<'a>(
    message: &'a ImportMessage,
    timelines: &mut BTreeMap<i64, Filled>,
) -> Result<Placed<'a>> {
    let mut take = |owner: UserNo, user_id: &UserId| match timelines.get_mut(&owner.0) {
        Some(timeline) => timeline.take(message.sent_at),
        None => Err(Error::UserNotFound(user_id.clone())),
    };
    let sent = take(message.sender, &message.sender_id)?;
    if message.recipient == message.sender {
        return Ok(Placed { message, sent, received: None });
    }
    let received = take(message.recipient, &message.recipient_id)?;
    Ok(Placed { message, sent, received: Some(received) })
}

impl Filled {
    /// The next place.
    fn take(&mut self, at: OffsetDateTime) -> Result<Place> {
        match self.closed {
            Some(Closed::Deleted) => return Err(Error::UserNotFound(self.user_id.clone())),
            None if self.seq > 0 => return Err(Error::TimelineNotEmpty(self.user_id.clone())),
            Some(Closed::Importing) if self.last_at.is_some_and(|last| at < last) => {
                let reason =
                    format!("is before that of a message in the timeline of {}", self.user_id);
                return Err(Error::invalid("sent_at", reason));
            }
            Some(Closed::Importing) | None => {}
        }
        self.closed = Some(Closed::Importing);
        self.grown = true;
        self.last_at = Some(at);
        self.seq += 1;
        self.message_no += 1;
        Ok(Place { seq: self.seq, message_no: self.message_no })
    }
}

/// Fills the places.
async fn insert(tx: &Transaction<'_>, placed: &[Placed<'_>]) -> Result<()> {
    fn column<'a, T>(placed: &'a [Placed<'a>], read: impl Fn(&'a Placed<'a>) -> T) -> Vec<T> {
        placed.iter().map(read).collect()
    }
    let sent_at = column(placed, |p| p.message.sent_at);
    let received_at = column(placed, |p| p.received.map(|_| p.message.sent_at));
    tx.execute(
        INSERT,
        &[
            &column(placed, |p| p.message.sender.0),
            &column(placed, |p| p.sent.seq),
            &column(placed, |p| p.sent.message_no),
            &sent_at,
            &column(placed, |p| p.message.recipient.0),
            &column(placed, |p| p.received.map(|place| place.seq)),
            &column(placed, |p| p.received.map(|place| place.message_no)),
            &received_at,
            &column(placed, |p| p.message.client_message_id),
            &column(placed, |p| p.message.content_hash.as_slice()),
            &column(placed, |p| p.message.content.content_type()),
            &column(placed, |p| p.message.content.body().as_ref()),
        ],
    )
    .await?;
    Ok(())
}

/// Counts the places, and notes whose import it is that has to open the timelines.
async fn count(
    tx: &Transaction<'_>,
    import_id: Uuid,
    timelines: &BTreeMap<i64, Filled>,
) -> Result<()> {
    let grown: Vec<(&i64, &Filled)> = timelines.iter().filter(|(_, t)| t.grown).collect();
    let owners: Vec<i64> = grown.iter().map(|(owner, _)| **owner).collect();
    let seqs: Vec<i64> = grown.iter().map(|(_, t)| t.seq).collect();
    let message_nos: Vec<i64> = grown.iter().map(|(_, t)| t.message_no).collect();
    let times: Vec<Option<OffsetDateTime>> = grown.iter().map(|(_, t)| t.last_at).collect();
    tx.execute(
        "UPDATE timelines t
         SET state = $5, last_seq = g.seq, last_message_no = g.message_no, last_at = g.last_at
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[])
             g (owner, seq, message_no, last_at)
         WHERE t.owner = g.owner",
        &[&owners, &seqs, &message_nos, &times, &(Closed::Importing as i16)],
    )
    .await?;
    let importing = timelines.iter().filter(|(_, t)| t.closed == Some(Closed::Importing));
    let importing: Vec<i64> = importing.map(|(owner, _)| *owner).collect();
    tx.execute(
        "INSERT INTO imports (owner, import_id) SELECT unnest($1::bigint[]), $2
         ON CONFLICT (owner) DO UPDATE SET import_id = excluded.import_id
         WHERE imports.import_id <> excluded.import_id",
        &[&importing, &import_id],
    )
    .await?;
    Ok(())
}

/// Marks what was received as read: it was, where it comes from.
async fn mark_read(tx: &Transaction<'_>, placed: &[Placed<'_>]) -> Result<()> {
    // The last place counts, and no row may stand there twice.
    let received: BTreeMap<(i64, i64), i64> = placed
        .iter()
        .filter_map(|p| Some(((p.message.recipient.0, p.message.sender.0), p.received?.seq)))
        .collect();
    let owners: Vec<i64> = received.keys().map(|(owner, _)| *owner).collect();
    let peers: Vec<i64> = received.keys().map(|(_, peer)| *peer).collect();
    let seqs: Vec<i64> = received.values().copied().collect();
    tx.execute(
        "INSERT INTO read_marks (owner, conversation, read_seq)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
         ON CONFLICT (owner, conversation)
             DO UPDATE SET read_seq = greatest(read_marks.read_seq, excluded.read_seq)",
        &[&owners, &peers, &seqs],
    )
    .await?;
    Ok(())
}
