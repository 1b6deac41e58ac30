//! Everybody's sessions.

use imd_proto::v1::{self, EndReason, ListSessionsRequest, SessionState};

use crate::support::{admin::Admin, api::Transport, cluster::Cluster, terminal::Terminal};

/// All pages of a listing.
async fn list(admin: &Admin, request: &ListSessionsRequest) -> Vec<v1::AdminSession> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = admin.sessions(ListSessionsRequest { page_token, ..request.clone() }).await;
        let page = page.expect("a page");
        all.extend(page.sessions);
        if page.next_page_token.is_empty() {
            return all;
        }
        page_token = page.next_page_token;
    }
}

fn ids(listed: &[v1::AdminSession]) -> Vec<&str> {
    listed
        .iter()
        .map(|listed| listed.session.as_ref().expect("a session").session_id.as_str())
        .collect()
}

fn of_state(state: SessionState) -> ListSessionsRequest {
    ListSessionsRequest { state: state.into(), ..ListSessionsRequest::default() }
}

/// Ann: a phone that was replaced, one with a stream, and a pc; bob: a phone with a stream.
struct Scene {
    imd: Cluster,
    replaced: Terminal,
    phone: Terminal,
    pc: Terminal,
    bob: Terminal,
    _feeds: [crate::support::feed::Feed; 2],
}

impl Scene {
    async fn set() -> Self {
        let imd = Cluster::start(Transport::Grpc).await;
        let replaced = imd.user_with_phone("ann").await;
        let phone = imd.log_in("ann", "phone", "second").await;
        let pc = imd.log_in("ann", "pc", "desk").await;
        let bob = imd.user_with_phone("bob").await;
        let feeds = [phone.follow("").await, bob.follow("").await];
        Self { imd, replaced, phone, pc, bob, _feeds: feeds }
    }
}

#[tokio::test]
async fn sessions_are_listed_by_what_they_are_at() {
    let scene = Scene::set().await;
    let admin = scene.imd.admin();
    let (phone, pc, bob) =
        (scene.phone.session_id(), scene.pc.session_id(), scene.bob.session_id());
    let live = list(&admin, &of_state(SessionState::Unspecified)).await;
    assert_eq!(ids(&live), [bob, pc, phone], "the newest first");
    let online = list(&admin, &of_state(SessionState::Online)).await;
    assert_eq!(ids(&online), [bob, phone]);
    let offline = list(&admin, &of_state(SessionState::Offline)).await;
    assert_eq!(ids(&offline), [pc]);
    let ended = list(&admin, &of_state(SessionState::Ended)).await;
    assert_eq!(ids(&ended), [scene.replaced.session_id()]);

    let this_node = admin.status().await.expect("the status").node_id;
    for (listed, state) in [(&online, SessionState::Online), (&offline, SessionState::Offline)] {
        assert!(listed.iter().all(|listed| listed.state() == state));
        let is_online = state == SessionState::Online;
        let nodes = if is_online { vec![this_node.clone()] } else { vec![] };
        assert!(listed.iter().all(|listed| listed.nodes == nodes));
        assert!(
            listed
                .iter()
                .all(|listed| listed.session.as_ref().is_some_and(|s| s.online == is_online))
        );
    }
    assert_eq!(ended[0].state(), SessionState::Ended);
    let end = ended[0].session.as_ref().and_then(|session| session.end.clone()).expect("an end");
    assert_eq!((end.reason(), end.by_device_name.as_str()), (EndReason::Replaced, "ann's second"));
}

#[tokio::test]
async fn sessions_are_listed_by_user_and_by_terminal_type() {
    let scene = Scene::set().await;
    let admin = scene.imd.admin();
    let of = |user_id: &str, terminal_type: &str| ListSessionsRequest {
        user_id: user_id.to_owned(),
        terminal_type: terminal_type.to_owned(),
        ..ListSessionsRequest::default()
    };
    let (phone, pc, bob) =
        (scene.phone.session_id(), scene.pc.session_id(), scene.bob.session_id());
    assert_eq!(ids(&list(&admin, &of("ann", "")).await), [pc, phone]);
    assert_eq!(ids(&list(&admin, &of("", "phone")).await), [bob, phone]);
    assert_eq!(ids(&list(&admin, &of("ann", "phone")).await), [phone]);
    assert_eq!(ids(&list(&admin, &of("bob", "pc")).await), [""; 0]);
    let unknown = admin.sessions(of("", "toaster")).await.expect_err("no such type");
    assert_eq!(unknown.field(), "terminal_type");
    let users = list(&admin, &of("", "phone")).await;
    assert_eq!((users[0].user_id.as_str(), users[1].user_id.as_str()), ("bob", "ann"));
    assert_eq!(admin.sessions(of("nobody", "")).await.expect_err("nobody").code, "user_not_found");
    assert_eq!(admin.sessions(of("n o", "")).await.expect_err("no id").field(), "user_id");
}

#[tokio::test]
async fn pages_of_sessions_neither_repeat_nor_omit() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    imd.user("ann").await;
    for n in 0..9 {
        imd.log_in("ann", "phone", &n.to_string()).await;
    }
    let ended = of_state(SessionState::Ended);
    let whole = list(&admin, &ended).await;
    assert_eq!(whole.len(), 8);
    for page_size in [1, 3, 7, 8, 9] {
        let paged = list(&admin, &ListSessionsRequest { page_size, ..ended.clone() }).await;
        assert_eq!(paged, whole, "pages of {page_size}");
    }
    let page = ListSessionsRequest { page_size: 1, ..ended.clone() };
    let token = admin.sessions(page.clone()).await.expect("a page").next_page_token;
    let others = [
        ListSessionsRequest {
            page_token: token.clone(),
            user_id: "ann".to_owned(),
            ..page.clone()
        },
        ListSessionsRequest {
            page_token: token.clone(),
            terminal_type: "phone".to_owned(),
            ..page.clone()
        },
        ListSessionsRequest { page_token: token, state: 0, ..page.clone() },
        ListSessionsRequest { page_token: "garbage".to_owned(), ..page.clone() },
    ];
    for other in others {
        assert_eq!(
            admin.sessions(other).await.expect_err("of another listing").field(),
            "page_token"
        );
    }
    let negative = ListSessionsRequest { page_size: -1, ..page };
    assert_eq!(admin.sessions(negative).await.expect_err("negative").field(), "page_size");
}
