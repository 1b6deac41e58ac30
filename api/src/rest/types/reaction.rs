//! Reactions to messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id::{ConversationId, UserId};
use crate::model::{self, Page, ReactionCount, ReactionOf};

/// A kind of reaction to a message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reaction {
    /// An emoji, or a key of the customer's own.
    reaction: String,
    /// How many users give it.
    #[schema(minimum = 1)]
    count: i32,
    /// Whether the timeline's owner is one of them. Absent for false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    own: bool,
}

impl Reaction {
    pub(super) fn list(reactions: &[ReactionCount]) -> Vec<Self> {
        let reaction = |ReactionCount { reaction, count, own }: &ReactionCount| Self {
            reaction: reaction.clone(),
            count: *count,
            own: *own,
        };
        reactions.iter().map(reaction).collect()
    }
}

/// The reactions to a message have changed, perhaps more than once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReactionsChanged {
    /// Which message.
    message_id: String,
    conversation_id: ConversationId,
    /// The message's place in this timeline.
    #[schema(minimum = 1)]
    seq: i64,
    /// All there are now: they may have changed again since. None where the message is gone.
    reactions: Vec<Reaction>,
}

impl From<&model::ReactionsChanged> for ReactionsChanged {
    fn from(changed: &model::ReactionsChanged) -> Self {
        Self {
            message_id: changed.message_id.to_string(),
            conversation_id: (&changed.conversation_id).into(),
            seq: changed.seq,
            reactions: Reaction::list(&changed.reactions),
        }
    }
}

/// All reactions to a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({ "reactions": [{ "reaction": "👍", "count": 2, "own": true }] })))]
pub(crate) struct Reactions {
    /// In the order in which the kinds came.
    reactions: Vec<Reaction>,
}

impl From<Vec<ReactionCount>> for Reactions {
    fn from(reactions: Vec<ReactionCount>) -> Self {
        Self { reactions: Reaction::list(&reactions) }
    }
}

/// A reaction to give to a message or to take back, for a transport without paths.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ReactRequest {
    /// A message that the caller has.
    #[serde(default)]
    #[schema(required = true, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    pub(in crate::rest) message_id: String,
    /// 1–64 bytes of UTF-8 without spaces.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 64)]
    pub(in crate::rest) reaction: String,
    /// Whether it is taken back, and not given.
    #[serde(default)]
    #[schema(required = false)]
    pub(in crate::rest) remove: bool,
}

/// A page of reactions to a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserReactionList {
    /// By reaction.
    reactions: Vec<UserReaction>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// A reaction with the user who gives it.
#[derive(Debug, Serialize, ToSchema)]
struct UserReaction {
    reaction: String,
    user_id: UserId,
}

impl From<Page<ReactionOf>> for UserReactionList {
    fn from(page: Page<ReactionOf>) -> Self {
        let reaction = |item: &ReactionOf| UserReaction {
            reaction: item.reaction.clone(),
            user_id: (&item.user_id).into(),
        };
        Self {
            reactions: page.items.iter().map(reaction).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
