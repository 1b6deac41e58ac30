//! How users may log in.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

/// `login.*`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Whether passwords are taken.
    pub passwords: bool,
    /// Who may vouch for users. Only in the settings file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<Issuer>,
}

/// One `[[login.issuers]]` of the settings file: a backend whose assertions open sessions.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// What its assertions carry as `iss`.
    pub issuer: String,
    /// What its assertions must carry in `aud`.
    pub audience: String,
    /// What its assertions may be signed with: `EdDSA`, `ES256`, `RS256`, `HS256`.
    pub algorithms: Vec<Algorithm>,
    /// Files of keys, each PEM (public keys) or a JWKS. Several keys overlap while they are rotated.
    pub keys: Vec<PathBuf>,
    /// Whether a user whom imd does not know yet is made at the first login.
    #[serde(default)]
    pub provision: bool,
    /// How long after its `iat` an assertion is taken, 1 s to 1 h.
    #[serde(default = "max_age", with = "humantime_serde")]
    pub max_age: Duration,
}

fn max_age() -> Duration {
    Duration::from_mins(2)
}
