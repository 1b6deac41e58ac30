//! `imctl webhooks`

use std::{collections::BTreeMap, time::Duration};

use clap::{Args, Subcommand};
use comfy_table::{Cell, Color};
use imd_proto::v1::{
    CreateWebhookRequest, DeleteWebhookRequest, GetWebhookRequest, ListWebhooksRequest,
    PauseWebhookRequest, ReplayWebhookRequest, ResumeWebhookRequest, RotateWebhookSecretRequest,
    TailWebhookRequest, TailWebhookResponse, TailedEvent, TestWebhookRequest, TestWebhookResponse,
    UpdateWebhookRequest, Webhook, WebhookFilter, WebhookState,
};
use serde::Serialize;
use time::OffsetDateTime;
use tonic::{Response, Status};

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, Format, OutputArgs, Row, WatchedOutput},
};

/// `imctl webhooks …`
#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// List the webhooks, in the order in which they were made
    List(WatchedOutput),
    /// Make a webhook and print its secret: this once
    #[command(after_help = "\
Kinds are message.sent, message.recalled, message.edited, session.started, session.ended,
group.created, group.changed, group.dissolved, member.joined, member.left, member.removed,
member.changed, read, user.created, user.disabled, user.enabled, user.deleted,
delivery.undelivered; message.* and the like stand for several, * for all there are.

Examples:
  imctl webhooks create https://shop.example.com/imd --kinds 'message.*,session.ended' > secret
  imctl webhooks create https://search.example.com/ --kinds message.sent -o json")]
    Create {
        /// Where it is
        url: String,
        /// What it is told of, with commas between
        #[arg(long, value_name = "KINDS", value_delimiter = ',', required = true)]
        kinds: Vec<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        description: String,
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show a webhook
    Show {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Change where a webhook is, or what it is told of
    Update {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// Where it is from now on; what waits goes there
        #[arg(long)]
        url: Option<String>,
        /// What it is told of from now on, with commas between
        #[arg(long, value_name = "KINDS", value_delimiter = ',')]
        kinds: Vec<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        filter: FilterArgs,
        /// Tell it of everybody again
        #[arg(long, conflicts_with_all = ["of_user", "of_group", "of_sender"])]
        no_filter: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete a webhook, and what waits for it
    Delete {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
    },
    /// Tell a webhook that this is a test, and show what it answers
    #[command(after_help = "The exit code is 1 when it did not acknowledge it.")]
    Test {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show the requests to a webhook as they are made, on whichever node
    #[command(after_help = "\
Nothing of what events say is shown.

Examples:
  imctl webhooks tail 0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f
  imctl webhooks tail 0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f --for 10m --json > requests.jsonl")]
    Tail {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// Stop after this time [default: with Ctrl-C]
        #[arg(long = "for", value_name = "TIME", value_parser = clock::some_time)]
        lasts: Option<Duration>,
        /// Print each as a line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a webhook told of nothing for a while: its events wait
    Pause {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Have a webhook told again, at once, beginning with what waits
    Resume {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Have a webhook told once more of what has happened
    #[command(after_help = "\
Events are kept for as long as the setting webhooks.keep says, and only those that some webhook
was to be told of.

Examples:
  imctl webhooks replay 0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f --from 2h
  imctl webhooks replay 0199e0a4-5b1c-7c3e-9d2f-3a1b5c7d9e0f --from 2026-11-23T07:30:00Z")]
    Replay {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        /// Since when: a time, or how long ago
        #[arg(long, value_name = "TIME", value_parser = clock::since)]
        from: OffsetDateTime,
    },
    /// Give a webhook another secret and print it: this once
    ///
    /// For a day requests are signed with the one before, too.
    RotateSecret {
        /// Its id
        #[arg(value_name = "WEBHOOK")]
        webhook: String,
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Of whom and what a webhook is told.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Only what one of these users has a part in, with commas between
    #[arg(long = "user", id = "of_user", value_name = "USERS", value_delimiter = ',')]
    user_ids: Vec<String>,
    /// Only what is of one of these groups
    #[arg(long = "group", id = "of_group", value_name = "GROUPS", value_delimiter = ',')]
    group_ids: Vec<String>,
    /// Only messages that one of these users has sent
    #[arg(long = "sender", id = "of_sender", value_name = "USERS", value_delimiter = ',')]
    sender_ids: Vec<String>,
}

impl From<FilterArgs> for WebhookFilter {
    fn from(FilterArgs { user_ids, group_ids, sender_ids }: FilterArgs) -> Self {
        Self { user_ids, group_ids, sender_ids }
    }
}

/// Runs one of the commands.
pub(crate) async fn run(command: WebhooksCommand, admin: &mut Admin) -> Result<(), Error> {
    match command {
        WebhooksCommand::List(output) => {
            let answer = admin.calls.list_webhooks(ListWebhooksRequest {}).await;
            let webhooks = said(admin, answer)?.webhooks;
            let webhooks: Vec<WebhookView> = webhooks.into_iter().map(Into::into).collect();
            output::list(&webhooks, output.output, "there are no webhooks")
        }
        WebhooksCommand::Create { url, kinds, description, filter, output } => {
            let (secret, filter) = (String::new(), Some(filter.into()));
            let request = CreateWebhookRequest { url, kinds, description, secret, filter };
            let answer = admin.calls.create_webhook(request).await;
            let made = said(admin, answer)?;
            secret_of(made.webhook, made.secret, &output)
        }
        WebhooksCommand::Show { webhook: webhook_id, output } => {
            let answer = admin.calls.get_webhook(GetWebhookRequest { webhook_id }).await;
            show(said(admin, answer)?.webhook, &output)
        }
        WebhooksCommand::Update { webhook, url, kinds, description, filter, no_filter, output } => {
            let filter = WebhookFilter::from(filter);
            let filter = (no_filter || filter != WebhookFilter::default()).then_some(filter);
            let request =
                UpdateWebhookRequest { webhook_id: webhook, url, kinds, description, filter };
            let answer = admin.calls.update_webhook(request).await;
            show(said(admin, answer)?.webhook, &output)
        }
        WebhooksCommand::Delete { webhook: webhook_id } => {
            let answer = admin.calls.delete_webhook(DeleteWebhookRequest { webhook_id }).await;
            said(admin, answer)?;
            output::note("deleted");
            Ok(())
        }
        WebhooksCommand::Test { webhook: webhook_id, output } => {
            let answer = admin.calls.test_webhook(TestWebhookRequest { webhook_id }).await;
            let test = TestView::from(said(admin, answer)?);
            output::one(&test, output.output)?;
            if test.delivered {
                return Ok(());
            }
            Err(Error::Webhook("the webhook did not acknowledge the test".to_owned()))
        }
        WebhooksCommand::Tail { webhook, lasts, json } => tail(webhook, lasts, json, admin).await,
        WebhooksCommand::Pause { webhook: webhook_id, output } => {
            let answer = admin.calls.pause_webhook(PauseWebhookRequest { webhook_id }).await;
            show(said(admin, answer)?.webhook, &output)
        }
        WebhooksCommand::Resume { webhook: webhook_id, output } => {
            let answer = admin.calls.resume_webhook(ResumeWebhookRequest { webhook_id }).await;
            show(said(admin, answer)?.webhook, &output)
        }
        WebhooksCommand::Replay { webhook: webhook_id, from } => {
            let from = Some(clock::timestamp(from));
            let answer =
                admin.calls.replay_webhook(ReplayWebhookRequest { webhook_id, from }).await;
            let events = said(admin, answer)?.events;
            output::note(&format!("{events} events are told once more"));
            Ok(())
        }
        WebhooksCommand::RotateSecret { webhook: webhook_id, output } => {
            let secret = String::new();
            let request = RotateWebhookSecretRequest { webhook_id, secret };
            let answer = admin.calls.rotate_webhook_secret(request).await;
            let rotated = said(admin, answer)?;
            secret_of(rotated.webhook, rotated.secret, &output)
        }
    }
}

async fn tail(
    webhook_id: String,
    lasts: Option<Duration>,
    json: bool,
    admin: &mut Admin,
) -> Result<(), Error> {
    let seconds = lasts.map(|lasts| i32::try_from(lasts.as_secs().max(1)).unwrap_or(i32::MAX));
    let request = TailWebhookRequest { webhook_id, seconds: seconds.unwrap_or_default() };
    let answer = admin.calls.tail_webhook(request).await;
    let mut requests = said(admin, answer)?;
    output::note("watching");
    while let Some(request) = requests.message().await.map_err(|status| admin.failure(status))? {
        let view = TailView::from(request);
        if json {
            let line = serde_json::to_string(&view);
            let line = line.map_err(|cause| Error::Output(std::io::Error::other(cause)))?;
            output::print(output::escaped(&line))?;
        } else {
            output::print(output::printable(&view.line()))?;
        }
    }
    Ok(())
}

fn said<T>(admin: &Admin, answer: Result<Response<T>, Status>) -> Result<T, Error> {
    Ok(answer.map_err(|status| admin.failure(status))?.into_inner())
}

fn show(webhook: Option<Webhook>, output: &OutputArgs) -> Result<(), Error> {
    output::one(&WebhookView::from(webhook.unwrap_or_default()), output.output)
}

fn secret_of(webhook: Option<Webhook>, secret: String, output: &OutputArgs) -> Result<(), Error> {
    let webhook = WebhookView::from(webhook.unwrap_or_default());
    match output.output {
        // Alone, so that it can go to a file.
        Format::Table | Format::Wide => {
            output::note(&format!("webhook {}; keep its secret", webhook.webhook_id));
            output::print(&secret)
        }
        format => output::print(output::document(&SecretView { webhook, secret }, format)?),
    }
}

/// A webhook with its secret.
#[derive(Debug, Serialize)]
struct SecretView {
    #[serde(flatten)]
    webhook: WebhookView,
    secret: String,
}

/// A webhook.
#[derive(Debug, Serialize)]
struct WebhookView {
    webhook_id: String,
    url: String,
    description: String,
    kinds: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<FilterView>,
    state: &'static str,
    waiting: i64,
    #[serde(with = "time::serde::rfc3339::option")]
    oldest_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    delivered_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    failing_since: Option<OffsetDateTime>,
    failures: i32,
    error: String,
    #[serde(with = "time::serde::rfc3339::option")]
    created_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    previous_secret_until: Option<OffsetDateTime>,
}

/// Of whom and what a webhook is told.
#[derive(Debug, Serialize)]
struct FilterView {
    user_ids: Vec<String>,
    group_ids: Vec<String>,
    sender_ids: Vec<String>,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        Self {
            state: match webhook.state() {
                WebhookState::Active => "active",
                WebhookState::Paused => "paused",
                WebhookState::Dead => "dead",
                WebhookState::Gone => "gone",
                WebhookState::Unspecified => "unknown",
            },
            webhook_id: webhook.webhook_id,
            url: webhook.url,
            description: webhook.description,
            kinds: webhook.kinds,
            filter: webhook.filter.map(|filter| FilterView {
                user_ids: filter.user_ids,
                group_ids: filter.group_ids,
                sender_ids: filter.sender_ids,
            }),
            waiting: webhook.waiting,
            oldest_at: clock::time(webhook.oldest_at),
            delivered_at: clock::time(webhook.delivered_at),
            failing_since: clock::time(webhook.failing_since),
            failures: webhook.failures,
            error: webhook.error,
            created_at: clock::time(webhook.created_at),
            previous_secret_until: clock::time(webhook.previous_secret_until),
        }
    }
}

impl FilterView {
    fn words(&self) -> String {
        let lists =
            [("user", &self.user_ids), ("group", &self.group_ids), ("sender", &self.sender_ids)];
        let words = lists.into_iter().filter(|(_, ids)| !ids.is_empty());
        words.map(|(of, ids)| format!("{of} {}", ids.join(","))).collect::<Vec<_>>().join("; ")
    }
}

impl Row for WebhookView {
    const COLUMNS: &[&str] = &[
        "WEBHOOK",
        "URL",
        "STATE",
        "WAITING",
        "DELIVERED",
        "FAILURES",
        "ERROR",
        "KINDS",
        "FILTER",
    ];
    const NARROW: usize = 6;

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        let state = Cell::new(self.state);
        let failures = Cell::new(self.failures);
        vec![
            output::text(&self.webhook_id),
            output::text(&self.url),
            match self.state {
                "active" => state,
                "paused" => state.fg(Color::DarkYellow),
                _ => state.fg(Color::DarkRed),
            },
            Cell::new(self.waiting),
            Cell::new(clock::ago(self.delivered_at, now)),
            if self.failures > 0 { failures.fg(Color::DarkRed) } else { failures },
            output::text(&self.error),
            Cell::new(self.kinds.join(" ")),
            output::text(&self.filter.as_ref().map(FilterView::words).unwrap_or_default()),
        ]
    }
}

/// A request that was made.
#[derive(Debug, Serialize)]
struct TailView {
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
    node_id: String,
    delivered: bool,
    status: i32,
    took_ms: i64,
    error: String,
    count: i64,
    /// The first 50 of them.
    events: Vec<EventView>,
}

/// An event by name.
#[derive(Debug, Serialize)]
struct EventView {
    id: String,
    r#type: String,
}

impl From<TailWebhookResponse> for TailView {
    fn from(request: TailWebhookResponse) -> Self {
        let event = |event: TailedEvent| EventView { id: event.id, r#type: event.r#type };
        Self {
            at: clock::time(request.at),
            node_id: request.node_id,
            delivered: request.delivered,
            status: request.status,
            took_ms: request.took_ms,
            error: request.error,
            count: request.count,
            events: request.events.into_iter().map(event).collect(),
        }
    }
}

impl TailView {
    fn line(&self) -> String {
        let at = self.at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (hour, minute, second) = at.to_hms();
        let result = match (self.delivered, self.status) {
            (true, status) => format!("delivered {status}"),
            (false, 0) => "no answer".to_owned(),
            (false, status) => format!("failed {status}"),
        };
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for event in &self.events {
            *kinds.entry(&event.r#type).or_default() += 1;
        }
        let kinds: Vec<String> =
            kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let error = if self.error.is_empty() { String::new() } else { format!("  {}", self.error) };
        format!(
            "{hour:02}:{minute:02}:{second:02} UTC  {result}  {} ms  {} events: {}  by {}{error}",
            self.took_ms,
            self.count,
            kinds.join(", "),
            self.node_id,
        )
    }
}

/// What came of a test.
#[derive(Debug, Serialize)]
struct TestView {
    delivered: bool,
    status: i32,
    error: String,
    took_ms: i64,
}

impl From<TestWebhookResponse> for TestView {
    fn from(test: TestWebhookResponse) -> Self {
        let TestWebhookResponse { delivered, status, error, took_ms } = test;
        Self { delivered, status, error, took_ms }
    }
}

impl Row for TestView {
    const COLUMNS: &[&str] = &["RESULT", "STATUS", "TOOK", "ERROR"];
    const NARROW: usize = 4;

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        let result = Cell::new(if self.delivered { "delivered" } else { "failed" });
        vec![
            if self.delivered { result } else { result.fg(Color::DarkRed) },
            Cell::new(if self.status == 0 { "-".to_owned() } else { self.status.to_string() }),
            Cell::new(format!("{} ms", self.took_ms)),
            output::text(&self.error),
        ]
    }
}
