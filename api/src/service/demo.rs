//! Accounts for who tries imd on a machine of their own.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{Service, tokens::random};
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

/// How many bytes the code is made of that is asked for. A multiple of three.
const CODE_BYTES: usize = 12;

/// A code for one run of a node, that only who started it knows.
pub(super) fn new_code() -> Result<SecretString> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random::<CODE_BYTES>()?).into())
}

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

    /// The code that [`Service::create_demo_users`] asks for: for who has started the node, and nobody
    /// else. It is another after each start.
    #[must_use]
    pub fn demo_code(&self) -> &SecretString {
        &self.demo_code
    }

    /// Creates the demo users that do not exist yet. `None` where they are not offered: unless imd runs
    /// its private database and listens on this machine alone, and from the first account on that is not
    /// one of theirs, since then there is something to protect. Needs no token, but the code: an address
    /// of this machine may be that of a proxy, and whoever it serves then seems to be here.
    ///
    /// Errors: [`Error::InvalidArgument`] for another code.
    pub async fn create_demo_users(&self, code: &str) -> Result<Option<Vec<DemoUser>>> {
        if !self.demo_users_offered().await? {
            return Ok(None);
        }
        let expected = self.demo_code.expose_secret();
        if verify_slices_are_equal(code.as_bytes(), expected.as_bytes()).is_err() {
            return Err(Error::invalid(
                "code",
                "is not the one that imd printed at its last start",
            ));
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
