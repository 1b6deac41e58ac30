//! With whom a conversation is.

use imd_proto::v1::{send_request::To, signal_request};

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    User(String),
    Group(String),
}

impl Peer {
    /// Reads the id of a conversation, or that of a user: ids have no colon.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None => Ok(Self::User(text.to_owned())),
            Some(("user", id)) => Ok(Self::User(id.to_owned())),
            Some(("group", id)) => Ok(Self::Group(id.to_owned())),
            Some((kind, _)) => Err(format!(
                "{kind:?} is no kind of conversation: a user's id or group:ID is wanted"
            )),
        }
    }

    /// The id of the conversation with it.
    pub(super) fn conversation_id(&self) -> String {
        match self {
            Self::User(id) => format!("user:{id}"),
            Self::Group(id) => format!("group:{id}"),
        }
    }

    /// Where messages to it are sent.
    pub(super) fn to(&self) -> To {
        match self {
            Self::User(id) => To::UserId(id.clone()),
            Self::Group(id) => To::GroupId(id.clone()),
        }
    }

    /// Where signals to it are sent.
    pub(super) fn signal_to(&self) -> signal_request::To {
        match self {
            Self::User(id) => signal_request::To::UserId(id.clone()),
            Self::Group(id) => signal_request::To::GroupId(id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_told_from_a_user() {
        assert_eq!(Peer::read("bob"), Ok(Peer::User("bob".to_owned())));
        assert_eq!(Peer::read("user:bob"), Ok(Peer::User("bob".to_owned())));
        assert_eq!(Peer::read("group:team"), Ok(Peer::Group("team".to_owned())));
        assert!(Peer::read("room:team").is_err_and(|why| why.contains("group:ID")));
    }
}
