//! The page at `/` as a browser gets it, and the demo users that it offers. What it does is tested in a
//! browser: see `process::browser`.

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{
    api::Transport,
    cluster::{Cluster, login},
    node::Node,
};

async fn cluster() -> Cluster {
    Cluster::start(Transport::Rest).await
}

fn url(node: &Node, path: &str) -> String {
    format!("http://{}{path}", node.public_address())
}

async fn get(node: &Node, path: &str) -> Response {
    Client::new().get(url(node, path)).send().await.expect("an answer")
}

/// The code in the link that imd prints; empty when there is none.
async fn code(node: &Node) -> String {
    let link = node.page_url().await;
    link.split_once("/#demo=").map(|(_, code)| code.to_owned()).unwrap_or_default()
}

async fn make_demo_users_with(node: &Node, code: &str) -> Response {
    let request = Client::new().post(url(node, "/page/demo-users")).json(&json!({ "code": code }));
    request.send().await.expect("an answer")
}

async fn make_demo_users(node: &Node) -> Response {
    make_demo_users_with(node, &code(node).await).await
}

async fn offered(node: &Node) -> bool {
    let offer: Value = get(node, "/page/demo-users").await.json().await.expect("an offer");
    offer["offered"].as_bool().expect("a yes or no")
}

#[tokio::test]
async fn every_file_of_the_page_is_there_and_may_run_nothing_else() {
    let imd = cluster().await;
    let index = get(&imd.node, "/").await;
    assert_eq!(index.headers()["content-type"], "text/html; charset=utf-8");
    let index = index.text().await.expect("a page");
    // What the page names, and what its modules name.
    let mut names = vec!["style.css".to_owned(), "icon.svg".to_owned(), "app.js".to_owned()];
    for name in &names {
        assert!(index.contains(&format!("\"page/{name}\"")), "{name}");
    }
    names.push("worker.js".to_owned());
    let mut at = 0;
    while let Some(name) = names.get(at).cloned() {
        at += 1;
        let answer = get(&imd.node, &format!("/page/{name}")).await;
        assert_eq!(answer.status(), 200, "{name}");
        let policy =
            answer.headers()["content-security-policy"].to_str().expect("ASCII").to_owned();
        assert!(
            policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let text = answer.text().await.expect("text");
        for import in text.split(" from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
            if !names.iter().any(|known| known == import) {
                names.push(import.to_owned());
            }
        }
    }
    assert!(names.len() > 10, "{names:?}");
    assert!(!index.contains("style=") && !index.contains("<script>"));
    assert_eq!(get(&imd.node, "/page/nothing.js").await.status(), 404);
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let imd = cluster().await;
    for path in ["/", "/page/app.js"] {
        let first = get(&imd.node, path).await;
        assert_eq!(first.headers()["cache-control"], "no-cache");
        let tag = first.headers()["etag"].clone();
        let again = Client::new().get(url(&imd.node, path)).header("if-none-match", tag);
        let again = again.send().await.expect("an answer");
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.bytes().await.expect("no body").len(), 0);
    }
}

#[tokio::test]
async fn the_page_can_be_switched_off() {
    let imd = cluster().await;
    let node = Node::start_with(&imd.database, |settings| settings.page = false).await;
    for path in ["/", "/page/app.js", "/page/demo-users"] {
        assert_eq!(get(&node, path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn who_tries_imd_gets_users_to_try_it_with() {
    let imd = cluster().await;
    assert!(offered(&imd.node).await);
    let first: Value = make_demo_users(&imd.node).await.json().await.expect("users");
    let again: Value = make_demo_users(&imd.node).await.json().await.expect("users");
    assert_eq!(first, again, "the same however often they are asked for");
    for user in first["users"].as_array().expect("users") {
        let text = |name: &str| user[name].as_str().expect("a text").to_owned();
        let asked = login(&text("user_id"), "web", "w").password(&text("password"));
        imd.api.login(&asked).await.expect("a session");
    }
    let audited = imd.admin().audit("demo-ann", 10, "").await.expect("records").records;
    assert!(audited.iter().any(|record| record.actor == "demo" && record.action == "create_user"));
}

#[tokio::test]
async fn there_are_no_demo_users_where_there_is_something_to_protect() {
    let imd = cluster().await;
    let code = code(&imd.node).await;
    assert_eq!(make_demo_users_with(&imd.node, &code).await.status(), 200);
    imd.user("ann").await;
    assert!(!offered(&imd.node).await);
    assert_eq!(make_demo_users_with(&imd.node, &code).await.status(), 404);
    assert!(!imd.node.page_url().await.contains("demo"));
    let other = cluster().await;
    let public = Node::start_with(&other.database, |settings| {
        settings.listen = ([0, 0, 0, 0], 0).into();
    });
    let public = public.await;
    let here = format!("http://127.0.0.1:{}/page/demo-users", public.public_address().port());
    let answer = Client::new().post(here).json(&json!({ "code": code }));
    let answer = answer.send().await.expect("an answer");
    assert_eq!(answer.status(), 404, "it listens for others, too");
}

#[tokio::test]
async fn demo_users_are_for_a_browser_on_this_machine() {
    let imd = cluster().await;
    let request = || Client::new().post(url(&imd.node, "/page/demo-users"));
    let wanted = json!({ "code": code(&imd.node).await });
    let rebound = request().header("host", "evil.example.com").json(&wanted);
    assert_eq!(rebound.send().await.expect("an answer").status(), 404);
    let proxied = request().header("x-forwarded-for", "203.0.113.7").json(&wanted);
    assert_eq!(proxied.send().await.expect("an answer").status(), 404);
    // What a page of another origin can send without asking first.
    let form = request().header("content-type", "text/plain").body("{}");
    assert_eq!(form.send().await.expect("an answer").status(), 415);
    assert!(offered(&imd.node).await, "nobody has been made");
}

/// A proxy on the same machine that says nothing of its clients, as nginx does by default: each of them
/// seems to be a browser here.
#[tokio::test]
async fn demo_users_are_for_who_knows_the_code_that_imd_printed() {
    let imd = cluster().await;
    let right = code(&imd.node).await;
    assert!(right.len() >= 16, "{right}");
    for wrong in ["", "demo", &right[1..], &right.to_lowercase(), &format!("{right}x")] {
        if *wrong == right {
            continue;
        }
        let refused = make_demo_users_with(&imd.node, wrong).await;
        assert_eq!(refused.status(), 400, "{wrong}");
        let problem: Value = refused.json().await.expect("a problem");
        assert_eq!(problem["field"], "code");
    }
    let nothing = Client::new().post(url(&imd.node, "/page/demo-users")).json(&json!({}));
    assert_eq!(nothing.send().await.expect("an answer").status(), 400);
    assert!(offered(&imd.node).await, "nobody has been made");
    let (other, _) = imd.start_node().await;
    assert_ne!(code(&other).await, right, "another at each start");
    assert_eq!(make_demo_users_with(&other, &right).await.status(), 400);
    assert_eq!(make_demo_users(&imd.node).await.status(), 200);
}
