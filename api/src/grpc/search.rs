//! Searches in the contract's messages.

use imd_proto::v1;

use super::convert;
use crate::{
    model::{Error, FoundMessage, SnippetPart},
    service::{SearchMessages, SearchResults},
};

/// What is looked for.
pub(super) fn decode(asked: v1::SearchMessagesRequest) -> Result<SearchMessages, Error> {
    let v1::SearchMessagesRequest {
        q,
        conversation_id,
        from,
        after,
        before,
        page_size,
        page_token,
    } = asked;
    Ok(SearchMessages {
        q,
        conversation_id,
        from,
        after: convert::time_if_given("after", after)?,
        before: convert::time_if_given("before", before)?,
        page_size,
        page_token,
    })
}

/// What was found.
pub(super) fn encode(found: &SearchResults) -> v1::SearchMessagesResponse {
    let part =
        |part: &SnippetPart| v1::SnippetPart { text: part.text.clone(), matched: part.matched };
    let result = |found: &FoundMessage| v1::FoundMessage {
        message: Some(convert::entry(&found.message)),
        snippet: found.snippet.iter().map(part).collect(),
    };
    v1::SearchMessagesResponse {
        results: found.page.items.iter().map(result).collect(),
        next_page_token: found.page.next_page_token.clone().unwrap_or_default(),
        incomplete: found.incomplete,
    }
}
