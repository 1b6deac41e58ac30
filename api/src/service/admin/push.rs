//! Which terminals are told of messages, and whether that works.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Admin, list_size};
use crate::{
    model::{Page, PushProvider, PushResult, Result, Role, SessionId, UserId, UserNo},
    service::conversations::instant,
    store::{PushFilter, PushToken},
};

/// How many terminals of one user are told that this is a test.
const MOST_TESTED: i64 = 100;

/// How many are told at a time.
const AT_ONCE: usize = 16;

/// Which terminals to list.
#[derive(Debug, Default)]
pub struct PushQuery {
    /// Only those of this user; empty for all.
    pub user_id: String,
    /// Only those that the provider of this name tells; empty for all.
    pub provider: String,
    /// Only those that were bound then or later.
    pub since: Option<OffsetDateTime>,
}

impl Admin<'_> {
    /// The terminals that are told of messages, in the order of users.
    ///
    /// Errors: [`crate::model::Error::InvalidArgument`]; [`crate::model::Error::UserNotFound`].
    pub async fn list_push_tokens(
        &self,
        query: &PushQuery,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<PushToken>> {
        self.require(Role::Viewer)?;
        let size = list_size(page_size)?;
        let PushQuery { user_id, provider, since } = query;
        let provider = match provider.as_str() {
            "" => None,
            name => Some(PushProvider::parse("provider", name)?),
        };
        let user_no = self.only_of(user_id).await?;
        let scope = format!("push_tokens/{user_no:?}/{provider:?}/{:?}", instant(*since));
        let after =
            self.service.read_page_token(&scope, page_token, |payload| read_place(&payload))?;
        let filter = PushFilter { user_no, provider, since: *since };
        let mut items = self.service.store.push_tokens(&filter, after, size.get() + 1).await?;
        let more = size.cut(&mut items);
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| self.service.opaque_tokens.seal(&scope, &place(last)));
        Ok(Page { items, next_page_token: next })
    }

    /// Tells a user's terminals that this is a test, and waits for what their providers say; only those of
    /// `terminal_type` when it is not empty.
    ///
    /// Errors: [`crate::model::Error::InvalidArgument`]; [`crate::model::Error::UserNotFound`].
    pub async fn test_push(
        &self,
        user_id: &str,
        terminal_type: &str,
    ) -> Result<Vec<(PushToken, PushResult)>> {
        self.require(Role::Support)?;
        let user_no = self.service.store.user_no(&UserId::parse("user_id", user_id)?).await?;
        if !terminal_type.is_empty() {
            self.check_terminal_type(terminal_type).await?;
        }
        let details = json!({ "user_id": user_id, "terminal_type": terminal_type });
        self.service.store.record(self.audit("test_push", details)).await?;
        let of_user = PushFilter { user_no: Some(user_no), ..PushFilter::default() };
        let tokens = self.service.store.push_tokens(&of_user, None, MOST_TESTED).await?;
        let asked = tokens
            .into_iter()
            .filter(|token| terminal_type.is_empty() || token.terminal_type == terminal_type);
        stream::iter(asked)
            .map(async |token| {
                let result = self.service.test_push(&token).await?;
                Ok((token, result))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }
}

/// Where a page ends.
fn place(token: &PushToken) -> Vec<u8> {
    [&token.user_no.0.to_be_bytes()[..], token.session_id.0.as_bytes()].concat()
}

fn read_place(payload: &[u8]) -> Option<(UserNo, SessionId)> {
    let (user_no, session_id) = payload.split_first_chunk()?;
    let session_id = Uuid::from_slice(session_id).ok()?;
    Some((UserNo(i64::from_be_bytes(*user_no)), SessionId(session_id)))
}
