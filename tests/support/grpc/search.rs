//! Searches.

use imd_proto::v1;
use prost_types::Timestamp;
use time::OffsetDateTime;

use crate::support::types::{FoundPage, SearchCall};

impl From<v1::SearchMessagesResponse> for FoundPage {
    fn from(found: v1::SearchMessagesResponse) -> Self {
        let part = |part: &v1::SnippetPart| {
            if part.matched { format!("[{}]", part.text) } else { part.text.clone() }
        };
        let result = |result: v1::FoundMessage| {
            let snippet = result.snippet.iter().map(part).collect();
            (result.message.expect("a message").into(), snippet)
        };
        Self {
            results: found.results.into_iter().map(result).collect(),
            next_page_token: found.next_page_token,
            incomplete: found.incomplete,
        }
    }
}

/// The request of a search.
pub(crate) fn search_request(asked: &SearchCall) -> v1::SearchMessagesRequest {
    let time = |at: OffsetDateTime| Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).expect("nanoseconds"),
    };
    v1::SearchMessagesRequest {
        q: asked.q.clone(),
        conversation_id: asked.conversation_id.clone(),
        from: asked.from.clone(),
        after: asked.after.map(time),
        before: asked.before.map(time),
        page_size: asked.page_size,
        page_token: asked.page_token.clone(),
    }
}
