//! Quotes: messages that answer another one of the same conversation.

mod cost;
mod groups;
mod users;

use crate::support::{
    api::Outgoing,
    types::{Entry, Message, Quote},
};

/// A message that quotes another.
fn reply(message_id: &str, message: Outgoing) -> Outgoing {
    Outgoing { reply_to: message_id.to_owned(), ..message }
}

/// What a message quotes.
fn quote(message: &Message) -> &Quote {
    message.reply_to.as_ref().unwrap_or_else(|| panic!("{message:?} quotes nothing"))
}

/// The same of an entry that is a message.
fn quoted(entry: &Entry) -> &Quote {
    quote(entry.message())
}
