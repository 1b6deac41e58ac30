//! A bus that goes away and comes back.

use imd::planted_bugs::PlantedBugs;

use super::{
    LOST_HINT, Stage,
    bus::{Bus, on_both_buses},
    never_sweeps,
};
use crate::{
    faults::proxy::{Proxy, Target},
    support::nats::Nats,
};

on_both_buses! {

async fn a_bus_that_is_down_delays_deliveries_by_three_seconds_at_most(bus: Bus) {
    let mut stage = Stage::start(bus).await;
    let mut feed = stage.ben.follow("now").await;
    stage.bus.go_down(&stage.database).await;
    for text in ["one", "two"] {
        let delay = stage.delay(&mut feed, text).await;
        assert!(delay < LOST_HINT, "{text}: {delay:?}");
    }
}

/// The far node never sweeps: the hints do it again.
async fn a_bus_that_is_back_is_used_again(bus: Bus) {
    let mut stage = Stage::start_with(bus, PlantedBugs::default(), never_sweeps()).await;
    let mut feed = stage.ben.follow("now").await;
    stage.bus.go_down(&stage.database).await;
    let sent = vec![stage.ann.say("ben", "while it is down").await];
    stage.bus.come_back().await;
    stage.hints_get_through(&mut feed, sent).await;
}

/// In a cluster where each message makes for a hundred hints.
async fn a_long_outage_of_the_bus_does_not_make_it_worse(bus: Bus) {
    const MESSAGES: usize = 40;
    let mut stage = Stage::start(bus).await;
    let mut feed = stage.ben.follow("now").await;
    let streams = "INSERT INTO login_points (user_no, session_id, node_no, stream_no)
        SELECT $1, gen_random_uuid(), 1000 + no, 1 FROM generate_series(1, 100) no";
    let added = stage.database.sql().await.execute(streams, &[&stage.user_no("ben").await]).await;
    assert_eq!(added.expect("a table"), 100);
    stage.bus.go_down(&stage.database).await;
    for no in 0..MESSAGES {
        stage.ann.say("ben", &no.to_string()).await;
    }
    feed.entries(MESSAGES).await;
    for text in ["one", "two"] {
        let delay = stage.delay(&mut feed, text).await;
        assert!(delay < LOST_HINT, "{text}: {delay:?}");
    }
}

/// Neither a hint nor a number tells of the entry: the far node finds it because it listens anew.
async fn listening_again_makes_up_for_what_was_missed(bus: Bus) {
    let mut stage = Stage::start(bus).await;
    let mut feed = stage.ben.follow("now").await;
    stage.delay(&mut feed, "said").await;
    stage.append_silently().await;
    stage.bus.go_down(&stage.database).await;
    stage.bus.come_back().await;
    assert_eq!(feed.entry().await.text(), "said");
}

}

/// The far node never sweeps: the hints do it as soon as they can.
#[tokio::test]
async fn nodes_start_without_their_bus() {
    let mut nats = Nats::start().await;
    nats.kill().await;
    let bus = Bus::Nats(Box::new(nats));
    let mut stage = Stage::start_with(bus, PlantedBugs::default(), never_sweeps()).await;
    let mut feed = stage.ben.follow("now").await;
    stage.bus.come_back().await;
    stage.hints_get_through(&mut feed, Vec::new()).await;
}

/// Connections stand and nothing passes, so nobody learns that the bus is away.
#[tokio::test]
async fn a_bus_that_falls_silent_delays_deliveries_by_three_seconds_at_most() {
    let nats = Nats::start().await;
    let proxy = Proxy::start(Target::Tcp(nats.address())).await;
    let url = format!("nats://{}", proxy.address());
    let (bus, none) = (Bus::Nats(Box::new(nats)), PlantedBugs::default());
    let stage = Stage::start_through(Some(url), bus, none.clone(), none).await;
    let mut feed = stage.ben.follow("now").await;
    stage.delay(&mut feed, "before").await;
    proxy.silence();
    for text in ["one", "two"] {
        let delay = stage.delay(&mut feed, text).await;
        assert!(delay < LOST_HINT, "{text}: {delay:?}");
    }
}
