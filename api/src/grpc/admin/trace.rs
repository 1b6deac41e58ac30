//! Traces in the contract's messages.

use imd_proto::v1::{self, trace_message_request::Message};

use super::sessions;
use crate::{
    grpc::convert::timestamp,
    model::Tombstone,
    service::{CopyState, MessageHome, MessageTrace, TracedCopy, TracedMessage, TracedTerminal},
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
        home: trace.home.as_ref().map(home),
    }
}

fn home(home: &MessageHome) -> v1::MessageHome {
    v1::MessageHome {
        group_id: home.group_id.to_string(),
        seq: home.seq,
        state: state(home.state).into(),
        appended_at: Some(timestamp(home.appended_at)),
    }
}

fn state(state: CopyState) -> v1::CopyState {
    match state {
        CopyState::There => v1::CopyState::There,
        CopyState::Gone(Tombstone::Recalled) => v1::CopyState::Recalled,
        CopyState::Gone(Tombstone::Deleted) => v1::CopyState::Deleted,
        CopyState::Gone(Tombstone::Erased) => v1::CopyState::Erased,
        CopyState::Purged => v1::CopyState::Purged,
        CopyState::OwnerDeleted => v1::CopyState::OwnerDeleted,
        CopyState::Pending => v1::CopyState::Pending,
    }
}

fn copy(traced: &TracedCopy) -> v1::MessageCopy {
    let in_group = traced.copy.in_group;
    v1::MessageCopy {
        user_id: traced.user_id.to_string(),
        seq: traced.copy.seq,
        state: state(traced.copy.state).into(),
        appended_at: traced.copy.appended_at.map(timestamp),
        terminals: traced.terminals.iter().map(terminal).collect(),
        fanned_to: in_group.map(|member| member.fanned_to),
        read: in_group.and_then(|member| member.read),
    }
}

fn terminal(traced: &TracedTerminal) -> v1::TracedTerminal {
    v1::TracedTerminal { session: Some(sessions::session(&traced.session)), passed: traced.passed }
}
