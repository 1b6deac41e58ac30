//! `imctl push`

use clap::Subcommand;
use comfy_table::{Cell, Color};
use imd_proto::v1::{ListPushTokensRequest, PushResult, PushTest, PushToken, TestPushRequest};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, OutputArgs, Row, WatchedOutput},
    paging::LimitArgs,
};

/// `imctl push …`
#[derive(Debug, Subcommand)]
pub(crate) enum PushCommand {
    /// List the terminals that are told of messages while they have no stream, in the order of users
    List {
        /// Only the terminals of this user
        #[arg(value_name = "USER", default_value = "", hide_default_value = true)]
        user: String,
        /// Only the terminals that this provider tells
        #[arg(long, value_name = "NAME", value_parser = ["webhook", "web_push", "apns", "fcm"])]
        provider: Option<String>,
        /// Only terminals bound since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
        #[arg(long, value_name = "TIME", value_parser = clock::since)]
        since: Option<OffsetDateTime>,
        #[command(flatten)]
        limit: LimitArgs,
        #[command(flatten)]
        output: WatchedOutput,
    },
    /// Tell a user's terminals that this is a test, and show what their providers say
    #[command(after_help = "\
A token that is none any more is dropped. The exit code is 1 when a provider did not take it.

Examples:
  imctl push test ann
  imctl push test ann --terminal phone")]
    Test {
        /// Whose terminals
        #[arg(value_name = "USER")]
        user: String,
        /// Only the terminals of this type
        #[arg(long, value_name = "TYPE", default_value = "", hide_default_value = true)]
        terminal: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Runs one of the commands.
pub(crate) async fn run(command: PushCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        PushCommand::List { user, provider, since, limit, output } => {
            let asked = ListPushTokensRequest {
                user_id: user,
                provider: provider.unwrap_or_default(),
                since: since.map(clock::timestamp),
                ..ListPushTokensRequest::default()
            };
            list(&asked, &limit, &output, admin).await
        }
        PushCommand::Test { user, terminal, output } => test(user, terminal, &output, admin).await,
    }
}

async fn list(
    asked: &ListPushTokensRequest,
    limit: &LimitArgs,
    output: &OutputArgs,
    admin: &mut Admin,
) -> Result<(), Error> {
    let tokens = limit
        .collect(async |page_size, page_token| {
            let request = ListPushTokensRequest { page_size, page_token, ..asked.clone() };
            let answer = admin.calls.list_push_tokens(request).await;
            let page = answer.map_err(|status| admin.failure(status))?.into_inner();
            Ok((page.tokens, page.next_page_token))
        })
        .await?;
    let tokens: Vec<TokenView> = tokens.into_iter().map(TokenView::from).collect();
    let is_whole = *asked == ListPushTokensRequest::default();
    let none = if is_whole { "no terminal is told of messages" } else { "no terminal matches" };
    output::list(&tokens, output.output, none)
}

async fn test(
    user_id: String,
    terminal_type: String,
    output: &OutputArgs,
    admin: &mut Admin,
) -> Result<(), Error> {
    let answer = admin.calls.test_push(TestPushRequest { user_id, terminal_type }).await;
    let tests = answer.map_err(|status| admin.failure(status))?.into_inner().tests;
    let tests: Vec<TestView> = tests.into_iter().map(TestView::from).collect();
    output::list(&tests, output.output, "no such terminal is told of messages")?;
    match tests.iter().filter(|test| test.result != "delivered").count() {
        0 => Ok(()),
        1 => Err(Error::Push("1 terminal was not told".to_owned())),
        many => Err(Error::Push(format!("{many} terminals were not told"))),
    }
}

/// A terminal that is told of messages.
#[derive(Debug, Serialize)]
struct TokenView {
    user_id: String,
    terminal_type: String,
    device_name: String,
    provider: String,
    failures: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    retry_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    bound_at: Option<OffsetDateTime>,
    session_id: String,
}

/// What came of telling one.
#[derive(Debug, Serialize)]
struct TestView {
    #[serde(flatten)]
    token: TokenView,
    result: &'static str,
}

impl From<PushToken> for TokenView {
    fn from(token: PushToken) -> Self {
        Self {
            user_id: token.user_id,
            terminal_type: token.terminal_type,
            device_name: token.device_name,
            provider: token.provider,
            failures: token.failures,
            retry_at: clock::time(token.retry_at),
            bound_at: clock::time(token.bound_at),
            session_id: token.session_id,
        }
    }
}

impl From<PushTest> for TestView {
    fn from(test: PushTest) -> Self {
        Self {
            result: match test.result() {
                PushResult::Delivered => "delivered",
                PushResult::Gone => "gone",
                PushResult::Refused => "refused",
                PushResult::Failed | PushResult::Unspecified => "failed",
            },
            token: test.token.unwrap_or_default().into(),
        }
    }
}

impl Row for TokenView {
    const COLUMNS: &[&str] =
        &["USER", "TERMINAL", "DEVICE", "PROVIDER", "BOUND", "FAILURES", "TRIED AGAIN", "SESSION"];
    const NARROW: usize = 7;

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let failures = Cell::new(self.failures);
        vec![
            output::text(&self.user_id),
            output::text(&self.terminal_type),
            output::text(&self.device_name),
            output::text(&self.provider),
            Cell::new(clock::ago(self.bound_at, now)),
            if self.failures > 0 { failures.fg(Color::DarkRed) } else { failures },
            Cell::new(clock::ahead(self.retry_at, now)),
            output::text(&self.session_id),
        ]
    }
}

impl Row for TestView {
    const COLUMNS: &[&str] = &["USER", "TERMINAL", "DEVICE", "PROVIDER", "RESULT", "SESSION"];
    const NARROW: usize = 5;

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        let result = Cell::new(self.result);
        vec![
            output::text(&self.token.user_id),
            output::text(&self.token.terminal_type),
            output::text(&self.token.device_name),
            output::text(&self.token.provider),
            if self.result == "delivered" { result } else { result.fg(Color::DarkRed) },
            output::text(&self.token.session_id),
        ]
    }
}
