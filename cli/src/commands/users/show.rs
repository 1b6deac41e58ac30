//! `imctl users show`

use comfy_table::Cell;
use imd_proto::v1::{DescribeUserRequest, UserDescription};
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{UserArgs, view::UserView};
use crate::{
    client::Admin,
    clock,
    commands::{retention::age, sessions::SessionView},
    error::Error,
    output::{self, Format, Row},
};

pub(super) async fn run(args: UserArgs, admin: &mut Admin) -> Result<(), Error> {
    let request = DescribeUserRequest { user_id: args.user_id };
    let answer = admin.calls.describe_user(request).await;
    let found = answer.map_err(|status| admin.failure(status))?.into_inner();
    let described = DescribedView::from(found.description.unwrap_or_default());
    let format = args.output.output;
    match format {
        Format::Json | Format::Yaml => output::print(output::document(&described, format)?),
        Format::Table | Format::Wide => {
            output::list(&described.facts(OffsetDateTime::now_utc()), format, "")?;
            output::list(&described.sessions, format, "no session is live")
        }
    }
}

#[derive(Debug, Serialize)]
struct DescribedView {
    #[serde(flatten)]
    user: UserView,
    avatar_url: String,
    attributes: Map<String, Value>,
    profile_version: i64,
    conversations: i64,
    groups: i64,
    contacts: i64,
    blocks: i64,
    scheduled_messages: i64,
    entries: i64,
    messages: i64,
    body_bytes: i64,
    attachments: i64,
    attachment_bytes: i64,
    sessions: Vec<SessionView>,
}

impl From<UserDescription> for DescribedView {
    fn from(of: UserDescription) -> Self {
        Self {
            user: of.user.unwrap_or_default().into(),
            avatar_url: of.avatar_url,
            attributes: serde_json::from_str(&of.attributes).unwrap_or_default(),
            profile_version: of.profile_version,
            conversations: of.conversations,
            groups: of.groups,
            contacts: of.contacts,
            blocks: of.blocks,
            scheduled_messages: of.scheduled_messages,
            entries: of.entries,
            messages: of.messages,
            body_bytes: of.body_bytes,
            attachments: of.attachments,
            attachment_bytes: of.attachment_bytes,
            sessions: of.sessions.into_iter().map(Into::into).collect(),
        }
    }
}

impl DescribedView {
    fn facts(&self, now: OffsetDateTime) -> Vec<Fact> {
        let Self { user, entries, messages, body_bytes, attachments, attachment_bytes, .. } = self;
        let attributes = if self.attributes.is_empty() {
            String::new()
        } else {
            Value::Object(self.attributes.clone()).to_string()
        };
        let limits = [
            user.max_age_seconds.map(age),
            user.max_messages.map(|count| format!("{count} messages")),
            user.max_bytes.map(|count| format!("{count} bytes sent")),
        ];
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        let limits = if limits.is_empty() { "none".to_owned() } else { limits.join(", ") };
        let own = if user.limits_overridden { " (not those of the tier)" } else { "" };
        let (live, online, seq) = (user.live_sessions, user.online_sessions, user.last_seq);
        [
            ("user", user.user_id.clone()),
            ("state", user.state.to_owned()),
            ("created", clock::ago(user.created_at, now)),
            ("deleted", clock::ago(user.deleted_at, now)),
            ("name", user.name.clone()),
            ("avatar", self.avatar_url.clone()),
            ("attributes", attributes),
            ("profile version", self.profile_version.to_string()),
            ("tier", user.tier.clone()),
            ("limits", format!("{limits}{own}")),
            ("sessions", format!("{live} live, {online} online")),
            ("last entry", clock::ago(user.last_at, now)),
            ("conversations", self.conversations.to_string()),
            ("groups", self.groups.to_string()),
            ("contacts", self.contacts.to_string()),
            ("blocks", self.blocks.to_string()),
            ("scheduled", self.scheduled_messages.to_string()),
            ("timeline", format!("{entries} entries with {body_bytes} bytes, up to seq {seq}")),
            ("messages", messages.to_string()),
            ("attachments", format!("{attachments} with {attachment_bytes} bytes")),
        ]
        .map(|(what, value)| Fact { what, value })
        .into()
    }
}

/// A row of what is said of a user.
#[derive(Debug, Serialize)]
struct Fact {
    what: &'static str,
    value: String,
}

impl Row for Fact {
    const COLUMNS: &[&str] = &["WHAT", "VALUE"];
    const NARROW: usize = 2;

    fn cells(&self, _: OffsetDateTime) -> Vec<Cell> {
        vec![Cell::new(self.what), output::text(&self.value)]
    }
}
