//! The client over REST.

mod sse;

use std::{collections::BTreeMap, net::SocketAddr};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{
    Client, Method, RequestBuilder, Response,
    header::{HeaderMap, HeaderName},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, serde::rfc3339};

use super::{
    api::{
        Api, ContactCall, Credential, Events, GroupCall, Login, Outgoing, OutgoingSignal,
        ProfileCall, Result, ScheduleCall,
    },
    failure::Failure,
    types::{
        Attachment, BlockChanged, BlockedUserPage, ContactChanged, Content, Conversation,
        ConversationChanged, ConversationPage, ConversationSettings, DraftChanged, EditPage,
        Edited, Entry, FileCall, FileRequest, Forwarded, FoundPage, GroupChanged, GroupRequest,
        HistoryPage, HistoryTruncated, Info, Kind, LoggedIn, MemberChanged, Message, MessageEdited,
        MessageGone, MessagePinned, MessagesErased, PresenceList, ProfileChanged, Quote, Reaction,
        ReactionPage, ReactionsChanged, ReadUpTo, ScheduledChanged, SearchCall, Sent, Session,
        SessionChanged, Settings, Stretch, TimelineState, Tokens, UserPresence,
    },
};

pub(crate) struct Rest {
    client: Client,
    base: String,
}

impl Rest {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { client: Client::new(), base: format!("http://{address}") }
    }

    pub(crate) fn forwarded_for(self, address: &str) -> Self {
        let address = address.parse().expect("ASCII");
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-for"), address)]);
        let client = Client::builder().default_headers(headers).build().expect("a client");
        Self { client, ..self }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    fn get(&self, token: &str, path: &str) -> RequestBuilder {
        self.request(Method::GET, path).bearer_auth(token)
    }
}

/// The answer, unless it is a problem.
async fn answer(request: RequestBuilder) -> Result<Response> {
    let response = request.send().await.map_err(Failure::lost)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let media_type = response.headers().get("content-type").cloned();
    assert_eq!(media_type.expect("a media type"), "application/problem+json", "{status}");
    let problem: BTreeMap<String, Value> = response.json().await.map_err(Failure::lost)?;
    Err(Failure::from_problem(status.as_u16(), problem))
}

async fn json_of<T: DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    let body = answer(request).await?.text().await.map_err(Failure::lost)?;
    Ok(read(&body))
}

/// Reads JSON of the server's; panics when it is not as it should be.
fn read<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {json}"))
}

/// Where to start, as a parameter: `last=5` is one of its own, all else is `after`.
fn start(after: &str) -> (&str, &str) {
    after.split_once('=').unwrap_or(("after", after))
}

/// Which page of a listing, as parameters.
fn page(size: i32, token: &str) -> [(&'static str, String); 2] {
    [("page_size", size.to_string()), ("page_token", token.to_owned())]
}

/// A message in the JSON of a send.
pub(crate) fn send_request(message: &Outgoing) -> Value {
    let mut body = json!({ "client_message_id": message.client_message_id });
    if let Some(to) = &message.to {
        body["to"] = match message.group() {
            Some(group) => json!({ "group_id": group }),
            None => json!({ "user_id": to }),
        };
    }
    if !message.mentions.is_empty() {
        body["mentions"] = json!(message.mentions);
    }
    if !message.reply_to.is_empty() {
        body["reply_to"] = message.reply_to.as_str().into();
    }
    if !message.forward_of.is_empty() {
        body["forward_of"] = message.forward_of.as_str().into();
    }
    if !message.attachments.is_empty() {
        body["attachments"] = json!(message.attachments);
    }
    if message.mention_all {
        body["mention_all"] = true.into();
    }
    match &message.content {
        None => {}
        Some(Content::Text(text)) => body["text"] = text.as_str().into(),
        Some(Content::Data { content_type, data }) => {
            body["content_type"] = content_type.as_str().into();
            body["data"] = BASE64_STANDARD.encode(data).into();
        }
    }
    body
}

/// An edit as a request over REST has it.
pub(super) fn edit_body(edit: &Outgoing) -> Value {
    let mut body = send_request(edit);
    body["client_edit_id"] = body["client_message_id"].take();
    if let Some(members) = body.as_object_mut() {
        members.remove("client_message_id");
        members.remove("to");
    }
    body
}

/// The entry that JSON of the server's says.
pub(crate) fn entry_of(json: Value) -> Entry {
    serde_json::from_value::<WireEntry>(json).expect("an entry").into()
}

#[async_trait]
impl Api for Rest {
    async fn info(&self) -> Result<Info> {
        json_of(self.request(Method::GET, "/v1/info")).await
    }

    async fn login(&self, login: &Login) -> Result<LoggedIn> {
        let mut body = json!({
            "user_id": login.user_id,
            "terminal": {
                "type": login.terminal_type,
                "device_id": login.device_id,
                "device_name": login.device_name,
            },
        });
        match &login.credential {
            Credential::Password(password) => body["password"] = password.as_str().into(),
            Credential::Assertion(token) => body["assertion"] = token.as_str().into(),
            Credential::Nothing => {}
        }
        if login.refuse {
            body["if_occupied"] = "REFUSE".into();
        }
        json_of(self.request(Method::POST, "/v1/login").json(&body)).await
    }

    async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        let body = json!({ "refresh_token": refresh_token });
        json_of(self.request(Method::POST, "/v1/refresh").json(&body)).await
    }

    async fn logout(&self, token: &str) -> Result<()> {
        answer(self.request(Method::POST, "/v1/logout").bearer_auth(token)).await.map(drop)
    }

    async fn sessions(&self, token: &str) -> Result<Vec<Session>> {
        let listed: WireSessions = json_of(self.get(token, "/v1/sessions")).await?;
        Ok(listed.sessions)
    }

    async fn end_session(&self, token: &str, session_id: &str) -> Result<()> {
        let request = self.request(Method::DELETE, &format!("/v1/sessions/{session_id}"));
        answer(request.bearer_auth(token)).await.map(drop)
    }

    async fn send(&self, token: &str, message: &Outgoing) -> Result<Sent> {
        let body = send_request(message);
        json_of(self.request(Method::POST, "/v1/messages").bearer_auth(token).json(&body)).await
    }

    async fn signal(&self, token: &str, signal: &OutgoingSignal) -> Result<()> {
        let request = self.request(Method::POST, "/v1/signals").bearer_auth(token);
        answer(request.json(&signal.body())).await.map(drop)
    }

    async fn subscribe(&self, token: &str, after: &str) -> Result<Events> {
        let response = answer(self.get(token, "/v1/events").query(&[start(after)])).await?;
        Ok(sse::events(response))
    }

    async fn watch(&self, token: &str, user_ids: &[&str], idle: bool) -> Result<Events> {
        let watch = user_ids.join(",");
        let idle = idle.to_string();
        let query = [("after", "now"), ("watch", watch.as_str()), ("idle", idle.as_str())];
        let response = answer(self.get(token, "/v1/events").query(&query)).await?;
        Ok(sse::events(response))
    }

    async fn follow_acknowledging(&self, token: &str, after: &str) -> Result<Events> {
        let query = [("after", after), ("acknowledging", "true")];
        let response = answer(self.get(token, "/v1/events").query(&query)).await?;
        Ok(sse::events(response))
    }

    async fn acknowledge(&self, token: &str, cursor: &str) -> Result<()> {
        let request = self.request(Method::PUT, "/v1/timeline/cursor").bearer_auth(token);
        answer(request.json(&json!({ "cursor": cursor }))).await.map(drop)
    }

    async fn presence(&self, token: &str, user_ids: &[&str]) -> Result<Vec<UserPresence>> {
        let query = [("user_ids", user_ids.join(","))];
        let listed: PresenceList = json_of(self.get(token, "/v1/presence").query(&query)).await?;
        Ok(listed.users)
    }

    async fn set_idle(&self, token: &str, idle: bool) -> Result<()> {
        let request = self.request(Method::PUT, "/v1/presence").bearer_auth(token);
        answer(request.json(&json!({ "idle": idle }))).await.map(drop)
    }

    async fn pull(&self, token: &str, after: &str, limit: i32) -> Result<Stretch> {
        let limit = limit.to_string();
        let request = self.get(token, "/v1/timeline").query(&[start(after), ("limit", &limit)]);
        let pulled: WireStretch = json_of(request).await?;
        Ok(Stretch {
            entries: entries(pulled.entries),
            state: pulled.state,
            history_truncated: pulled.history_truncated,
            timeline_reset: pulled.timeline_reset.map(|reset| reset.epoch),
            next_after: pulled.next_after,
        })
    }

    async fn conversations_that(
        &self,
        token: &str,
        filter: &[(&str, bool)],
        page_size: i32,
        page_token: &str,
    ) -> Result<ConversationPage> {
        let request = self.get(token, "/v1/conversations").query(&page(page_size, page_token));
        let listed: WireConversations = json_of(request.query(filter)).await?;
        let conversation = |conversation: WireConversation| Conversation {
            conversation_id: conversation.conversation_id,
            peer_deleted: conversation.peer_deleted,
            last_message: conversation.last_message.into(),
            read_seq: conversation.read_seq,
            unread_count: conversation.unread_count,
            peer_read_seq: conversation.peer_read_seq,
            unread_mentions: conversation.unread_mentions,
            settings: conversation.settings,
            draft: conversation.draft,
        };
        Ok(ConversationPage {
            conversations: listed.conversations.into_iter().map(conversation).collect(),
            next_page_token: listed.next_page_token,
        })
    }

    async fn history(
        &self,
        token: &str,
        conversation_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<HistoryPage> {
        let path = format!("/v1/conversations/{conversation_id}/messages");
        let listed: WireHistory =
            json_of(self.get(token, &path).query(&page(page_size, page_token))).await?;
        Ok(HistoryPage {
            entries: entries(listed.entries),
            next_page_token: listed.next_page_token,
            end: listed.end,
            state: listed.state,
        })
    }

    async fn update_conversation(
        &self,
        token: &str,
        conversation_id: &str,
        body: &Value,
    ) -> Result<ConversationSettings> {
        let path = format!("/v1/conversations/{conversation_id}");
        json_of(self.request(Method::PATCH, &path).bearer_auth(token).json(body)).await
    }

    async fn set_draft(&self, token: &str, conversation_id: &str, text: &str) -> Result<()> {
        let path = format!("/v1/conversations/{conversation_id}/draft");
        let request = self.request(Method::PUT, &path).bearer_auth(token);
        answer(request.json(&json!({ "text": text }))).await.map(drop)
    }

    async fn mark_read(&self, token: &str, conversation_id: &str, seq: i64) -> Result<i64> {
        let path = format!("/v1/conversations/{conversation_id}/read");
        let request = self.request(Method::POST, &path).bearer_auth(token);
        let marked: WireMarked = json_of(request.json(&json!({ "seq": seq }))).await?;
        Ok(marked.read_seq)
    }

    async fn recall(&self, token: &str, message_id: &str) -> Result<()> {
        let request = self.request(Method::POST, &format!("/v1/messages/{message_id}/recall"));
        answer(request.bearer_auth(token)).await.map(drop)
    }

    async fn edit(&self, token: &str, message_id: &str, edit: &Outgoing) -> Result<Edited> {
        let request = self.request(Method::PATCH, &format!("/v1/messages/{message_id}"));
        json_of(request.bearer_auth(token).json(&edit_body(edit))).await
    }

    async fn edits(
        &self,
        token: &str,
        message_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<EditPage> {
        let path = format!("/v1/messages/{message_id}/edits");
        let listed: WireEdits =
            json_of(self.get(token, &path).query(&page(page_size, page_token))).await?;
        let edit = |edit: WireEdit| (edit.edit_no, edit.previous.and_then(WireContent::content));
        Ok(EditPage {
            edits: listed.edits.into_iter().map(edit).collect(),
            next_page_token: listed.next_page_token,
        })
    }

    async fn create_attachment(
        &self,
        token: &str,
        file: &FileCall,
    ) -> Result<(String, FileRequest)> {
        let mut body = json!({
            "file_name": file.file_name, "content_type": file.content_type, "size": file.size,
        });
        if !file.sha256.is_empty() {
            body["sha256"] = file.sha256.as_str().into();
        }
        let request = self.request(Method::POST, "/v1/attachments").bearer_auth(token).json(&body);
        let created: WireFile = json_of(request).await?;
        Ok((created.attachment_id, created.upload))
    }

    async fn attachment_link(
        &self,
        token: &str,
        message_id: &str,
        attachment_id: &str,
    ) -> Result<FileRequest> {
        let path = format!("/v1/messages/{message_id}/attachments/{attachment_id}");
        let link: WireLink = json_of(self.get(token, &path)).await?;
        Ok(link.download)
    }

    async fn search(&self, token: &str, asked: &SearchCall) -> Result<FoundPage> {
        let time = |at: time::OffsetDateTime| at.format(&Rfc3339).expect("a time");
        let mut query = vec![("q", asked.q.clone())];
        for (name, value) in [
            ("conversation_id", asked.conversation_id.clone()),
            ("from", asked.from.clone()),
            ("after", asked.after.map(time).unwrap_or_default()),
            ("before", asked.before.map(time).unwrap_or_default()),
            ("page_token", asked.page_token.clone()),
        ] {
            if !value.is_empty() {
                query.push((name, value));
            }
        }
        query.push(("page_size", asked.page_size.to_string()));
        let found: WireFound =
            json_of(self.get(token, "/v1/messages/search").query(&query)).await?;
        let result = |result: WireResult| {
            let part = |part: &WirePart| {
                if part.matched { format!("[{}]", part.text) } else { part.text.clone() }
            };
            (result.message.into(), result.snippet.iter().map(part).collect())
        };
        Ok(FoundPage {
            results: found.results.into_iter().map(result).collect(),
            next_page_token: found.next_page_token,
            incomplete: found.incomplete,
        })
    }

    async fn pin(&self, token: &str, message_id: &str, pinned: bool) -> Result<()> {
        let method = if pinned { Method::PUT } else { Method::DELETE };
        let request = self.request(method, &format!("/v1/messages/{message_id}/pin"));
        answer(request.bearer_auth(token)).await.map(drop)
    }

    async fn pins(&self, token: &str, conversation_id: &str) -> Result<Vec<(Entry, String)>> {
        let path = format!("/v1/conversations/{conversation_id}/pins");
        let listed: WirePins = json_of(self.get(token, &path)).await?;
        let pin = |pin: WirePin| (pin.message.into(), pin.pinned_by);
        Ok(listed.pinned_messages.into_iter().map(pin).collect())
    }

    async fn react(
        &self,
        token: &str,
        message_id: &str,
        reaction: &str,
        given: bool,
    ) -> Result<Vec<Reaction>> {
        let mut url = reqwest::Url::parse(&self.base).expect("a URL");
        let segments = ["v1", "messages", message_id, "reactions", reaction];
        url.path_segments_mut().expect("a base").clear().extend(segments);
        let method = if given { Method::PUT } else { Method::DELETE };
        let request = self.client.request(method, url).bearer_auth(token);
        let reacted: WireReactions<Reaction> = json_of(request).await?;
        Ok(reacted.reactions)
    }

    async fn reactions(
        &self,
        token: &str,
        message_id: &str,
        reaction: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<ReactionPage> {
        let path = format!("/v1/messages/{message_id}/reactions");
        let request = self.get(token, &path).query(&page(page_size, page_token));
        let listed: WireReactions<WireUserReaction> =
            json_of(request.query(&[("reaction", reaction)])).await?;
        let reaction = |item: WireUserReaction| (item.reaction, item.user_id);
        Ok(ReactionPage {
            reactions: listed.reactions.into_iter().map(reaction).collect(),
            next_page_token: listed.next_page_token,
        })
    }

    async fn delete_message(&self, token: &str, conversation_id: &str, seq: i64) -> Result<()> {
        let path = format!("/v1/conversations/{conversation_id}/messages/{seq}");
        answer(self.request(Method::DELETE, &path).bearer_auth(token)).await.map(drop)
    }

    async fn block_user(&self, token: &str, user_id: &str) -> Result<()> {
        let request = self.request(Method::PUT, &format!("/v1/blocks/{user_id}"));
        answer(request.bearer_auth(token)).await.map(drop)
    }

    async fn unblock_user(&self, token: &str, user_id: &str) -> Result<()> {
        let request = self.request(Method::DELETE, &format!("/v1/blocks/{user_id}"));
        answer(request.bearer_auth(token)).await.map(drop)
    }

    async fn blocked_users(
        &self,
        token: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<BlockedUserPage> {
        json_of(self.get(token, "/v1/blocks").query(&page(page_size, page_token))).await
    }

    async fn schedule(&self, token: &str, call: &ScheduleCall) -> Result<Value> {
        let path = "/v1/scheduled_messages";
        let request = match call {
            ScheduleCall::Schedule(message, send_at) => {
                let mut body = send_request(message);
                if !send_at.is_empty() {
                    body["send_at"] = send_at.as_str().into();
                }
                self.request(Method::POST, path).json(&body)
            }
            ScheduleCall::List(size, token) => {
                self.request(Method::GET, path).query(&page(*size, token))
            }
            ScheduleCall::Update(id, body) => {
                self.request(Method::PATCH, &format!("{path}/{id}")).json(body)
            }
            ScheduleCall::Cancel(id) => self.request(Method::DELETE, &format!("{path}/{id}")),
        };
        let body = answer(request.bearer_auth(token)).await?.text().await.map_err(Failure::lost)?;
        Ok(if body.is_empty() { Value::Null } else { read(&body) })
    }

    async fn profile(&self, token: &str, call: &ProfileCall) -> Result<Value> {
        let request = match call {
            ProfileCall::Own => self.get(token, "/v1/profile"),
            ProfileCall::Get(user) => self.get(token, &format!("/v1/users/{user}")),
            ProfileCall::List(users) => {
                self.get(token, "/v1/users").query(&[("user_ids", users.join(","))])
            }
            ProfileCall::Update(body) => {
                self.request(Method::PATCH, "/v1/profile").bearer_auth(token).json(body)
            }
        };
        json_of(request).await
    }

    async fn contact(&self, token: &str, call: &ContactCall) -> Result<Value> {
        let request = match call {
            ContactCall::List(query) => self.request(Method::GET, &format!("/v1/contacts{query}")),
            ContactCall::Set(user, body) => {
                self.request(Method::PUT, &format!("/v1/contacts/{user}")).json(body)
            }
            ContactCall::Remove(user) => {
                self.request(Method::DELETE, &format!("/v1/contacts/{user}"))
            }
            ContactCall::Settings => self.request(Method::GET, "/v1/settings"),
            ContactCall::UpdateSettings(body) => {
                self.request(Method::PATCH, "/v1/settings").json(body)
            }
        };
        let body = answer(request.bearer_auth(token)).await?.text().await.map_err(Failure::lost)?;
        Ok(if body.is_empty() { Value::Null } else { read(&body) })
    }

    async fn group(&self, token: &str, call: &GroupCall) -> Result<Value> {
        let request = match call {
            GroupCall::Create(body) => self.request(Method::POST, "/v1/groups").json(body),
            GroupCall::List => self.request(Method::GET, "/v1/groups"),
            GroupCall::Get(group) => self.request(Method::GET, &format!("/v1/groups/{group}")),
            GroupCall::Update(group, body) => {
                self.request(Method::PATCH, &format!("/v1/groups/{group}")).json(body)
            }
            GroupCall::Dissolve(group) => {
                self.request(Method::DELETE, &format!("/v1/groups/{group}"))
            }
            GroupCall::Members(group) => {
                self.request(Method::GET, &format!("/v1/groups/{group}/members"))
            }
            GroupCall::Add(group, user) => {
                self.request(Method::PUT, &format!("/v1/groups/{group}/members/{user}"))
            }
            GroupCall::UpdateMember(group, user, body) => self
                .request(Method::PATCH, &format!("/v1/groups/{group}/members/{user}"))
                .json(body),
            GroupCall::Remove(group, user) => {
                self.request(Method::DELETE, &format!("/v1/groups/{group}/members/{user}"))
            }
            GroupCall::Join(group) => {
                self.request(Method::POST, &format!("/v1/groups/{group}/join")).json(&json!({}))
            }
            GroupCall::Leave(group) => {
                self.request(Method::POST, &format!("/v1/groups/{group}/leave"))
            }
            GroupCall::Requests(group) => {
                self.request(Method::GET, &format!("/v1/groups/{group}/requests"))
            }
            GroupCall::Answer(group, user, approve) => self
                .request(Method::POST, &format!("/v1/groups/{group}/requests/{user}"))
                .json(&json!({ "approve": approve })),
            GroupCall::Readers(message) => {
                self.request(Method::GET, &format!("/v1/messages/{message}/readers"))
            }
        };
        let body = answer(request.bearer_auth(token)).await?.text().await.map_err(Failure::lost)?;
        Ok(if body.is_empty() { Value::Null } else { read(&body) })
    }
}

#[derive(Deserialize)]
struct WireSessions {
    sessions: Vec<Session>,
}

#[derive(Deserialize)]
struct WireStretch {
    entries: Vec<WireEntry>,
    #[serde(flatten)]
    state: TimelineState,
    history_truncated: Option<HistoryTruncated>,
    timeline_reset: Option<WireReset>,
    next_after: String,
}

#[derive(Deserialize)]
struct WireReset {
    epoch: i64,
}

#[derive(Deserialize)]
struct WireConversations {
    conversations: Vec<WireConversation>,
    next_page_token: String,
}

#[derive(Deserialize)]
struct WireConversation {
    conversation_id: String,
    #[serde(default)]
    peer_deleted: bool,
    last_message: WireEntry,
    read_seq: i64,
    unread_count: i64,
    peer_read_seq: i64,
    unread_mentions: i64,
    settings: ConversationSettings,
    #[serde(default)]
    draft: String,
}

#[derive(Deserialize)]
struct WireMarked {
    read_seq: i64,
}

#[derive(Deserialize)]
struct WireHistory {
    entries: Vec<WireEntry>,
    next_page_token: String,
    end: Option<String>,
    #[serde(flatten)]
    state: TimelineState,
}

#[derive(Deserialize)]
struct WireEntry {
    seq: i64,
    cursor: String,
    #[serde(with = "rfc3339")]
    appended_at: OffsetDateTime,
    kind: String,
    message: Option<WireMessage>,
    session_changed: Option<SessionChanged>,
    read_mark: Option<ReadUpTo>,
    read_receipt: Option<ReadUpTo>,
    message_recalled: Option<MessageGone>,
    message_edited: Option<WireEdited>,
    reactions_changed: Option<ReactionsChanged>,
    profile_changed: Option<ProfileChanged>,
    message_pinned: Option<MessagePinned>,
    scheduled_changed: Option<ScheduledChanged>,
    message_deleted: Option<MessageGone>,
    messages_erased: Option<MessagesErased>,
    block_changed: Option<BlockChanged>,
    group_changed: Option<GroupChanged>,
    member_changed: Option<MemberChanged>,
    group_request: Option<GroupRequest>,
    contact_changed: Option<ContactChanged>,
    settings_changed: Option<Settings>,
    conversation_changed: Option<ConversationChanged>,
    draft_changed: Option<DraftChanged>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members of the contract")]
struct WireMessage {
    message_id: String,
    conversation_id: String,
    sender_id: String,
    #[serde(default)]
    sender_deleted: bool,
    client_message_id: Option<String>,
    text: Option<String>,
    content_type: Option<String>,
    data: Option<String>,
    tombstone: Option<String>,
    #[serde(default)]
    mentions: Vec<String>,
    #[serde(default)]
    mention_all: bool,
    #[serde(default)]
    mentioned: bool,
    #[serde(default)]
    silent: bool,
    #[serde(default)]
    no_push: bool,
    #[serde(default)]
    edit_no: i32,
    #[serde(default, with = "rfc3339::option")]
    edited_at: Option<OffsetDateTime>,
    reply_to: Option<Quote>,
    #[serde(default)]
    reactions: Vec<Reaction>,
    forwarded: Option<Forwarded>,
    #[serde(default)]
    attachments: Vec<Attachment>,
}

#[derive(Deserialize)]
struct WireReactions<T> {
    reactions: Vec<T>,
    #[serde(default)]
    next_page_token: String,
}

#[derive(Deserialize)]
struct WireFile {
    attachment_id: String,
    upload: FileRequest,
}

#[derive(Deserialize)]
struct WireLink {
    download: FileRequest,
}

#[derive(Deserialize)]
struct WireFound {
    results: Vec<WireResult>,
    next_page_token: String,
    incomplete: bool,
}

#[derive(Deserialize)]
struct WireResult {
    message: WireEntry,
    snippet: Vec<WirePart>,
}

#[derive(Deserialize)]
struct WirePart {
    text: String,
    matched: bool,
}

#[derive(Deserialize)]
struct WirePins {
    pinned_messages: Vec<WirePin>,
}

#[derive(Deserialize)]
struct WirePin {
    message: WireEntry,
    pinned_by: String,
}

#[derive(Deserialize)]
struct WireUserReaction {
    reaction: String,
    user_id: String,
}

#[derive(Deserialize)]
struct WireEdited {
    seq: i64,
    message: WireMessage,
}

#[derive(Deserialize)]
struct WireEdits {
    edits: Vec<WireEdit>,
    next_page_token: String,
}

#[derive(Deserialize)]
struct WireEdit {
    edit_no: i32,
    previous: Option<WireContent>,
}

#[derive(Deserialize)]
struct WireContent {
    text: Option<String>,
    content_type: Option<String>,
    data: Option<String>,
}

impl WireContent {
    /// None where there is none.
    fn content(self) -> Option<Content> {
        match (self.text, self.content_type, self.data) {
            (None, None, None) => None,
            (Some(text), None, None) => Some(Content::Text(text)),
            (None, Some(content_type), Some(data)) => {
                let data = BASE64_STANDARD.decode(data).expect("base64");
                Some(Content::Data { content_type, data })
            }
            other => panic!("not one content: {other:?}"),
        }
    }
}

fn entries(wire: Vec<WireEntry>) -> Vec<Entry> {
    wire.into_iter().map(Entry::from).collect()
}

impl From<WireEntry> for Entry {
    fn from(wire: WireEntry) -> Self {
        let members = [
            ("message", wire.message.map(|message| Kind::Message(message.into()))),
            ("session_changed", wire.session_changed.map(Kind::SessionChanged)),
            ("read_mark", wire.read_mark.map(Kind::ReadMark)),
            ("read_receipt", wire.read_receipt.map(Kind::ReadReceipt)),
            ("message_recalled", wire.message_recalled.map(Kind::MessageRecalled)),
            (
                "message_edited",
                wire.message_edited.map(|WireEdited { seq, message }| {
                    Kind::MessageEdited(MessageEdited { seq, message: message.into() })
                }),
            ),
            ("reactions_changed", wire.reactions_changed.map(Kind::ReactionsChanged)),
            ("scheduled_changed", wire.scheduled_changed.map(Kind::ScheduledChanged)),
            ("message_pinned", wire.message_pinned.map(Kind::MessagePinned)),
            ("profile_changed", wire.profile_changed.map(Kind::ProfileChanged)),
            ("message_deleted", wire.message_deleted.map(Kind::MessageDeleted)),
            ("messages_erased", wire.messages_erased.map(Kind::MessagesErased)),
            ("block_changed", wire.block_changed.map(Kind::BlockChanged)),
            ("group_changed", wire.group_changed.map(Kind::GroupChanged)),
            ("member_changed", wire.member_changed.map(Kind::MemberChanged)),
            ("group_request", wire.group_request.map(Kind::GroupRequest)),
            ("contact_changed", wire.contact_changed.map(Kind::ContactChanged)),
            ("settings_changed", wire.settings_changed.map(Kind::SettingsChanged)),
            ("conversation_changed", wire.conversation_changed.map(Kind::ConversationChanged)),
            ("draft_changed", wire.draft_changed.map(Kind::DraftChanged)),
        ];
        let mut given = members.into_iter().filter_map(|(name, kind)| Some((name, kind?)));
        let (name, kind) = given.next().unwrap_or(("unknown", Kind::Unknown));
        assert!(wire.kind == name && given.next().is_none(), "{} with {kind:?}", wire.kind);
        Self { seq: wire.seq, cursor: wire.cursor, appended_at: wire.appended_at, kind }
    }
}

impl From<WireMessage> for Message {
    fn from(wire: WireMessage) -> Self {
        let WireMessage { text, content_type, data, .. } = wire;
        let content = WireContent { text, content_type, data }.content();
        assert_ne!(content.is_some(), wire.tombstone.is_some(), "content or a tombstone");
        Self {
            message_id: wire.message_id,
            conversation_id: wire.conversation_id,
            sender_id: wire.sender_id,
            sender_deleted: wire.sender_deleted,
            client_message_id: wire.client_message_id,
            content,
            tombstone: wire.tombstone,
            mentions: wire.mentions,
            mention_all: wire.mention_all,
            mentioned: wire.mentioned,
            silent: wire.silent,
            no_push: wire.no_push,
            edit_no: wire.edit_no,
            edited_at: wire.edited_at,
            reply_to: wire.reply_to,
            reactions: wire.reactions,
            forwarded: wire.forwarded,
            attachments: wire.attachments,
        }
    }
}
