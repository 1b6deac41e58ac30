//! Traces in the contract's messages.

use imd_proto::v1::{self, trace_message_request::Message};

use super::sessions;
use crate::{
    grpc::convert::timestamp,
    model::Tombstone,
    service::{CopyState, MessageTrace, TracedCopy, TracedMessage, TracedTerminal},
};

pub(super) fn decode(message: Message) -> TracedMessage {
    match message {
        Message::MessageId(id) => TracedMessage::Id(id),
        Message::ClientMessage(named) => TracedMessage::ByClient {
            sender_id: named.sender_id,
            client_message_id: named.client_message_id,
        },
    }
}

pub(super) fn encode(trace: &MessageTrace) -> v1::TraceMessageResponse {
    v1::TraceMessageResponse {
        message_id: trace.message_id.to_string(),
        sender_id: trace.sender_id.to_string(),
        client_message_id: trace.client_message_id.map(|id| id.to_string()).unwrap_or_default(),
        copies: trace.copies.iter().map(copy).collect(),
    }
}

fn copy(traced: &TracedCopy) -> v1::MessageCopy {
    let state = match traced.copy.state {
        CopyState::There => v1::CopyState::There,
        CopyState::Gone(Tombstone::Recalled) => v1::CopyState::Recalled,
        CopyState::Gone(Tombstone::Deleted) => v1::CopyState::Deleted,
        CopyState::Gone(Tombstone::Erased) => v1::CopyState::Erased,
        CopyState::Purged => v1::CopyState::Purged,
        CopyState::OwnerDeleted => v1::CopyState::OwnerDeleted,
    };
    v1::MessageCopy {
        user_id: traced.user_id.to_string(),
        seq: traced.copy.seq,
        state: state.into(),
        appended_at: traced.copy.appended_at.map(timestamp),
        terminals: traced.terminals.iter().map(terminal).collect(),
    }
}

fn terminal(traced: &TracedTerminal) -> v1::TracedTerminal {
    v1::TracedTerminal { session: Some(sessions::session(&traced.session)), passed: traced.passed }
}
