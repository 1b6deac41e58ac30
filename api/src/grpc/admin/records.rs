//! What moves beside messages, in the contract's messages.

use imd_proto::v1;
use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::{
    grpc::convert::{self, time, timestamp},
    model::{
        ConversationRecord, ConversationSettings, EditRecord, Error, MessageMarks,
        ScheduledMessage, UserRecord,
    },
    service::{
        ImportedConversation, ImportedEdit, ImportedForward, ImportedMarks, ImportedName,
        ImportedPin, ImportedReaction, ImportedScheduled, ImportedUser,
    },
};

/// Adds what stands with a message to its record.
pub(super) fn add_marks(record: v1::MessageRecord, marks: &MessageMarks) -> v1::MessageRecord {
    v1::MessageRecord {
        reply_to: marks.reply_to.as_ref().map(|name| v1::MessageName {
            sender_id: name.sender_id.to_string(),
            client_message_id: name.client_message_id.to_string(),
        }),
        forwarded: marks.forwarded.as_ref().map(|from| v1::Forwarded {
            sender_id: from.sender.to_string(),
            sent_at: Some(timestamp(from.sent_at)),
        }),
        edits: marks.edits.iter().map(edit).collect(),
        reactions: marks
            .reactions
            .iter()
            .map(|record| v1::ReactionRecord {
                reaction: record.reaction.as_str().to_owned(),
                user_ids: record.user_ids.iter().map(ToString::to_string).collect(),
            })
            .collect(),
        pinned: marks.pinned.as_ref().map(|pin| v1::PinRecord {
            pinned_by: pin.pinned_by.to_string(),
            pinned_at: Some(timestamp(pin.pinned_at)),
        }),
        ..record
    }
}

fn edit(edit: &EditRecord) -> v1::EditRecord {
    v1::EditRecord {
        edited_at: Some(timestamp(edit.edited_at)),
        before: edit.before.as_ref().map(|before| convert::content(before).into()),
    }
}

/// Takes what is to stand with a message out of its record.
pub(super) fn take_marks(record: &mut v1::MessageRecord) -> Result<ImportedMarks, Error> {
    let edit = |edit: v1::EditRecord| {
        let before = edit.before.map(convert::send_content);
        Ok::<_, Error>(ImportedEdit { edited_at: at("edits", edit.edited_at)?, before })
    };
    Ok(ImportedMarks {
        reply_to: record.reply_to.take().map(|name| ImportedName {
            sender_id: name.sender_id,
            client_message_id: name.client_message_id,
        }),
        forwarded: record
            .forwarded
            .take()
            .map(|from| {
                let sent_at = at("forwarded", from.sent_at)?;
                Ok::<_, Error>(ImportedForward { sender_id: from.sender_id, sent_at })
            })
            .transpose()?,
        edits: std::mem::take(&mut record.edits).into_iter().map(edit).collect::<Result<_, _>>()?,
        reactions: std::mem::take(&mut record.reactions)
            .into_iter()
            .map(|record| ImportedReaction { reaction: record.reaction, user_ids: record.user_ids })
            .collect(),
        pinned: record
            .pinned
            .take()
            .map(|pin| {
                let pinned_at = at("pinned", pin.pinned_at)?;
                Ok::<_, Error>(ImportedPin { pinned_by: pin.pinned_by, pinned_at })
            })
            .transpose()?,
    })
}

pub(super) fn user_record(record: UserRecord) -> v1::UserRecord {
    v1::UserRecord {
        sent_at: Some(timestamp(record.at)),
        user_id: record.user_id.to_string(),
        name: record.name,
        avatar_url: record.avatar_url,
        attributes: record.attributes,
        conversations: record.conversations.into_iter().map(conversation).collect(),
        scheduled: record.scheduled.into_iter().map(scheduled).collect(),
    }
}

fn conversation(record: ConversationRecord) -> v1::ConversationRecord {
    let ConversationSettings { pinned, archived, marked_unread, hidden, muted_until } =
        record.settings;
    v1::ConversationRecord {
        conversation_id: record.conversation_id.to_string(),
        pinned,
        archived,
        marked_unread,
        muted_until: muted_until.map(timestamp),
        hidden,
        draft: record.draft,
    }
}

fn scheduled(message: ScheduledMessage) -> v1::ScheduledRecord {
    v1::ScheduledRecord {
        client_message_id: message.client_message_id.to_string(),
        send_at: Some(timestamp(message.send_at)),
        conversation_id: message.conversation_id.to_string(),
        content: Some(convert::content(&message.content).into()),
        mentions: message.mentions,
        mention_all: message.mention_all,
    }
}

pub(super) fn imported_user(record: v1::UserRecord) -> Result<ImportedUser, Error> {
    let conversation = |record: v1::ConversationRecord| {
        let settings = ConversationSettings {
            pinned: record.pinned,
            archived: record.archived,
            marked_unread: record.marked_unread,
            hidden: record.hidden,
            muted_until: at("muted_until", record.muted_until)?,
        };
        let (conversation_id, draft) = (record.conversation_id, record.draft);
        Ok::<_, Error>(ImportedConversation { conversation_id, settings, draft })
    };
    let scheduled = |record: v1::ScheduledRecord| {
        Ok::<_, Error>(ImportedScheduled {
            client_message_id: record.client_message_id,
            send_at: at("send_at", record.send_at)?,
            conversation_id: record.conversation_id,
            content: record.content.map(convert::send_content),
            mentions: record.mentions,
            mention_all: record.mention_all,
        })
    };
    Ok(ImportedUser {
        user_id: record.user_id,
        name: record.name,
        avatar_url: record.avatar_url,
        attributes: record.attributes,
        conversations: record
            .conversations
            .into_iter()
            .map(conversation)
            .collect::<Result<_, _>>()?,
        scheduled: record.scheduled.into_iter().map(scheduled).collect::<Result<_, _>>()?,
    })
}

fn at(field: &'static str, at: Option<Timestamp>) -> Result<Option<OffsetDateTime>, Error> {
    at.map(|at| time(field, at)).transpose()
}
