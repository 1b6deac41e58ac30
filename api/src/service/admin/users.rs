//! Accounts.

use serde_json::json;
use time::OffsetDateTime;

use super::{Admin, check_note, list_size};
use crate::{
    model::{Error, Page, Result, Role, Session, UserId, UserState, may_begin_an_id},
    service::{SecurityKind, conversations::instant},
    store::{AdminSession, SessionFilter, User, UserDescription},
};

/// How many sessions are shown of a user.
const MOST_SESSIONS: i64 = 100;

/// A user, and what there is of it.
#[derive(Debug)]
pub struct DescribedUser {
    /// The user.
    pub user: User,
    /// What there is of it.
    pub description: UserDescription,
    /// Its live sessions, the newest first.
    pub sessions: Vec<AdminSession>,
}

impl Admin<'_> {
    /// Creates a user, of the default tier when `tier` is empty; one without a password logs in by
    /// assertions alone.
    ///
    /// Errors: [`Error::UserExists`], [`Error::TierNotFound`].
    pub async fn create_user(
        &self,
        user_id: &str,
        password: Option<String>,
        tier: &str,
    ) -> Result<User> {
        self.require(Role::Backend)?;
        let user_id = UserId::parse("user_id", user_id)?;
        let tier = if tier.is_empty() { &self.service.limits.default_tier } else { tier };
        let hash = match password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let audit = self.audit("create_user", json!({ "tier": tier }));
        self.service.store.create_user(&user_id, hash.as_deref(), tier, audit).await?;
        self.service.store.get_user(&user_id).await
    }

    /// One user. Errors: [`Error::UserNotFound`].
    pub async fn get_user(&self, user_id: &str) -> Result<User> {
        self.require(Role::Viewer)?;
        self.service.store.get_user(&UserId::parse("user_id", user_id)?).await
    }

    /// One user, with its live sessions and what there is of it in numbers.
    ///
    /// Errors: [`Error::UserNotFound`](crate::model::Error::UserNotFound).
    pub async fn describe_user(&self, user_id: &str) -> Result<DescribedUser> {
        self.require(Role::Viewer)?;
        let store = &self.service.store;
        let user_id = UserId::parse("user_id", user_id)?;
        let (user_no, description) = store.describe_user(&user_id).await?;
        let live = SessionFilter { user_no: Some(user_no), ..SessionFilter::default() };
        Ok(DescribedUser {
            user: store.get_user(&user_id).await?,
            description,
            sessions: store.list_sessions(&live, None, MOST_SESSIONS).await?,
        })
    }

    /// The users whose ids begin so, by id; only those created at the time `since` or later, where that is given.
    ///
    /// Errors: [`Error::InvalidArgument`].
    pub async fn list_users(
        &self,
        prefix: &str,
        since: Option<OffsetDateTime>,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<User>> {
        self.require(Role::Viewer)?;
        if !may_begin_an_id(prefix) {
            return Err(Error::invalid("prefix", "must be what an id can begin with"));
        }
        let size = list_size(page_size)?;
        let scope = format!("users/{prefix}/{:?}", instant(since));
        let user_id = |payload| String::from_utf8(payload).ok();
        let after = self.service.read_page_token(&scope, page_token, user_id)?.unwrap_or_default();
        let store = &self.service.store;
        let mut items = store.list_users(prefix, since, &after, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let last = items.last().filter(|_| more).map(|user| user.user_id.as_str().as_bytes());
        let next = last.map(|user_id| self.service.opaque_tokens.seal(&scope, user_id));
        Ok(Page { items, next_page_token: next })
    }

    /// Sets a password; the sessions that this ended.
    pub async fn set_password(&self, user_id: &str, password: String) -> Result<Vec<Session>> {
        self.require(Role::Backend)?;
        let user_no = self.service.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        let hash = self.hash(password).await?;
        let audit = self.audit("set_password", json!({}));
        let ended = self.service.store.set_password(user_no, &hash, audit).await?;
        self.service.note_security(self.security(SecurityKind::PasswordSet).about(user_id));
        let ended = self.service.announce_end(user_no, ended);
        self.note_ended(user_id, &ended);
        Ok(ended)
    }

    async fn hash(&self, password: String) -> Result<String> {
        self.service.check_passwords_taken()?;
        self.service.passwords.hash("password", password).await
    }

    /// Lets a user log in no more; the sessions that this ended.
    pub async fn disable_user(&self, user_id: &str, note: &str) -> Result<Vec<Session>> {
        self.require(Role::Support)?;
        check_note(note)?;
        let user_no = self.service.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        let audit = self.audit("disable_user", json!({ "note": note }));
        let ended =
            self.service.store.set_user_state(user_no, UserState::Disabled, note, audit).await?;
        self.service.note_security(self.security(SecurityKind::UserDisabled).about(user_id));
        let ended = self.service.announce_end(user_no, ended);
        self.note_ended(user_id, &ended);
        Ok(ended)
    }

    /// Lets a user log in again.
    pub async fn enable_user(&self, user_id: &str) -> Result<User> {
        self.require(Role::Support)?;
        let user_id = UserId::parse("user_id", user_id)?;
        let user_no = self.service.store.user_no(&user_id).await?;
        let audit = self.audit("enable_user", json!({}));
        self.service.store.set_user_state(user_no, UserState::Active, "", audit).await?;
        let event = self.security(SecurityKind::UserEnabled).about(user_id.as_str());
        self.service.note_security(event);
        self.service.store.get_user(&user_id).await
    }
}
