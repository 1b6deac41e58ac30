//! Ids as they stand in the contract, and the numbers that stand for them inside.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, Result};

/// The longest user or device id, in characters.
const MAX_ID_LENGTH: usize = 64;

/// The customer's own id of a user: 1–64 of `[A-Za-z0-9._@+=-]`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Checks what a client gave as `field`.
    pub fn parse(field: &'static str, value: &str) -> Result<Self> {
        check_id(field, value)?;
        Ok(Self(value.into()))
    }

    /// An id that was checked when it was stored.
    #[must_use]
    pub fn from_stored(value: &str) -> Self {
        Self(value.into())
    }

    /// The id as the customer knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The id that an installation of a client gave itself. The rules are those of a user id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(String);

impl DeviceId {
    /// Checks what a client gave as `field`.
    pub fn parse(field: &'static str, value: String) -> Result<Self> {
        check_id(field, &value)?;
        Ok(Self(value))
    }

    /// An id that was checked when it was stored.
    #[must_use]
    pub fn from_stored(value: String) -> Self {
        Self(value)
    }

    /// The id as its client knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether an id that a client gave as `field` is 1–64 of `[A-Za-z0-9._@+=-]`.
pub(crate) fn check_id(field: &'static str, value: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+=-".contains(c);
    if value.is_empty() || value.len() > MAX_ID_LENGTH || !value.chars().all(allowed) {
        let reason = format!("must be 1–{MAX_ID_LENGTH} characters of A-Z a-z 0-9 . _ @ + = -");
        return Err(Error::invalid(field, reason));
    }
    Ok(())
}

/// The number that stands for a user inside. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserNo(pub i64);

/// One login: a `UUIDv7`, so that ids sort by the time of login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// An id for a login that happens now.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads what a client gave as `field`.
    pub fn parse(field: &'static str, value: &str) -> Result<Self> {
        parse_uuid(field, value).map(Self)
    }
}

impl Default for SessionId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a UUID that a client gave as `field`.
pub(crate) fn parse_uuid(field: &'static str, value: &str) -> Result<Uuid> {
    Uuid::try_parse(value).map_err(|_| Error::invalid(field, "must be a UUID"))
}

/// A message, the same for all its participants: the place of the sender's own copy. Opaque to
/// clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageId {
    /// Whose timeline the place is in.
    pub sender: UserNo,
    /// The place.
    pub sender_seq: i64,
}

impl MessageId {
    /// Reads what a client gave as `message_id`.
    pub fn parse(value: &str) -> Result<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok();
        let bytes: Option<[u8; 16]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| Error::invalid("message_id", "is not a message id"))?;
        let number = |from: usize| i64::from_be_bytes(std::array::from_fn(|i| bytes[from + i]));
        Ok(Self { sender: UserNo(number(0)), sender_seq: number(8) })
    }
}

impl MessageId {
    /// A client's id to give a message whose own is gone: always the same for the same message of the
    /// same sender, and for no other.
    #[must_use]
    pub fn stand_in(&self, sender: &UserId) -> Uuid {
        let named = format!("{sender} {self}");
        let digest = digest(&SHA256, named.as_bytes());
        let bytes = std::array::from_fn(|i| digest.as_ref()[i]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.sender.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.sender_seq.to_be_bytes());
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// A conversation as the owner of a timeline sees it: `user:<peer id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConversationId {
    /// With one user; with oneself for notes.
    User(UserId),
}

impl ConversationId {
    /// Reads what a client gave as `conversation_id`.
    pub fn parse(value: &str) -> Result<Self> {
        let peer = value
            .strip_prefix("user:")
            .ok_or_else(|| Error::invalid("conversation_id", "must be user:<user id>"))?;
        UserId::parse("conversation_id", peer).map(Self::User)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::User(peer) = self;
        write!(f, "user:{peer}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_reads_back_what_it_shows() {
        let id = MessageId { sender: UserNo(7), sender_seq: i64::MAX - 1 };
        assert_eq!(MessageId::parse(&id.to_string()).unwrap(), id);
    }

    #[test]
    fn a_stand_in_is_the_messages_own() {
        let [ann, bob] = ["ann", "bob"].map(UserId::from_stored);
        let id = |seq| MessageId { sender: UserNo(7), sender_seq: seq };
        assert_eq!(id(1).stand_in(&ann), id(1).stand_in(&ann));
        assert_ne!(id(1).stand_in(&ann), id(2).stand_in(&ann));
        assert_ne!(id(1).stand_in(&ann), id(1).stand_in(&bob));
    }

    #[test]
    fn what_is_no_message_id_is_refused_by_name() {
        for bad in ["", "AAAA", "AAAAAAAAAAEAAAAAAAAAK", "AAAAAAAAAAEAAAAAAAAAKgA", "not base64!"] {
            let error = MessageId::parse(bad).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { field: "message_id", .. }), "{bad:?}");
        }
    }
}
