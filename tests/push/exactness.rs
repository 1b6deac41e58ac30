//! Many users with three terminals each, which come, go, read, mute and log out, on three nodes of which two
//! are killed one after the other. Whoever was told lagged, and whoever lags was told (I16).

use std::{
    collections::HashMap,
    fs,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use futures::{StreamExt, stream};
use imd_client::{Connection, Event, FLOOR, Terminal, proto};
use nix::sys::signal::Signal;
use proto::{
    LoginRequest, MarkReadRequest, SendRequest, SetPushRequest, UpdateConversationRequest,
    entry::Kind,
    login_request::Credential,
    message::Content,
    message_service_client::MessageServiceClient,
    push_service_client::PushServiceClient,
    send_request::{self, To},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{KEY, provider::Provider};
use crate::{
    faults::until,
    support::{
        cluster::PASSWORD,
        postgres::Database,
        process::{DataFolder, Imd},
    },
};

const USERS: usize = 200;

/// The terminals of each. The last of them logs out now and then.
const TERMINALS: [&str; 3] = ["phone", "pc", "pad"];

/// How many users each writes to: those behind it.
const PEERS: usize = 5;

/// How long they are at it.
const BUSY: Duration = Duration::from_secs(18);

/// How long each pauses between two things, in milliseconds.
const PAUSE: Range<u64> = 100..900;

/// How long nothing comes before a terminal says how far it has got.
const ACKNOWLEDGED: Duration = Duration::from_millis(100);

/// How long the judge lets a notification be under way, shorter than [`DELAY`]: machines are busy.
const UNDER_WAY: Duration = Duration::from_secs(4);

/// How often this process looks whether it was kept from running.
const TICK: Duration = Duration::from_millis(50);

/// How long after a message terminals are told.
const DELAY: &str = "5s";

/// How long a node may keep to itself how far a terminal has got.
const UNWRITTEN: Duration = Duration::from_secs(5);

/// How long all may take to be told in the end: a dead node holds its streams' places for ten seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// What one terminal saw.
#[derive(Default)]
struct Seen {
    /// The messages that it got, by number.
    got: HashMap<u64, Got>,
    /// When its streams were opened.
    opened: Vec<Instant>,
    online: bool,
    logged_out: Option<Instant>,
}

/// A message that a terminal got.
struct Got {
    /// In its timeline.
    seq: i64,
    /// Since when the server has known, if it does.
    known: Option<Instant>,
}

impl Seen {
    /// The server has been told of all that came until now.
    fn is_known(&mut self) {
        let now = Instant::now();
        for got in self.got.values_mut() {
            got.known.get_or_insert(now);
        }
    }
}

/// Something that a user asked for, and when it was answered, if it was.
struct Asked {
    peer: usize,
    asked: Instant,
    answered: Option<Instant>,
}

/// What one user did.
#[derive(Default)]
struct Did {
    /// With the numbers of the messages.
    reads: Vec<(Asked, u64)>,
    /// With when they were taken back, each.
    mutes: Vec<(Asked, Option<Asked>)>,
}

struct Message {
    from: usize,
    to: usize,
    acknowledged: Instant,
}

/// What a terminal was told.
struct Told {
    user: usize,
    terminal: usize,
    number: u64,
    at: Instant,
}

#[derive(Default)]
struct World {
    seen: Vec<[Mutex<Seen>; 3]>,
    did: Vec<Mutex<Did>>,
    sent: Mutex<HashMap<u64, Message>>,
    numbers: AtomicU64,
    kills: Mutex<Vec<Instant>>,
    /// When nothing ran here for a while, and how long: what the others do waits as well then.
    stalls: Mutex<Vec<(Instant, Duration)>>,
}

/// A stream that a terminal has open; ends with its cursor.
struct Following {
    stop: oneshot::Sender<()>,
    task: JoinHandle<String>,
}

/// A user's terminals.
struct User {
    no: usize,
    terminals: [Terminal; 3],
    following: [Option<Following>; 3],
    cursors: [String; 3],
    rng: Rng,
}

fn name(user: usize) -> String {
    format!("user-{user}")
}

fn conversation(peer: usize) -> String {
    format!("user:{}", name(peer))
}

impl World {
    fn new() -> Self {
        Self {
            seen: (0..USERS).map(|_| Default::default()).collect(),
            did: (0..USERS).map(|_| Mutex::default()).collect(),
            ..Self::default()
        }
    }

    /// Notes for ever how long this process is kept from running.
    async fn watch_for_stalls(self: Arc<Self>) {
        loop {
            let before = Instant::now();
            sleep(TICK).await;
            let late = before.elapsed().saturating_sub(2 * TICK);
            if !late.is_zero() {
                self.stalls.lock().expect("no panic").push((Instant::now(), late));
            }
        }
    }

    /// Whether it was `then`, for certain, when what came `at` that moment was sent off.
    fn stood(&self, then: Instant, at: Instant) -> bool {
        let stalls = self.stalls.lock().expect("no panic");
        let between = stalls.iter().filter(|(end, _)| (then..=at).contains(end));
        let stalled: Duration = between.map(|(_, late)| *late).sum();
        then + UNDER_WAY + stalled < at
    }

    fn follow(
        self: &Arc<Self>,
        user: usize,
        place: usize,
        of: &Terminal,
        after: &str,
    ) -> Following {
        let (world, mut timeline) = (self.clone(), of.follow(after).acknowledging());
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let seen = &world.seen[user][place];
            let mut behind = false;
            loop {
                let event = tokio::select! {
                    biased;
                    _ = &mut stopped => break,
                    event = timeline.next() => event,
                    () = sleep(ACKNOWLEDGED), if behind => {
                        behind = timeline.acknowledge().await.is_err();
                        if !behind {
                            seen.lock().expect("no panic").is_known();
                        }
                        continue;
                    }
                };
                let Ok(event) = event else { break };
                match event {
                    Event::Opened(_) => {
                        let mut seen = seen.lock().expect("no panic");
                        seen.opened.push(Instant::now());
                        // By the cursor that it was opened with.
                        seen.is_known();
                    }
                    Event::Entry(entry) => {
                        let Some(Kind::Message(message)) = entry.kind else { continue };
                        let Some(Content::Text(text)) = message.content else { continue };
                        let number = text.parse().expect("a number");
                        let got = Got { seq: entry.seq, known: None };
                        seen.lock().expect("no panic").got.insert(number, got);
                        behind = true;
                    }
                    other => panic!("{other:?}"),
                }
            }
            // Not when its node has just been killed: then it is told again.
            if timeline.acknowledge().await.is_ok() {
                seen.lock().expect("no panic").is_known();
            }
            timeline.cursor().to_owned()
        });
        Following { stop, task }
    }
}

impl User {
    async fn log_in(no: usize, servers: &[http::Uri], seed: u64) -> Self {
        let log_in = async |place: usize| {
            let mut servers = servers.to_vec();
            let count = servers.len();
            servers.rotate_left((no + place) % count);
            let request = LoginRequest {
                user_id: name(no),
                credential: Some(Credential::Password(PASSWORD.to_owned())),
                terminal: Some(proto::Terminal {
                    r#type: TERMINALS[place].to_owned(),
                    device_id: Uuid::new_v4().to_string(),
                    device_name: TERMINALS[place].to_owned(),
                }),
                ..LoginRequest::default()
            };
            loop {
                let connection = Connection::new(&servers).expect("servers");
                match Terminal::login(connection, request.clone()).await {
                    Ok(terminal) => break terminal,
                    // Many log in at once: as told, a moment later.
                    Err(imd_client::Error::Answer(answer)) if answer.code == "overloaded" => {
                        sleep(answer.retry_after.unwrap_or_default()).await;
                    }
                    Err(error) => panic!("a session: {error:?}"),
                }
            }
        };
        let terminals = [log_in(0).await, log_in(1).await, log_in(2).await];
        for (place, terminal) in terminals.iter().enumerate() {
            let mut push = PushServiceClient::new(terminal.channel().await.expect("a channel"));
            let token = format!("{no}/{place}");
            let request = SetPushRequest {
                provider: "webhook".to_owned(),
                token,
                ..SetPushRequest::default()
            };
            push.set_push(request).await.expect("it is bound");
        }
        Self {
            no,
            terminals,
            following: [const { None }; 3],
            cursors: [FLOOR; 3].map(str::to_owned),
            rng: Rng::with_seed(seed),
        }
    }

    async fn live(mut self, world: Arc<World>) -> Self {
        let ends = Instant::now() + BUSY;
        while Instant::now() < ends {
            match self.rng.u8(..100) {
                0..45 => self.write(&world).await,
                45..78 => self.come_or_go(&world).await,
                78..90 => self.read(&world).await,
                90..98 => self.mute(&world).await,
                _ => self.log_out(&world).await,
            }
            sleep(Duration::from_millis(self.rng.u64(PAUSE))).await;
        }
        self
    }

    fn peer(&mut self) -> usize {
        (self.no + self.rng.usize(1..=PEERS)) % USERS
    }

    async fn write(&mut self, world: &World) {
        let (to, number) = (self.peer(), world.numbers.fetch_add(1, Ordering::Relaxed));
        let request = SendRequest {
            to: Some(To::UserId(name(to))),
            client_message_id: Uuid::new_v4().to_string(),
            content: Some(send_request::Content::Text(number.to_string())),
            ..SendRequest::default()
        };
        self.terminals[0].send(request, PATIENCE).await.expect("sent");
        let message = Message { from: self.no, to, acknowledged: Instant::now() };
        world.sent.lock().expect("no panic").insert(number, message);
    }

    async fn come_or_go(&mut self, world: &Arc<World>) {
        let place = self.rng.usize(..3);
        let seen = || world.seen[self.no][place].lock().expect("no panic");
        if let Some(following) = self.following[place].take() {
            let _ = following.stop.send(());
            self.cursors[place] = following.task.await.expect("no panic");
            seen().online = false;
        } else if seen().logged_out.is_none() {
            seen().online = true;
            let (terminal, cursor) = (&self.terminals[place], &self.cursors[place]);
            self.following[place] = Some(world.follow(self.no, place, terminal, cursor));
        }
    }

    /// Marks what came last of a peer to any of the terminals as read, on another one perhaps.
    async fn read(&mut self, world: &World) {
        // Whoever writes to this user stands before it.
        let peer = (self.no + USERS - self.rng.usize(1..=PEERS)) % USERS;
        let of_peer = |number: &u64| {
            world.sent.lock().expect("no panic").get(number).is_some_and(|sent| sent.from == peer)
        };
        let got = world.seen[self.no].iter().flat_map(|seen| {
            let got = &seen.lock().expect("no panic").got;
            got.iter().map(|(number, got)| (*number, got.seq)).collect::<Vec<_>>()
        });
        let Some((number, seq)) = got.filter(|(number, _)| of_peer(number)).max() else { return };
        let asked = Asked { peer, asked: Instant::now(), answered: None };
        let at = {
            let mut did = world.did[self.no].lock().expect("no panic");
            did.reads.push((asked, number));
            did.reads.len() - 1
        };
        let request = MarkReadRequest { conversation_id: conversation(peer), seq };
        let Ok(channel) = self.terminals[self.rng.usize(..2)].channel().await else { return };
        // Unanswered when its node has just been killed: then the judge knows nothing.
        if MessageServiceClient::new(channel).mark_read(request).await.is_ok() {
            let mut did = world.did[self.no].lock().expect("no panic");
            did.reads[at].0.answered = Some(Instant::now());
        }
    }

    /// Mutes a conversation, or takes that back.
    async fn mute(&mut self, world: &World) {
        let peer = (self.no + USERS - self.rng.usize(1..=PEERS)) % USERS;
        let asked = Asked { peer, asked: Instant::now(), answered: None };
        let (at, until) = {
            let mut did = world.did[self.no].lock().expect("no panic");
            let muted =
                did.mutes.iter().position(|(mute, over)| mute.peer == peer && over.is_none());
            if let Some(at) = muted {
                did.mutes[at].1 = Some(asked);
                (at, 0)
            } else {
                did.mutes.push((asked, None));
                (did.mutes.len() - 1, 4_000_000_000)
            }
        };
        let request = UpdateConversationRequest {
            conversation_id: conversation(peer),
            muted_until: Some(prost_types::Timestamp { seconds: until, nanos: 0 }),
            ..UpdateConversationRequest::default()
        };
        let Ok(channel) = self.terminals[self.rng.usize(..2)].channel().await else { return };
        if MessageServiceClient::new(channel).update_conversation(request).await.is_ok() {
            let mut did = world.did[self.no].lock().expect("no panic");
            let (mute, over) = &mut did.mutes[at];
            over.as_mut().unwrap_or(mute).answered = Some(Instant::now());
        }
    }

    async fn log_out(&mut self, world: &World) {
        let seen = &world.seen[self.no][2];
        if self.following[2].is_some() || seen.lock().expect("no panic").logged_out.is_some() {
            return;
        }
        if self.terminals[2].logout().await.is_ok() {
            seen.lock().expect("no panic").logged_out = Some(Instant::now());
        }
    }
}

impl Asked {
    /// As [`World::stood`].
    fn stood(&self, world: &World, at: Instant) -> bool {
        self.answered.is_some_and(|answered| world.stood(answered, at))
    }
}

/// What speaks against a notification.
fn objection(world: &World, told: &Told) -> Option<String> {
    let Told { user, terminal, number, at } = told;
    let seen = world.seen[*user][*terminal].lock().expect("no panic");
    let did = world.did[*user].lock().expect("no panic");
    let from = world.sent.lock().expect("no panic").get(number).map(|sent| sent.from);
    let late = |then: Instant| world.stood(then, *at);
    if let Some(known) = seen.got.get(number).and_then(|got| got.known)
        && late(known)
    {
        // That it had, and how far it was when it opened a stream, is forgotten when its node is killed right then.
        let kills = world.kills.lock().expect("no panic");
        let stays = |noted: &Instant| {
            let about = *noted..*noted + UNWRITTEN;
            late(*noted) && !kills.iter().any(|kill| about.contains(kill))
        };
        let stood =
            stays(&known) || seen.opened.iter().any(|opened| *opened > known && stays(opened));
        let since = |then: &Instant| at.duration_since(*then);
        return stood.then(|| {
            let opened: Vec<_> = seen.opened.iter().map(since).collect();
            let kills: Vec<_> = kills.iter().map(since).collect();
            let known = since(&known);
            format!("had it for {known:.1?}; streams {opened:.1?} and deaths {kills:.1?} before")
        });
    }
    if let Some(then) = seen.logged_out
        && late(then)
    {
        return Some(format!("it has been logged out for {:.1?}", at.duration_since(then)));
    }
    let is_read = |(read, newest): &(Asked, u64)| {
        Some(read.peer) == from && newest >= number && read.stood(world, *at)
    };
    if did.reads.iter().any(is_read) {
        return Some("the message was read elsewhere".to_owned());
    }
    let is_muted = |(mute, over): &(Asked, Option<Asked>)| {
        Some(mute.peer) == from
            && mute.stood(world, *at)
            && over.as_ref().is_none_or(|over| over.asked > *at)
    };
    let (mute, _) = did.mutes.iter().find(|mute| is_muted(mute))?;
    let since = at.duration_since(mute.answered.unwrap_or(mute.asked));
    Some(format!("the conversation has been muted for {since:.1?}"))
}

/// What each terminal without a stream should have been told of: of each conversation the newest message that it
/// lacks, unless that was read, or the conversation muted, at any time since.
fn due(world: &World) -> Vec<(usize, usize, u64)> {
    let mut due = Vec::new();
    let sent = world.sent.lock().expect("no panic");
    let mut received: Vec<Vec<(&u64, &Message)>> = (0..USERS).map(|_| Vec::new()).collect();
    for (number, message) in &*sent {
        received[message.to].push((number, message));
    }
    for (user, received) in received.iter().enumerate() {
        let did = world.did[user].lock().expect("no panic");
        for (terminal, seen) in world.seen[user].iter().enumerate() {
            let seen = seen.lock().expect("no panic");
            if seen.online || seen.logged_out.is_some() {
                continue;
            }
            let mut newest: HashMap<usize, (u64, Instant)> = HashMap::new();
            for (number, message) in
                received.iter().filter(|(number, _)| !seen.got.contains_key(number))
            {
                let newest = newest.entry(message.from).or_insert((**number, message.acknowledged));
                *newest = (**number, message.acknowledged).max(*newest);
            }
            for (peer, (number, sent)) in newest {
                let read = |(read, newest): &(Asked, u64)| read.peer == peer && *newest >= number;
                let muted = |(mute, over): &(Asked, Option<Asked>)| {
                    let over = over.as_ref().and_then(|over| over.answered);
                    mute.peer == peer && over.is_none_or(|over| over > sent)
                };
                if !did.reads.iter().any(read) && !did.mutes.iter().any(muted) {
                    due.push((user, terminal, number));
                }
            }
        }
    }
    due
}

async fn node(database: &Database, provider: &Provider) -> (DataFolder, Imd) {
    let folder = DataFolder::new();
    let key = folder.path().parent().expect("a folder").join("webhook.key");
    fs::write(&key, KEY).expect("a file");
    folder.write_settings(&format!(
        "push.webhook_url = \"{}\"\npush.webhook_key = \"{}\"\npush.delay = \"{DELAY}\"\nstreams.heartbeat = \"1s\"\n\
         # The database may be that of other tests too.\ndatabase.pool_size = 8\n",
        provider.url,
        key.display(),
    ));
    let imd = folder.start_node(database.url()).await;
    (folder, imd)
}

/// Writes down what comes to the provider.
fn collect(mut provider: Provider) -> mpsc::UnboundedReceiver<Told> {
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(got) = provider.next_of_all().await {
            let (token, news) = got.told();
            let at = Instant::now();
            // Or it is that something is cleared.
            let Some(text) = news["text"].as_str() else { continue };
            let (user, terminal) = token.split_once('/').expect("two numbers");
            let parsed = (user.parse(), terminal.parse(), text.parse());
            let (Ok(user), Ok(terminal), Ok(number)) = parsed else { panic!("{token} {news}") };
            let _ = tell.send(Told { user, terminal, number, at });
        }
    });
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i16_pushes_reach_the_terminals_that_lag_and_no_others() {
    let database = Database::create().await;
    let provider = Provider::start().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(node(&database, &provider).await);
    }
    let mut told = collect(provider);
    let user_ids: Vec<_> = (0..USERS).map(name).collect();
    let user_ids: Vec<_> = user_ids.iter().map(String::as_str).collect();
    nodes[0].1.create_users(&user_ids).await;
    let servers: Vec<http::Uri> = nodes
        .iter()
        .map(|(_, node)| format!("http://{}", node.public).parse().expect("a URL"))
        .collect();
    let log_in = |no| User::log_in(no, &servers, no as u64);
    let users: Vec<User> = stream::iter(0..USERS).map(log_in).buffer_unordered(8).collect().await;

    let world = Arc::new(World::new());
    let watch = tokio::spawn(world.clone().watch_for_stalls());
    let mut living: JoinSet<User> =
        users.into_iter().map(|user| user.live(world.clone())).collect();
    for (_, node) in &mut nodes[..2] {
        sleep(BUSY / 3).await;
        world.kills.lock().expect("no panic").push(Instant::now());
        node.end(Signal::SIGKILL).await;
    }
    let mut users = Vec::new();
    while let Some(user) = living.join_next().await {
        users.push(user.expect("no panic"));
    }
    let sql = database.sql().await;
    let lagging = "SELECT count(*) FROM push_tokens p JOIN sessions s USING (user_no, session_id)
         JOIN timelines t ON t.owner = p.user_no
         WHERE s.ended_at IS NULL AND NOT EXISTS (
             SELECT FROM login_points l JOIN nodes n USING (node_no)
             WHERE l.session_id = s.session_id AND n.heartbeat_at > now() - interval '10 seconds'
         ) AND t.last_seq > greatest(p.handled_seq, s.cursor_seq)";
    until("all are told", PATIENCE, async || {
        let left: i64 = sql.query_one(lagging, &[]).await.expect("a count").get(0);
        (left == 0).then_some(())
    })
    .await;

    let mut all = Vec::new();
    while let Ok(one) = told.try_recv() {
        all.push(one);
    }
    watch.abort();
    let mut times: HashMap<(usize, usize, u64), usize> = HashMap::new();
    for Told { user, terminal, number, .. } in &all {
        *times.entry((*user, *terminal, *number)).or_default() += 1;
    }
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|told| {
            let Told { user, terminal, number, .. } = told;
            let objection = objection(&world, told)?;
            Some(format!("{number} to {}'s {}: {objection}", name(*user), TERMINALS[*terminal]))
        })
        .collect();
    let due = due(&world);
    let missed: Vec<_> = due.iter().filter(|due| !times.contains_key(due)).collect();
    let again = times.values().filter(|times| **times > 1).count();
    println!(
        "{} messages, {} notifications, {again} of them again; {} terminals lag in a conversation",
        world.sent.lock().expect("no panic").len(),
        all.len(),
        due.len(),
    );
    assert!(all.len() > USERS && due.len() > USERS / 2, "too little has happened");
    assert!(wrong.is_empty(), "{} told in vain: {wrong:#?}", wrong.len());
    assert!(missed.is_empty(), "{} not told: {missed:?}", missed.len());
    assert!(again * 20 <= all.len(), "{again} of {} were told again", all.len());
}
