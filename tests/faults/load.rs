//! Users who write to each other, whatever breaks under them.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use fastrand::Rng;
use futures::future::join_all;
use imd_client::{
    Connection, FLOOR, SendError, Terminal,
    history::{History, Marks, User},
    proto::{
        self, LoginRequest, SendRequest,
        login_request::Credential,
        send_request::{Content, To},
    },
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::{follower::Follower, story::Story};
use crate::support::cluster::PASSWORD;

/// How long a message may take to be acknowledged; longer than anything is broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// The terminals of each user. The first of them writes.
const TERMINALS: [&str; 2] = ["phone", "pc"];

/// The size of a message, in bytes.
const SIZE: usize = 100;

/// Who writes, and how.
pub(crate) struct Cast {
    pub(crate) users: usize,
    /// How long each pauses between two messages, in milliseconds.
    pub(crate) pause: Range<u64>,
    /// Draws recipients and pauses.
    pub(crate) seed: u64,
    /// Neighbours begin with different ones of them.
    pub(crate) servers: Vec<SocketAddr>,
}

impl Cast {
    pub(crate) fn user_ids(&self) -> Vec<String> {
        (0..self.users).map(|no| format!("user-{no}")).collect()
    }

    /// Logs in the terminals of a user, each beginning with another server.
    async fn log_in(&self, no: usize) -> [Terminal; 2] {
        let terminal = async |place: usize| {
            let mut servers = self.servers.clone();
            servers.rotate_left((no + place) % self.servers.len());
            let url = |server: &SocketAddr| format!("http://{server}").parse().expect("a URL");
            let servers: Vec<_> = servers.iter().map(url).collect();
            let request = LoginRequest {
                user_id: self.user_ids()[no].clone(),
                credential: Some(Credential::Password(PASSWORD.to_owned())),
                terminal: Some(proto::Terminal {
                    r#type: TERMINALS[place].to_owned(),
                    device_id: Uuid::new_v4().to_string(),
                    device_name: TERMINALS[place].to_owned(),
                }),
                ..LoginRequest::default()
            };
            let began = Instant::now();
            loop {
                let connection = Connection::new(&servers).expect("servers");
                match Terminal::login(connection, request.clone()).await {
                    Ok(terminal) => return terminal,
                    // Many log in at once: as told, a moment later.
                    Err(imd_client::Error::Answer(answer)) if answer.code == "overloaded" => {
                        sleep(answer.retry_after.unwrap_or_default()).await;
                    }
                    // On a machine that is busy with other tests; the device takes its own place again.
                    Err(imd_client::Error::Timeout) if began.elapsed() < PATIENCE => {}
                    Err(error) => panic!("a session: {error:?}"),
                }
            }
        };
        [terminal(0).await, terminal(1).await]
    }
}

/// A load that runs.
pub(crate) struct Load {
    shared: Arc<Shared>,
    writers: JoinSet<Result<Written, SendError>>,
    /// With the places of their users.
    followers: Vec<(usize, Follower)>,
}

/// What all writers share.
struct Shared {
    history: Mutex<History>,
    marks: Marks,
    users: Vec<(User, String)>,
    acknowledged: watch::Sender<u64>,
    /// When the last acknowledgement came, and the longest time between two of them.
    silence: Mutex<(Instant, Duration)>,
    stop: watch::Sender<bool>,
}

impl Shared {
    fn silence(&self) -> MutexGuard<'_, (Instant, Duration)> {
        self.silence.lock().expect("nobody panics with it")
    }

    /// Notes an acknowledgement.
    fn acknowledge(&self) {
        let mut silence = self.silence();
        let (last, longest) = *silence;
        let now = Instant::now();
        *silence = (now, longest.max(now - last));
        drop(silence);
        self.acknowledged.send_modify(|count| *count += 1);
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("nobody panics with it")
    }
}

/// What a writer did.
#[derive(Default)]
struct Written {
    sent: u64,
    attempts: u64,
    /// The longest that an acknowledgement took.
    slowest: Duration,
}

impl Load {
    /// Logs users in that are there, and lets them begin.
    pub(crate) async fn start(cast: Cast) -> Self {
        let terminals = join_all((0..cast.users).map(|no| cast.log_in(no))).await;
        let mut history = History::default();
        let users = cast.user_ids().into_iter().map(|id| (history.user(&id), id)).collect();
        let shared = Arc::new(Shared {
            history: Mutex::new(history),
            marks: Marks::new(u32::try_from(cast.seed).unwrap_or(u32::MAX), SIZE),
            users,
            acknowledged: watch::Sender::new(0),
            silence: Mutex::new((Instant::now(), Duration::ZERO)),
            stop: watch::Sender::new(false),
        });
        let mut load = Self { shared, writers: JoinSet::new(), followers: Vec::new() };
        for (no, of_user) in terminals.iter().enumerate() {
            for (terminal, name) in of_user.iter().zip(TERMINALS) {
                load.followers.push((no, load.shared.follower(terminal, no, name)));
            }
        }
        let mut rng = Rng::with_seed(cast.seed);
        for (no, [phone, _]) in terminals.into_iter().enumerate() {
            let shared = load.shared.clone();
            load.writers.spawn(shared.write(phone, no, rng.fork(), cast.pause.clone()));
        }
        load
    }

    /// Waits until so many `more` messages have been acknowledged.
    pub(crate) async fn go_on_for(&self, more: u64) {
        let mut acknowledged = self.shared.acknowledged.subscribe();
        let wanted = *acknowledged.borrow() + more;
        let reached = timeout(PATIENCE, acknowledged.wait_for(|count| *count >= wanted)).await;
        assert!(reached.is_ok(), "no {more} messages within {PATIENCE:?}");
    }

    /// How many messages have been acknowledged.
    pub(crate) fn acknowledged(&self) -> watch::Receiver<u64> {
        self.shared.acknowledged.subscribe()
    }

    /// Lets the writers finish and, for `patience` at most, the followers catch up.
    pub(crate) async fn finish(mut self, database_url: &str, patience: Duration) -> Story {
        let mut story = Story::default();
        self.shared.stop.send_replace(true);
        while let Some(written) = self.writers.join_next().await {
            match written.expect("no panic") {
                Ok(written) => {
                    story.sent += written.sent;
                    story.resent += written.attempts - written.sent;
                    story.slowest = story.slowest.max(written.slowest);
                }
                Err(given_up) => story.wrong.push(format!("given up: {given_up:?}")),
            }
        }
        story.silence = self.shared.silence().1;
        let ends = ends(database_url).await;
        let give_up = Instant::now() + patience;
        let mut history = std::mem::take(&mut *self.shared.history());
        for (no, follower) in self.followers {
            let end = ends.iter().find(|(user_id, _)| *user_id == self.shared.users[no].1);
            let followed = follower.finish(end.expect("a timeline").1, give_up).await;
            story.delivered += followed.delivered;
            story.reconnects += followed.streams.saturating_sub(1);
            story.repeated += followed.repeated;
            story.wrong.extend(followed.failure);
            history.add(followed.sightings);
        }
        story.wrong.extend(history.check().iter().map(ToString::to_string));
        story
    }
}

impl Shared {
    fn follower(&self, terminal: &Terminal, no: usize, name: &str) -> Follower {
        let sightings = self.history().terminal(self.users[no].0, name, 0);
        Follower::start(terminal.follow(FLOOR), sightings, self.marks.clone())
    }

    /// Writes to users drawn at random, oneself among them, until told to stop.
    async fn write(
        self: Arc<Self>,
        phone: Terminal,
        no: usize,
        mut rng: Rng,
        pause: Range<u64>,
    ) -> Result<Written, SendError> {
        let mut written = Written::default();
        while !*self.stop.borrow() {
            let (recipient, recipient_id) = &self.users[rng.usize(..self.users.len())];
            let number = self.history().intend(self.users[no].0, *recipient);
            let request = SendRequest {
                to: Some(To::UserId(recipient_id.clone())),
                client_message_id: Uuid::new_v4().to_string(),
                content: Some(Content::Text(self.marks.body(number))),
                ..Default::default()
            };
            let began = Instant::now();
            let sent = phone.send(request, PATIENCE).await.inspect_err(|given_up| {
                if !given_up.outcome_unknown {
                    self.history().refused(number);
                }
            })?;
            self.history().acked(number, &sent.response.message_id, sent.response.seq);
            written.sent += 1;
            written.attempts += u64::from(sent.attempts);
            written.slowest = written.slowest.max(began.elapsed());
            self.acknowledge();
            sleep(Duration::from_millis(rng.u64(pause.clone()))).await;
        }
        Ok(written)
    }
}

/// How far each user's timeline reaches, according to the database.
async fn ends(database_url: &str) -> Vec<(String, i64)> {
    let (sql, connection) = tokio_postgres::connect(database_url, NoTls).await.expect("a database");
    let ends = "SELECT user_id, last_seq FROM timelines JOIN users ON user_no = owner";
    let query = async {
        let rows = sql.query(ends, &[]).await.expect("the tables");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    };
    tokio::select! {
        ends = query => ends,
        ended = connection => panic!("the database is gone: {ended:?}"),
    }
}
