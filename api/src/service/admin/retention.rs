//! Tiers, and which limits hold for whom.

use std::time::Duration;

use serde_json::json;

use super::Admin;
use crate::{
    model::{Error, Expect, Result, RetentionLimits, Role, Tier, UserId},
    store::{Effect, TierUse, User, UserLimits},
};

/// The most tiers in one call.
const MAX_TIERS: usize = 100;

/// A tier as an administrator gives it.
#[derive(Debug)]
pub struct NewTier {
    /// The name.
    pub name: String,
    /// Older entries are hidden.
    pub max_age: Option<Duration>,
    /// Of the messages, only the newest so many may be seen.
    pub max_messages: Option<i64>,
    /// How many bytes of messages that its users have sent may be stored.
    pub max_bytes: Option<i64>,
}

/// Which limits a user is to have, as an administrator gives it.
#[derive(Debug)]
pub enum NewUserLimits {
    /// Those of a tier.
    Tier(String),
    /// Limits of the user's own.
    Override {
        /// Older entries are hidden.
        max_age: Option<Duration>,
        /// Of the messages, only the newest so many may be seen.
        max_messages: Option<i64>,
        /// How many bytes of messages that the user has sent may be stored.
        max_bytes: Option<i64>,
    },
}

impl Admin<'_> {
    /// The tiers, by name.
    pub async fn list_tiers(&self) -> Result<Vec<TierUse>> {
        self.require(Role::Viewer)?;
        self.service.store.tiers().await
    }

    /// What [`Admin::apply_tiers`] would do to the users that have the tiers now, in their order.
    ///
    /// Errors: as [`Admin::apply_tiers`].
    pub async fn preview_tiers(
        &self,
        tiers: Vec<NewTier>,
        expect: Expect,
    ) -> Result<Vec<(String, Effect)>> {
        self.require(Role::Viewer)?;
        self.service.store.preview_tiers(&check(tiers)?, expect).await
    }

    /// Makes or changes tiers, all or none. Holds from the next read on, on every node (I12).
    ///
    /// Errors: [`Error::TierNotFound`] and [`Error::TierExists`] where `expect` is not met.
    pub async fn apply_tiers(&self, tiers: Vec<NewTier>, expect: Expect) -> Result<Vec<TierUse>> {
        self.require(Role::Admin)?;
        let tiers = check(tiers)?;
        let named: Vec<_> = tiers
            .iter()
            .map(|tier| {
                json!({
                    "name": tier.name,
                    "max_age_seconds": tier.limits.max_age.map(|age| age.as_secs()),
                    "max_messages": tier.limits.max_messages,
                    "max_bytes": tier.limits.max_bytes,
                })
            })
            .collect();
        let audit = self.audit("apply_tiers", json!({ "tiers": named }));
        self.service.store.apply_tiers(&tiers, expect, audit).await?;
        self.service.store.tiers().await
    }

    /// Deletes a tier that no user has; the tiers that are left.
    ///
    /// Errors: [`Error::TierNotFound`]; [`Error::TierInUse`], also for the setting `default_tier`.
    pub async fn delete_tier(&self, name: &str) -> Result<Vec<TierUse>> {
        self.require(Role::Admin)?;
        let default = &self.service.limits.default_tier;
        if name == default {
            let why = "it is the setting default_tier, which new users get".to_owned();
            return Err(Error::TierInUse { name: name.to_owned(), why });
        }
        let audit = self.audit("delete_tier", json!({ "name": name }));
        self.service.store.delete_tier(name, default, audit).await?;
        self.service.store.tiers().await
    }

    /// What [`Admin::set_user_limits`] would hide from the user, and show again.
    ///
    /// Errors: [`Error::UserNotFound`], [`Error::TierNotFound`].
    pub async fn preview_user_limits(
        &self,
        user_id: &str,
        limits: Option<NewUserLimits>,
    ) -> Result<Effect> {
        self.require(Role::Viewer)?;
        let user_no = self.service.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        self.service.store.preview_user_limits(user_no, &check_user_limits(limits)?).await
    }

    /// Gives a user a tier, or limits of the user's own. Holds from the next read on.
    ///
    /// Errors: [`Error::UserNotFound`], [`Error::TierNotFound`].
    pub async fn set_user_limits(
        &self,
        user_id: &str,
        limits: Option<NewUserLimits>,
    ) -> Result<User> {
        self.require(Role::Admin)?;
        let user_id = UserId::parse("user_id", user_id)?;
        let limits = check_user_limits(limits)?;
        let details = match &limits {
            UserLimits::Tier(name) => json!({ "tier": name }),
            UserLimits::Override(own) => json!({ "override": {
                "max_age_seconds": own.max_age.map(|age| age.as_secs()),
                "max_messages": own.max_messages,
                "max_bytes": own.max_bytes,
            }}),
        };
        let user_no = self.service.store.user_no(&user_id).await?;
        let audit = self.audit("set_user_limits", details);
        self.service.store.set_user_limits(user_no, &limits, audit).await?;
        self.service.store.get_user(&user_id).await
    }
}

fn check_user_limits(limits: Option<NewUserLimits>) -> Result<UserLimits> {
    match limits {
        Some(NewUserLimits::Tier(name)) => Ok(UserLimits::Tier(name)),
        Some(NewUserLimits::Override { max_age, max_messages, max_bytes }) => {
            Ok(UserLimits::Override(RetentionLimits::parse(max_age, max_messages, max_bytes)?))
        }
        None => Err(Error::invalid("limits", "a tier or an override is needed")),
    }
}

fn check(tiers: Vec<NewTier>) -> Result<Vec<Tier>> {
    if tiers.is_empty() || tiers.len() > MAX_TIERS {
        return Err(Error::invalid("tiers", format!("must be 1–{MAX_TIERS} tiers")));
    }
    let checked: Vec<Tier> = tiers
        .into_iter()
        .map(|tier| {
            Tier::check_name("tiers.name", &tier.name)?;
            let limits = RetentionLimits::parse(tier.max_age, tier.max_messages, tier.max_bytes)?;
            Ok(Tier { name: tier.name, limits })
        })
        .collect::<Result<_>>()?;
    let mut names: Vec<&str> = checked.iter().map(|tier| tier.name.as_str()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Error::invalid("tiers.name", "must not stand there twice"));
    }
    Ok(checked)
}
