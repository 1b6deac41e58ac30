//! Sealed tokens, which only imd reads.

use aws_lc_rs::{digest, hmac, rand};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use crate::{
    model::{Error, Result, SessionId, UserNo},
    store::{Key, Store},
};

/// How much the readings that two nodes have of the database's clock may differ, in seconds, and how
/// much an issuer's clock may be off.
pub(super) const LEEWAY: u64 = 5;

/// How many bytes of an HMAC a sealed token carries.
const TAG_LENGTH: usize = 16;

/// Seals what a client only carries: page tokens and refresh tokens.
pub(super) struct OpaqueTokens(hmac::Key);

impl OpaqueTokens {
    pub(super) async fn load(store: &Store) -> Result<Self> {
        let candidate = Key { key_id: new_key_id(), secret: random::<32>()?.to_vec() };
        let key = store.key("opaque_token", candidate).await?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key.secret)))
    }

    /// A token that carries `payload` and is good for `scope` alone.
    pub(super) fn seal(&self, scope: &str, payload: &[u8]) -> String {
        let tag = self.tag(scope, payload);
        BASE64_URL_SAFE_NO_PAD.encode([payload, &tag].concat())
    }

    /// What a token carries; `None` when it was not sealed here for `scope`.
    pub(super) fn open(&self, scope: &str, token: &str) -> Option<Vec<u8>> {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let tag = bytes.split_off(bytes.len().checked_sub(TAG_LENGTH)?);
        let expected = self.tag(scope, &bytes);
        aws_lc_rs::constant_time::verify_slices_are_equal(&tag, &expected).ok()?;
        Some(bytes)
    }

    /// 32 bytes that only this key leads to from `input`.
    pub(super) fn derive(&self, scope: &str, input: &[u8]) -> [u8; 32] {
        let tag = self.mac(scope, input);
        std::array::from_fn(|i| tag.as_ref()[i])
    }

    fn tag(&self, scope: &str, payload: &[u8]) -> [u8; TAG_LENGTH] {
        let tag = self.mac(scope, payload);
        std::array::from_fn(|i| tag.as_ref()[i])
    }

    fn mac(&self, scope: &str, payload: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        // The length keeps a scope from running over into the payload.
        context.update(&(scope.len() as u64).to_be_bytes());
        context.update(scope.as_bytes());
        context.update(payload);
        context.sign()
    }
}

/// What a refresh token carries: whose it is, and 32 bytes that nobody can guess.
///
/// The successor of a token is derived from it with the server's key. So a client that repeats an
/// exchange whose answer got lost gets the same successor, and no list of answers has to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub(super) user_no: UserNo,
    pub(super) session_id: SessionId,
    secret: [u8; 32],
}

const REFRESH_SCOPE: &str = "refresh";
const SUCCESSOR_SCOPE: &str = "refresh/successor";

impl RefreshToken {
    /// The first token of a session.
    pub(super) fn first(user_no: UserNo, session_id: SessionId) -> Result<Self> {
        Ok(Self { user_no, session_id, secret: random()? })
    }

    pub(super) fn successor(&self, keys: &OpaqueTokens) -> Self {
        Self { secret: keys.derive(SUCCESSOR_SCOPE, &self.payload()), ..*self }
    }

    pub(super) fn parse(keys: &OpaqueTokens, token: &str) -> Result<Self> {
        let payload =
            keys.open(REFRESH_SCOPE, token).filter(|payload| payload.len() == 8 + 16 + 32);
        let payload = payload.ok_or(Error::InvalidToken("the refresh token is not valid"))?;
        let user_no = i64::from_be_bytes(std::array::from_fn(|i| payload[i]));
        let session_id = Uuid::from_bytes(std::array::from_fn(|i| payload[8 + i]));
        let secret = std::array::from_fn(|i| payload[24 + i]);
        Ok(Self { user_no: UserNo(user_no), session_id: SessionId(session_id), secret })
    }

    pub(super) fn show(&self, keys: &OpaqueTokens) -> String {
        keys.seal(REFRESH_SCOPE, &self.payload())
    }

    /// What is stored of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(&self.payload())
    }

    fn payload(&self) -> Vec<u8> {
        [&self.user_no.0.to_be_bytes()[..], self.session_id.0.as_bytes(), &self.secret].concat()
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    std::array::from_fn(|i| digest.as_ref()[i])
}

pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::internal("no random bytes to be had"))?;
    Ok(bytes)
}

pub(super) fn new_key_id() -> String {
    Uuid::now_v7().simple().to_string()
}
