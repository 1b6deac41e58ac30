//! Assertions: JWTs by which a product's own backend vouches for its users.
//!
//! An issuer is known by `iss`, and only its own keys can have signed what carries that name. Which
//! algorithm a key is for depends on the key alone, so that a token cannot choose: a public key never
//! serves as the secret of HS256.

mod keys;

use std::{collections::HashMap, sync::Arc, time::Duration};

use jsonwebtoken::{
    Algorithm, Header, Validation, dangerous::insecure_decode_claims, decode, decode_header,
    errors::ErrorKind,
};
use parking_lot::RwLock;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::tokens::{LEEWAY, sha256};
use crate::{
    model::{Error, Result, Tier, UserId, is_display_name},
    store::UNKNOWN_TIER,
};

pub use keys::KeyError;

/// The longest assertion, in bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// The longest `jti`, in bytes.
const MAX_JTI_LENGTH: usize = 256;

/// A backend that may vouch for users.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    name: String,
    keys: Vec<keys::TrustedKey>,
    validation: Validation,
    max_age: Duration,
    provision: bool,
}

impl TrustedIssuer {
    /// An issuer without keys: `name` is its `iss`, `audience` what it calls this deployment. It may
    /// vouch for users who do not exist yet when `provision` is set.
    #[must_use]
    pub fn new(name: String, audience: String, max_age: Duration, provision: bool) -> Self {
        let mut validation = Validation::default();
        validation.set_issuer(&[&name]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Judged when it is accepted: by a clock that all nodes share.
        validation.validate_exp = false;
        Self { name, keys: Vec::new(), validation, max_age, provision }
    }

    /// Adds the keys of a PEM file or a JWKS, each for the one of `algorithms` that it is made for.
    ///
    /// # Errors
    /// When there is no key in it, or one that cannot be used.
    pub fn add_keys(&mut self, text: &str, algorithms: &[Algorithm]) -> Result<(), KeyError> {
        self.keys.extend(keys::read(text, algorithms)?);
        Ok(())
    }

    /// What the assertion says, if one of the issuer's keys has signed it.
    fn read(&self, assertion: &str, header: &Header) -> Result<Claims> {
        let mut refusal = "no key of the issuer fits";
        for key in self.keys.iter().filter(|key| key.fits(header)) {
            let validation =
                Validation { algorithms: vec![key.algorithm], ..self.validation.clone() };
            match decode::<Map<String, Value>>(assertion, &key.key, &validation) {
                Ok(token) => return Claims::read(token.claims),
                Err(error) => refusal = what_is_wrong(error.kind()),
            }
        }
        Err(Error::InvalidAssertion(refusal))
    }
}

/// Enough of an assertion to know whose keys to try.
#[derive(Deserialize)]
struct Sender {
    iss: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(deserialize_with = "numeric_date")]
    iat: u64,
    #[serde(default, deserialize_with = "optional_date")]
    nbf: Option<u64>,
    #[serde(deserialize_with = "numeric_date")]
    exp: u64,
    jti: String,
    name: Option<String>,
    tier: Option<String>,
    terminal_type: Option<String>,
}

/// What a valid assertion says.
#[derive(Debug)]
pub(super) struct Assertion {
    pub(super) user_id: UserId,
    pub(super) issuer: String,
    /// Whether the user may be made.
    pub(super) provision: bool,
    /// What people call the user.
    pub(super) name: Option<String>,
    /// The tier the user is to have from now on.
    pub(super) tier: Option<String>,
    /// The only terminal type it is good for.
    pub(super) terminal_type: Option<String>,
    /// Names it among all assertions.
    pub(super) digest: [u8; 32],
    /// From when on it is too old.
    pub(super) expires_at: OffsetDateTime,
}

/// The issuers there are. They can be exchanged while the node runs.
#[derive(Default)]
pub(super) struct Assertions(RwLock<Arc<HashMap<String, TrustedIssuer>>>);

impl Assertions {
    pub(super) fn exchange(&self, issuers: Vec<TrustedIssuer>) {
        let by_name = issuers.into_iter().map(|issuer| (issuer.name.clone(), issuer));
        *self.0.write() = Arc::new(by_name.collect());
    }

    /// Reads an assertion at the time `now`, in seconds since 1970. Whether it was used before the store
    /// alone knows.
    pub(super) fn read(&self, assertion: &str, now: u64) -> Result<Assertion> {
        if assertion.len() > MAX_LENGTH {
            return Err(Error::InvalidAssertion("the assertion is too long"));
        }
        let malformed = |_| Error::InvalidAssertion("the assertion is not a JWT");
        let header = decode_header(assertion).map_err(malformed)?;
        if header.crit.is_some() {
            return Err(Error::InvalidAssertion("the assertion asks for extensions"));
        }
        let sender: Sender = insecure_decode_claims(assertion).map_err(malformed)?;
        let issuers = self.0.read().clone();
        let issuer = issuers
            .get(&sender.iss)
            .ok_or(Error::InvalidAssertion("the assertion's issuer is not known"))?;
        let claims = issuer.read(assertion, &header)?;
        claims.accept(issuer, now)
    }
}

/// A `NumericDate` (RFC 7519): seconds since 1970, of which the fraction does not matter here.
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    if !seconds.is_finite() || seconds < 0.0 {
        return Err(D::Error::custom("no number of seconds since 1970"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let seconds = seconds as u64;
    Ok(seconds)
}

/// As [`numeric_date`], of a claim that may be absent.
fn optional_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    numeric_date(deserializer).map(Some)
}

impl Claims {
    fn read(claims: Map<String, Value>) -> Result<Self> {
        let missing =
            ["sub", "iat", "exp", "jti"].into_iter().find(|name| !claims.contains_key(*name));
        if let Some(name) = missing {
            return Err(Error::InvalidAssertion(is_missing(name)));
        }
        serde_path_to_error::deserialize(Value::Object(claims))
            .map_err(|error| Error::InvalidAssertion(has_wrong_type(&error.path().to_string())))
    }

    fn accept(self, issuer: &TrustedIssuer, now: u64) -> Result<Assertion> {
        if self.exp.saturating_add(LEEWAY) <= now {
            return Err(Error::InvalidAssertion("the assertion has expired"));
        }
        if self.nbf.is_some_and(|nbf| nbf > now + LEEWAY) {
            return Err(Error::InvalidAssertion("the assertion is not good yet"));
        }
        if self.iat > now + LEEWAY {
            return Err(Error::InvalidAssertion("the assertion is of the future"));
        }
        let too_old = self.iat.saturating_add(issuer.max_age.as_secs() + LEEWAY);
        if too_old <= now {
            return Err(Error::InvalidAssertion("the assertion is too old"));
        }
        if self.jti.is_empty() || self.jti.len() > MAX_JTI_LENGTH {
            return Err(Error::InvalidAssertion("the assertion's jti has no usable length"));
        }
        let unusable = |_| Error::InvalidAssertion("the assertion's sub is not a user id");
        let user_id = UserId::parse("sub", &self.sub).map_err(unusable)?;
        if self.name.as_deref().is_some_and(|name| !is_display_name(name)) {
            return Err(Error::InvalidAssertion("the assertion's name cannot be used"));
        }
        if let Some(tier) = &self.tier {
            let unknown = |_| Error::InvalidAssertion(UNKNOWN_TIER);
            Tier::check_name("tier", tier).map_err(unknown)?;
        }
        let expires_at = too_old.min(self.exp.saturating_add(LEEWAY));
        // The length keeps the name from running over into the jti.
        let named = [issuer.name.len().to_string(), issuer.name.clone(), self.jti].join("/");
        Ok(Assertion {
            user_id,
            issuer: issuer.name.clone(),
            provision: issuer.provision,
            name: self.name,
            tier: self.tier,
            terminal_type: self.terminal_type,
            digest: sha256(named.as_bytes()),
            expires_at: OffsetDateTime::from_unix_timestamp(
                i64::try_from(expires_at).unwrap_or(i64::MAX),
            )
            .map_err(|_| Error::InvalidAssertion("the assertion's end is out of reach"))?,
        })
    }
}

fn what_is_wrong(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidAudience => "the assertion is for another audience",
        ErrorKind::InvalidSignature => "the assertion's signature is wrong",
        ErrorKind::InvalidIssuer => "the assertion's iss is not the issuer's name",
        ErrorKind::MissingRequiredClaim(name) => is_missing(name),
        ErrorKind::InvalidClaimFormat(name) => has_wrong_type(name),
        ErrorKind::Json(_) => "the assertion's claims are no JSON object",
        _ => "the assertion is not valid",
    }
}

fn is_missing(claim: &str) -> &'static str {
    match claim {
        "iss" => "the assertion has no iss, or one of the wrong type",
        "aud" => "the assertion has no aud, or one of the wrong type",
        "sub" => "the assertion has no sub, or one of the wrong type",
        "iat" => "the assertion has no iat",
        "exp" => "the assertion has no exp, or one of the wrong type",
        "jti" => "the assertion has no jti",
        _ => "the assertion lacks a claim",
    }
}

fn has_wrong_type(claim: &str) -> &'static str {
    match claim {
        "iss" => "the assertion's iss is not a text",
        "aud" => "the assertion's aud is neither a text nor a list of texts",
        "sub" => "the assertion's sub is not a text",
        "iat" => "the assertion's iat is not a number of seconds since 1970",
        "exp" => "the assertion's exp is not a number of seconds since 1970",
        "nbf" => "the assertion's nbf is not a number of seconds since 1970",
        "jti" => "the assertion's jti is not a text",
        "name" => "the assertion's name is not a text",
        "tier" => "the assertion's tier is not a text",
        "terminal_type" => "the assertion's terminal_type is not a text",
        _ => "a claim of the assertion has the wrong type",
    }
}
