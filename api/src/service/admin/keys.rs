//! The administrators' keys, and those that sign access tokens.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde_json::json;

use super::{Admin, BOOTSTRAP_KEY};
use crate::{
    model::{Error, Result, Role, check_id},
    service::{
        SecurityKind,
        access_tokens::new_key,
        tokens::{random, sha256},
    },
    store::{AccessKey, AdminKey},
};

/// Begins every key, so that those who look for leaked secrets find it.
const PREFIX: &str = "imd_admin_";

impl Admin<'_> {
    /// Makes a key; it is shown this once, and only its hash is stored.
    ///
    /// Errors: [`Error::AdminKeyExists`], also for the name of a revoked one.
    pub async fn create_admin_key(
        &self,
        name: &str,
        role: Option<Role>,
    ) -> Result<(AdminKey, SecretString)> {
        self.require(Role::Admin)?;
        check_id("name", name)?;
        let role =
            role.ok_or_else(|| Error::invalid("role", "viewer, support, backend or admin"))?;
        if name == BOOTSTRAP_KEY {
            return Err(Error::AdminKeyExists);
        }
        let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?));
        let details = json!({ "name": name, "role": role.to_string() });
        let audit = self.audit("create_admin_key", details);
        let digest = sha256(secret.as_bytes());
        let key = self.service.store.create_admin_key(name, role, &digest, audit).await?;
        let event = self.security(SecurityKind::AdminKeyCreated);
        self.service.note_security(event.with(format!("{name}, {role}")));
        Ok((key, secret.into()))
    }

    /// All keys there ever were but that of the data folder, by name.
    pub async fn list_admin_keys(&self) -> Result<Vec<AdminKey>> {
        self.require(Role::Admin)?;
        self.service.store.admin_keys().await
    }

    /// Makes a key good for nothing: no call that starts after this has returned succeeds with it, on
    /// any node.
    ///
    /// Errors: [`Error::AdminKeyNotFound`], also when it is revoked already.
    pub async fn revoke_admin_key(&self, name: &str) -> Result<AdminKey> {
        self.require(Role::Admin)?;
        check_id("name", name)?;
        let audit = self.audit("revoke_admin_key", json!({ "name": name }));
        let revoked = self.service.store.revoke_admin_key(name, audit).await?;
        let event = self.security(SecurityKind::AdminKeyRevoked).with(name.to_owned());
        self.service.note_security(event);
        Ok(revoked)
    }

    /// The keys of access tokens that are not gone yet, the newest first.
    pub async fn list_access_keys(&self) -> Result<Vec<AccessKey>> {
        self.require(Role::Viewer)?;
        self.service.store.access_keys().await
    }

    /// Makes a new key for access tokens. A login that starts after this has returned is signed with it,
    /// on every node; what older keys have signed is good until it expires.
    pub async fn rotate_access_key(&self) -> Result<Vec<AccessKey>> {
        self.require(Role::Admin)?;
        let next = new_key()?;
        let audit = self.audit("rotate_access_key", json!({ "key_id": next.key_id }));
        self.service.store.rotate_access_key(&next, audit).await?;
        let event = self.security(SecurityKind::AccessKeyRotated).with(next.key_id.clone());
        self.service.note_security(event);
        self.service.store.access_keys().await
    }
}
