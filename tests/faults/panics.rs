//! Tasks of a node that panic. The node says so, and goes on: nothing that was acknowledged is lost,
//! nothing comes twice, and no stream ends.

use std::time::Duration;

use imd::planted_bugs::PlantedBugs;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    load::{Cast, Load},
    node::{Node, Plan},
    until,
};
use crate::support::{
    api::{GroupCall, Outgoing},
    feed::Feed,
    postgres::Database,
    process::DataFolder,
};

/// The tasks without which a node cannot do its work.
const ESSENTIAL: [&str; 14] = [
    "append_lane_0",
    "append_lane_1",
    "hand_over_0",
    "hand_over_1",
    "hint_sender",
    "bus_listener",
    "fetcher",
    "heartbeat",
    "sweep",
    "login_point_remover",
    "cursors",
    "fan_out_0",
    "fan_out_1",
    "fan_out_sweep",
];

/// The tasks without which it works for a while.
const BACKGROUND: [&str; 2] = ["jobs", "health_reporter"];

/// The points at which a panic leaves most undone.
const POINTS: [&str; 4] =
    ["append_lane/gathered", "append_lane/committed", "hand_over/handed_over", "hint_sender/tell"];

/// How many messages are acknowledged between two panics.
const CALM: u64 = 50;

/// How long terminals may take to catch up: less than the sweep of each minute would need.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a task may take to be named, or to work again.
const SOON: Duration = Duration::from_secs(10);

/// Two nodes for users who write much.
struct Stage {
    near: Node,
    far: Node,
    bugs: PlantedBugs,
    database: Database,
}

impl Stage {
    /// With bugs in the near node.
    async fn start() -> Self {
        Self::start_with(PlantedBugs::default(), PlantedBugs::default()).await
    }

    async fn start_with(of_near: PlantedBugs, of_far: PlantedBugs) -> Self {
        let database = Database::create().await;
        let plan = Plan { lanes: 2, ..Plan::on(database.url()) };
        let near = Plan { bugs: of_near.clone(), ..plan.clone() }.start().await;
        let far = Plan { bugs: of_far, ..plan }.start().await;
        Self { near, far, bugs: of_near, database }
    }

    async fn load(&self) -> Load {
        let servers = vec![self.near.public, self.far.public];
        let cast = Cast { users: 8, pause: 0..20, seed: 0x9a41c, servers };
        let user_ids = cast.user_ids();
        self.near.create_users(&user_ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        Load::start(cast).await
    }

    async fn finish(&self, load: Load) {
        load.go_on_for(CALM).await;
        let story = load.finish(self.database.url(), PATIENCE).await;
        println!("{story}");
        story.assert_sound();
        assert_eq!(self.bugs.panics.left(), 0, "panics that never came");
    }

    /// What `/readyz` says: none when the node can do its work.
    async fn unready(&self) -> Option<String> {
        let url = format!("http://{}/readyz", self.near.public);
        let answer = reqwest::get(url).await.expect("an answer");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        if status == StatusCode::OK {
            return None;
        }
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"unavailable".into())
        );
        Some(body["detail"].as_str().expect("a sentence").to_owned())
    }

    async fn is_named(&self, task: &str) {
        until("the task is named", SOON, async || {
            self.unready().await.filter(|detail| detail.contains(task)).map(drop)
        })
        .await;
    }

    async fn is_ready(&self) {
        until("the node is ready", SOON, async || self.unready().await.is_none().then_some(()))
            .await;
    }

    /// How often a task has panicked, in this process.
    async fn panics_of(&self, task: &str) -> u64 {
        let url = format!("http://{}/metrics", self.near.admin);
        let metrics = reqwest::get(url).await.expect("metrics").text().await.expect("a text");
        let line = format!("imd_task_panics_total{{task=\"{task}\"}} ");
        let count = metrics.lines().find_map(|text| text.strip_prefix(&line));
        count.map_or(0, |count| count.parse().expect("a count"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_panics_is_named_counted_and_started_again() {
    let stage = Stage::start().await;
    let load = stage.load().await;
    for task in ESSENTIAL {
        stage.is_ready().await;
        let before = stage.panics_of(task).await;
        stage.bugs.panics.plant(task, 1);
        stage.is_named(task).await;
        assert!(stage.panics_of(task).await > before, "{task} is not counted");
        load.go_on_for(CALM).await;
    }
    stage.is_ready().await;
    stage.finish(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_can_wait_does_not_keep_a_node_from_serving() {
    let stage = Stage::start().await;
    for task in BACKGROUND {
        let before = stage.panics_of(task).await;
        stage.bugs.panics.plant(task, 1);
        let counted = async || (stage.panics_of(task).await > before).then_some(());
        until("it panics", SOON, counted).await;
        assert_eq!(stage.unready().await, None, "{task}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_in_the_middle_of_a_batch_lose_and_double_nothing() {
    // Users whose sends fail go to the other node, so either must be able to.
    let bugs = PlantedBugs::default();
    let stage = Stage::start_with(bugs.clone(), bugs).await;
    let load = stage.load().await;
    for point in POINTS.repeat(3) {
        stage.bugs.panics.plant(point, 1);
        let come = async || (stage.bugs.panics.left() == 0).then_some(());
        until("it panics", SOON, come).await;
        load.go_on_for(CALM).await;
    }
    stage.finish(load).await;
}

/// Its sender does not know what became of it, and those who get it do not wait until it is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_lane_panics_behind_the_commit_is_delivered_and_can_be_sent_again() {
    let stage = Stage::start().await;
    stage.near.create_users(&["ann", "ben"]).await;
    let ann = stage.near.log_in("ann", "phone").await;
    let (near, far) =
        (stage.near.log_in("ben", "phone").await, stage.far.log_in("ben", "pc").await);
    let mut feeds = [near.follow("now").await, far.follow("now").await];

    stage.bugs.panics.plant("append_lane/committed", 1);
    let message = Outgoing::text("ben", "is it there?");
    let failure = ann.send(&message).await.expect_err("nobody knows");
    assert_eq!(failure.code, "unavailable");
    assert!(failure.message.contains("send it again"), "{failure:?}");
    stage.is_named("append_lane").await;
    let mut arrived = Vec::new();
    for feed in &mut feeds {
        arrived.push(feed.entry().await.message().message_id.clone());
    }

    let sent = ann.send(&message).await.expect("an acknowledgement");
    assert!(sent.duplicate);
    assert_eq!(arrived, [sent.message_id.clone(), sent.message_id]);
    let next = ann.say("ben", "once").await;
    for feed in &mut feeds {
        assert_eq!(feed.entry().await.message().message_id, next.message_id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_hand_over_panics_is_acknowledged_and_delivered() {
    let stage = Stage::start().await;
    stage.near.create_users(&["ann", "ben"]).await;
    let ann = stage.near.log_in("ann", "phone").await;
    let (near, far) =
        (stage.near.log_in("ben", "phone").await, stage.far.log_in("ben", "pc").await);
    let mut feeds = [near.follow("now").await, far.follow("now").await];

    stage.bugs.panics.plant("hand_over/handed_over", 1);
    let first = ann.say("ben", "first").await;
    assert!(!first.duplicate);
    let second = ann.say("ben", "second").await;
    for feed in &mut feeds {
        for sent in [&first, &second] {
            assert_eq!(feed.entry().await.message().message_id, sent.message_id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_fan_out_panics_reaches_every_member_once() {
    const ROUNDS: usize = 5;
    let stage = Stage::start().await;
    stage.near.create_users(&["ann", "ben"]).await;
    let ann = stage.near.log_in("ann", "phone").await;
    let group = json!({ "group_id": "oslo", "name": "Oslo", "member_ids": ["ben"] });
    ann.group(GroupCall::Create(group)).await.expect("a group");
    let (near, far) =
        (stage.near.log_in("ben", "phone").await, stage.far.log_in("ben", "pc").await);
    let mut feeds = [near.follow("").await, far.follow("").await];
    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        stage.bugs.panics.plant("fan_out/committed", 1);
        let message = ann.say("group:oslo", &format!("message {round}")).await;
        // Of the two workers, whichever was at it.
        stage.is_named("fan_out_").await;
        for feed in &mut feeds {
            assert_eq!(next_message(feed).await, message.message_id, "round {round}");
        }
        sent.push(message.message_id);
        stage.is_ready().await;
    }
    assert_eq!(stage.bugs.panics.left(), 0, "panics that never came");
    let page = near.history("group:oslo", 0, "").await.expect("a page");
    let stored: Vec<_> =
        page.entries.iter().rev().map(|e| e.message().message_id.clone()).collect();
    assert_eq!(stored, sent, "each once");
}

/// The id of the next message that a feed brings.
async fn next_message(feed: &mut Feed) -> String {
    loop {
        if let Some(message) = feed.entry().await.as_message() {
            return message.message_id.clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_always_panics_is_given_up() {
    let stage = Stage::start().await;
    stage.bugs.panics.plant("heartbeat", 100);
    let given_up = until("it is given up", 3 * SOON, async || {
        tokio::time::timeout(Duration::from_millis(1), stage.near.given_up()).await.ok()
    });
    assert_eq!(given_up.await, "heartbeat");
    assert!(stage.unready().await.expect("it is not ready").contains("heartbeat"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imd_ends_with_an_error_that_names_the_task_it_cannot_keep_running() {
    let database = Database::create().await;
    let folder = DataFolder::new();
    let panics = ("PLANTED_PANICS", "public_listener=1");
    let mut imd = folder.start_with(&[("IMD_DATABASE_URL", database.url()), panics]).await;
    let status = imd.ended().await;
    assert_eq!(status.code(), Some(1), "{}", imd.log());
    assert!(imd.log().contains("error: the task public_listener of this node"), "{}", imd.log());
}
