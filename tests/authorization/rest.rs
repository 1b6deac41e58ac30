//! Every operation of the OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};

use imd_proto::v1::kick_sessions_request::Which;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Access::{self, Anyone, User},
    SCHEDULED,
    credentials::forgeries,
};
use crate::support::{
    api::Transport,
    cluster::{Cluster, PASSWORD},
    failure::Failure,
    terminal::Terminal,
    types::Sent,
};

/// The operation whose tokens come in frames: see `socket`.
const IN_FRAMES: &str = "/v1/ws";

/// The operations whose tokens come with an answer: see `attachments`.
const BY_LINK: &str = "/v1/attachments/{attachment_id}/content";

const LINK: &str = "/v1/messages/{message_id}/attachments/{attachment_id}";

/// A time that is to come.
fn later() -> String {
    let later = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    later.format(&time::format_description::well_known::Rfc3339).expect("a time")
}

/// An operation with a request that is valid as far as that does not depend on who asks.
struct Operation {
    method: Method,
    /// As in the document.
    path: &'static str,
    access: Access,
    /// The path with its parameters.
    url: String,
    body: Option<Value>,
}

impl Operation {
    fn new(method: Method, path: &'static str, access: Access) -> Self {
        Self { method, path, access, url: path.to_owned(), body: None }
    }

    fn with(self, parameter: &str, value: &str) -> Self {
        Self { url: self.url.replace(parameter, value), ..self }
    }

    fn query(self, query: &str) -> Self {
        Self { url: format!("{}?{query}", self.url), ..self }
    }

    fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    async fn on(&self, imd: &Cluster, token: Option<&str>) -> Response {
        let url = format!("http://{}{}", imd.node.public_address(), self.url);
        let mut request = Client::new().request(self.method.clone(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        request.send().await.expect("an answer")
    }

    /// Makes the request; how it was refused.
    async fn refused(&self, imd: &Cluster, token: Option<&str>, with: &str) -> Failure {
        let response = self.on(imd, token).await;
        let status = response.status();
        assert!(!status.is_success(), "{} {} with {with}: {status}", self.method, self.path);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let problem: BTreeMap<String, Value> = response.json().await.expect("a problem");
        Failure::from_problem(status.as_u16(), problem)
    }
}

/// Every operation there is, for `ann` on a phone and a pc, with a note to herself. Those that end
/// something come last.
fn operations(phone: &Terminal, pc: &Terminal, note: &Sent, in_group: &str) -> Vec<Operation> {
    let login = json!({
        "user_id": "ann",
        "password": PASSWORD,
        "terminal": { "type": "pad", "device_id": "pad" },
    });
    let refresh = json!({ "refresh_token": phone.refresh_token });
    let send = json!({
        "to": { "user_id": "ann" },
        "client_message_id": Uuid::new_v4(),
        "text": "a note",
    });
    let messages = "/v1/conversations/{conversation_id}/messages";
    let message = "/v1/conversations/{conversation_id}/messages/{seq}";
    let mut operations = group_operations(in_group);
    operations.extend(push_operations());
    operations.extend([
        Operation::new(Method::GET, "/healthz", Anyone),
        Operation::new(Method::GET, "/readyz", Anyone),
        Operation::new(Method::GET, "/v1/info", Anyone),
        Operation::new(Method::POST, "/v1/login", Anyone).body(login),
        Operation::new(Method::POST, "/v1/refresh", Anyone).body(refresh),
        Operation::new(Method::GET, "/v1/sessions", User),
        Operation::new(Method::POST, "/v1/messages", User).body(send),
        Operation::new(Method::POST, "/v1/signals", User)
            .body(json!({ "to": { "user_id": "ann" }, "typing": "STARTED" })),
        Operation::new(Method::GET, "/v1/events", User),
        Operation::new(Method::GET, "/v1/timeline", User),
        Operation::new(Method::PUT, "/v1/timeline/cursor", User).body(json!({ "cursor": "1.1" })),
        Operation::new(Method::GET, "/v1/conversations", User),
        Operation::new(Method::GET, messages, User).with("{conversation_id}", "user:ann"),
        Operation::new(Method::PATCH, "/v1/conversations/{conversation_id}", User)
            .with("{conversation_id}", "user:ann")
            .body(json!({ "pinned": true })),
        Operation::new(Method::PUT, "/v1/conversations/{conversation_id}/draft", User)
            .with("{conversation_id}", "user:ann")
            .body(json!({ "text": "begun" })),
        Operation::new(Method::POST, "/v1/conversations/{conversation_id}/read", User)
            .with("{conversation_id}", "user:ann")
            .body(json!({ "seq": note.seq })),
        Operation::new(Method::PATCH, "/v1/messages/{message_id}", User)
            .with("{message_id}", &note.message_id)
            .body(json!({ "client_edit_id": Uuid::new_v4().to_string(), "text": "edited" })),
        Operation::new(Method::GET, "/v1/messages/{message_id}/edits", User)
            .with("{message_id}", &note.message_id),
        Operation::new(Method::POST, "/v1/attachments", User)
            .body(json!({ "file_name": "a", "content_type": "text/plain", "size": 1 })),
        Operation::new(Method::GET, "/v1/messages/search", User).query("q=edited"),
        Operation::new(Method::PUT, "/v1/messages/{message_id}/pin", User)
            .with("{message_id}", &note.message_id),
        Operation::new(Method::GET, "/v1/conversations/{conversation_id}/pins", User)
            .with("{conversation_id}", "user:ann"),
        Operation::new(Method::DELETE, "/v1/messages/{message_id}/pin", User)
            .with("{message_id}", &note.message_id),
        Operation::new(Method::POST, "/v1/scheduled_messages", User).body(json!({
            "to": { "user_id": "ann" },
            "client_message_id": SCHEDULED,
            "text": "later",
            "send_at": later(),
        })),
        Operation::new(Method::GET, "/v1/scheduled_messages", User),
        Operation::new(Method::PATCH, "/v1/scheduled_messages/{client_message_id}", User)
            .with("{client_message_id}", SCHEDULED)
            .body(json!({ "text": "later, changed" })),
        Operation::new(Method::DELETE, "/v1/scheduled_messages/{client_message_id}", User)
            .with("{client_message_id}", SCHEDULED),
        Operation::new(Method::GET, "/v1/profile", User),
        Operation::new(Method::PATCH, "/v1/profile", User).body(json!({ "name": "Ann" })),
        Operation::new(Method::GET, "/v1/users/{user_id}", User).with("{user_id}", "ann"),
        Operation::new(Method::GET, "/v1/users", User).query("user_ids=ann"),
        Operation::new(Method::PUT, "/v1/messages/{message_id}/reactions/{reaction}", User)
            .with("{message_id}", &note.message_id)
            .with("{reaction}", "thumbs_up"),
        Operation::new(Method::DELETE, "/v1/messages/{message_id}/reactions/{reaction}", User)
            .with("{message_id}", &note.message_id)
            .with("{reaction}", "thumbs_up"),
        Operation::new(Method::GET, "/v1/messages/{message_id}/reactions", User)
            .with("{message_id}", &note.message_id),
        Operation::new(Method::POST, "/v1/messages/{message_id}/recall", User)
            .with("{message_id}", &note.message_id),
        Operation::new(Method::DELETE, message, User)
            .with("{conversation_id}", "user:ann")
            .with("{seq}", &note.seq.to_string()),
        Operation::new(Method::GET, "/v1/blocks", User),
        Operation::new(Method::PUT, "/v1/blocks/{user_id}", User).with("{user_id}", "zoe"),
        Operation::new(Method::DELETE, "/v1/blocks/{user_id}", User).with("{user_id}", "zoe"),
        Operation::new(Method::GET, "/v1/contacts", User),
        Operation::new(Method::PUT, "/v1/contacts/{user_id}", User)
            .with("{user_id}", "zoe")
            .body(json!({})),
        Operation::new(Method::DELETE, "/v1/contacts/{user_id}", User).with("{user_id}", "zoe"),
        Operation::new(Method::GET, "/v1/presence", User).query("user_ids=zoe"),
        Operation::new(Method::PUT, "/v1/presence", User).body(json!({ "idle": true })),
        Operation::new(Method::GET, "/v1/settings", User),
        Operation::new(Method::PATCH, "/v1/settings", User)
            .body(json!({ "messages_from": "CONTACTS" })),
        Operation::new(Method::DELETE, "/v1/sessions/{session_id}", User)
            .with("{session_id}", pc.session_id()),
        Operation::new(Method::POST, "/v1/logout", User),
    ]);
    operations
}

/// Those of push.
fn push_operations() -> [Operation; 5] {
    [
        Operation::new(Method::GET, "/v1/push", User),
        Operation::new(Method::POST, "/v1/push", User)
            .body(json!({ "provider": "webhook", "token": "a device" })),
        Operation::new(Method::DELETE, "/v1/push", User),
        Operation::new(Method::PUT, "/v1/push/quiet_hours", User)
            .body(json!({ "from": "22:00", "to": "07:00", "time_zone": "Asia/Shanghai" })),
        Operation::new(Method::DELETE, "/v1/push/quiet_hours", User),
    ]
}

/// Those of groups; they end nothing but one.
fn group_operations(message: &str) -> Vec<Operation> {
    let of = |group: &str, method, path| {
        Operation::new(method, path, User).with("{group_id}", group).with("{user_id}", "zoe")
    };
    let own = |method, path| of("own", method, path);
    let (group, members) = ("/v1/groups/{group_id}", "/v1/groups/{group_id}/members");
    let member = "/v1/groups/{group_id}/members/{user_id}";
    let answer = "/v1/groups/{group_id}/requests/{user_id}";
    vec![
        Operation::new(Method::GET, "/v1/groups", User),
        Operation::new(Method::POST, "/v1/groups", User).body(json!({ "name": "new" })),
        own(Method::GET, group),
        own(Method::PATCH, group).body(json!({ "name": "changed" })),
        own(Method::GET, members),
        own(Method::PUT, member),
        own(Method::PATCH, member).body(json!({ "nickname": "Z" })),
        own(Method::DELETE, member),
        own(Method::GET, "/v1/groups/{group_id}/requests"),
        Operation::new(Method::POST, answer, User)
            .with("{group_id}", "own")
            .with("{user_id}", "yan")
            .body(json!({ "approve": true })),
        of("open", Method::POST, "/v1/groups/{group_id}/join").body(json!({})),
        of("yans", Method::POST, "/v1/groups/{group_id}/leave"),
        Operation::new(Method::GET, "/v1/messages/{message_id}/readers", User)
            .with("{message_id}", message),
        own(Method::DELETE, group),
    ]
}

async fn scene() -> (Cluster, Terminal, Vec<Operation>) {
    let imd = crate::push::with_webhook(Transport::Rest, "http://127.0.0.1:9").await;
    imd.user("zoe").await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let file = crate::attachments::upload(&imd, &phone, "a", b"a").await;
    let note = crate::attachments::with_files("ann", "a note", &[&file]);
    let note = phone.send(&note).await.expect("sent");
    let in_group = super::groups(&imd, &phone).await;
    let mut operations = operations(&phone, &pc, &note, &in_group);
    let link = Operation::new(Method::GET, LINK, User)
        .with("{message_id}", &note.message_id)
        .with("{attachment_id}", &file);
    operations.insert(0, link);
    (imd, phone, operations)
}

#[tokio::test]
async fn every_operation_of_the_document_is_checked_here() {
    let document: Value = serde_json::from_str(&imd::rest::openapi_json()).expect("JSON");
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("operations") {
            if path == IN_FRAMES || path == BY_LINK {
                continue;
            }
            let needs_token = operation.get("security").is_some();
            documented.insert((method.to_uppercase(), path.clone(), needs_token));
        }
    }
    let (_imd, _phone, operations) = scene().await;
    let checked = operations.iter().map(|operation| {
        (operation.method.to_string(), operation.path.to_owned(), operation.access == User)
    });
    assert_eq!(checked.collect::<BTreeSet<_>>(), documented);
}

#[tokio::test]
async fn every_operation_succeeds_with_the_right_credentials() {
    let (imd, phone, operations) = scene().await;
    for operation in operations {
        let token = (operation.access == User).then_some(phone.token.as_str());
        let status = operation.on(&imd, token).await.status();
        assert!(status.is_success(), "{} {}: {status}", operation.method, operation.path);
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_to_be_had() {
    let (imd, _phone, operations) = scene().await;
    for operation in operations {
        if operation.access == Anyone {
            let status = operation.on(&imd, None).await.status();
            assert!(status.is_success(), "{} {}: {status}", operation.method, operation.path);
        } else {
            assert_eq!(operation.refused(&imd, None, "no token").await.code, "invalid_token");
        }
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let (imd, phone, operations) = scene().await;
    for (what, token) in forgeries(&imd, &phone).await {
        for operation in operations.iter().filter(|operation| operation.access == User) {
            let refused = operation.refused(&imd, Some(&token), what).await;
            assert_eq!(refused.code, "invalid_token", "{} with {what}", operation.path);
        }
    }
    assert!(phone.sessions().await.is_ok());
}

#[tokio::test]
async fn i3_the_token_of_an_ended_session_is_refused_with_the_reason() {
    let (imd, phone, operations) = scene().await;
    let which = Which::SessionId(phone.session_id().to_owned());
    imd.admin().kick("ann", Some(which), "lost").await.expect("kicked");
    for operation in operations.iter().filter(|operation| operation.access == User) {
        let refused = operation.refused(&imd, Some(&phone.token), "an ended session").await;
        assert_eq!(refused.end_reason(), "KICKED", "{}", operation.path);
        assert_eq!(refused.detail("note"), "lost", "{}", operation.path);
    }
}

#[tokio::test]
async fn a_token_goes_into_the_header_and_nowhere_else() {
    let (imd, phone, operations) = scene().await;
    let sessions = operations.iter().find(|o| o.path == "/v1/sessions").expect("an operation");
    let url = format!("http://{}/v1/sessions", imd.node.public_address());
    let in_the_query = format!("{url}?access_token={}", phone.token);
    let client = Client::new();
    let wrong = [
        client.get(in_the_query),
        client.get(&url).basic_auth("ann", Some(&phone.token)),
        client.get(&url).header("authorization", &phone.token),
        client.get(&url).header("cookie", format!("access_token={}", phone.token)),
    ];
    for request in wrong {
        assert_eq!(request.send().await.expect("an answer").status(), 401);
    }
    let lower_case = client.get(&url).header("authorization", format!("bearer {}", phone.token));
    assert_eq!(lower_case.send().await.expect("an answer").status(), 200);
    assert_eq!(sessions.on(&imd, Some(&phone.token)).await.status(), 200);
}
