//! What moves from one system to another beside what messages say: what stands with them, and what users show of
//! themselves, have set and have begun.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    ChangeProfile, Content, ConversationId, ConversationSettings, Error, Forwarded, MOST_REACTIONS,
    MOST_SCHEDULED, Reaction, Result, ScheduledMessage, UserId,
};

/// The most edits of a message that can be imported.
const MOST_EDITS: usize = 1000;

/// A message by the name that its sender gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageName {
    /// Who sent it.
    pub sender_id: UserId,
    /// The id that its sender gave it, or one that stands for it.
    pub client_message_id: Uuid,
}

/// An edit, and what it replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditRecord {
    /// When it was made.
    pub edited_at: OffsetDateTime,
    /// What the message said before; `None` where that was not kept.
    pub before: Option<Content>,
}

/// Who reacts to a message in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionRecord {
    /// In which way.
    pub reaction: Reaction,
    /// The users, each once.
    pub user_ids: Vec<UserId>,
}

/// A pin of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRecord {
    /// Who has pinned it.
    pub pinned_by: UserId,
    /// When.
    pub pinned_at: OffsetDateTime,
}

/// What stands with a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageMarks {
    /// The message of the same conversation that it quotes.
    pub reply_to: Option<MessageName>,
    /// Where what it says comes from, if it is forwarded.
    pub forwarded: Option<Forwarded>,
    /// Its edits, the oldest first.
    pub edits: Vec<EditRecord>,
    /// Who reacts to it, by kinds in the order in which they came.
    pub reactions: Vec<ReactionRecord>,
    /// Whether it is pinned.
    pub pinned: Option<PinRecord>,
}

impl MessageMarks {
    /// Checks what is to stand with a message that was sent at this time.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] by the field's name.
    pub fn check(&self, sent_at: OffsetDateTime, now: OffsetDateTime) -> Result<()> {
        if self.forwarded.as_ref().is_some_and(|from| from.sent_at > sent_at) {
            return Err(Error::invalid("forwarded", "was sent after the message itself"));
        }
        if self.edits.len() > MOST_EDITS {
            return Err(Error::invalid("edits", format!("are more than {MOST_EDITS}")));
        }
        let times = self.edits.iter().map(|edit| edit.edited_at);
        let mut last = sent_at;
        for at in times {
            if at < last || at > now {
                return Err(Error::invalid("edits", "are not in the order of times up to now"));
            }
            last = at;
        }
        if self.pinned.as_ref().is_some_and(|pin| pin.pinned_at < sent_at || pin.pinned_at > now) {
            return Err(Error::invalid("pinned", "was not between the message and now"));
        }
        self.check_reactions()
    }

    fn check_reactions(&self) -> Result<()> {
        if self.reactions.len() > MOST_REACTIONS {
            let reason = format!("are of more than {MOST_REACTIONS} kinds");
            return Err(Error::invalid("reactions", reason));
        }
        for (at, record) in self.reactions.iter().enumerate() {
            let again = |other: &ReactionRecord| other.reaction == record.reaction;
            let mut users: Vec<&UserId> = record.user_ids.iter().collect();
            users.sort();
            users.dedup();
            if self.reactions[..at].iter().any(again) || users.len() != record.user_ids.len() {
                return Err(Error::invalid("reactions", "say the same twice"));
            }
            if users.is_empty() {
                return Err(Error::invalid("reactions", "are of nobody"));
            }
        }
        Ok(())
    }
}

/// What a user has set for a conversation and begun in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRecord {
    /// Which conversation.
    pub conversation_id: ConversationId,
    /// What is set.
    pub settings: ConversationSettings,
    /// What is written so far; empty for no draft.
    pub draft: String,
}

/// What a user shows of itself, and has set and begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// When it held.
    pub at: OffsetDateTime,
    /// Whose.
    pub user_id: UserId,
    /// What people call the user; may be empty.
    pub name: String,
    /// Where a picture of the user is; empty for none.
    pub avatar_url: String,
    /// A JSON object of the customer's own, `{}` for none.
    pub attributes: String,
    /// The conversations for which something is set or begun.
    pub conversations: Vec<ConversationRecord>,
    /// The messages that wait to be sent, but for those that were refused.
    pub scheduled: Vec<ScheduledMessage>,
}

impl UserRecord {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.name.is_empty()
            && self.avatar_url.is_empty()
            && self.attributes == "{}"
            && self.conversations.is_empty()
            && self.scheduled.is_empty()
    }

    /// Checks what is to hold for a user.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] by the field's name.
    pub fn check(&self) -> Result<()> {
        let shown = ChangeProfile {
            name: Some(self.name.clone()),
            avatar_url: Some(self.avatar_url.clone()),
            attributes: Some(self.attributes.clone()),
            version: None,
        };
        shown.check()?;
        if i64::try_from(self.scheduled.len()).is_ok_and(|count| count <= MOST_SCHEDULED) {
            return Ok(());
        }
        Err(Error::invalid("scheduled", format!("are more than {MOST_SCHEDULED}")))
    }
}
