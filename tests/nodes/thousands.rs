//! No grace, thousands of times: sessions of many users end while they send through two nodes (I3).

use std::{collections::HashMap, sync::Arc};

use futures::future::join_all;
use imd_proto::v1::kick_sessions_request::Which;
use tokio::sync::Barrier;

use crate::support::{
    api::{Api, Outgoing, Transport},
    cluster::Cluster,
    failure::Failure,
    terminal::Terminal,
    types::Event,
};

const USERS: usize = 20;
const ROUNDS: usize = 100;

/// Through whom a user talks: the two nodes.
type Nodes = [Arc<dyn Api>; 2];

/// Sends until it is refused; how many sends were acknowledged, and the refusal.
async fn send_until_refused(from: Terminal, to: String, began: Arc<Barrier>) -> (usize, Failure) {
    let session_id = from.session_id().to_owned();
    let mut acknowledged = 0;
    loop {
        match from.send(&Outgoing::text(&to, session_id.as_str())).await {
            Ok(_) => acknowledged += 1,
            Err(refusal) => return (acknowledged, refusal),
        }
        if acknowledged == 1 {
            began.wait().await;
        }
    }
}

/// Ends the session of the phone in one of four ways, through one of the nodes; the reason that there
/// must be.
async fn end(imd: &Cluster, round: usize, phone: &Terminal, pc: &Terminal) -> &'static str {
    let through = phone.through(pc.api.clone());
    match round % 4 {
        0 => {
            let which = Which::SessionId(phone.session_id().to_owned());
            imd.admin().kick(&phone.user_id, Some(which), "").await.expect("kicked");
            "KICKED"
        }
        1 => {
            imd.log_in(&phone.user_id, "phone", &format!("replaces-{round}")).await;
            "REPLACED"
        }
        2 => {
            pc.end_session(phone.session_id()).await.expect("ended");
            "LOGGED_OUT"
        }
        _ => {
            through.logout().await.expect("logged out");
            "LOGGED_OUT"
        }
    }
}

/// Makes calls that start now on a node; all must be refused.
async fn assert_refused(phone: &Terminal, reason: &str) {
    let (api, token) = (&phone.api, &phone.token);
    let behind = Outgoing::text(&phone.user_id, phone.session_id());
    let refused = [
        phone.send(&behind).await.err(),
        phone.history(&phone.user_id, 1, "").await.err(),
        api.subscribe(token, "").await.err(),
        api.refresh(&phone.refresh_token).await.err(),
    ];
    for (call, refused) in refused.into_iter().enumerate() {
        let refused = refused.unwrap_or_else(|| panic!("call {call} succeeded behind {reason}"));
        assert_eq!(refused.end_reason(), reason, "call {call}");
    }
}

/// One session from its login to behind its end; how many of its messages were acknowledged.
async fn round(
    imd: &Cluster,
    nodes: &Nodes,
    pc: &Terminal,
    to: &str,
    no: usize,
) -> (String, usize) {
    let phone = imd.log_in(&pc.user_id, "phone", &format!("phone-{no}")).await;
    let stream = phone.through(nodes[no % 2].clone());
    let mut feed = stream.follow("now").await;
    let began = Arc::new(Barrier::new(nodes.len() + 1));
    let senders = nodes.clone().map(|api| {
        let sending = send_until_refused(phone.through(api), to.to_owned(), began.clone());
        tokio::spawn(sending)
    });
    began.wait().await;
    let reason = end(imd, no, &phone, pc).await;
    join_all(nodes.iter().map(|api| {
        let phone = phone.through(api.clone());
        async move { assert_refused(&phone, reason).await }
    }))
    .await;
    let (_, last) = feed.to_the_end().await;
    let Event::SessionEnded(end) = last else { panic!("the stream ends with {last:?}") };
    assert_eq!(end.reason, reason);
    let mut acknowledged = 0;
    for sender in senders {
        let (sent, refusal) = sender.await.expect("refused in the end");
        assert_eq!(refusal.end_reason(), reason);
        acknowledged += sent;
    }
    (phone.session_id().to_owned(), acknowledged)
}

/// What a user's timeline says of its sessions: their messages stand before their ends, and there are as
/// many as were acknowledged.
async fn assert_told(pc: &Terminal, acknowledged: &HashMap<String, usize>) {
    let mut witness = pc.follow("").await;
    let last_seq = witness.opened.last_seq;
    let (mut ended, mut found) = (HashMap::new(), HashMap::<String, usize>::new());
    for entry in witness.entries_to(last_seq).await {
        match entry.as_message() {
            Some(message) if message.sender_id == pc.user_id => {
                assert_eq!(ended.get(entry.text()), None, "{entry:?} stands behind the end");
                *found.entry(entry.text().to_owned()).or_default() += 1;
            }
            Some(_) => {}
            None => {
                let change = entry.session_changed();
                ended.extend(change.ended.iter().map(|s| (s.session_id.clone(), entry.seq)));
            }
        }
    }
    assert_eq!(&found, acknowledged, "what was acknowledged stands there, and nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i3_two_thousand_sessions_end_and_nothing_comes_behind() {
    let imd = Cluster::start(Transport::Grpc).await;
    let (_node, there) = imd.start_node().await;
    let nodes = [imd.api.clone(), there];
    let users: Vec<String> = (0..USERS).map(|n| format!("user-{n}")).collect();
    for user in &users {
        imd.user(user).await;
    }
    let rounds = async |n: usize| {
        let pc = imd.log_in(&users[n], "pc", "witness").await.through(nodes[n % 2].clone());
        let to = &users[(n + 1) % USERS];
        let mut acknowledged = HashMap::new();
        for no in 0..ROUNDS {
            let (session_id, sent) = round(&imd, &nodes, &pc, to, no + n).await;
            acknowledged.insert(session_id, sent);
        }
        assert_told(&pc, &acknowledged).await;
    };
    join_all((0..USERS).map(rounds)).await;
}
