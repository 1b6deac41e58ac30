//! I15 under faults: nodes, PostgreSQL and the receiver die while events are told, and none is lost.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode};
use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    time::{Instant, sleep},
};
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::{
    faults::until,
    support::process::{DataFolder, Imd},
};

/// Users who send, and how many messages each.
const SENDERS: usize = 40;
const EACH: usize = 250;

/// How many messages a request sends.
const BATCH: usize = 25;

/// How often each of the two nodes that only serve is killed.
const KILLS: usize = 4;

/// How long everything may take: leases of the dead run out meanwhile.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the receiver has acknowledged, whichever of its lives it was in.
#[derive(Default)]
struct Counts {
    /// The texts of each sender, by the event's first arrival.
    first: HashMap<String, Vec<String>>,
    /// How often each event has come.
    times: BTreeMap<String, usize>,
}

/// A receiver that can be killed and started again.
struct Receiver {
    counts: Arc<Mutex<Counts>>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let mut receiver = Self { counts: Arc::default(), address, runtime: None };
        receiver.start_again().await;
        receiver
    }

    async fn start_again(&mut self) {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (counts, address) = (self.counts.clone(), self.address);
        let app = Router::new().fallback(count).with_state(counts);
        let serving = runtime.spawn(async move {
            // What its last life held is free in a moment.
            loop {
                if let Ok(listener) = TcpListener::bind(address).await {
                    break listener;
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
        let listener = serving.await.expect("a port");
        runtime.spawn(async move { axum::serve(listener, app).await });
        self.runtime = Some(runtime);
    }

    /// Ends it where it stands: some requests are counted and not answered.
    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    fn received(&self) -> usize {
        self.counts.lock().expect("no panic").times.len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn count(State(counts): State<Arc<Mutex<Counts>>>, body: Bytes) -> StatusCode {
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let mut counts = counts.lock().expect("no panic");
    for event in body["events"].as_array().expect("events") {
        let id = event["id"].as_str().expect("an id").to_owned();
        let times = counts.times.entry(id).or_default();
        *times += 1;
        if *times == 1 {
            let text = |name: &str| event["data"][name].as_str().expect("a text").to_owned();
            counts.first.entry(text("sender_id")).or_default().push(text("text"));
        }
    }
    StatusCode::NO_CONTENT
}

/// Sends what a user is to send, whichever node takes it, until all is stored.
async fn send_all(sender: usize, key: &str, nodes: &[Mutex<SocketAddr>]) {
    let http = Client::builder().timeout(Duration::from_secs(10)).build().expect("a client");
    let user = format!("user-{}", sender + 1);
    for batch in 0..EACH / BATCH {
        let messages: Vec<Value> = (0..BATCH)
            .map(|n| {
                json!({
                    "from": { "user_id": user }, "to": { "user_id": "user-1" }, "bypass": true,
                    "client_message_id": Uuid::new_v4(), "text": format!("{}", batch * BATCH + n),
                })
            })
            .collect();
        let mut turn = sender;
        loop {
            let node = *nodes[turn % nodes.len()].lock().expect("no panic");
            turn += 1;
            let url = format!("http://{node}/admin/v1/messages/batch");
            let asked = http.post(url).bearer_auth(key).json(&json!({ "messages": messages }));
            if let Ok(answer) = asked.send().await
                && let Ok(said) = answer.json::<Value>().await
                && let Some(results) = said["results"].as_array()
                && results.iter().all(|result| result["sent"].is_object())
            {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i15_ten_thousand_events_are_told_though_everything_dies() {
    let settings = "webhooks.allow_private = true
        webhooks.timeout = \"1s\"
        database.pool_size = 6
        shutdown.grace = \"1s\"";
    let folders: [DataFolder; 3] = std::array::from_fn(|_| DataFolder::new());
    for folder in &folders {
        folder.write_settings(settings);
    }
    // The first has PostgreSQL, and starts it again when that dies.
    let keeper = folders[0].start().await;
    let url = folders[0].database_url().await;
    let mut nodes: Vec<Imd> = Vec::new();
    for folder in &folders[1..] {
        nodes.push(folder.start_node(&url).await);
    }
    let sql = async || loop {
        if let Ok((client, connection)) = tokio_postgres::connect(&url, NoTls).await {
            tokio::spawn(connection);
            break client;
        }
        sleep(Duration::from_millis(50)).await;
    };
    let make = format!(
        "WITH made AS (
             INSERT INTO users (user_id) SELECT 'user-' || n FROM generate_series(1, {SENDERS}) n
             RETURNING user_no
         ) INSERT INTO timelines (owner, epoch) SELECT user_no, 1 FROM made"
    );
    sql().await.batch_execute(&make).await.expect("users");
    let mut receiver = Receiver::start().await;
    let hook = format!("http://{}/", receiver.address);
    keeper.admin().create_webhook(&hook, &["message.sent"]).await.expect("a webhook");
    let role = imd_proto::v1::Role::Backend;
    let key = keeper.admin().create_key("shop", role).await.expect("a key");

    let began = Instant::now();
    let addresses: Arc<[Mutex<SocketAddr>]> =
        [keeper.admin, nodes[0].admin, nodes[1].admin].map(Mutex::new).into();
    let stored = Arc::new(AtomicBool::new(false));
    let sending = {
        let (addresses, stored) = (addresses.clone(), stored.clone());
        tokio::spawn(async move {
            join_all((0..SENDERS).map(|sender| send_all(sender, &key, &addresses))).await;
            stored.store(true, Ordering::SeqCst);
        })
    };
    let mut kills = 0;
    for round in 0..KILLS {
        for (n, folder) in folders[1..].iter().enumerate() {
            let before = receiver.received();
            until("events are told", PATIENCE, async || {
                let done = stored.load(Ordering::SeqCst) && before == SENDERS * EACH;
                (receiver.received() > before + 100 || done).then_some(())
            })
            .await;
            nodes[n].end(Signal::SIGKILL).await;
            kills += 1;
            if n == 0 {
                receiver.kill();
            }
            if round == 1 && n == 1 {
                let postmaster = folders[0].postmaster().expect("PostgreSQL runs");
                kill(postmaster, Signal::SIGKILL).expect("it runs");
                drop(sql().await);
            }
            nodes[n] = folder.start_node(&url).await;
            *addresses[n + 1].lock().expect("no panic") = nodes[n].admin;
            if n == 0 {
                receiver.start_again().await;
            }
        }
    }
    sending.await.expect("all is stored");
    until("all are told", PATIENCE, async || (receiver.received() == SENDERS * EACH).then_some(()))
        .await;

    let sql = sql().await;
    let stood = "SELECT u.user_id, array_agg(convert_from(e.body, 'UTF8') ORDER BY e.seq)
        FROM entries e JOIN users u ON u.user_no = e.owner
        WHERE e.kind = 1 AND e.sender = e.owner GROUP BY u.user_id";
    let rows = sql.query(stood, &[]).await.expect("what is stored");
    let counts = receiver.counts.lock().expect("no panic");
    assert_eq!(rows.len(), SENDERS);
    for row in rows {
        let (user_id, due): (String, Vec<String>) = (row.get(0), row.get(1));
        assert_eq!(due.len(), EACH);
        assert_eq!(counts.first[&user_id], due, "{user_id}: in the order of its timeline");
    }
    let doubles: usize = counts.times.values().map(|times| times - 1).sum();
    println!(
        "{} events through {kills} kills of nodes, {KILLS} of the receiver and one of PostgreSQL in {:.1?}: lost 0, out of order 0, doubles {doubles}",
        counts.times.len(),
        began.elapsed(),
    );
}
