//! What a terminal is told.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use time::OffsetDateTime;

use crate::model::{Content, ConversationNo, Entry, Message, PushContent};

/// How many bytes of a text are told, as JSON: with all the rest it fits into what a push service takes.
const MOST_TEXT: usize = 2000;

/// The newest message of a conversation, for a terminal that does not have it.
#[derive(Debug, Serialize)]
pub(super) struct Notification {
    #[serde(skip)]
    pub(super) conversation: ConversationNo,
    /// Names the conversation without saying which one it is: what is told later takes the place of it.
    #[serde(skip)]
    pub(super) topic: String,
    pub(super) message_id: String,
    /// The place in the user's timeline.
    pub(super) seq: i64,
    /// How many messages of the conversation the terminal does not have, as far as they were looked at.
    pub(super) count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    sent_at: OffsetDateTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    mentioned: Option<bool>,
    /// As much of a text as fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Of what is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
}

impl Notification {
    pub(super) fn new(
        (told, conversation, count): (PushContent, ConversationNo, u32),
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
        let conversation_id = message.conversation_id.to_string();
        let hash = digest(&SHA256, conversation_id.as_bytes());
        Self {
            conversation,
            // As long as the topics of Web Push may be: 32 characters.
            topic: BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..24]),
            message_id: message.message_id.to_string(),
            seq: entry.seq(),
            count,
            conversation_id: names.then_some(conversation_id),
            sender_id: names.then(|| message.sender.to_string()),
            sent_at: entry.appended_at,
            mentioned: names.then_some(message.mentioned),
            text,
            content_type: content.content_type().filter(|_| all).map(str::to_owned),
        }
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
