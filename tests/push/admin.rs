//! What administrators see of push, and how they test it.

use imd_proto::v1::{ListPushTokensRequest, PushResult, TestPushRequest};
use prost_types::Timestamp;

use super::{bind, call, provider::Provider, with_webhook};
use crate::{
    admin::since::{RestList, assert_lists, given, rest_field, rfc3339},
    support::api::Transport,
};

#[tokio::test]
async fn terminals_that_are_told_are_listed_without_what_they_are_known_by() {
    let imd = with_webhook(Transport::Grpc, "http://127.0.0.1:9").await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    let _unbound = imd.log_in("bob", "pad", "tablet").await;
    for terminal in [&ann, &bob, &pc] {
        bind(&imd, terminal, "a secret").await;
    }
    let list = async |user_id: &str, page_token: String| {
        let request = ListPushTokensRequest {
            user_id: user_id.to_owned(),
            page_size: 2,
            page_token,
            ..Default::default()
        };
        imd.admin().list_push_tokens(request).await.expect("a page")
    };
    let first = list("", String::new()).await;
    let rest = list("", first.next_page_token.clone()).await;
    assert_eq!((first.tokens.len(), &*rest.next_page_token), (2, ""));
    let all: Vec<_> = first.tokens.iter().chain(&rest.tokens).collect();
    let shown: Vec<_> =
        all.iter().map(|t| (&*t.user_id, &*t.terminal_type, &*t.provider)).collect();
    let due = [("ann", "phone", "webhook"), ("bob", "phone", "webhook"), ("bob", "pc", "webhook")];
    assert_eq!(shown, due);
    assert!(!format!("{all:?}").contains("a secret"));
    let of_bob = list("bob", String::new()).await.tokens;
    assert_eq!(
        of_bob.iter().map(|t| &*t.session_id).collect::<Vec<_>>(),
        [bob.session_id(), pc.session_id()]
    );
    pc.logout().await.expect("logged out");
    assert_eq!(list("bob", String::new()).await.tokens.len(), 1);
    let nobody = ListPushTokensRequest { user_id: "nobody".to_owned(), ..Default::default() };
    let refused = imd.admin().list_push_tokens(nobody).await.expect_err("nobody");
    assert_eq!(refused.code, "user_not_found");
}

#[tokio::test]
async fn terminals_are_listed_by_provider_and_since_they_were_bound() {
    const PUSH: RestList = RestList { path: "/admin/v1/push", rows: "tokens", id: "/session_id" };
    let imd = with_webhook(Transport::Grpc, "http://127.0.0.1:9").await;
    let admin = imd.admin();
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    for terminal in [&pc, &ann, &bob] {
        bind(&imd, terminal, "a secret").await;
    }
    let as_apns = "UPDATE push_tokens SET provider = 3 WHERE session_id::text = $1";
    imd.database.sql().await.execute(as_apns, &[&ann.session_id()]).await.expect("a token");
    let bound = async |session_id: &str| {
        let page = admin.list_push_tokens(ListPushTokensRequest::default()).await;
        let tokens = page.expect("a page").tokens;
        let token = tokens.iter().find(|token| token.session_id == session_id);
        token.expect("a token").bound_at
    };
    let assert_tokens = async |of: [&str; 2], since: Option<Timestamp>, expected: &[&str]| {
        let grpc = async |page_size, page_token| {
            let [user_id, provider] = of.map(str::to_owned);
            let request = ListPushTokensRequest { user_id, provider, since, page_size, page_token };
            let page = admin.list_push_tokens(request).await?;
            let ids = page.tokens.into_iter().map(|token| token.session_id).collect();
            Ok((ids, page.next_page_token))
        };
        let since = rfc3339(since);
        let asked = given(&[("user_id", of[0]), ("provider", of[1]), ("since", &since)]);
        assert_lists(&imd, grpc, (&PUSH, &asked), expected).await;
    };
    let (ann, phone, pc) = (ann.session_id(), bob.session_id(), pc.session_id());
    assert_tokens(["", ""], bound(pc).await, &[ann, phone, pc]).await;
    assert_tokens(["", ""], bound(ann).await, &[ann, phone]).await;
    assert_tokens(["bob", ""], bound(ann).await, &[phone]).await;
    assert_tokens(["", "webhook"], None, &[phone, pc]).await;
    assert_tokens(["", "webhook"], bound(ann).await, &[phone]).await;
    assert_tokens(["", "apns"], bound(phone).await, &[]).await;
    assert_tokens(["ann", "fcm"], None, &[]).await;

    let wrong = ListPushTokensRequest { provider: "pigeon".to_owned(), ..Default::default() };
    let refused = admin.list_push_tokens(wrong).await.expect_err("no provider");
    assert_eq!(refused.field(), "provider");
    for (field, value) in [("provider", "pigeon"), ("since", "yesterday")] {
        assert_eq!(rest_field(&imd, PUSH.path, (field, value)).await, field);
    }
}

#[tokio::test]
async fn a_test_says_what_the_provider_says() {
    let mut provider = Provider::start().await;
    let imd = with_webhook(Transport::Grpc, &provider.url).await;
    let bob = imd.user_with_phone("bob").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    bind(&imd, &bob, "phone").await;
    bind(&imd, &pc, "pc").await;
    let test = async |terminal_type: &str| {
        let terminal_type = terminal_type.to_owned();
        let request = TestPushRequest { user_id: "bob".to_owned(), terminal_type };
        let tests = imd.admin().test_push(request).await?.tests;
        let result = |test: &imd_proto::v1::PushTest| {
            (test.token.as_ref().expect("a terminal").terminal_type.clone(), test.result())
        };
        Ok::<_, crate::support::failure::Failure>(tests.iter().map(result).collect::<Vec<_>>())
    };
    let delivered = test("phone").await.expect("told");
    assert_eq!(delivered, [("phone".to_owned(), PushResult::Delivered)]);
    let got = provider.next().await;
    let (token, told) = got.told();
    assert_eq!((&*token, &told["test"]), ("phone", &true.into()));
    // No test is mistaken for another.
    test("phone").await.expect("told");
    assert_ne!(provider.next().await.headers["webhook-id"], got.headers["webhook-id"]);

    provider.answers(500, &[]);
    assert_eq!(test("pc").await.expect("told"), [("pc".to_owned(), PushResult::Failed)]);
    provider.answers(410, &[]);
    assert_eq!(test("pc").await.expect("told"), [("pc".to_owned(), PushResult::Gone)]);
    let state = call(&imd.node, &pc, reqwest::Method::GET, None).await.expect("its state");
    assert_eq!(state["provider"], "");
    assert_eq!(test("pc").await.expect("nobody is told"), []);
    assert_eq!(test("submarine").await.expect_err("no such type").field(), "terminal_type");
}
