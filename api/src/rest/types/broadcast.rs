//! Messages to many users at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{content::ContentMembers, id::UserId, send::given, send_as::From};
use crate::{
    model::{self, Error, Notice, Page, Result},
    service::CreateBroadcast,
};

/// How far a broadcast is. The set is open.
///
/// `RUNNING`: it is being sent. `PAUSED`: it was paused, and those who have not got it wait. `DONE`: all of its users are
/// done. `ABORTED`: it was aborted, and those who have not got it do not get it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum BroadcastState {
    Running,
    Paused,
    Done,
    Aborted,
}

/// A broadcast to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(from = "Members")]
#[schema(examples(json!({
    "broadcast_id": "0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f",
    "from": { "system": "news" },
    "to": { "all": true },
    "text": "We are back at 8 o'clock",
    "rate": 1000,
})))]
pub(crate) struct CreateBroadcastRequest {
    /// Made by the caller, new for each broadcast and the same for each retry of it.
    #[schema(value_type = Uuid)]
    broadcast_id: String,
    from: From,
    to: BroadcastTo,
    #[serde(flatten)]
    content: ContentMembers,
    /// Whether terminals are to show it without a sound.
    #[schema(required = false)]
    silent: bool,
    /// Whether terminals without a stream are not to be pushed for it.
    #[schema(required = false)]
    no_push: bool,
    /// Whether it is stored though a recipient blocks the sender or takes messages from its contacts alone.
    #[schema(required = false)]
    bypass: bool,
    /// How many users a second it is to be sent to at most; 0 for as many as can be.
    #[schema(required = false, minimum = 0, maximum = 1_000_000)]
    rate: i32,
}

/// Whom a broadcast is for: one of these.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(expecting = "an object with the member all, tier or user_ids")]
struct BroadcastTo {
    /// All users who may log in, but the sender. Users who are made after the broadcast do not get it.
    #[serde(default)]
    all: bool,
    /// Those of them who are of this tier when it is their turn.
    tier: Option<String>,
    /// These users, also those who are disabled. Who is named twice gets it once; those whom there is not are counted as
    /// refused.
    #[schema(min_items = 1, max_items = 100_000)]
    user_ids: Option<Vec<UserId>>,
}

/// The members of a [`CreateBroadcastRequest`]. Not nested: serde cannot name a wrong member that it flattens.
#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    broadcast_id: String,
    #[serde(default)]
    from: From,
    #[serde(default)]
    to: BroadcastTo,
    #[serde(default, deserialize_with = "given")]
    text: Option<String>,
    #[serde(default, deserialize_with = "given")]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "given")]
    data: Option<String>,
    #[serde(default)]
    silent: bool,
    #[serde(default)]
    no_push: bool,
    #[serde(default)]
    bypass: bool,
    #[serde(default)]
    rate: i32,
}

/// Who sends a broadcast: one of the two.
#[derive(Debug, Serialize, ToSchema)]
struct BroadcastSender {
    /// A user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<UserId>,
    /// The system, under this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    system: Option<UserId>,
}

/// Whom a broadcast is for. A list is not shown.
#[derive(Debug, Default, Serialize, ToSchema)]
struct BroadcastAudience {
    /// Whether it is for all users.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    all: bool,
    /// The tier that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tier: Option<String>,
    /// Whether it is for the users of a list.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    users: bool,
}

/// A message to many users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Broadcast {
    broadcast_id: Uuid,
    state: BroadcastState,
    from: BroadcastSender,
    to: BroadcastAudience,
    silent: bool,
    no_push: bool,
    bypass: bool,
    /// How many users a second it is sent to at most; 0 for as many as can be.
    rate: i32,
    /// The name of the admin key that made it.
    created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// When it was done or aborted; absent before.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    finished_at: Option<OffsetDateTime>,
    /// How many users it was for when it was made.
    total: i64,
    /// How many have it.
    sent: i64,
    /// How many it was refused for.
    refused: i64,
    /// The same by the code of the error.
    #[schema(examples(json!({ "blocked": 3 })))]
    refusals: BTreeMap<String, i64>,
}

/// A broadcast that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedBroadcast {
    broadcast: Broadcast,
    /// Whether it was made before.
    duplicate: bool,
}

/// A page of broadcasts, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BroadcastList {
    broadcasts: Vec<Broadcast>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

impl std::convert::From<Members> for CreateBroadcastRequest {
    fn from(members: Members) -> Self {
        let Members { broadcast_id, from, to, text, content_type, data, .. } = members;
        let Members { silent, no_push, bypass, rate, .. } = members;
        let content = ContentMembers { text, content_type, data };
        Self { broadcast_id, from, to, content, silent, no_push, bypass, rate }
    }
}

impl BroadcastTo {
    fn into_audience(self) -> Result<Option<model::BroadcastAudience<Vec<String>>>> {
        match (self.all, self.tier, self.user_ids) {
            (false, None, None) => Ok(None),
            (true, None, None) => Ok(Some(model::BroadcastAudience::All)),
            (false, Some(tier), None) => Ok(Some(model::BroadcastAudience::Tier(tier))),
            (false, None, Some(ids)) => {
                let ids = ids.into_iter().map(|id| id.0).collect();
                Ok(Some(model::BroadcastAudience::Users(ids)))
            }
            _ => Err(Error::invalid("to", "must be all, a tier or users")),
        }
    }
}

impl TryFrom<CreateBroadcastRequest> for CreateBroadcast {
    type Error = Error;

    fn try_from(request: CreateBroadcastRequest) -> Result<Self> {
        Ok(Self {
            broadcast_id: request.broadcast_id,
            from: request.from.into_sender()?,
            to: request.to.into_audience()?,
            content: request.content.into_content()?,
            notice: Notice { silent: request.silent, no_push: request.no_push },
            bypass: request.bypass,
            rate: request.rate,
        })
    }
}

impl std::convert::From<model::BroadcastState> for BroadcastState {
    fn from(state: model::BroadcastState) -> Self {
        match state {
            model::BroadcastState::Running => Self::Running,
            model::BroadcastState::Paused => Self::Paused,
            model::BroadcastState::Done => Self::Done,
            model::BroadcastState::Aborted => Self::Aborted,
        }
    }
}

impl std::convert::From<BroadcastState> for model::BroadcastState {
    fn from(state: BroadcastState) -> Self {
        match state {
            BroadcastState::Running => Self::Running,
            BroadcastState::Paused => Self::Paused,
            BroadcastState::Done => Self::Done,
            BroadcastState::Aborted => Self::Aborted,
        }
    }
}

impl std::convert::From<model::Broadcast> for Broadcast {
    fn from(broadcast: model::Broadcast) -> Self {
        let sender = Some((&broadcast.sender_id).into());
        let from = if broadcast.from_system {
            BroadcastSender { user_id: None, system: sender }
        } else {
            BroadcastSender { user_id: sender, system: None }
        };
        let to = match broadcast.audience {
            model::BroadcastAudience::All => BroadcastAudience { all: true, ..Default::default() },
            model::BroadcastAudience::Tier(tier) => {
                BroadcastAudience { tier: Some(tier), ..Default::default() }
            }
            model::BroadcastAudience::Users(()) => {
                BroadcastAudience { users: true, ..Default::default() }
            }
        };
        Self {
            broadcast_id: broadcast.broadcast_id,
            state: broadcast.state.into(),
            from,
            to,
            silent: broadcast.notice.silent,
            no_push: broadcast.notice.no_push,
            bypass: broadcast.bypass,
            rate: broadcast.rate,
            created_by: broadcast.created_by,
            created_at: broadcast.created_at,
            finished_at: broadcast.finished_at,
            total: broadcast.total,
            sent: broadcast.sent,
            refused: broadcast.refused,
            refusals: broadcast.refusals,
        }
    }
}

impl std::convert::From<(model::Broadcast, bool)> for CreatedBroadcast {
    fn from((broadcast, duplicate): (model::Broadcast, bool)) -> Self {
        Self { broadcast: broadcast.into(), duplicate }
    }
}

impl std::convert::From<Page<model::Broadcast>> for BroadcastList {
    fn from(page: Page<model::Broadcast>) -> Self {
        Self {
            broadcasts: page.items.into_iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}
