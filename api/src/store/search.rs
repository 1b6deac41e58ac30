//! Searching the texts of a user's messages.
//!
//! Texts are indexed where they stand: at the home of a group's message, once for all members, and in both copies of a
//! message between users. So a search looks in several timelines: the user's own, and those of the groups of whose
//! messages it has references. The index says where something may be found, and nothing more. Each message is then read
//! as the history is, from the user's own timeline, and its text is compared once more: so nothing is found that is gone,
//! that the user may not see, or that has been edited away, however far behind the index is.
//!
//! The index is written by a job; what it has not come to yet is read by the search itself, up to [`UNINDEXED`] places of
//! each timeline. Who takes words out of a timeline takes them out of the index in the same transaction, behind a lock
//! that the job holds while it writes, so that none is put back.
//!
//! In the index each word stands behind the owner and the *block* of seqs that the message is in. A search goes down the
//! blocks from the newest, and stops when it has enough: so a common word costs no more than a rare one.

use std::collections::{BTreeSet, HashMap};

use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};

use super::{
    Store, Transaction,
    conversations::SAID,
    entries::{ENTRY_COLUMNS, EntryPage, within_page},
    reading,
    retention::{floor_search, timeline},
    transaction,
};
use crate::model::{
    Body, Content, ConversationNo, Entry, EntryKind, FoundMessage, Message, Result, SEARCHED_BYTES,
    SearchPlace, SearchQuery, TimelineNo, UserNo, lexemes_of,
};

/// A block has so many seqs: two to this power. What a search reads of the index for a word that every message has.
const BLOCK_BITS: i32 = 12;

/// How many places at the end of a timeline a search reads itself, where they are not indexed yet.
const UNINDEXED: i64 = 500;

/// How many unindexed messages a search reads at most.
const MOST_UNINDEXED: i64 = 1_000;

/// How often a search looks for more. What is left is for the next page.
const MOST_LOOKS: usize = 8;

/// The class of the locks that keep words from being put back. Any fixed number.
const WORDS_LOCK: i32 = 0x696d_6403;

/// Stands for the owner and the block in what is asked of the index. No word has it.
const PREFIX: char = '~';

/// What a user looks for.
#[derive(Debug)]
pub struct Search {
    /// In whose messages.
    pub owner: UserNo,
    /// What their texts have to have.
    pub query: SearchQuery,
    /// The only conversation to look in.
    pub conversation: Option<ConversationNo>,
    /// Who has to have sent them.
    pub sender: Option<UserNo>,
    /// When they were sent, at the earliest.
    pub after: Option<OffsetDateTime>,
    /// When they were sent at the latest, which itself is too late.
    pub before: Option<OffsetDateTime>,
}

/// A page of what was found.
#[derive(Debug)]
pub struct SearchPage {
    /// The newest first.
    pub found: Vec<FoundMessage>,
    /// Behind which the next page begins; `None` on the last one.
    pub next: Option<SearchPlace>,
    /// Whether there are messages that neither the index has yet nor the search has read.
    pub incomplete: bool,
}

/// A timeline that is not indexed to its end.
#[derive(Debug, Clone, Copy)]
pub struct Unindexed {
    /// Whose.
    pub owner: TimelineNo,
    /// How far it is indexed.
    pub indexed_to: i64,
    /// Its end.
    pub last_seq: i64,
}

/// Timelines to look in, from `low` to `high`, as columns.
#[derive(Debug, Default)]
struct Sources {
    owners: Vec<i64>,
    lows: Vec<i64>,
    highs: Vec<i64>,
}

impl Sources {
    fn add(&mut self, owner: i64, low: i64, high: i64) {
        if low <= high {
            self.owners.push(owner);
            self.lows.push(low);
            self.highs.push(high);
        }
    }
}

/// CTEs that make `range (owner, low, high, indexed_to)` of the timelines `$1`, their lowest places `$2` and highest `$3`:
/// what of them was stored at the time `$4` or later and before the time `$5`, where these are given; `high` is behind the
/// last place. To stand behind `WITH RECURSIVE`.
fn ranges() -> String {
    let since = floor_search("since", "given");
    let until = floor_search("until", "ended");
    format!(
        "given AS MATERIALIZED (
             SELECT owner, low, high + 1 AS high, $4::timestamptz AS oldest, NULL::bigint AS beyond
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) s (owner, low, high)
         ), {since}, ended AS MATERIALIZED (
             SELECT owner, low, high, $5::timestamptz AS oldest, NULL::bigint AS beyond FROM given
         ), {until}, range AS MATERIALIZED (
             SELECT g.owner, s.floor AS low,
                 CASE WHEN g.oldest_end IS NULL THEN g.high ELSE u.floor END AS high,
                 coalesce(p.indexed_to, 0) AS indexed_to
             FROM (SELECT owner, high, $5::timestamptz AS oldest_end FROM given) g
             JOIN since s ON s.owner = g.owner
             JOIN until u ON u.owner = g.owner
             LEFT JOIN search_progress p ON p.owner = g.owner
         )"
    )
}

impl Search {
    /// What the index is asked for.
    fn asked(&self) -> String {
        let lexemes = self.query.lexemes();
        let words = lexemes.iter().map(|lexeme| {
            let any_end = if lexeme.prefix { ":*" } else { "" };
            format!("'{PREFIX}{}'{any_end}", lexeme.text)
        });
        let sender = self.sender.map(|user_no| format!("'{PREFIX}@{}'", user_no.0));
        let peer = self.conversation.and_then(ConversationNo::peer);
        let peer = peer.map(|user_no| format!("'{PREFIX}#{}'", user_no.0));
        words.chain(sender).chain(peer).collect::<Vec<_>>().join(" & ")
    }

    /// The time before which messages behind a place were stored, and others that are asked for.
    fn until(&self, place: Option<SearchPlace>) -> Option<OffsetDateTime> {
        let behind = place.map(|place| place.at + time::Duration::MICROSECOND);
        behind.into_iter().chain(self.before).min()
    }

    /// What is shown of an entry, where it is a message that has what is looked for.
    fn snippet(&self, entry: Entry) -> Option<FoundMessage> {
        let EntryKind::Message(Message { body: Body::Content(content), .. }) = &entry.kind else {
            return None;
        };
        let snippet = self.query.snippet(text(content)?)?;
        Some(FoundMessage { message: entry, snippet })
    }
}

/// What a content says, if it is text.
fn text(content: &Content) -> Option<&str> {
    let is_text = content.content_type().is_none();
    is_text.then(|| std::str::from_utf8(content.body()).ok()).flatten()
}

/// What the index keeps of a text: in which timeline and where it stands, who sent it and, between users, the other one.
fn words(owner: i64, seq: i64, sender: i64, peer: Option<i64>, text: &str) -> String {
    let prefix = format!("{owner}.{}.", seq >> BLOCK_BITS);
    let peer = peer.filter(|_| owner > 0).map(|peer| format!("{prefix}#{peer}"));
    let others = [Some(format!("{prefix}@{sender}")), peer].into_iter().flatten();
    let words = lexemes_of(text).into_iter().map(|word| format!("{prefix}{word}"));
    others.chain(words).collect::<Vec<_>>().join(" ")
}

/// The beginning of a text that was cut somewhere.
fn beginning(body: &[u8]) -> &str {
    match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default(),
    }
}

impl Store {
    /// The owner's messages that have what is looked for, the newest first, behind `place`: at most `limit`.
    pub async fn search(
        &self,
        search: &Search,
        place: Option<SearchPlace>,
        limit: usize,
    ) -> Result<SearchPage> {
        let sources = self.sources(search).await?;
        // Before the index is read, so that what is indexed meanwhile is in one of the two.
        let (unindexed, incomplete) = self.unindexed(search, &sources, place).await?;
        let mut found: Vec<(SearchPlace, FoundMessage)> = Vec::new();
        let mut behind = place;
        for _ in 0..MOST_LOOKS {
            // One more than fits, to learn whether there are more.
            let wanted = limit + 1;
            let (places, more) =
                self.candidates(search, &sources, &unindexed, behind, wanted).await?;
            let Some(last) = places.last().copied() else { break };
            let (read, read_to) = self.messages_in(search.owner, &places).await?;
            for (place, entry) in read {
                found.extend(search.snippet(entry).map(|message| (place, message)));
            }
            if found.len() > limit {
                found.truncate(limit);
                let next = found.last().map(|(place, _)| *place);
                let found = found.into_iter().map(|(_, message)| message).collect();
                return Ok(SearchPage { found, next, incomplete });
            }
            behind = Some(read_to.unwrap_or(last));
            if read_to.is_none() && !more {
                behind = None;
                break;
            }
            if read_to.is_some() && !found.is_empty() {
                // What was read is as much as makes a page in bytes.
                break;
            }
        }
        let next = behind.filter(|_| behind != place);
        let found = found.into_iter().map(|(_, message)| message).collect();
        Ok(SearchPage { found, next, incomplete })
    }

    /// Where to look: what the owner may see of its timeline, and in which groups' timelines the messages stand that it
    /// has references to.
    async fn sources(&self, search: &Search) -> Result<Sources> {
        let (owner, only) = (search.owner.0, search.conversation.map(|no| no.0));
        let said = format!("e.owner = $1 AND e.conversation < 0 AND {SAID}");
        let sql = format!(
            "WITH RECURSIVE {timeline}, grouped (conversation) AS (
                 SELECT CASE WHEN $2::bigint IS NOT NULL THEN $2 ELSE (
                     SELECT e.conversation FROM entries e WHERE {said} ORDER BY e.conversation LIMIT 1
                 ) END
                 UNION ALL
                 SELECT (
                     SELECT e.conversation FROM entries e
                     WHERE {said} AND e.conversation > g.conversation ORDER BY e.conversation LIMIT 1
                 ) FROM grouped g WHERE g.conversation < 0 AND $2 IS NULL
             )
             SELECT timeline.floor, timeline.last_seq, g.conversation, g.home_seq
             FROM timeline LEFT JOIN LATERAL (
                 SELECT g.conversation, first.home_seq
                 FROM grouped g CROSS JOIN LATERAL (
                     SELECT e.home_seq FROM entries e
                     WHERE {said} AND e.conversation = g.conversation AND e.seq >= timeline.floor
                     ORDER BY e.seq LIMIT 1
                 ) first
             ) g ON true",
            timeline = timeline(),
        );
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            client.query_as_prepared(&statement, &[&owner, &only]).await
        })?;
        let Some(first) = rows.first() else { return Err(self.gone(search.owner).await) };
        let mut sources = Sources::default();
        if only.is_none_or(|only| only > 0) {
            sources.add(owner, first.get("floor"), first.get("last_seq"));
        }
        // The oldest message of each that the owner may see, by the group's number.
        let oldest: HashMap<i64, i64> = rows
            .iter()
            .filter_map(|row| {
                let group: Option<i64> = row.get("conversation");
                Some((-group?, row.get("home_seq")))
            })
            .collect();
        if oldest.is_empty() {
            return Ok(sources);
        }
        let group_nos: Vec<i64> = oldest.keys().copied().collect();
        let members = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT group_no, purged_to, joined_seq, coalesce(left_seq, fanned_to) AS last_seq
                     FROM group_members WHERE group_no = ANY($2) AND user_no = $1",
                )
                .await?;
            Ok(client.query(&statement, &[&owner, &group_nos]).await?)
        })?;
        for member in members {
            let group_no: i64 = member.get("group_no");
            let oldest = oldest.get(&group_no).copied().unwrap_or_default();
            // Who has come more than once may have been shown older messages behind newer ones.
            let low = if oldest >= member.get("joined_seq") {
                oldest
            } else {
                member.get::<_, i64>("purged_to") + 1
            };
            sources.add(-group_no, low, member.get("last_seq"));
        }
        Ok(sources)
    }

    /// The places behind `place` of messages that the index does not have yet and that have what is looked for; and
    /// whether there are more than were read.
    async fn unindexed(
        &self,
        search: &Search,
        sources: &Sources,
        place: Option<SearchPlace>,
    ) -> Result<(BTreeSet<SearchPlace>, bool)> {
        let sql = format!(
            "WITH RECURSIVE {ranges}
             SELECT r.owner, r.start > r.first AS more, e.seq, e.appended_at, e.body
             FROM (
                 SELECT owner, high, greatest(low, indexed_to + 1) AS first,
                     greatest(low, indexed_to + 1, high - {UNINDEXED}) AS start
                 FROM range WHERE indexed_to + 1 < high
             ) r LEFT JOIN LATERAL (
                 SELECT e.seq, e.appended_at, substring(e.body FOR {SEARCHED_BYTES}) AS body
                 FROM entries e
                 WHERE e.owner = r.owner AND e.seq >= r.start AND e.seq < r.high AND {SAID}
                     AND e.content_type IS NULL AND octet_length(e.body) > 0
                     AND ($6::bigint IS NULL OR e.sender = $6)
                     AND ($7::bigint IS NULL OR e.conversation = $7 OR e.owner < 0)
             ) e ON true
             WHERE e.seq IS NOT NULL OR r.start > r.first
             ORDER BY e.appended_at DESC, r.owner DESC, e.seq DESC LIMIT {MOST_UNINDEXED}",
            ranges = ranges(),
        );
        let until = search.until(place);
        let sender = search.sender.map(|no| no.0);
        let conversation = search.conversation.map(|no| no.0);
        let values: [&(dyn ToSql + Sync); 7] = [
            &sources.owners,
            &sources.lows,
            &sources.highs,
            &search.after,
            &until,
            &sender,
            &conversation,
        ];
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            client.query_as_prepared(&statement, &values).await
        })?;
        let incomplete = i64::try_from(rows.len()).is_ok_and(|count| count >= MOST_UNINDEXED)
            || rows.iter().any(|row| row.get("more"));
        let has_all = |row: &&Row| {
            let body: Option<&[u8]> = row.get("body");
            body.is_some_and(|body| search.query.find(beginning(body)).is_some())
        };
        let found = rows.iter().filter(has_all).map(|row| SearchPlace {
            at: row.get("appended_at"),
            owner: row.get("owner"),
            seq: row.get("seq"),
        });
        Ok((found.collect(), incomplete))
    }

    /// The newest `limit` places behind `place` of what may have what is looked for, the newest first; and whether there
    /// may be more.
    async fn candidates(
        &self,
        search: &Search,
        sources: &Sources,
        unindexed: &BTreeSet<SearchPlace>,
        place: Option<SearchPlace>,
        limit: usize,
    ) -> Result<(Vec<SearchPlace>, bool)> {
        // By the words alone: `seq + 0` keeps a plan that was made while there was nothing from going by the key.
        let sql = format!(
            "WITH RECURSIVE {ranges}
             SELECT c.owner, c.seq, c.at
             FROM range r CROSS JOIN LATERAL (
                 SELECT i.owner, i.seq, i.at
                 FROM generate_series(least(r.high - 1, r.indexed_to) >> {BLOCK_BITS},
                     r.low >> {BLOCK_BITS}, -1::bigint) b (block)
                 CROSS JOIN LATERAL (
                     SELECT i.owner, i.seq, i.at FROM search_index i
                     WHERE i.words @@ replace($6::text, '{PREFIX}', r.owner || '.' || b.block || '.')::tsquery
                         AND i.seq + 0 >= r.low AND i.seq + 0 < r.high
                         AND ($7::timestamptz IS NULL OR (i.at, i.owner, i.seq) < ($7, $8::bigint, $9::bigint))
                     ORDER BY i.seq DESC LIMIT $10
                 ) i LIMIT $10
             ) c
             ORDER BY c.at DESC, c.owner DESC, c.seq DESC LIMIT $10",
            ranges = ranges(),
        );
        let (until, asked) = (search.until(place), search.asked());
        let (at, owner, seq) =
            (place.map(|place| place.at), place.map(|p| p.owner), place.map(|p| p.seq));
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let values: [&(dyn ToSql + Sync); 10] = [
            &sources.owners,
            &sources.lows,
            &sources.highs,
            &search.after,
            &until,
            &asked,
            &at,
            &owner,
            &seq,
            &most,
        ];
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            client.query_as_prepared(&statement, &values).await
        })?;
        let mut places: BTreeSet<SearchPlace> = rows
            .iter()
            .map(|row| SearchPlace {
                at: row.get("at"),
                owner: row.get("owner"),
                seq: row.get("seq"),
            })
            .collect();
        // What else there is behind the last of these is not known.
        let cut = places.first().copied().filter(|_| places.len() >= limit);
        let known = |found: &&SearchPlace| {
            place.is_none_or(|place| **found < place) && cut.is_none_or(|cut| **found > cut)
        };
        places.extend(unindexed.iter().filter(known));
        let more = cut.is_some() || places.len() > limit;
        Ok((places.into_iter().rev().take(limit).collect(), more))
    }

    /// The messages at these places that their owner may see and that say something to it, in their order; and the last
    /// place that was looked at, where not all were because a page would be too large in bytes.
    async fn messages_in(
        &self,
        owner: UserNo,
        places: &[SearchPlace],
    ) -> Result<(Vec<(SearchPlace, Entry)>, Option<SearchPlace>)> {
        let in_groups: Vec<(TimelineNo, i64)> = places
            .iter()
            .filter(|place| place.owner < 0)
            .map(|place| (TimelineNo(place.owner), place.seq))
            .collect();
        let references = self.references_to(owner, &in_groups).await?;
        // By the place in the owner's own timeline.
        let own: Vec<(i64, SearchPlace)> = places
            .iter()
            .filter_map(|place| match place.owner {
                ..0 => Some((*references.get(&(place.owner, place.seq))?, *place)),
                0.. => Some((place.seq, *place)),
            })
            .collect();
        let seqs: Vec<i64> = own.iter().map(|(seq, _)| *seq).collect();
        if seqs.is_empty() {
            return Ok((Vec::new(), None));
        }
        // One by one and by the key: with a plan that expects few entries, all of the owner's would be read for a join,
        // and `kind + 0` keeps it from the index of conversations, which has no `seq` in front.
        let rows = format!(
            "(SELECT {ENTRY_COLUMNS}, q.no FROM unnest($2::bigint[]) WITH ORDINALITY q (seq, no)
              CROSS JOIN LATERAL (
                  SELECT * FROM entries e
                  WHERE e.owner = $1 AND e.seq = q.seq AND e.seq >= timeline.floor
                      AND e.kind + 0 = 1 AND e.tombstone IS NULL LIMIT 1
              ) e)"
        );
        let sql = format!(
            "WITH RECURSIVE {timeline}
             SELECT timeline.epoch, timeline.floor, e.* FROM timeline CROSS JOIN LATERAL ({page}) e
             ORDER BY e.no",
            timeline = timeline(),
            page = within_page(&rows, "e.no"),
        );
        let rows = reading!(self, async |client| {
            let statement = client.prepare_cached(&sql).await?;
            Ok(client.query(&statement, &[&owner.0, &seqs]).await?)
        })?;
        let Some(first) = rows.first() else { return Ok((Vec::new(), None)) };
        let EntryPage { entries, cut } = self.page_of(first.get("epoch"), &rows).await?;
        let by_seq: HashMap<i64, SearchPlace> = own.into_iter().collect();
        let read: Vec<(SearchPlace, Entry)> = entries
            .into_iter()
            .filter_map(|entry| Some((*by_seq.get(&entry.seq())?, entry)))
            .collect();
        let read_to = read.last().map(|(place, _)| *place).filter(|_| cut);
        Ok((read, read_to))
    }

    /// Looks at the next `limit` timelines after that of `after`, in the order of their numbers: those that are not
    /// indexed to their ends, and the last of all; `None` when there was none. Those that an import fills wait until it
    /// is done.
    pub async fn timelines_to_index(
        &self,
        after: TimelineNo,
        limit: i64,
    ) -> Result<(Vec<Unindexed>, Option<TimelineNo>)> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT t.owner, t.last_seq, t.state <> 2 AND (t.state <> 3 OR t.owner < 0) AS open,
                     greatest(coalesce(p.indexed_to, 0), t.purged_to) AS indexed_to
                 FROM (
                     SELECT owner, last_seq, purged_to, state FROM timelines
                     WHERE owner > $1 ORDER BY owner LIMIT $2
                 ) t LEFT JOIN search_progress p ON p.owner = t.owner
                 ORDER BY t.owner",
            )
            .await?;
        let rows = client.query(&statement, &[&after.0, &limit]).await?;
        let last = rows.last().map(|row| TimelineNo(row.get("owner")));
        let unindexed = rows.iter().filter(|row| row.get("open")).map(|row| Unindexed {
            owner: TimelineNo(row.get("owner")),
            indexed_to: row.get("indexed_to"),
            last_seq: row.get("last_seq"),
        });
        Ok((unindexed.filter(|timeline| timeline.indexed_to < timeline.last_seq).collect(), last))
    }

    /// Indexes these timelines from the place behind `indexed_to` to `last_seq`, one stretch of each.
    pub async fn index(&self, stretches: &[Unindexed]) -> Result<()> {
        let column =
            |read: fn(&Unindexed) -> i64| -> Vec<i64> { stretches.iter().map(read).collect() };
        let owners = column(|stretch| stretch.owner.0);
        let firsts = column(|stretch| stretch.indexed_to + 1);
        let lasts = column(|stretch| stretch.last_seq);
        transaction!(self, async |tx| {
            let lock = tx
                .prepare_cached("SELECT pg_advisory_xact_lock($1, k) FROM unnest($2::integer[]) k")
                .await?;
            tx.execute(&lock, &[&WORDS_LOCK, &lock_keys(&owners)]).await?;
            // Behind the locks, so that it is known what has gone.
            let texts = tx
                .prepare_cached(&format!(
                    "SELECT e.owner, e.seq, e.appended_at, e.sender, e.conversation,
                         substring(e.body FOR {SEARCHED_BYTES}) AS body
                     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) s (owner, first, last)
                     JOIN entries e ON e.owner = s.owner AND e.seq BETWEEN s.first AND s.last
                     WHERE {SAID} AND e.content_type IS NULL AND octet_length(e.body) > 0"
                ))
                .await?;
            let rows = tx.query(&texts, &[&owners, &firsts, &lasts]).await?;
            let indexed = rows.iter().map(|row| {
                let (owner, seq): (i64, i64) = (row.get("owner"), row.get("seq"));
                let body: &[u8] = row.get("body");
                words(owner, seq, row.get("sender"), row.get("conversation"), beginning(body))
            });
            let indexed: Vec<String> = indexed.collect();
            let of: Vec<i64> = rows.iter().map(|row| row.get("owner")).collect();
            let seqs: Vec<i64> = rows.iter().map(|row| row.get("seq")).collect();
            let times: Vec<OffsetDateTime> =
                rows.iter().map(|row| row.get("appended_at")).collect();
            let insert = tx
                .prepare_cached(
                    "INSERT INTO search_index (owner, seq, at, words)
                     SELECT owner, seq, at, words::tsvector
                     FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[])
                         i (owner, seq, at, words)
                     ON CONFLICT (owner, seq) DO UPDATE SET at = excluded.at, words = excluded.words",
                )
                .await?;
            tx.execute(&insert, &[&of, &seqs, &times, &indexed]).await?;
            let note = tx
                .prepare_cached(
                    "INSERT INTO search_progress (owner, indexed_to)
                     SELECT owner, indexed_to FROM unnest($1::bigint[], $2::bigint[]) p (owner, indexed_to)
                     ON CONFLICT (owner) DO UPDATE
                     SET indexed_to = greatest(search_progress.indexed_to, excluded.indexed_to)",
                )
                .await?;
            tx.execute(&note, &[&owners, &lasts]).await?;
            tx.commit().await?;
            Ok(())
        })
    }
}

/// The keys of the locks of timelines, in the order in which all take them.
fn lock_keys(owners: &[i64]) -> Vec<i32> {
    #[expect(clippy::cast_possible_truncation, reason = "some share a lock")]
    let keys: BTreeSet<i32> = owners.iter().map(|owner| (owner ^ (owner >> 32)) as i32).collect();
    keys.into_iter().collect()
}

/// Waits until nobody indexes these timelines, and keeps it so until the transaction ends: what it takes out of them
/// is then out of the index for good. To come before the index is changed, in a statement of its own.
pub(super) async fn keep_from_index(tx: &Transaction<'_>, owners: &[i64]) -> Result<()> {
    let statement = tx
        .prepare_cached("SELECT pg_advisory_xact_lock_shared($1, k) FROM unnest($2::integer[]) k")
        .await?;
    tx.execute(&statement, &[&WORDS_LOCK, &lock_keys(owners)]).await?;
    Ok(())
}

/// Takes messages out of the index.
pub(super) async fn forget_words(tx: &Transaction<'_>, places: &[(TimelineNo, i64)]) -> Result<()> {
    let (owners, seqs): (Vec<i64>, Vec<i64>) =
        places.iter().map(|(owner, seq)| (owner.0, *seq)).unzip();
    keep_from_index(tx, &owners).await?;
    let statement = tx
        .prepare_cached(
            "DELETE FROM search_index i USING unnest($1::bigint[], $2::bigint[]) c (owner, seq)
             WHERE i.owner = c.owner AND i.seq = c.seq",
        )
        .await?;
    tx.execute(&statement, &[&owners, &seqs]).await?;
    Ok(())
}

/// Takes the messages after the place `after` and up to `to` out of the index.
pub(super) async fn forget_words_between(
    tx: &Transaction<'_>,
    owner: TimelineNo,
    after: i64,
    to: i64,
) -> Result<()> {
    keep_from_index(tx, &[owner.0]).await?;
    let statement = tx
        .prepare_cached("DELETE FROM search_index WHERE owner = $1 AND seq > $2 AND seq <= $3")
        .await?;
    tx.execute(&statement, &[&owner.0, &after, &to]).await?;
    Ok(())
}

/// Has the index say of a message of `sender` at these places what it says from now on. Where they are not indexed yet,
/// that is left to the job.
pub(super) async fn replace_words(
    tx: &Transaction<'_>,
    sender: UserNo,
    copies: &[(TimelineNo, i64, ConversationNo)],
    content: &Content,
) -> Result<()> {
    let places: Vec<_> = copies.iter().map(|(owner, seq, _)| (*owner, *seq)).collect();
    forget_words(tx, &places).await?;
    let Some(text) = text(content) else { return Ok(()) };
    let (owners, seqs): (Vec<i64>, Vec<i64>) =
        places.iter().map(|(owner, seq)| (owner.0, *seq)).unzip();
    let said = copies.iter().map(|(owner, seq, conversation)| {
        words(owner.0, *seq, sender.0, Some(conversation.0), text)
    });
    let said: Vec<String> = said.collect();
    let statement = tx
        .prepare_cached(
            "INSERT INTO search_index (owner, seq, at, words)
             SELECT e.owner, e.seq, e.appended_at, i.words::tsvector
             FROM unnest($1::bigint[], $2::bigint[], $3::text[]) i (owner, seq, words)
             JOIN entries e ON e.owner = i.owner AND e.seq = i.seq
             JOIN search_progress p ON p.owner = i.owner AND p.indexed_to >= i.seq
             ON CONFLICT (owner, seq) DO UPDATE SET at = excluded.at, words = excluded.words",
        )
        .await?;
    tx.execute(&statement, &[&owners, &seqs, &said]).await?;
    Ok(())
}
