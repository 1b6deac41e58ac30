//! Tiers, and what they hide.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{model, service};

/// A named retention policy.
#[derive(Debug, Serialize, ToSchema)]
struct Tier {
    name: String,
    /// Older entries are hidden; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_age_seconds: Option<u64>,
    /// Of the messages, only the newest so many may be seen; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_messages: Option<i64>,
    /// How many bytes of messages that its users have sent may be stored; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_bytes: Option<i64>,
    /// How many users have it.
    users: i64,
}

/// The tiers, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TierList {
    tiers: Vec<Tier>,
}

/// A tier to make or change; a limit that is absent does not limit.
#[derive(Debug, Deserialize, ToSchema)]
struct NewTier {
    /// 1–64 characters of `a-z 0-9 _ -`.
    #[serde(default)]
    #[schema(required = true)]
    name: String,
    max_age_seconds: Option<u64>,
    max_messages: Option<i64>,
    max_bytes: Option<i64>,
}

/// Whether what is named must exist, or must not.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Expect {
    #[default]
    Either,
    Existing,
    New,
}

/// Tiers to make or change, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "tiers": [{ "name": "free", "max_age_seconds": 604_800 }] })))]
pub(crate) struct TiersRequest {
    /// 1–100 tiers.
    #[serde(default)]
    #[schema(required = true)]
    tiers: Vec<NewTier>,
    #[serde(default)]
    expect: Expect,
}

/// What new limits of a tier would do to its users.
#[derive(Debug, Serialize, ToSchema)]
struct TierEffect {
    name: String,
    users_losing: i64,
    entries_hidden: i64,
    entries_shown: i64,
}

/// What new limits would do, by tier.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TierEffectList {
    effects: Vec<TierEffect>,
}

/// How far a purge has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PurgeProgress {
    timelines: i64,
    timelines_seen: i64,
    timelines_purged: i64,
    entries: i64,
}

impl From<Expect> for model::Expect {
    fn from(expect: Expect) -> Self {
        match expect {
            Expect::Either => Self::Either,
            Expect::Existing => Self::Existing,
            Expect::New => Self::New,
        }
    }
}

impl From<TiersRequest> for (Vec<service::NewTier>, model::Expect) {
    fn from(request: TiersRequest) -> Self {
        let tier = |tier: NewTier| service::NewTier {
            name: tier.name,
            max_age: tier.max_age_seconds.map(std::time::Duration::from_secs),
            max_messages: tier.max_messages,
            max_bytes: tier.max_bytes,
        };
        (request.tiers.into_iter().map(tier).collect(), request.expect.into())
    }
}

impl From<Vec<service::TierUse>> for TierList {
    fn from(tiers: Vec<service::TierUse>) -> Self {
        let tier = |used: service::TierUse| Tier {
            name: used.tier.name,
            max_age_seconds: used.tier.limits.max_age.map(|age| age.as_secs()),
            max_messages: used.tier.limits.max_messages,
            max_bytes: used.tier.limits.max_bytes,
            users: used.users,
        };
        Self { tiers: tiers.into_iter().map(tier).collect() }
    }
}

impl From<Vec<(String, service::Effect)>> for TierEffectList {
    fn from(effects: Vec<(String, service::Effect)>) -> Self {
        let effect = |(name, effect): (String, service::Effect)| TierEffect {
            name,
            users_losing: effect.users_losing,
            entries_hidden: effect.entries_hidden,
            entries_shown: effect.entries_shown,
        };
        Self { effects: effects.into_iter().map(effect).collect() }
    }
}

impl From<service::PurgeProgress> for PurgeProgress {
    fn from(progress: service::PurgeProgress) -> Self {
        Self {
            timelines: progress.timelines,
            timelines_seen: progress.timelines_seen,
            timelines_purged: progress.timelines_purged,
            entries: progress.entries,
        }
    }
}
