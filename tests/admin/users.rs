//! Accounts.

use imd_proto::v1::{self, UserState};

use crate::support::{
    admin::Admin,
    api::Transport,
    cluster::{Cluster, login},
    grpc::at,
};

#[tokio::test]
async fn a_new_user_can_log_in_with_its_password_and_no_other() {
    let imd = Cluster::start(Transport::Grpc).await;
    let created = imd.admin().create_user("ann", "eight by").await.expect("a user");
    assert_eq!((created.user_id.as_str(), created.state()), ("ann", UserState::Active));
    assert_eq!((created.live_sessions, created.last_seq, created.last_at), (0, 0, None));
    assert!(created.created_at.is_some());

    let right = login("ann", "phone", "p").password("eight by");
    imd.api.login(&right).await.expect("logged in");
    for wrong in ["", "eight b", "Eight by", "eight by "] {
        let wrong = right.clone().password(wrong);
        assert_eq!(imd.api.login(&wrong).await.expect_err("wrong").code, "invalid_credentials");
    }
}

#[tokio::test]
async fn a_bad_user_names_the_field() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let (long_id, long_password) = ("u".repeat(65), "p".repeat(1025));
    let cases = [
        ("user_id", admin.create_user("", "long enough").await),
        ("user_id", admin.create_user("a b", "long enough").await),
        ("user_id", admin.create_user("ann/", "long enough").await),
        ("user_id", admin.create_user(&long_id, "long enough").await),
        ("password", admin.create_user("ann", "").await),
        ("password", admin.create_user("ann", "seven b").await),
        ("password", admin.create_user("ann", &long_password).await),
    ];
    for (field, answer) in cases {
        assert_eq!(answer.expect_err(field).field(), field);
    }
    assert_eq!(admin.users(0, "").await.expect("users").users, []);
    assert_eq!(admin.user("ann").await.expect_err("nobody").code, "user_not_found");

    let every_character = "ABCxyz0189._@+=-";
    admin.create_user(every_character, &long_password[1..]).await.expect("as long as may be");
    let again = admin.create_user(every_character, "long enough").await;
    assert_eq!(again.expect_err("taken").code, "user_exists");
    admin.create_user("abcXYZ0189._@+=-", "long enough").await.expect("ids differ in case");
    let short = admin.set_password(every_character, "seven b").await.expect_err("short");
    assert_eq!(short.field(), "password");
}

#[tokio::test]
async fn a_user_shows_how_it_does() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let _feeds = [pc.follow("").await, pc.follow("now").await];
    let sent = phone.say("ann", "a note").await;
    let user = admin.user("ann").await.expect("the user");
    assert_eq!((user.live_sessions, user.online_sessions, user.last_seq), (2, 1, sent.seq));
    assert_eq!(at(user.last_at), sent.sent_at);

    let ended = admin.disable("ann", "").await.expect("disabled");
    assert_eq!(ended.len(), 2);
    let user = admin.user("ann").await.expect("the user");
    assert_eq!((user.state(), user.live_sessions), (UserState::Disabled, 0));
    assert_eq!(admin.disable("ann", "").await.expect("no harm"), []);
    assert_eq!(admin.enable("ann").await.expect("enabled").state(), UserState::Active);
    assert_eq!(admin.enable("ann").await.expect("no harm").state(), UserState::Active);
    assert_eq!(
        admin.user("ann").await.expect("the user").last_seq,
        sent.seq + 1,
        "one change of sessions"
    );
}

async fn page(admin: &Admin, size: i32, token: &str) -> (Vec<String>, String) {
    let page = admin.users(size, token).await.expect("a page");
    let ids = page.users.into_iter().map(|user: v1::User| user.user_id).collect();
    (ids, page.next_page_token)
}

#[tokio::test]
async fn users_are_listed_by_the_beginning_of_their_ids() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    imd.users(["an", "ann", "ann.b", "anna", "ao", "Ann", "a", "ann_"]).await;
    let begin = async |prefix: &str| {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page = admin.users_that_begin(prefix, 2, &token).await.expect("a page");
            all.extend(page.users.into_iter().map(|user| user.user_id));
            token = page.next_page_token;
            if token.is_empty() {
                return all;
            }
        }
    };
    assert_eq!(begin("ann").await, ["ann", "ann.b", "ann_", "anna"]);
    assert_eq!(begin("anna").await, ["anna"]);
    assert_eq!(begin("b").await, [""; 0]);
    for wrong in ["an n", "ann\0", "ä", &"a".repeat(65)] {
        let refused = admin.users_that_begin(wrong, 0, "").await.expect_err("no id begins so");
        assert_eq!(refused.field(), "prefix", "{wrong:?}");
    }
}

#[tokio::test]
async fn users_are_listed_by_id() {
    let imd = Cluster::start(Transport::Grpc).await;
    let admin = imd.admin();
    imd.users(["dave", "Zoe", "ann", "bob", "carol", "Ann"]).await;
    let expected = ["Ann", "Zoe", "ann", "bob", "carol", "dave"];
    assert_eq!(page(&admin, 0, "").await, (expected.map(str::to_owned).to_vec(), String::new()));
    for size in [1, 2, 4, 6] {
        let (mut all, mut token) = page(&admin, size, "").await;
        while !token.is_empty() {
            let (more, next) = page(&admin, size, &token).await;
            all.extend(more);
            token = next;
        }
        assert_eq!(all, expected, "pages of {size}");
    }
    let (_, token) = page(&admin, 3, "").await;
    imd.users(["aaa", "bbb"]).await;
    let (rest, _) = page(&admin, 0, &token).await;
    assert_eq!(rest, ["bbb", "bob", "carol", "dave"], "what came in front is not repeated");
    assert_eq!(admin.users(0, "garbage").await.expect_err("garbage").field(), "page_token");
    assert_eq!(admin.users(-1, "").await.expect_err("negative").field(), "page_size");
}
