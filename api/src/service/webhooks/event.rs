//! What webhooks are told, in JSON.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::{
    Map, Value, json,
    value::{RawValue, to_raw_value},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    model::{
        Body, ConversationId, Entry, EntryKind, Error, EventKind, Message, MessageGone,
        MessageIdCipher, Result, Session, TimelineNo, Tombstone, UserId, WebhookFilter,
    },
    store::{BESIDE_ENTRIES, OutboxEvent},
};

/// An event as a webhook is told of it.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    /// The same each time.
    pub(super) id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    timestamp: OffsetDateTime,
    data: Value,
    /// Whose timeline it stands in, where that is a user's.
    #[serde(skip)]
    owner: Option<UserId>,
}

/// Entries by their places.
pub(super) type Entries = HashMap<(TimelineNo, i64), Entry>;

impl Event {
    /// One that says that it is a test.
    pub(super) fn test(id: String) -> Self {
        let timestamp = OffsetDateTime::now_utc();
        Self { id, kind: "webhook.test", timestamp, data: json!({}), owner: None }
    }

    pub(super) fn to_json(&self) -> Result<Box<RawValue>> {
        to_raw_value(self).map_err(Error::internal)
    }

    /// Whether a webhook with this filter is told of it.
    pub(super) fn passes(&self, filter: &WebhookFilter) -> bool {
        let says = |name: &str, id: &str| self.data[name] == *id;
        let has_part = |user_id: &UserId| {
            let id = user_id.as_str();
            let among = self.data["user_ids"].as_array();
            self.owner.as_ref() == Some(user_id)
                || ["sender_id", "recipient_id", "user_id", "by"].iter().any(|name| says(name, id))
                || among.is_some_and(|among| among.iter().any(|member| *member == *id))
        };
        let WebhookFilter { user_ids, group_ids, sender_ids } = filter;
        (user_ids.is_empty() || user_ids.iter().any(has_part))
            && (group_ids.is_empty() || group_ids.iter().any(|id| says("group_id", id.as_str())))
            && (sender_ids.is_empty() || sender_ids.iter().any(|id| says("sender_id", id.as_str())))
    }

    /// What an event says, by the entry of which it is a part; little where that is gone.
    pub(super) fn of(
        event: &OutboxEvent,
        kind: EventKind,
        entries: &Entries,
        owners: &HashMap<TimelineNo, UserId>,
        cipher: &MessageIdCipher,
    ) -> Result<Self> {
        let place = event.place;
        let entry = entries.get(&(place.home, place.seq));
        let owner = owners.get(&place.home);
        let data = match entry.map(|entry| &entry.kind) {
            Some(EntryKind::Message(message)) if kind == EventKind::Undelivered => {
                entry.map(|entry| undelivered(message, entry.appended_at, owner))
            }
            _ if event.part >= BESIDE_ENTRIES => owner.map(|user_id| json!({ "user_id": user_id })),
            Some(EntryKind::MessageRecalled(gone)) => {
                let by_sender = cipher.open(gone.message_id)?.home == place.home;
                Some(recalled(gone, owner, by_sender))
            }
            _ => entry.and_then(|entry| said(event, kind, entry, owner)),
        };
        let data = match (data, kind) {
            (Some(data), _) => data,
            // The home of a message, which is part 0, is what its id names.
            (None, EventKind::MessageSent) if event.part == 0 => {
                json!({ "message_id": cipher.seal(place)?, "gone": "purged" })
            }
            (None, _) => json!({ "gone": "purged" }),
        };
        let id = event_id(event, cipher)?;
        Ok(Self { id, kind: kind.name(), timestamp: event.at, data, owner: owner.cloned() })
    }
}

/// Names an event, and says nothing of who did how much.
pub(super) fn event_id(event: &OutboxEvent, cipher: &MessageIdCipher) -> Result<String> {
    let sealed = cipher.seal(event.place)?;
    let OutboxEvent { part, at, .. } = event;
    Ok(if *part < BESIDE_ENTRIES {
        format!("evt_{sealed}.{part}")
    } else {
        // The same may happen more than once at one place.
        format!("evt_{sealed}.{part}.{}", at.unix_timestamp_nanos() / 1000)
    })
}

/// What an entry says of one of its parts; `None` where it says nothing of the kind.
fn said(
    event: &OutboxEvent,
    kind: EventKind,
    entry: &Entry,
    owner: Option<&UserId>,
) -> Option<Value> {
    let part = usize::try_from(event.part).ok()?;
    Some(match (&entry.kind, kind) {
        (EntryKind::Message(message), EventKind::MessageSent) => {
            let mut data = told_of(message, owner);
            data.insert("sent_at".to_owned(), rfc3339(entry.appended_at));
            data.into()
        }
        (EntryKind::MessageEdited(edited), EventKind::MessageEdited) => {
            told_of(&edited.message, owner).into()
        }
        (EntryKind::SessionChanged(changed), EventKind::SessionEnded) => {
            session(changed.ended.get(part)?, owner)
        }
        (EntryKind::SessionChanged(changed), EventKind::SessionStarted) => {
            session(changed.started.as_ref()?, owner)
        }
        (EntryKind::ReadMark(read), EventKind::Read) => {
            let mut data = Map::new();
            data.insert("user_id".to_owned(), json!(owner?));
            data.insert("conversation_id".to_owned(), json!(read.conversation_id.to_string()));
            data.insert("seq".to_owned(), json!(read.seq));
            data.into()
        }
        (
            EntryKind::GroupChanged(changed),
            EventKind::GroupCreated | EventKind::GroupChanged | EventKind::GroupDissolved,
        ) => {
            let profile = &changed.change.profile;
            json!({
                "group_id": changed.group_id,
                "by": changed.change.by,
                "version": changed.change.version,
                "name": profile.name,
                "announcement": profile.announcement,
                "join": profile.join,
                "history": profile.history,
                "muted": profile.muted,
                "attributes": serde_json::from_str::<Value>(&profile.attributes).unwrap_or_default(),
            })
        }
        (
            EntryKind::MemberChanged(changed),
            EventKind::MemberJoined
            | EventKind::MemberLeft
            | EventKind::MemberRemoved
            | EventKind::MemberChanged,
        ) => {
            let mut data = json!(changed.change);
            data["group_id"] = json!(changed.group_id);
            data
        }
        _ => return None,
    })
}

/// A recall, by the sender's entry of a conversation between users, or else by the recipient's.
fn recalled(gone: &MessageGone, owner: Option<&UserId>, by_sender: bool) -> Value {
    let message_id = gone.message_id;
    match (&gone.conversation_id, by_sender) {
        (ConversationId::Group(group_id), _) => {
            json!({ "message_id": message_id, "group_id": group_id })
        }
        (ConversationId::User(peer), true) => {
            json!({ "message_id": message_id, "sender_id": owner, "recipient_id": peer })
        }
        (ConversationId::User(peer), false) => {
            json!({ "message_id": message_id, "sender_id": peer, "recipient_id": owner })
        }
    }
}

/// A message as its recipient has it, or would.
fn undelivered(message: &Message, sent_at: OffsetDateTime, owner: Option<&UserId>) -> Value {
    let mut data = told_of(message, owner);
    data.insert("user_id".to_owned(), json!(owner));
    data.insert("sent_at".to_owned(), rfc3339(sent_at));
    data.into()
}

/// A message as `owner` has it, its sender or its recipient.
fn told_of(message: &Message, owner: Option<&UserId>) -> Map<String, Value> {
    let mut data = Map::new();
    let mut insert = |name: &str, value: Value| data.insert(name.to_owned(), value);
    insert("message_id", json!(message.message_id));
    insert("sender_id", json!(message.sender));
    match &message.conversation_id {
        ConversationId::Group(group_id) => insert("group_id", json!(group_id)),
        ConversationId::User(peer) if *peer == message.sender => {
            insert("recipient_id", json!(owner))
        }
        ConversationId::User(peer) => insert("recipient_id", json!(peer)),
    };
    if let Some(client_message_id) = message.client_message_id {
        insert("client_message_id", json!(client_message_id));
    }
    match &message.body {
        Body::Tombstone(tombstone) => insert("gone", json!(gone(*tombstone))),
        Body::Content(content) => match content.content_type() {
            None => insert("text", json!(String::from_utf8_lossy(content.body()))),
            Some(content_type) => {
                insert("content_type", json!(content_type));
                insert("data", json!(BASE64_STANDARD.encode(content.body())))
            }
        },
    };
    if !message.mentions.is_empty() {
        insert("mentions", json!(message.mentions));
    }
    for (name, set) in [
        ("mention_all", message.mention_all),
        ("silent", message.notice.silent),
        ("no_push", message.notice.no_push),
    ] {
        if set {
            insert(name, json!(true));
        }
    }
    if !message.attachments.is_empty() {
        insert("attachments", json!(message.attachments));
    }
    if let Some(quote) = &message.reply_to {
        let quoted = quote
            .quoted
            .as_ref()
            .map(|quoted| json!({ "message_id": quoted.message_id, "sender_id": quoted.sender }));
        insert("reply_to", quoted.unwrap_or_else(|| json!({})));
    }
    if let Some(edit) = &message.edit {
        insert("edit_no", json!(edit.edit_no));
        insert("edited_at", rfc3339(edit.edited_at));
    }
    data
}

fn gone(tombstone: Tombstone) -> &'static str {
    match tombstone {
        Tombstone::Recalled => "recalled",
        Tombstone::Deleted => "deleted",
        Tombstone::Erased => "erased",
    }
}

fn session(session: &Session, owner: Option<&UserId>) -> Value {
    let mut data = json!({
        "user_id": owner,
        "session_id": session.session_id,
        "terminal": session.terminal,
        "created_at": rfc3339(session.created_at),
    });
    if let Some(end) = &session.end {
        data["end"] = json!(end);
    }
    data
}

fn rfc3339(at: OffsetDateTime) -> Value {
    // A year that the format has no room for is none that a clock shows.
    at.format(&Rfc3339).map_or(Value::Null, Value::String)
}
