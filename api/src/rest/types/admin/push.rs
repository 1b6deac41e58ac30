//! Terminals that are told of messages.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    model::{self, Page},
    rest::types::id::UserId,
    service,
};

/// A terminal that is told of messages while it has no stream.
#[derive(Debug, Serialize, ToSchema)]
struct PushToken {
    user_id: UserId,
    session_id: String,
    terminal_type: String,
    /// What the device is called.
    device_name: String,
    /// Who tells it: `webhook`, `web_push`, `apns`, `fcm`.
    provider: &'static str,
    /// How often telling it has failed in a row.
    failures: i32,
    /// When it is tried again; absent when nothing has failed.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_at: Option<OffsetDateTime>,
    /// When the terminal bound what its provider knows it by, the last time.
    #[serde(with = "time::serde::rfc3339")]
    bound_at: OffsetDateTime,
}

/// A page of terminals, in the order of users.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushTokenList {
    tokens: Vec<PushToken>,
    /// For the next page; empty on the last one.
    next_page_token: String,
}

/// Which terminals to tell.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(examples(json!({ "terminal_type": "phone" })))]
pub(crate) struct TestPushRequest {
    /// Those of this type alone; absent or empty for all.
    #[serde(default)]
    terminal_type: String,
}

/// What a provider said. The set is open.
///
/// `DELIVERED`: it took it. `FAILED`: it did not answer, or not now. `GONE`: the token is none any more, and is
/// dropped. `REFUSED`: it will never take it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum PushResult {
    Delivered,
    Failed,
    Gone,
    Refused,
}

/// What came of telling one terminal.
#[derive(Debug, Serialize, ToSchema)]
struct PushTest {
    token: PushToken,
    result: PushResult,
}

/// What came of telling a user's terminals.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PushTestList {
    tests: Vec<PushTest>,
}

impl TestPushRequest {
    pub(in crate::rest) fn terminal_type(&self) -> &str {
        &self.terminal_type
    }
}

impl From<&service::PushToken> for PushToken {
    fn from(token: &service::PushToken) -> Self {
        Self {
            user_id: (&token.user_id).into(),
            session_id: token.session_id.to_string(),
            terminal_type: token.terminal_type.clone(),
            device_name: token.device_name.clone(),
            provider: token.target.provider().name(),
            failures: token.failures,
            retry_at: token.retry_at,
            bound_at: token.bound_at,
        }
    }
}

impl From<Page<service::PushToken>> for PushTokenList {
    fn from(page: Page<service::PushToken>) -> Self {
        Self {
            tokens: page.items.iter().map(Into::into).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }
    }
}

impl From<model::PushResult> for PushResult {
    fn from(result: model::PushResult) -> Self {
        match result {
            model::PushResult::Delivered => Self::Delivered,
            model::PushResult::Failed => Self::Failed,
            model::PushResult::Gone => Self::Gone,
            model::PushResult::Refused => Self::Refused,
        }
    }
}

impl From<Vec<(service::PushToken, model::PushResult)>> for PushTestList {
    fn from(tested: Vec<(service::PushToken, model::PushResult)>) -> Self {
        let test = |(token, result): &(service::PushToken, model::PushResult)| PushTest {
            token: token.into(),
            result: (*result).into(),
        };
        Self { tests: tested.iter().map(test).collect() }
    }
}
