//! The model in the contract's messages.

use std::time::Duration;

use imd_proto::v1;
use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::{
    model::{
        Body, Content, Conversation, ConversationSettings, Entry, EntryKind, Error, Expect,
        GroupChanged, HistoryEnd, IfOccupied, InGroup, MemberChanged, Message, Presence, Preview,
        Quote, ReactionCount, Refusal, Retention, Session, SessionEnd, SessionId, Signal,
        SignalContent, TimelineState, Tombstone, Truncated, UserId, UserSettings,
    },
    service::{Event, SendContent, Tokens},
};

pub(super) fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).unwrap_or_default(),
    }
}

/// The time of a timestamp: as protobuf has them, in the years 1 to 9999.
pub(super) fn time(field: &'static str, at: Timestamp) -> Result<OffsetDateTime, Error> {
    let nanoseconds = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok();
    time.filter(|time| time.year() > 0)
        .ok_or_else(|| Error::invalid(field, "is beyond the calendar"))
}

/// [`time`], where a client may leave it out.
pub(super) fn time_if_given(
    field: &'static str,
    at: Option<Timestamp>,
) -> Result<Option<OffsetDateTime>, Error> {
    at.map(|at| time(field, at)).transpose()
}

/// The state that a listing is limited to; `None`, for all, for the number 0. One that the contract does not have is an
/// error, so that it is not taken for 0.
pub(super) fn state_filter<T>(
    number: i32,
    from_number: impl FnOnce(i16) -> Option<T>,
) -> Result<Option<T>, Error> {
    if number == 0 {
        return Ok(None);
    }
    let state = i16::try_from(number).ok().and_then(from_number);
    state.map(Some).ok_or_else(|| Error::invalid("state", "is none of the states"))
}

pub(super) fn tokens(tokens: Tokens) -> v1::Tokens {
    v1::Tokens {
        access_token: tokens.access_token,
        expires_in: i32::try_from(tokens.expires_in.as_secs()).unwrap_or(i32::MAX),
        refresh_token: tokens.refresh_token,
    }
}

pub(super) fn if_occupied(value: v1::IfOccupied) -> IfOccupied {
    match value {
        v1::IfOccupied::Unspecified | v1::IfOccupied::Replace => IfOccupied::Replace,
        v1::IfOccupied::Refuse => IfOccupied::Refuse,
    }
}

/// A session; `current` is the one that asks, if one does.
pub(super) fn session(session: &Session, current: Option<SessionId>) -> v1::Session {
    v1::Session {
        session_id: session.session_id.to_string(),
        terminal: Some(v1::Terminal {
            r#type: session.terminal.terminal_type.clone(),
            device_id: session.terminal.device_id.as_str().to_owned(),
            device_name: session.terminal.device_name.clone(),
        }),
        created_at: Some(timestamp(session.created_at)),
        last_used_at: Some(timestamp(session.last_used_at)),
        online: session.online,
        current: current == Some(session.session_id),
        end: session.end.as_ref().map(session_end),
    }
}

pub(super) fn sessions(sessions: &[Session]) -> Vec<v1::Session> {
    sessions.iter().map(|ended| session(ended, None)).collect()
}

fn session_end(end: &SessionEnd) -> v1::SessionEnd {
    v1::SessionEnd {
        // The numbers are the contract's.
        reason: end.reason as i32,
        by_terminal_type: end.by_terminal_type.clone(),
        by_device_name: end.by_device_name.clone(),
        ended_at: Some(timestamp(end.ended_at)),
        note: end.note.clone(),
    }
}

pub(super) fn entry(entry: &Entry) -> v1::Entry {
    v1::Entry {
        seq: entry.seq(),
        cursor: entry.cursor.to_string(),
        appended_at: Some(timestamp(entry.appended_at)),
        kind: kind(&entry.kind),
    }
}

fn kind(kind: &EntryKind) -> Option<v1::entry::Kind> {
    use v1::entry::Kind;
    Some(match kind {
        EntryKind::Message(message) => Kind::Message(self::message(message)),
        EntryKind::SessionChanged(change) => Kind::SessionChanged(v1::SessionChanged {
            started: change.started.as_ref().map(|started| session(started, None)),
            ended: sessions(&change.ended),
        }),
        EntryKind::ReadMark(mark) => Kind::ReadMark(v1::ReadMark {
            conversation_id: mark.conversation_id.to_string(),
            seq: mark.seq,
        }),
        EntryKind::ReadReceipt(receipt) => Kind::ReadReceipt(v1::ReadReceipt {
            conversation_id: receipt.conversation_id.to_string(),
            seq: receipt.seq,
        }),
        EntryKind::MessageRecalled(recalled) => Kind::MessageRecalled(v1::MessageRecalled {
            message_id: recalled.message_id.to_string(),
            conversation_id: recalled.conversation_id.to_string(),
            seq: recalled.seq,
        }),
        EntryKind::MessageEdited(edited) => Kind::MessageEdited(v1::MessageEdited {
            seq: edited.seq,
            message: Some(message(&edited.message)),
        }),
        EntryKind::ReactionsChanged(changed) => Kind::ReactionsChanged(v1::ReactionsChanged {
            message_id: changed.message_id.to_string(),
            conversation_id: changed.conversation_id.to_string(),
            seq: changed.seq,
            reactions: reactions(&changed.reactions),
        }),
        EntryKind::MessagePinned(pinned) => Kind::MessagePinned(v1::MessagePinned {
            message_id: pinned.message_id.to_string(),
            conversation_id: pinned.conversation_id.to_string(),
            seq: pinned.seq,
            pinned: pinned.change.pinned,
            by: pinned.change.by.to_string(),
        }),
        EntryKind::ScheduledChanged(changed) => Kind::ScheduledChanged(v1::ScheduledChanged {
            client_message_id: changed.client_message_id.to_string(),
            conversation_id: changed.conversation_id.to_string(),
            // The numbers are the contract's.
            state: changed.state as i32,
            send_at: Some(timestamp(changed.send_at)),
            refusal: changed.refusal.as_ref().map(refusal),
        }),
        EntryKind::ProfileChanged(changed) => {
            Kind::ProfileChanged(v1::ProfileChanged { user_id: changed.user_id.to_string() })
        }
        EntryKind::MessageDeleted(deleted) => Kind::MessageDeleted(v1::MessageDeleted {
            message_id: deleted.message_id.to_string(),
            conversation_id: deleted.conversation_id.to_string(),
            seq: deleted.seq,
        }),
        EntryKind::MessagesErased(erased) => Kind::MessagesErased(v1::MessagesErased {
            conversation_id: erased.conversation_id.to_string(),
            sender_id: erased.sender.to_string(),
        }),
        EntryKind::BlockChanged(change) => Kind::BlockChanged(v1::BlockChanged {
            user_id: change.user_id.to_string(),
            blocked: change.blocked,
        }),
        EntryKind::GroupChanged(in_group) => Kind::GroupChanged(group_changed(in_group)),
        EntryKind::MemberChanged(in_group) => Kind::MemberChanged(member_changed(in_group)),
        EntryKind::GroupRequest(request) => Kind::GroupRequest(v1::GroupRequestChanged {
            group_id: request.group_id.to_string(),
            group_name: request.group_name.clone(),
            user_id: request.user_id.to_string(),
            invited_by: optional(request.invited_by.as_ref()),
            note: request.note.clone(),
            state: request.state as i32,
            approved: request.approved,
        }),
        EntryKind::ContactChanged(changed) => Kind::ContactChanged(v1::ContactChanged {
            user_id: changed.user_id.to_string(),
            change: changed.change as i32,
            remark: changed.remark.clone(),
            note: changed.note.clone(),
        }),
        EntryKind::SettingsChanged(settings) => {
            Kind::SettingsChanged(v1::SettingsChanged { settings: Some(self::settings(*settings)) })
        }
        EntryKind::ConversationChanged(changed) => {
            Kind::ConversationChanged(v1::ConversationChanged {
                conversation_id: changed.conversation_id.to_string(),
                settings: Some(conversation_settings(changed.settings)),
            })
        }
        EntryKind::DraftChanged(changed) => Kind::DraftChanged(v1::DraftChanged {
            conversation_id: changed.conversation_id.to_string(),
            text: changed.text.clone(),
        }),
        EntryKind::Unknown => return None,
    })
}

pub(super) fn settings(settings: UserSettings) -> v1::Settings {
    // The numbers are the contract's.
    v1::Settings {
        messages_from: settings.messages_from as i32,
        groups_invite_from: settings.groups_invite_from as i32,
        presence_visible_to: settings.presence_visible_to as i32,
        presence_terminal_types: settings.presence_terminal_types,
        invisible: settings.invisible,
    }
}

/// An id that may be absent: empty then.
fn optional(user_id: Option<&UserId>) -> String {
    user_id.map(ToString::to_string).unwrap_or_default()
}

fn group_changed(InGroup { group_id, change }: &InGroup<GroupChanged>) -> v1::GroupChanged {
    let profile = &change.profile;
    v1::GroupChanged {
        group_id: group_id.to_string(),
        by: optional(change.by.as_ref()),
        name: profile.name.clone(),
        announcement: profile.announcement.clone(),
        join: profile.join as i32,
        history: profile.history,
        muted: profile.muted,
        attributes: profile.attributes.clone(),
        version: change.version,
        dissolved: change.dissolved,
    }
}

fn member_changed(InGroup { group_id, change }: &InGroup<MemberChanged>) -> v1::MemberChanged {
    v1::MemberChanged {
        group_id: group_id.to_string(),
        by: optional(change.by.as_ref()),
        change: change.change as i32,
        user_ids: change.user_ids.iter().map(ToString::to_string).collect(),
        role: change.role.map_or(0, |role| role as i32),
        muted_until: change.muted_until.map(timestamp),
        nickname: change.nickname.clone().unwrap_or_default(),
    }
}

pub(super) fn entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<v1::Entry> {
    entries.into_iter().map(entry).collect()
}

fn tombstone(tombstone: Tombstone) -> v1::Tombstone {
    match tombstone {
        Tombstone::Recalled => v1::Tombstone::Recalled,
        Tombstone::Deleted => v1::Tombstone::Deleted,
        Tombstone::Erased => v1::Tombstone::Erased,
    }
}

fn quote(quote: &Quote) -> v1::Quote {
    let Some(quoted) = &quote.quoted else { return v1::Quote::default() };
    let mut shown = v1::Quote {
        seq: quote.seq,
        message_id: quoted.message_id.to_string(),
        sender_id: quoted.sender.to_string(),
        ..v1::Quote::default()
    };
    match &quoted.preview {
        Preview::Text(text) => shown.text.clone_from(text),
        Preview::Data(content_type) => shown.content_type.clone_from(content_type),
        Preview::Tombstone(gone) => shown.set_tombstone(tombstone(*gone)),
    }
    shown
}

fn message(message: &Message) -> v1::Message {
    let (content, tombstone) = match &message.body {
        Body::Content(content) => (Some(self::content(content)), v1::Tombstone::Unspecified),
        Body::Tombstone(gone) => (None, tombstone(*gone)),
    };
    v1::Message {
        message_id: message.message_id.to_string(),
        conversation_id: message.conversation_id.to_string(),
        sender_id: message.sender.to_string(),
        sender_deleted: message.sender_deleted,
        client_message_id: message.client_message_id.map(|id| id.to_string()).unwrap_or_default(),
        mentions: message.mentions.iter().map(ToString::to_string).collect(),
        mention_all: message.mention_all,
        mentioned: message.mentioned,
        silent: message.notice.silent,
        no_push: message.notice.no_push,
        reply_to: message.reply_to.as_deref().map(quote),
        attachments: super::attachment::list(&message.attachments),
        reactions: reactions(&message.reactions),
        forwarded: message.forwarded.as_ref().map(|from| v1::Forwarded {
            sender_id: from.sender.to_string(),
            sent_at: Some(timestamp(from.sent_at)),
        }),
        edit_no: message.edit.map_or(0, |edit| edit.edit_no),
        edited_at: message.edit.map(|edit| timestamp(edit.edited_at)),
        content,
        tombstone: tombstone.into(),
    }
}

pub(super) fn refusal(refusal: &Refusal) -> v1::Refusal {
    v1::Refusal { code: refusal.code.clone(), message: refusal.message.clone() }
}

pub(super) fn reactions(reactions: &[ReactionCount]) -> Vec<v1::Reaction> {
    let reaction = |ReactionCount { reaction, count, own }: &ReactionCount| v1::Reaction {
        reaction: reaction.clone(),
        count: *count,
        own: *own,
    };
    reactions.iter().map(reaction).collect()
}

pub(super) fn content(content: &Content) -> v1::message::Content {
    match content.content_type() {
        Some(content_type) => v1::message::Content::Data(v1::Data {
            content_type: content_type.to_owned(),
            data: content.body().clone(),
        }),
        None => v1::message::Content::Text(String::from_utf8_lossy(content.body()).into_owned()),
    }
}

/// What a client sends, in whichever of the contract's messages.
pub(super) fn send_content(content: impl Into<v1::message::Content>) -> SendContent {
    match content.into() {
        v1::message::Content::Text(text) => SendContent::Text(text),
        v1::message::Content::Data(v1::Data { content_type, data }) => {
            SendContent::Data { content_type, data }
        }
    }
}

pub(super) fn conversation(conversation: &Conversation) -> v1::Conversation {
    v1::Conversation {
        conversation_id: conversation.conversation_id.to_string(),
        peer_deleted: conversation.peer_deleted,
        last_message: Some(entry(&conversation.last_message)),
        read_seq: conversation.read_seq,
        unread_count: i32::try_from(conversation.unread_count).unwrap_or(i32::MAX),
        peer_read_seq: conversation.peer_read_seq,
        unread_mentions: i32::try_from(conversation.unread_mentions).unwrap_or(i32::MAX),
        settings: Some(conversation_settings(conversation.settings)),
        draft: conversation.draft.clone(),
    }
}

pub(super) fn conversation_settings(settings: ConversationSettings) -> v1::ConversationSettings {
    v1::ConversationSettings {
        pinned: settings.pinned,
        archived: settings.archived,
        marked_unread: settings.marked_unread,
        hidden: settings.hidden,
        muted_until: settings.muted_until.map(timestamp),
    }
}

pub(super) fn state(state: &TimelineState) -> v1::TimelineState {
    v1::TimelineState {
        epoch: state.epoch,
        last_seq: state.last_seq,
        floor: state.floor,
        retention: Some(retention(&state.retention)),
    }
}

pub(super) fn truncated(truncated: &Truncated) -> v1::HistoryTruncated {
    let retention = Some(retention(&truncated.retention));
    v1::HistoryTruncated { from: truncated.from, to: truncated.to, retention }
}

pub(super) fn retention(retention: &Retention) -> v1::Retention {
    v1::Retention {
        tier: retention.tier.clone(),
        overridden: retention.overridden,
        max_age: retention.limits.max_age.map(duration),
        max_messages: retention.limits.max_messages,
        max_bytes: retention.limits.max_bytes,
    }
}

pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

pub(super) fn history_end(end: Option<HistoryEnd>) -> v1::HistoryEnd {
    match end {
        None => v1::HistoryEnd::Unspecified,
        Some(HistoryEnd::Beginning) => v1::HistoryEnd::Beginning,
        Some(HistoryEnd::RetentionLimit) => v1::HistoryEnd::RetentionLimit,
    }
}

pub(super) fn event(event: &Event) -> v1::SubscribeResponse {
    use v1::subscribe_response::Event as Wire;
    let event = match event {
        Event::Opened(opened) => Wire::Opened(state(opened)),
        Event::Entry(next) => Wire::Entry(entry(next)),
        Event::HistoryTruncated(range) => Wire::HistoryTruncated(truncated(range)),
        Event::TimelineReset { epoch } => Wire::TimelineReset(v1::TimelineReset { epoch: *epoch }),
        Event::Signal(sent) => Wire::Signal(signal(sent)),
        Event::Presence(users) => {
            let users = users.iter().map(presence).collect();
            Wire::Presence(v1::PresenceChanged { users })
        }
        Event::Heartbeat => Wire::Heartbeat(v1::Heartbeat {}),
        Event::SessionEnded(end) => Wire::SessionEnded(session_end(end)),
        Event::Reconnect => Wire::Reconnect(v1::Reconnect {}),
    };
    v1::SubscribeResponse { event: Some(event) }
}

pub(super) fn presence(presence: &Presence) -> v1::UserPresence {
    v1::UserPresence {
        user_id: presence.user_id.to_string(),
        // The numbers are the contract's.
        state: presence.state as i32,
        terminal_types: presence.terminal_types.clone(),
        last_seen: presence.last_seen.map(timestamp),
    }
}

fn signal(signal: &Signal) -> v1::Signal {
    use v1::signal::Signal as Wire;
    v1::Signal {
        conversation_id: signal.conversation_id.to_string(),
        sender_id: signal.sender.to_string(),
        expires_in: signal.expires_in().map(duration),
        signal: Some(match &signal.content {
            // The numbers are the contract's.
            SignalContent::Typing(typing) => Wire::Typing(*typing as i32),
            SignalContent::Data(content) => Wire::Data(v1::Data {
                content_type: content.content_type().unwrap_or_default().to_owned(),
                data: content.body().clone(),
            }),
        }),
    }
}

pub(super) fn expect(expect: v1::Expect) -> Expect {
    match expect {
        v1::Expect::Unspecified => Expect::Either,
        v1::Expect::Existing => Expect::Existing,
        v1::Expect::New => Expect::New,
    }
}
