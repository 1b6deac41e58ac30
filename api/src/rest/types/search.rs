//! Messages that were found.

use serde::Serialize;
use utoipa::ToSchema;

use super::entry::Entry;
use crate::{model, service::SearchResults};

/// Messages that were found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({
    "results": [{
        "message": Entry::example(),
        "snippet": [{ "text": "hel", "matched": true }, { "text": "lo", "matched": false }],
    }],
    "next_page_token": "",
    "incomplete": false,
})))]
pub(crate) struct FoundMessageList {
    /// Newest first.
    results: Vec<FoundMessage>,
    /// For the next, older page; empty on the last one.
    next_page_token: String,
    /// Whether some messages were not looked at: they are not indexed yet, as for a while after many have come at once.
    incomplete: bool,
}

/// A message that was found.
#[derive(Debug, Serialize, ToSchema)]
struct FoundMessage {
    /// The message, as the history has it.
    message: Entry,
    /// The part of its text around what was looked for: some 160 characters.
    snippet: Vec<SnippetPart>,
}

/// A part of what is shown of a message that was found.
#[derive(Debug, Serialize, ToSchema)]
struct SnippetPart {
    /// What it says.
    text: String,
    /// Whether it is what was looked for.
    matched: bool,
}

impl From<SearchResults> for FoundMessageList {
    fn from(found: SearchResults) -> Self {
        Self {
            results: found.page.items.iter().map(Into::into).collect(),
            next_page_token: found.page.next_page_token.unwrap_or_default(),
            incomplete: found.incomplete,
        }
    }
}

impl From<&model::FoundMessage> for FoundMessage {
    fn from(found: &model::FoundMessage) -> Self {
        let part = |part: &model::SnippetPart| SnippetPart {
            text: part.text.clone(),
            matched: part.matched,
        };
        Self { message: (&found.message).into(), snippet: found.snippet.iter().map(part).collect() }
    }
}
