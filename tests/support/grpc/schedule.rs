//! Calls about scheduled messages over gRPC, answered in the JSON of REST.

use base64::{Engine, prelude::BASE64_STANDARD};
use imd_proto::v1::{self, schedule_service_client::ScheduleServiceClient};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tonic::transport::Channel;

use super::{convert::at, send_request, with_bearer};
use crate::support::api::{Result, ScheduleCall};

pub(super) async fn call(channel: &Channel, token: &str, call: &ScheduleCall) -> Result<Value> {
    let mut client = ScheduleServiceClient::new(channel.clone());
    Ok(match call {
        ScheduleCall::Schedule(message, send_at) => {
            let message = Some(send_request(message));
            let request = v1::ScheduleMessageRequest { message, send_at: timestamp(send_at) };
            let answer = client.schedule_message(with_bearer(token, request)).await?.into_inner();
            json!({
                "scheduled_message": scheduled(answer.scheduled_message),
                "duplicate": answer.duplicate,
            })
        }
        ScheduleCall::List(page_size, page_token) => {
            let (page_size, page_token) = (*page_size, page_token.clone());
            let request = v1::ListScheduledMessagesRequest { page_size, page_token };
            let listed = client.list_scheduled_messages(with_bearer(token, request)).await?;
            let listed = listed.into_inner();
            let messages: Vec<Value> =
                listed.scheduled_messages.into_iter().map(|one| scheduled(Some(one))).collect();
            json!({ "scheduled_messages": messages, "next_page_token": listed.next_page_token })
        }
        ScheduleCall::Update(id, body) => {
            use v1::update_scheduled_message_request::Content;
            let text = body.get("text").and_then(Value::as_str);
            let send_at = body.get("send_at").and_then(Value::as_str).unwrap_or_default();
            let request = v1::UpdateScheduledMessageRequest {
                client_message_id: id.clone(),
                send_at: timestamp(send_at),
                content: text.map(|text| Content::Text(text.to_owned())),
            };
            let updated = client.update_scheduled_message(with_bearer(token, request)).await?;
            scheduled(updated.into_inner().scheduled_message)
        }
        ScheduleCall::Cancel(id) => {
            let client_message_id = id.clone();
            let request = v1::CancelScheduledMessageRequest { client_message_id };
            client.cancel_scheduled_message(with_bearer(token, request)).await?;
            Value::Null
        }
    })
}

fn timestamp(text: &str) -> Option<prost_types::Timestamp> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let nanos = at.nanosecond().try_into().expect("less than a second");
    Some(prost_types::Timestamp { seconds: at.unix_timestamp(), nanos })
}

fn scheduled(message: Option<v1::ScheduledMessage>) -> Value {
    use v1::scheduled_message::Content;
    let message = message.expect("a message");
    let send_at = at(message.send_at).format(&Rfc3339).expect("a time");
    let mut json = json!({
        "client_message_id": message.client_message_id,
        "conversation_id": message.conversation_id,
        "send_at": send_at,
    });
    match message.content.expect("a content") {
        Content::Text(text) => json["text"] = text.into(),
        Content::Data(v1::Data { content_type, data }) => {
            json["content_type"] = content_type.into();
            json["data"] = BASE64_STANDARD.encode(data).into();
        }
    }
    if !message.mentions.is_empty() {
        json["mentions"] = json!(message.mentions);
    }
    if message.mention_all {
        json["mention_all"] = true.into();
    }
    if !message.reply_to.is_empty() {
        json["reply_to"] = message.reply_to.into();
    }
    if !message.attachments.is_empty() {
        let attachment = |one: v1::Attachment| {
            let mut json = json!({
                "attachment_id": one.attachment_id,
                "file_name": one.file_name,
                "content_type": one.content_type,
                "size": one.size,
            });
            if !one.sha256.is_empty() {
                json["sha256"] = one.sha256.into();
            }
            json
        };
        json["attachments"] = message.attachments.into_iter().map(attachment).collect();
    }
    if let Some(v1::Refusal { code, message }) = message.refusal {
        json["refusal"] = json!({ "code": code, "message": message });
    }
    json
}
