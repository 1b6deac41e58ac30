//! What happens on one node reaches the terminals of another.

use imd_proto::v1::kick_sessions_request::Which;

use crate::support::{cluster::Cluster, on_both_transports, types::Event};

on_both_transports! {
    i6_a_message_reaches_the_terminals_on_every_node,
    i2_a_kick_on_one_node_ends_the_stream_on_another,
    i2_a_login_on_one_node_ends_the_stream_on_another,
    i2_the_reason_is_known_after_a_restart,
    tokens_of_one_node_are_good_on_every_node,
    a_session_is_online_on_whatever_node_its_stream_is,
}

async fn i6_a_message_reaches_the_terminals_on_every_node(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let ann_there = imd.log_in("ann", "pc", "desk").await.through(there.clone());
    let bob_there = imd.user_with_phone("bob").await.through(there);
    let mut feeds =
        [ann.follow("now").await, ann_there.follow("now").await, bob_there.follow("now").await];
    for n in 0..20 {
        let (from, to) = if n % 2 == 0 { (&ann, "bob") } else { (&bob_there, "ann") };
        let sent = from.say(to, &n.to_string()).await;
        for feed in &mut feeds {
            let entry = feed.entry().await;
            assert_eq!(entry.text(), n.to_string());
            assert_eq!(entry.message().message_id, sent.message_id);
        }
    }
}

async fn i2_a_kick_on_one_node_ends_the_stream_on_another(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await.through(there);
    let mut feed = phone.follow("now").await;
    imd.admin().kick("ann", Some(Which::All(true)), "bye").await.expect("kicked");
    let (_, last) = feed.to_the_end().await;
    let Event::SessionEnded(end) = last else { panic!("{last:?}") };
    assert_eq!((end.reason.as_str(), end.note.as_str()), ("KICKED", "bye"));
}

async fn i2_a_login_on_one_node_ends_the_stream_on_another(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await.through(there);
    let mut feed = phone.follow("now").await;
    let second = imd.log_in("ann", "phone", "second").await;
    let (_, last) = feed.to_the_end().await;
    let Event::SessionEnded(end) = last else { panic!("{last:?}") };
    assert_eq!(Some(&end), second.replaced[0].end.as_ref());
    assert_eq!(phone.sessions().await.expect_err("replaced").end_reason(), "REPLACED");
}

async fn i2_the_reason_is_known_after_a_restart(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    imd.log_in("ann", "phone", "second").await;
    let (_node, after_the_restart) = imd.start_node().await;
    imd.node.stop().await;
    let phone = phone.through(after_the_restart);
    let refused = [
        phone.sessions().await.expect_err("replaced"),
        phone.pull("").await.expect_err("replaced"),
        phone.api.refresh(&phone.refresh_token).await.expect_err("replaced"),
    ];
    for refused in refused {
        assert_eq!(refused.end_reason(), "REPLACED");
        assert_eq!(refused.detail("ended_by_device_name"), "ann's second");
    }
}

async fn tokens_of_one_node_are_good_on_every_node(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    let tokens = there.refresh(&phone.refresh_token).await.expect("new tokens");
    let back = imd.api.refresh(&tokens.refresh_token).await.expect("new tokens");
    assert_eq!(there.sessions(&back.access_token).await.expect("live").len(), 1);
}

async fn a_session_is_online_on_whatever_node_its_stream_is(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let phone = imd.user_with_phone("ann").await;
    let _feed = phone.through(there).follow("now").await;
    assert!(phone.sessions().await.expect("sessions")[0].online);
}
