//! The JSON of REST: `snake_case`, RFC 3339 times, 64-bit integers as numbers. Members that a request
//! leaves out count as empty, as in proto3; the service says which must not be.

pub(super) mod admin;
mod attachment;
mod block;
pub(super) mod broadcast;
mod contact;
mod content;
mod conversation;
mod edit;
mod entry;
mod event;
mod group;
mod id;
mod info;
mod login;
mod pin;
mod presence;
mod profile;
mod push;
mod reaction;
mod read;
mod schedule;
mod search;
mod send;
pub(super) mod send_as;
mod session;
mod signal;
mod timeline;

pub(super) use attachment::{
    Attachment, AttachmentLink, CreateAttachmentRequest, CreatedAttachment,
};
pub(super) use block::BlockedUserList;
pub(super) use contact::{
    Contact, ContactList, ContactState, SetContactRequest, Settings, UpdateSettingsRequest,
};
pub(super) use conversation::{
    ConversationList, ConversationSettings, DraftOfConversation, HistoryPage, SetDraftRequest,
    UpdateConversationRequest, UpdateOfConversation,
};
pub(super) use edit::{EditList, EditMessageRequest, EditMessageResponse, EditOfMessage};
pub(super) use entry::Entry;
pub(super) use group::{
    AnswerGroupRequest, CreateGroupRequest, Group, GroupList, GroupMemberList, GroupRequestList,
    JoinGroupRequest, Membership, ReaderList, UpdateGroupMemberRequest, UpdateGroupRequest,
};
pub(super) use id::UserId;
pub(super) use info::{Health, Info};
pub(super) use login::{LoginRequest, LoginResponse, RefreshRequest, Tokens};
pub(super) use pin::{PinRequest, PinnedMessageList};
pub(super) use presence::{PresenceList, SetIdleRequest};
pub(super) use profile::{Profile, ProfileList, UpdateProfileRequest};
pub(super) use push::{PushState, QuietHours, SetPushRequest};
pub(super) use reaction::{ReactRequest, Reactions, UserReactionList};
pub(super) use read::{MarkReadRequest, MarkReadResponse};
pub(super) use schedule::{
    CancelScheduledRequest, ScheduleRequest, ScheduleResponse, ScheduledMessage,
    ScheduledMessageList, UpdateOfScheduled, UpdateScheduledRequest,
};
pub(super) use search::FoundMessageList;
pub(super) use send::{SendRequest, SendResponse};
pub(super) use session::{SessionEnd, SessionList};
pub(super) use signal::{Signal, SignalRequest};
pub(super) use timeline::{
    AcknowledgeRequest, HistoryTruncated, Reconnect, TimelinePage, TimelineReset, TimelineState,
};
