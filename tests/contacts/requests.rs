//! Asking, agreeing, declining, removing.

use serde_json::json;

use super::{befriend, contacts, pairs, remove, set, told};
use crate::{
    append::assert_dense,
    support::{api::ContactCall, cluster::Cluster, on_both_transports, types::Kind},
};

on_both_transports! {
    a_request_is_accepted_and_both_are_told,
    a_request_is_declined_or_taken_back,
    two_who_ask_each_other_are_contacts,
    a_contact_is_removed_from_both,
    a_remark_is_the_owners_own,
    what_is_so_already_tells_nobody,
    i6_every_terminal_of_both_is_told,
    contacts_come_in_pages,
    a_bad_request_names_its_field,
    whom_one_blocks_one_does_not_ask,
    a_deleted_user_is_nobodys_contact,
}

async fn a_request_is_accepted_and_both_are_told(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let asked = json!({ "remark": "Benny", "note": "We met on Sunday" });
    let asked = ann.contact(ContactCall::Set("ben".to_owned(), asked)).await.expect("asked");
    assert_eq!((&asked["state"], &asked["remark"]), (&json!("SENT"), &json!("Benny")));
    assert_eq!(contacts(&ann).await, pairs(&[("ben", "SENT")]));
    assert_eq!(contacts(&ben).await, pairs(&[("ann", "RECEIVED")]));
    let seen = ben.contact(ContactCall::List("?state=RECEIVED".to_owned())).await.expect("a page");
    assert_eq!(seen["contacts"][0]["note"], "We met on Sunday");
    assert_eq!(seen["contacts"][0]["remark"], "", "that is ann's own");

    assert_eq!(set(&ben, "ann").await["state"], "ACCEPTED");
    for (terminal, other) in [(&ann, "ben"), (&ben, "ann")] {
        assert_eq!(contacts(terminal).await, pairs(&[(other, "ACCEPTED")]));
    }
    assert_eq!(told(&ann).await, pairs(&[("ben", "SENT"), ("ben", "ACCEPTED")]));
    assert_eq!(told(&ben).await, pairs(&[("ann", "RECEIVED"), ("ann", "ACCEPTED")]));
    assert_dense(&imd.database).await;
}

async fn a_request_is_declined_or_taken_back(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    set(&ann, "ben").await;
    remove(&ben, "ann").await;
    set(&ann, "ben").await;
    remove(&ann, "ben").await;
    assert_eq!((contacts(&ann).await, contacts(&ben).await), (vec![], vec![]));
    let of = |first: &str, user: &str| {
        pairs(&[(user, first), (user, "DECLINED"), (user, first), (user, "WITHDRAWN")])
    };
    assert_eq!(told(&ann).await, of("SENT", "ben"));
    assert_eq!(told(&ben).await, of("RECEIVED", "ann"));
}

async fn two_who_ask_each_other_are_contacts(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    befriend(&ann, &ben).await;
    assert_eq!(contacts(&ann).await, pairs(&[("ben", "ACCEPTED")]));
}

async fn a_contact_is_removed_from_both(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    befriend(&ann, &ben).await;
    remove(&ben, "ann").await;
    assert_eq!((contacts(&ann).await, contacts(&ben).await), (vec![], vec![]));
    assert_eq!(told(&ann).await.last(), pairs(&[("ben", "REMOVED")]).last());
    assert_eq!(told(&ben).await.last(), pairs(&[("ann", "REMOVED")]).last());
}

async fn a_remark_is_the_owners_own(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    befriend(&ann, &ben).await;
    let before = ben.timeline().await;
    let remark = json!({ "remark": "Ben from the gym" });
    let contact = ann.contact(ContactCall::Set("ben".to_owned(), remark)).await.expect("set");
    assert_eq!(
        (&contact["state"], &contact["remark"]),
        (&json!("ACCEPTED"), &json!("Ben from the gym"))
    );
    assert_eq!(told(&ann).await.last(), pairs(&[("ben", "REMARKED")]).last());
    assert_eq!(ben.timeline().await, before, "ben learns nothing");
    assert_eq!(set(&ann, "ben").await["remark"], "Ben from the gym", "it stays without a word");
}

async fn what_is_so_already_tells_nobody(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    remove(&ann, "ben").await;
    set(&ann, "ben").await;
    let asked = (ann.timeline().await, ben.timeline().await);
    set(&ann, "ben").await;
    assert_eq!((ann.timeline().await, ben.timeline().await), asked);
    set(&ben, "ann").await;
    let agreed = (ann.timeline().await, ben.timeline().await);
    set(&ben, "ann").await;
    set(&ann, "ben").await;
    assert_eq!((ann.timeline().await, ben.timeline().await), agreed);
    assert_dense(&imd.database).await;
}

async fn i6_every_terminal_of_both_is_told(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let ben = imd.user_with_phone("ben").await;
    let (mut on_pc, mut on_phone) = (pc.follow("now").await, ben.follow("now").await);
    set(&ann, "ben").await;
    for (feed, user, change) in [(&mut on_pc, "ben", "SENT"), (&mut on_phone, "ann", "RECEIVED")] {
        match feed.entry().await.kind {
            Kind::ContactChanged(changed) => {
                assert_eq!((&*changed.user_id, &*changed.change), (user, change));
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn contacts_come_in_pages(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    for n in 0..5 {
        imd.user(&format!("user{n}")).await;
        set(&ann, &format!("user{n}")).await;
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let query = format!("?page_size=2&page_token={token}");
        let page = ann.contact(ContactCall::List(query)).await.expect("a page");
        let ids = page["contacts"].as_array().expect("a list").iter();
        seen.extend(ids.map(|contact| contact["user_id"].as_str().expect("an id").to_owned()));
        // One that changes meanwhile neither hides nor repeats another.
        remove(&ann, "user0").await;
        set(&ann, "user0").await;
        page["next_page_token"].as_str().expect("a token").clone_into(&mut token);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["user0", "user1", "user2", "user3", "user4"]);
}

async fn a_bad_request_names_its_field(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("ben").await;
    for (user, body, field) in [
        ("ann", json!({}), "user_id"),
        ("b en", json!({}), "user_id"),
        ("ben", json!({ "remark": "x".repeat(65) }), "remark"),
        ("ben", json!({ "remark": "a\nb" }), "remark"),
        ("ben", json!({ "note": "x".repeat(201) }), "note"),
    ] {
        let call = ContactCall::Set(user.to_owned(), body.clone());
        let refused = ann.contact(call).await.expect_err("a bad request");
        assert_eq!(refused.field(), field, "{user} {body}");
    }
    let refused = ann.contact(ContactCall::Set("nobody".to_owned(), json!({}))).await;
    assert_eq!(refused.expect_err("nobody").code, "user_not_found");
    let refused = ann.contact(ContactCall::Remove("ann".to_owned())).await;
    assert_eq!(refused.expect_err("oneself").field(), "user_id");
    let call = ContactCall::UpdateSettings(json!({ "messages_from": "FRIENDS" }));
    assert_eq!(ann.contact(call).await.expect_err("no such rule").field(), "messages_from");
    assert_eq!(contacts(&ann).await, []);
}

async fn whom_one_blocks_one_does_not_ask(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    ann.block("ben").await.expect("blocked");
    let ask = |user: &str| ContactCall::Set(user.to_owned(), json!({}));
    let refused = ann.contact(ask("ben")).await.expect_err("her own block");
    assert_eq!(refused.code, "recipient_blocked");
    assert_eq!(ben.contact(ask("ann")).await.expect_err("her block").code, "blocked");
    ann.unblock("ben").await.expect("unblocked");
    set(&ben, "ann").await;
    ann.block("ben").await.expect("blocked");
    let refused = ann.contact(ask("ben")).await.expect_err("her own block");
    assert_eq!(refused.code, "recipient_blocked");
    remove(&ann, "ben").await;
    assert_eq!(contacts(&ben).await, [], "declined all the same");
}

async fn a_deleted_user_is_nobodys_contact(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let cleo = imd.user_with_phone("cleo").await;
    befriend(&ann, &ben).await;
    set(&cleo, "ann").await;
    imd.admin().delete("ann", false).await.expect("deleted");
    for terminal in [&ben, &cleo] {
        assert_eq!(contacts(terminal).await, []);
        assert_eq!(told(terminal).await.last(), pairs(&[("ann", "REMOVED")]).last());
    }
    let refused = ben.contact(ContactCall::Set("ann".to_owned(), json!({}))).await;
    assert_eq!(refused.expect_err("gone").code, "user_not_found");
    let sql = imd.database.sql().await;
    let left = sql.query_one("SELECT count(*) FROM contacts", &[]).await.expect("a number");
    assert_eq!(left.get::<_, i64>(0), 0);
    assert_dense(&imd.database).await;
}
