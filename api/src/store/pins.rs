//! Pinned messages. A row for each is written behind the lock of the timeline that it stands in, and goes with the
//! message.

use std::collections::HashMap;

use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};

use super::{
    SignalCheck, Store, Transaction,
    edits::own_copy,
    entries::{ENTRIES_AT, ENTRY_COLUMNS, EventColumns, KIND_MESSAGE},
    reading,
    retention::timeline,
    signals::is_withheld,
    timelines::{About, no_timeline},
    tombstones::Original,
    transaction,
};
use crate::model::{
    ConversationId, ConversationNo, Error, GroupNo, IfBlocked, MOST_PINS, MessageId, PinChange,
    PinnedMessage, Result, SessionId, Stretch, TimelineNo, UserId, UserNo, WhoMay,
};

/// A message to pin, or to pin no longer.
#[derive(Debug, Clone)]
pub struct Pin {
    /// Which message.
    pub message_id: MessageId,
    /// Who pins it.
    pub caller: UserNo,
    /// The same, by id.
    pub caller_id: UserId,
    /// The session that does, which must be live.
    pub session_id: SessionId,
    /// Whether it is pinned, and not unpinned.
    pub pinned: bool,
    /// What becomes of the recipient's copy when the recipient blocks the caller.
    pub if_blocked: IfBlocked,
    /// From whom a recipient takes messages who has not said.
    pub messages_from: WhoMay,
}

/// What a pin has done.
#[derive(Debug, Default)]
pub struct Pinned {
    /// The entries of users' timelines that tell of it.
    pub told: Vec<Stretch>,
    /// The group that is to be told.
    pub group_no: Option<GroupNo>,
}

impl Pin {
    pub(super) fn change(&self) -> PinChange {
        PinChange { pinned: self.pinned, by: self.caller_id.clone() }
    }

    /// Writes down, or strikes out, that the message at `seq` of a timeline is pinned: whether that was news.
    ///
    /// Errors: [`Error::TooManyPins`].
    pub(super) async fn note(
        &self,
        tx: &Transaction<'_>,
        owner: TimelineNo,
        seq: i64,
        conversation: ConversationNo,
        at: OffsetDateTime,
    ) -> Result<bool> {
        if !self.pinned {
            return strike_out(tx, &[(owner, seq)]).await.map(|struck| struck > 0);
        }
        let statement = tx
            .prepare_cached(
                "INSERT INTO pinned_messages (owner, seq, conversation, pinned_by, pinned_at)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .await?;
        let values: [&(dyn ToSql + Sync); 5] =
            [&owner.0, &seq, &conversation.0, &self.caller.0, &at];
        if tx.execute(&statement, &values).await? == 0 {
            return Ok(false);
        }
        let statement = tx
            .prepare_cached(
                "SELECT count(*) FROM pinned_messages WHERE owner = $1 AND conversation = $2",
            )
            .await?;
        let count: i64 = tx.query_one(&statement, &[&owner.0, &conversation.0]).await?.get(0);
        if count > MOST_PINS { Err(Error::TooManyPins) } else { Ok(true) }
    }
}

impl Store {
    /// Pins a message between two users for both, or does so no longer. A copy that its owner has deleted stays as it
    /// is, and its owner is told nothing; so does that of a recipient whose block withholds messages.
    ///
    /// Errors: [`Error::MessageNotFound`], [`Error::TooManyPins`]; [`Error::SessionEnded`], [`Error::InvalidToken`];
    /// where it is pinned, those of a message to the recipient.
    pub async fn pin(&self, pin: &Pin) -> Result<Pinned> {
        let (caller, message_id) = (pin.caller, pin.message_id);
        transaction!(self, async |tx| {
            let (original, mut places) =
                Original::lock(&tx, message_id, caller, pin.session_id).await?;
            let own = original.copies.iter().find(|copy| copy.0 == caller);
            let own_seq = own.ok_or(Error::MessageNotFound)?.1;
            // Who has deleted the message is not to pin it.
            let peer = own_copy(&tx, caller, own_seq).await?.filter(|_| pin.pinned);
            let check = peer.map(|(peer, peer_id)| SignalCheck {
                sender: caller,
                session_id: pin.session_id,
                to: peer.into(),
                to_id: ConversationId::User(peer_id),
                if_blocked: pin.if_blocked,
            });
            let withheld = is_withheld(&tx, check, pin.messages_from).await?;
            let at = places.get(&caller).ok_or_else(|| no_timeline(caller))?.at;
            let sender = message_id.home.user().unwrap_or(caller);
            let mut told = Vec::with_capacity(original.copies.len());
            for (owner, seq, conversation) in that_say_something(&tx, &original).await? {
                let is_told = owner == caller || !withheld;
                if !is_told || !pin.note(&tx, owner.into(), seq, conversation, at).await? {
                    continue;
                }
                let Some(place) = places.remove(&owner) else { continue };
                let about = About::message(conversation, sender, message_id);
                let columns = EventColumns::of_pin(seq, &pin.change())?;
                told.push(place.fill_columns(&tx, about, columns).await?);
            }
            if told.is_empty() {
                // Nothing is committed: the places are given back.
                return Ok(Pinned::default());
            }
            for place in places.into_values() {
                place.give_back(&tx).await?;
            }
            tx.commit().await?;
            Ok(Pinned { told, group_no: None })
        })
    }

    /// The pinned messages of a conversation that its owner may see, the one pinned last first.
    pub async fn pins(
        &self,
        owner: UserNo,
        conversation: ConversationNo,
    ) -> Result<Vec<PinnedMessage>> {
        let keeper = conversation.group().map_or(owner.into(), TimelineNo::from);
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT seq, pinned_by, pinned_at FROM pinned_messages
                     WHERE owner = $1 AND conversation = $2
                     ORDER BY pinned_at DESC, seq DESC",
                )
                .await?;
            Ok(client.query(&statement, &[&keeper.0, &conversation.0]).await?)
        })?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.get("seq")).collect();
        let own: HashMap<i64, i64> = match conversation.group() {
            Some(group_no) => {
                let homes: Vec<_> = seqs.iter().map(|seq| (group_no.into(), *seq)).collect();
                let found = self.references_to(owner, &homes).await?;
                found.into_iter().map(|((_, seq), own)| (seq, own)).collect()
            }
            None => seqs.iter().map(|seq| (*seq, *seq)).collect(),
        };
        let mut messages = self.messages_at(owner, own.values().copied().collect()).await?;
        let by: std::collections::HashSet<i64> =
            rows.iter().map(|row| row.get("pinned_by")).collect();
        let by = self.known_users(&by).await?;
        let pin = |row: &Row| {
            let seq = own.get(&row.get::<_, i64>("seq"))?;
            Some(PinnedMessage {
                message: messages.remove(seq)?,
                pinned_by: by.get(&row.get::<_, i64>("pinned_by"))?.user_id.clone(),
                pinned_at: row.get("pinned_at"),
            })
        };
        Ok(rows.iter().filter_map(pin).collect())
    }

    /// The messages at these places of a timeline that its owner may see and has not deleted, by place.
    async fn messages_at(
        &self,
        owner: UserNo,
        seqs: Vec<i64>,
    ) -> Result<HashMap<i64, crate::model::Entry>> {
        if seqs.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = format!(
            "WITH RECURSIVE {timeline}
             SELECT timeline.epoch, timeline.floor, e.* FROM timeline CROSS JOIN LATERAL (
                 SELECT {ENTRY_COLUMNS} FROM entries e
                 WHERE e.owner = $1 AND e.seq = ANY($2) AND e.seq >= timeline.floor AND e.kind = $3
                     AND e.tombstone IS DISTINCT FROM 2
             ) e",
            timeline = timeline(),
        );
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query(&statement, &[&owner.0, &seqs, &KIND_MESSAGE]).await?)
        })?;
        let Some(first) = rows.first() else { return Ok(HashMap::new()) };
        let entries = self.entries_of(first.get("epoch"), &rows).await?;
        Ok(entries.into_iter().map(|entry| (entry.seq(), entry)).collect())
    }

    /// Where a member has the messages of groups that stand at these places of the groups' timelines.
    ///
    /// The places in the group's timeline rise with those in the member's, so each is found by halving; but for who
    /// left and came back and is shown older messages anew, for whom those that are missed are looked for one by one.
    pub(super) async fn references_to(
        &self,
        member: UserNo,
        homes: &[(TimelineNo, i64)],
    ) -> Result<HashMap<(i64, i64), i64>> {
        if homes.is_empty() {
            return Ok(HashMap::new());
        }
        let read = |row: &Row| ((row.get("conversation"), row.get("home_seq")), row.get("seq"));
        let (groups, seqs): (Vec<i64>, Vec<i64>) =
            homes.iter().map(|(group, seq)| (group.0, *seq)).unzip();
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(HALVE).await?;
            Ok(client.query(&statement, &[&member.0, &groups, &seqs]).await?)
        })?;
        let mut found: HashMap<(i64, i64), i64> = rows.iter().map(read).collect();
        let missed = homes.iter().map(|(group, seq)| (group.0, *seq));
        let (groups, seqs): (Vec<i64>, Vec<i64>) =
            missed.filter(|home| !found.contains_key(home)).unzip();
        if !seqs.is_empty() {
            let rows = reading!(self, async |client| {
                let statement = client
                    .prepare_cached(
                        "SELECT r.conversation, r.home_seq, max(r.seq) AS seq
                         FROM unnest($2::bigint[], $3::bigint[]) p (conversation, home_seq)
                         JOIN entries r ON r.owner = $1 AND r.conversation = p.conversation
                             AND r.home_seq = p.home_seq AND r.kind = 1 AND r.tombstone IS NULL
                         GROUP BY r.conversation, r.home_seq",
                    )
                    .await?;
                Ok(client.query(&statement, &[&member.0, &groups, &seqs]).await?)
            })?;
            found.extend(rows.iter().map(read));
        }
        Ok(found)
    }
}

/// Selects the places in the timeline `$1` of the references to the places `$3` of the groups' timelines `$2`: by
/// halving what there is of the timeline, in which those places rise. Each step reads one row of an index.
const HALVE: &str = "SELECT p.conversation, p.home_seq, s.found AS seq
     FROM unnest($2::bigint[], $3::bigint[]) p (conversation, home_seq)
     JOIN timelines t ON t.owner = $1
     CROSS JOIN LATERAL (
         WITH RECURSIVE search (low, high, found, home_seq) AS (
             SELECT 0::bigint, t.last_seq + 1, NULL::bigint, NULL::bigint
             UNION ALL
             SELECT CASE WHEN r.home_seq > p.home_seq THEN s.low ELSE middle END,
                 CASE WHEN r.home_seq > p.home_seq THEN r.seq ELSE s.high END,
                 CASE WHEN r.home_seq <= p.home_seq THEN r.seq ELSE s.found END,
                 CASE WHEN r.home_seq <= p.home_seq THEN r.home_seq ELSE s.home_seq END
             FROM search s
             CROSS JOIN LATERAL (SELECT (s.low + s.high) / 2 AS middle) half
             LEFT JOIN LATERAL (
                 SELECT r.seq, r.home_seq FROM entries r
                 WHERE r.owner = $1 AND r.conversation = p.conversation AND r.kind = 1 AND r.tombstone IS NULL
                     AND r.seq > s.low AND r.seq <= half.middle
                 ORDER BY r.seq DESC LIMIT 1
             ) r ON true
             WHERE s.high - s.low > 1
         )
         SELECT found FROM search WHERE home_seq = p.home_seq LIMIT 1
     ) s";

/// The copies of a message between users that still say something, with their conversations.
async fn that_say_something(
    tx: &Transaction<'_>,
    original: &Original,
) -> Result<Vec<(UserNo, i64, ConversationNo)>> {
    let (owners, seqs): (Vec<i64>, Vec<i64>) =
        original.copies.iter().map(|(owner, seq)| (owner.0, *seq)).unzip();
    let statement = tx
        .prepare_cached(&format!(
            "SELECT e.owner, e.seq, e.conversation FROM {ENTRIES_AT} WHERE e.tombstone IS NULL"
        ))
        .await?;
    let rows = tx.query(&statement, &[&owners, &seqs]).await?;
    let copy = |row: &Row| {
        (UserNo(row.get("owner")), row.get("seq"), ConversationNo(row.get("conversation")))
    };
    Ok(rows.iter().map(copy).collect())
}

/// Strikes out messages from those that are pinned: how many were.
pub(super) async fn strike_out(tx: &Transaction<'_>, places: &[(TimelineNo, i64)]) -> Result<u64> {
    let (owners, seqs): (Vec<i64>, Vec<i64>) =
        places.iter().map(|(owner, seq)| (owner.0, *seq)).unzip();
    let statement = tx
        .prepare_cached(
            "DELETE FROM pinned_messages p USING unnest($1::bigint[], $2::bigint[]) c (owner, seq)
             WHERE p.owner = c.owner AND p.seq = c.seq",
        )
        .await?;
    Ok(tx.execute(&statement, &[&owners, &seqs]).await?)
}
