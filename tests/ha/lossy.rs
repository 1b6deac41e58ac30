//! Failovers to standbys that lack what was acknowledged: asynchronous replication, and a primary that
//! dies while its standby is behind. Messages are lost then, as nobody could help; but no terminal takes
//! what comes in their places for what it has seen, and no id comes to name another message (I8).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    pair::{PATIENCE, Pair},
    patroni::Patroni,
};
use crate::{
    faults::until,
    support::{
        api::{Outgoing, Transport},
        feed::Feed,
        process::DataFolder,
        terminal::Terminal,
        types::{Entry, Event},
    },
};

/// How many primaries a pair loses.
const FAILOVERS: usize = 20;

/// How many Patroni's cluster loses, where `IMD_PATRONI_FAILOVERS` does not say so: each takes Patroni ten seconds and more.
const PATRONI_FAILOVERS: usize = 2;

/// A primary with standbys that nothing waits for.
trait Asynchronous {
    /// For nodes: all servers.
    fn url(&self) -> String;

    /// Has as many standbys as at first.
    async fn add_standby(&mut self);

    /// Waits until the standbys have replayed everything.
    async fn replicated(&self);

    /// Has the standbys get nothing any more.
    async fn hold(&self);

    /// Kills the primary with all its processes, and waits until a standby has taken over.
    async fn fail_over(&mut self);
}

impl Asynchronous for Pair {
    fn url(&self) -> String {
        self.url()
    }

    async fn add_standby(&mut self) {
        self.add_standby().await;
    }

    async fn replicated(&self) {
        self.replicated().await;
    }

    async fn hold(&self) {
        self.hold().await;
    }

    async fn fail_over(&mut self) {
        self.fail_over().await;
    }
}

/// Patroni's cluster, which finds the next primary by itself.
struct Elected {
    patroni: Patroni,
    primary: usize,
    /// One that was killed and not started again yet.
    killed: Option<usize>,
}

impl Elected {
    async fn start() -> Self {
        let patroni = Patroni::start(false).await;
        let primary = patroni.primary_other_than(None).await;
        Self { patroni, primary, killed: None }
    }
}

impl Asynchronous for Elected {
    fn url(&self) -> String {
        self.patroni.url()
    }

    async fn add_standby(&mut self) {
        if let Some(killed) = self.killed.take() {
            self.patroni.start_again(killed);
        }
        self.patroni.replicated().await;
    }

    async fn replicated(&self) {
        self.patroni.replayed(self.primary).await;
    }

    async fn hold(&self) {
        self.patroni.hold_standbys(self.primary).await;
    }

    async fn fail_over(&mut self) {
        self.patroni.kill(self.primary).await;
        self.killed = Some(self.primary);
        self.primary = self.patroni.primary_other_than(self.killed).await;
    }
}

/// What a client keeps of its timeline, by the rules of the contract.
struct Replica {
    feed: Feed,
    entries: Vec<Entry>,
    resets: usize,
}

impl Replica {
    async fn of(terminal: &Terminal) -> Self {
        Self { feed: terminal.follow("").await, entries: Vec::new(), resets: 0 }
    }

    /// Reads on to this message.
    async fn read_to(&mut self, message_id: &str) {
        let reached = |entry: &Entry| {
            entry.as_message().is_some_and(|message| message.message_id == message_id)
        };
        while !self.entries.last().is_some_and(reached) {
            match self.feed.event().await {
                Event::Entry(entry) => {
                    let last = self.entries.last().map_or(0, |last| last.seq);
                    assert_eq!(entry.seq, last + 1, "an entry was passed over");
                    self.entries.push(entry);
                }
                Event::TimelineReset { .. } => {
                    self.entries.clear();
                    self.resets += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What each id has ever named.
#[derive(Default)]
struct Ids(BTreeMap<String, String>);

impl Ids {
    fn note(&mut self, message_id: &str, text: &str) {
        let known = self.0.entry(message_id.to_owned()).or_insert_with(|| text.to_owned());
        assert_eq!(known, text, "{message_id} names two messages");
    }

    fn note_all(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Some(message) = entry.as_message() {
                self.note(&message.message_id, entry.text());
            }
        }
    }
}

/// Sends until it is acknowledged; its id and seq.
async fn send(terminal: &Terminal, to: &str, text: &str) -> (String, i64) {
    let message = Outgoing::text(to, text);
    until("a message is acknowledged", PATIENCE, async || {
        terminal.send(&message).await.ok().map(|sent| (sent.message_id, sent.seq))
    })
    .await
}

/// Loses so many primaries with messages that no standby has.
async fn lose_primaries(mut cluster: impl Asynchronous, failovers: usize) {
    let folders = [DataFolder::new(), DataFolder::new()];
    let nodes =
        [folders[0].start_node(&cluster.url()).await, folders[1].start_node(&cluster.url()).await];
    nodes[0].create_users(&["ann", "bob"]).await;
    let ann = nodes[0].log_in(Transport::Grpc, "ann", "phone").await;
    let bob = nodes[1].log_in(Transport::Rest, "bob", "phone").await;
    let mut replicas = [Replica::of(&ann).await, Replica::of(&bob).await];
    let mut ids = Ids::default();
    let (mut lost, mut reused) = (0, 0);

    for round in 0..failovers {
        cluster.add_standby().await;
        let (kept, _) = send(&ann, "bob", &format!("kept {round}")).await;
        cluster.replicated().await;
        cluster.hold().await;
        let mut held = BTreeMap::new();
        for no in 0..3 {
            let text = format!("held {round}.{no}");
            let (id, seq) = send(&ann, "bob", &text).await;
            ids.note(&id, &text);
            held.insert(seq, id);
        }
        let newest = held.last_key_value().expect("three").1.clone();
        for replica in &mut replicas {
            replica.read_to(&newest).await;
            ids.note_all(&replica.entries);
        }
        let away = ann.pull("last=1").await.expect("the timeline");
        let cursor = away.entries[0].cursor.clone();

        cluster.fail_over().await;
        // Not more than were lost: what comes next stands where they stood.
        let text = format!("new {round}");
        let (new, _) = send(&ann, "bob", &text).await;
        ids.note(&new, &text);
        for (replica, terminal) in replicas.iter_mut().zip([&ann, &bob]) {
            replica.read_to(&new).await;
            ids.note_all(&replica.entries);
            let all = terminal.timeline().await;
            assert_eq!(replica.entries, all, "round {round}");
            ids.note_all(&all);
        }
        let standing: BTreeSet<_> = replicas[0]
            .entries
            .iter()
            .filter_map(Entry::as_message)
            .map(|m| &m.message_id)
            .collect();
        assert!(standing.contains(&kept), "round {round}: what the standby had is there");
        lost += held.values().filter(|id| !standing.contains(id)).count();
        let places: BTreeSet<i64> = replicas[0].entries.iter().map(|entry| entry.seq).collect();
        reused +=
            held.iter().filter(|(seq, id)| places.contains(seq) && !standing.contains(id)).count();
        let back = ann.pull(&cursor).await.expect("the timeline");
        assert!(back.timeline_reset.is_some(), "round {round}: one that was away is told");
        for id in held.values().filter(|id| !standing.contains(id)) {
            let error = ann.recall(id).await.expect_err("it is gone");
            assert_eq!(error.code, "message_not_found");
        }
    }
    let resets = replicas.map(|replica| replica.resets);
    println!(
        "{failovers} failovers: {lost} messages lost, {reused} places reused, {resets:?} resets"
    );
    assert_eq!(resets, [failovers; 2], "each is said once");
    assert!(lost >= failovers && reused >= failovers, "messages are lost: {lost}, {reused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_a_failover_that_loses_messages_is_never_passed_over() {
    lose_primaries(Pair::start().await, FAILOVERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i8_a_failover_of_patronis_that_loses_messages_is_never_passed_over() {
    let wanted = std::env::var("IMD_PATRONI_FAILOVERS").ok();
    let failovers = wanted.map_or(PATRONI_FAILOVERS, |wanted| wanted.parse().expect("a number"));
    lose_primaries(Elected::start().await, failovers).await;
}
