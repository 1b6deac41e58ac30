//! What stands with exported messages beside what they say.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::{ClientIds, Found, client_message_id};
use crate::{
    model::{
        Content, ConversationId, EditRecord, MessageId, MessageMarks, MessageName, PinRecord,
        Reaction, ReactionRecord, Result, UserId, UserNo,
    },
    store::{Store, reading},
};

/// The most bytes of what one message said before that are exported.
const EARLIER_BYTES: i64 = 256 * 1024;

/// The most reactions to one message that are exported.
const MOST_REACTIONS: i64 = 10_000;

/// A place in a timeline.
pub(super) type Location = (i64, i64);

impl Found {
    fn home(&self) -> Location {
        (self.message_id.home.0, self.message_id.seq)
    }

    fn is_of_group(&self) -> bool {
        self.message_id.home.group().is_some()
    }

    /// Where it is pinned, if it is.
    fn pin(&self, owner: UserNo) -> Location {
        if self.is_of_group() { self.home() } else { (owner.0, self.seq) }
    }
}

/// What stands with the messages of a page, by places.
pub(super) struct Marks {
    edits: HashMap<Location, Vec<EditRecord>>,
    reactions: HashMap<Location, HashMap<String, Vec<UserId>>>,
    pins: HashMap<Location, PinRecord>,
}

impl Marks {
    /// What stands with one of the messages.
    pub(super) fn of(
        &mut self,
        found: &Found,
        (owner, owner_id): (UserNo, &UserId),
        ids: &ClientIds,
    ) -> MessageMarks {
        let name = |(message_id, sender_id): &(MessageId, UserId)| MessageName {
            sender_id: sender_id.clone(),
            client_message_id: client_message_id(*message_id, sender_id, ids),
        };
        MessageMarks {
            reply_to: found.quoted.as_ref().map(name),
            forwarded: found.message.forwarded.clone(),
            edits: self.edits.remove(&found.home()).unwrap_or_default(),
            reactions: self.reactions_to(found, owner_id),
            pinned: self.pins.remove(&found.pin(owner)),
        }
    }

    /// Between users they are as the owner of the timeline sees them.
    fn reactions_to(&mut self, found: &Found, owner_id: &UserId) -> Vec<ReactionRecord> {
        let mut in_group = self.reactions.remove(&found.home()).unwrap_or_default();
        let kinds = found.message.reactions.iter();
        let records = kinds.map(|kind| {
            let user_ids = match &found.message.conversation_id {
                ConversationId::Group(_) => in_group.remove(&kind.reaction).unwrap_or_default(),
                ConversationId::User(peer) => {
                    let own = kind.own.then(|| owner_id.clone());
                    let other = (kind.count > i32::from(kind.own)).then(|| peer.clone());
                    own.into_iter().chain(other).collect()
                }
            };
            ReactionRecord { reaction: Reaction::from_stored(kind.reaction.clone()), user_ids }
        });
        records.filter(|record| !record.user_ids.is_empty()).collect()
    }
}

impl Store {
    /// What stands with these messages of a timeline.
    pub(super) async fn marks_of(&self, owner: UserNo, messages: &[Found]) -> Result<Marks> {
        let homes = |such: fn(&&Found) -> bool| -> Vec<Location> {
            messages.iter().filter(such).map(Found::home).collect()
        };
        let edited = homes(|found| found.message.edit.is_some());
        let reacted = homes(|found| found.is_of_group() && !found.message.reactions.is_empty());
        let pins = messages.iter().map(|found| found.pin(owner)).collect();
        Ok(Marks {
            edits: self.edits_at(edited).await?,
            reactions: self.reactions_at(reacted).await?,
            pins: self.pins_at(pins).await?,
        })
    }

    /// The edits of the messages at these homes, the oldest first.
    async fn edits_at(&self, homes: Vec<Location>) -> Result<HashMap<Location, Vec<EditRecord>>> {
        let mut edits: HashMap<Location, Vec<EditRecord>> = HashMap::new();
        for row in self.rows_at(homes, EDITS, EARLIER_BYTES).await? {
            let body: Option<Vec<u8>> = row.get("body");
            let content =
                |body: Vec<u8>| Content::from_stored(row.get("content_type"), body.into());
            let edit = EditRecord { edited_at: row.get("edited_at"), before: body.map(content) };
            edits.entry(place_of(&row)).or_default().push(edit);
        }
        Ok(edits)
    }

    /// Who reacts how to the messages at these homes.
    async fn reactions_at(
        &self,
        homes: Vec<Location>,
    ) -> Result<HashMap<Location, HashMap<String, Vec<UserId>>>> {
        let rows = self.rows_at(homes, REACTIONS, MOST_REACTIONS).await?;
        let users: HashSet<i64> = rows.iter().map(|row| row.get("user_no")).collect();
        let users = self.known_users(&users).await?;
        let mut reactions: HashMap<Location, HashMap<String, Vec<UserId>>> = HashMap::new();
        for row in &rows {
            let Some(user) = users.get(&row.get::<_, i64>("user_no")) else { continue };
            let kinds = reactions.entry(place_of(row)).or_default();
            kinds.entry(row.get("reaction")).or_default().push(user.user_id.clone());
        }
        Ok(reactions)
    }

    async fn pins_at(&self, places: Vec<Location>) -> Result<HashMap<Location, PinRecord>> {
        let rows = self.rows_at(places, PINS, i64::MAX).await?;
        let users: HashSet<i64> = rows.iter().map(|row| row.get("pinned_by")).collect();
        let users = self.known_users(&users).await?;
        let pin = |row: &Row| {
            let user = users.get(&row.get::<_, i64>("pinned_by"))?;
            let (pinned_by, pinned_at) = (user.user_id.clone(), row.get("pinned_at"));
            Some((place_of(row), PinRecord { pinned_by, pinned_at }))
        };
        Ok(rows.iter().filter_map(pin).collect())
    }

    /// What stands at these places, as `query` reads it.
    async fn rows_at(&self, places: Vec<Location>, query: &str, most: i64) -> Result<Vec<Row>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let (owners, seqs): (Vec<i64>, Vec<i64>) = places.into_iter().unzip();
        reading!(self, async |client| {
            let statement = client.prepare_cached(query).await?;
            Ok(client.query(&statement, &[&owners, &seqs, &most]).await?)
        })
    }
}

/// The texts of the newest come first, because the bound is theirs.
const EDITS: &str = "
    SELECT owner, seq, edited_at, content_type, CASE WHEN bytes <= $3 THEN body END AS body
    FROM (
        SELECT p.owner, p.seq, e.edit_no, e.edited_at, e.content_type, e.body,
            coalesce(sum(octet_length(e.body)) OVER (
                PARTITION BY p.owner, p.seq ORDER BY e.edit_no DESC
            ), 0) AS bytes
        FROM unnest($1::bigint[], $2::bigint[]) p (owner, seq)
        JOIN message_edits e ON e.home = p.owner AND e.home_seq = p.seq
    ) e ORDER BY owner, seq, edit_no";

const REACTIONS: &str = "
    SELECT p.owner, p.seq, r.reaction, r.user_no
    FROM unnest($1::bigint[], $2::bigint[]) p (owner, seq)
    CROSS JOIN LATERAL (
        SELECT reaction, user_no FROM reactions
        WHERE home = p.owner AND home_seq = p.seq ORDER BY reaction, user_no LIMIT $3
    ) r";

const PINS: &str = "
    SELECT p.owner, p.seq, m.pinned_by, m.pinned_at
    FROM unnest($1::bigint[], $2::bigint[]) p (owner, seq)
    JOIN pinned_messages m ON m.owner = p.owner AND m.seq = p.seq LIMIT $3";

fn place_of(row: &Row) -> Location {
    (row.get("owner"), row.get("seq"))
}
