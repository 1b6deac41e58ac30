//! What can go wrong with a batch of messages between its first statement and its acknowledgements. It
//! stands once or not at all (I4, I7), it leaves no gap (I5), and nobody waits for long (I11).

mod outcomes;
mod waits;

use futures::{FutureExt as _, future::join_all};

use super::{
    held::{Held, waiting_for_locks},
    node::{Node, Plan},
    proxy::Proxy,
};
use crate::support::{
    api::{Outgoing, Result},
    eventually,
    postgres::Database,
    terminal::Terminal,
    types::{Entry, Sent},
    within_deadline,
};

/// What the message says that holds up a lane.
const IN_THE_WAY: &str = "in the way";

/// One node with one lane and a proxy before its database, and users on their phones.
struct Stage {
    node: Node,
    proxy: Proxy,
    database: Database,
    ann: Terminal,
    ben: Terminal,
    cem: Terminal,
}

impl Stage {
    async fn start() -> Self {
        let database = Database::create().await;
        let (proxy, url) = Proxy::before_database(database.url()).await;
        let node = Plan::on(&url).start().await;
        node.create_users(&["ann", "ben", "cem"]).await;
        let ann = node.log_in("ann", "phone").await;
        let ben = node.log_in("ben", "phone").await;
        let cem = node.log_in("cem", "phone").await;
        Self { node, proxy, database, ann, ben, cem }
    }

    /// Sends messages of Ann's and Cem's that share a batch: an earlier message holds the lane up until
    /// all are there. What happens `meanwhile` does so before they are appended.
    async fn send_together<const N: usize>(
        &self,
        messages: [(&Terminal, &Outgoing); N],
        meanwhile: impl Future<Output = ()>,
    ) -> [Result<Sent>; N] {
        let held = Held::timeline_of("ben", &self.database).await;
        let note = Outgoing::text("ben", IN_THE_WAY);
        let in_the_way = self.ben.send(&note).map(|sent| assert!(sent.is_ok(), "{sent:?}"));
        let together = async {
            waiting_for_locks(1, &self.database).await;
            let release = async {
                let waiting = async || (self.node.queued() == N).then_some(());
                eventually("all in the lane", waiting).await;
                meanwhile.await;
                held.release().await;
            };
            let sends = join_all(messages.map(|(from, message)| from.send(message)));
            tokio::join!(sends, release).0
        };
        let (sent, ()) =
            within_deadline("the sends", async { tokio::join!(together, in_the_way) }).await;
        sent.try_into().expect("one answer each")
    }
}

/// The whole timeline, which has no gaps.
async fn timeline(terminal: &Terminal) -> Vec<Entry> {
    let stretch = terminal.pull("").await.expect("a stretch");
    let seqs: Vec<_> = stretch.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=stretch.state.last_seq).collect::<Vec<_>>(), "dense");
    stretch.entries
}

/// The texts of a timeline's messages.
async fn texts(terminal: &Terminal) -> Vec<String> {
    let entries = timeline(terminal).await;
    entries.iter().filter(|e| e.as_message().is_some()).map(|e| e.text().to_owned()).collect()
}
