//! `MessageService`.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use imd_proto::v1;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{bearer, convert, search, send_stream, status::status};
use crate::{
    model::{ChangeConversation, ConversationFilter, Error, PinnedMessage, ReactionOf, Typing},
    service::{
        EarlierVersion, EditMessage, Follow, Recipient, Send as SendMessage, SendSignal,
        SendSignalContent, Sent, Service,
    },
};

pub(super) struct Messages(pub(super) Arc<Service>);

#[async_trait]
impl v1::message_service_server::MessageService for Messages {
    async fn send(
        &self,
        request: Request<v1::SendRequest>,
    ) -> Result<Response<v1::SendResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let message = SendMessage { address: extensions.get().copied(), ..decode_send(request) };
        let sent = self.0.send(bearer(&metadata), message).await.map_err(status)?;
        Ok(Response::new(encode_sent(&sent)))
    }

    type SendStreamStream =
        Pin<Box<dyn Stream<Item = Result<v1::SendStreamResponse, Status>> + Send>>;

    async fn send_stream(
        &self,
        request: Request<Streaming<v1::SendStreamRequest>>,
    ) -> Result<Response<Self::SendStreamStream>, Status> {
        let (metadata, extensions, requests) = request.into_parts();
        let (token, address) = (bearer(&metadata), extensions.get().copied());
        self.0.session_of(token).await.map_err(status)?;
        let token = token.map(str::to_owned);
        let answers = send_stream::answers(self.0.clone(), token, address, requests);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn signal(
        &self,
        request: Request<v1::SignalRequest>,
    ) -> Result<Response<v1::SignalResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let signal = decode_signal(request).map_err(status)?;
        self.0.signal(bearer(&metadata), signal).await.map_err(status)?;
        Ok(Response::new(v1::SignalResponse {}))
    }

    type SubscribeStream =
        Pin<Box<dyn Stream<Item = Result<v1::SubscribeResponse, Status>> + Send>>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let v1::SubscribeRequest { after, last, watch, idle, acknowledging } = asked;
        let follow = Follow { after, last, watch, idle, acknowledging };
        let subscription = self.0.subscribe(bearer(&metadata), follow).await.map_err(status)?;
        let events = subscription
            .into_stream()
            .map(|event| event.map(|event| convert::event(&event)).map_err(status));
        Ok(Response::new(Box::pin(events)))
    }

    async fn acknowledge(
        &self,
        request: Request<v1::AcknowledgeRequest>,
    ) -> Result<Response<v1::AcknowledgeResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.acknowledge(token, &asked.cursor).await.map_err(status)?;
        Ok(Response::new(v1::AcknowledgeResponse {}))
    }

    async fn pull_timeline(
        &self,
        request: Request<v1::PullTimelineRequest>,
    ) -> Result<Response<v1::PullTimelineResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let read = self
            .0
            .pull_timeline(token, &asked.after, asked.last, asked.limit)
            .await
            .map_err(status)?;
        let epoch = read.page.state.epoch;
        Ok(Response::new(v1::PullTimelineResponse {
            entries: convert::entries(&read.page.entries),
            state: Some(convert::state(&read.page.state)),
            history_truncated: read.page.truncated.as_ref().map(convert::truncated),
            timeline_reset: read.page.reset.then_some(v1::TimelineReset { epoch }),
            next_after: read.next_after.to_string(),
        }))
    }

    async fn list_conversations(
        &self,
        request: Request<v1::ListConversationsRequest>,
    ) -> Result<Response<v1::ListConversationsResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let filter = ConversationFilter {
            unread: asked.unread,
            archived: asked.archived,
            pinned: asked.pinned,
        };
        let page = self
            .0
            .list_conversations(token, filter, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListConversationsResponse {
            conversations: page.items.iter().map(convert::conversation).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn update_conversation(
        &self,
        request: Request<v1::UpdateConversationRequest>,
    ) -> Result<Response<v1::UpdateConversationResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let muted_until = asked.muted_until.map(|at| convert::time("muted_until", at)).transpose();
        let change = ChangeConversation {
            pinned: asked.pinned,
            archived: asked.archived,
            marked_unread: asked.marked_unread,
            hidden: asked.hidden,
            muted_until: muted_until.map_err(status)?.map(Some),
        };
        let changed = self.0.change_conversation(token, &asked.conversation_id, change).await;
        let settings = Some(convert::conversation_settings(changed.map_err(status)?));
        Ok(Response::new(v1::UpdateConversationResponse { settings }))
    }

    async fn set_draft(
        &self,
        request: Request<v1::SetDraftRequest>,
    ) -> Result<Response<v1::SetDraftResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let v1::SetDraftRequest { conversation_id, text } = asked;
        self.0.set_draft(bearer(&metadata), &conversation_id, text).await.map_err(status)?;
        Ok(Response::new(v1::SetDraftResponse {}))
    }

    async fn list_history(
        &self,
        request: Request<v1::ListHistoryRequest>,
    ) -> Result<Response<v1::ListHistoryResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let history = self
            .0
            .list_history(token, &asked.conversation_id, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListHistoryResponse {
            entries: convert::entries(&history.page.items),
            next_page_token: history.page.next_page_token.unwrap_or_default(),
            end: convert::history_end(history.end).into(),
            state: Some(convert::state(&history.state)),
        }))
    }

    async fn mark_read(
        &self,
        request: Request<v1::MarkReadRequest>,
    ) -> Result<Response<v1::MarkReadResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let marked = self.0.mark_read(token, &asked.conversation_id, asked.seq).await;
        let read_seq = marked.map_err(status)?;
        Ok(Response::new(v1::MarkReadResponse { read_seq }))
    }

    async fn recall(
        &self,
        request: Request<v1::RecallRequest>,
    ) -> Result<Response<v1::RecallResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.recall(token, &asked.message_id).await.map_err(status)?;
        Ok(Response::new(v1::RecallResponse {}))
    }

    async fn edit_message(
        &self,
        request: Request<v1::EditMessageRequest>,
    ) -> Result<Response<v1::EditMessageResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let edit = EditMessage { address: extensions.get().copied(), ..decode_edit(request) };
        let edited = self.0.edit_message(bearer(&metadata), edit).await;
        let edited = edited.map_err(status)?;
        Ok(Response::new(v1::EditMessageResponse {
            edit_no: edited.edit.edit_no,
            edited_at: Some(convert::timestamp(edited.edit.edited_at)),
            duplicate: edited.duplicate,
        }))
    }

    async fn list_edits(
        &self,
        request: Request<v1::ListEditsRequest>,
    ) -> Result<Response<v1::ListEditsResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let page = self
            .0
            .list_edits(token, &asked.message_id, asked.page_size, &asked.page_token)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListEditsResponse {
            edits: page.items.iter().map(encode_edit).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn add_reaction(
        &self,
        request: Request<v1::AddReactionRequest>,
    ) -> Result<Response<v1::AddReactionResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let reactions = self.0.react(token, &asked.message_id, &asked.reaction, true).await;
        let reactions = convert::reactions(&reactions.map_err(status)?);
        Ok(Response::new(v1::AddReactionResponse { reactions }))
    }

    async fn remove_reaction(
        &self,
        request: Request<v1::RemoveReactionRequest>,
    ) -> Result<Response<v1::RemoveReactionResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let reactions = self.0.react(token, &asked.message_id, &asked.reaction, false).await;
        let reactions = convert::reactions(&reactions.map_err(status)?);
        Ok(Response::new(v1::RemoveReactionResponse { reactions }))
    }

    async fn list_reactions(
        &self,
        request: Request<v1::ListReactionsRequest>,
    ) -> Result<Response<v1::ListReactionsResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let v1::ListReactionsRequest { message_id, reaction, page_size, page_token } = asked;
        let page = self.0.list_reactions(token, message_id, reaction, *page_size, page_token).await;
        let page = page.map_err(status)?;
        let reaction = |item: ReactionOf| v1::UserReaction {
            reaction: item.reaction,
            user_id: item.user_id.to_string(),
        };
        Ok(Response::new(v1::ListReactionsResponse {
            reactions: page.items.into_iter().map(reaction).collect(),
            next_page_token: page.next_page_token.unwrap_or_default(),
        }))
    }

    async fn pin_message(
        &self,
        request: Request<v1::PinMessageRequest>,
    ) -> Result<Response<v1::PinMessageResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.pin(token, &asked.message_id, true).await.map_err(status)?;
        Ok(Response::new(v1::PinMessageResponse {}))
    }

    async fn unpin_message(
        &self,
        request: Request<v1::UnpinMessageRequest>,
    ) -> Result<Response<v1::UnpinMessageResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        self.0.pin(token, &asked.message_id, false).await.map_err(status)?;
        Ok(Response::new(v1::UnpinMessageResponse {}))
    }

    async fn list_pinned_messages(
        &self,
        request: Request<v1::ListPinnedMessagesRequest>,
    ) -> Result<Response<v1::ListPinnedMessagesResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let pinned = self.0.list_pins(token, &asked.conversation_id).await.map_err(status)?;
        let pin = |pin: &PinnedMessage| v1::PinnedMessage {
            message: Some(convert::entry(&pin.message)),
            pinned_by: pin.pinned_by.to_string(),
            pinned_at: Some(convert::timestamp(pin.pinned_at)),
        };
        let pinned_messages = pinned.iter().map(pin).collect();
        Ok(Response::new(v1::ListPinnedMessagesResponse { pinned_messages }))
    }

    async fn search_messages(
        &self,
        request: Request<v1::SearchMessagesRequest>,
    ) -> Result<Response<v1::SearchMessagesResponse>, Status> {
        let (metadata, _, asked) = request.into_parts();
        let asked = search::decode(asked).map_err(status)?;
        let found = self.0.search_messages(bearer(&metadata), asked).await.map_err(status)?;
        Ok(Response::new(search::encode(&found)))
    }

    async fn delete_message(
        &self,
        request: Request<v1::DeleteMessageRequest>,
    ) -> Result<Response<v1::DeleteMessageResponse>, Status> {
        let (token, asked) = (bearer(request.metadata()), request.get_ref());
        let deleted = self.0.delete_message(token, &asked.conversation_id, asked.seq).await;
        deleted.map_err(status)?;
        Ok(Response::new(v1::DeleteMessageResponse {}))
    }
}

pub(super) fn encode_sent(sent: &Sent) -> v1::SendResponse {
    v1::SendResponse {
        message_id: sent.message_id.to_string(),
        seq: sent.cursor.seq,
        cursor: sent.cursor.to_string(),
        conversation_id: sent.conversation_id.to_string(),
        sent_at: Some(convert::timestamp(sent.sent_at)),
        duplicate: sent.duplicate,
    }
}

pub(super) fn decode_send(request: v1::SendRequest) -> SendMessage {
    let to = request.to.map(|to| match to {
        v1::send_request::To::UserId(id) => Recipient::User(id),
        v1::send_request::To::GroupId(id) => Recipient::Group(id),
    });
    let content = request.content.map(convert::send_content);
    let v1::SendRequest { client_message_id, mentions, mention_all, reply_to, .. } = request;
    let v1::SendRequest { forward_of, attachments, .. } = request;
    let address = None;
    SendMessage {
        to,
        client_message_id,
        content,
        mentions,
        mention_all,
        reply_to,
        forward_of,
        attachments,
        address,
    }
}

fn decode_edit(request: v1::EditMessageRequest) -> EditMessage {
    let content = request.content.map(convert::send_content);
    let v1::EditMessageRequest { message_id, client_edit_id, mentions, mention_all, .. } = request;
    EditMessage { message_id, client_edit_id, content, mentions, mention_all, address: None }
}

fn encode_edit(version: &EarlierVersion) -> v1::MessageEdit {
    v1::MessageEdit {
        edit_no: version.edit.edit_no,
        edited_at: Some(convert::timestamp(version.edit.edited_at)),
        previous: version.content.as_ref().map(|content| convert::content(content).into()),
    }
}

fn decode_signal(request: v1::SignalRequest) -> Result<SendSignal, Error> {
    let to = request.to.map(|to| match to {
        v1::signal_request::To::UserId(id) => Recipient::User(id),
        v1::signal_request::To::GroupId(id) => Recipient::Group(id),
    });
    let content = match request.signal {
        None => None,
        Some(v1::signal_request::Signal::Typing(number)) => {
            Some(SendSignalContent::Typing(match v1::Typing::try_from(number) {
                Ok(v1::Typing::Started) => Typing::Started,
                Ok(v1::Typing::Stopped) => Typing::Stopped,
                Ok(v1::Typing::Unspecified) | Err(_) => {
                    return Err(Error::invalid("typing", "must be STARTED or STOPPED"));
                }
            }))
        }
        Some(v1::signal_request::Signal::Data(v1::Data { content_type, data })) => {
            Some(SendSignalContent::Data { content_type, data })
        }
    };
    Ok(SendSignal { to, content })
}
