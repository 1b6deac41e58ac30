//! A request that starts after a session's end has returned does not succeed, on any node; and no
//! message of the session has a place behind its end (I3).

use std::{collections::HashMap, sync::Arc};

use futures::future::join_all;
use imd_proto::v1::kick_sessions_request::Which;
use tokio::sync::Barrier;

use crate::support::{
    api::{Api, Outgoing},
    cluster::Cluster,
    on_both_transports,
    terminal::Terminal,
};

const ROUNDS: usize = 100;

/// Sends until it is refused; how many sends were acknowledged.
async fn send_until_refused(from: Terminal, began: Arc<Barrier>) -> usize {
    let session_id = from.session_id().to_owned();
    let mut acknowledged = 0;
    loop {
        match from.send(&Outgoing::text("bob", session_id.as_str())).await {
            Ok(_) => acknowledged += 1,
            Err(refusal) => {
                refusal.end_reason();
                return acknowledged;
            }
        }
        if acknowledged == 1 {
            began.wait().await;
        }
    }
}

/// Ends the session in one of four ways; the reason that there must be.
async fn end(imd: &Cluster, round: usize, phone: &Terminal, pc: &Terminal) -> &'static str {
    match round % 4 {
        0 => {
            let which = Which::SessionId(phone.session_id().to_owned());
            imd.admin().kick("ann", Some(which), "").await.expect("kicked");
            "KICKED"
        }
        1 => {
            imd.log_in("ann", "phone", &format!("replaces-{round}")).await;
            "REPLACED"
        }
        2 => {
            pc.end_session(phone.session_id()).await.expect("ended");
            "LOGGED_OUT"
        }
        _ => {
            phone.logout().await.expect("logged out");
            "LOGGED_OUT"
        }
    }
}

/// Makes calls that start now; all must be refused.
async fn assert_refused(phone: &Terminal, reason: &str) {
    let token = &phone.token;
    let message = Outgoing::text("bob", "after the end");
    let refused = [
        phone.send(&message).await.err(),
        phone.sessions().await.err(),
        phone.pull("").await.err(),
        phone.api.subscribe(token, "").await.err(),
        phone.history("bob", 1, "").await.err(),
        phone.api.refresh(&phone.refresh_token).await.err(),
    ];
    for (call, refused) in refused.into_iter().enumerate() {
        let refused = refused.unwrap_or_else(|| panic!("call {call} succeeded behind {reason}"));
        assert_eq!(refused.end_reason(), reason, "call {call}");
    }
}

on_both_transports! {
    i3_nothing_succeeds_behind_the_end_of_a_session,
}

async fn i3_nothing_succeeds_behind_the_end_of_a_session(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    imd.users(["ann", "bob"]).await;
    let pc = imd.log_in("ann", "pc", "witness").await;
    let mut witness = pc.follow("").await;
    let apis: [Arc<dyn Api>; 2] = [imd.api.clone(), there];
    let mut acknowledged = HashMap::new();
    for round in 0..ROUNDS {
        let phone = imd.log_in("ann", "phone", &format!("phone-{round}")).await;
        let began = Arc::new(Barrier::new(2 * apis.len() + 1));
        let senders: Vec<_> = apis
            .iter()
            .flat_map(|api| [api.clone(), api.clone()])
            .map(|api| tokio::spawn(send_until_refused(phone.through(api), began.clone())))
            .collect();
        began.wait().await;
        let reason = end(&imd, round, &phone, &pc).await;
        join_all(
            apis.iter().map(async |api| assert_refused(&phone.through(api.clone()), reason).await),
        )
        .await;
        let counts =
            join_all(senders).await.into_iter().map(|sent| sent.expect("refused in the end"));
        acknowledged.insert(phone.session_id().to_owned(), counts.sum::<usize>());
    }

    let last_seq = pc.pull("now").await.expect("the timeline").state.last_seq;
    let mut ended = HashMap::new();
    let mut found: HashMap<String, usize> = HashMap::new();
    for entry in witness.entries_to(last_seq).await {
        if entry.as_message().is_some() {
            let session_id = entry.text();
            assert_eq!(ended.get(session_id), None, "{entry:?} stands behind the end");
            *found.entry(session_id.to_owned()).or_default() += 1;
        } else {
            let change = entry.session_changed();
            ended.extend(change.ended.iter().map(|s| (s.session_id.clone(), entry.seq)));
        }
    }
    assert_eq!(found, acknowledged, "what was acknowledged stands there, and nothing else");
}
