//! Erasing, in the timelines of others, what a deleted user sent to them. Each copy becomes a
//! tombstone in its place, with its ids and without a word of what it said.

use super::{
    Store, Transaction,
    attachments::release_erased,
    conversations::SAID,
    search::keep_from_index,
    timelines::{About, Place},
    transaction,
};
use crate::model::{
    ConversationId, Entry, EntryKind, MessagesErased, Result, TimelineNo, Tombstone, UserId, UserNo,
};

/// What one batch did.
#[derive(Debug)]
pub enum Erased {
    /// Some copies; more are left.
    Some,
    /// The last copies of one peer, with the entry that tells the peer's terminals. None when the peer
    /// has no terminals to be told, or nothing was erased.
    LastOf(TimelineNo, Option<Box<Entry>>),
    /// There are no peers left.
    Nothing,
}

impl Store {
    /// Erases up to `limit` copies of what a deleted user sent to one of its peers.
    pub async fn erase_batch(&self, user_no: UserNo, limit: i64) -> Result<Erased> {
        let client = self.client().await?;
        let next = client
            .query_opt(
                "SELECT p.peer, u.user_id FROM deletions d JOIN deletion_peers p USING (user_no)
                 JOIN users u USING (user_no)
                 WHERE user_no = $1 AND d.erase_sent ORDER BY p.peer LIMIT 1",
                &[&user_no.0],
            )
            .await?;
        let Some(next) = next else { return Ok(Erased::Nothing) };
        let user_id = UserId::from_stored(next.get("user_id"));
        let peer = TimelineNo(next.get("peer"));
        drop(client);
        let group_id = self.group_ids(&peer.group().map(|no| no.0).into_iter().collect()).await?;
        let group_id = group_id.into_values().next();
        transaction!(self, async |tx| {
            // First of all, as everybody who changes a timeline takes it; a closed one has no terminals.
            let place = Place::take_if_open(&tx, peer).await?;
            let erased_to = tx
            .query_opt(
                "SELECT erased_to FROM deletion_peers WHERE user_no = $1 AND peer = $2 FOR UPDATE",
                &[&user_no.0, &peer.0],
            )
            .await?;
            // Somebody else has done it meanwhile.
            let Some(erased_to) = erased_to else { return Ok(Erased::Some) };
            let last = erase(&tx, user_no, peer, erased_to.get(0), limit).await?;
            let entry = match (last, place) {
                (None, Some(place)) if erased_to.get::<_, i64>(0) > 0 => {
                    let about = match peer.group() {
                        Some(group_no) => About::group(group_no, Some(user_no), place.seq()),
                        None => About::conversation(user_no),
                    };
                    let conversation_id = match &group_id {
                        Some(group_id) => ConversationId::Group(group_id.clone()),
                        None => ConversationId::User(user_id.clone()),
                    };
                    let event = EntryKind::MessagesErased(MessagesErased {
                        conversation_id,
                        sender: user_id.clone(),
                    });
                    Some(Box::new(place.fill(&tx, about, event).await?))
                }
                (_, Some(place)) => {
                    place.give_back(&tx).await?;
                    None
                }
                (_, None) => None,
            };
            note(&tx, user_no, peer, last).await?;
            tx.commit().await?;
            Ok(if last.is_some() { Erased::Some } else { Erased::LastOf(peer, entry) })
        })
    }
}

/// Erases the copies among the next `limit` messages of the conversation: the last place looked at;
/// `None` when there was none left.
async fn erase(
    tx: &Transaction<'_>,
    user_no: UserNo,
    peer: TimelineNo,
    after: i64,
    limit: i64,
) -> Result<Option<i64>> {
    keep_from_index(tx, &[peer.0]).await?;
    let row = tx
        .query_one(
            &format!(
                "WITH next AS (
                     SELECT seq, sender FROM entries
                     WHERE owner = $1 AND conversation = $6 AND {SAID} AND seq > $3
                     ORDER BY seq LIMIT $4
                 ), erased AS (
                     UPDATE entries e
                     SET tombstone = $5, content_type = NULL, body = '', mentions = NULL,
                         reactions = NULL,
                         forwarded_from = NULL, forwarded_at = NULL, attachments = NULL
                     FROM next
                     WHERE e.owner = $1 AND e.seq = next.seq AND next.sender = $2
                         AND e.tombstone IS NULL
                 ), forgotten AS (
                     -- Of a group: between users the sender's own timeline is the home.
                     DELETE FROM message_edits m USING next
                     WHERE m.home = $1 AND m.home_seq = next.seq AND next.sender = $2
                 ), unindexed AS (
                     DELETE FROM search_index i USING next
                     WHERE i.owner = $1 AND i.seq = next.seq AND next.sender = $2
                 ), unpinned AS (
                     DELETE FROM pinned_messages p USING next
                     WHERE p.owner = $1 AND p.seq = next.seq AND next.sender = $2
                 ), unreacted AS (
                     DELETE FROM reactions r USING next
                     WHERE r.home = $1 AND r.home_seq = next.seq AND next.sender = $2
                 )
                 SELECT max(seq) FROM next"
            ),
            &[
                &peer.0,
                &user_no.0,
                &after,
                &limit,
                &(Tombstone::Erased as i16),
                // A group has one conversation: its own.
                &peer.group().map_or(user_no.0, |_| peer.0),
            ],
        )
        .await?;
    let last: Option<i64> = row.get(0);
    if let Some(last) = last {
        release_erased(tx, peer, after, last).await?;
    }
    Ok(last)
}

async fn note(
    tx: &Transaction<'_>,
    user_no: UserNo,
    peer: TimelineNo,
    erased_to: Option<i64>,
) -> Result<()> {
    match erased_to {
        Some(seq) => {
            tx.execute(
                "UPDATE deletion_peers SET erased_to = $3 WHERE user_no = $1 AND peer = $2",
                &[&user_no.0, &peer.0, &seq],
            )
            .await?;
        }
        None => {
            tx.execute(
                "DELETE FROM deletion_peers WHERE user_no = $1 AND peer = $2",
                &[&user_no.0, &peer.0],
            )
            .await?;
        }
    }
    tx.execute("UPDATE deletions SET worked_at = now() WHERE user_no = $1", &[&user_no.0]).await?;
    Ok(())
}
