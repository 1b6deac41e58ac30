//! Tiers and the limits that hold for each user.

use std::time::Duration;

use tokio_postgres::{Row, types::ToSql};

use super::{
    Audit, Store, Transaction,
    retention::{LIMITED_USERS, LIMITS, floor_search},
    transaction,
    users::{DELETED, require_user},
};
use crate::model::{Error, Expect, Result, Retention, RetentionLimits, Tier, UserNo};

/// How many users a preview looks at in one statement.
const PREVIEW_BATCH: i64 = 500;

/// A tier and how many users have it.
#[derive(Debug)]
pub struct TierUse {
    /// The tier.
    pub tier: Tier,
    /// How many users have it.
    pub users: i64,
}

/// What a change of limits would do.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// How many users would see less.
    pub users_losing: i64,
    /// How many entries would no longer be seen.
    pub entries_hidden: i64,
    /// How many entries would be seen again.
    pub entries_shown: i64,
}

/// Which limits a user is to have.
#[derive(Debug, Clone)]
pub enum UserLimits {
    /// Those of a tier.
    Tier(String),
    /// Limits of the user's own, whatever the tier.
    Override(RetentionLimits),
}

impl Store {
    /// Adds the tiers that do not exist yet; those that do stay as they are.
    pub async fn seed_tiers(&self, tiers: &[Tier]) -> Result<()> {
        let client = self.client().await?;
        for tier in tiers {
            client
                .execute(
                    "INSERT INTO tiers (name, max_age, max_messages, max_bytes) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (name) DO NOTHING",
                    &[
                        &tier.name,
                        &seconds(tier.limits.max_age),
                        &tier.limits.max_messages,
                        &tier.limits.max_bytes,
                    ],
                )
                .await?;
        }
        Ok(())
    }

    /// The tiers, by name.
    pub async fn tiers(&self) -> Result<Vec<TierUse>> {
        let client = self.patient_client().await?;
        let rows = client
            .query(
                "SELECT t.name, t.max_age, t.max_messages, t.max_bytes,
                     (SELECT count(*) FROM users u WHERE u.tier = t.name) AS users
                 FROM tiers t ORDER BY t.name",
                &[],
            )
            .await?;
        let tier = |row: &Row| TierUse {
            tier: Tier { name: row.get("name"), limits: read_limits(row) },
            users: row.get("users"),
        };
        Ok(rows.iter().map(tier).collect())
    }

    /// Makes the tiers what is given, all or none; other tiers stay as they are. Holds from the next
    /// read on, on every node (I12).
    ///
    /// Errors: [`Error::TierNotFound`] and [`Error::TierExists`] where `expect` is not met.
    pub async fn apply_tiers(
        &self,
        tiers: &[Tier],
        expect: Expect,
        audit: Audit<'_>,
    ) -> Result<()> {
        transaction!(self, async |tx| {
            // So that no tier comes or goes between the check and the change.
            tx.batch_execute("LOCK TABLE tiers IN SHARE ROW EXCLUSIVE MODE").await?;
            check_expected(&names(&tx).await?, tiers, expect)?;
            for tier in tiers {
                tx.execute(
                    // What hides nothing does not make the purge wait.
                    "INSERT INTO tiers (name, max_age, max_messages, max_bytes) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO UPDATE
                 SET max_age = excluded.max_age, max_messages = excluded.max_messages,
                     max_bytes = excluded.max_bytes,
                     changed_at = CASE WHEN (tiers.max_age, tiers.max_messages)
                         IS DISTINCT FROM (excluded.max_age, excluded.max_messages)
                         THEN excluded.changed_at ELSE tiers.changed_at END",
                    &[
                        &tier.name,
                        &seconds(tier.limits.max_age),
                        &tier.limits.max_messages,
                        &tier.limits.max_bytes,
                    ],
                )
                .await?;
            }
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// Deletes a tier that no user has. Users that are deleted themselves get the tier `instead`.
    ///
    /// Errors: [`Error::TierNotFound`], [`Error::TierInUse`].
    pub async fn delete_tier(&self, name: &str, instead: &str, audit: Audit<'_>) -> Result<()> {
        transaction!(self, async |tx| {
            // Nobody is given the tier from here on: `check_tier` waits for this lock.
            if tx
                .query_opt("SELECT FROM tiers WHERE name = $1 FOR UPDATE", &[&name])
                .await?
                .is_none()
            {
                return Err(Error::no_tier(name, names(&tx).await?.iter().map(String::as_str)));
            }
            let users = "SELECT count(*) FROM users WHERE tier = $1 AND state <> $2";
            let users: i64 = tx.query_one(users, &[&name, &DELETED]).await?.get(0);
            if users > 0 {
                let why = format!("{users} of the users have it; give them another tier first");
                return Err(Error::TierInUse { name: name.to_owned(), why });
            }
            tx.execute("UPDATE users SET tier = $2 WHERE tier = $1", &[&name, &instead]).await?;
            tx.execute("DELETE FROM tiers WHERE name = $1", &[&name]).await?;
            audit.record(&tx, None).await?;
            tx.commit().await?;
            Ok(())
        })
    }

    /// What [`Store::apply_tiers`] would do, in the order of `tiers`. Looks at every user of the tiers,
    /// some thousands a second.
    ///
    /// Errors: as [`Store::apply_tiers`].
    pub async fn preview_tiers(
        &self,
        tiers: &[Tier],
        expect: Expect,
    ) -> Result<Vec<(String, Effect)>> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        check_expected(&names(&tx).await?, tiers, expect)?;
        tx.commit().await?;
        let statement = client
            .prepare_cached(&preview(
                "WHERE u.tier = $1 AND NOT u.override AND u.user_no > $4
                 ORDER BY u.user_no LIMIT $5",
            ))
            .await?;
        let mut effects = Vec::with_capacity(tiers.len());
        for tier in tiers {
            let mut effect = Effect::default();
            let (max_age, max_messages) = (seconds(tier.limits.max_age), tier.limits.max_messages);
            let mut after = 0_i64;
            loop {
                let parameters: [&(dyn ToSql + Sync); 5] =
                    [&tier.name, &max_age, &max_messages, &after, &PREVIEW_BATCH];
                let rows = client.query(&statement, &parameters).await?;
                let Some(last) = rows.last() else { break };
                after = last.get("user_no");
                for row in &rows {
                    effect.add(row);
                }
            }
            effects.push((tier.name.clone(), effect));
        }
        Ok(effects)
    }

    /// What [`Store::set_user_limits`] would hide from the user, and show again.
    ///
    /// Errors: [`Error::TierNotFound`].
    pub async fn preview_user_limits(
        &self,
        user_no: UserNo,
        limits: &UserLimits,
    ) -> Result<Effect> {
        let client = self.client().await?;
        let limits = match limits {
            UserLimits::Override(limits) => *limits,
            UserLimits::Tier(name) => {
                let tier = "SELECT max_age, max_messages, max_bytes FROM tiers WHERE name = $1";
                let Some(row) = client.query_opt(tier, &[name]).await? else {
                    let known = client.query("SELECT name FROM tiers ORDER BY name", &[]).await?;
                    return Err(Error::no_tier(name, known.iter().map(|row| row.get("name"))));
                };
                read_limits(&row)
            }
        };
        let statement = client.prepare_cached(&preview("WHERE u.user_no = $1")).await?;
        let row = client
            .query_one(&statement, &[&user_no.0, &seconds(limits.max_age), &limits.max_messages])
            .await?;
        let mut effect = Effect::default();
        effect.add(&row);
        Ok(effect)
    }

    /// Sets which limits a user has; the purge counts from now only what they change.
    ///
    /// Errors: [`Error::TierNotFound`]; [`Error::UserNotFound`] when the user is deleted.
    pub async fn set_user_limits(
        &self,
        user_no: UserNo,
        limits: &UserLimits,
        audit: Audit<'_>,
    ) -> Result<()> {
        transaction!(self, async |tx| {
            require_user(&tx, user_no).await?;
            match limits {
                UserLimits::Tier(name) => {
                    check_tier(&tx, name).await?;
                    tx.execute(
                        "UPDATE users SET tier = $2, override = false, limits_changed_at = now()
                     WHERE user_no = $1 AND (override OR tier <> $2)",
                        &[&user_no.0, name],
                    )
                    .await?;
                }
                UserLimits::Override(limits) => {
                    tx.execute(
                        "UPDATE users
                     SET override = true, override_max_age = $2, override_max_messages = $3,
                         override_max_bytes = $4, limits_changed_at = now()
                     WHERE user_no = $1
                         AND (override, override_max_age, override_max_messages, override_max_bytes)
                         IS DISTINCT FROM (true, $2::bigint, $3::bigint, $4::bigint)",
                        &[
                            &user_no.0,
                            &seconds(limits.max_age),
                            &limits.max_messages,
                            &limits.max_bytes,
                        ],
                    )
                    .await?;
                }
            }
            audit.record(&tx, Some(user_no)).await?;
            tx.commit().await?;
            Ok(())
        })
    }
}

impl Effect {
    /// Counts the user of a row of [`preview`]. A deleted one has no timeline any more.
    fn add(&mut self, row: &Row) {
        let floor = |name| row.get::<_, Option<i64>>(name);
        let (Some(old), Some(new)) = (floor("old"), floor("new")) else {
            return;
        };
        self.users_losing += i64::from(new > old);
        self.entries_hidden += (new - old).max(0);
        self.entries_shown += (old - new).max(0);
    }
}

/// Selects the retention floors of the users `u` that `page` names: `old`, as it is, and `new`, under a
/// `max_age` of `$2` seconds and `max_messages` of `$3`.
fn preview(page: &str) -> String {
    format!(
        "WITH RECURSIVE page AS MATERIALIZED (
             SELECT u.user_no AS owner, {LIMITS} FROM {LIMITED_USERS} {page}
         ), under_old AS MATERIALIZED (
             SELECT owner, c.purged_to + 1 AS low, c.last_seq + 1 AS high,
                 now() - make_interval(secs => page.max_age) AS oldest,
                 c.last_message_no - page.max_messages AS beyond, c.last_message_no
             FROM page JOIN timelines c USING (owner)
         ), under_new AS MATERIALIZED (
             SELECT owner, low, high, now() - make_interval(secs => $2::bigint) AS oldest,
                 last_message_no - $3::bigint AS beyond
             FROM under_old
         ), {old}, {new}
         SELECT page.owner AS user_no, old.floor AS old, new.floor AS new
         FROM page LEFT JOIN old USING (owner) LEFT JOIN new USING (owner)
         ORDER BY page.owner",
        old = floor_search("old", "under_old"),
        new = floor_search("new", "under_new"),
    )
}

/// Errors: [`Error::TierNotFound`]. Keeps the tier from going until the transaction ends.
pub(super) async fn check_tier(tx: &Transaction<'_>, name: &str) -> Result<()> {
    let held = tx.query_opt("SELECT FROM tiers WHERE name = $1 FOR KEY SHARE", &[&name]).await?;
    match held {
        Some(_) => Ok(()),
        None => Err(Error::no_tier(name, names(tx).await?.iter().map(String::as_str))),
    }
}

/// The names of all tiers, in their order.
async fn names(tx: &Transaction<'_>) -> Result<Vec<String>> {
    let rows = tx.query("SELECT name FROM tiers ORDER BY name", &[]).await?;
    Ok(rows.iter().map(|row| row.get("name")).collect())
}

/// Errors: [`Error::TierNotFound`], [`Error::TierExists`].
fn check_expected(known: &[String], tiers: &[Tier], expect: Expect) -> Result<()> {
    for Tier { name, .. } in tiers {
        match (expect, known.contains(name)) {
            (Expect::Existing, false) => {
                return Err(Error::no_tier(name, known.iter().map(String::as_str)));
            }
            (Expect::New, true) => return Err(Error::TierExists(name.clone())),
            _ => {}
        }
    }
    Ok(())
}

/// Reads the columns `tier`, `override`, `max_age`, `max_messages` and `max_bytes`.
pub(super) fn read_retention(row: &Row) -> Retention {
    Retention { tier: row.get("tier"), overridden: row.get("override"), limits: read_limits(row) }
}

fn read_limits(row: &Row) -> RetentionLimits {
    let age = row.get::<_, Option<i64>>("max_age").and_then(|seconds| seconds.try_into().ok());
    RetentionLimits {
        max_age: age.map(Duration::from_secs),
        max_messages: row.get("max_messages"),
        max_bytes: row.get("max_bytes"),
    }
}

fn seconds(age: Option<Duration>) -> Option<i64> {
    age.map(|age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX))
}
