//! What the checker found, in words for people.

use std::{
    fmt::{Display, Formatter, Result},
    sync::Arc,
};

/// A message, for people: its number in the history, and the names of its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The number of the send.
    pub number: u32,
    /// Who sent it.
    pub sender: Arc<str>,
    /// To whom, or to which group.
    pub recipient: Arc<str>,
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "message {} ({} → {})", self.number, self.sender, self.recipient)
    }
}

/// Something that is not as it must be. Terminals and users are given by name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each says what the fields are")]
pub enum Violation {
    /// Seqs are not dense.
    #[error("{terminal}: entries {from} to {to} never came")]
    Gap { terminal: Arc<str>, from: i64, to: i64 },
    /// Seqs do not grow.
    #[error("{terminal}: entry {seq} came behind entry {last}")]
    Backwards { terminal: Arc<str>, seq: i64, last: i64 },
    /// One terminal of a user has less than another.
    #[error("{terminal}: its last entry is {last}, but the timeline reaches {reaches}")]
    Behind { terminal: Arc<str>, last: i64, reaches: i64 },
    /// Two terminals of a user have different entries at one place.
    #[error("{user}: entry {seq} is not the same on {one} and on {other}")]
    Different { user: Arc<str>, seq: i64, one: Arc<str>, other: Arc<str> },
    /// An acknowledged message is not there.
    #[error("{terminal}: {message}, acknowledged, never came")]
    Missing { terminal: Arc<str>, message: Message },
    /// A message is there more than once.
    #[error("{terminal}: {message} stands at {first} and again at {second}")]
    Duplicate { terminal: Arc<str>, message: Message, first: i64, second: i64 },
    /// A message that nobody sent, or whose body was altered.
    #[error("{terminal}: entry {seq} is a message that nobody sent")]
    Invented { terminal: Arc<str>, seq: i64 },
    /// A message whose sender was told that it is not stored.
    #[error("{terminal}: entry {seq} is {message}, which was refused")]
    Refused { terminal: Arc<str>, seq: i64, message: Message },
    /// A message of others.
    #[error("{terminal}: entry {seq} is {message}, which is none of this user's")]
    Astray { terminal: Arc<str>, seq: i64, message: Message },
    /// A message to a group, sent before its user was a member or after.
    #[error("{terminal}: entry {seq} is {message}, sent while this user was no member")]
    Outside { terminal: Arc<str>, seq: i64, message: Message },
    /// The acknowledgement named another message.
    #[error(
        "{terminal}: entry {seq} is {message} with another message_id than its sender was told"
    )]
    OtherId { terminal: Arc<str>, seq: i64, message: Message },
    /// The acknowledgement named another place.
    #[error("{terminal}: {message} stands at {seq}, but its sender was told {told}")]
    OtherPlace { terminal: Arc<str>, message: Message, seq: i64, told: i64 },
    /// A message of unknown outcome is neither everywhere nor nowhere.
    #[error("{message}, given up by its sender, came to {seen} of {terminals} terminals")]
    Torn { message: Message, seen: u32, terminals: u32 },
    /// A message stands before one that was acknowledged before it was sent.
    #[error("{user}: {later} stands before {earlier}, which was acknowledged before it was sent")]
    Order { user: Arc<str>, earlier: Message, later: Message },
    /// Two members have a group's messages in different orders.
    #[error("{terminal}: {earlier} stands before {later}, and on {model} behind it")]
    GroupOrder { terminal: Arc<str>, earlier: Message, later: Message, model: Arc<str> },
}
