//! The client over gRPC.

mod attachments;
mod contacts;
mod convert;
mod groups;
mod profiles;
mod schedule;
mod search;

use std::net::SocketAddr;

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::StreamExt;
use imd_proto::v1::{
    self, auth_service_client::AuthServiceClient, block_service_client::BlockServiceClient,
    info_service_client::InfoServiceClient, message_service_client::MessageServiceClient,
    presence_service_client::PresenceServiceClient,
};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

use self::convert::{all, conversation_settings, name};
pub(crate) use self::{convert::at, search::search_request};
use super::{
    api::{
        Api, ContactCall, Credential, Events, GroupCall, Login, Outgoing, OutgoingSignal,
        ProfileCall, Result, ScheduleCall,
    },
    failure::Failure,
    types::{
        BlockedUser, BlockedUserPage, Content, Conversation, ConversationPage,
        ConversationSettings, EditPage, Edited, Entry, Event, FileCall, FileRequest, FoundPage,
        HistoryPage, Info, LoggedIn, Reaction, ReactionPage, SearchCall, Sent, Session, Stretch,
        TerminalType, Tokens, UserPresence,
    },
};

pub(crate) struct Grpc {
    channel: Channel,
    /// What a proxy says of logins.
    forwarded_for: Option<String>,
}

impl Grpc {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { channel: channel(address), forwarded_for: None }
    }

    pub(crate) fn forwarded_for(self, address: &str) -> Self {
        Self { forwarded_for: Some(address.to_owned()), ..self }
    }

    fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    fn blocks(&self) -> BlockServiceClient<Channel> {
        BlockServiceClient::new(self.channel.clone())
    }

    fn presence(&self) -> PresenceServiceClient<Channel> {
        PresenceServiceClient::new(self.channel.clone())
    }

    fn messages(&self) -> MessageServiceClient<Channel> {
        MessageServiceClient::new(self.channel.clone())
    }
}

/// A connection to the listener at `address`, made at first use.
pub(crate) fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("an address makes a URL")
        // So small that a terminal that does not read soon stops the server from writing.
        .initial_stream_window_size(64 * 1024)
        .connect_lazy()
}

/// A request that carries a bearer token.
pub(crate) fn with_bearer<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("tokens are ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

/// `after` and `last` of a request: `last=5` stands for the latter.
fn start(after: &str) -> (String, i32) {
    match after.strip_prefix("last=") {
        Some(last) => (String::new(), last.parse().expect("a number")),
        None => (after.to_owned(), 0),
    }
}

/// A message as a request has it.
fn send_request(message: &Outgoing) -> v1::SendRequest {
    use v1::send_request::{Content as Wire, To};
    let content = message.content.clone().map(|content| match content {
        Content::Text(text) => Wire::Text(text),
        Content::Data { content_type, data } => {
            Wire::Data(v1::Data { content_type, data: data.into() })
        }
    });
    v1::SendRequest {
        to: match message.group() {
            Some(group) => Some(To::GroupId(group.to_owned())),
            None => message.to.clone().map(To::UserId),
        },
        client_message_id: message.client_message_id.clone(),
        content,
        mentions: message.mentions.clone(),
        mention_all: message.mention_all,
        reply_to: message.reply_to.clone(),
        forward_of: message.forward_of.clone(),
        attachments: message.attachments.clone(),
    }
}

#[async_trait]
impl Api for Grpc {
    async fn info(&self) -> Result<Info> {
        let mut client = InfoServiceClient::new(self.channel.clone());
        let info = client.get_info(v1::GetInfoRequest {}).await?.into_inner();
        let terminal_type = |t: v1::TerminalType| TerminalType {
            name: t.name,
            session_limit: t.session_limit,
            excludes: t.excludes,
        };
        Ok(Info {
            version: info.version,
            terminal_types: info.terminal_types.into_iter().map(terminal_type).collect(),
            max_body_bytes: info.max_body_bytes.try_into().expect("a size"),
            heartbeat_interval: info.heartbeat_interval.try_into().expect("a duration"),
            recall_window: info.recall_window.try_into().expect("a duration"),
            edit_window: info.edit_window.try_into().expect("a duration"),
            read_receipts: info.read_receipts,
        })
    }

    async fn login(&self, login: &Login) -> Result<LoggedIn> {
        use v1::login_request::Credential as Wire;
        let if_occupied =
            if login.refuse { v1::IfOccupied::Refuse } else { v1::IfOccupied::Unspecified };
        let credential = match login.credential.clone() {
            Credential::Password(password) => Some(Wire::Password(password)),
            Credential::Assertion(token) => Some(Wire::Assertion(token)),
            Credential::Nothing => None,
        };
        let request = v1::LoginRequest {
            user_id: login.user_id.clone(),
            credential,
            terminal: Some(v1::Terminal {
                r#type: login.terminal_type.clone(),
                device_id: login.device_id.clone(),
                device_name: login.device_name.clone(),
            }),
            if_occupied: if_occupied.into(),
        };
        let mut request = Request::new(request);
        if let Some(address) = &self.forwarded_for {
            let address = address.parse().expect("ASCII");
            request.metadata_mut().insert("x-forwarded-for", address);
        }
        let logged_in = self.auth().login(request).await?.into_inner();
        Ok(LoggedIn {
            tokens: logged_in.tokens.expect("a login brings tokens").into(),
            session: logged_in.session.expect("a login brings a session").into(),
            replaced: all(logged_in.replaced),
        })
    }

    async fn refresh(&self, refresh_token: &str) -> Result<Tokens> {
        let request = v1::RefreshRequest { refresh_token: refresh_token.to_owned() };
        let refreshed = self.auth().refresh(request).await?.into_inner();
        Ok(refreshed.tokens.expect("a refresh brings tokens").into())
    }

    async fn logout(&self, token: &str) -> Result<()> {
        let request = with_bearer(token, v1::LogoutRequest {});
        self.auth().logout(request).await?;
        Ok(())
    }

    async fn sessions(&self, token: &str) -> Result<Vec<Session>> {
        let request = with_bearer(token, v1::ListMySessionsRequest {});
        let listed = self.auth().list_my_sessions(request).await?;
        Ok(all(listed.into_inner().sessions))
    }

    async fn end_session(&self, token: &str, session_id: &str) -> Result<()> {
        let request = v1::EndMySessionRequest { session_id: session_id.to_owned() };
        self.auth().end_my_session(with_bearer(token, request)).await?;
        Ok(())
    }

    async fn send(&self, token: &str, message: &Outgoing) -> Result<Sent> {
        let request = send_request(message);
        let sent = self.messages().send(with_bearer(token, request)).await?;
        let sent = sent.into_inner();
        Ok(Sent {
            message_id: sent.message_id,
            seq: sent.seq,
            cursor: sent.cursor,
            conversation_id: sent.conversation_id,
            sent_at: at(sent.sent_at),
            duplicate: sent.duplicate,
        })
    }

    async fn signal(&self, token: &str, signal: &OutgoingSignal) -> Result<()> {
        use v1::signal_request::{Signal, To};
        let text = |member: &str| signal.content[member].as_str().map(str::to_owned);
        let said = match (text("typing"), text("content_type"), text("data")) {
            (Some(typing), ..) => {
                // One that there is not goes as a number that there is not.
                let typing = v1::Typing::from_str_name(&format!("TYPING_{typing}"));
                Some(Signal::Typing(typing.map_or(99, Into::into)))
            }
            (None, None, None) => None,
            (None, content_type, data) => {
                let data = BASE64_STANDARD.decode(data.unwrap_or_default()).expect("base64");
                let content_type = content_type.unwrap_or_default();
                Some(Signal::Data(v1::Data { content_type, data: data.into() }))
            }
        };
        let to = signal.to.as_deref().map(|to| match to.strip_prefix("group:") {
            Some(group) => To::GroupId(group.to_owned()),
            None => To::UserId(to.to_owned()),
        });
        let request = v1::SignalRequest { to, signal: said };
        self.messages().signal(with_bearer(token, request)).await?;
        Ok(())
    }

    async fn subscribe(&self, token: &str, after: &str) -> Result<Events> {
        let (after, last) = start(after);
        let request =
            with_bearer(token, v1::SubscribeRequest { after, last, ..Default::default() });
        let stream = self.messages().subscribe(request).await?.into_inner();
        Ok(stream.map(|event| event.map(Event::from).map_err(Failure::from)).boxed())
    }

    async fn watch(&self, token: &str, user_ids: &[&str], idle: bool) -> Result<Events> {
        let watch = user_ids.iter().copied().map(str::to_owned).collect();
        let request =
            v1::SubscribeRequest { after: "now".to_owned(), watch, idle, ..Default::default() };
        let stream = self.messages().subscribe(with_bearer(token, request)).await?.into_inner();
        Ok(stream.map(|event| event.map(Event::from).map_err(Failure::from)).boxed())
    }

    async fn follow_acknowledging(&self, token: &str, after: &str) -> Result<Events> {
        let after = after.to_owned();
        let request = v1::SubscribeRequest { after, acknowledging: true, ..Default::default() };
        let stream = self.messages().subscribe(with_bearer(token, request)).await?.into_inner();
        Ok(stream.map(|event| event.map(Event::from).map_err(Failure::from)).boxed())
    }

    async fn acknowledge(&self, token: &str, cursor: &str) -> Result<()> {
        let request = v1::AcknowledgeRequest { cursor: cursor.to_owned() };
        self.messages().acknowledge(with_bearer(token, request)).await?;
        Ok(())
    }

    async fn presence(&self, token: &str, user_ids: &[&str]) -> Result<Vec<UserPresence>> {
        let user_ids = user_ids.iter().copied().map(str::to_owned).collect();
        let request = with_bearer(token, v1::GetPresenceRequest { user_ids });
        Ok(all(self.presence().get_presence(request).await?.into_inner().users))
    }

    async fn set_idle(&self, token: &str, idle: bool) -> Result<()> {
        self.presence().set_idle(with_bearer(token, v1::SetIdleRequest { idle })).await?;
        Ok(())
    }

    async fn pull(&self, token: &str, after: &str, limit: i32) -> Result<Stretch> {
        let (after, last) = start(after);
        let request = v1::PullTimelineRequest { after, last, limit };
        let pulled = self.messages().pull_timeline(with_bearer(token, request)).await;
        let pulled = pulled?.into_inner();
        Ok(Stretch {
            entries: all(pulled.entries),
            state: pulled.state.expect("a pull brings the state").into(),
            history_truncated: pulled.history_truncated.map(Into::into),
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
        let wanted = |name| filter.iter().find(|(of, _)| *of == name).map(|(_, wanted)| *wanted);
        let request = v1::ListConversationsRequest {
            page_size,
            page_token: page_token.to_owned(),
            unread: wanted("unread"),
            archived: wanted("archived"),
            pinned: wanted("pinned"),
        };
        let listed = self.messages().list_conversations(with_bearer(token, request)).await;
        let listed = listed?.into_inner();
        let conversation = |conversation: v1::Conversation| Conversation {
            conversation_id: conversation.conversation_id,
            peer_deleted: conversation.peer_deleted,
            last_message: conversation.last_message.expect("a conversation has messages").into(),
            read_seq: conversation.read_seq,
            unread_count: conversation.unread_count.into(),
            peer_read_seq: conversation.peer_read_seq,
            unread_mentions: conversation.unread_mentions.into(),
            settings: conversation_settings(conversation.settings),
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
        let request = v1::ListHistoryRequest {
            conversation_id: conversation_id.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        };
        let listed = self.messages().list_history(with_bearer(token, request)).await;
        let listed = listed?.into_inner();
        let end = match listed.end() {
            v1::HistoryEnd::Unspecified => None,
            end => Some(name(end.as_str_name(), "HISTORY_END_")),
        };
        Ok(HistoryPage {
            end,
            entries: all(listed.entries),
            next_page_token: listed.next_page_token,
            state: listed.state.expect("a history brings the state").into(),
        })
    }

    async fn update_conversation(
        &self,
        token: &str,
        conversation_id: &str,
        body: &Value,
    ) -> Result<ConversationSettings> {
        let wanted = |member: &str| body.get(member).and_then(Value::as_bool);
        let muted_until = body.get("muted_until").map(|until| match until.as_str() {
            Some(text) => OffsetDateTime::parse(text, &Rfc3339).expect("a time"),
            None => OffsetDateTime::UNIX_EPOCH,
        });
        let request = v1::UpdateConversationRequest {
            conversation_id: conversation_id.to_owned(),
            pinned: wanted("pinned"),
            archived: wanted("archived"),
            marked_unread: wanted("marked_unread"),
            hidden: wanted("hidden"),
            muted_until: muted_until.map(|until| prost_types::Timestamp {
                seconds: until.unix_timestamp(),
                nanos: until.nanosecond().try_into().expect("less than a second"),
            }),
        };
        let updated = self.messages().update_conversation(with_bearer(token, request)).await?;
        Ok(conversation_settings(updated.into_inner().settings))
    }

    async fn set_draft(&self, token: &str, conversation_id: &str, text: &str) -> Result<()> {
        let (conversation_id, text) = (conversation_id.to_owned(), text.to_owned());
        let request = v1::SetDraftRequest { conversation_id, text };
        self.messages().set_draft(with_bearer(token, request)).await?;
        Ok(())
    }

    async fn mark_read(&self, token: &str, conversation_id: &str, seq: i64) -> Result<i64> {
        let request = v1::MarkReadRequest { conversation_id: conversation_id.to_owned(), seq };
        let marked = self.messages().mark_read(with_bearer(token, request)).await?;
        Ok(marked.into_inner().read_seq)
    }

    async fn recall(&self, token: &str, message_id: &str) -> Result<()> {
        let request = v1::RecallRequest { message_id: message_id.to_owned() };
        self.messages().recall(with_bearer(token, request)).await?;
        Ok(())
    }

    async fn edit(&self, token: &str, message_id: &str, edit: &Outgoing) -> Result<Edited> {
        use v1::edit_message_request::Content as Wire;
        let content = edit.content.clone().map(|content| match content {
            Content::Text(text) => Wire::Text(text),
            Content::Data { content_type, data } => {
                Wire::Data(v1::Data { content_type, data: data.into() })
            }
        });
        let request = v1::EditMessageRequest {
            message_id: message_id.to_owned(),
            client_edit_id: edit.client_message_id.clone(),
            content,
            mentions: edit.mentions.clone(),
            mention_all: edit.mention_all,
        };
        let edited = self.messages().edit_message(with_bearer(token, request)).await?.into_inner();
        let v1::EditMessageResponse { edit_no, edited_at, duplicate } = edited;
        Ok(Edited { edit_no, edited_at: at(edited_at), duplicate })
    }

    async fn edits(
        &self,
        token: &str,
        message_id: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<EditPage> {
        use v1::message_edit::Previous;
        let request = v1::ListEditsRequest {
            message_id: message_id.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        };
        let listed = self.messages().list_edits(with_bearer(token, request)).await?.into_inner();
        let edit = |edit: v1::MessageEdit| {
            let previous = edit.previous.map(|previous| match previous {
                Previous::Text(text) => Content::Text(text),
                Previous::Data(v1::Data { content_type, data }) => {
                    Content::Data { content_type, data: data.into() }
                }
            });
            (edit.edit_no, previous)
        };
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
        self.new_attachment(token, file).await
    }

    async fn attachment_link(
        &self,
        token: &str,
        message_id: &str,
        attachment_id: &str,
    ) -> Result<FileRequest> {
        self.link_to_attachment(token, message_id, attachment_id).await
    }

    async fn search(&self, token: &str, asked: &SearchCall) -> Result<FoundPage> {
        let request = search_request(asked);
        let found = self.messages().search_messages(with_bearer(token, request)).await?;
        Ok(found.into_inner().into())
    }

    async fn pin(&self, token: &str, message_id: &str, pinned: bool) -> Result<()> {
        let message_id = message_id.to_owned();
        if pinned {
            let request = with_bearer(token, v1::PinMessageRequest { message_id });
            self.messages().pin_message(request).await?;
        } else {
            let request = with_bearer(token, v1::UnpinMessageRequest { message_id });
            self.messages().unpin_message(request).await?;
        }
        Ok(())
    }

    async fn pins(&self, token: &str, conversation_id: &str) -> Result<Vec<(Entry, String)>> {
        let request = v1::ListPinnedMessagesRequest { conversation_id: conversation_id.to_owned() };
        let listed = self.messages().list_pinned_messages(with_bearer(token, request)).await?;
        let pin = |pin: v1::PinnedMessage| {
            at(pin.pinned_at);
            (pin.message.expect("a message").into(), pin.pinned_by)
        };
        Ok(listed.into_inner().pinned_messages.into_iter().map(pin).collect())
    }

    async fn react(
        &self,
        token: &str,
        message_id: &str,
        reaction: &str,
        given: bool,
    ) -> Result<Vec<Reaction>> {
        let (message_id, reaction) = (message_id.to_owned(), reaction.to_owned());
        Ok(if given {
            let request = v1::AddReactionRequest { message_id, reaction };
            let added = self.messages().add_reaction(with_bearer(token, request)).await?;
            all(added.into_inner().reactions)
        } else {
            let request = v1::RemoveReactionRequest { message_id, reaction };
            let removed = self.messages().remove_reaction(with_bearer(token, request)).await?;
            all(removed.into_inner().reactions)
        })
    }

    async fn reactions(
        &self,
        token: &str,
        message_id: &str,
        reaction: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<ReactionPage> {
        let request = v1::ListReactionsRequest {
            message_id: message_id.to_owned(),
            reaction: reaction.to_owned(),
            page_size,
            page_token: page_token.to_owned(),
        };
        let listed = self.messages().list_reactions(with_bearer(token, request)).await?;
        let listed = listed.into_inner();
        let reaction = |item: v1::UserReaction| (item.reaction, item.user_id);
        Ok(ReactionPage {
            reactions: listed.reactions.into_iter().map(reaction).collect(),
            next_page_token: listed.next_page_token,
        })
    }

    async fn delete_message(&self, token: &str, conversation_id: &str, seq: i64) -> Result<()> {
        let request = v1::DeleteMessageRequest { conversation_id: conversation_id.to_owned(), seq };
        self.messages().delete_message(with_bearer(token, request)).await?;
        Ok(())
    }

    async fn block_user(&self, token: &str, user_id: &str) -> Result<()> {
        let request = v1::BlockUserRequest { user_id: user_id.to_owned() };
        self.blocks().block_user(with_bearer(token, request)).await?;
        Ok(())
    }

    async fn unblock_user(&self, token: &str, user_id: &str) -> Result<()> {
        let request = v1::UnblockUserRequest { user_id: user_id.to_owned() };
        self.blocks().unblock_user(with_bearer(token, request)).await?;
        Ok(())
    }

    async fn blocked_users(
        &self,
        token: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<BlockedUserPage> {
        let request = v1::ListBlockedUsersRequest { page_size, page_token: page_token.to_owned() };
        let listed = self.blocks().list_blocked_users(with_bearer(token, request)).await;
        let listed = listed?.into_inner();
        let blocked_user = |user: v1::BlockedUser| BlockedUser {
            user_id: user.user_id,
            blocked_at: at(user.blocked_at),
        };
        Ok(BlockedUserPage {
            blocked_users: listed.blocked_users.into_iter().map(blocked_user).collect(),
            next_page_token: listed.next_page_token,
        })
    }

    async fn schedule(&self, token: &str, call: &ScheduleCall) -> Result<Value> {
        schedule::call(&self.channel, token, call).await
    }

    async fn profile(&self, token: &str, call: &ProfileCall) -> Result<Value> {
        profiles::call(&self.channel, token, call).await
    }

    async fn contact(&self, token: &str, call: &ContactCall) -> Result<Value> {
        contacts::call(&self.channel, token, call).await
    }

    async fn group(&self, token: &str, call: &GroupCall) -> Result<Value> {
        groups::call(&self.channel, token, call).await
    }
}
