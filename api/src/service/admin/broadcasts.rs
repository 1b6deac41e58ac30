//! Broadcasts, as backends make them and see to them.

use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Admin, Sender, list_size};
use crate::{
    model::{
        Broadcast, BroadcastAudience, BroadcastState, Content, Error, Notice, Page, Result, Role,
        UserId, parse_uuid,
    },
    service::{SendContent, conversations::instant},
    store::NewBroadcast,
};

/// The most users that a broadcast lists.
pub const MOST_LISTED: usize = 100_000;

/// The highest rate, in users a second.
const HIGHEST_RATE: i32 = 1_000_000;

/// A broadcast to make.
#[derive(Debug)]
pub struct CreateBroadcast {
    /// A UUID of the caller's.
    pub broadcast_id: String,
    /// Who is to have sent it.
    pub from: Option<Sender>,
    /// Whom it is for.
    pub to: Option<BroadcastAudience<Vec<String>>>,
    /// What it says.
    pub content: Option<SendContent>,
    /// How terminals are to make it known.
    pub notice: Notice,
    /// Whether it is stored whatever its recipients want.
    pub bypass: bool,
    /// How many users a second it is sent to at most; 0 for as many as can be.
    pub rate: i32,
}

impl Admin<'_> {
    /// Makes a broadcast, which is sent from then on, to each of its users once. The same `broadcast_id` returns the
    /// broadcast that was made first: the broadcast, and whether it was made before.
    ///
    /// Errors: [`Error::InvalidArgument`]; [`Error::UserNotFound`] for the sender; [`Error::TierNotFound`];
    /// [`Error::BroadcastIdConflict`].
    pub async fn create_broadcast(&self, asked: CreateBroadcast) -> Result<(Broadcast, bool)> {
        self.require(Role::Backend)?;
        let CreateBroadcast { broadcast_id, from, to, content, notice, bypass, rate } = asked;
        let broadcast_id = parse_uuid("broadcast_id", &broadcast_id)?;
        let from = from.ok_or_else(|| Error::invalid("from", "a user or the system is needed"))?;
        let to = to.ok_or_else(|| Error::invalid("to", "all, a tier or users are needed"))?;
        let audience = parse_audience(to)?;
        let content = self.service.content(content)?;
        if !(0..=HIGHEST_RATE).contains(&rate) {
            let reason = format!("must be 0–{HIGHEST_RATE} users a second");
            return Err(Error::invalid("rate", reason));
        }
        let (sender, sender_id) = self.service.sender(&self.actor, &from).await?;
        let from_system = matches!(from, Sender::System(_));
        let request_hash =
            hash(&from, &audience, &content, (notice.silent, notice.no_push, bypass, rate))?;
        let details = json!({
            "broadcast_id": broadcast_id, "from": sender_id.as_str(), "to": name(&audience),
            "rate": rate, "bypass": bypass,
        });
        let audit = self.audit("create_broadcast", details);
        let new = NewBroadcast {
            broadcast_id,
            request_hash,
            sender,
            sender_id,
            from_system,
            audience,
            content,
            notice,
            bypass,
            rate,
        };
        self.service.store.create_broadcast(&new, audit).await
    }

    /// The broadcasts of the last 90 days, the newest first; only those in `state`, and only those made at the time `since` or
    /// later, where these are given.
    pub async fn list_broadcasts(
        &self,
        state: Option<BroadcastState>,
        since: Option<OffsetDateTime>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<Broadcast>> {
        self.require(Role::Viewer)?;
        let size = list_size(page_size)?;
        let scope = format!("broadcasts/{state:?}/{:?}", instant(since));
        let before = self.service.read_place(&scope, page_token)?;
        let store = &self.service.store;
        let mut items = store.broadcasts(state, since, before, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let last = items.last().filter(|_| more);
        let next = last.map(|last| self.service.place_token(&scope, last.broadcast_no));
        Ok(Page { items, next_page_token: next })
    }

    /// One broadcast.
    ///
    /// Errors: [`Error::BroadcastNotFound`].
    pub async fn get_broadcast(&self, broadcast_id: &str) -> Result<Broadcast> {
        self.require(Role::Viewer)?;
        self.service.store.broadcast(parse_id(broadcast_id)?).await
    }

    /// Has a broadcast wait. What is on its way is sent.
    ///
    /// Errors: [`Error::BroadcastNotFound`], [`Error::BroadcastEnded`].
    pub async fn pause_broadcast(&self, broadcast_id: &str) -> Result<Broadcast> {
        self.change_broadcast(broadcast_id, BroadcastState::Paused, "pause_broadcast").await
    }

    /// Has a broadcast that waits go on where it was.
    ///
    /// Errors: [`Error::BroadcastNotFound`], [`Error::BroadcastEnded`].
    pub async fn resume_broadcast(&self, broadcast_id: &str) -> Result<Broadcast> {
        self.change_broadcast(broadcast_id, BroadcastState::Running, "resume_broadcast").await
    }

    /// Has a broadcast be sent to nobody else. What is on its way is sent.
    ///
    /// Errors: [`Error::BroadcastNotFound`], [`Error::BroadcastEnded`].
    pub async fn abort_broadcast(&self, broadcast_id: &str) -> Result<Broadcast> {
        self.change_broadcast(broadcast_id, BroadcastState::Aborted, "abort_broadcast").await
    }

    async fn change_broadcast(
        &self,
        broadcast_id: &str,
        state: BroadcastState,
        action: &'static str,
    ) -> Result<Broadcast> {
        self.require(Role::Backend)?;
        let broadcast_id = parse_id(broadcast_id)?;
        let audit = self.audit(action, json!({ "broadcast_id": broadcast_id }));
        self.service.store.set_broadcast_state(broadcast_id, state, audit).await
    }
}

/// What is no id of a broadcast is the id of none.
fn parse_id(broadcast_id: &str) -> Result<Uuid> {
    Uuid::try_parse(broadcast_id).map_err(|_| Error::BroadcastNotFound)
}

fn parse_audience(to: BroadcastAudience<Vec<String>>) -> Result<BroadcastAudience<Vec<UserId>>> {
    let user_ids = match to {
        BroadcastAudience::All => return Ok(BroadcastAudience::All),
        BroadcastAudience::Tier(tier) => return Ok(BroadcastAudience::Tier(tier)),
        BroadcastAudience::Users(user_ids) => user_ids,
    };
    if user_ids.is_empty() || user_ids.len() > MOST_LISTED {
        let reason = format!("must be 1–{MOST_LISTED} users");
        return Err(Error::invalid("to.user_ids", reason));
    }
    let mut known = HashSet::with_capacity(user_ids.len());
    let mut listed = Vec::with_capacity(user_ids.len());
    for user_id in user_ids {
        let user_id = UserId::parse("to.user_ids", &user_id)?;
        if known.insert(user_id.clone()) {
            listed.push(user_id);
        }
    }
    Ok(BroadcastAudience::Users(listed))
}

/// Whom a broadcast is for, for the audit.
fn name(audience: &BroadcastAudience<Vec<UserId>>) -> String {
    match audience {
        BroadcastAudience::All => "all".to_owned(),
        BroadcastAudience::Tier(tier) => format!("tier {tier}"),
        BroadcastAudience::Users(_) => "users".to_owned(),
    }
}

/// Tells a retry from another broadcast under the same id.
fn hash(
    from: &Sender,
    audience: &BroadcastAudience<Vec<UserId>>,
    content: &Content,
    rest: (bool, bool, bool, i32),
) -> Result<[u8; 32]> {
    let from = match from {
        Sender::User(user_id) => json!({ "user_id": user_id }),
        Sender::System(name) => json!({ "system": name }),
    };
    let to = match audience {
        BroadcastAudience::All => json!("all"),
        BroadcastAudience::Tier(tier) => json!({ "tier": tier }),
        BroadcastAudience::Users(user_ids) => json!({ "user_ids": user_ids }),
    };
    let asked = serde_json::to_vec(&json!([from, to, content.hash(), rest]));
    let digest = digest(&SHA256, &asked.map_err(Error::internal)?);
    Ok(std::array::from_fn(|i| digest.as_ref()[i]))
}
