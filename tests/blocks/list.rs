//! Who is blocked, and how many may be.

use std::collections::BTreeSet;

use crate::support::{cluster::Cluster, on_both_transports};

on_both_transports! {
    the_one_blocked_last_comes_first,
    pages_have_every_user_once,
    there_are_at_most_a_thousand,
}

async fn the_one_blocked_last_comes_first(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol", "dave"]).await;
    for user in ["carol", "bob", "dave"] {
        ann.block(user).await.expect("blocked");
    }
    assert_eq!(ann.blocked_users().await, ["dave", "bob", "carol"]);
    ann.unblock("carol").await.expect("unblocked");
    ann.block("carol").await.expect("blocked");
    assert_eq!(ann.blocked_users().await, ["carol", "dave", "bob"]);
    let listed = ann.api.blocked_users(&ann.token, 0, "").await.expect("a page").blocked_users;
    assert!(listed.is_sorted_by_key(|user| std::cmp::Reverse(user.blocked_at)), "{listed:?}");
}

async fn pages_have_every_user_once(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let users: Vec<String> = (0..7).map(|n| format!("user-{n}")).collect();
    for user in &users {
        imd.user(user).await;
        ann.block(user).await.expect("blocked");
    }
    let (mut seen, mut token) = (BTreeSet::new(), String::new());
    loop {
        let page = ann.api.blocked_users(&ann.token, 3, &token).await.expect("a page");
        assert!(page.blocked_users.len() <= 3);
        for user in page.blocked_users {
            assert!(seen.insert(user.user_id), "twice");
        }
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
    }
    assert_eq!(seen, users.into_iter().collect());
    // A token is for one user's listing.
    let token = ann.api.blocked_users(&ann.token, 3, "").await.expect("a page").next_page_token;
    let bob = imd.user_with_phone("bob").await;
    let refused = bob.api.blocked_users(&bob.token, 3, &token).await.expect_err("another's");
    assert_eq!(
        (refused.code.as_str(), refused.detail("field")),
        ("invalid_argument", "page_token")
    );
    let refused = ann.api.blocked_users(&ann.token, -1, "").await.expect_err("less than nothing");
    assert_eq!(refused.detail("field"), "page_size");
}

async fn there_are_at_most_a_thousand(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol"]).await;
    let sql = imd.database.sql().await;
    let fill = "
        WITH made AS (
            INSERT INTO users (user_id) SELECT 'user-' || n FROM generate_series(1, 999) n
            RETURNING user_no
        )
        INSERT INTO blocks (owner, blocked, seq, blocked_at)
        SELECT u.user_no, m.user_no, -m.user_no, now() FROM made m, users u WHERE u.user_id = 'ann'";
    sql.execute(fill, &[]).await.expect("blocks");
    ann.block("bob").await.expect("the thousandth");
    assert_eq!(ann.blocked_users().await.len(), 1000);
    assert_eq!(ann.block("carol").await.expect_err("one more").code, "too_many_blocks");
    ann.block("bob").await.expect("blocked already");
    ann.unblock("bob").await.expect("unblocked");
    ann.block("carol").await.expect("in its place");
}
