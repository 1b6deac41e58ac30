//! Administration over REST, where it differs from gRPC: bodies, lines of JSON, reasons.

use std::collections::BTreeSet;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    api::{ContactCall, GroupCall, Transport},
    cluster::Cluster,
    eventually,
    node::ADMIN_KEY,
};

fn url(imd: &Cluster, path: &str) -> String {
    format!("http://{}{path}", imd.node.admin_address())
}

fn get(imd: &Cluster, path: &str) -> RequestBuilder {
    Client::new().get(url(imd, path)).bearer_auth(ADMIN_KEY)
}

fn post(imd: &Cluster, path: &str) -> RequestBuilder {
    Client::new().post(url(imd, path)).bearer_auth(ADMIN_KEY)
}

async fn answer(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

async fn json_of(request: RequestBuilder) -> Value {
    answer(request).await.json().await.expect("JSON")
}

/// The lines of an answer.
async fn lines(response: Response) -> Vec<Value> {
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.expect("a body");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test]
async fn the_document_and_its_page_are_on_the_listener() {
    let imd = Cluster::start(Transport::Rest).await;
    // Neither tells a secret, so neither needs a key.
    let client = Client::new();
    let page = answer(client.get(url(&imd, "/docs"))).await;
    assert!(page.status().is_success());
    assert!(page.text().await.expect("a page").contains("openapi.json"));
    let served: Value = json_of(client.get(url(&imd, "/openapi.json"))).await;
    let expected: Value = serde_json::from_str(&imd::rest::admin_openapi_json()).expect("JSON");
    let paths = |document: &Value| -> Vec<String> {
        let paths = document["paths"].as_object().expect("paths").keys().cloned();
        paths.filter(|path| path.starts_with("/admin/")).collect()
    };
    assert_eq!(served["info"], expected["info"]);
    assert_eq!(paths(&served), paths(&expected));
    let metrics = answer(client.get(url(&imd, "/metrics"))).await;
    assert!(metrics.status().is_success(), "beside them is what was there");
}

#[tokio::test]
async fn a_message_of_the_system_is_sent_with_one_request() {
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    let mut feed = ann.follow("now").await;
    let message = json!({
        "from": { "system": "orders" }, "to": { "user_id": "ann" },
        "client_message_id": Uuid::new_v4(), "text": "on its way", "silent": true,
    });
    let sent = json_of(post(&imd, "/admin/v1/messages").json(&message)).await;
    assert_eq!((&sent["duplicate"], &sent["conversation_id"]), (&json!(false), &json!("user:ann")));
    let entry = feed.entry().await;
    assert_eq!((entry.text(), entry.message().silent), ("on its way", true));
    assert_eq!(sent["message_id"], entry.message().message_id);
    let again = json_of(post(&imd, "/admin/v1/messages").json(&message)).await;
    assert_eq!((&again["duplicate"], &again["cursor"]), (&json!(true), &sent["cursor"]));
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_result() {
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("ben").await;
    let message = |from: Value, more: Value| {
        let mut message = json!({
            "from": from, "to": { "user_id": "ann" }, "client_message_id": Uuid::new_v4(),
        });
        let members = more.as_object().expect("members").clone();
        message.as_object_mut().expect("an object").extend(members);
        message
    };
    let ben = || json!({ "user_id": "ben" });
    let batch = json!({ "messages": [
        message(ben(), json!({ "text": "one" })),
        message(ben(), json!({ "content_type": "image/png", "data": "?" })),
        message(json!({ "user_id": "ben", "system": "x" }), json!({ "text": "two" })),
        message(json!({}), json!({ "text": "three" })),
        message(ben(), json!({ "text": "four" })),
        message(ben(), json!({})),
    ]});
    let results = json_of(post(&imd, "/admin/v1/messages/batch").json(&batch)).await;
    let shown: Vec<(bool, &str, &str)> = results["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| {
            let of = |member: &str| result["problem"][member].as_str().unwrap_or_default();
            (result["sent"].is_object(), of("code"), of("field"))
        })
        .collect();
    let wrong = |field| (false, "invalid_argument", field);
    let stored = (true, "", "");
    assert_eq!(shown, [stored, wrong("data"), wrong("from"), wrong("from"), stored, wrong("text")]);
    assert_eq!(ann.texts().await, ["one", "four"]);
    for (count, field) in [(0, "messages"), (501, "messages")] {
        let many = vec![message(ben(), json!({ "text": "x" })); count];
        let refused =
            json_of(post(&imd, "/admin/v1/messages/batch").json(&json!({ "messages": many })))
                .await;
        assert_eq!(
            (&refused["code"], &refused["field"]),
            (&json!("invalid_argument"), &json!(field))
        );
    }
    let unreadable =
        json!({ "messages": [message(json!({ "user_id": 7 }), json!({ "text": "x" }))] });
    let refused = json_of(post(&imd, "/admin/v1/messages/batch").json(&unreadable)).await;
    assert_eq!(refused["code"], "invalid_argument");
}

#[tokio::test]
async fn what_takes_its_time_answers_in_lines() {
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user_with_phone("ben").await;
    ann.say_at_once("ben", (0..600).map(|n| n.to_string())).await;
    let exported = lines(answer(get(&imd, "/admin/v1/users/ann/messages")).await).await;
    assert_eq!(exported.len(), 600);
    // What is sent at once over REST comes in any order.
    let texts: BTreeSet<_> = exported.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!((texts.len(), &exported[599]["seq"]), (600, &json!(601)));
    assert_eq!(exported[0]["recipient_id"], "ben");

    let request = Client::new().delete(url(&imd, "/admin/v1/users/ann?erase_sent=true"));
    let steps = lines(answer(request.bearer_auth(ADMIN_KEY)).await).await;
    assert_eq!(steps[0]["ended"].as_array().map(Vec::len), Some(1), "{}", steps[0]);
    let last = steps.last().expect("a line");
    assert_eq!((&last["entries"], &last["peers"]), (&last["entries_total"], &json!(1)));
    let steps =
        lines(answer(post(&imd, "/admin/v1/epochs").json(&json!({ "all": true }))).await).await;
    assert_eq!(steps.last().expect("a line")["done"], 1);
}

#[tokio::test]
async fn what_was_exported_is_imported_elsewhere() {
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("ben").await;
    ann.say_at_once("ben", (0..50).map(|n| n.to_string())).await;
    let export =
        answer(get(&imd, "/admin/v1/users/ann/messages")).await.text().await.expect("lines");

    let other = Cluster::start(Transport::Rest).await;
    let import = |body: String| {
        post(&other, "/admin/v1/messages/import?create_users=true")
            .header("content-type", "application/x-ndjson")
            .body(body)
    };
    let result = json_of(import(format!("{export}\n\n"))).await;
    assert_eq!((&result["imported"], &result["users_created"]), (&json!(50), &json!(2)));
    let again = lines(answer(get(&other, "/admin/v1/users/ann/messages")).await).await;
    let before: Vec<Value> =
        export.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(again.len(), 50);
    for (again, before) in again.iter().zip(&before) {
        for member in ["sent_at", "sender_id", "recipient_id", "client_message_id", "text"] {
            assert_eq!(again[member], before[member], "{member}");
        }
    }

    let good = json!({
        "sent_at": "2026-01-01T00:00:00Z", "sender_id": "x", "recipient_id": "y",
        "client_message_id": Uuid::new_v4(), "text": "then",
    });
    for (wrong, field) in [
        ("not JSON".to_owned(), "line"),
        (json!({ "sender_id": 7 }).to_string(), "line"),
        (json!({ "sender_id": "x" }).to_string(), ""),
    ] {
        let refused = json_of(import(format!("{good}\n{wrong}\n"))).await;
        assert_eq!(refused["code"], "invalid_argument", "{refused}");
        assert_eq!(refused["line"], "2", "{refused}");
        if !field.is_empty() {
            assert_eq!(refused["field"], field, "{refused}");
        }
    }
}

#[tokio::test]
async fn a_record_has_the_reason_and_the_address() {
    let imd = Cluster::start(Transport::Rest).await;
    imd.user_with_phone("ann").await;
    let kick = || post(&imd, "/admin/v1/users/ann/kick").json(&json!({ "all": true }));
    answer(kick().header("imd-reason", "Gerät verloren".as_bytes())).await;
    answer(kick().header("imd-reason-bin", "R2Vyw6R0IHZlcmxvcmVu")).await;
    let audit = json_of(get(&imd, "/admin/v1/audit?user_id=ann&page_size=2")).await;
    for record in audit["records"].as_array().expect("records") {
        assert_eq!(record["reason"], "Gerät verloren");
        assert_eq!((&record["actor"], &record["address"]), (&json!("local"), &json!("127.0.0.1")));
        assert_eq!(
            (&record["action"], &record["user_id"]),
            (&json!("kick_sessions"), &json!("ann"))
        );
    }
    for (header, value) in [("imd-reason", &b"\xff"[..]), ("imd-reason-bin", b"?")] {
        let refused = json_of(kick().header(header, value)).await;
        assert_eq!(refused["field"], "reason", "{header}");
    }
}

#[tokio::test]
async fn what_is_wrong_names_its_field() {
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    let group = json!({ "group_id": "oslo", "name": "Oslo" });
    ann.group(GroupCall::Create(group)).await.expect("a group");
    for (path, body, field) in [
        ("/admin/v1/users", json!({}), "user_id"),
        ("/admin/v1/users", json!({ "user_id": "a b" }), "user_id"),
        ("/admin/v1/users", json!({ "user_id": "x", "password": "short" }), "password"),
        ("/admin/v1/users", json!({ "user_id": 7 }), "user_id"),
        ("/admin/v1/users/ann/kick", json!({}), "which"),
        ("/admin/v1/users/ann/kick", json!({ "all": true, "session_id": "x" }), "which"),
        ("/admin/v1/users/ann/kick", json!({ "session_id": "x" }), "session_id"),
        ("/admin/v1/users/ann/disable", json!({ "note": "a\nb" }), "note"),
        ("/admin/v1/users/ann/limits/preview", json!({}), "limits"),
        ("/admin/v1/tiers/preview", json!({ "tiers": [] }), "tiers"),
        ("/admin/v1/admin_keys", json!({ "name": "x" }), "role"),
        ("/admin/v1/admin_keys", json!({ "name": "", "role": "ADMIN" }), "name"),
        ("/admin/v1/admin_keys", json!({ "name": "x", "role": "KING" }), "role"),
        ("/admin/v1/epochs", json!({}), "whose"),
        ("/admin/v1/groups/oslo/members", json!({ "user_ids": [] }), "user_ids"),
        ("/admin/v1/messages", json!({}), "from"),
        ("/admin/v1/messages", json!({ "from": "ann" }), "from"),
        ("/admin/v1/messages", json!({ "from": { "user_id": "ann" } }), "to"),
    ] {
        let response = answer(post(&imd, path).json(&body)).await;
        assert_eq!(response.status(), 400, "{path} {body}");
        let refused: Value = response.json().await.expect("a problem");
        assert_eq!(
            (&refused["code"], &refused["field"]),
            (&json!("invalid_argument"), &json!(field)),
            "{path} {body}: {refused}"
        );
    }
    let wrong = [
        ("/admin/v1/sessions?state=ASLEEP", "state"),
        ("/admin/v1/users?page_size=x", "page_size"),
    ];
    for (path, field) in wrong {
        assert_eq!(json_of(get(&imd, path)).await["field"], field, "{path}");
    }
    let none = answer(get(&imd, "/admin/v1/nothing")).await;
    assert_eq!(none.status(), 404);
    let refused =
        answer(Client::new().put(url(&imd, "/admin/v1/users")).bearer_auth(ADMIN_KEY)).await;
    assert_eq!(refused.status(), 405);
}

#[tokio::test]
async fn what_a_user_calls_its_contacts_is_for_nobody_else_to_see() {
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    imd.user("ben").await;
    let ask = json!({ "remark": "Benny", "note": "It is me" });
    let own = ann.contact(ContactCall::Set("ben".to_owned(), ask)).await.expect("asked");
    assert_eq!(own["remark"], "Benny");
    let listed = json_of(get(&imd, "/admin/v1/users/ann/contacts")).await;
    let contact = &listed["contacts"][0];
    let shown = ["user_id", "state", "note", "remark"].map(|member| contact[member].clone());
    assert_eq!(shown, ["ben", "SENT", "It is me", ""].map(Value::from));
    let accepted = json_of(get(&imd, "/admin/v1/users/ann/contacts?state=ACCEPTED")).await;
    assert_eq!(accepted["contacts"], json!([]));
}

#[tokio::test]
async fn a_broadcast_is_made_and_shown() {
    let imd = Cluster::start(Transport::Rest).await;
    let ann = imd.user_with_phone("ann").await;
    let mut feed = ann.follow("now").await;
    let id = Uuid::new_v4();
    let asked = json!({
        "broadcast_id": id, "from": { "system": "news" }, "to": { "user_ids": ["ann", "nobody"] },
        "text": "we are back", "rate": 100,
    });
    let made = answer(post(&imd, "/admin/v1/broadcasts").json(&asked)).await;
    assert_eq!(made.status(), 201);
    assert_eq!(feed.entry().await.text(), "we are back");
    let again = answer(post(&imd, "/admin/v1/broadcasts").json(&asked)).await;
    assert_eq!(again.status(), 200);
    assert_eq!(again.json::<Value>().await.expect("JSON")["duplicate"], true);
    let path = format!("/admin/v1/broadcasts/{id}");
    let done = eventually("it is done", async || {
        let shown = json_of(get(&imd, &path)).await;
        (shown["state"] == "DONE").then_some(shown)
    })
    .await;
    assert_eq!(done["from"], json!({ "system": "news" }));
    assert_eq!(done["to"], json!({ "users": true }));
    assert_eq!((&done["sent"], &done["refused"]), (&json!(1), &json!(1)));
    assert_eq!(done["refusals"], json!({ "user_not_found": 1 }));
    let listed = json_of(get(&imd, "/admin/v1/broadcasts")).await;
    assert_eq!(listed["broadcasts"], json!([done]));
    let ended = json_of(post(&imd, &format!("{path}/abort"))).await;
    assert_eq!(ended["code"], "broadcast_ended");
    for (to, field) in [
        (json!({ "all": true, "tier": "free" }), "to"),
        (json!({}), "to"),
        (json!({ "user_ids": ["a b"] }), "to.user_ids"),
    ] {
        let wrong =
            json!({ "broadcast_id": id, "from": { "system": "news" }, "to": to, "text": "x" });
        let refused = json_of(post(&imd, "/admin/v1/broadcasts").json(&wrong)).await;
        assert_eq!(refused["field"], field);
    }
}
