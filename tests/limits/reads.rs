//! So many reads and so many changes in a second.

use super::{counted, limited_to, over_each, refused_for};
use crate::support::{
    api::{Api, Result, Transport},
    cluster::Cluster,
    eventually,
    terminal::Terminal,
};

over_each! {
    a_user_reads_so_often_in_a_second: Grpc grpc, Rest rest;
    a_user_changes_so_much_in_a_second: Grpc grpc, Rest rest;
}

/// The `n`th kind of read there is.
async fn read(terminal: &Terminal, n: usize) -> Result<()> {
    let (api, token): (&dyn Api, _) = (&*terminal.api, &*terminal.token);
    match n % 6 {
        0 => api.pull(token, "", 10).await.map(drop),
        1 => api.conversations(token, 10, "").await.map(drop),
        2 => api.history(token, "user:ann", 10, "").await.map(drop),
        3 => api.blocked_users(token, 10, "").await.map(drop),
        4 => api.sessions(token).await.map(drop),
        _ => api.subscribe(token, "now").await.map(drop),
    }
}

/// The `n`th kind of change there is.
async fn change(terminal: &Terminal, n: usize, message_id: &str) -> Result<()> {
    let (api, token): (&dyn Api, _) = (&*terminal.api, &*terminal.token);
    let other = uuid::Uuid::new_v4().to_string();
    match n % 6 {
        0 => api.mark_read(token, "user:ann", 1).await.map(drop),
        1 => api.block_user(token, "bob").await,
        2 => api.unblock_user(token, "bob").await,
        3 => api.recall(token, message_id).await,
        4 => api.delete_message(token, "user:ann", 2).await,
        // There is none of that id.
        _ => match api.end_session(token, &other).await {
            Err(refused) if refused.code == "session_not_found" => Ok(()),
            ended => ended,
        },
    }
}

/// Of so many calls of each kind one after the other, those that were refused.
async fn refused(limit: &str, calls: impl AsyncFn(usize) -> Result<()>) -> Vec<usize> {
    let mut kinds = Vec::new();
    for n in 0..60 {
        if let Err(refusal) = calls(n).await {
            refused_for(limit, &refusal);
            kinds.push(n % 6);
        }
    }
    kinds
}

async fn check(imd: &Cluster, limit: &str, calls: impl AsyncFn(usize) -> Result<()>) {
    let before = counted(imd, limit).await;
    let lost = refused(limit, &calls).await;
    // Those of ten seconds pass, and those that come back meanwhile.
    assert!(!lost.is_empty() && lost.len() <= 50, "{lost:?}");
    for kind in 0..6 {
        assert!(lost.contains(&kind), "the kind {kind} is not limited: {lost:?}");
    }
    assert!(counted(imd, limit).await >= before + lost.len() as u64);
    eventually("one comes back", async || calls(0).await.ok()).await;
}

async fn a_user_reads_so_often_in_a_second(transport: Transport) {
    let imd = limited_to(transport, |settings| settings.limits.reads_per_user = 1).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    check(&imd, "reads_per_user", async |n| read(&ann, n).await).await;
    ann.say("bob", "what is sent is counted apart").await;
    read(&bob, 0).await.expect("another user");
}

async fn a_user_changes_so_much_in_a_second(transport: Transport) {
    let imd = limited_to(transport, |settings| settings.limits.changes_per_user = 1).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let note = ann.say("ann", "a note").await;
    check(&imd, "changes_per_user", async |n| change(&ann, n, &note.message_id).await).await;
    ann.pull("").await.expect("what is read is counted apart");
    let refresh = async || imd.api.refresh(&ann.refresh_token).await;
    while refresh().await.is_ok() {}
    refused_for("changes_per_user", &refresh().await.expect_err("it is used up"));
    bob.mark_read("ann", 1).await.map(drop).expect("another user");
}
