//! Whom a signal reaches, and in which order.

use futures::{StreamExt, future::join_all};
use serde_json::json;

use super::{signal, typing};
use crate::support::{
    api::{GroupCall, OutgoingSignal, Transport},
    cluster::Cluster,
    eventually, on_both_transports, on_every_transport,
    terminal::Terminal,
    types::{Event, Signal},
};

/// How often one types and sends.
const ROUNDS: usize = 30;

/// How many signals a stream does not read.
const COUNT: usize = 1500;

on_every_transport! {
    typing_reaches_the_streams_of_the_recipient_and_nobody_else,
    a_content_of_ones_own_reaches_the_other_side_as_it_was,
    what_is_signalled_to_oneself_reaches_the_other_terminals,
    one_who_types_is_told_of_once_until_a_message_comes,
    a_message_ends_the_typing_before_it_on_every_node,
}

on_both_transports! {
    who_stops_typing_is_told_of_if_it_typed,
    the_members_of_a_group_see_who_types_on_every_node,
    of_many_who_type_in_a_group_some_are_told_of,
    i14_who_was_removed_from_a_group_gets_no_signals,
}

async fn typing_reaches_the_streams_of_the_recipient_and_nobody_else(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let of_ann = imd.log_in("ann", "pc", "desk").await;
    let bob = imd.user_with_phone("bob").await;
    let of_bob = imd.log_in("bob", "pc", "desk").await;
    let carl = imd.user_with_phone("carl").await;
    let before = (ann.timeline().await, bob.timeline().await);
    let (mut on_phone, mut on_pc) = (bob.follow("now").await, of_bob.follow("now").await);
    let (mut own, mut of_carl) = (of_ann.follow("now").await, carl.follow("now").await);
    ann.types("bob").await;
    assert_eq!(signal(&mut on_phone).await, typing("user:ann", "ann"));
    assert_eq!(signal(&mut on_pc).await, typing("user:ann", "ann"));
    assert_eq!((ann.timeline().await, bob.timeline().await), before, "nothing is stored");
    // What comes next is what is sent next.
    ann.say("bob", "hello").await;
    ann.say("carl", "hello").await;
    assert_eq!(own.entry().await.text(), "hello");
    assert_eq!(of_carl.entry().await.text(), "hello");
    // A stream that is opened later knows nothing of it.
    assert_eq!(bob.follow("last=1").await.entry().await.text(), "hello");
}

async fn a_content_of_ones_own_reaches_the_other_side_as_it_was(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feed = bob.follow("now").await;
    let data: Vec<u8> = (0..1024_u32).map(|n| u8::try_from(n % 256).expect("a byte")).collect();
    let sent = OutgoingSignal::data("bob", "application/x-pointer", &data);
    ann.signal(&sent).await.expect("it is taken");
    let expected = Signal {
        conversation_id: "user:ann".to_owned(),
        sender_id: "ann".to_owned(),
        content_type: Some("application/x-pointer".to_owned()),
        data: Some(sent.content["data"].as_str().expect("base64").to_owned()),
        ..Signal::default()
    };
    assert_eq!(signal(&mut feed).await, expected);
    // Unlike typing, none is held back.
    for _ in 0..3 {
        ann.signal(&sent).await.expect("it is taken");
        assert_eq!(signal(&mut feed).await, expected);
    }
}

async fn what_is_signalled_to_oneself_reaches_the_other_terminals(imd: Cluster) {
    let phone = imd.user_with_phone("ann").await;
    let pc = imd.log_in("ann", "pc", "desk").await;
    let (mut on_phone, mut on_pc) = (phone.follow("now").await, pc.follow("now").await);
    phone.types("ann").await;
    assert_eq!(signal(&mut on_pc).await, typing("user:ann", "ann"));
    phone.say("ann", "a note").await;
    assert_eq!(on_phone.entry().await.text(), "a note", "its own signal does not come back");
}

async fn one_who_types_is_told_of_once_until_a_message_comes(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feed = bob.follow("now").await;
    for text in ["one", "two"] {
        for _ in 0..5 {
            ann.types("bob").await;
        }
        ann.say("bob", text).await;
        assert_eq!(signal(&mut feed).await, typing("user:ann", "ann"));
        assert_eq!(feed.entry().await.text(), text);
    }
}

async fn a_message_ends_the_typing_before_it_on_every_node(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let (mut here, mut there) = (bob.follow("now").await, bob.through(there).follow("now").await);
    // What came before is read in each round: typing that waits is replaced by typing that comes.
    for round in 0..ROUNDS {
        let text = format!("typed {round}");
        ann.types("bob").await;
        ann.say("bob", &text).await;
        for feed in [&mut here, &mut there] {
            assert_eq!(signal(feed).await, typing("user:ann", "ann"));
            assert_eq!(feed.entry().await.text(), text);
        }
    }
}

async fn who_stops_typing_is_told_of_if_it_typed(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let mut feed = bob.follow("now").await;
    let stop = OutgoingSignal::typing("bob", "STOPPED");
    ann.signal(&stop).await.expect("it is taken");
    ann.types("bob").await;
    assert_eq!(signal(&mut feed).await, typing("user:ann", "ann"), "there was nothing to stop");
    ann.signal(&stop).await.expect("it is taken");
    let stopped = Signal {
        typing: Some("STOPPED".to_owned()),
        expires_in: None,
        ..typing("user:ann", "ann")
    };
    assert_eq!(signal(&mut feed).await, stopped);
    ann.signal(&stop).await.expect("it is taken");
    ann.types("bob").await;
    assert_eq!(signal(&mut feed).await, typing("user:ann", "ann"), "at once after a stop");
}

/// Makes the group `g` of Ann's with these members, who have just logged in. Returns when all know of it.
async fn make_group(ann: &Terminal, members: &[&Terminal]) {
    let ids: Vec<&str> = members.iter().map(|member| member.user_id.as_str()).collect();
    let create = json!({ "group_id": "g", "name": "G", "member_ids": ids });
    ann.group(GroupCall::Create(create)).await.expect("a group");
    for terminal in members.iter().chain([&ann]) {
        let knows = async || {
            let state = terminal.pull("now").await.expect("the timeline").state;
            (state.last_seq == 3).then_some(())
        };
        eventually("a member knows of its login, of the group and of who is in it", knows).await;
    }
}

async fn the_members_of_a_group_see_who_types_on_every_node(imd: Cluster) {
    let (_node, there) = imd.start_node().await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carl = imd.user_with_phone("carl").await.through(there);
    make_group(&ann, &[&bob, &carl]).await;
    let (mut of_bob, mut of_carl) = (bob.follow("now").await, carl.follow("now").await);
    let mut of_ann = ann.follow("now").await;
    bob.types("group:g").await;
    assert_eq!(signal(&mut of_carl).await, typing("group:g", "bob"));
    assert_eq!(signal(&mut of_ann).await, typing("group:g", "bob"));
    bob.say("group:g", "hello").await;
    assert_eq!(of_bob.entry().await.text(), "hello");
    assert_eq!(of_carl.entry().await.text(), "hello");
}

async fn of_many_who_type_in_a_group_some_are_told_of(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let names: Vec<String> = (0..30).map(|n| format!("member{n}")).collect();
    let mut members = Vec::new();
    for name in &names {
        members.push(imd.user_with_phone(name).await);
    }
    make_group(&ann, &members.iter().collect::<Vec<_>>()).await;
    let mut feed = ann.follow("now").await;
    let began = std::time::Instant::now();
    join_all(members.iter().map(|member| member.types("group:g"))).await;
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("a few");
    members[0].say("ann", "the end").await;
    let mut typed = 0;
    while matches!(feed.event().await, Event::Signal(_)) {
        typed += 1;
    }
    assert!((10..=10 * (2 + seconds)).contains(&typed), "{typed} in {seconds} s");
    assert!(typed < 30, "all of them were told of");
}

async fn i14_who_was_removed_from_a_group_gets_no_signals(imd: Cluster) {
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let carl = imd.user_with_phone("carl").await;
    make_group(&ann, &[&bob, &carl]).await;
    let mut feed = carl.follow("now").await;
    ann.group(GroupCall::Remove("g".to_owned(), "carl".to_owned())).await.expect("removed");
    bob.types("group:g").await;
    bob.say("carl", "are you still there?").await;
    feed.entry().await;
    assert_eq!(feed.entry().await.text(), "are you still there?");
    let refused = carl.signal(&OutgoingSignal::typing("group:g", "STARTED")).await;
    assert_eq!(refused.expect_err("no member").code, "not_a_member");
}

/// The value of a counter that has this label, of the node's process.
async fn dropped(imd: &Cluster, reason: &str) -> u64 {
    let url = format!("http://{}/metrics", imd.node.admin_address());
    let metrics = reqwest::get(url).await.expect("an answer").text().await.expect("text");
    let line = format!("imd_signals_dropped_total{{reason=\"{reason}\"}} ");
    let value = metrics.lines().find_map(|metric| metric.strip_prefix(&line));
    value.map_or(0, |value| value.parse().expect("a number"))
}

#[tokio::test]
async fn i10_a_stream_that_does_not_read_goes_without_signals_and_not_without_entries() {
    let imd = Cluster::start(Transport::Grpc).await;
    let ann = imd.user_with_phone("ann").await;
    let bob = imd.user_with_phone("bob").await;
    let before = dropped(&imd, "stream").await;
    let mut events = bob.api.subscribe(&bob.token, "now").await.expect("a stream");
    let sent = OutgoingSignal::data("bob", "application/x-pointer", &[7; 1024]);
    for _ in 0..COUNT / 50 {
        let at_once = join_all((0..50).map(|_| ann.signal(&sent))).await;
        assert!(at_once.iter().all(Result::is_ok), "{at_once:?}");
    }
    ann.say("bob", "the end").await;
    let mut signals = 0;
    loop {
        match events.next().await.expect("an event").expect("no error") {
            Event::Signal(_) => signals += 1,
            Event::Entry(entry) => break assert_eq!(entry.text(), "the end"),
            _ => {}
        }
    }
    let lost = dropped(&imd, "stream").await - before;
    assert!(signals > 0 && signals < COUNT, "{signals}");
    assert!(lost >= (COUNT - signals) as u64, "{lost} of {COUNT} are counted, {signals} came");
}
