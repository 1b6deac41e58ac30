//! Access tokens: JWTs signed with Ed25519, by keys that all nodes share and that follow each other.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{
    rand,
    signature::{Ed25519KeyPair, KeyPair},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use moka::sync::Cache;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Service,
    access::Identity,
    repeat::repeat,
    tokens::{LEEWAY, new_key_id, sha256},
};
use crate::{
    model::{Error, Result, SessionId, UserId, UserNo},
    store::{Key, Store},
};

/// `iss` and `aud` of access tokens.
const ISSUER: &str = "imd";

/// How many verified access tokens are remembered, so that a signature is checked once and not with
/// every call.
const REMEMBERED: u64 = 50_000;

/// How often a node looks which keys are still good.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The user id.
    sub: UserId,
    /// The number of the user.
    uno: i64,
    /// The session id.
    sid: Uuid,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// What a token whose signature was good says.
#[derive(Clone)]
struct Verified {
    identity: Identity,
    exp: u64,
    key_id: Arc<str>,
}

/// The key to sign the next token with.
#[derive(Clone)]
pub(super) struct Signer {
    key_id: String,
    key: EncodingKey,
}

/// Makes and reads access tokens.
pub(super) struct AccessTokens {
    ttl: Duration,
    signer: RwLock<Signer>,
    /// By key id.
    verifying: RwLock<HashMap<Arc<str>, DecodingKey>>,
    /// Held while the keys are read.
    reading: Mutex<()>,
    /// How often that has begun, failures left out.
    reads: AtomicU64,
    validation: Validation,
    verified: Cache<[u8; 32], Verified>,
}

impl AccessTokens {
    /// Makes the first key, when there is none. Tokens last `ttl`.
    pub(super) async fn load(store: &Store, ttl: Duration) -> Result<Self> {
        store.key("access_token", new_key()?).await?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        // Judged below: by a clock that all nodes share.
        validation.validate_exp = false;
        let tokens = Self {
            ttl,
            signer: RwLock::new(Signer::new(&store.signing_key(ttl).await?)),
            verifying: RwLock::default(),
            reading: Mutex::default(),
            reads: AtomicU64::default(),
            validation,
            verified: Cache::new(REMEMBERED),
        };
        tokens.read_keys(store).await?;
        Ok(tokens)
    }

    /// The key that is current now, on all nodes.
    pub(super) async fn signer(&self, store: &Store) -> Result<Signer> {
        let current = store.signing_key_id().await?;
        let signer = self.signer.read().clone();
        if signer.key_id == current {
            return Ok(signer);
        }
        let signer = Signer::new(&store.signing_key(self.ttl).await?);
        *self.signer.write() = signer.clone();
        Ok(signer)
    }

    /// Who the token says is calling. Whether the session is still live it does not say.
    pub(super) async fn read(&self, store: &Store, token: &str) -> Result<Identity> {
        let fingerprint = sha256(token.as_bytes());
        if let Some(known) = self.verified.get(&fingerprint)
            && known.exp + LEEWAY > store.unix_now()
            && self.verifying.read().contains_key(&known.key_id)
        {
            return Ok(known.identity);
        }
        let invalid = Error::InvalidToken("the access token is not valid");
        let key_id = decode_header(token).ok().and_then(|header| header.kid).ok_or(invalid)?;
        let (key_id, key) = self.verifying_key(store, &key_id).await?;
        let claims = decode::<Claims>(token, &key, &self.validation)
            .map_err(|_| Error::InvalidToken("the access token is not valid"))?
            .claims;
        if claims.exp + LEEWAY <= store.unix_now() {
            return Err(Error::InvalidToken("the access token has expired"));
        }
        if claims.nbf > store.unix_now() + LEEWAY {
            return Err(Error::InvalidToken("the access token is not valid yet"));
        }
        let identity = Identity {
            user_id: claims.sub,
            user_no: UserNo(claims.uno),
            session_id: SessionId(claims.sid),
        };
        let verified = Verified { identity: identity.clone(), exp: claims.exp, key_id };
        self.verified.insert(fingerprint, verified);
        Ok(identity)
    }

    /// The key of this id; one that is not known may be new.
    async fn verifying_key(&self, store: &Store, key_id: &str) -> Result<(Arc<str>, DecodingKey)> {
        let known = || {
            let keys = self.verifying.read();
            keys.get_key_value(key_id).map(|(key_id, key)| (key_id.clone(), key.clone()))
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        // However many ask, the keys are read once at a time: a call that waits is content with any
        // reading that began after it.
        let begun = self.reads.load(Ordering::Acquire);
        let reading = self.reading.lock().await;
        if self.reads.load(Ordering::Acquire) == begun {
            self.read_keys_alone(store).await?;
        }
        drop(reading);
        known().ok_or(Error::InvalidToken("the access token is not valid"))
    }

    /// Reads which keys are good.
    async fn read_keys(&self, store: &Store) -> Result<()> {
        let _reading = self.reading.lock().await;
        self.read_keys_alone(store).await
    }

    async fn read_keys_alone(&self, store: &Store) -> Result<()> {
        self.reads.fetch_add(1, Ordering::AcqRel);
        let found = store.verifying_keys().await.inspect_err(|_| {
            self.reads.fetch_sub(1, Ordering::AcqRel);
        })?;
        let mut keys = HashMap::new();
        for key in found {
            let pair = Ed25519KeyPair::from_pkcs8(&key.secret).map_err(Error::internal)?;
            let verifying = DecodingKey::from_ed_der(pair.public_key().as_ref());
            keys.insert(Arc::from(key.key_id), verifying);
        }
        *self.verifying.write() = keys;
        Ok(())
    }
}

impl Signer {
    fn new(key: &Key) -> Self {
        Self { key_id: key.key_id.clone(), key: EncodingKey::from_ed_der(&key.secret) }
    }

    /// A token that is good for `ttl` from `now` on, in seconds since 1970.
    pub(super) fn sign(&self, identity: &Identity, ttl: Duration, now: u64) -> Result<String> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: identity.user_id.clone(),
            uno: identity.user_no.0,
            sid: identity.session_id.0,
            iat: now,
            nbf: now,
            exp: now + ttl.as_secs(),
        };
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &self.key).map_err(Error::internal)
    }
}

impl Service {
    /// Forgets the keys that are no longer good, here and in the database. Runs for ever.
    pub async fn keep_keys(self: Arc<Self>) {
        repeat(Duration::ZERO, LOOK, "cannot look which keys are good", || self.look_at_keys())
            .await;
    }

    async fn look_at_keys(&self) -> Result<()> {
        self.access_tokens.read_keys(&self.store).await
    }
}

/// A key for access tokens.
pub(super) fn new_key() -> Result<Key> {
    let fresh = Ed25519KeyPair::generate_pkcs8(&rand::SystemRandom::new())
        .map_err(|_| Error::internal("cannot make a signing key"))?;
    Ok(Key { key_id: new_key_id(), secret: fresh.as_ref().to_vec() })
}
