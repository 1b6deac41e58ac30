//! A message that is gone keeps its id (I7).

use crate::{
    append::assert_dense,
    support::{api::Outgoing, cluster::Cluster, on_both_transports, types::Sent},
};

on_both_transports! {
    i7_a_retry_of_a_recalled_message_returns_the_first_result,
    i7_a_retry_of_a_deleted_message_returns_the_first_result,
    i7_the_id_of_a_message_that_is_gone_is_not_free_for_another,
}

async fn i7_a_retry_of_a_recalled_message_returns_the_first_result(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let message = Outgoing::data("bob", "image/png", b"never mind");
    let sent = ann.send(&message).await.expect("sent");
    ann.recall(&sent.message_id).await.expect("recalled");
    let before = (ann.timeline().await, bob.timeline().await);
    let again = ann.send(&message).await.expect("the first result");
    assert_eq!(again, Sent { duplicate: true, ..sent });
    assert_eq!((ann.timeline().await, bob.timeline().await), before, "recalled it stays");
    assert_dense(&imd.database).await;
}

async fn i7_a_retry_of_a_deleted_message_returns_the_first_result(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("bob").await;
    let message = Outgoing::text("bob", "hello");
    let sent = ann.send(&message).await.expect("sent");
    ann.delete("bob", sent.seq).await.expect("deleted");
    let again = ann.send(&message).await.expect("the first result");
    assert_eq!(again, Sent { duplicate: true, ..sent });
    assert_eq!(ann.history("bob", 0, "").await.expect("a page").entries, []);
    assert_dense(&imd.database).await;
}

async fn i7_the_id_of_a_message_that_is_gone_is_not_free_for_another(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.users(["bob", "carol"]).await;
    let (recalled, deleted) = (Outgoing::text("bob", "one"), Outgoing::text("bob", "two"));
    let sent = ann.send(&recalled).await.expect("sent");
    ann.recall(&sent.message_id).await.expect("recalled");
    let sent = ann.send(&deleted).await.expect("sent");
    ann.delete("bob", sent.seq).await.expect("deleted");
    for gone in [&recalled, &deleted] {
        let id = || gone.client_message_id.clone();
        for other in [
            Outgoing { client_message_id: id(), ..Outgoing::text("bob", "another text") },
            Outgoing { client_message_id: id(), to: Some("carol".to_owned()), ..gone.clone() },
        ] {
            let refused = ann.send(&other).await.expect_err("a conflict");
            assert_eq!(refused.code, "client_message_id_conflict");
        }
    }
}
