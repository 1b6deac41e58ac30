//! The contract's messages as clients get to see them.

use base64::{Engine, prelude::BASE64_STANDARD};
use imd_proto::v1;
use time::OffsetDateTime;

use crate::support::types::{
    BlockChanged, ContactChanged, Content, ConversationChanged, ConversationSettings, Device,
    DraftChanged, Entry, Event, Forwarded, GroupChanged, GroupRequest, HistoryTruncated, Kind,
    MemberChanged, Message, MessageEdited, MessageGone, MessagePinned, MessagesErased,
    ProfileChanged, Quote, Reaction, ReactionsChanged, ReadUpTo, Refusal, Retention,
    ScheduledChanged, Session, SessionChanged, SessionEnd, Settings, Signal, TimelineState, Tokens,
    UserPresence,
};

pub(super) fn all<Wire, Ours: From<Wire>>(many: Vec<Wire>) -> Vec<Ours> {
    many.into_iter().map(Ours::from).collect()
}

/// A time that must be there.
pub(crate) fn at(timestamp: Option<prost_types::Timestamp>) -> OffsetDateTime {
    let timestamp = timestamp.expect("a time");
    let nanoseconds = i128::from(timestamp.seconds) * 1_000_000_000 + i128::from(timestamp.nanos);
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).expect("a time within the calendar")
}

/// The name of a value as REST has it.
pub(super) fn name(value: &str, prefix: &str) -> String {
    value.strip_prefix(prefix).expect("values start with the name of their enum").to_owned()
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

impl From<v1::Tokens> for Tokens {
    fn from(tokens: v1::Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            expires_in: tokens.expires_in.try_into().expect("a duration"),
            refresh_token: tokens.refresh_token,
        }
    }
}

impl From<v1::Session> for Session {
    fn from(session: v1::Session) -> Self {
        let terminal = session.terminal.expect("a session has a terminal");
        Self {
            session_id: session.session_id,
            terminal: Device {
                terminal_type: terminal.r#type,
                device_id: terminal.device_id,
                device_name: terminal.device_name,
            },
            created_at: at(session.created_at),
            last_used_at: at(session.last_used_at),
            online: session.online,
            current: session.current,
            end: session.end.map(Into::into),
        }
    }
}

impl From<v1::SessionEnd> for SessionEnd {
    fn from(end: v1::SessionEnd) -> Self {
        Self {
            reason: name(end.reason().as_str_name(), "END_REASON_"),
            by_terminal_type: end.by_terminal_type,
            by_device_name: end.by_device_name,
            ended_at: at(end.ended_at),
            note: end.note,
        }
    }
}

impl From<v1::Quote> for Quote {
    fn from(quote: v1::Quote) -> Self {
        let tombstone = name(quote.tombstone().as_str_name(), "TOMBSTONE_");
        let v1::Quote { seq, message_id, sender_id, text, content_type, .. } = quote;
        let tombstone = if tombstone == "UNSPECIFIED" { String::new() } else { tombstone };
        Self { seq, message_id, sender_id, text, content_type, tombstone }
    }
}

impl From<v1::Entry> for Entry {
    fn from(entry: v1::Entry) -> Self {
        let kind = match entry.kind {
            Some(v1::entry::Kind::Message(message)) => Kind::Message(message.into()),
            Some(v1::entry::Kind::SessionChanged(change)) => Kind::SessionChanged(SessionChanged {
                started: change.started.map(Into::into),
                ended: all(change.ended),
            }),
            Some(v1::entry::Kind::ReadMark(v1::ReadMark { conversation_id, seq })) => {
                Kind::ReadMark(ReadUpTo { conversation_id, seq })
            }
            Some(v1::entry::Kind::ReadReceipt(v1::ReadReceipt { conversation_id, seq })) => {
                Kind::ReadReceipt(ReadUpTo { conversation_id, seq })
            }
            Some(v1::entry::Kind::MessageRecalled(gone)) => {
                let v1::MessageRecalled { message_id, conversation_id, seq } = gone;
                Kind::MessageRecalled(MessageGone { message_id, conversation_id, seq })
            }
            Some(v1::entry::Kind::MessageEdited(v1::MessageEdited { seq, message })) => {
                let message = message.expect("a message").into();
                Kind::MessageEdited(MessageEdited { seq, message })
            }
            Some(v1::entry::Kind::ScheduledChanged(changed)) => {
                Kind::ScheduledChanged(changed.into())
            }
            Some(v1::entry::Kind::MessagePinned(pin)) => Kind::MessagePinned(pin.into()),
            Some(v1::entry::Kind::ProfileChanged(v1::ProfileChanged { user_id })) => {
                Kind::ProfileChanged(ProfileChanged { user_id })
            }
            Some(v1::entry::Kind::ReactionsChanged(changed)) => {
                Kind::ReactionsChanged(changed.into())
            }
            Some(v1::entry::Kind::MessageDeleted(gone)) => {
                let v1::MessageDeleted { message_id, conversation_id, seq } = gone;
                Kind::MessageDeleted(MessageGone { message_id, conversation_id, seq })
            }
            Some(v1::entry::Kind::BlockChanged(v1::BlockChanged { user_id, blocked })) => {
                Kind::BlockChanged(BlockChanged { user_id, blocked })
            }
            Some(v1::entry::Kind::MessagesErased(erased)) => {
                let v1::MessagesErased { conversation_id, sender_id } = erased;
                Kind::MessagesErased(MessagesErased { conversation_id, sender_id })
            }
            Some(v1::entry::Kind::GroupChanged(changed)) => Kind::GroupChanged(GroupChanged {
                group_id: changed.group_id,
                by: changed.by,
                name: changed.name,
                version: changed.version,
                dissolved: changed.dissolved,
            }),
            Some(v1::entry::Kind::MemberChanged(changed)) => Kind::MemberChanged(MemberChanged {
                change: name(changed.change().as_str_name(), "MEMBER_CHANGE_"),
                group_id: changed.group_id,
                by: changed.by,
                user_ids: changed.user_ids,
            }),
            Some(v1::entry::Kind::GroupRequest(request)) => Kind::GroupRequest(GroupRequest {
                state: name(request.state().as_str_name(), "GROUP_REQUEST_STATE_"),
                group_id: request.group_id,
                user_id: request.user_id,
                invited_by: request.invited_by,
                approved: request.approved,
            }),
            Some(v1::entry::Kind::ContactChanged(changed)) => {
                Kind::ContactChanged(ContactChanged {
                    change: name(changed.change().as_str_name(), "CONTACT_CHANGE_"),
                    user_id: changed.user_id,
                    remark: changed.remark,
                    note: changed.note,
                })
            }
            Some(v1::entry::Kind::SettingsChanged(changed)) => {
                let settings = changed.settings.expect("settings");
                Kind::SettingsChanged(Settings {
                    messages_from: name(settings.messages_from().as_str_name(), "WHO_MAY_"),
                    groups_invite_from: name(
                        settings.groups_invite_from().as_str_name(),
                        "WHO_MAY_",
                    ),
                    presence_visible_to: name(
                        settings.presence_visible_to().as_str_name(),
                        "WHO_MAY_",
                    ),
                    presence_terminal_types: settings.presence_terminal_types,
                    invisible: settings.invisible,
                })
            }
            Some(v1::entry::Kind::ConversationChanged(changed)) => {
                Kind::ConversationChanged(ConversationChanged {
                    conversation_id: changed.conversation_id,
                    settings: conversation_settings(changed.settings),
                })
            }
            Some(v1::entry::Kind::DraftChanged(v1::DraftChanged { conversation_id, text })) => {
                Kind::DraftChanged(DraftChanged { conversation_id, text })
            }
            None => Kind::Unknown,
        };
        Self { seq: entry.seq, cursor: entry.cursor, appended_at: at(entry.appended_at), kind }
    }
}

impl From<v1::Message> for Message {
    fn from(message: v1::Message) -> Self {
        use v1::message::Content as Wire;
        let tombstone = match message.tombstone() {
            v1::Tombstone::Unspecified => None,
            tombstone => Some(name(tombstone.as_str_name(), "TOMBSTONE_")),
        };
        assert_ne!(message.content.is_some(), tombstone.is_some(), "content or a tombstone");
        let content = message.content.map(|content| match content {
            Wire::Text(text) => Content::Text(text),
            Wire::Data(typed) => {
                Content::Data { content_type: typed.content_type, data: typed.data.into() }
            }
        });
        Self {
            message_id: message.message_id,
            conversation_id: message.conversation_id,
            sender_id: message.sender_id,
            sender_deleted: message.sender_deleted,
            client_message_id: non_empty(message.client_message_id),
            content,
            tombstone,
            mentions: message.mentions,
            mention_all: message.mention_all,
            mentioned: message.mentioned,
            silent: message.silent,
            no_push: message.no_push,
            edit_no: message.edit_no,
            reply_to: message.reply_to.map(Into::into),
            reactions: all(message.reactions),
            attachments: all(message.attachments),
            forwarded: message
                .forwarded
                .map(|from| Forwarded { sender_id: from.sender_id, sent_at: at(from.sent_at) }),
            edited_at: message.edited_at.map(|edited_at| at(Some(edited_at))),
        }
    }
}

impl From<v1::TimelineState> for TimelineState {
    fn from(state: v1::TimelineState) -> Self {
        Self {
            epoch: state.epoch,
            last_seq: state.last_seq,
            floor: state.floor,
            retention: state.retention.expect("what sets the floor").into(),
        }
    }
}

impl From<v1::Retention> for Retention {
    fn from(retention: v1::Retention) -> Self {
        Self {
            tier: retention.tier,
            overridden: retention.overridden,
            max_age_seconds: retention.max_age.map(|age| age.seconds),
            max_messages: retention.max_messages,
            max_bytes: retention.max_bytes,
        }
    }
}

impl From<v1::HistoryTruncated> for HistoryTruncated {
    fn from(truncated: v1::HistoryTruncated) -> Self {
        let retention = truncated.retention.expect("the reason").into();
        Self { from: truncated.from, to: truncated.to, retention }
    }
}

impl From<v1::UserPresence> for UserPresence {
    fn from(user: v1::UserPresence) -> Self {
        Self {
            state: name(user.state().as_str_name(), "PRESENCE_STATE_"),
            last_seen: user.last_seen.map(|seen| at(Some(seen))),
            user_id: user.user_id,
            terminal_types: user.terminal_types,
        }
    }
}

impl From<v1::Signal> for Signal {
    fn from(signal: v1::Signal) -> Self {
        use v1::signal::Signal as Said;
        let of = Self {
            conversation_id: signal.conversation_id,
            sender_id: signal.sender_id,
            expires_in: signal.expires_in.map(|duration| duration.seconds),
            ..Self::default()
        };
        match signal.signal.expect("it says something") {
            Said::Typing(number) => {
                let typing = v1::Typing::try_from(number).expect("a known number");
                Self { typing: Some(name(typing.as_str_name(), "TYPING_")), ..of }
            }
            Said::Data(v1::Data { content_type, data }) => {
                let data = Some(BASE64_STANDARD.encode(data));
                Self { content_type: Some(content_type), data, ..of }
            }
        }
    }
}

impl From<v1::SubscribeResponse> for Event {
    fn from(response: v1::SubscribeResponse) -> Self {
        use v1::subscribe_response::Event as Wire;
        match response.event.expect("an event") {
            Wire::Opened(state) => Self::Opened(state.into()),
            Wire::Entry(entry) => Self::Entry(entry.into()),
            Wire::HistoryTruncated(truncated) => Self::HistoryTruncated(truncated.into()),
            Wire::TimelineReset(reset) => Self::TimelineReset { epoch: reset.epoch },
            Wire::Signal(signal) => Self::Signal(signal.into()),
            Wire::Presence(changed) => Self::Presence(all(changed.users)),
            Wire::Heartbeat(_) => Self::Heartbeat,
            Wire::SessionEnded(end) => Self::SessionEnded(end.into()),
            Wire::Reconnect(_) => Self::Reconnect,
        }
    }
}

pub(crate) fn conversation_settings(
    settings: Option<v1::ConversationSettings>,
) -> ConversationSettings {
    let settings = settings.expect("settings");
    ConversationSettings {
        pinned: settings.pinned,
        archived: settings.archived,
        marked_unread: settings.marked_unread,
        hidden: settings.hidden,
        muted_until: settings.muted_until.map(|until| at(Some(until))),
    }
}

impl From<v1::Reaction> for Reaction {
    fn from(v1::Reaction { reaction, count, own }: v1::Reaction) -> Self {
        Self { reaction, count, own }
    }
}

impl From<v1::ReactionsChanged> for ReactionsChanged {
    fn from(changed: v1::ReactionsChanged) -> Self {
        let v1::ReactionsChanged { message_id, conversation_id, seq, reactions } = changed;
        Self { message_id, conversation_id, seq, reactions: all(reactions) }
    }
}

impl From<v1::MessagePinned> for MessagePinned {
    fn from(pin: v1::MessagePinned) -> Self {
        let v1::MessagePinned { message_id, conversation_id, seq, pinned, by } = pin;
        Self { message_id, conversation_id, seq, pinned, by }
    }
}

impl From<v1::ScheduledChanged> for ScheduledChanged {
    fn from(changed: v1::ScheduledChanged) -> Self {
        let state = name(changed.state().as_str_name(), "SCHEDULED_STATE_");
        let refusal = |v1::Refusal { code, message }| Refusal { code, message };
        Self {
            client_message_id: changed.client_message_id,
            conversation_id: changed.conversation_id,
            state,
            send_at: at(changed.send_at),
            refusal: changed.refusal.map(refusal),
        }
    }
}
