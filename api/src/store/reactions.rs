//! Reactions to messages. Each message with some has a summary of them where it stands: at its home, and between
//! users in the other copy, too, each as its owner sees it. It is changed behind the lock of that timeline.
//!
//! A change is told by an entry that says nothing itself: what it says is read from the owner's copy of the message,
//! and is what holds then. So many changes can share one. `reactions_told` has a row for each message that was told of
//! lately; a change that meets one marks it as pending and appends nothing. When the row is due, a sweep appends the
//! entry that is missing, or deletes the row. Whoever writes the row holds the lock of the timeline, so no change is
//! left untold; a sweep that dies leaves the row to that of another node.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio_postgres::{Row, types::ToSql};

use super::{
    SignalCheck, Store, Transaction,
    edits::own_copy,
    entries::{ENTRIES_AT, EntryRow, EventColumns, KIND_MESSAGE, ReactedRow},
    reading,
    signals::is_withheld,
    timelines::{About, Place},
    tombstones::Original,
    transaction,
};
use crate::model::{
    ConversationId, ConversationNo, Error, GroupNo, IfBlocked, MOST_REACTIONS, MessageId, Reaction,
    ReactionCount, ReactionOf, Result, SessionId, Stretch, TimelineNo, UserId, UserNo, WhoMay,
};

/// How long after a timeline was told of the reactions to a message it is told again, at the soonest.
const COALESCED: &str = "interval '2 seconds'";

/// A reaction to give to a message, or to take back.
#[derive(Debug, Clone)]
pub struct React {
    /// Which message.
    pub message_id: MessageId,
    /// Who reacts.
    pub caller: UserNo,
    /// The same, by id.
    pub caller_id: UserId,
    /// The session that does, which must be live.
    pub session_id: SessionId,
    /// With what.
    pub reaction: Reaction,
    /// Whether it is given, and not taken back.
    pub given: bool,
    /// What becomes of the recipient's copy when the recipient blocks the caller.
    pub if_blocked: IfBlocked,
    /// From whom a recipient takes messages who has not said.
    pub messages_from: WhoMay,
}

/// What a reaction has done.
#[derive(Debug)]
pub struct Reacted {
    /// All reactions to the message, as the caller sees them.
    pub reactions: Vec<ReactionCount>,
    /// The entries of users' timelines that tell of it.
    pub told: Vec<Stretch>,
    /// The group that is to be told.
    pub group_no: Option<GroupNo>,
}

impl Reacted {
    fn unchanged(reactions: Vec<ReactionCount>) -> Self {
        Self { reactions, told: Vec::new(), group_no: None }
    }
}

impl React {
    /// What is asked before: whether the caller may write to the conversation.
    pub(super) fn check(&self, to: ConversationNo, to_id: ConversationId) -> SignalCheck {
        SignalCheck {
            sender: self.caller,
            session_id: self.session_id,
            to,
            to_id,
            if_blocked: self.if_blocked,
        }
    }

    /// Writes down, or strikes out, that the caller reacts so: whether that was news.
    pub(super) async fn note(&self, tx: &Transaction<'_>) -> Result<bool> {
        let statement = if self.given {
            tx.prepare_cached(
                "INSERT INTO reactions (home, home_seq, reaction, user_no) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
            )
            .await?
        } else {
            tx.prepare_cached(
                "DELETE FROM reactions
                 WHERE home = $1 AND home_seq = $2 AND reaction = $3 AND user_no = $4",
            )
            .await?
        };
        let MessageId { home, seq, .. } = self.message_id;
        let values: [&(dyn ToSql + Sync); 4] =
            [&home.0, &seq, &self.reaction.as_str(), &self.caller.0];
        Ok(tx.execute(&statement, &values).await? > 0)
    }
}

/// A copy of a message between users that still says something.
struct ReactedCopy {
    owner: UserNo,
    seq: i64,
    conversation: ConversationNo,
    reactions: Vec<ReactionCount>,
}

impl ReactedCopy {
    /// Those of a message, behind the locks of their timelines.
    async fn all(tx: &Transaction<'_>, original: &Original) -> Result<Vec<Self>> {
        let (owners, seqs): (Vec<i64>, Vec<i64>) =
            original.copies.iter().map(|(owner, seq)| (owner.0, *seq)).unzip();
        let statement = tx
            .prepare_cached(&format!(
                "SELECT e.owner, e.seq, e.conversation, e.reactions
                 FROM {ENTRIES_AT} WHERE e.tombstone IS NULL"
            ))
            .await?;
        let copy = |row: &Row| {
            Ok(Self {
                owner: UserNo(row.get("owner")),
                seq: row.get("seq"),
                conversation: ConversationNo(row.get("conversation")),
                reactions: read_summary(row.get("reactions"))?,
            })
        };
        tx.query(&statement, &[&owners, &seqs]).await?.iter().map(copy).collect()
    }

    /// Has the copy show that one of the two reacts so, or does no longer: whether that was news.
    fn set(&mut self, reaction: &str, by: UserNo, given: bool) -> bool {
        let by_owner = by == self.owner;
        let found = self.reactions.iter().find(|count| count.reaction == reaction);
        let is_given = found.is_some_and(|count| {
            if by_owner { count.own } else { count.count > i32::from(count.own) }
        });
        if is_given == given {
            return false;
        }
        let count = change_count(&mut self.reactions, reaction, given);
        if let Some(count) = count.filter(|_| by_owner) {
            count.own = given;
        }
        true
    }

    /// Writes down what the copy shows, and tells its owner at `place`: the entry, unless it comes later.
    async fn tell(
        &self,
        tx: &Transaction<'_>,
        sender: UserNo,
        message_id: MessageId,
        place: Option<Place>,
    ) -> Result<Option<Stretch>> {
        let timeline = TimelineNo::from(self.owner);
        write_summary(tx, timeline, self.seq, &self.reactions).await?;
        let Some(place) = place else { return Ok(None) };
        if !is_told_at_once(tx, timeline, self.seq).await? {
            place.give_back(tx).await?;
            return Ok(None);
        }
        let about = About::message(self.conversation, sender, message_id);
        place.fill_columns(tx, about, EventColumns::of_reactions(self.seq)).await.map(Some)
    }
}

impl Store {
    /// Checks that a user may see a message and that it still says something.
    ///
    /// Errors: [`Error::MessageNotFound`].
    pub async fn require_visible(&self, user_no: UserNo, message_id: MessageId) -> Result<()> {
        self.visible_copy(user_no, message_id).await.map(drop)
    }

    /// Gives a reaction to a message between two users, or takes it back. A copy that its owner has deleted stays as
    /// it is, and its owner is told nothing; so does that of a recipient whose block withholds messages.
    ///
    /// Errors: [`Error::MessageNotFound`], [`Error::TooManyReactions`]; [`Error::SessionEnded`],
    /// [`Error::InvalidToken`]; for one that is given, those of a message to the recipient.
    pub async fn react(&self, react: &React) -> Result<Reacted> {
        let (caller, message_id) = (react.caller, react.message_id);
        transaction!(self, async |tx| {
            let (original, mut places) =
                Original::lock(&tx, message_id, caller, react.session_id).await?;
            let mut copies = ReactedCopy::all(&tx, &original).await?;
            // The caller's comes first.
            copies.sort_by_key(|copy| copy.owner != caller);
            let own = copies.first_mut().filter(|copy| copy.owner == caller);
            let own = own.ok_or(Error::MessageNotFound)?;
            let own_seq = own.seq;
            let peer = own_copy(&tx, caller, own_seq).await?.filter(|_| react.given);
            let check =
                peer.map(|(peer, peer_id)| react.check(peer.into(), ConversationId::User(peer_id)));
            let withheld = is_withheld(&tx, check, react.messages_from).await?;
            if react.given {
                require_room(&own.reactions, &react.reaction)?;
            }
            if !own.set(react.reaction.as_str(), caller, react.given) {
                // Nothing is committed: the places are given back.
                return Ok(Reacted::unchanged(own.reactions.clone()));
            }
            let reactions = own.reactions.clone();
            react.note(&tx).await?;
            let sender = message_id.home.user().unwrap_or(caller);
            let mut told = Vec::with_capacity(copies.len());
            for mut copy in copies {
                if copy.owner != caller
                    && (withheld || !copy.set(react.reaction.as_str(), caller, react.given))
                {
                    continue;
                }
                let place = places.remove(&copy.owner);
                told.extend(copy.tell(&tx, sender, message_id, place).await?);
            }
            for place in places.into_values() {
                place.give_back(&tx).await?;
            }
            tx.commit().await?;
            Ok(Reacted { reactions, told, group_no: None })
        })
    }

    /// Who reacts to a message with what, as a user sees it: at most `limit`, all behind the place `after`, with
    /// the numbers of the users.
    ///
    /// Errors: [`Error::MessageNotFound`].
    pub async fn reactions_of(
        &self,
        caller: UserNo,
        message_id: MessageId,
        reaction: Option<&Reaction>,
        after: (&str, UserNo),
        limit: i64,
    ) -> Result<Vec<(ReactionOf, UserNo)>> {
        let (own_seq, conversation) = self.visible_copy(caller, message_id).await?;
        let found = if conversation.group().is_some() {
            self.reactions_in_group(message_id, reaction, after, limit).await?
        } else {
            let summary = self.summary(caller, own_seq).await?;
            let mut found = each_of(summary, caller, UserNo(conversation.0));
            let asked = |(of, by): &(String, UserNo)| {
                reaction.is_none_or(|reaction| reaction.as_str() == of)
                    && (of.as_str(), *by) > after
            };
            found.retain(asked);
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            found
        };
        let users = self.known_users(&found.iter().map(|(_, by)| by.0).collect()).await?;
        let named = |(reaction, by): (String, UserNo)| {
            let user_id = users.get(&by.0)?.user_id.clone();
            Some((ReactionOf { reaction, user_id }, by))
        };
        Ok(found.into_iter().filter_map(named).collect())
    }

    async fn reactions_in_group(
        &self,
        message_id: MessageId,
        reaction: Option<&Reaction>,
        (after, after_user): (&str, UserNo),
        limit: i64,
    ) -> Result<Vec<(String, UserNo)>> {
        let MessageId { home, seq, .. } = message_id;
        let reaction = reaction.map(Reaction::as_str);
        let values: [&(dyn ToSql + Sync); 6] =
            [&home.0, &seq, &reaction, &after, &after_user.0, &limit];
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT reaction, user_no FROM reactions
                     WHERE home = $1 AND home_seq = $2 AND ($3::text IS NULL OR reaction = $3)
                         AND (reaction, user_no) > ($4, $5)
                     ORDER BY reaction, user_no LIMIT $6",
                )
                .await?;
            Ok(client.query(&statement, &values).await?)
        })?;
        Ok(rows.iter().map(|row| (row.get("reaction"), UserNo(row.get("user_no")))).collect())
    }

    async fn summary(&self, owner: UserNo, seq: i64) -> Result<Vec<ReactionCount>> {
        let row = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    "SELECT reactions FROM entries
                     WHERE owner = $1 AND seq = $2 AND tombstone IS NULL",
                )
                .await?;
            Ok(client.query_opt(&statement, &[&owner.0, &seq]).await?)
        })?;
        read_summary(row.as_ref().and_then(|row| row.get("reactions")))
    }

    /// Which timelines are to be told now of the reactions to which of their messages: the places of those, the
    /// ones that have waited for longest first. Forgets those of which there is nothing more to be told.
    pub async fn untold_reactions(&self, limit: i64) -> Result<Vec<(TimelineNo, i64)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH forgotten AS (DELETE FROM reactions_told WHERE due_at <= now() AND NOT pending)
                 SELECT owner, seq FROM reactions_told WHERE due_at <= now() AND pending
                 ORDER BY due_at LIMIT $1",
            )
            .await?;
        let rows = client.query(&statement, &[&limit]).await?;
        Ok(rows.iter().map(|row| (TimelineNo(row.get("owner")), row.get("seq"))).collect())
    }

    /// Tells a timeline of the reactions to the message at `seq`, if it is still to be told: where.
    pub async fn tell_of_reactions(&self, owner: TimelineNo, seq: i64) -> Result<Option<Stretch>> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, owner).await?;
            let claim = tx
                .prepare_cached(&format!(
                    "UPDATE reactions_told SET pending = false, due_at = now() + {COALESCED}
                     WHERE owner = $1 AND seq = $2 AND pending AND due_at <= now()"
                ))
                .await?;
            if tx.execute(&claim, &[&owner.0, &seq]).await? == 0 {
                // Somebody else has. Nothing is committed: the place is given back.
                return Ok(None);
            }
            let find = tx
                .prepare_cached(
                    "SELECT conversation, sender, coalesce(home_seq, seq) AS home_seq,
                         coalesce(generation, 0::smallint) AS generation
                     FROM entries WHERE owner = $1 AND seq = $2 AND kind = $3 AND tombstone IS NULL",
                )
                .await?;
            let message = tx.query_opt(&find, &[&owner.0, &seq, &KIND_MESSAGE]).await?;
            let (message, place) = match (message, place) {
                (Some(message), Some(place)) => (message, place),
                // The message is gone, or who would have to be told.
                (_, place) => {
                    let forget = "DELETE FROM reactions_told WHERE owner = $1 AND seq = $2";
                    let statement = tx.prepare_cached(forget).await?;
                    tx.execute(&statement, &[&owner.0, &seq]).await?;
                    if let Some(place) = place {
                        place.give_back(&tx).await?;
                    }
                    tx.commit().await?;
                    return Ok(None);
                }
            };
            let sender = UserNo(message.get("sender"));
            let message_id = MessageId {
                home: owner.group().map_or(sender.into(), |_| owner),
                seq: message.get("home_seq"),
                generation: message.get("generation"),
            };
            let about =
                About::message(ConversationNo(message.get("conversation")), sender, message_id);
            let told = place.fill_columns(&tx, about, EventColumns::of_reactions(seq)).await?;
            tx.commit().await?;
            Ok(Some(told))
        })
    }

    /// Takes the reactions to one message back that a deleted user has given: whom to tell; `None` when there are
    /// no more.
    pub async fn take_back_next_reactions(&self, user_no: UserNo) -> Result<Option<Reacted>> {
        let client = self.client().await?;
        let next = "SELECT home, home_seq FROM reactions WHERE user_no = $1
                    ORDER BY home, home_seq LIMIT 1";
        let row = client.query_opt(next, &[&user_no.0]).await?;
        drop(client);
        let Some(row) = row else { return Ok(None) };
        // The generation is of no account: the row is of the message that stands there.
        let message_id = MessageId {
            home: TimelineNo(row.get("home")),
            seq: row.get("home_seq"),
            generation: 0,
        };
        let taken = match message_id.home.group() {
            Some(group_no) => self.take_back_in_group(user_no, group_no, message_id).await?,
            None => self.take_back_between(user_no, message_id).await?,
        };
        Ok(Some(taken))
    }

    async fn take_back_between(&self, user_no: UserNo, message_id: MessageId) -> Result<Reacted> {
        transaction!(self, async |tx| {
            let MessageId { home, seq, .. } = message_id;
            let statement = tx
                .prepare_cached(
                    "SELECT coalesce(generation, 0::smallint) AS generation FROM entries
                     WHERE owner = $1 AND seq = $2",
                )
                .await?;
            let row = tx.query_opt(&statement, &[&home.0, &seq]).await?;
            let generation = row.map(|row| row.get("generation")).unwrap_or_default();
            let message_id = MessageId { generation, ..message_id };
            let original = Original::find(&tx, message_id).await?;
            let copies = original.as_ref().map_or(&[][..], |original| &original.copies);
            let owners: BTreeSet<UserNo> = copies.iter().map(|copy| copy.0).collect();
            let mut places = Place::take_each(&tx, &owners).await?;
            let struck = strike_out(&tx, user_no, message_id).await?;
            let mut told = Vec::new();
            if let (Some(original), Some(sender)) = (&original, home.user()) {
                for mut copy in ReactedCopy::all(&tx, original).await? {
                    let mut changed = false;
                    for reaction in &struck {
                        changed |= copy.set(reaction, user_no, false);
                    }
                    if changed {
                        let place = places.remove(&copy.owner);
                        told.extend(copy.tell(&tx, sender, message_id, place).await?);
                    }
                }
            }
            for place in places.into_values() {
                place.give_back(&tx).await?;
            }
            tx.commit().await?;
            Ok(Reacted { told, ..Reacted::unchanged(Vec::new()) })
        })
    }

    async fn take_back_in_group(
        &self,
        user_no: UserNo,
        group_no: GroupNo,
        message_id: MessageId,
    ) -> Result<Reacted> {
        transaction!(self, async |tx| {
            let place = Place::take_if_open(&tx, group_no).await?;
            let struck = strike_out(&tx, user_no, message_id).await?;
            let mut summary = GroupSummary::read(&tx, message_id).await?;
            let Some(summary) = summary.as_mut().filter(|_| !struck.is_empty()) else {
                if let Some(place) = place {
                    place.give_back(&tx).await?;
                }
                tx.commit().await?;
                return Ok(Reacted::unchanged(Vec::new()));
            };
            for reaction in &struck {
                change_count(&mut summary.reactions, reaction, false);
            }
            let message_id = MessageId { generation: summary.generation, ..message_id };
            let told = summary.tell(&tx, group_no, message_id, place).await?;
            tx.commit().await?;
            let group_no = Some(group_no).filter(|_| told);
            Ok(Reacted { group_no, ..Reacted::unchanged(Vec::new()) })
        })
    }
}

/// What stands at the home of a group's message that still says something.
pub(super) struct GroupSummary {
    pub(super) sender: UserNo,
    pub(super) generation: i16,
    pub(super) reactions: Vec<ReactionCount>,
}

impl GroupSummary {
    /// Behind the lock of the group's timeline.
    pub(super) async fn read(tx: &Transaction<'_>, message_id: MessageId) -> Result<Option<Self>> {
        let statement = tx
            .prepare_cached(
                "SELECT sender, coalesce(generation, 0::smallint) AS generation, reactions FROM entries
                 WHERE owner = $1 AND seq = $2 AND kind = $3 AND tombstone IS NULL",
            )
            .await?;
        let MessageId { home, seq, .. } = message_id;
        let row = tx.query_opt(&statement, &[&home.0, &seq, &KIND_MESSAGE]).await?;
        let read = |row: Row| {
            Ok(Self {
                sender: UserNo(row.get("sender")),
                generation: row.get("generation"),
                reactions: read_summary(row.get("reactions"))?,
            })
        };
        row.map(read).transpose()
    }

    /// Writes it down, and tells the group at `place`: whether it is told at once.
    pub(super) async fn tell(
        &self,
        tx: &Transaction<'_>,
        group_no: GroupNo,
        message_id: MessageId,
        place: Option<Place>,
    ) -> Result<bool> {
        let MessageId { home, seq, .. } = message_id;
        write_summary(tx, home, seq, &self.reactions).await?;
        let Some(place) = place else { return Ok(false) };
        if !is_told_at_once(tx, home, seq).await? {
            place.give_back(tx).await?;
            return Ok(false);
        }
        // The row names the message and not its own place: in members' timelines, too.
        let about = About::message(group_no.into(), self.sender, message_id);
        place.fill_columns(tx, about, EventColumns::of_reactions(seq)).await?;
        Ok(true)
    }
}

/// The reactions to a message between two users, in their order, as its owner's copy shows them.
fn each_of(summary: Vec<ReactionCount>, owner: UserNo, peer: UserNo) -> Vec<(String, UserNo)> {
    let mut each = Vec::with_capacity(summary.len());
    for ReactionCount { reaction, count, own } in summary {
        if own {
            each.push((reaction.clone(), owner));
        }
        if count > i32::from(own) {
            each.push((reaction, peer));
        }
    }
    each.sort();
    each
}

/// Counts a reaction once more, or once less: how often it is given then, if it is.
pub(super) fn change_count<'a>(
    reactions: &'a mut Vec<ReactionCount>,
    reaction: &str,
    given: bool,
) -> Option<&'a mut ReactionCount> {
    let at = reactions.iter().position(|count| count.reaction == reaction);
    let at = match (at, given) {
        (Some(at), true) => {
            reactions[at].count += 1;
            at
        }
        (None, true) => {
            reactions.push(ReactionCount { reaction: reaction.to_owned(), count: 1, own: false });
            reactions.len() - 1
        }
        (Some(at), false) if reactions[at].count > 1 => {
            reactions[at].count -= 1;
            at
        }
        (Some(at), false) => {
            reactions.remove(at);
            return None;
        }
        (None, false) => return None,
    };
    reactions.get_mut(at)
}

/// Checks that a message takes one more kind of reaction, if this is one.
///
/// Errors: [`Error::TooManyReactions`].
pub(super) fn require_room(reactions: &[ReactionCount], reaction: &Reaction) -> Result<()> {
    let is_new = reactions.iter().all(|count| count.reaction != reaction.as_str());
    if is_new && reactions.len() >= MOST_REACTIONS {
        return Err(Error::TooManyReactions(MOST_REACTIONS));
    }
    Ok(())
}

/// Marks, of the reactions to a group's message, those of a member.
pub(super) async fn mark_own(
    tx: &Transaction<'_>,
    member: UserNo,
    message_id: MessageId,
    reactions: &mut [ReactionCount],
) -> Result<()> {
    let statement = tx
        .prepare_cached(
            "SELECT reaction FROM reactions WHERE user_no = $1 AND home = $2 AND home_seq = $3",
        )
        .await?;
    let MessageId { home, seq, .. } = message_id;
    let rows = tx.query(&statement, &[&member.0, &home.0, &seq]).await?;
    for count in reactions {
        count.own = rows.iter().any(|row| row.get::<_, &str>(0) == count.reaction);
    }
    Ok(())
}

/// Reads `entries.reactions`.
pub(super) fn read_summary(summary: Option<&str>) -> Result<Vec<ReactionCount>> {
    let Some(summary) = summary else { return Ok(Vec::new()) };
    let counts: Vec<(String, i32, bool)> =
        serde_json::from_str(summary).map_err(Error::internal)?;
    let count = |(reaction, count, own)| ReactionCount { reaction, count, own };
    Ok(counts.into_iter().map(count).collect())
}

/// `entries.reactions` that says this.
pub(super) fn summary_text(reactions: &[ReactionCount]) -> Result<Option<String>> {
    let counts: Vec<(&str, i32, bool)> =
        reactions.iter().map(|count| (count.reaction.as_str(), count.count, count.own)).collect();
    let summary = (!counts.is_empty()).then(|| serde_json::to_string(&counts));
    summary.transpose().map_err(Error::internal)
}

/// Writes `entries.reactions` of the message at `seq`.
async fn write_summary(
    tx: &Transaction<'_>,
    owner: TimelineNo,
    seq: i64,
    reactions: &[ReactionCount],
) -> Result<()> {
    let summary = summary_text(reactions)?;
    let statement = tx
        .prepare_cached("UPDATE entries SET reactions = $3 WHERE owner = $1 AND seq = $2")
        .await?;
    tx.execute(&statement, &[&owner.0, &seq, &summary]).await?;
    Ok(())
}

/// Whether a timeline is told at once that the reactions to the message at `seq` have changed. If not, it is noted
/// that it is to be told.
async fn is_told_at_once(tx: &Transaction<'_>, owner: TimelineNo, seq: i64) -> Result<bool> {
    let statement = tx
        .prepare_cached(&format!(
            "INSERT INTO reactions_told (owner, seq, due_at, pending)
             VALUES ($1, $2, now() + {COALESCED}, false)
             ON CONFLICT (owner, seq) DO UPDATE SET pending = true
             RETURNING pending"
        ))
        .await?;
    Ok(!tx.query_one(&statement, &[&owner.0, &seq]).await?.get::<_, bool>("pending"))
}

/// Strikes out all that a user reacts with to a message: what that was.
async fn strike_out(
    tx: &Transaction<'_>,
    user_no: UserNo,
    message_id: MessageId,
) -> Result<Vec<String>> {
    let statement = tx
        .prepare_cached(
            "DELETE FROM reactions WHERE user_no = $1 AND home = $2 AND home_seq = $3
             RETURNING reaction",
        )
        .await?;
    let MessageId { home, seq, .. } = message_id;
    let rows = tx.query(&statement, &[&user_no.0, &home.0, &seq]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Forgets who reacted to a message that is gone.
pub(super) async fn forget_reactions(tx: &Transaction<'_>, message_id: MessageId) -> Result<()> {
    let statement =
        tx.prepare_cached("DELETE FROM reactions WHERE home = $1 AND home_seq = $2").await?;
    tx.execute(&statement, &[&message_id.home.0, &message_id.seq]).await?;
    Ok(())
}

impl Store {
    /// Reads what entries among the rows tell of reactions, and which of those to groups' messages are the owners'.
    pub(super) async fn read_reactions(&self, rows: &mut [EntryRow]) -> Result<()> {
        let places: HashSet<(i64, i64)> =
            rows.iter().filter_map(EntryRow::reacted).flatten().collect();
        if !places.is_empty() {
            let found = self.reacted(places).await?;
            for row in &mut *rows {
                let Some([own, home]) = row.reacted() else { continue };
                row.show_reactions(found.get(&own), found.get(&home));
            }
        }
        let members: HashSet<(i64, i64, i64)> =
            rows.iter().filter_map(EntryRow::reacted_in_group).collect();
        if members.is_empty() {
            return Ok(());
        }
        let own = self.own_reactions(members).await?;
        for row in rows {
            if let Some(own) = row.reacted_in_group().and_then(|member| own.get(&member)) {
                row.mark_own(own);
            }
        }
        Ok(())
    }

    async fn reacted(
        &self,
        places: HashSet<(i64, i64)>,
    ) -> Result<HashMap<(i64, i64), ReactedRow>> {
        let (owners, seqs): (Vec<i64>, Vec<i64>) = places.into_iter().unzip();
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(&format!(
                    "SELECT e.owner, e.seq, e.tombstone, e.reactions
                     FROM {ENTRIES_AT} WHERE e.kind = $3"
                ))
                .await?;
            Ok(client.query(&statement, &[&owners, &seqs, &KIND_MESSAGE]).await?)
        })?;
        let reacted = |row: &Row| {
            let reactions = read_summary(row.get("reactions"))?;
            let reacted = ReactedRow { tombstone: row.get("tombstone"), reactions };
            Ok(((row.get("owner"), row.get("seq")), reacted))
        };
        rows.iter().map(reacted).collect()
    }

    /// With what members of groups react to messages: by member, group and place.
    async fn own_reactions(
        &self,
        members: HashSet<(i64, i64, i64)>,
    ) -> Result<HashMap<(i64, i64, i64), HashSet<String>>> {
        let members: Vec<(i64, i64, i64)> = members.into_iter().collect();
        let column =
            |read: fn(&(i64, i64, i64)) -> i64| -> Vec<i64> { members.iter().map(read).collect() };
        let (users, homes, seqs) = (column(|m| m.0), column(|m| m.1), column(|m| m.2));
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(
                    // As with `ENTRIES_AT`: by the key, however small the table was when that was planned.
                    "SELECT m.user_no, m.home, m.home_seq, r.reaction
                     FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) m (user_no, home, home_seq)
                     CROSS JOIN LATERAL (
                         SELECT r.reaction FROM reactions r
                         WHERE r.user_no = m.user_no AND r.home = m.home AND r.home_seq = m.home_seq OFFSET 0
                     ) r",
                )
                .await?;
            Ok(client.query(&statement, &[&users, &homes, &seqs]).await?)
        })?;
        let mut own: HashMap<(i64, i64, i64), HashSet<String>> = HashMap::new();
        for row in &rows {
            let member = (row.get("user_no"), row.get("home"), row.get("home_seq"));
            own.entry(member).or_default().insert(row.get("reaction"));
        }
        Ok(own)
    }

    /// With what members of a group react to its messages at these places, by member and place.
    pub(super) async fn reactions_of_members(
        &self,
        group_no: GroupNo,
        seqs: &[i64],
        members: &[i64],
    ) -> Result<HashMap<(i64, i64), HashSet<String>>> {
        let group = TimelineNo::from(group_no).0;
        let each = members.iter().flat_map(|member| seqs.iter().map(|seq| (*member, group, *seq)));
        let own = self.own_reactions(each.collect()).await?;
        Ok(own.into_iter().map(|((member, _, seq), own)| ((member, seq), own)).collect())
    }
}
