//! What imd speaks about: ids, entries, sessions, cursors, and the one error type. No I/O.

mod address;
mod admin;
mod attachment;
mod block;
mod broadcast;
mod code;
mod contact;
mod content;
mod conversation;
mod cursor;
mod entry;
mod error;
mod group;
mod ids;
mod limit;
mod naming;
mod paging;
mod pin;
mod policy;
mod presence;
mod profile;
mod push;
mod reaction;
mod record;
mod retention;
mod schedule;
mod search;
mod session;
mod signal;
mod webhook;

pub use address::{AddressPrefix, ClientAddress};
pub use admin::Role;
pub use attachment::{
    Attachment, AttachmentRequest, AttachmentState, MOST_ATTACHMENTS, StoredAttachment, hex,
};
pub use block::{BlockedUser, IfBlocked, MOST_BLOCKS};
pub use broadcast::{Broadcast, BroadcastAudience, BroadcastState};
pub use code::{Audience, Code};
pub use contact::{
    ChangeSettings, Contact, ContactChange, ContactChanged, ContactState, MOST_CONTACTS,
    SettingChange, UserSettings, WhoMay, check_contact_lines,
};
pub use content::{Content, ContentHash};
pub use conversation::{
    ChangeConversation, Conversation, ConversationChanged, ConversationFilter,
    ConversationSettings, DraftChanged, MOST_UNREAD,
};
pub use cursor::{Cursor, Start};
pub use entry::{
    BlockChanged, Body, Edit, Entry, EntryKind, Forwarded, InGroup, Kind, Mentions, Message,
    MessageEdited, MessageGone, MessagesErased, Notice, Preview, Quote, Quoted, ReadUpTo,
    SessionChanged, Stretch, TimelineState, Tombstone, Truncated,
};
pub use error::{Class, Error, Result, Source};
pub use group::{
    Group, GroupChanged, GroupMember, GroupProfile, GroupRequest, GroupRequestChanged, GroupRole,
    JoinRule, MAX_ANNOUNCEMENT_LENGTH, MAX_ATTRIBUTES_BYTES, MAX_GROUP_NAME_LENGTH,
    MAX_JOIN_HISTORY, MemberChange, MemberChanged, RequestState, check_group_line,
};
pub use ids::{
    ConversationId, ConversationNo, DeviceId, GroupId, GroupNo, MessageId, MessageIdCipher,
    SealedMessageId, SessionId, TimelineNo, UserId, UserNo,
};
pub(crate) use ids::{check_id, may_begin_an_id, parse_uuid};
pub use limit::Limit;
pub use naming::{Expect, nearest};
pub use paging::{HistoryEnd, ListPlace, Page, PageSize};
pub use pin::{MOST_PINS, MessagePinned, PinChange, PinnedMessage};
pub use policy::{PolicyKind, PolicyOnFailure};
pub use presence::{
    MOST_WATCHED, Presence, PresenceDefaults, PresenceState, Relation, Whereabouts,
};
pub use profile::{ChangeProfile, MAX_AVATAR_URL_BYTES, Profile, ProfileChanged};
pub use push::{PushContent, PushProvider, PushResult, PushTarget, QuietHours, WebPushTarget};
pub use reaction::{MOST_REACTIONS, Reaction, ReactionCount, ReactionOf, ReactionsChanged};
pub use record::{
    ConversationRecord, EditRecord, MessageMarks, MessageName, PinRecord, ReactionRecord,
    UserRecord,
};
pub use retention::{Retention, RetentionLimits, Tier};
pub use schedule::{MOST_SCHEDULED, Refusal, ScheduledChanged, ScheduledMessage, ScheduledState};
pub use search::{
    FoundMessage, Lexeme, SEARCHED_BYTES, SearchPlace, SearchQuery, SnippetPart, lexemes_of,
};
pub use session::{
    EndReason, IfOccupied, MAX_SESSION_LIMIT, Occupant, RECENT_USE, Session, SessionEnd, Terminal,
    TerminalType, UserState, is_display_name, is_line, make_room,
};
pub use signal::{MAX_SIGNAL_BYTES, Signal, SignalContent, TYPING_EXPIRES, Typing};
pub use webhook::{EventKind, WebhookFilter, WebhookState};
