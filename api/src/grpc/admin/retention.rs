//! Retention in the contract's messages.

use std::time::Duration;

use imd_proto::v1::{
    self, preview_user_limits_request::Limits as TriedLimits, set_user_limits_request::Limits,
};
use tonic::Status;

use crate::{
    grpc::{convert, status::status},
    model::Error,
    service::{Effect, NewTier, NewUserLimits, PurgeProgress, TierUse},
};

/// What a client gave as `field`. Below a second there is nothing.
fn duration(field: &'static str, duration: prost_types::Duration) -> Result<Duration, Status> {
    let seconds = u64::try_from(duration.seconds);
    seconds
        .map(Duration::from_secs)
        .map_err(|_| status(Error::invalid(field, "must not be negative")))
}

pub(super) fn user_limits(limits: Limits) -> Result<NewUserLimits, Status> {
    Ok(match limits {
        Limits::Tier(name) => NewUserLimits::Tier(name),
        Limits::Override(own) => NewUserLimits::Override {
            max_age: own.max_age.map(|age| duration("override.max_age", age)).transpose()?,
            max_messages: own.max_messages,
            max_bytes: own.max_bytes,
        },
    })
}

pub(super) fn tried_limits(limits: TriedLimits) -> Result<NewUserLimits, Status> {
    user_limits(match limits {
        TriedLimits::Tier(name) => Limits::Tier(name),
        TriedLimits::Override(own) => Limits::Override(own),
    })
}

pub(super) fn new_tiers(tiers: Vec<v1::Tier>) -> Result<Vec<NewTier>, Status> {
    let tier = |tier: v1::Tier| {
        let max_age = tier.max_age.map(|age| duration("tiers.max_age", age)).transpose()?;
        let v1::Tier { name, max_messages, max_bytes, .. } = tier;
        Ok(NewTier { name, max_age, max_messages, max_bytes })
    };
    tiers.into_iter().map(tier).collect()
}

pub(super) fn tiers(tiers: &[TierUse]) -> Vec<v1::Tier> {
    let tier = |used: &TierUse| v1::Tier {
        name: used.tier.name.clone(),
        max_age: used.tier.limits.max_age.map(convert::duration),
        max_messages: used.tier.limits.max_messages,
        max_bytes: used.tier.limits.max_bytes,
        users: used.users,
    };
    tiers.iter().map(tier).collect()
}

pub(super) fn effects(effects: &[(String, Effect)]) -> Vec<v1::TierEffect> {
    let effect = |(name, effect): &(String, Effect)| v1::TierEffect {
        name: name.clone(),
        users_losing: effect.users_losing,
        entries_hidden: effect.entries_hidden,
        entries_shown: effect.entries_shown,
    };
    effects.iter().map(effect).collect()
}

pub(super) fn progress(progress: PurgeProgress) -> v1::PurgeResponse {
    v1::PurgeResponse {
        timelines: progress.timelines,
        timelines_seen: progress.timelines_seen,
        timelines_purged: progress.timelines_purged,
        entries: progress.entries,
    }
}
