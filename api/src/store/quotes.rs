//! Quotes: messages that answer another one of the same conversation. `entries.target_seq` of such a message is
//! the place of the other one in the same timeline, so that what is shown of it is read where its reader has it:
//! it follows edits and recalls, and whoever has no copy, or may not see it, is shown nothing.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;

use super::{
    AppendQuote, Store,
    entries::{ENTRIES_AT, EntryRow, KIND_MESSAGE},
    reading,
};
use crate::model::{
    Body, ConversationNo, EntryKind, Error, Message, MessageId, Preview, Quote, Quoted, Result,
    Stretch, TimelineNo, Tombstone, UserNo,
};

/// So many bytes hold the text of a preview, whatever its characters are.
const BEGINNING: i32 = 4 * 200;

/// A quoted message as it stands, with numbers in place of ids.
pub(super) struct QuotedRow {
    conversation: i64,
    pub(super) sender: i64,
    home_seq: i64,
    generation: Option<i16>,
    tombstone: Option<i16>,
    content_type: Option<String>,
    beginning: Vec<u8>,
}

impl QuotedRow {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            conversation: row.try_get("conversation")?,
            sender: row.try_get("sender")?,
            home_seq: row.try_get("home_seq")?,
            generation: row.try_get("generation")?,
            tombstone: row.try_get("tombstone")?,
            content_type: row.try_get("content_type")?,
            beginning: row.try_get("beginning")?,
        })
    }

    /// The place in a group's timeline of what a member's reference stands for.
    fn home(&self) -> Option<(i64, i64)> {
        (self.conversation < 0).then_some((self.conversation, self.home_seq))
    }

    pub(super) fn message_id(&self) -> MessageId {
        let home = if self.conversation < 0 { self.conversation } else { self.sender };
        let generation = self.generation.unwrap_or_default();
        MessageId { home: TimelineNo(home), seq: self.home_seq, generation }
    }

    /// What is shown of it; `None` for what the owner has deleted.
    pub(super) fn preview(&self) -> Option<Preview> {
        match self.tombstone {
            None => Some(Preview::of(self.content_type.clone(), &self.beginning)),
            Some(number) => match Tombstone::from_number(number)? {
                Tombstone::Deleted => None,
                gone => Some(Preview::Tombstone(gone)),
            },
        }
    }
}

impl Store {
    /// Reads what the messages among the rows quote, as far as it stands at `floor` or above.
    pub(super) async fn read_quotes(&self, rows: &mut [EntryRow], floor: i64) -> Result<()> {
        let places = rows.iter().filter_map(|row| row.quoted_place(floor));
        let places: HashSet<(i64, i64)> = places.collect();
        if places.is_empty() {
            return Ok(());
        }
        let found = self.quoted(places).await?;
        let homes: HashSet<(i64, i64)> = found
            .iter()
            .filter(|((owner, _), row)| *owner > 0 && row.tombstone.is_none())
            .filter_map(|(_, row)| row.home())
            .collect();
        let homes = if homes.is_empty() { HashMap::new() } else { self.quoted(homes).await? };
        for row in rows {
            let Some(quoted) = row.quoted_place(floor).and_then(|place| found.get(&place)) else {
                continue;
            };
            let said = quoted.home().and_then(|home| homes.get(&home));
            let said = said.filter(|_| quoted.tombstone.is_none()).unwrap_or(quoted);
            row.quote(QuotedRow {
                tombstone: said.tombstone,
                content_type: said.content_type.clone(),
                beginning: said.beginning.clone(),
                ..*quoted
            });
        }
        Ok(())
    }

    async fn quoted(&self, places: HashSet<(i64, i64)>) -> Result<HashMap<(i64, i64), QuotedRow>> {
        let (owners, seqs): (Vec<i64>, Vec<i64>) = places.into_iter().unzip();
        let rows = reading!(self, async |client| {
            let statement = client
                .prepare_cached(&format!(
                    "SELECT e.owner, e.seq, e.conversation, e.sender, e.home_seq, e.generation, e.tombstone,
                         e.content_type, substring(e.body FOR $4) AS beginning
                     FROM {ENTRIES_AT} WHERE e.kind = $3"
                ))
                .await?;
            Ok(client.query(&statement, &[&owners, &seqs, &KIND_MESSAGE, &BEGINNING]).await?)
        })?;
        rows.iter()
            .map(|row| Ok(((row.get("owner"), row.get("seq")), QuotedRow::read(row)?)))
            .collect()
    }

    /// A message of the conversation that the sender has and may see, for one that is to quote it.
    ///
    /// Errors: [`Error::MessageNotFound`].
    pub async fn quote(
        &self,
        sender: UserNo,
        conversation: ConversationNo,
        message_id: MessageId,
    ) -> Result<AppendQuote> {
        let (own_seq, stands_in) = self.visible_copy(sender, message_id).await?;
        if stands_in != conversation {
            return Err(Error::MessageNotFound);
        }
        let other = match (conversation.group(), conversation.peer()) {
            (Some(group_no), _) => Some(Stretch::at(group_no.into(), message_id.seq)),
            (None, Some(peer)) if peer != sender => {
                match self.visible_copy(peer, message_id).await {
                    Ok((seq, _)) => Some(Stretch::at(peer.into(), seq)),
                    // The recipient has deleted it, or may not see it.
                    Err(Error::MessageNotFound) => None,
                    Err(error) => return Err(error),
                }
            }
            (None, _) => None,
        };
        let own = Stretch::at(sender.into(), own_seq);
        let places: Vec<Stretch> = [Some(own), other].into_iter().flatten().collect();
        let entries = self.entries_in(&places, 2).await?;
        let quote = |place: Stretch| {
            let is_there = |owner: TimelineNo| owner == place.owner;
            let (_, entry) = entries.iter().find(|(owner, _)| is_there(*owner))?;
            let EntryKind::Message(message) = &entry.kind else { return None };
            Some(Quote { seq: place.first, quoted: Some(shown(message)?) })
        };
        Ok(AppendQuote {
            own: quote(own).ok_or(Error::MessageNotFound)?,
            other: other.and_then(quote).unwrap_or(Quote::UNSEEN),
        })
    }
}

/// What is shown of a message that still says something.
fn shown(message: &Message) -> Option<Quoted> {
    let Body::Content(content) = &message.body else { return None };
    Some(Quoted {
        message_id: message.message_id,
        sender: message.sender.clone(),
        preview: Preview::of(content.content_type().map(str::to_owned), content.body()),
    })
}
