//! How many bytes a user may store by sending. A job counts them.

use crate::{
    groups::{group_of, text},
    support::{
        admin::tier, api::Outgoing, cluster::Cluster, eventually, failure::Failure,
        on_both_transports, on_every_transport, terminal::Terminal,
    },
};

on_every_transport! {
    who_has_used_a_quota_sends_nothing_more,
}

on_both_transports! {
    what_is_sent_to_groups_counts,
    what_is_gone_makes_room,
    a_tier_has_a_quota_for_each_of_its_users,
}

/// Has the job count, once.
async fn count(imd: &Cluster) {
    let finished = async || imd.admin().job("quotas").await.finished_at;
    let before = eventually("a first run", finished).await;
    imd.admin().retry_job("quotas").await.expect("there is one");
    eventually("a run", async || finished().await.filter(|finished| *finished != before)).await;
}

async fn refused(terminal: &Terminal, to: &str) -> Failure {
    let message = Outgoing::text(to, "no room for this");
    terminal.send(&message).await.expect_err("the quota is used")
}

async fn who_has_used_a_quota_sends_nothing_more(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    imd.admin().set_quota("ann", Some(100)).await.expect("a quota");
    ann.say("ben", &"x".repeat(60)).await;
    count(&imd).await;
    let last = Outgoing::text("ben", "y".repeat(60));
    let sent = ann.send(&last).await.expect("there is room");
    // What ann receives is not what she has sent.
    ben.say("ann", &"z".repeat(200)).await;
    count(&imd).await;

    assert_eq!(refused(&ann, "ben").await.code, "message_quota_used");
    assert_eq!(refused(&ann, "ann").await.code, "message_quota_used", "a note");
    let again = ann.send(&last).await.expect("it stands already");
    assert_eq!((again.duplicate, again.seq), (true, sent.seq));
    ben.say("ann", "ann can be written to").await;
    assert_eq!(ben.texts().await.len(), 4, "what was refused is nowhere");
    ben.say("ben", "others have no quota").await;

    imd.admin().set_quota("ann", None).await.expect("no quota");
    count(&imd).await;
    ann.say("ben", "no quota any more").await;
}

async fn what_is_sent_to_groups_counts(imd: Cluster) {
    let [ann, _ben] = group_of(&imd, ["ann", "ben"]).await;
    imd.admin().set_quota("ann", Some(100)).await.expect("a quota");
    ann.send(&text(&"x".repeat(100))).await.expect("there is room");
    count(&imd).await;
    let more = ann.send(&text("more")).await;
    assert_eq!(more.expect_err("the quota is used").code, "message_quota_used");
}

async fn what_is_gone_makes_room(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    imd.user("ben").await;
    imd.admin().set_quota("ann", Some(1000)).await.expect("a quota");
    let first = ann.say("ben", &"x".repeat(600)).await;
    let second = ann.say("ben", "small").await;
    count(&imd).await;
    // Edits count, too.
    ann.edit(&second.message_id, &"y".repeat(600)).await.expect("edited");
    count(&imd).await;
    assert_eq!(refused(&ann, "ben").await.code, "message_quota_used");

    ann.recall(&first.message_id).await.expect("recalled");
    count(&imd).await;
    ann.say("ben", &"z".repeat(600)).await;
    count(&imd).await;
    assert_eq!(refused(&ann, "ben").await.code, "message_quota_used");
    ann.delete("ben", second.seq).await.expect("deleted");
    count(&imd).await;
    ann.say("ben", "there is room again").await;
}

async fn a_tier_has_a_quota_for_each_of_its_users(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let ben = imd.user_with_phone("ben").await;
    let mut small = tier("small", None, None);
    small.max_bytes = Some(-1);
    let wrong = imd.admin().apply_tiers(vec![small.clone()]).await.expect_err("less than nothing");
    assert_eq!(wrong.field(), "max_bytes");
    small.max_bytes = Some(50);
    imd.admin().apply_tiers(vec![small.clone()]).await.expect("a tier");
    for user_id in ["ann", "ben"] {
        imd.admin().set_tier(user_id, "small").await.expect("a tier");
    }
    let retention = ann.pull("").await.expect("a timeline").state.retention;
    assert_eq!(retention.max_bytes, Some(50), "clients can tell");
    ann.say("ben", &"x".repeat(60)).await;
    count(&imd).await;
    assert_eq!(refused(&ann, "ben").await.code, "message_quota_used");
    ben.say("ann", "ben has a quota of his own").await;

    small.max_bytes = Some(100);
    imd.admin().apply_tiers(vec![small]).await.expect("a tier");
    count(&imd).await;
    ann.say("ben", "there is room again").await;
}
