//! Accounts in the contract's messages.

use imd_proto::v1;

use super::sessions;
use crate::{
    grpc::convert::{self, timestamp},
    model::UserState,
    service::{DeletionProgress, DescribedUser, User},
};

pub(super) fn user(user: &User) -> v1::User {
    let state = match user.state {
        UserState::Active => v1::UserState::Active,
        UserState::Disabled => v1::UserState::Disabled,
        UserState::Deleted => v1::UserState::Deleted,
        UserState::System => v1::UserState::System,
    };
    v1::User {
        user_id: user.user_id.to_string(),
        state: state.into(),
        created_at: Some(timestamp(user.created_at)),
        live_sessions: i32::try_from(user.live_sessions).unwrap_or(i32::MAX),
        online_sessions: i32::try_from(user.online_sessions).unwrap_or(i32::MAX),
        last_seq: user.last_seq,
        last_at: user.last_at.map(timestamp),
        deleted_at: user.deleted_at.map(timestamp),
        retention: Some(convert::retention(&user.retention)),
        name: user.name.clone(),
    }
}

pub(super) fn deletion(progress: &DeletionProgress) -> v1::DeleteUserResponse {
    v1::DeleteUserResponse {
        ended: convert::sessions(&progress.ended),
        entries: progress.entries,
        entries_total: progress.entries_total,
        peers: progress.peers,
        peers_total: progress.peers_total,
    }
}

pub(super) fn description(described: DescribedUser) -> v1::UserDescription {
    let of = described.description;
    v1::UserDescription {
        user: Some(user(&described.user)),
        sessions: described.sessions.iter().map(sessions::session).collect(),
        avatar_url: of.avatar_url,
        attributes: of.attributes,
        profile_version: of.profile_version,
        conversations: of.conversations,
        groups: of.groups,
        contacts: of.contacts,
        blocks: of.blocks,
        scheduled_messages: of.scheduled_messages,
        entries: of.entries,
        messages: of.messages,
        body_bytes: of.body_bytes,
        attachments: of.attachments,
        attachment_bytes: of.attachment_bytes,
    }
}
