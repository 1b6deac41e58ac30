//! So many messages in a second, and so many streams.

use futures::future::join_all;

use super::{counted, limited_to, over_each, refused_for};
use crate::support::{
    api::{Outgoing, OutgoingSignal, Result, Transport},
    eventually,
    terminal::Terminal,
    types::Sent,
};

over_each! {
    a_session_sends_so_many_in_a_second: Grpc grpc, Rest rest, WebSocket websocket;
    a_user_sends_so_many_on_all_terminals_together: Grpc grpc, Rest rest;
    a_session_signals_so_many_times_in_a_second: Grpc grpc, Rest rest, WebSocket websocket;
    a_session_has_so_many_streams: Grpc grpc, Rest rest, WebSocket websocket;
}

async fn send_at_once(terminal: &Terminal, count: usize) -> Vec<Result<Sent>> {
    let notes: Vec<_> = (0..count).map(|n| Outgoing::text("ann", n.to_string())).collect();
    join_all(notes.iter().map(|note| terminal.send(note))).await
}

fn refused(outcomes: &[Result<Sent>], limit: &str) -> usize {
    let refused: Vec<_> = outcomes.iter().filter_map(|sent| sent.as_ref().err()).collect();
    for failure in &refused {
        refused_for(limit, failure);
    }
    refused.len()
}

async fn a_session_sends_so_many_in_a_second(transport: Transport) {
    let imd = limited_to(transport, |settings| settings.limits.sends_per_session = 2).await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let before = counted(&imd, "sends_per_session").await;
    let outcomes = send_at_once(&phone, 40).await;
    let lost = refused(&outcomes, "sends_per_session");
    // Those of ten seconds, and those that came back meanwhile.
    assert!((1..=20).contains(&lost), "{lost}");
    assert!(counted(&imd, "sends_per_session").await >= before + lost as u64);
    pc.say("ann", "another session").await;
    eventually("one comes back", async || phone.send(&Outgoing::text("ann", "x")).await.ok()).await;
    let stored = phone.pull("").await.expect("the timeline").state.last_seq;
    let expected = i64::try_from(2 + (40 - lost) + 2).expect("a small number");
    assert_eq!(stored, expected, "what was refused is not stored");
}

async fn a_session_signals_so_many_times_in_a_second(transport: Transport) {
    let imd = limited_to(transport, |settings| settings.limits.signals_per_session = 2).await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let before = counted(&imd, "signals_per_session").await;
    let signal = OutgoingSignal::typing("ann", "STARTED");
    let outcomes = join_all((0..40).map(|_| phone.signal(&signal))).await;
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    for failure in &refused {
        refused_for("signals_per_session", failure);
    }
    assert!((1..=20).contains(&refused.len()), "{}", refused.len());
    assert!(counted(&imd, "signals_per_session").await >= before + refused.len() as u64);
    pc.types("ann").await;
    phone.say("ann", "a message is no signal").await;
}

async fn a_user_sends_so_many_on_all_terminals_together(transport: Transport) {
    let imd = limited_to(transport, |settings| settings.limits.sends_per_user = 2).await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let before = counted(&imd, "sends_per_user").await;
    let (on_phone, on_pc) = tokio::join!(send_at_once(&phone, 20), send_at_once(&pc, 20));
    let lost = refused(&on_phone, "sends_per_user") + refused(&on_pc, "sends_per_user");
    assert!((1..=20).contains(&lost), "{lost}");
    assert!(counted(&imd, "sends_per_user").await >= before + lost as u64);
    bob.say("ann", "another user").await;
}

async fn a_session_has_so_many_streams(transport: Transport) {
    let imd = limited_to(transport, |settings| settings.limits.streams_per_session = 2).await;
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (first, _second) = (phone.follow("now").await, phone.follow("now").await);
    let before = counted(&imd, "streams_per_session").await;
    let third = imd.api.subscribe(&phone.token, "now").await;
    // Over a WebSocket the refusal is the first that comes.
    let third = match third {
        Ok(mut events) => futures::StreamExt::next(&mut events).await.expect("an answer").map(drop),
        Err(refused) => Err(refused),
    };
    refused_for("streams_per_session", &third.expect_err("one too many"));
    assert!(counted(&imd, "streams_per_session").await > before);
    let _other = pc.follow("now").await;
    drop(first);
    eventually("there is room again", async || {
        imd.api.subscribe(&phone.token, "now").await.ok().map(drop)
    })
    .await;
}
