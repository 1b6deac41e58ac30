//! Many senders at once (I5, I6).

use futures::future::join_all;

use crate::support::{
    api::{Outgoing, Result},
    checker::Run,
    cluster::Cluster,
    on_every_transport,
    terminal::Terminal,
    types::Sent,
};

const MESSAGES: usize = 50;

/// Sends messages one after the other, each with its answer.
async fn send_all(from: &Terminal, to: &[&str]) -> Vec<(Outgoing, Result<Sent>)> {
    let mut sent = Vec::new();
    for n in 0..MESSAGES {
        let message = Outgoing::text(to[n % to.len()], format!("{} {n}", from.session_id()));
        let answer = from.send(&message).await;
        sent.push((message, answer));
    }
    sent
}

on_every_transport! {
    i5_eight_senders_make_one_timeline,
    i6_everybody_talks_to_everybody_and_all_tell_the_same,
}

async fn i5_eight_senders_make_one_timeline(imd: Cluster) {
    imd.user("bob").await;
    let phone = imd.log_in("bob", "phone", "phone").await;
    let pc = imd.log_in("bob", "pc", "desk").await;
    let mut senders = Vec::new();
    for n in 0..8 {
        senders.push(imd.user_with_phone(&format!("sender-{n}")).await);
    }
    let mut feeds = [phone.follow("").await, pc.follow("").await];
    let sent = join_all(senders.iter().map(|sender| send_all(sender, &["bob"]))).await;

    let mut run = Run::default();
    for (sender, sent) in senders.iter().zip(sent) {
        run.sent_all(&sender.user_id, sent);
        let entries = sender.pull("").await.expect("the timeline").entries;
        run.saw(&sender.user_id, &sender.user_id, 0, entries);
    }
    for (feed, name) in feeds.iter_mut().zip(["bob's phone", "bob's pc"]) {
        run.saw("bob", name, 0, feed.entries(2 + 8 * MESSAGES).await);
    }
    run.assert_sound();
}

async fn i6_everybody_talks_to_everybody_and_all_tell_the_same(imd: Cluster) {
    let names = ["ann", "bob", "carol", "dave"];
    let (mut terminals, mut feeds) = (Vec::new(), Vec::new());
    imd.users(names).await;
    for (name, terminal_type) in names.iter().flat_map(|name| [(name, "phone"), (name, "pc")]) {
        let terminal = imd.log_in(name, terminal_type, terminal_type).await;
        feeds.push(terminal.follow("").await);
        terminals.push(terminal);
    }
    let sent = join_all(terminals.iter().map(|terminal| send_all(terminal, &names))).await;

    let mut run = Run::default();
    for ((terminal, feed), sent) in terminals.iter().zip(&mut feeds).zip(sent) {
        let name = &terminal.user_id;
        run.sent_all(name, sent);
        let last_seq = terminal.pull("now").await.expect("the timeline").state.last_seq;
        run.saw(name, terminal.session_id(), 0, feed.entries_to(last_seq).await);
    }
    run.assert_sound();
}
