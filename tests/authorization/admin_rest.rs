//! Every operation of the admin listener's OpenAPI document, with the key of each role.

use std::collections::{BTreeMap, BTreeSet};

use imd_proto::v1::Role;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::credentials::wrong_keys;
use crate::support::{
    api::Transport, cluster::Cluster, cluster::PASSWORD, failure::Failure, node::ADMIN_KEY,
    terminal::Terminal,
};

/// What is asked of `/healthz` and `/readyz` needs no key.
const ANYONE: &str = "z";

/// An operation, with a request that is valid as far as that does not depend on who asks.
struct Operation {
    method: Method,
    /// As in the document.
    path: &'static str,
    /// The least role that may.
    role: Role,
    url: String,
    body: Body,
}

enum Body {
    None,
    Json(Value),
    Lines(String),
}

impl Operation {
    fn new(role: Role, method: Method, path: &'static str) -> Self {
        let url = path.replace("{user_id}", "zoe").replace("{group_id}", "theirs");
        Self { method, path, role, url, body: Body::None }
    }

    fn of_webhook(self, webhook_id: &str) -> Self {
        Self { url: self.url.replace("{webhook_id}", webhook_id), ..self }
    }

    fn of_broadcast(self) -> Self {
        Self { url: self.url.replace("{broadcast_id}", super::BROADCAST), ..self }
    }

    fn named(self, name: &str) -> Self {
        Self { url: self.url.replace("{name}", name), ..self }
    }

    fn query(self, query: &str) -> Self {
        Self { url: format!("{}?{query}", self.url), ..self }
    }

    fn body(self, body: Value) -> Self {
        Self { body: Body::Json(body), ..self }
    }

    async fn on(&self, imd: &Cluster, key: Option<&str>) -> Response {
        let url = format!("http://{}{}", imd.node.admin_address(), self.url);
        let mut request = Client::new().request(self.method.clone(), url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let request = match &self.body {
            Body::None => request,
            Body::Json(body) => request.json(body),
            Body::Lines(lines) => {
                request.header("content-type", "application/x-ndjson").body(lines.clone())
            }
        };
        request.send().await.expect("an answer")
    }

    async fn refused(&self, imd: &Cluster, key: Option<&str>, with: &str) -> Failure {
        let response = self.on(imd, key).await;
        let status = response.status();
        assert!(!status.is_success(), "{} {} with {with}: {status}", self.method, self.path);
        let problem: BTreeMap<String, Value> = response.json().await.expect("a problem");
        Failure::from_problem(status.as_u16(), problem)
    }
}

/// Every operation there is; those that end something come last.
#[expect(clippy::too_many_lines, reason = "a table with a row for each operation")]
fn operations(message_id: &str, webhook_id: &str) -> Vec<Operation> {
    use Role::{Admin, Backend, Support, Viewer};
    let get = |path| Operation::new(Viewer, Method::GET, path);
    let post = |role, path| Operation::new(role, Method::POST, path);
    let of = Operation::new;
    let message = || {
        json!({
            "from": { "system": "notices" }, "to": { "user_id": "ann" },
            "client_message_id": Uuid::new_v4(), "text": "a notice",
        })
    };
    let tiers = json!({ "tiers": [{ "name": "free" }] });
    let import = json!({
        "sent_at": "2026-01-01T00:00:00Z", "sender_id": "old", "recipient_id": "older",
        "client_message_id": Uuid::new_v4(), "text": "then",
    });
    let (user, group) = ("/admin/v1/users/{user_id}", "/admin/v1/groups/{group_id}");
    let member = "/admin/v1/groups/{group_id}/members/{user_id}";
    let webhook = "/admin/v1/webhooks/{webhook_id}";
    let of_webhook = |role, method, path| of(role, method, path).of_webhook(webhook_id);
    let to_webhook = |path| of_webhook(Backend, Method::POST, path);
    vec![
        get("/healthz"),
        get("/readyz"),
        get("/admin/v1/status"),
        get("/admin/v1/checks"),
        get("/admin/v1/load"),
        get("/admin/v1/events").query("seconds=1"),
        of(Admin, Method::GET, "/admin/v1/users/{user_id}/timeline/tail").query("seconds=1"),
        get("/admin/v1/jobs"),
        post(Admin, "/admin/v1/jobs/{name}/retry").named("assertions"),
        post(Admin, "/admin/v1/jobs/{name}/cancel").named("assertions"),
        get("/admin/v1/terminal_types"),
        of(Admin, Method::PATCH, "/admin/v1/terminal_types")
            .body(json!({ "names": ["tv"], "session_limit": 1 })),
        of(Admin, Method::DELETE, "/admin/v1/terminal_types/{name}").named("tv"),
        get("/admin/v1/audit"),
        of(Admin, Method::GET, "/admin/v1/admin_keys"),
        post(Admin, "/admin/v1/admin_keys").body(json!({ "name": "new", "role": "VIEWER" })),
        of(Admin, Method::DELETE, "/admin/v1/admin_keys/{name}").named("new"),
        get("/admin/v1/access_token_keys"),
        post(Admin, "/admin/v1/access_token_keys/rotate"),
        get("/admin/v1/tiers"),
        of(Admin, Method::PATCH, "/admin/v1/tiers").body(tiers.clone()),
        post(Viewer, "/admin/v1/tiers/preview").body(tiers),
        of(Admin, Method::DELETE, "/admin/v1/tiers/{name}").named("free"),
        post(Admin, "/admin/v1/purge"),
        get("/admin/v1/webhooks"),
        post(Backend, "/admin/v1/webhooks")
            .body(json!({ "url": super::WEBHOOK, "kinds": ["read"] })),
        of_webhook(Viewer, Method::GET, webhook),
        of_webhook(Backend, Method::PATCH, webhook).body(json!({ "description": "changed" })),
        to_webhook("/admin/v1/webhooks/{webhook_id}/test"),
        of_webhook(Backend, Method::GET, "/admin/v1/webhooks/{webhook_id}/tail").query("seconds=1"),
        to_webhook("/admin/v1/webhooks/{webhook_id}/pause"),
        to_webhook("/admin/v1/webhooks/{webhook_id}/resume"),
        to_webhook("/admin/v1/webhooks/{webhook_id}/replay")
            .body(json!({ "from": "2026-01-01T00:00:00Z" })),
        to_webhook("/admin/v1/webhooks/{webhook_id}/secret/rotate").body(json!({})),
        of_webhook(Backend, Method::DELETE, webhook),
        get("/admin/v1/users"),
        post(Backend, "/admin/v1/users").body(json!({ "user_id": "new", "password": PASSWORD })),
        get(user),
        of(Backend, Method::PUT, "/admin/v1/users/{user_id}/password")
            .body(json!({ "password": PASSWORD })),
        of(Admin, Method::PUT, "/admin/v1/users/{user_id}/limits")
            .body(json!({ "tier": "unlimited" })),
        post(Viewer, "/admin/v1/users/{user_id}/limits/preview")
            .body(json!({ "tier": "unlimited" })),
        post(Support, "/admin/v1/users/{user_id}/disable").body(json!({})),
        post(Support, "/admin/v1/users/{user_id}/enable"),
        get("/admin/v1/sessions"),
        get("/admin/v1/push"),
        post(Support, "/admin/v1/users/{user_id}/push/test").body(json!({})),
        post(Support, "/admin/v1/users/{user_id}/kick").body(json!({ "all": true })),
        post(Backend, "/admin/v1/messages").body(message()),
        post(Backend, "/admin/v1/messages/batch")
            .body(json!({ "messages": [message(), message()] })),
        of(Support, Method::GET, "/admin/v1/attachments"),
        post(Admin, "/admin/v1/attachments/purge"),
        get("/admin/v1/users/{user_id}/description"),
        of(Support, Method::GET, "/admin/v1/messages/trace")
            .query(&format!("message_id={message_id}")),
        of(Admin, Method::GET, "/admin/v1/users/{user_id}/messages"),
        of(Admin, Method::GET, "/admin/v1/users/{user_id}/messages/search").query("q=note"),
        Operation {
            body: Body::Lines(import.to_string()),
            ..post(Admin, "/admin/v1/messages/import").query("create_users=true")
        },
        post(Admin, "/admin/v1/epochs").body(json!({ "user_id": "zoe" })),
        get("/admin/v1/groups"),
        post(Backend, "/admin/v1/groups")
            .body(json!({ "owner_id": "ann", "group": { "group_id": "made", "name": "Made" } })),
        get(group),
        of(Support, Method::PATCH, group).body(json!({ "announcement": "changed" })),
        get("/admin/v1/users/{user_id}/contacts"),
        get("/admin/v1/groups/{group_id}/members"),
        post(Support, "/admin/v1/groups/{group_id}/members").body(json!({ "user_ids": ["zoe"] })),
        of(Support, Method::PATCH, member).body(json!({ "nickname": "Zo" })),
        of(Support, Method::DELETE, member),
        of(Admin, Method::GET, "/admin/v1/groups/{group_id}/export"),
        of(Backend, Method::DELETE, group),
        of(Backend, Method::DELETE, user),
    ]
}

/// Those about broadcasts, of which there is one that waits.
fn broadcast_operations() -> [Operation; 6] {
    use Role::{Backend, Viewer};
    let of = |role, method, path| Operation::new(role, method, path).of_broadcast();
    let create = json!({
        "broadcast_id": Uuid::new_v4(), "from": { "system": "notices" }, "to": { "user_ids": ["ann"] },
        "text": "news",
    });
    [
        of(Viewer, Method::GET, "/admin/v1/broadcasts"),
        of(Backend, Method::POST, "/admin/v1/broadcasts").body(create),
        of(Viewer, Method::GET, "/admin/v1/broadcasts/{broadcast_id}"),
        of(Backend, Method::POST, "/admin/v1/broadcasts/{broadcast_id}/pause"),
        of(Backend, Method::POST, "/admin/v1/broadcasts/{broadcast_id}/resume"),
        of(Backend, Method::POST, "/admin/v1/broadcasts/{broadcast_id}/abort"),
    ]
}

async fn scene() -> (Cluster, Terminal, Vec<Operation>) {
    let imd = Cluster::start(Transport::Rest).await;
    super::grpc::occupy_job(&imd).await;
    imd.user("zoe").await;
    let phone = imd.user_with_phone("ann").await;
    let note = phone.say("ann", "a note").await;
    super::groups(&imd, &phone).await;
    let webhook_id = super::webhook(&imd).await;
    super::broadcast(&imd).await;
    let operations =
        broadcast_operations().into_iter().chain(operations(&note.message_id, &webhook_id));
    (imd, phone, operations.collect())
}

fn needs_key(operation: &Operation) -> bool {
    !operation.path.ends_with(ANYONE)
}

/// Whether a role may do what `needed` may.
fn covers(role: Role, needed: Role) -> bool {
    let rank = |role| match role {
        Role::Viewer => 1,
        Role::Support => 2,
        Role::Backend => 3,
        _ => 4,
    };
    rank(role) >= rank(needed)
}

#[tokio::test]
async fn every_operation_of_the_document_is_checked_here() {
    let document: Value = serde_json::from_str(&imd::rest::admin_openapi_json()).expect("JSON");
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("operations") {
            let needs_key = operation.get("security").is_some();
            documented.insert((method.to_uppercase(), path.clone(), needs_key));
        }
    }
    let operations: Vec<_> =
        broadcast_operations().into_iter().chain(operations("x", "y")).collect();
    let checked = operations.iter().map(|operation| {
        (operation.method.to_string(), operation.path.to_owned(), needs_key(operation))
    });
    assert_eq!(checked.collect::<BTreeSet<_>>(), documented);
}

#[tokio::test]
async fn a_role_may_do_what_it_is_for() {
    for role in [Role::Viewer, Role::Support, Role::Backend, Role::Admin] {
        // What one role deletes, another one is to find.
        let (imd, _phone, operations) = scene().await;
        let key = imd.admin().create_key(role.as_str_name(), role).await.expect("a key");
        for operation in operations {
            let (method, path) = (&operation.method, operation.path);
            if !needs_key(&operation) || covers(role, operation.role) {
                let answer = operation.on(&imd, Some(&key)).await;
                let status = answer.status();
                let said = answer.text().await.expect("a body");
                assert!(status.is_success(), "{method} {path} as {role:?}: {status} {said}");
                assert!(!said.contains("\"code\":"), "{method} {path} as {role:?}: {said}");
            } else {
                let refused = operation.refused(&imd, Some(&key), "too little").await;
                assert_eq!(refused.code, "permission_denied", "{method} {path} as {role:?}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_to_be_had_without_the_right_key() {
    let (imd, phone, operations) = scene().await;
    for operation in operations.iter().filter(|operation| needs_key(operation)) {
        let refused = operation.refused(&imd, None, "no key").await;
        assert_eq!(refused.code, "invalid_admin_key", "{}", operation.path);
        for (what, key) in wrong_keys(&phone) {
            let refused = operation.refused(&imd, Some(&key), what).await;
            assert_eq!(refused.code, "invalid_admin_key", "{} with {what}", operation.path);
        }
    }
    let records = imd.admin().audit("zoe", 0, "").await.expect("the records").records;
    assert_eq!(records.len(), 1, "nothing was done to zoe but to create her");
}

#[tokio::test]
async fn a_key_that_is_revoked_is_good_for_nothing_on_any_node() {
    let (imd, _phone, operations) = scene().await;
    let status = operations.iter().find(|o| o.path == "/admin/v1/status").expect("an operation");
    let key = imd.admin().create_key("shop", Role::Backend).await.expect("a key");
    assert!(status.on(&imd, Some(&key)).await.status().is_success());
    imd.admin().revoke_key("shop").await.expect("revoked");
    assert_eq!(status.refused(&imd, Some(&key), "revoked").await.code, "invalid_admin_key");
}

#[tokio::test]
async fn the_public_listener_has_none_of_it() {
    let imd = Cluster::start(Transport::Rest).await;
    let url = format!("http://{}/admin/v1/status", imd.node.public_address());
    let answer = Client::new().get(url).bearer_auth(ADMIN_KEY).send().await.expect("an answer");
    assert_eq!(answer.status(), 404);
}
