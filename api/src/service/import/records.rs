//! What is imported beside messages, as it is given: what stands with them, and what users show, have set and have begun.

use std::time::Duration;

use time::OffsetDateTime;

use super::{At, Import};
use crate::{
    model::{
        ConversationId, ConversationSettings, EditRecord, Error, Forwarded, MessageMarks,
        MessageName, PinRecord, Reaction, ReactionRecord, Result, ScheduledMessage, UserId, UserNo,
        UserRecord, parse_uuid,
    },
    service::{SendContent, drafts::check_draft},
    store::{ImportConversation, ImportMarks, ImportUser},
};

/// What stands with a message from elsewhere, as it is given.
#[derive(Debug, Default)]
pub struct ImportedMarks {
    /// The message of the same conversation that it quotes.
    pub reply_to: Option<ImportedName>,
    /// Where what it says comes from, if it is forwarded.
    pub forwarded: Option<ImportedForward>,
    /// Its edits, the oldest first.
    pub edits: Vec<ImportedEdit>,
    /// Who reacts to it, by kinds in the order in which they came.
    pub reactions: Vec<ImportedReaction>,
    /// Whether it is pinned.
    pub pinned: Option<ImportedPin>,
}

/// A message by the name that its sender gave it.
#[derive(Debug)]
pub struct ImportedName {
    /// Who sent it.
    pub sender_id: String,
    /// A UUID.
    pub client_message_id: String,
}

/// Where what a message says comes from.
#[derive(Debug)]
pub struct ImportedForward {
    /// Who sent it first.
    pub sender_id: String,
    /// When.
    pub sent_at: Option<OffsetDateTime>,
}

/// An edit.
#[derive(Debug)]
pub struct ImportedEdit {
    /// When it was made.
    pub edited_at: Option<OffsetDateTime>,
    /// What the message said before, if that was kept.
    pub before: Option<SendContent>,
}

/// Who reacts in one way.
#[derive(Debug)]
pub struct ImportedReaction {
    /// In which.
    pub reaction: String,
    /// The users.
    pub user_ids: Vec<String>,
}

/// A pin.
#[derive(Debug)]
pub struct ImportedPin {
    /// Who has pinned it.
    pub pinned_by: String,
    /// When.
    pub pinned_at: Option<OffsetDateTime>,
}

/// What a user shows of itself, has set and has begun, as it is given.
#[derive(Debug)]
pub struct ImportedUser {
    /// Whose.
    pub user_id: String,
    /// What people call the user; may be empty.
    pub name: String,
    /// Where a picture of the user is; empty for none.
    pub avatar_url: String,
    /// A JSON object; empty for one with nothing in it.
    pub attributes: String,
    /// What is set for conversations and begun in them.
    pub conversations: Vec<ImportedConversation>,
    /// The messages that wait to be sent.
    pub scheduled: Vec<ImportedScheduled>,
}

/// What is set for a conversation and begun in it.
#[derive(Debug)]
pub struct ImportedConversation {
    /// Which.
    pub conversation_id: String,
    /// What is set.
    pub settings: ConversationSettings,
    /// What is written so far; empty for no draft.
    pub draft: String,
}

/// A message that waits to be sent.
#[derive(Debug)]
pub struct ImportedScheduled {
    /// The UUID that the client gave it.
    pub client_message_id: String,
    /// When it is to be sent.
    pub send_at: Option<OffsetDateTime>,
    /// To whom.
    pub conversation_id: String,
    /// What it says.
    pub content: Option<SendContent>,
    /// Members whom it mentions, by id; only in groups.
    pub mentions: Vec<String>,
    /// Whether it mentions everybody; only in groups.
    pub mention_all: bool,
}

/// Times are known to the second by the clock that all nodes share.
const ROUNDED: Duration = Duration::from_secs(1);

fn needed(field: &'static str, at: Option<OffsetDateTime>) -> Result<OffsetDateTime> {
    at.ok_or_else(|| Error::invalid(field, "is needed"))
}

impl Import {
    /// Reads what is to stand with a message from `sender` to `to`, which is a user or `None` for a group.
    pub(super) async fn read_marks(
        &mut self,
        given: ImportedMarks,
        sent_at: OffsetDateTime,
        sender: UserNo,
        to: Option<UserNo>,
    ) -> Result<ImportMarks> {
        let marks = self.parse_marks(given)?;
        marks.check(sent_at, self.service.store.now() + ROUNDED)?;
        let mut read = ImportMarks { edits: marks.edits, ..ImportMarks::default() };
        if let Some(name) = marks.reply_to {
            read.reply_to = Some((self.user_no(&name.sender_id).await?, name.client_message_id));
        }
        if let Some(from) = marks.forwarded {
            read.forwarded = Some((self.user_no(&from.sender).await?, from.sent_at));
        }
        let is_there =
            |user_no: UserNo| to.is_none_or(|recipient| [sender, recipient].contains(&user_no));
        let stranger =
            |field| Error::invalid(field, "is of somebody who is not in the conversation");
        for ReactionRecord { reaction, user_ids } in marks.reactions {
            let mut users = Vec::with_capacity(user_ids.len());
            for user_id in &user_ids {
                users.push(self.user_no(user_id).await?);
            }
            if !users.iter().copied().all(is_there) {
                return Err(stranger("reactions"));
            }
            read.reactions.push((reaction, users));
        }
        if let Some(pin) = marks.pinned {
            let by = self.user_no(&pin.pinned_by).await?;
            if !is_there(by) {
                return Err(stranger("pinned"));
            }
            read.pinned = Some((by, pin.pinned_at));
        }
        Ok(read)
    }

    fn parse_marks(&self, given: ImportedMarks) -> Result<MessageMarks> {
        let name = |name: ImportedName| {
            Ok::<_, Error>(MessageName {
                sender_id: UserId::parse("reply_to", &name.sender_id)?,
                client_message_id: parse_uuid("reply_to", &name.client_message_id)?,
            })
        };
        let forward = |from: ImportedForward| {
            Ok::<_, Error>(Forwarded {
                sender: UserId::parse("forwarded", &from.sender_id)?,
                sent_at: needed("forwarded", from.sent_at)?,
            })
        };
        let edit = |edit: ImportedEdit| {
            let before = edit.before.map(|before| self.service.content(Some(before)));
            let edited_at = needed("edits", edit.edited_at)?;
            Ok::<_, Error>(EditRecord { edited_at, before: before.transpose()? })
        };
        let reaction = |record: ImportedReaction| {
            let user_id = |id: &String| UserId::parse("reactions", id);
            Ok::<_, Error>(ReactionRecord {
                reaction: Reaction::parse("reactions", &record.reaction)?,
                user_ids: record.user_ids.iter().map(user_id).collect::<Result<_>>()?,
            })
        };
        let pin = |pin: ImportedPin| {
            Ok::<_, Error>(PinRecord {
                pinned_by: UserId::parse("pinned", &pin.pinned_by)?,
                pinned_at: needed("pinned", pin.pinned_at)?,
            })
        };
        Ok(MessageMarks {
            reply_to: given.reply_to.map(name).transpose()?,
            forwarded: given.forwarded.map(forward).transpose()?,
            edits: given.edits.into_iter().map(edit).collect::<Result<_>>()?,
            reactions: given.reactions.into_iter().map(reaction).collect::<Result<_>>()?,
            pinned: given.pinned.map(pin).transpose()?,
        })
    }

    /// Reads what is to hold for a user.
    pub(super) async fn read_user(&mut self, at: At, given: ImportedUser) -> Result<ImportUser> {
        let attributes =
            if given.attributes.is_empty() { "{}".to_owned() } else { given.attributes };
        let record = UserRecord {
            at: at.sent_at()?,
            user_id: UserId::parse("user_id", &given.user_id)?,
            name: given.name,
            avatar_url: given.avatar_url,
            attributes,
            conversations: Vec::new(),
            scheduled: self.parse_scheduled(given.scheduled)?,
        };
        record.check()?;
        let mut conversations = Vec::with_capacity(given.conversations.len());
        for ImportedConversation { conversation_id, settings, draft } in given.conversations {
            check_draft("draft", &draft)?;
            let conversation = match ConversationId::parse(&conversation_id)? {
                ConversationId::User(user_id) => self.user_no(&user_id).await?.into(),
                ConversationId::Group(group_id) => {
                    self.service.store.group_no(&group_id).await?.into()
                }
            };
            conversations.push(ImportConversation { conversation, settings, draft });
        }
        for message in &record.scheduled {
            if let ConversationId::User(user_id) = &message.conversation_id {
                self.user_no(user_id).await?;
            }
        }
        Ok(ImportUser {
            user_no: self.user_no(&record.user_id).await?,
            user_id: record.user_id,
            at: record.at,
            name: record.name,
            avatar_url: record.avatar_url,
            attributes: record.attributes,
            conversations,
            scheduled: record.scheduled,
        })
    }

    fn parse_scheduled(&self, given: Vec<ImportedScheduled>) -> Result<Vec<ScheduledMessage>> {
        let message = |given: ImportedScheduled| {
            Ok(ScheduledMessage {
                client_message_id: parse_uuid("client_message_id", &given.client_message_id)?,
                conversation_id: ConversationId::parse(&given.conversation_id)?,
                send_at: needed("send_at", given.send_at)?,
                content: self.service.content(given.content)?,
                mentions: given.mentions,
                mention_all: given.mention_all,
                reply_to: String::new(),
                attachments: Vec::new(),
                refusal: None,
            })
        };
        given.into_iter().map(message).collect()
    }
}
