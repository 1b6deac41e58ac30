//! Timelines and what stands in them.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Attachment, ContactChanged, Content, ConversationChanged, ConversationId, Cursor, DraftChanged,
    GroupChanged, GroupId, GroupRequestChanged, MemberChanged, MessagePinned, ProfileChanged,
    ReactionCount, ReactionsChanged, Retention, ScheduledChanged, SealedMessageId, Session,
    SessionId, TimelineNo, UserId, UserNo, UserSettings,
};

/// One row of a timeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The place and the stamp of its numbering.
    pub cursor: Cursor,
    /// When it was appended; never decreases with `seq`.
    #[serde(with = "time::serde::rfc3339")]
    pub appended_at: OffsetDateTime,
    /// What it is.
    pub kind: EntryKind,
}

impl Entry {
    /// The place in the timeline: 1, 2, 3 …
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.cursor.seq
    }
}

/// Defines the kinds of entries, one a row: its number in `entries.kind`, which is never given to another
/// kind, its name, and what such an entry says.
macro_rules! entry_kinds {
    ($($(#[doc = $doc:literal])+ $number:literal => $kind:ident($content:ty),)+) => {
        /// What an entry is.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub enum EntryKind {
            $($(#[doc = $doc])+ $kind($content),)+
            /// Something that a newer node has written.
            Unknown,
        }

        /// The kinds of entries by themselves. Numbered as in the database.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind = $number,)+
        }

        impl Kind {
            /// The kind with this number; `None` for one that a newer node has written.
            #[must_use]
            pub fn from_number(number: i16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)+
                    _ => None,
                }
            }
        }

        impl EntryKind {
            /// Its kind; `None` for something that a newer node has written.
            #[must_use]
            pub fn kind(&self) -> Option<Kind> {
                match self {
                    $(Self::$kind(_) => Some(Kind::$kind),)+
                    Self::Unknown => None,
                }
            }
        }
    };
}

entry_kinds! {
    /// A message, sent or received.
    1 => Message(Message),
    /// Sessions of the owner began or ended.
    2 => SessionChanged(SessionChanged),
    /// The owner has read a conversation up to a place.
    3 => ReadMark(ReadUpTo),
    /// The peer has.
    4 => ReadReceipt(ReadUpTo),
    /// The sender of a message has recalled it.
    5 => MessageRecalled(MessageGone),
    /// The owner has deleted a message for itself.
    6 => MessageDeleted(MessageGone),
    /// An account was deleted, and every message that it sent to the conversation before this entry erased.
    7 => MessagesErased(MessagesErased),
    /// The owner blocks a user, or blocks it no longer.
    8 => BlockChanged(BlockChanged),
    /// A group was made or changed.
    9 => GroupChanged(InGroup<GroupChanged>),
    /// Members of a group came, went or changed.
    10 => MemberChanged(InGroup<MemberChanged>),
    /// Somebody asks to join a group, is invited to one, or is answered.
    11 => GroupRequest(GroupRequestChanged),
    /// A contact of the owner was made, changed or removed.
    12 => ContactChanged(ContactChanged),
    /// The owner takes something from others than before.
    13 => SettingsChanged(UserSettings),
    /// The sender of a message has edited it.
    14 => MessageEdited(MessageEdited),
    /// The reactions to a message have changed.
    15 => ReactionsChanged(ReactionsChanged),
    /// The profile of the owner has changed, or of somebody with whom it has a conversation or is in a group.
    16 => ProfileChanged(ProfileChanged),
    /// A message was pinned in its conversation, or is so no longer.
    17 => MessagePinned(MessagePinned),
    /// A message that the owner has scheduled was made, changed, taken back, sent or refused.
    18 => ScheduledChanged(ScheduledChanged),
    /// The owner has pinned, muted, put away … a conversation, or does so no longer.
    20 => ConversationChanged(ConversationChanged),
    /// What the owner has begun to write in a conversation.
    21 => DraftChanged(DraftChanged),
}

/// An account was deleted, and its messages erased.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessagesErased {
    /// In which conversation.
    pub conversation_id: ConversationId,
    /// Whose messages: the peer's, or a member's of the group.
    pub sender: UserId,
}

/// A change of a block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlockChanged {
    /// Which user.
    pub user_id: UserId,
    /// Whether it is blocked from now on.
    pub blocked: bool,
}

/// A change of a group, as its members see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InGroup<T> {
    /// Which group.
    pub group_id: GroupId,
    /// What changed.
    pub change: T,
}

/// Whom a message to a group mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Members, by number and id.
    pub users: Vec<(UserNo, UserId)>,
    /// Whether everybody is mentioned.
    pub all: bool,
}

impl Mentions {
    /// The members' ids.
    #[must_use]
    pub fn user_ids(&self) -> Vec<UserId> {
        self.users.iter().map(|(_, user_id)| user_id.clone()).collect()
    }

    /// The members' numbers as PostgreSQL writes an array; `None` for none.
    #[must_use]
    pub fn array(&self) -> Option<String> {
        let numbers: Vec<String> = self.users.iter().map(|(no, _)| no.0.to_string()).collect();
        (!numbers.is_empty()).then(|| format!("{{{}}}", numbers.join(",")))
    }
}

/// How terminals are to make a message known. By default as any other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Without a sound.
    pub silent: bool,
    /// Without a push to terminals that have no stream.
    pub no_push: bool,
}

/// How far a conversation has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadUpTo {
    /// As the owner of the timeline sees it.
    pub conversation_id: ConversationId,
    /// The place of the last message read, in the same timeline.
    pub seq: i64,
}

/// A message that is gone from where it stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageGone {
    /// Which message.
    pub message_id: SealedMessageId,
    /// As the owner of the timeline sees it.
    pub conversation_id: ConversationId,
    /// The place of the owner's copy, in the same timeline; 0 where the owner never had one, as of what
    /// a group said before the owner joined.
    pub seq: i64,
}

/// A message that was edited.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageEdited {
    /// The place of the owner's copy, in the same timeline.
    pub seq: i64,
    /// The message as it is now: it may have been edited once more since, or be gone.
    pub message: Box<Message>,
}

/// The last edit of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// How often the message has been edited: 1 after the first time.
    pub edit_no: i32,
    /// When it was edited last.
    #[serde(with = "time::serde::rfc3339")]
    pub edited_at: OffsetDateTime,
}

/// A message as the owner of a timeline sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// The same for every participant.
    pub message_id: SealedMessageId,
    /// The other side, as the owner sees it.
    pub conversation_id: ConversationId,
    /// Who sent it.
    pub sender: UserId,
    /// Whether the account of the sender is known to be deleted.
    pub sender_deleted: bool,
    /// The id its sender gave it; only in the sender's own timeline.
    pub client_message_id: Option<Uuid>,
    /// The members whom it mentions; only in groups.
    pub mentions: Vec<UserId>,
    /// Whether it mentions everybody; only in groups.
    pub mention_all: bool,
    /// Whether the owner of the timeline is among those whom it mentions.
    pub mentioned: bool,
    /// How terminals are to make it known.
    #[serde(default)]
    pub notice: Notice,
    /// The message of the same conversation that it answers, if it quotes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Box<Quote>>,
    /// Where what it says comes from, if it is forwarded; `None` for a tombstone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    /// Its attachments; none for a tombstone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// How often each kind of reaction is given to it, in the order in which the kinds came; none for a tombstone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ReactionCount>,
    /// Its last edit; `None` for one that says what it said when it was sent, and for a tombstone.
    #[serde(default)]
    pub edit: Option<Edit>,
    /// What it says, or why it says nothing any more.
    pub body: Body,
}

/// Where a forwarded message comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// Who sent first what it says.
    pub sender: UserId,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub sent_at: OffsetDateTime,
}

/// A message that another one quotes, as the owner of the timeline sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The place of the owner's copy, in the same timeline; 0 where the owner has none, or may see it no longer.
    pub seq: i64,
    /// What is shown of it; `None` where the owner has no copy, or may see it no longer.
    pub quoted: Option<Quoted>,
}

impl Quote {
    /// One that the owner of the timeline cannot see.
    pub const UNSEEN: Self = Self { seq: 0, quoted: None };
}

/// What is shown of a quoted message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quoted {
    /// Which message.
    pub message_id: SealedMessageId,
    /// Who sent it.
    pub sender: UserId,
    /// The beginning of its text, the type of its data without the bytes, or why it says nothing any more.
    pub preview: Preview,
}

/// The beginning of what a message says. It follows edits, and the end of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preview {
    /// At most [`Preview::MOST`] characters of a text.
    Text(String),
    /// The content type of anything else.
    Data(String),
    /// It is gone.
    Tombstone(Tombstone),
}

impl Preview {
    /// The most characters that are shown of a text.
    pub const MOST: usize = 200;

    /// The preview of a content, of which `beginning` is enough bytes for [`Preview::MOST`] characters, or all.
    #[must_use]
    pub fn of(content_type: Option<String>, beginning: &[u8]) -> Self {
        if let Some(content_type) = content_type {
            return Self::Data(content_type);
        }
        let valid = beginning.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        Self::Text(valid.chars().take(Self::MOST).collect())
    }
}

/// What stands in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// What was sent.
    Content(Content),
    /// Nothing any more: the message keeps its place and its ids alone.
    Tombstone(Tombstone),
}

/// Why a message says nothing any more. Numbered as in the contract and in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tombstone {
    /// Its sender has recalled it.
    Recalled = 1,
    /// The owner of the timeline has deleted it for itself.
    Deleted = 2,
    /// The account of its sender was deleted.
    Erased = 3,
}

impl Tombstone {
    const ALL: [Self; 3] = [Self::Recalled, Self::Deleted, Self::Erased];

    /// The tombstone with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|tombstone| *tombstone as i16 == number)
    }
}

/// The sessions that one transaction began and ended. Stored as JSON: fields are added, never
/// renamed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SessionChanged {
    /// The session that was opened, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Session>,
    /// The sessions that ended, each with its `end`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Session>,
}

impl SessionChanged {
    /// The end of the session, if this change ended it.
    #[must_use]
    pub fn end_of(&self, session_id: SessionId) -> Option<&super::SessionEnd> {
        self.ended.iter().find(|session| session.session_id == session_id)?.end.as_ref()
    }
}

/// How far a timeline reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineState {
    /// The stamp of the numbering.
    pub epoch: i64,
    /// The newest entry's seq; 0 when there is none.
    pub last_seq: i64,
    /// The lowest seq that may be seen; `last_seq + 1` when none may.
    pub floor: i64,
    /// What sets the floor.
    pub retention: Retention,
}

/// A stretch of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Which timeline.
    pub owner: TimelineNo,
    /// The first seq.
    pub first: i64,
    /// The last seq.
    pub last: i64,
}

impl Stretch {
    /// That of one entry.
    #[must_use]
    pub fn at(owner: TimelineNo, seq: i64) -> Self {
        Self { owner, first: seq, last: seq }
    }
}

/// A range of seqs that can no longer be had, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncated {
    /// The first seq that is gone.
    pub from: i64,
    /// The last seq that is gone.
    pub to: i64,
    /// What holds, which mostly is the reason.
    pub retention: Retention,
}
