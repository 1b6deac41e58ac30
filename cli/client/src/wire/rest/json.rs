//! The JSON of REST as the contract's messages.

use std::{collections::HashMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use imd_proto::v1::{
    self, EndReason, Tombstone, entry::Kind, message::Content, subscribe_response::Event,
};
use prost_types::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};

use crate::error::{Answer, Error, session_ended};

#[derive(Deserialize)]
pub(super) struct Info {
    pub(super) heartbeat_interval: i32,
}

#[derive(Deserialize)]
pub(super) struct Tokens {
    access_token: String,
    expires_in: i32,
    refresh_token: String,
}

#[derive(Deserialize)]
pub(super) struct LoginResponse {
    #[serde(flatten)]
    tokens: Tokens,
    session: Session,
    replaced: Vec<Session>,
}

#[derive(Deserialize)]
struct Session {
    session_id: String,
    terminal: Terminal,
    created_at: String,
    last_used_at: String,
    online: bool,
    current: bool,
    end: Option<SessionEnd>,
}

#[derive(Deserialize)]
struct Terminal {
    r#type: String,
    device_id: String,
    device_name: String,
}

#[derive(Deserialize)]
struct PresenceList {
    users: Vec<UserPresence>,
}

#[derive(Deserialize)]
struct UserPresence {
    user_id: String,
    state: String,
    terminal_types: Vec<String>,
    last_seen: Option<String>,
}

#[derive(Deserialize)]
struct Signal {
    conversation_id: String,
    sender_id: String,
    typing: Option<String>,
    expires_in: Option<i64>,
    content_type: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct SessionEnd {
    reason: String,
    by_terminal_type: String,
    by_device_name: String,
    ended_at: String,
    note: String,
}

#[derive(Deserialize)]
pub(crate) struct SendResponse {
    message_id: String,
    seq: i64,
    cursor: String,
    conversation_id: String,
    sent_at: String,
    duplicate: bool,
}

#[derive(Deserialize)]
struct Entry {
    seq: i64,
    cursor: String,
    appended_at: String,
    message: Option<Message>,
    session_changed: Option<SessionChanged>,
    read_mark: Option<ReadUpTo>,
    read_receipt: Option<ReadUpTo>,
    message_recalled: Option<MessageGone>,
    message_edited: Option<MessageEdited>,
    reactions_changed: Option<ReactionsChanged>,
    profile_changed: Option<ProfileChanged>,
    message_pinned: Option<MessagePinned>,
    scheduled_changed: Option<ScheduledChanged>,
    message_deleted: Option<MessageGone>,
    messages_erased: Option<MessagesErased>,
    block_changed: Option<BlockChanged>,
    group_changed: Option<GroupChanged>,
    member_changed: Option<MemberChanged>,
    group_request: Option<GroupRequestChanged>,
    contact_changed: Option<ContactChanged>,
    settings_changed: Option<Settings>,
    conversation_changed: Option<ConversationChanged>,
    draft_changed: Option<DraftChanged>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
struct Message {
    message_id: String,
    conversation_id: String,
    sender_id: String,
    #[serde(default)]
    sender_deleted: bool,
    #[serde(default)]
    client_message_id: String,
    text: Option<String>,
    content_type: Option<String>,
    data: Option<String>,
    #[serde(default)]
    tombstone: String,
    #[serde(default)]
    mentions: Vec<String>,
    #[serde(default)]
    mention_all: bool,
    #[serde(default)]
    mentioned: bool,
    #[serde(default)]
    silent: bool,
    #[serde(default)]
    no_push: bool,
    #[serde(default)]
    edit_no: i32,
    edited_at: Option<String>,
    reply_to: Option<Quote>,
    #[serde(default)]
    reactions: Vec<Reaction>,
    forwarded: Option<Forwarded>,
    #[serde(default)]
    attachments: Vec<Attachment>,
}

#[derive(Deserialize)]
struct Forwarded {
    sender_id: String,
    sent_at: String,
}

impl From<Forwarded> for v1::Forwarded {
    fn from(Forwarded { sender_id, sent_at }: Forwarded) -> Self {
        Self { sender_id, sent_at: timestamp(&sent_at) }
    }
}

#[derive(Deserialize)]
struct Reaction {
    reaction: String,
    count: i32,
    #[serde(default)]
    own: bool,
}

impl From<Reaction> for v1::Reaction {
    fn from(Reaction { reaction, count, own }: Reaction) -> Self {
        Self { reaction, count, own }
    }
}

#[derive(Deserialize)]
struct ScheduledChanged {
    client_message_id: String,
    conversation_id: String,
    state: String,
    send_at: String,
    refusal: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

impl From<ScheduledChanged> for v1::ScheduledChanged {
    fn from(changed: ScheduledChanged) -> Self {
        let state = format!("SCHEDULED_STATE_{}", changed.state);
        let refusal = |Refusal { code, message }| v1::Refusal { code, message };
        Self {
            client_message_id: changed.client_message_id,
            conversation_id: changed.conversation_id,
            state: v1::ScheduledState::from_str_name(&state).unwrap_or_default().into(),
            send_at: timestamp(&changed.send_at),
            refusal: changed.refusal.map(refusal),
        }
    }
}

#[derive(Deserialize)]
struct Attachment {
    attachment_id: String,
    file_name: String,
    content_type: String,
    size: i64,
    #[serde(default)]
    sha256: String,
}

impl From<Attachment> for v1::Attachment {
    fn from(attachment: Attachment) -> Self {
        let Attachment { attachment_id, file_name, content_type, size, sha256 } = attachment;
        Self { attachment_id, file_name, content_type, size, sha256 }
    }
}

#[derive(Deserialize)]
struct MessagePinned {
    message_id: String,
    conversation_id: String,
    seq: i64,
    pinned: bool,
    by: String,
}

#[derive(Deserialize)]
struct ProfileChanged {
    user_id: String,
}

#[derive(Deserialize)]
struct ReactionsChanged {
    message_id: String,
    conversation_id: String,
    seq: i64,
    reactions: Vec<Reaction>,
}

#[derive(Deserialize)]
struct Quote {
    #[serde(default)]
    seq: i64,
    #[serde(default)]
    message_id: String,
    #[serde(default)]
    sender_id: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    tombstone: String,
}

#[derive(Deserialize)]
struct MessageEdited {
    seq: i64,
    message: Message,
}

#[derive(Deserialize)]
struct ReadUpTo {
    conversation_id: String,
    seq: i64,
}

#[derive(Deserialize)]
struct MessageGone {
    message_id: String,
    conversation_id: String,
    seq: i64,
}

#[derive(Deserialize)]
struct MessagesErased {
    conversation_id: String,
    sender_id: String,
}

#[derive(Deserialize)]
struct GroupChanged {
    group_id: String,
    #[serde(default)]
    by: String,
    name: String,
    announcement: String,
    join: String,
    history: i32,
    muted: bool,
    attributes: serde_json::Value,
    version: i64,
    dissolved: bool,
}

#[derive(Deserialize)]
struct MemberChanged {
    group_id: String,
    #[serde(default)]
    by: String,
    change: String,
    user_ids: Vec<String>,
    #[serde(default)]
    role: String,
    #[serde(default)]
    muted_until: String,
    #[serde(default)]
    nickname: String,
}

#[derive(Deserialize)]
struct GroupRequestChanged {
    group_id: String,
    group_name: String,
    user_id: String,
    #[serde(default)]
    invited_by: String,
    note: String,
    state: String,
    #[serde(default)]
    approved: bool,
}

#[derive(Deserialize)]
struct ContactChanged {
    user_id: String,
    change: String,
    remark: String,
    note: String,
}

#[derive(Deserialize)]
struct Settings {
    messages_from: String,
    groups_invite_from: String,
    presence_visible_to: String,
    presence_terminal_types: bool,
    invisible: bool,
}

#[derive(Deserialize)]
struct ConversationChanged {
    conversation_id: String,
    settings: ConversationSettings,
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
struct ConversationSettings {
    pinned: bool,
    archived: bool,
    marked_unread: bool,
    hidden: bool,
    #[serde(default)]
    muted_until: String,
}

#[derive(Deserialize)]
struct DraftChanged {
    conversation_id: String,
    text: String,
}

#[derive(Deserialize)]
struct BlockChanged {
    user_id: String,
    blocked: bool,
}

#[derive(Deserialize)]
struct SessionChanged {
    started: Option<Session>,
    ended: Vec<Session>,
}

#[derive(Deserialize)]
struct TimelineState {
    epoch: i64,
    last_seq: i64,
    floor: i64,
    retention: Option<Retention>,
}

#[derive(Deserialize)]
struct Retention {
    tier: String,
    overridden: bool,
    max_age_seconds: Option<i64>,
    max_messages: Option<i64>,
    #[serde(default)]
    max_bytes: Option<i64>,
}

#[derive(Deserialize)]
struct HistoryTruncated {
    from: i64,
    to: i64,
    retention: Option<Retention>,
}

#[derive(Deserialize)]
struct TimelineReset {
    epoch: i64,
}

/// An error, with the members that its code has beside these.
#[derive(Deserialize)]
pub(crate) struct Problem {
    code: String,
    #[serde(default)]
    detail: String,
    retry_after: Option<u64>,
    #[serde(flatten)]
    members: HashMap<String, serde_json::Value>,
}

/// Bytes as JSON carries them.
pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// An event of a stream; none when its name is not known.
pub(crate) fn event(name: &str, data: &str) -> Result<Option<Event>, Error> {
    Ok(Some(match name {
        "opened" => Event::Opened(parse::<TimelineState>(data)?.into()),
        "entry" => Event::Entry(parse::<Entry>(data)?.into()),
        "history_truncated" => {
            let HistoryTruncated { from, to, retention } = parse(data)?;
            let retention = retention.map(Into::into);
            Event::HistoryTruncated(v1::HistoryTruncated { from, to, retention })
        }
        "timeline_reset" => {
            let TimelineReset { epoch } = parse(data)?;
            Event::TimelineReset(v1::TimelineReset { epoch })
        }
        "signal" => Event::Signal(parse::<Signal>(data)?.try_into()?),
        "presence" => Event::Presence(parse::<PresenceList>(data)?.into()),
        "session_ended" => Event::SessionEnded(parse::<SessionEnd>(data)?.into()),
        "reconnect" => Event::Reconnect(v1::Reconnect {}),
        _ => return Ok(None),
    }))
}

fn parse<T: DeserializeOwned>(data: &str) -> Result<T, Error> {
    serde_json::from_str(data).map_err(|_| Error::Contract("an event of another shape"))
}

fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

impl From<PresenceList> for v1::PresenceChanged {
    fn from(list: PresenceList) -> Self {
        let user = |user: UserPresence| {
            let state = format!("PRESENCE_STATE_{}", user.state);
            v1::UserPresence {
                user_id: user.user_id,
                state: v1::PresenceState::from_str_name(&state).unwrap_or_default().into(),
                terminal_types: user.terminal_types,
                last_seen: user.last_seen.as_deref().and_then(timestamp),
            }
        };
        Self { users: list.users.into_iter().map(user).collect() }
    }
}

impl TryFrom<Signal> for v1::Signal {
    type Error = Error;

    fn try_from(signal: Signal) -> Result<Self, Error> {
        use v1::signal::Signal as Said;
        let said = match (signal.typing, signal.content_type, signal.data) {
            (Some(typing), ..) => {
                let typing = v1::Typing::from_str_name(&format!("TYPING_{typing}"));
                Some(Said::Typing(typing.unwrap_or_default().into()))
            }
            (None, Some(content_type), Some(data)) => {
                let data = BASE64_STANDARD.decode(data);
                let data = data.map_err(|_| Error::Contract("data that is not base64"))?.into();
                Some(Said::Data(v1::Data { content_type, data }))
            }
            (None, ..) => None,
        };
        Ok(Self {
            conversation_id: signal.conversation_id,
            sender_id: signal.sender_id,
            signal: said,
            expires_in: signal
                .expires_in
                .map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        })
    }
}

impl From<Tokens> for v1::Tokens {
    fn from(tokens: Tokens) -> Self {
        let Tokens { access_token, expires_in, refresh_token } = tokens;
        Self { access_token, expires_in, refresh_token }
    }
}

impl From<LoginResponse> for v1::LoginResponse {
    fn from(login: LoginResponse) -> Self {
        Self {
            tokens: Some(login.tokens.into()),
            session: Some(login.session.into()),
            replaced: login.replaced.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Session> for v1::Session {
    fn from(session: Session) -> Self {
        let Terminal { r#type, device_id, device_name } = session.terminal;
        Self {
            session_id: session.session_id,
            terminal: Some(v1::Terminal { r#type, device_id, device_name }),
            created_at: timestamp(&session.created_at),
            last_used_at: timestamp(&session.last_used_at),
            online: session.online,
            current: session.current,
            end: session.end.map(Into::into),
        }
    }
}

impl From<SessionEnd> for v1::SessionEnd {
    fn from(end: SessionEnd) -> Self {
        let reason = EndReason::from_str_name(&format!("END_REASON_{}", end.reason));
        Self {
            reason: reason.unwrap_or_default().into(),
            by_terminal_type: end.by_terminal_type,
            by_device_name: end.by_device_name,
            ended_at: timestamp(&end.ended_at),
            note: end.note,
        }
    }
}

impl From<SendResponse> for v1::SendResponse {
    fn from(sent: SendResponse) -> Self {
        Self {
            message_id: sent.message_id,
            seq: sent.seq,
            cursor: sent.cursor,
            conversation_id: sent.conversation_id,
            sent_at: timestamp(&sent.sent_at),
            duplicate: sent.duplicate,
        }
    }
}

impl From<TimelineState> for v1::TimelineState {
    fn from(state: TimelineState) -> Self {
        let TimelineState { epoch, last_seq, floor, retention } = state;
        Self { epoch, last_seq, floor, retention: retention.map(Into::into) }
    }
}

impl From<Retention> for v1::Retention {
    fn from(retention: Retention) -> Self {
        let Retention { tier, overridden, max_age_seconds, max_messages, max_bytes } = retention;
        let max_age = max_age_seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
        Self { tier, overridden, max_age, max_messages, max_bytes }
    }
}

impl From<Entry> for v1::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            seq: entry.seq,
            cursor: entry.cursor.clone(),
            appended_at: timestamp(&entry.appended_at),
            kind: entry.kind(),
        }
    }
}

/// One that is not known here stands for the first: what matters is that there is one.
fn tombstone(name: &str) -> Tombstone {
    match name {
        "" => Tombstone::Unspecified,
        name => {
            Tombstone::from_str_name(&format!("TOMBSTONE_{name}")).unwrap_or(Tombstone::Recalled)
        }
    }
}

impl From<SessionChanged> for v1::SessionChanged {
    fn from(changed: SessionChanged) -> Self {
        Self {
            started: changed.started.map(Into::into),
            ended: changed.ended.into_iter().map(Into::into).collect(),
        }
    }
}

impl Entry {
    /// What it is; none when that is not known here.
    fn kind(self) -> Option<Kind> {
        if let Some(message) = self.message {
            return Some(Kind::Message(message.into()));
        }
        if let Some(changed) = self.session_changed {
            return Some(Kind::SessionChanged(changed.into()));
        }
        if let Some(ReadUpTo { conversation_id, seq }) = self.read_mark {
            return Some(Kind::ReadMark(v1::ReadMark { conversation_id, seq }));
        }
        if let Some(ReadUpTo { conversation_id, seq }) = self.read_receipt {
            return Some(Kind::ReadReceipt(v1::ReadReceipt { conversation_id, seq }));
        }
        if let Some(MessageGone { message_id, conversation_id, seq }) = self.message_recalled {
            let recalled = v1::MessageRecalled { message_id, conversation_id, seq };
            return Some(Kind::MessageRecalled(recalled));
        }
        if let Some(MessageEdited { seq, message }) = self.message_edited {
            let message = Some(message.into());
            return Some(Kind::MessageEdited(v1::MessageEdited { seq, message }));
        }
        if let Some(ReactionsChanged { message_id, conversation_id, seq, reactions }) =
            self.reactions_changed
        {
            let reactions = reactions.into_iter().map(Into::into).collect();
            let changed = v1::ReactionsChanged { message_id, conversation_id, seq, reactions };
            return Some(Kind::ReactionsChanged(changed));
        }
        if let Some(changed) = self.scheduled_changed {
            return Some(Kind::ScheduledChanged(changed.into()));
        }
        if let Some(MessagePinned { message_id, conversation_id, seq, pinned, by }) =
            self.message_pinned
        {
            let pinned = v1::MessagePinned { message_id, conversation_id, seq, pinned, by };
            return Some(Kind::MessagePinned(pinned));
        }
        if let Some(ProfileChanged { user_id }) = self.profile_changed {
            return Some(Kind::ProfileChanged(v1::ProfileChanged { user_id }));
        }
        if let Some(MessageGone { message_id, conversation_id, seq }) = self.message_deleted {
            let deleted = v1::MessageDeleted { message_id, conversation_id, seq };
            return Some(Kind::MessageDeleted(deleted));
        }
        if let Some(MessagesErased { conversation_id, sender_id }) = self.messages_erased {
            let erased = v1::MessagesErased { conversation_id, sender_id };
            return Some(Kind::MessagesErased(erased));
        }
        if let Some(BlockChanged { user_id, blocked }) = self.block_changed {
            return Some(Kind::BlockChanged(v1::BlockChanged { user_id, blocked }));
        }
        if let Some(changed) = self.group_changed {
            return Some(Kind::GroupChanged(changed.into()));
        }
        if let Some(changed) = self.member_changed {
            return Some(Kind::MemberChanged(changed.into()));
        }
        if let Some(request) = self.group_request {
            return Some(Kind::GroupRequest(request.into()));
        }
        if let Some(changed) = self.contact_changed {
            return Some(Kind::ContactChanged(changed.into()));
        }
        if let Some(changed) = self.settings_changed {
            return Some(Kind::SettingsChanged(changed.into()));
        }
        if let Some(changed) = self.conversation_changed {
            return Some(Kind::ConversationChanged(changed.into()));
        }
        let DraftChanged { conversation_id, text } = self.draft_changed?;
        Some(Kind::DraftChanged(v1::DraftChanged { conversation_id, text }))
    }
}

impl From<GroupChanged> for v1::GroupChanged {
    fn from(changed: GroupChanged) -> Self {
        let join = v1::JoinRule::from_str_name(&format!("JOIN_RULE_{}", changed.join));
        Self {
            group_id: changed.group_id,
            by: changed.by,
            name: changed.name,
            announcement: changed.announcement,
            join: join.unwrap_or_default().into(),
            history: changed.history,
            muted: changed.muted,
            attributes: changed.attributes.to_string(),
            version: changed.version,
            dissolved: changed.dissolved,
        }
    }
}

impl From<ContactChanged> for v1::ContactChanged {
    fn from(changed: ContactChanged) -> Self {
        let change =
            v1::ContactChange::from_str_name(&format!("CONTACT_CHANGE_{}", changed.change));
        Self {
            user_id: changed.user_id,
            change: change.unwrap_or_default().into(),
            remark: changed.remark,
            note: changed.note,
        }
    }
}

impl From<Settings> for v1::SettingsChanged {
    fn from(settings: Settings) -> Self {
        let who = |name| v1::WhoMay::from_str_name(&format!("WHO_MAY_{name}")).unwrap_or_default();
        Self {
            settings: Some(v1::Settings {
                messages_from: who(settings.messages_from).into(),
                groups_invite_from: who(settings.groups_invite_from).into(),
                presence_visible_to: who(settings.presence_visible_to).into(),
                presence_terminal_types: settings.presence_terminal_types,
                invisible: settings.invisible,
            }),
        }
    }
}

impl From<ConversationChanged> for v1::ConversationChanged {
    fn from(changed: ConversationChanged) -> Self {
        let settings = changed.settings;
        Self {
            conversation_id: changed.conversation_id,
            settings: Some(v1::ConversationSettings {
                pinned: settings.pinned,
                archived: settings.archived,
                marked_unread: settings.marked_unread,
                hidden: settings.hidden,
                muted_until: timestamp(&settings.muted_until),
            }),
        }
    }
}

impl From<MemberChanged> for v1::MemberChanged {
    fn from(changed: MemberChanged) -> Self {
        let change = v1::MemberChange::from_str_name(&format!("MEMBER_CHANGE_{}", changed.change));
        let role = v1::GroupRole::from_str_name(&format!("GROUP_ROLE_{}", changed.role));
        Self {
            group_id: changed.group_id,
            by: changed.by,
            change: change.unwrap_or_default().into(),
            user_ids: changed.user_ids,
            role: role.unwrap_or_default().into(),
            muted_until: timestamp(&changed.muted_until),
            nickname: changed.nickname,
        }
    }
}

impl From<GroupRequestChanged> for v1::GroupRequestChanged {
    fn from(request: GroupRequestChanged) -> Self {
        let state = format!("GROUP_REQUEST_STATE_{}", request.state);
        Self {
            group_id: request.group_id,
            group_name: request.group_name,
            user_id: request.user_id,
            invited_by: request.invited_by,
            note: request.note,
            approved: request.approved,
            state: v1::GroupRequestState::from_str_name(&state).unwrap_or_default().into(),
        }
    }
}

impl From<Quote> for v1::Quote {
    fn from(quote: Quote) -> Self {
        let Quote { seq, message_id, sender_id, text, content_type, tombstone: gone } = quote;
        let tombstone = tombstone(&gone).into();
        Self { seq, message_id, sender_id, text, content_type, tombstone }
    }
}

impl From<Message> for v1::Message {
    fn from(message: Message) -> Self {
        let data = message.data.and_then(|data| BASE64_STANDARD.decode(data).ok());
        let typed = data.map(|data| {
            let content_type = message.content_type.unwrap_or_default();
            Content::Data(v1::Data { content_type, data: data.into() })
        });
        Self {
            message_id: message.message_id,
            conversation_id: message.conversation_id,
            sender_id: message.sender_id,
            sender_deleted: message.sender_deleted,
            client_message_id: message.client_message_id,
            content: message.text.map(Content::Text).or(typed),
            tombstone: tombstone(&message.tombstone).into(),
            mentions: message.mentions,
            mention_all: message.mention_all,
            mentioned: message.mentioned,
            silent: message.silent,
            no_push: message.no_push,
            edit_no: message.edit_no,
            reply_to: message.reply_to.map(Into::into),
            reactions: message.reactions.into_iter().map(Into::into).collect(),
            forwarded: message.forwarded.map(Into::into),
            attachments: message.attachments.into_iter().map(Into::into).collect(),
            edited_at: message.edited_at.as_deref().and_then(timestamp),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        if problem.code == "session_ended" {
            let said = |name: &str| problem.members.get(name).and_then(|v| v.as_str());
            return session_ended(|name| said(name).unwrap_or_default().to_owned());
        }
        let retry_after = problem.retry_after.map(Duration::from_secs);
        Self::Answer(Box::new(Answer { code: problem.code, retry_after, message: problem.detail }))
    }
}
