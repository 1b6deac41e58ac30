//! What there is of a user.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{AdminSession, User};
use crate::service;

/// An account with its profile, its live sessions, and how much there is of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserDescription {
    /// The account.
    user: User,
    /// Where a picture of the user is; empty for none.
    avatar_url: String,
    /// What the customer says of the user.
    attributes: Map<String, Value>,
    /// Counts the changes of the profile.
    #[schema(minimum = 0)]
    profile_version: i64,
    /// Its live sessions, the newest first, up to 100.
    sessions: Vec<AdminSession>,
    /// Conversations with messages that say something.
    #[schema(minimum = 0)]
    conversations: i64,
    /// Groups that it is a member of.
    #[schema(minimum = 0)]
    groups: i64,
    /// Contacts; requests are not.
    #[schema(minimum = 0)]
    contacts: i64,
    /// Users whom it blocks.
    #[schema(minimum = 0)]
    blocks: i64,
    /// Messages that wait to be sent.
    #[schema(minimum = 0)]
    scheduled_messages: i64,
    /// Entries of its timeline that are stored.
    #[schema(minimum = 0)]
    entries: i64,
    /// Messages among them that say something.
    #[schema(minimum = 0)]
    messages: i64,
    /// The bytes of what stands in its timeline; what is said in groups stands in theirs.
    #[schema(minimum = 0)]
    body_bytes: i64,
    /// Attachments that it created and that are not deleted.
    #[schema(minimum = 0)]
    attachments: i64,
    /// Their bytes.
    #[schema(minimum = 0)]
    attachment_bytes: i64,
}

impl From<service::DescribedUser> for UserDescription {
    fn from(described: service::DescribedUser) -> Self {
        let of = described.description;
        Self {
            user: (&described.user).into(),
            avatar_url: of.avatar_url,
            attributes: serde_json::from_str(&of.attributes).unwrap_or_default(),
            profile_version: of.profile_version,
            sessions: described.sessions.iter().map(AdminSession::from).collect(),
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
}
