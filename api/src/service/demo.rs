//! Accounts for who tries imd on a machine of their own.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::Service;
use crate::{
    model::{Error, Result, UserId},
    store::Audit,
};

/// Their ids.
const DEMO_USERS: [&str; 3] = ["demo-ann", "demo-ben", "demo-cleo"];

/// Who creates them, in the audit.
const ACTOR: &str = "demo";

/// How many bytes their passwords are made of. A multiple of three.
const PASSWORD_BYTES: usize = 12;

/// An account to try imd with.
#[derive(Debug)]
pub struct DemoUser {
    /// Its id.
    pub user_id: &'static str,
    /// Its password: the same each time on one database, and not to be guessed.
    pub password: String,
}

impl Service {
    /// Whether [`Service::create_demo_users`] does anything now.
    pub async fn demo_users_offered(&self) -> Result<bool> {
        Ok(self.limits.demo_users && self.store.has_no_users_besides(&DEMO_USERS).await?)
    }

    /// Creates the demo users that do not exist yet. `None` where they are not offered: unless imd runs
    /// its private database and listens on this machine alone, and from the first account on that is not
    /// one of theirs, since then there is something to protect. Needs no token.
    pub async fn create_demo_users(&self) -> Result<Option<Vec<DemoUser>>> {
        if !self.demo_users_offered().await? {
            return Ok(None);
        }
        let mut users = Vec::new();
        for user_id in DEMO_USERS {
            let secret = self.opaque_tokens.derive("demo_password", user_id.as_bytes());
            let password = BASE64_URL_SAFE_NO_PAD.encode(&secret[..PASSWORD_BYTES]);
            let hash = self.passwords.hash("password", password.clone()).await?;
            let audit = Audit::unasked(ACTOR, "create_user", json!({}));
            let tier = &self.limits.default_tier;
            let id = UserId::parse("user_id", user_id)?;
            match self.store.create_user(&id, Some(&hash), tier, audit).await {
                Ok(()) | Err(Error::UserExists(_)) => users.push(DemoUser { user_id, password }),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(users))
    }
}
