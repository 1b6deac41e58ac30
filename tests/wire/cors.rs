//! Pages of other origins: none may call, unless the settings say so.

use imd::config::Origins;
use reqwest::{Client, Method, Response};

use crate::support::{api::Transport, cluster::Cluster, node::Node};

const PAGE: &str = "https://chat.example.com";

async fn node(imd: &Cluster, allowed: &str) -> Node {
    let origins = Origins::try_from(allowed.to_owned()).expect("origins");
    Node::start_with(&imd.database, |settings| settings.cors.allowed_origins = origins).await
}

/// What a browser asks before it lets a page of `origin` make a call.
async fn preflight(node: &Node, origin: &str, path: &str) -> Response {
    let url = format!("http://{}{path}", node.public_address());
    let request = Client::new().request(Method::OPTIONS, url);
    let request = request
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,connect-protocol-version,content-type,grpc-timeout,x-grpc-web,x-user-agent",
        );
    request.send().await.expect("an answer")
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().expect("ASCII"))
}

#[tokio::test]
async fn no_page_of_another_origin_may_call_by_default() {
    let imd = Cluster::start(Transport::Rest).await;
    for path in ["/v1/login", "/im.v1.AuthService/Login"] {
        let answer = preflight(&imd.node, PAGE, path).await;
        assert_eq!(header(&answer, "access-control-allow-origin"), None, "{path}");
    }
}

#[tokio::test]
async fn the_pages_of_the_settings_may_call_every_transport() {
    let imd = Cluster::start(Transport::Rest).await;
    let node = node(&imd, "https://chat.example.com, http://localhost:5173").await;
    for path in ["/v1/login", "/im.v1.AuthService/Login"] {
        let answer = preflight(&node, PAGE, path).await;
        assert!(answer.status().is_success(), "{path}");
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(PAGE));
        let allowed = header(&answer, "access-control-allow-headers").expect("headers");
        for name in ["authorization", "x-grpc-web", "grpc-timeout", "connect-protocol-version"] {
            assert!(allowed.contains(name), "{name} in {allowed}");
        }
        assert_eq!(header(&answer, "access-control-allow-credentials"), None);
        let other = preflight(&node, "https://evil.example.com", path).await;
        assert_eq!(header(&other, "access-control-allow-origin"), None);
    }
}

#[tokio::test]
async fn a_page_sees_the_status_of_its_grpc_call() {
    let imd = Cluster::start(Transport::Rest).await;
    let node = node(&imd, "*").await;
    let url = format!("http://{}/im.v1.AuthService/ListMySessions", node.public_address());
    let answer = Client::new()
        .post(url)
        .header("origin", PAGE)
        .header("content-type", "application/grpc-web+proto")
        .body(vec![0; 5])
        .send()
        .await
        .expect("an answer");
    assert_eq!(header(&answer, "grpc-status"), Some("16"));
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
    let exposed = header(&answer, "access-control-expose-headers").expect("headers");
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
}
