//! The timelines that an import fills: locked, given places, and written.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    model::{ContentHash, Error, Result},
    store::{
        Transaction,
        timelines::{Closed, group_name},
    },
};

const INSERT: &str = include_str!("insert.sql");

/// The timelines that a transaction fills, by owner.
pub(super) struct Timelines(BTreeMap<i64, Filled>);

/// A timeline that is being filled.
struct Filled {
    /// Whose it is, for refusals.
    whose: String,
    closed: Option<Closed>,
    seq: i64,
    message_no: i64,
    last_at: Option<OffsetDateTime>,
    grown: bool,
}

/// A place of a timeline, and how many messages it has up to there.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) seq: i64,
    pub(super) message_no: i64,
}

/// What is to stand in a place.
pub(super) struct Filling<'a> {
    pub(super) owner: i64,
    pub(super) place: Place,
    pub(super) conversation: i64,
    pub(super) sender: Option<i64>,
    pub(super) home_seq: i64,
    pub(super) at: OffsetDateTime,
    pub(super) kind: i16,
    /// Of the sender's own row of a message.
    pub(super) sent: Option<SentRow<'a>>,
    pub(super) content_type: Option<&'a str>,
    pub(super) body: &'a [u8],
    /// Whom a message in its home mentions, as an array of PostgreSQL.
    pub(super) mentions: Option<&'a str>,
    pub(super) flags: Option<i16>,
}

/// What the sender's own row has beside.
#[derive(Clone, Copy)]
pub(super) struct SentRow<'a> {
    pub(super) client_message_id: Uuid,
    pub(super) content_hash: &'a ContentHash,
    /// Owner and seq of the other row, where there is one.
    pub(super) copy: Option<(i64, i64)>,
}

impl Timelines {
    /// Locks timelines, in the order of owners.
    pub(super) async fn lock(tx: &Transaction<'_>, owners: &BTreeSet<i64>) -> Result<Self> {
        let owners: Vec<i64> = owners.iter().copied().collect();
        let rows = tx
            .query(
                // Not the counter's `last_at`, which a message that is refused moves, too.
                "SELECT t.owner, u.user_id, g.group_id, t.state, t.last_seq, t.last_message_no,
                     (SELECT e.appended_at FROM entries e
                      WHERE e.owner = t.owner AND e.seq = t.last_seq) AS last_at
                 FROM timelines t LEFT JOIN users u ON u.user_no = t.owner
                 LEFT JOIN groups g ON g.group_no = -t.owner
                 WHERE t.owner = ANY($1) ORDER BY t.owner FOR UPDATE OF t",
                &[&owners],
            )
            .await?;
        Ok(Self(rows.iter().map(|row| (row.get("owner"), Filled::read(row))).collect()))
    }

    /// Adds the timeline of a group that this transaction has made.
    pub(super) fn insert_group(&mut self, owner: i64, group_id: &str) {
        let whose = group_name(group_id);
        let filled =
            Filled { whose, closed: None, seq: 0, message_no: 0, last_at: None, grown: false };
        self.0.insert(owner, filled);
    }

    /// The time of the newest entry of a timeline.
    pub(super) fn last_at(&self, owner: i64) -> Option<OffsetDateTime> {
        self.0.get(&owner).and_then(|timeline| timeline.last_at)
    }

    /// The newest seq of a timeline.
    pub(super) fn last_seq(&self, owner: i64) -> i64 {
        self.0.get(&owner).map_or(0, |timeline| timeline.seq)
    }

    /// Whether a timeline takes nothing any more, for good.
    pub(super) fn is_gone(&self, owner: i64) -> bool {
        self.0.get(&owner).is_none_or(|timeline| timeline.closed == Some(Closed::Deleted))
    }

    /// How far a timeline has been filled; `None` for one that has not.
    pub(super) fn grown_to(&self, owner: i64) -> Option<i64> {
        self.0.get(&owner).filter(|timeline| timeline.grown).map(|timeline| timeline.seq)
    }

    /// The next place of a timeline, for a message or for an event; `None` when there is no such timeline.
    ///
    /// Errors: [`Error::UserNotFound`] and [`Error::GroupNotFound`] by way of `gone` for one on its way out;
    /// [`Error::TimelineNotEmpty`] for one that no import has begun; [`Error::InvalidArgument`] for a time
    /// before that of its newest entry.
    pub(super) fn take(
        &mut self,
        owner: i64,
        at: OffsetDateTime,
        is_message: bool,
        gone: impl FnOnce() -> Error,
    ) -> Result<Place> {
        match self.0.get_mut(&owner) {
            Some(timeline) => timeline.take(at, is_message, gone),
            None => Err(gone()),
        }
    }

    /// Has a timeline belong to the import without taking a place: whether it does. One that is not empty and that no
    /// import has begun does not.
    ///
    /// Errors: as [`Timelines::take`].
    pub(super) fn begin(&mut self, owner: i64, gone: impl FnOnce() -> Error) -> Result<bool> {
        let Some(timeline) = self.0.get_mut(&owner) else { return Err(gone()) };
        match timeline.closed {
            Some(Closed::Deleted) => Err(gone()),
            Some(Closed::Importing) => Ok(true),
            None if timeline.seq > 0 => Ok(false),
            None => {
                timeline.closed = Some(Closed::Importing);
                timeline.grown = true;
                Ok(true)
            }
        }
    }

    /// Counts the places, and notes whose import it is that has to open the timelines.
    pub(super) async fn count(&self, tx: &Transaction<'_>, import_id: Uuid) -> Result<()> {
        let grown: Vec<(&i64, &Filled)> = self.0.iter().filter(|(_, t)| t.grown).collect();
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
        let importing = self.0.iter().filter(|(_, t)| t.closed == Some(Closed::Importing));
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
}

impl Filled {
    fn read(row: &Row) -> Self {
        let user_id: Option<String> = row.get("user_id");
        let group_id: Option<String> = row.get("group_id");
        let whose = user_id.or_else(|| group_id.map(|id| group_name(&id)));
        Self {
            whose: whose.unwrap_or_default(),
            closed: Closed::read(row.get("state")),
            seq: row.get("last_seq"),
            message_no: row.get("last_message_no"),
            last_at: row.get("last_at"),
            grown: false,
        }
    }

    fn take(
        &mut self,
        at: OffsetDateTime,
        is_message: bool,
        gone: impl FnOnce() -> Error,
    ) -> Result<Place> {
        match self.closed {
            Some(Closed::Deleted) => return Err(gone()),
            None if self.seq > 0 && !self.grown => {
                return Err(Error::TimelineNotEmpty(self.whose.clone()));
            }
            _ if self.last_at.is_some_and(|last| at < last) => {
                let reason =
                    format!("is before that of an entry in the timeline of {}", self.whose);
                return Err(Error::invalid("sent_at", reason));
            }
            Some(Closed::Importing) | None => {}
        }
        self.closed = Some(Closed::Importing);
        self.grown = true;
        self.last_at = Some(at);
        self.seq += 1;
        self.message_no += i64::from(is_message);
        Ok(Place { seq: self.seq, message_no: self.message_no })
    }
}

/// Fills the places.
pub(super) async fn fill(tx: &Transaction<'_>, rows: &[Filling<'_>]) -> Result<()> {
    fn column<'a, T>(rows: &'a [Filling<'a>], read: impl Fn(&'a Filling<'a>) -> T) -> Vec<T> {
        rows.iter().map(read).collect()
    }
    let copy = |row: &Filling<'_>| row.sent.and_then(|sent| sent.copy);
    tx.execute(
        INSERT,
        &[
            &column(rows, |row| row.owner),
            &column(rows, |row| row.place.seq),
            &column(rows, |row| row.conversation),
            &column(rows, |row| row.sender),
            &column(rows, |row| row.home_seq),
            &column(rows, |row| row.place.message_no),
            &column(rows, |row| row.at),
            &column(rows, |row| row.kind),
            &column(rows, |row| row.sent.map(|sent| sent.client_message_id)),
            &column(rows, |row| row.sent.map(|sent| sent.content_hash.as_slice())),
            &column(rows, |row| copy(row).map(|(owner, _)| owner)),
            &column(rows, |row| copy(row).map(|(_, seq)| seq)),
            &column(rows, |row| row.content_type),
            &column(rows, |row| row.body),
            &column(rows, |row| row.mentions),
            &column(rows, |row| row.flags),
        ],
    )
    .await?;
    Ok(())
}
