//! Accounts and terminal types.

use time::OffsetDateTime;
use tokio_postgres::{Row, types::ToSql};

use super::{
    Audit, Ending, SessionsEnded, Store, Transaction, Which,
    nodes::ALIVE,
    outbox::tell_of_user,
    retention::{LIMITED_USERS, LIMITS},
    sessions::end_named,
    since::{Numbered, older_up_to},
    tiers::{check_tier, read_retention},
    timelines::Place,
    transaction,
};
use crate::model::{EndReason, Error, EventKind, Result, Retention, UserId, UserNo, UserState};

/// An account as administrators see it.
#[derive(Debug)]
pub struct User {
    /// The customer's own id.
    pub user_id: UserId,
    /// Whether it may log in.
    pub state: UserState,
    /// What people call it; empty when nobody has said.
    pub name: String,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was deleted, if it was.
    pub deleted_at: Option<OffsetDateTime>,
    /// How many live sessions it has.
    pub live_sessions: i64,
    /// How many of them have a stream open.
    pub online_sessions: i64,
    /// The newest entry's seq.
    pub last_seq: i64,
    /// When that was appended.
    pub last_at: Option<OffsetDateTime>,
    /// How far back it may see.
    pub retention: Retention,
}

/// What a login needs to know of an account.
#[derive(Debug)]
pub struct Credentials {
    /// Its number.
    pub user_no: UserNo,
    /// Argon2id, as a PHC string; `None` when it has no password.
    pub password_hash: Option<String>,
}

const ACTIVE: i16 = 1;
const DISABLED: i16 = 2;
/// `users.state` of a tombstone.
pub(super) const DELETED: i16 = 3;
const SYSTEM: i16 = 4;

/// Reads the column `state`.
pub(super) fn read_state(row: &Row) -> UserState {
    match row.get("state") {
        ACTIVE => UserState::Active,
        DELETED => UserState::Deleted,
        SYSTEM => UserState::System,
        _ => UserState::Disabled,
    }
}

/// Errors: [`Error::UserNotFound`] when the user is deleted. Keeps it from going until the transaction
/// ends. For changes of an account that need no place in its timeline.
pub(super) async fn require_user(tx: &Transaction<'_>, user_no: UserNo) -> Result<()> {
    let row = tx
        .query_one("SELECT user_id, state FROM users WHERE user_no = $1 FOR UPDATE", &[&user_no.0])
        .await?;
    match read_state(&row) {
        UserState::Deleted => Err(Error::UserNotFound(UserId::from_stored(row.get("user_id")))),
        UserState::Active | UserState::Disabled | UserState::System => Ok(()),
    }
}

impl Store {
    /// Creates an account with an empty timeline. Errors: [`Error::UserExists`],
    /// [`Error::TierNotFound`].
    pub async fn create_user(
        &self,
        user_id: &UserId,
        password_hash: Option<&str>,
        tier: &str,
        audit: Audit<'_>,
    ) -> Result<()> {
        let created = self.create_if_new(user_id, password_hash, tier, ACTIVE, audit).await?;
        created.map(drop).ok_or_else(|| Error::UserExists(user_id.clone()))
    }

    /// The number of a user, who is created without a password when there is none of this id.
    ///
    /// Errors: [`Error::TierNotFound`].
    pub async fn provision_user(
        &self,
        user_id: &UserId,
        tier: &str,
        audit: Audit<'_>,
    ) -> Result<UserNo> {
        match self.user_no(user_id).await {
            Err(Error::UserNotFound(_)) => {}
            known => return known,
        }
        match self.create_if_new(user_id, None, tier, ACTIVE, audit).await? {
            Some(created) => Ok(created),
            None => self.user_no(user_id).await,
        }
    }

    /// The number of the account that the system speaks as under this name, which is made when there is none.
    ///
    /// Errors: [`Error::InvalidArgument`] when it is the account of a user.
    pub async fn system_sender(
        &self,
        name: &UserId,
        tier: &str,
        audit: Audit<'_>,
    ) -> Result<UserNo> {
        let created = self.create_if_new(name, None, tier, SYSTEM, audit).await?;
        if let Some(created) = created {
            return Ok(created);
        }
        match self.get_user(name).await?.state {
            UserState::System => self.user_no(name).await,
            _ => Err(Error::invalid("from.system", format!("{name} is or was a user"))),
        }
    }

    async fn create_if_new(
        &self,
        user_id: &UserId,
        password_hash: Option<&str>,
        tier: &str,
        state: i16,
        audit: Audit<'_>,
    ) -> Result<Option<UserNo>> {
        transaction!(self, async |tx| {
            check_tier(&tx, tier).await?;
            let created = tx
                .query_opt(
                    "INSERT INTO users (user_id, password_hash, tier, state) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (user_id) DO NOTHING RETURNING user_no",
                    &[&user_id.as_str(), &password_hash, &tier, &state],
                )
                .await?;
            let Some(user_no) = created.map(|row| UserNo(row.get(0))) else { return Ok(None) };
            tx.execute(
            "INSERT INTO timelines (owner, epoch) VALUES ($1, trunc(extract(epoch FROM now()))::bigint)",
            &[&user_no.0],
        )
        .await?;
            if state == ACTIVE {
                tell_of_user(&tx, user_no, EventKind::UserCreated).await?;
            }
            audit.record(&tx, Some(user_no)).await?;
            tx.commit().await?;
            Ok(Some(user_no))
        })
    }

    /// Whether there is no account but, perhaps, these.
    pub async fn has_no_users_besides(&self, user_ids: &[&str]) -> Result<bool> {
        let client = self.client().await?;
        let others = "SELECT NOT EXISTS (SELECT FROM users WHERE user_id <> ALL($1::text[]))";
        Ok(client.query_one(others, &[&user_ids]).await?.get(0))
    }

    /// What a login needs to know; `None` when there is no such user or it may not log in.
    pub async fn credentials(&self, user_id: &UserId) -> Result<Option<Credentials>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT user_no, password_hash FROM users WHERE user_id = $1 AND state = $2",
            )
            .await?;
        let row = client.query_opt(&statement, &[&user_id.as_str(), &ACTIVE]).await?;
        Ok(row.map(|row| Credentials { user_no: UserNo(row.get(0)), password_hash: row.get(1) }))
    }

    /// Sets a password and ends every live session (`PASSWORD_CHANGED`), in one transaction.
    pub async fn set_password(
        &self,
        user_no: UserNo,
        password_hash: &str,
        audit: Audit<'_>,
    ) -> Result<SessionsEnded> {
        transaction!(self, async |tx| {
            let place = Place::take(&tx, user_no).await?;
            tx.execute(
                "UPDATE users SET password_hash = $2 WHERE user_no = $1",
                &[&user_no.0, &password_hash],
            )
            .await?;
            let ending = Ending::because(EndReason::PasswordChanged);
            let ended = end_named(&tx, place, user_no, &Which::All, &ending).await?;
            audit.ended(ended.ended.len()).record(&tx, Some(user_no)).await?;
            tx.commit().await?;
            Ok(ended)
        })
    }

    /// Sets whether a user may log in; ends every live session when not (`USER_DISABLED`), in one
    /// transaction.
    pub async fn set_user_state(
        &self,
        user_no: UserNo,
        state: UserState,
        note: &str,
        audit: Audit<'_>,
    ) -> Result<SessionsEnded> {
        transaction!(self, async |tx| {
            let place = Place::take(&tx, user_no).await?;
            let number = if state == UserState::Active { ACTIVE } else { DISABLED };
            let set = "UPDATE users SET state = $2 WHERE user_no = $1 AND state <> $2";
            let changed = tx.execute(set, &[&user_no.0, &number]).await? == 1;
            let ended = if state == UserState::Active {
                place.give_back(&tx).await?;
                SessionsEnded { ended: Vec::new(), entry: None }
            } else {
                let ending =
                    Ending { note: note.to_owned(), ..Ending::because(EndReason::UserDisabled) };
                end_named(&tx, place, user_no, &Which::All, &ending).await?
            };
            if changed {
                let kind = match state {
                    UserState::Active => EventKind::UserEnabled,
                    _ => EventKind::UserDisabled,
                };
                tell_of_user(&tx, user_no, kind).await?;
            }
            audit.ended(ended.ended.len()).record(&tx, Some(user_no)).await?;
            tx.commit().await?;
            Ok(ended)
        })
    }

    /// The accounts whose ids begin with `prefix` and come after `after`, in the order of ids, deleted ones left
    /// out; only those created at the time `since` or later, where that is given.
    pub async fn list_users(
        &self,
        prefix: &str,
        since: Option<OffsetDateTime>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<User>> {
        let client = self.client().await?;
        let older = older_up_to(&client, Numbered::Users, since).await?;
        // Ids are of ASCII, in whose order nothing that one may have comes behind DEL.
        let list = users_where(
            r"u.user_id > $1 AND u.user_id >= $3 AND u.user_id < $3 || E'\x7f' AND u.state <> 3
                 AND u.user_no > $4 AND ($5::timestamptz IS NULL OR u.created_at >= $5)",
        );
        // Planned for these values each time: the few newest users are sorted by id, of many a page is read in that order.
        let values: [&(dyn ToSql + Sync); 5] = [&after, &limit, &prefix, &older, &since];
        Ok(client.query(&list, &values).await?.iter().map(read_user).collect())
    }

    /// One account, or what is left of it. Errors: [`Error::UserNotFound`].
    pub async fn get_user(&self, user_id: &UserId) -> Result<User> {
        let client = self.client().await?;
        let statement = client.prepare_cached(&users_where("u.user_id = $1")).await?;
        let found = client.query_opt(&statement, &[&user_id.as_str(), &1_i64]).await?;
        found.as_ref().map(read_user).ok_or_else(|| Error::UserNotFound(user_id.clone()))
    }
}

/// Selects the users for whom a condition on the values holds; the second of these is how many at most.
fn users_where(condition: &str) -> String {
    format!(
        "SELECT u.user_id, u.state, coalesce(u.name, '') AS name, u.created_at, u.deleted_at,
             coalesce(c.last_seq, 0) AS last_seq, c.last_at, {LIMITS},
             (SELECT count(*) FROM sessions s
              WHERE s.user_no = u.user_no AND s.ended_at IS NULL) AS live_sessions,
             (SELECT count(DISTINCT p.session_id) FROM login_points p JOIN nodes n USING (node_no)
              WHERE p.user_no = u.user_no AND {ALIVE}) AS online_sessions
         FROM {LIMITED_USERS} LEFT JOIN timelines c ON c.owner = u.user_no
         WHERE {condition} ORDER BY u.user_id LIMIT $2"
    )
}

fn read_user(row: &Row) -> User {
    User {
        user_id: UserId::from_stored(row.get("user_id")),
        state: read_state(row),
        name: row.get("name"),
        created_at: row.get("created_at"),
        deleted_at: row.get("deleted_at"),
        live_sessions: row.get("live_sessions"),
        online_sessions: row.get("online_sessions"),
        last_seq: row.get("last_seq"),
        last_at: row.get("last_at"),
        retention: read_retention(row),
    }
}
