//! The hook over gRPC.

use axum::Router;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use imd_proto::v1::{
    CheckPolicyRequest, CheckPolicyResponse, PolicyAllow, PolicyData, PolicyKind, PolicyRefuse,
    PolicyRewrite,
    check_policy_request::{Content, To},
    check_policy_response::Action,
    policy_rewrite,
    policy_service_server::{PolicyService, PolicyServiceServer},
};
use serde_json::{Value, json};
use tonic::{Request, Response, Status, service::Routes};

use super::{
    KEY,
    hook::{Answer, Shared, Way},
    verdicts::first_of_all_questions,
};
use crate::support::api::Transport;

struct Server(Shared);

pub(super) fn router(shared: Shared) -> Router {
    Routes::new(PolicyServiceServer::new(Server(shared))).into_axum_router()
}

#[tonic::async_trait]
impl PolicyService for Server {
    async fn check_policy(
        &self,
        request: Request<CheckPolicyRequest>,
    ) -> Result<Response<CheckPolicyResponse>, Status> {
        let headers = request.metadata().clone().into_headers();
        let question = in_json(request.into_inner());
        let answer = match self.0.ask(headers, question.to_string().into()) {
            Answer::Json(answer) => answer,
            Answer::Late(pause, answer) => {
                tokio::time::sleep(pause).await;
                answer
            }
            Answer::Status(status) => return Err(Status::internal(status.to_string())),
            Answer::Nothing => std::future::pending().await,
            Answer::Text(_) => Value::Null,
        };
        Ok(Response::new(CheckPolicyResponse { action: action(&answer) }))
    }
}

/// The question as it is asked over HTTP.
fn in_json(asked: CheckPolicyRequest) -> Value {
    let kind = match asked.kind() {
        PolicyKind::Message => "message",
        PolicyKind::Edit => "edit",
        PolicyKind::Unspecified => panic!("it is said what is written"),
    };
    let mut question = json!({
        "kind": kind, "sender_id": asked.sender_id, "session_id": asked.session_id,
        "address": asked.address,
    });
    let terminal = asked.terminal.expect("the session is live");
    question["terminal"] = json!({
        "type": terminal.r#type, "device_id": terminal.device_id, "device_name": terminal.device_name,
    });
    match asked.to {
        Some(To::RecipientId(user_id)) => question["recipient_id"] = user_id.into(),
        Some(To::GroupId(group_id)) => question["group_id"] = group_id.into(),
        None => {}
    }
    for (name, id) in
        [("client_message_id", asked.client_message_id), ("message_id", asked.message_id)]
    {
        if !id.is_empty() {
            question[name] = id.into();
        }
    }
    match asked.content.expect("it says something") {
        Content::Text(text) => question["text"] = text.into(),
        Content::Data(PolicyData { content_type, data }) => {
            question["content_type"] = content_type.into();
            question["data"] = BASE64_STANDARD.encode(data).into();
        }
    }
    if !asked.mentions.is_empty() {
        question["mentions"] = asked.mentions.into();
    }
    if asked.mention_all {
        question["mention_all"] = true.into();
    }
    if let Some(quote) = asked.reply_to {
        question["reply_to"] =
            json!({ "message_id": quote.message_id, "sender_id": quote.sender_id });
    }
    question
}

/// What is answered in JSON over HTTP.
fn action(answer: &Value) -> Option<Action> {
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    match answer["action"].as_str()? {
        "allow" => Some(Action::Allow(PolicyAllow {})),
        "refuse" => Some(Action::Refuse(PolicyRefuse {
            code: text("code").unwrap_or_default(),
            text: text("text").unwrap_or_default(),
        })),
        "rewrite" => {
            let data = text("data").map(|data| {
                let data: Bytes = BASE64_STANDARD.decode(data).expect("base64").into();
                let content_type = text("content_type").unwrap_or_default();
                policy_rewrite::Content::Data(PolicyData { content_type, data })
            });
            let content = text("text").map(policy_rewrite::Content::Text).or(data);
            Some(Action::Rewrite(PolicyRewrite { content }))
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn over_grpc_the_hook_is_asked_the_same_and_shown_the_key() {
    let (headers, _) = first_of_all_questions(Way::Grpc, Transport::Rest).await;
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
}
