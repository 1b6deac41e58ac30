//! The list of a user's conversations, the one with the newest message first.
//!
//! `conversations` has a row for each with the seq of its newest message, so that a page costs a page and
//! not the whole list. A send does not write these rows: who lists the conversations does. The rows take
//! in the timeline up to `conversation_lists.folded_to`, its *watermark*; what is behind the watermark is
//! read from the timeline itself, and folded into the rows when it is more than [`UNFOLDED`] entries.
//!
//! The invariant: a row never says less than the seq of the newest message up to the watermark that
//! stands in the conversation. It may say more, when that message has been deleted or purged since.
//! Who lists finds no message there, puts the row right and looks again. So neither a deletion nor a
//! purge needs to know of the rows, and no race with one leaves them wrong.

use tokio_postgres::{Row, types::ToSql};

use super::{
    Store, Transaction,
    conversation_settings::read_settings,
    conversations::{IN_CONVERSATION, MARKED_IN_GROUP, SAID, in_conversations},
    entries::{ENTRY_COLUMNS, EntryPage, PAGE_BYTES},
    reading,
    retention::timeline,
    transaction,
};
use crate::model::{
    Conversation, ConversationFilter, Entry, EntryKind, ListPlace, MOST_UNREAD, Result, UserNo,
};

/// How many entries behind the watermark a listing reads from the timeline.
const UNFOLDED: i64 = 256;

/// How many entries are folded in one transaction.
const FOLDED_AT_ONCE: i64 = 2_000;

/// When there are more entries behind the watermark, the rows are built anew, at a cost that is that of
/// the conversations and not of the entries.
const WORTH_BUILDING: i64 = 20_000;

/// How many conversations are built in one transaction.
const BUILT_AT_ONCE: i64 = 2_000;

/// How many entries are looked at, at least, for a page of those that have moved.
const LOOKED_AT: i64 = 256;

/// How many conversations are looked at, at least, at a time when not all are listed.
const FILTERED_AT_ONCE: i64 = 500;

/// How often more are looked at for a page that is not full. What is left is for the next page.
const MOST_LOOKS: usize = 8;

/// Keeps what the conversation has when a row says more.
const UPSERT: &str = "ON CONFLICT (owner, conversation) DO UPDATE SET last_seq = excluded.last_seq
     WHERE conversations.last_seq < excluded.last_seq";

/// A page of the list.
#[derive(Debug)]
pub struct ConversationPage {
    /// In the order of the listing.
    pub items: Vec<Conversation>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<ListPlace>,
}

/// What an attempt at a page has found.
enum Found {
    /// And whether it ends before the last of those that were found.
    Page(ConversationPage, bool),
    /// Too many entries are behind the watermark.
    Behind,
    /// Rows, as conversation and seq, whose message is gone.
    Stale(Vec<(i64, i64)>),
}

impl Store {
    /// The owner's conversations from `place` on that are asked for, at most `limit`. Hidden ones are not
    /// among them.
    ///
    /// Unread are the messages of others after the owner's read mark and after its own newest message,
    /// recalled ones left out: counted here and not kept, so that a message costs no write for it.
    pub async fn conversations(
        &self,
        owner: UserNo,
        mut place: ListPlace,
        filter: ConversationFilter,
        limit: i64,
    ) -> Result<ConversationPage> {
        let (mut items, mut missing, mut looks) = (Vec::new(), limit, 0);
        loop {
            match self.find_page(owner, place, filter, missing).await? {
                Found::Page(page, cut) => {
                    missing -= i64::try_from(page.items.len()).unwrap_or(missing);
                    items.extend(page.items);
                    looks += 1;
                    let more = missing > 0 && !cut && looks < MOST_LOOKS;
                    match page.next {
                        // Of what was looked at not enough is asked for.
                        Some(next @ ListPlace::Before { .. }) if more => place = next,
                        next => return Ok(ConversationPage { items, next }),
                    }
                }
                Found::Behind => self.fold(owner).await?,
                Found::Stale(rows) => self.put_right(owner, &rows).await?,
            }
        }
    }

    async fn find_page(
        &self,
        owner: UserNo,
        place: ListPlace,
        filter: ConversationFilter,
        limit: i64,
    ) -> Result<Found> {
        // One more than fits, to learn whether there are more.
        let wanted = limit + 1;
        let ConversationFilter { unread, archived, pinned } = filter;
        let at_once = if filter.is_empty() { wanted } else { wanted.max(FILTERED_AT_ONCE) };
        let rows = reading!(self, async |client| {
            match place {
                ListPlace::Start | ListPlace::Before { .. } => {
                    let (began_at, before) = match place {
                        ListPlace::Before { began_at, before } => (Some(began_at), before),
                        ListPlace::Start | ListPlace::Moved { .. } => (None, i64::MAX),
                    };
                    let statement = client.prepare_cached(&newest_first()).await?;
                    let parameters: [&(dyn ToSql + Sync); 8] = [
                        &owner.0, &before, &wanted, &began_at, &at_once, &unread, &archived,
                        &pinned,
                    ];
                    client.query_as_prepared(&statement, &parameters).await
                }
                ListPlace::Moved { began_at, after, until } => {
                    let statement = client.prepare_cached(&moved_since()).await?;
                    let looked_at = wanted.max(LOOKED_AT);
                    let parameters: [&(dyn ToSql + Sync); 9] = [
                        &owner.0, &after, &wanted, &began_at, &looked_at, &unread, &archived,
                        &pinned, &until,
                    ];
                    client.query_as_prepared(&statement, &parameters).await
                }
            }
        })?;
        let Some(first) = rows.first() else { return Err(self.gone(owner).await) };
        if first.get("behind") {
            return Ok(Found::Behind);
        }
        let mut listed: Vec<&Row> =
            rows.iter().filter(|row| row.get::<_, Option<i64>>("listed").is_some()).collect();
        let stale: Vec<(i64, i64)> = listed
            .iter()
            .filter(|row| row.get::<_, Option<i64>>("seq").is_none())
            .map(|row| (row.get("listed"), row.get("place")))
            .collect();
        if !stale.is_empty() {
            return Ok(Found::Stale(stale));
        }
        listed.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let (items, taken) =
            self.conversations_of(first.get("epoch"), &rows[..listed.len()]).await?;
        listed.truncate(taken);
        let more = i64::try_from(listed.len()).is_ok_and(|count| count < first.get("found"));
        let next = place_behind(place, first, listed.last().filter(|_| more).copied());
        Ok(Found::Page(ConversationPage { items, next }, more))
    }

    /// As many as make a page with what their newest messages refer to, and of how many rows.
    async fn conversations_of(
        &self,
        epoch: i64,
        rows: &[Row],
    ) -> Result<(Vec<Conversation>, usize)> {
        let EntryPage { entries: last_messages, .. } = self.page_of(epoch, rows).await?;
        let taken = last_messages.len();
        let peers = self.known_users(&rows.iter().map(|row| row.get("listed")).collect()).await?;
        let conversation = |(last_message, row): (Entry, &Row)| {
            let EntryKind::Message(message) = &last_message.kind else { return None };
            Some(Conversation {
                conversation_id: message.conversation_id.clone(),
                peer_deleted: peers.get(&row.get("listed")).is_some_and(|peer| peer.deleted),
                last_message,
                read_seq: row.get("read_seq"),
                unread_count: row.get("unread_count"),
                unread_mentions: row.get("unread_mentions"),
                peer_read_seq: row.get("peer_read_seq"),
                settings: read_settings(row, false),
                draft: row.get::<_, Option<String>>("draft").unwrap_or_default(),
            })
        };
        Ok((last_messages.into_iter().zip(rows).filter_map(conversation).collect(), taken))
    }

    /// Takes more of the timeline into the rows. One transaction at a time for each owner: who comes
    /// second finds the work done.
    async fn fold(&self, owner: UserNo) -> Result<()> {
        transaction!(self, async |tx| {
            tx.execute(
                "INSERT INTO conversation_lists (owner) SELECT owner FROM timelines WHERE owner = $1
                 ON CONFLICT DO NOTHING",
                &[&owner.0],
            )
            .await?;
            let list = tx
                .query_opt(
                    "SELECT greatest(l.folded_to, t.purged_to) AS folded_to, l.building_to, l.built_down_to,
                         t.last_seq
                     FROM conversation_lists l JOIN timelines t USING (owner)
                     WHERE owner = $1 FOR UPDATE OF l",
                    &[&owner.0],
                )
                .await?;
            let Some(list) = list else { return Ok(()) };
            let (folded_to, last_seq): (i64, i64) = (list.get("folded_to"), list.get("last_seq"));
            let behind = last_seq - folded_to;
            let begun: Option<i64> = list.get("building_to");
            if begun.is_some() || behind > WORTH_BUILDING {
                let building_to = begun.unwrap_or(last_seq);
                let from = list.get::<_, Option<i64>>("built_down_to").unwrap_or(i64::MAX);
                build(&tx, owner, building_to, from).await?;
            } else if behind > UNFOLDED {
                fold_entries(&tx, owner, folded_to, last_seq.min(folded_to + FOLDED_AT_ONCE))
                    .await?;
            }
            tx.commit().await?;
            Ok(())
        })
    }

    /// Sets rows whose message is gone to the newest message below it; deletes those without one.
    async fn put_right(&self, owner: UserNo, stale: &[(i64, i64)]) -> Result<()> {
        let (conversations, seqs): (Vec<i64>, Vec<i64>) = stale.iter().copied().unzip();
        transaction!(self, async |tx| {
            lock_rows(&tx, owner).await?;
            let statement = tx
                .prepare_cached(&format!(
                    "WITH newest AS MATERIALIZED (
                         SELECT s.conversation, s.last_seq, m.seq
                         FROM unnest($2::bigint[], $3::bigint[]) s (conversation, last_seq)
                         LEFT JOIN LATERAL (
                             SELECT seq FROM {messages} messages ORDER BY seq DESC LIMIT 1
                         ) m ON true
                     ), emptied AS (
                         DELETE FROM conversations c USING newest n
                         WHERE c.owner = $1 AND c.conversation = n.conversation
                             AND c.last_seq = n.last_seq AND n.seq IS NULL
                     )
                     UPDATE conversations c SET last_seq = n.seq FROM newest n
                     WHERE c.owner = $1 AND c.conversation = n.conversation
                         AND c.last_seq = n.last_seq AND n.seq IS NOT NULL",
                    messages = in_conversations(
                        "seq",
                        "owner = $1 AND conversation = s.conversation AND seq < s.last_seq",
                        "seq DESC LIMIT 1"
                    ),
                ))
                .await?;
            tx.execute(&statement, &[&owner.0, &conversations, &seqs]).await?;
            tx.commit().await?;
            Ok(())
        })
    }
}

/// The place behind a page whose last conversation is that of `cut`, if there are more. `first` is the
/// first row of what was found.
fn place_behind(place: ListPlace, first: &Row, cut: Option<&Row>) -> Option<ListPlace> {
    let last_seq: i64 = first.get("last_seq");
    let cut_at = cut.map(|row| row.get::<_, i64>("place")).or_else(|| first.get("looked_to"));
    let began_at = match place {
        ListPlace::Start => last_seq,
        ListPlace::Before { began_at, .. } => began_at,
        ListPlace::Moved { began_at, until, .. } => {
            let after = cut_at?;
            return (after < until).then_some(ListPlace::Moved { began_at, after, until });
        }
    };
    if let Some(before) = cut_at {
        return Some(ListPlace::Before { began_at, before });
    }
    let moved = first.get::<_, bool>("moved");
    moved.then_some(ListPlace::Moved { began_at, after: began_at, until: last_seq })
}

/// CTEs that make `list`: the timeline of `$1` and its watermark.
fn list() -> String {
    format!(
        "{timeline}, list AS MATERIALIZED (
             SELECT *, last_seq - folded_to > {UNFOLDED} AS behind FROM (
                 SELECT timeline.*, greatest(purged_to, (
                     SELECT folded_to FROM conversation_lists WHERE owner = $1
                 )) AS folded_to FROM timeline
             ) timeline
         )",
        timeline = timeline(),
    )
}

/// The CTE `page` of those of the `candidates (conversation, place, seq)` that are listed, at most `$3` in
/// the order of their places, with what is set for them: not those that are hidden, which have no message
/// since they were; and where `$6`, `$7` or `$8` is given, those that are unread, archived or pinned, or
/// are not.
///
/// A conversation is unread where the newest message that says something is of another, and behind what
/// the owner has read.
fn listed(order: &str) -> String {
    format!(
        "page AS MATERIALIZED (
             SELECT c.conversation, c.place, c.seq, coalesce(s.pinned, false) AS pinned,
                 coalesce(s.archived, false) AS archived,
                 coalesce(s.marked_unread, false) AS marked_unread,
                 CASE WHEN s.muted_until > now() THEN s.muted_until END AS muted_until
             FROM candidates c
             LEFT JOIN LATERAL (
                 SELECT * FROM conversation_settings
                 WHERE owner = $1 AND conversation = c.conversation LIMIT 1
             ) s ON true
             WHERE c.seq > coalesce(s.hidden_to, 0)
                 AND ($7::boolean IS NULL OR coalesce(s.archived, false) = $7)
                 AND ($8::boolean IS NULL OR coalesce(s.pinned, false) = $8)
                 AND CASE WHEN $6::boolean IS NULL THEN true ELSE $6 = (
                     coalesce(s.marked_unread, false) OR coalesce((
                         SELECT sender <> $1 FROM entries
                         WHERE owner = $1 AND conversation = c.conversation AND {SAID}
                             AND seq >= (SELECT floor FROM list) AND seq > coalesce((
                                 SELECT greatest(read_seq, answered_seq) FROM read_marks
                                 WHERE owner = $1 AND conversation = c.conversation
                             ), 0)
                         ORDER BY seq DESC LIMIT 1
                     ), false)
                 ) END
             ORDER BY c.place {order} LIMIT $3
         )"
    )
}

/// Selects the page of at most `$3` conversations whose newest message is below `$2`, of the first `$5` of
/// these; and whether messages have come since the place `$4`, for the place behind the last page.
///
/// `folded` goes down the index row by row, so that no plan reads and sorts all rows of the owner, as it
/// would while there are no statistics of a list that has just been built.
fn newest_first() -> String {
    let page = format!(
        "unfolded AS MATERIALIZED (
             SELECT e.conversation, max(e.seq) AS seq
             FROM list CROSS JOIN LATERAL (
                 SELECT conversation, seq FROM entries
                 WHERE owner = $1 AND seq > list.folded_to AND {IN_CONVERSATION}
                 ORDER BY seq LIMIT {UNFOLDED}
             ) e
             WHERE NOT list.behind
             GROUP BY e.conversation
         ), folded (conversation, seq, step) AS (
             SELECT NULL::bigint, $2::bigint, 0
             UNION ALL
             SELECT next.conversation, next.last_seq, folded.step + 1
             FROM folded CROSS JOIN LATERAL (
                 SELECT conversation, last_seq FROM conversations
                 WHERE owner = $1 AND last_seq < folded.seq ORDER BY last_seq DESC LIMIT 1
             ) next
             WHERE folded.step < $5::bigint + (SELECT count(*) FROM unfolded)
                 AND NOT (SELECT behind FROM list)
         ), candidates AS MATERIALIZED (
             SELECT conversation, seq AS place, seq FROM (
                 SELECT conversation, seq, row_number() OVER (ORDER BY seq DESC) AS n FROM (
                     SELECT conversation, seq FROM unfolded
                     UNION ALL
                     SELECT conversation, seq FROM folded
                     WHERE step > 0 AND NOT EXISTS (
                         SELECT FROM unfolded u WHERE u.conversation = folded.conversation
                     )
                 ) newest
                 WHERE seq < $2 AND seq >= (SELECT floor FROM list)
             ) numbered
             WHERE n <= $5
         ), {listed}",
        listed = listed("DESC"),
    );
    // How many messages there were up to a place, its entry says.
    let moved = "$4::bigint IS NOT NULL AND list.last_seq > $4 AND (list.last_message_no > (
             SELECT message_no FROM entries WHERE owner = $1 AND seq = $4
         )) IS NOT FALSE";
    let looked_to = "(SELECT min(place) FROM candidates HAVING count(*) >= $5) AS looked_to";
    shown(&page, &format!("list.behind, ({moved}) AS moved, {looked_to}"), "DESC")
}

/// Selects the page of at most `$3` conversations that got a message after the place `$4`, in the order
/// of the first such message, of which those after `$2` up to `$9` are looked at: at most `$5` of them,
/// so that a conversation with many does not hold the page up.
fn moved_since() -> String {
    let of_conversation = "owner = $1 AND conversation = first.conversation";
    let earlier = in_conversations(
        "seq",
        &format!("{of_conversation} AND seq > $4 AND seq < first.seq"),
        "seq LIMIT 1",
    );
    let newest = in_conversations(
        "seq",
        &format!("{of_conversation} AND seq >= (SELECT floor FROM list)"),
        "seq DESC LIMIT 1",
    );
    // One that was deleted since is a place, too: the conversation may have been passed by for it.
    let page = format!(
        "looked_at AS MATERIALIZED (
             SELECT conversation, seq FROM entries
             WHERE owner = $1 AND seq > $2 AND seq <= $9 AND kind = 1
             ORDER BY seq LIMIT $5
         ), candidates AS MATERIALIZED (
             SELECT first.conversation, first.seq AS place, newest.seq
             FROM (SELECT conversation, min(seq) AS seq FROM looked_at GROUP BY conversation) first
             CROSS JOIN LATERAL (SELECT seq FROM {newest} m ORDER BY seq DESC LIMIT 1) newest
             WHERE NOT EXISTS (SELECT FROM {earlier} earlier)
         ), {listed}",
        listed = listed("ASC"),
    );
    let looked_to = "(SELECT max(seq) FROM looked_at HAVING count(*) = $5) AS looked_to";
    // The watermark does not matter here.
    shown(&page, &format!("false AS behind, {looked_to}"), "ASC")
}

/// Selects what is shown of the conversations of `page (conversation, place, seq)`, in that order of
/// places. At least one row, if there is such a timeline.
///
/// Only conversations of the page are counted in, each at the cost of at most [`MOST_UNREAD`] messages
/// of an index that has all that it takes. They are counted backward from the newest. Most often there
/// is no own message among them; those behind one are counted on their own. Mentions, which any number of
/// other messages may have followed, are counted on an index of their own.
fn shown(page: &str, more: &str, order: &str) -> String {
    format!(
        "WITH RECURSIVE {list}, {page}
         SELECT * FROM (
         SELECT list.epoch, list.last_seq, list.floor, {more},
             page.conversation AS listed, page.place, page.pinned, page.archived, page.marked_unread,
             page.muted_until, d.text AS draft, e.*,
             count(page.place) OVER () AS found,
             sum(coalesce(octet_length(e.body), 0) + coalesce(octet_length(d.text), 0))
                 OVER (ORDER BY page.place {order}) AS bytes,
             coalesce(m.read_seq, 0) AS read_seq, coalesce(m.peer_read_seq, 0) AS peer_read_seq,
             CASE WHEN latest.own IS NULL THEN latest.count ELSE (
                 SELECT count(*) FROM entries
                 WHERE owner = $1 AND conversation = page.conversation AND {SAID}
                     AND seq > latest.own
             ) END AS unread_count,
             CASE WHEN page.conversation < 0 THEN (
                 SELECT count(*) FILTER (WHERE own IS NULL OR seq > own) FROM (
                     SELECT seq, max(seq) FILTER (WHERE sender = $1) OVER () AS own FROM (
                         SELECT seq, sender FROM entries
                         WHERE owner = $1 AND conversation = page.conversation AND {MARKED_IN_GROUP}
                             AND seq > coalesce(greatest(m.read_seq, m.answered_seq), 0)
                             AND seq >= list.floor
                         ORDER BY seq DESC LIMIT {MOST_UNREAD}
                     ) marked
                 ) marked
             ) ELSE 0 END AS unread_mentions
         FROM list LEFT JOIN page ON true
         LEFT JOIN LATERAL (
             SELECT {ENTRY_COLUMNS} FROM entries e
             WHERE owner = $1 AND seq = page.seq AND {IN_CONVERSATION} LIMIT 1
         ) e ON true
         LEFT JOIN LATERAL (
             SELECT text FROM drafts WHERE owner = $1 AND conversation = page.conversation LIMIT 1
         ) d ON true
         LEFT JOIN LATERAL (
             SELECT read_seq, peer_read_seq, answered_seq FROM read_marks
             WHERE owner = $1 AND conversation = page.conversation LIMIT 1
         ) m ON true
         CROSS JOIN LATERAL (
             SELECT count(*) AS count, max(seq) FILTER (WHERE sender = $1) AS own FROM (
                 SELECT seq, sender FROM entries
                 WHERE owner = $1 AND conversation = page.conversation AND {SAID}
                     AND seq > coalesce(greatest(m.read_seq, m.answered_seq), 0)
                     AND seq >= list.floor AND e.sender <> $1
                 ORDER BY seq DESC LIMIT {MOST_UNREAD}
             ) latest
         ) latest
         ) shown
         WHERE bytes <= {PAGE_BYTES} OR bytes = octet_length(body) + coalesce(octet_length(draft), 0)
         ORDER BY place {order}",
        list = list(),
    )
}

/// Waits for whoever changes several of the owner's rows. Behind the lock of the timeline, if that is
/// taken, too.
async fn lock_rows(tx: &Transaction<'_>, owner: UserNo) -> Result<()> {
    let statement =
        tx.prepare_cached("SELECT FROM conversation_lists WHERE owner = $1 FOR UPDATE").await?;
    tx.query_opt(&statement, &[&owner.0]).await?;
    Ok(())
}

/// Deletes the rows whose messages are purged up to `to`, which nobody gets to see.
pub(super) async fn forget_purged(tx: &Transaction<'_>, owner: UserNo, to: i64) -> Result<()> {
    lock_rows(tx, owner).await?;
    tx.execute("DELETE FROM conversations WHERE owner = $1 AND last_seq <= $2", &[&owner.0, &to])
        .await?;
    Ok(())
}

/// Folds the entries after `from` up to `to`.
async fn fold_entries(tx: &Transaction<'_>, owner: UserNo, from: i64, to: i64) -> Result<()> {
    let statement = tx
        .prepare_cached(&format!(
            "INSERT INTO conversations (owner, conversation, last_seq)
             SELECT $1::bigint, conversation, max(seq) FROM entries
             WHERE owner = $1 AND seq > $2 AND seq <= $3 AND {IN_CONVERSATION}
             GROUP BY conversation ORDER BY conversation
             {UPSERT}"
        ))
        .await?;
    tx.execute(&statement, &[&owner.0, &from, &to]).await?;
    let statement =
        tx.prepare_cached("UPDATE conversation_lists SET folded_to = $2 WHERE owner = $1").await?;
    tx.execute(&statement, &[&owner.0, &to]).await?;
    Ok(())
}

/// Builds the rows of the next conversations below the number `from`. When they were the last, all is
/// folded up to `building_to`, the end of the timeline when the first were built.
///
/// Hops from conversation to conversation on the indexes: two probes each, however many messages there
/// are in it.
async fn build(tx: &Transaction<'_>, owner: UserNo, building_to: i64, from: i64) -> Result<()> {
    let statement = tx
        .prepare_cached(&format!(
            "WITH RECURSIVE hops (conversation, seq, hop) AS (
                 SELECT $2::bigint, NULL::bigint, 0
                 UNION ALL
                 SELECT next.conversation, next.seq, hops.hop + 1
                 FROM hops CROSS JOIN LATERAL (
                     SELECT conversation, seq FROM {newest} newest
                     ORDER BY conversation DESC, seq DESC LIMIT 1
                 ) next
                 WHERE hops.hop < {BUILT_AT_ONCE}
             ), built AS (
                 INSERT INTO conversations (owner, conversation, last_seq)
                 SELECT $1::bigint, conversation, seq FROM hops WHERE hop > 0 ORDER BY conversation
                 {UPSERT}
             )
             SELECT min(conversation) FROM hops HAVING max(hop) = {BUILT_AT_ONCE}",
            newest = in_conversations(
                "conversation, seq",
                "owner = $1 AND conversation < hops.conversation",
                "conversation DESC, seq DESC LIMIT 1"
            ),
        ))
        .await?;
    let more = tx.query_opt(&statement, &[&owner.0, &from]).await?;
    let down_to: Option<i64> = more.map(|row| row.get(0));
    let statement = tx
        .prepare_cached(
            "UPDATE conversation_lists
             SET building_to = CASE WHEN $2::bigint IS NOT NULL THEN $3::bigint END, built_down_to = $2,
                 folded_to = CASE WHEN $2 IS NOT NULL THEN folded_to ELSE $3 END
             WHERE owner = $1",
        )
        .await?;
    tx.execute(&statement, &[&owner.0, &down_to, &building_to]).await?;
    Ok(())
}
