//! Contacts that change on two nodes at a time, beside messages.

use futures::future::join;

use super::{contacts, lets, pairs, remove, set};
use crate::{
    append::assert_dense,
    support::{
        api::{Outgoing, Transport},
        cluster::Cluster,
    },
};

/// Two who ask each other at the same time are contacts, whoever comes first.
#[tokio::test]
async fn two_who_ask_each_other_at_once_are_contacts() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let (_node, api) = imd.start_node().await;
    let elsewhere = ben.through(api);
    for round in 0..100 {
        join(set(&ann, "ben"), set(&elsewhere, "ann")).await;
        assert_eq!(contacts(&ann).await, pairs(&[("ben", "ACCEPTED")]), "round {round}");
        assert_eq!(contacts(&ben).await, pairs(&[("ann", "ACCEPTED")]), "round {round}");
        // Both may: one of the two finds nothing left.
        join(remove(&ann, "ben"), remove(&elsewhere, "ann")).await;
        assert_eq!((contacts(&ann).await, contacts(&ben).await), (vec![], vec![]), "round {round}");
    }
    assert_dense(&imd.database).await;
}

/// Once a removal has returned, nothing that the former contact sends is stored, on any node.
#[tokio::test]
async fn i14_a_removal_and_sends_on_two_nodes_agree() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let (_node, api) = imd.start_node().await;
    let elsewhere = ben.through(api);
    lets(&ann, "messages_from", "CONTACTS").await;
    let (mut stored, mut refusals) = (0, 0);
    for round in 0..200 {
        set(&ann, "ben").await;
        set(&ben, "ann").await;
        let says = async {
            let mut count = 0;
            for n in 0..4 {
                match elsewhere.send(&Outgoing::text("ann", format!("{round} {n}"))).await {
                    Ok(_) => count += 1,
                    Err(refused) => {
                        assert_eq!(refused.code, "not_accepted");
                        return (count, true);
                    }
                }
            }
            (count, false)
        };
        let removes = async {
            tokio::task::yield_now().await;
            remove(&ann, "ben").await;
            // It has returned: from here on nothing gets through.
            let late = ben.send(&Outgoing::text("ann", "late")).await.expect_err("no contact");
            assert_eq!(late.code, "not_accepted");
        };
        let ((count, refused), ()) = join(says, removes).await;
        stored += count;
        refusals += usize::from(refused);
    }
    assert!(refusals > 0, "some met the removal");
    let sql = imd.database.sql().await;
    let messages = "SELECT count(*) FROM entries JOIN users ON user_no = owner
                    WHERE user_id = 'ann' AND kind = 1";
    assert_eq!(sql.query_one(messages, &[]).await.expect("a number").get::<_, i64>(0), stored);
    assert_dense(&imd.database).await;
}
