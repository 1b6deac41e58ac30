//! What stands in timelines.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    attachment::Attachment,
    contact::{ContactChanged, Settings},
    content::Content,
    conversation::{ConversationChanged, DraftChanged},
    event::{BlockChanged, MessageDeleted, MessageRecalled, MessagesErased, ReadMark, ReadReceipt},
    group::{GroupChanged, GroupRequestChanged, MemberChanged},
    id::{ConversationId, Cursor, UserId},
    pin::MessagePinned,
    profile::ProfileChanged,
    reaction::{Reaction, ReactionsChanged},
    schedule::ScheduledChanged,
    session::Session,
};
use crate::model;

/// Defines what an entry shows, a row for each kind: the member that says it, and the type of that; both
/// stand for the variant of the model.
macro_rules! kinds {
    ($($member:ident: $shown:ident as $kind:ident,)+) => {
        /// One row of a timeline. `kind` says which of the other members it has.
        #[derive(Debug, Serialize, ToSchema)]
        #[schema(examples(json!(Entry::example())))]
        pub(crate) struct Entry {
            /// The place in the timeline: 1, 2, 3 … without gaps, in the order of commits.
            #[schema(minimum = 1)]
            seq: i64,
            cursor: Cursor,
            /// When it was appended, by the database's clock; never decreases with `seq`.
            #[serde(with = "time::serde::rfc3339")]
            appended_at: OffsetDateTime,
            kind: EntryKind,
            $(
                #[serde(skip_serializing_if = "Option::is_none")]
                #[schema(nullable = false)]
                $member: Option<$shown>,
            )+
        }

        /// What an entry is. The set is open: a client that meets a kind it does not know moves its cursor on
        /// and ignores the entry.
        ///
        /// `message`: sent or received. `session_changed`: a terminal of the user logged in, or sessions ended.
        /// `read_mark`: the user has read a conversation up to a place, on some terminal. `read_receipt`: the peer
        /// has. `message_recalled`: a message was recalled by its sender. `message_edited`: a message was edited by
        /// its sender. `reactions_changed`: the reactions to a message have changed.
        /// `profile_changed`: the profile of the user has changed, or of somebody with whom it has a conversation or is in a group.
        /// `message_pinned`: a message was pinned in its conversation, or is so no longer. `scheduled_changed`: a message
        /// that the user has scheduled was made, changed, taken back, sent or refused. `message_deleted`: the user has deleted a
        /// message for itself, on some terminal. `messages_erased`: the peer's account was deleted, and with it
        /// all that it had sent. `block_changed`: the user has blocked somebody or does so no longer, on some
        /// terminal. `group_changed`: a group of the user's was made, changed or dissolved. `member_changed`:
        /// members of it came, went or changed. `group_request`: somebody asks to join a group, is invited to one,
        /// or is answered. `contact_changed`: a contact was asked, made, changed or removed. `settings_changed`: the
        /// user takes messages or invitations from others than before. `conversation_changed`: the user has set
        /// something for a conversation, on some terminal. `draft_changed`: the user has written on a draft, on some
        /// terminal. `unknown`: something that the answering node does not know, written by a newer one.
        #[derive(Debug, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        enum EntryKind {
            $($kind,)+
            Unknown,
        }

        impl Entry {
            /// One that says nothing.
            fn bare(entry: &model::Entry) -> Self {
                Self {
                    seq: entry.seq(),
                    cursor: entry.cursor.into(),
                    appended_at: entry.appended_at,
                    kind: EntryKind::Unknown,
                    $($member: None,)+
                }
            }

            fn set(&mut self, kind: &model::EntryKind) {
                self.kind = match kind {
                    $(
                        model::EntryKind::$kind(said) => {
                            self.$member = Some(said.into());
                            EntryKind::$kind
                        }
                    )+
                    model::EntryKind::Unknown => EntryKind::Unknown,
                };
            }
        }
    };
}

kinds! {
    message: Message as Message,
    session_changed: SessionChanged as SessionChanged,
    read_mark: ReadMark as ReadMark,
    read_receipt: ReadReceipt as ReadReceipt,
    message_recalled: MessageRecalled as MessageRecalled,
    message_edited: MessageEdited as MessageEdited,
    reactions_changed: ReactionsChanged as ReactionsChanged,
    profile_changed: ProfileChanged as ProfileChanged,
    message_pinned: MessagePinned as MessagePinned,
    scheduled_changed: ScheduledChanged as ScheduledChanged,
    message_deleted: MessageDeleted as MessageDeleted,
    messages_erased: MessagesErased as MessagesErased,
    block_changed: BlockChanged as BlockChanged,
    group_changed: GroupChanged as GroupChanged,
    member_changed: MemberChanged as MemberChanged,
    group_request: GroupRequestChanged as GroupRequest,
    contact_changed: ContactChanged as ContactChanged,
    settings_changed: Settings as SettingsChanged,
    conversation_changed: ConversationChanged as ConversationChanged,
    draft_changed: DraftChanged as DraftChanged,
}

/// A message as one participant sees it.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
struct Message {
    /// Opaque. The same for every participant.
    message_id: String,
    conversation_id: ConversationId,
    sender_id: UserId,
    /// Whether the account of the sender was deleted: show it as such. Seen within seconds on every node.
    /// Absent for false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    sender_deleted: bool,
    /// The id its sender gave it, to match a local echo. Only in the sender's own timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_message_id: Option<Uuid>,
    /// The members whom it mentions; only in groups. Absent for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    mentions: Vec<UserId>,
    /// Whether it mentions everybody; only in groups. Absent for false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    mention_all: bool,
    /// Whether the timeline's owner is among those whom it mentions. Absent for false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    mentioned: bool,
    /// Whether terminals are to show it without a sound. Absent for false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    silent: bool,
    /// Whether terminals without a stream are not to be pushed for it. Absent for false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    no_push: bool,
    /// The message of the same conversation that it answers. Absent where it answers none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reply_to: Option<Quote>,
    /// Where what it says comes from. Absent where it is not forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    forwarded: Option<Forwarded>,
    /// Its attachments, in the order in which its sender named them. Absent for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    attachments: Vec<Attachment>,
    /// How often each kind of reaction is given to it, in the order in which the kinds came. Absent for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reactions: Vec<Reaction>,
    /// How often it has been edited. Absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    edit_no: Option<i32>,
    /// When it was edited last. Absent for never.
    #[serde(skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    #[schema(nullable = false)]
    edited_at: Option<OffsetDateTime>,
    #[serde(flatten)]
    body: Body,
}

/// Where a forwarded message comes from.
#[derive(Debug, Serialize, ToSchema)]
struct Forwarded {
    /// The user who sent first what it says.
    sender_id: UserId,
    /// When, as the user who forwarded it saw it.
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
}

/// A message that another one quotes, as it is now. Where the timeline's owner has no copy of it, or may not see
/// it, no member is there.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Quote {
    /// The message's place in this timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    seq: Option<i64>,
    /// Which message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message_id: Option<String>,
    /// The user who sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sender_id: Option<UserId>,
    /// The first 200 characters of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<String>,
    /// The media type of anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    content_type: Option<String>,
    /// Set when the message is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tombstone: Option<Tombstone>,
}

/// The sender of a message has edited it. The message at `seq` says this from now on.
#[derive(Debug, Serialize, ToSchema)]
struct MessageEdited {
    /// The message's place in this timeline.
    #[schema(minimum = 1)]
    seq: i64,
    /// The message as it is now: it may have been edited again since, or be gone.
    message: Message,
}

/// What was sent; or a tombstone, when the message is gone: it keeps its place and its ids, and nothing of
/// what it said. A client that knows the message shows it no longer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Body {
    Content(Content),
    Gone { tombstone: Tombstone },
}

/// Why a message says nothing any more. The set is open: what is not known here is gone, too.
///
/// `RECALLED`: its sender has recalled it. `DELETED`: the timeline's owner has deleted it; it stands in the
/// timeline alone, and in no conversation. `ERASED`: the account of its sender was deleted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Tombstone {
    Recalled,
    Deleted,
    Erased,
}

/// A change of the set of live sessions: a login with all that it ended, a logout, a kick. One entry
/// for each transaction that changed them.
#[derive(Debug, Serialize, ToSchema)]
struct SessionChanged {
    /// The session that was opened, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    started: Option<Session>,
    /// The sessions that ended.
    ended: Vec<Session>,
}

impl Entry {
    /// One as the documentation of the API shows it.
    pub(super) fn example() -> Value {
        json!({
            "seq": 42,
            "cursor": "1763880000.42",
            "appended_at": "2026-11-23T07:30:00.123456Z",
            "kind": "message",
            "message": {
                "message_id": "AAAAAAAAAAEAAAAAAAAAKg",
                "conversation_id": "user:bob",
                "sender_id": "bob",
                "text": "On my way",
            },
        })
    }

    pub(super) fn list(entries: &[model::Entry]) -> Vec<Self> {
        entries.iter().map(Self::from).collect()
    }
}

impl From<&model::Entry> for Entry {
    fn from(entry: &model::Entry) -> Self {
        let mut shown = Self::bare(entry);
        shown.set(&entry.kind);
        shown
    }
}

impl From<&model::Message> for Message {
    fn from(message: &model::Message) -> Self {
        Self {
            message_id: message.message_id.to_string(),
            conversation_id: (&message.conversation_id).into(),
            sender_id: (&message.sender).into(),
            sender_deleted: message.sender_deleted,
            client_message_id: message.client_message_id,
            mentions: message.mentions.iter().map(Into::into).collect(),
            mention_all: message.mention_all,
            mentioned: message.mentioned,
            silent: message.notice.silent,
            no_push: message.notice.no_push,
            reply_to: message.reply_to.as_deref().map(Into::into),
            forwarded: message
                .forwarded
                .as_ref()
                .map(|from| Forwarded { sender_id: (&from.sender).into(), sent_at: from.sent_at }),
            attachments: Attachment::list(&message.attachments),
            reactions: Reaction::list(&message.reactions),
            edit_no: message.edit.map(|edit| edit.edit_no),
            edited_at: message.edit.map(|edit| edit.edited_at),
            body: (&message.body).into(),
        }
    }
}

impl From<&model::Quote> for Quote {
    fn from(quote: &model::Quote) -> Self {
        let Some(quoted) = &quote.quoted else { return Self::default() };
        let shown = Self {
            seq: Some(quote.seq),
            message_id: Some(quoted.message_id.to_string()),
            sender_id: Some((&quoted.sender).into()),
            ..Self::default()
        };
        match &quoted.preview {
            model::Preview::Text(text) => Self { text: Some(text.clone()), ..shown },
            model::Preview::Data(content_type) => {
                Self { content_type: Some(content_type.clone()), ..shown }
            }
            model::Preview::Tombstone(gone) => Self { tombstone: Some((*gone).into()), ..shown },
        }
    }
}

impl From<model::Tombstone> for Tombstone {
    fn from(tombstone: model::Tombstone) -> Self {
        match tombstone {
            model::Tombstone::Recalled => Self::Recalled,
            model::Tombstone::Deleted => Self::Deleted,
            model::Tombstone::Erased => Self::Erased,
        }
    }
}

impl From<&model::MessageEdited> for MessageEdited {
    fn from(edited: &model::MessageEdited) -> Self {
        Self { seq: edited.seq, message: edited.message.as_ref().into() }
    }
}

impl From<&model::Body> for Body {
    fn from(body: &model::Body) -> Self {
        match body {
            model::Body::Content(content) => Self::Content(content.into()),
            model::Body::Tombstone(tombstone) => Self::Gone { tombstone: (*tombstone).into() },
        }
    }
}

impl From<&model::SessionChanged> for SessionChanged {
    fn from(change: &model::SessionChanged) -> Self {
        Self {
            started: change.started.as_ref().map(|session| Session::new(session, None)),
            ended: Session::list(&change.ended),
        }
    }
}
