//! `imctl messages search`

use clap::Args;
use comfy_table::Cell;
use imd_proto::v1::{self, SearchMessagesRequest, SearchUserMessagesRequest};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    clock,
    error::Error,
    output::{self, OutputArgs, Row},
    paging::LimitArgs,
};

/// Arguments of `imctl messages search`.
#[derive(Debug, Args)]
#[command(after_help = "\
What the user itself would find, the newest first: messages with all the words, each found by its
beginning. Leaves an audit record with what was looked for.

Examples:
  imctl messages search ann 'boat oslo' --limit 10
  imctl messages search ann 北京 --conversation user:ben --after 30d -o json")]
pub(crate) struct SearchArgs {
    /// Whose messages
    #[arg(value_name = "USER")]
    user_id: String,
    /// The words to look for
    #[arg(value_name = "WORDS")]
    q: String,
    /// The only conversation to look in: user:ID or group:ID
    #[arg(long, value_name = "CONVERSATION", default_value = "", hide_default_value = true)]
    conversation: String,
    /// Who has to have sent the messages
    #[arg(long, value_name = "USER", default_value = "", hide_default_value = true)]
    from: String,
    /// Only messages since then: a time (2026-11-23T07:30:00Z), a date, or how long ago (30d)
    #[arg(long, value_name = "TIME", value_parser = clock::since)]
    after: Option<OffsetDateTime>,
    /// Only messages from before then
    #[arg(long, value_name = "TIME", value_parser = clock::since)]
    before: Option<OffsetDateTime>,
    #[command(flatten)]
    limit: LimitArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints what is found.
pub(super) async fn run(args: SearchArgs, admin: &mut Admin) -> Result<(), Error> {
    let mut incomplete = false;
    let found = args
        .limit
        .collect(async |page_size, page_token| {
            let search = SearchMessagesRequest {
                q: args.q.clone(),
                conversation_id: args.conversation.clone(),
                from: args.from.clone(),
                after: args.after.map(clock::timestamp),
                before: args.before.map(clock::timestamp),
                page_size,
                page_token,
            };
            let user_id = args.user_id.clone();
            let request = SearchUserMessagesRequest { user_id, search: Some(search) };
            let answer = admin.calls.search_user_messages(request).await;
            let answer = answer.map_err(|status| admin.failure(status))?.into_inner();
            let page = answer.found.unwrap_or_default();
            incomplete |= page.incomplete;
            Ok((page.results, page.next_page_token))
        })
        .await?;
    if incomplete {
        output::note("some messages are not indexed yet; there may be more");
    }
    let found: Vec<FoundView> = found.into_iter().map(FoundView::from).collect();
    output::list(&found, args.output.output, "there are no such messages")
}

#[derive(Debug, Serialize)]
struct FoundView {
    #[serde(with = "time::serde::rfc3339::option")]
    appended_at: Option<OffsetDateTime>,
    conversation_id: String,
    sender_id: String,
    seq: i64,
    message_id: String,
    text: String,
    snippet: String,
}

impl From<v1::FoundMessage> for FoundView {
    fn from(found: v1::FoundMessage) -> Self {
        let entry = found.message.unwrap_or_default();
        let message = match entry.kind {
            Some(v1::entry::Kind::Message(message)) => message,
            _ => v1::Message::default(),
        };
        let text = match message.content {
            Some(v1::message::Content::Text(text)) => text,
            _ => String::new(),
        };
        Self {
            appended_at: clock::time(entry.appended_at),
            conversation_id: message.conversation_id,
            sender_id: message.sender_id,
            seq: entry.seq,
            message_id: message.message_id,
            text,
            snippet: found.snippet.into_iter().map(|part| part.text).collect(),
        }
    }
}

impl Row for FoundView {
    const COLUMNS: &[&str] = &["SENT", "CONVERSATION", "FROM", "SEQ", "TEXT", "MESSAGE"];
    const NARROW: usize = 5;
    const CUT: &[&str] = &["TEXT"];

    fn cells(&self, now: OffsetDateTime) -> Vec<Cell> {
        vec![
            Cell::new(clock::ago(self.appended_at, now)),
            output::text(&self.conversation_id),
            output::text(&self.sender_id),
            Cell::new(self.seq),
            output::text(&self.snippet),
            output::text(&self.message_id),
        ]
    }
}
