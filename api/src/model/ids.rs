//! Ids as they stand in the contract, and the numbers that stand for them inside.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    cipher::{AES_128, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey},
    digest::{SHA256, digest},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, Result};

/// The longest user or device id, in characters.
const MAX_ID_LENGTH: usize = 64;

/// Ids of the customer's own, of one kind each.
macro_rules! customer_ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
            #[serde(transparent)]
            pub struct $name(Arc<str>);

            impl $name {
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

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Debug::fmt(&self.0, f)
                }
            }
        )+
    };
}

customer_ids! {
    /// The customer's own id of a user: 1–64 of `[A-Za-z0-9._@+=-]`, neither `.` nor `..`. `Alice` and
    /// `alice` are two users: ids are compared byte by byte, as most systems that issue them do. Cheap
    /// to clone.
    UserId;
    /// The customer's own id of a group, or one that imd made. The rules are those of a user id.
    GroupId;
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

/// Whether an id may begin so, or be it.
pub(crate) fn may_begin_an_id(value: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._@+=-".contains(c);
    value.len() <= MAX_ID_LENGTH && value.chars().all(allowed)
}

/// Whether an id that a client gave as `field` is 1–64 of `[A-Za-z0-9._@+=-]`, and neither `.` nor `..`:
/// a URL cannot name these, since clients and proxies resolve them as steps of a path.
pub(crate) fn check_id(field: &'static str, value: &str) -> Result<()> {
    if value.is_empty() || !may_begin_an_id(value) {
        let reason = format!("must be 1–{MAX_ID_LENGTH} characters of A-Z a-z 0-9 . _ @ + = -");
        return Err(Error::invalid(field, reason));
    }
    if matches!(value, "." | "..") {
        return Err(Error::invalid(field, "must not be . or .., which no URL can name"));
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

/// The number that stands for a group inside. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupNo(pub i64);

/// A timeline: positive is that of the user with this number, negative that of the group with the
/// opposite number. Timelines are locked in the order of these numbers, so groups come before users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimelineNo(pub i64);

impl TimelineNo {
    /// The user whose timeline it is; `None` for a group's.
    #[must_use]
    pub fn user(self) -> Option<UserNo> {
        (self.0 > 0).then_some(UserNo(self.0))
    }

    /// The group whose timeline it is; `None` for a user's.
    #[must_use]
    pub fn group(self) -> Option<GroupNo> {
        (self.0 < 0).then_some(GroupNo(self.0.saturating_neg()))
    }
}

impl From<UserNo> for TimelineNo {
    fn from(user_no: UserNo) -> Self {
        Self(user_no.0)
    }
}

impl From<GroupNo> for TimelineNo {
    fn from(group_no: GroupNo) -> Self {
        Self(-group_no.0)
    }
}

/// A conversation as the owner of a timeline sees it: positive is the number of the other user, or the
/// owner's own for notes to oneself; negative is the timeline of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationNo(pub i64);

impl ConversationNo {
    /// The other user; `None` in a group.
    #[must_use]
    pub fn peer(self) -> Option<UserNo> {
        (self.0 > 0).then_some(UserNo(self.0))
    }

    /// The group; `None` with a user.
    #[must_use]
    pub fn group(self) -> Option<GroupNo> {
        (self.0 < 0).then_some(GroupNo(self.0.saturating_neg()))
    }
}

impl From<UserNo> for ConversationNo {
    fn from(user_no: UserNo) -> Self {
        Self(user_no.0)
    }
}

impl From<GroupNo> for ConversationNo {
    fn from(group_no: GroupNo) -> Self {
        Self(-group_no.0)
    }
}

/// A message, the same for all its participants, by the place of its home: the sender's own row for a
/// message between two users, a row of the group's timeline for one to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The timeline of the home.
    pub home: TimelineNo,
    /// The place in that timeline: less than 2⁴⁸.
    pub seq: i64,
    /// The generation of the database in which it was written: another message may stand in a place that
    /// was lost with the one before.
    pub generation: i16,
}

impl MessageId {
    /// A client's id to give a message whose own is gone: always the same for the same message of the
    /// same sender, and for no other.
    #[must_use]
    pub fn stand_in(&self, sender: &UserId) -> Uuid {
        let named = format!("{sender} {}", BASE64_URL_SAFE_NO_PAD.encode(self.block()));
        let digest = digest(&SHA256, named.as_bytes());
        let bytes = std::array::from_fn(|i| digest.as_ref()[i]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The numbers in one block of the cipher: eight bytes, two, and six.
    fn block(self) -> [u8; 16] {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&self.home.0.to_be_bytes());
        block[8..10].copy_from_slice(&self.generation.to_be_bytes());
        block[10..].copy_from_slice(&self.seq.to_be_bytes()[2..]);
        block
    }
}

/// A message id as clients know it: [`MessageId`], encrypted as one block. It says nothing about who
/// wrote how much, and an id that was not made here most likely names no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SealedMessageId([u8; 16]);

impl SealedMessageId {
    /// Reads what a client gave as `message_id`.
    pub fn parse(value: &str) -> Result<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok();
        let bytes: Option<[u8; 16]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| Error::invalid("message_id", "is not a message id"))
    }
}

impl fmt::Display for SealedMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Serialize for SealedMessageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SealedMessageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Turns message ids into what clients see of them, and back: AES-128 over one block, with a key that
/// all nodes of a database share. Within one block there is nothing for a mode of operation to add, and
/// equal ids must look equal.
pub struct MessageIdCipher {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl MessageIdCipher {
    /// The length of the key in bytes.
    pub const KEY_LENGTH: usize = 16;

    /// Errors: [`Error::Internal`] for a key of another length than [`Self::KEY_LENGTH`].
    pub fn new(key: &[u8]) -> Result<Self> {
        let unusable = |_| Error::internal("the key of message ids is not an AES-128 key");
        let key = || UnboundCipherKey::new(&AES_128, key);
        Ok(Self {
            encrypting: key().and_then(EncryptingKey::ecb).map_err(unusable)?,
            decrypting: key().and_then(DecryptingKey::ecb).map_err(unusable)?,
        })
    }

    /// What clients see of an id.
    pub fn seal(&self, id: MessageId) -> Result<SealedMessageId> {
        if id.seq >> 48 != 0 {
            return Err(Error::internal("a timeline has more entries than a message id can name"));
        }
        let mut block = id.block();
        match self.encrypting.encrypt(&mut block) {
            Ok(_) => Ok(SealedMessageId(block)),
            Err(_) => Err(Error::internal("a message id cannot be encrypted")),
        }
    }

    /// The id that clients see so. What was not sealed here is an id all the same, most likely of no
    /// message.
    pub fn open(&self, SealedMessageId(mut block): SealedMessageId) -> Result<MessageId> {
        let opened = self.decrypting.decrypt(&mut block, DecryptionContext::None);
        opened.map_err(|_| Error::internal("a message id cannot be decrypted"))?;
        let [home @ .., _, _, _, _, _, _, _, _] = block;
        let [_, _, _, _, _, _, _, _, high, low, seq @ ..] = block;
        Ok(MessageId {
            home: TimelineNo(i64::from_be_bytes(home)),
            seq: seq.iter().fold(0, |seq, byte| seq << 8 | i64::from(*byte)),
            generation: i16::from_be_bytes([high, low]),
        })
    }
}

/// A conversation as the owner of a timeline sees it: `user:<peer id>` or `group:<group id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConversationId {
    /// With one user; with oneself for notes.
    User(UserId),
    /// With the members of a group.
    Group(GroupId),
}

impl ConversationId {
    /// Reads what a client gave as `conversation_id`.
    pub fn parse(value: &str) -> Result<Self> {
        match value.split_once(':') {
            Some(("user", id)) => UserId::parse("conversation_id", id).map(Self::User),
            Some(("group", id)) => GroupId::parse("conversation_id", id).map(Self::Group),
            _ => {
                let reason = "must be user:<user id> or group:<group id>";
                Err(Error::invalid("conversation_id", reason))
            }
        }
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(peer) => write!(f, "user:{peer}"),
            Self::Group(group) => write!(f, "group:{group}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(home: i64, seq: i64) -> MessageId {
        MessageId { home: TimelineNo(home), seq, generation: 0 }
    }

    #[test]
    fn a_sealed_id_opens_to_what_was_sealed_and_shows_nothing_of_it() {
        let cipher = MessageIdCipher::new(&[7; MessageIdCipher::KEY_LENGTH]).unwrap();
        let other = MessageIdCipher::new(&[8; MessageIdCipher::KEY_LENGTH]).unwrap();
        let later = MessageId { generation: 3, ..id(7, 1) };
        for id in [id(7, 1), id(7, 2), id(-7, (1 << 48) - 1), later] {
            let sealed = cipher.seal(id).unwrap();
            let read = SealedMessageId::parse(&sealed.to_string()).unwrap();
            assert_eq!(cipher.open(read).unwrap(), id);
            assert_ne!(sealed.0, id.block());
            assert_ne!(other.open(sealed).unwrap(), id);
        }
        // Neighbours have nothing in common.
        let [one, two] = [id(7, 1), id(7, 2)].map(|id| cipher.seal(id).unwrap());
        assert_ne!(one.0[..8], two.0[..8]);
    }

    #[test]
    fn a_stand_in_is_the_messages_own() {
        let [ann, bob] = ["ann", "bob"].map(UserId::from_stored);
        assert_eq!(id(7, 1).stand_in(&ann), id(7, 1).stand_in(&ann));
        assert_ne!(id(7, 1).stand_in(&ann), id(7, 2).stand_in(&ann));
        assert_ne!(id(7, 1).stand_in(&ann), id(7, 1).stand_in(&bob));
    }

    #[test]
    fn an_id_can_be_a_step_of_a_path() {
        for good in ["a", "...", ".a", "..a", "Alice", "alice"] {
            assert!(UserId::parse("user_id", good).is_ok(), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "a%2e"] {
            assert!(UserId::parse("user_id", bad).is_err(), "{bad:?}");
            assert!(DeviceId::parse("device_id", bad.to_owned()).is_err(), "{bad:?}");
        }
        assert_ne!(UserId::from_stored("Alice"), UserId::from_stored("alice"));
    }

    #[test]
    fn what_is_no_message_id_is_refused_by_name() {
        for bad in ["", "AAAA", "AAAAAAAAAAEAAAAAAAAAK", "AAAAAAAAAAEAAAAAAAAAKgA", "not base64!"] {
            let error = SealedMessageId::parse(bad).unwrap_err();
            assert!(matches!(error, Error::InvalidArgument { field: "message_id", .. }), "{bad:?}");
        }
    }
}
