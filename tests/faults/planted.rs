//! Bugs that are planted to see that the judge of the loads finds them. Without them it finds nothing.

use std::time::Duration;

use imd::planted_bugs::PlantedBugs;

use super::{
    load::{Cast, Load},
    node::Plan,
    story::Story,
};
use crate::support::postgres::Database;

/// How many messages are acknowledged.
const MESSAGES: u64 = 400;

/// How long terminals have to catch up: those that will not need not be waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// So few users that they are in each other's way.
const FEW: usize = 4;

/// So many users that one of them misses the last entry: a terminal has it all the same when one of its
/// own node, a moment earlier, has just made it read the log.
const MANY: usize = 24;

/// Some batches take their time between their places and their entries: longer than a stream waits for
/// what is reordered.
const SLOW_INSERTS: &str = "
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF random() < 0.05 THEN PERFORM pg_sleep(0.1); END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER dawdle BEFORE INSERT ON entries FOR EACH STATEMENT EXECUTE FUNCTION dawdle()";

/// Users who write much, on two nodes.
async fn story_of(users: usize, bugs: PlantedBugs) -> Story {
    let database = Database::create().await;
    database.sql().await.batch_execute(SLOW_INSERTS).await.expect("a trigger");
    let plan = Plan { bugs: bugs.clone(), lanes: 2, ..Plan::on(database.url()) };
    let nodes = [plan.start().await, plan.start().await];
    let servers = nodes.iter().map(|node| node.public).collect();
    let cast = Cast { users, pause: 0..5, seed: 0xb065, servers };
    let user_ids = cast.user_ids();
    nodes[0].create_users(&user_ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let load = Load::start(cast).await;
    load.go_on_for(MESSAGES).await;
    let story = load.finish(database.url(), PATIENCE).await;
    println!("{bugs:?}: {story}");
    story
}

#[track_caller]
fn assert_found(story: &Story, violation: &str) {
    let found = story.wrong.iter().any(|wrong| wrong.contains(violation));
    assert!(found, "{violation:?} is not in {:#?}", story.wrong);
}

#[tokio::test]
async fn without_a_bug_nothing_is_found() {
    story_of(FEW, PlantedBugs::default()).await.assert_sound();
}

#[tokio::test]
async fn lost_hints_that_nothing_makes_up_for_are_found() {
    let bugs = PlantedBugs { lose_hints: true, never_sweep: true, ..PlantedBugs::default() };
    let story = story_of(MANY, bugs).await;
    assert_found(&story, "but the timeline reaches");
    assert_found(&story, "acknowledged, never came");
}

/// Another lane's entries become visible before those of places that were given out earlier.
#[tokio::test]
async fn seqs_that_are_given_out_in_a_transaction_of_their_own_are_found() {
    let bugs = PlantedBugs { count_outside_transaction: true, ..PlantedBugs::default() };
    let story = story_of(FEW, bugs).await;
    assert_found(&story, "never came");
}
