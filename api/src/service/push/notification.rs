//! What a terminal is told.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use time::OffsetDateTime;

use crate::model::{Content, ConversationId, Entry, Message, PushContent};

/// How many bytes of a text are told, as JSON: with all the rest it fits into what a push service takes.
const MOST_TEXT: usize = 2000;

/// What is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum News {
    /// There is something to read.
    Message(Notification),
    /// There is no more to read in a conversation that was told of: without a sound.
    Cleared(Cleared),
    /// Nothing: an administrator wants to know whether the terminal is told.
    Test(Test),
}

impl News {
    /// Names the conversation without saying which one it is: what is told later takes the place of it. 32
    /// characters, as long as the topics of Web Push may be.
    pub(super) fn tag(&self) -> &str {
        match self {
            Self::Message(notification) => &notification.tag,
            Self::Cleared(cleared) => &cleared.tag,
            Self::Test(test) => &test.tag,
        }
    }

    /// The place in the user's timeline of what is told.
    pub(super) fn seq(&self) -> i64 {
        match self {
            Self::Message(notification) => notification.seq,
            Self::Cleared(cleared) => cleared.seq,
            Self::Test(_) => 0,
        }
    }

    /// How many messages the user has not read.
    pub(super) fn badge(&self) -> usize {
        match self {
            Self::Message(notification) => notification.badge,
            Self::Cleared(cleared) => cleared.badge,
            Self::Test(test) => test.badge,
        }
    }

    pub(super) fn set_badge(&mut self, badge: usize) {
        match self {
            Self::Message(notification) => notification.badge = badge,
            Self::Cleared(cleared) => cleared.badge = badge,
            Self::Test(test) => test.badge = badge,
        }
    }
}

/// The newest message of a conversation, for a terminal that does not have it.
#[derive(Debug, Serialize)]
pub(super) struct Notification {
    tag: String,
    pub(super) message_id: String,
    seq: i64,
    /// How many messages of the conversation the terminal does not have, as far as they were looked at.
    pub(super) count: u32,
    badge: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) silent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sender_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) sent_at: OffsetDateTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    mentioned: Option<bool>,
    /// As much of a text as fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// Of what is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
}

/// A conversation in which there is nothing more to read.
#[derive(Debug, Serialize)]
pub(super) struct Cleared {
    /// Always true: it tells this from a message.
    cleared: bool,
    tag: String,
    seq: i64,
    badge: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conversation_id: Option<String>,
}

/// What is told for a test.
#[derive(Debug, Serialize)]
pub(super) struct Test {
    /// Always true: it tells this from a message.
    test: bool,
    tag: String,
    pub(super) text: String,
    badge: usize,
}

impl Test {
    pub(super) fn new(badge: usize) -> Self {
        let text = "This is a test.".to_owned();
        Self { test: true, tag: "test".to_owned(), text, badge }
    }
}

/// See [`News::tag`].
fn tag(of: &ConversationId) -> String {
    let hash = digest(&SHA256, of.to_string().as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..24])
}

impl Notification {
    pub(super) fn new(
        (told, count): (PushContent, u32),
        message: &Message,
        content: &Content,
        entry: &Entry,
    ) -> Self {
        let names = told != PushContent::Id;
        let all = told == PushContent::Full;
        let text = match content.content_type() {
            None if all => Some(cut(&String::from_utf8_lossy(content.body()))),
            _ => None,
        };
        Self {
            tag: tag(&message.conversation_id),
            message_id: message.message_id.to_string(),
            seq: entry.seq(),
            count,
            badge: 0,
            silent: message.notice.silent,
            conversation_id: names.then(|| message.conversation_id.to_string()),
            sender_id: names.then(|| message.sender.to_string()),
            sent_at: entry.appended_at,
            mentioned: names.then_some(message.mentioned),
            text,
            content_type: content.content_type().filter(|_| all).map(str::to_owned),
        }
    }

    pub(super) fn is_of(&self, of: &ConversationId) -> bool {
        self.tag == tag(of)
    }
}

impl Cleared {
    pub(super) fn new(told: PushContent, of: &ConversationId, entry: &Entry) -> Self {
        let names = told != PushContent::Id;
        Self {
            cleared: true,
            tag: tag(of),
            seq: entry.seq(),
            badge: 0,
            conversation_id: names.then(|| of.to_string()),
        }
    }

    pub(super) fn is_of(&self, of: &ConversationId) -> bool {
        self.tag == tag(of)
    }
}

/// As many characters as fit once they are written as JSON, in which some take more than their bytes.
fn cut(text: &str) -> String {
    let mut room = MOST_TEXT;
    let fits = |character: &char| {
        let bytes = match character {
            '"' | '\\' => 2,
            '\0'..='\x1f' => "\\u0000".len(),
            other => other.len_utf8(),
        };
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    };
    text.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_what_it_takes_as_json() {
        for text in ["x", "\"", "\0", "\u{1f44b}"] {
            let cut = cut(&text.repeat(5000));
            let written = serde_json::to_string(&cut).expect("JSON").len() - 2;
            assert!((MOST_TEXT - 6..=MOST_TEXT).contains(&written), "{text:?}: {written}");
        }
        assert_eq!(cut("whole"), "whole");
    }
}
