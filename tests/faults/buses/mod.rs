//! Hints across nodes (I9): whatever happens to them, a delivery is late by seconds at most. What these
//! tests ask of one bus they ask of the other.

mod bus;
mod deaths;
mod hints;
mod login_points;
mod outages;

use std::time::Duration;

use imd::planted_bugs::PlantedBugs;
use tokio::time::{Instant, timeout};

use self::bus::Bus;
use super::{
    node::{Node, Plan},
    until,
};
use crate::support::{feed::Feed, postgres::Database, terminal::Terminal, types::Sent};

/// How long a lost hint may delay a delivery, and a second more for a busy machine.
const LOST_HINT: Duration = Duration::from_secs(4);

/// How long a node can be silent before it counts as dead, and what the others need to see it.
const DEAD_NODE: Duration = Duration::from_secs(13);

/// Loses every hint that it sends.
fn loses_hints() -> PlantedBugs {
    PlantedBugs { lose_hints: true, ..PlantedBugs::default() }
}

/// Learns by hints alone.
fn never_sweeps() -> PlantedBugs {
    PlantedBugs { never_sweep: true, ..PlantedBugs::default() }
}

/// Ann, who sends from the near node, and Ben, whose stream is at the far one.
struct Stage {
    // In the order in which they are to end.
    near: Node,
    far: Node,
    ann: Terminal,
    ben: Terminal,
    bus: Bus,
    database: Database,
}

impl Stage {
    async fn start(bus: Bus) -> Self {
        Self::start_with(bus, PlantedBugs::default(), PlantedBugs::default()).await
    }

    async fn start_with(bus: Bus, of_near: PlantedBugs, of_far: PlantedBugs) -> Self {
        let bus_url = bus.url();
        Self::start_through(bus_url, bus, of_near, of_far).await
    }

    /// With nodes that reach the bus by another way.
    async fn start_through(
        bus_url: Option<String>,
        bus: Bus,
        of_near: PlantedBugs,
        of_far: PlantedBugs,
    ) -> Self {
        let database = Database::create().await;
        let plan = Plan { bus_url, ..Plan::on(database.url()) };
        let near = Plan { bugs: of_near, ..plan.clone() }.start().await;
        let far = Plan { bugs: of_far, ..plan }.start().await;
        near.create_users(&["ann", "ben"]).await;
        let ann = near.log_in("ann", "phone").await;
        let ben = far.log_in("ben", "phone").await;
        Self { near, far, ann, ben, bus, database }
    }

    /// The numbers of the nodes in the order of their start.
    async fn node_nos(&self) -> Vec<i64> {
        let rows = self.database.sql().await;
        let rows = rows.query("SELECT node_no FROM nodes ORDER BY node_no", &[]).await;
        rows.expect("a table").iter().map(|row| row.get(0)).collect()
    }

    async fn user_no(&self, user_id: &str) -> i64 {
        let sql = self.database.sql().await;
        let row = sql.query_one("SELECT user_no FROM users WHERE user_id = $1", &[&user_id]).await;
        row.expect("a user").get(0)
    }

    /// Sends Ben a message; how long it takes to him from its acknowledgement on.
    async fn delay(&self, feed: &mut Feed, text: &str) -> Duration {
        let sent = self.ann.say("ben", text).await;
        let acknowledged = Instant::now();
        assert_eq!(feed.entry().await.message().message_id, sent.message_id);
        acknowledged.elapsed()
    }

    /// Has Ann write to Ben until a hint gets through, for a far node that never sweeps. `sent` is what
    /// he has not got yet.
    async fn hints_get_through(&self, feed: &mut Feed, mut sent: Vec<Sent>) {
        let first = until("a hint gets through", DEAD_NODE, async || {
            sent.push(self.ann.say("ben", "does it get through?").await);
            timeout(Duration::from_millis(200), feed.entry()).await.ok()
        })
        .await;
        let mut arrived = vec![first];
        arrived.extend(feed.entries(sent.len() - 1).await);
        let arrived: Vec<_> = arrived.iter().map(|entry| &entry.message().message_id).collect();
        assert_eq!(arrived, sent.iter().map(|sent| &sent.message_id).collect::<Vec<_>>());
    }

    /// Appends to Ben's timeline what no node has said a word about: his last message again.
    async fn append_silently(&self) {
        let append = "
            WITH place AS (
                UPDATE timelines SET last_seq = last_seq + 1, last_message_no = last_message_no + 1
                WHERE owner = $1 RETURNING *
            )
            INSERT INTO entries (owner, seq, conversation, sender, home_seq, message_no,
                appended_at, kind, body)
            SELECT owner, place.last_seq, conversation, sender, home_seq, place.last_message_no,
                place.last_at, kind, body
            FROM place JOIN entries e USING (owner)
            WHERE e.seq = place.last_seq - 1";
        let sql = self.database.sql().await;
        let appended = sql.execute(append, &[&self.user_no("ben").await]).await;
        assert_eq!(appended.expect("a statement of this schema"), 1);
    }
}
