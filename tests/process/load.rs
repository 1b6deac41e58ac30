//! Writers and followers that carry on whatever is killed under them, as good clients do.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::StreamExt as _;
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::support::{
    api::{Api, Events, Outgoing, Result, Transport},
    checker::Run,
    failure::Failure,
    process::in_time,
    terminal::Terminal,
    types::{Entry, Event, Sent},
};

/// Pause before what failed is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// How many messages of a user are on their way at a time.
const WRITERS: usize = 4;

/// Where the terminals find a server. It changes when they are to go to another.
pub(super) struct Address(watch::Sender<SocketAddr>);

impl Address {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self(watch::Sender::new(address))
    }

    pub(super) fn change(&self, address: SocketAddr) {
        self.0.send_replace(address);
    }
}

/// A terminal that connects again, to wherever the server is by then.
struct Line {
    terminal: Terminal,
    transport: Transport,
    address: watch::Receiver<SocketAddr>,
}

impl Line {
    fn new(terminal: &Terminal, transport: Transport, address: &Address) -> Self {
        let address = address.0.subscribe();
        Self { terminal: terminal.clone(), transport, address }
    }

    fn api(&self) -> Arc<dyn Api> {
        self.transport.connect(*self.address.borrow())
    }

    /// Pauses after a failure; panics when it is not one that passes.
    async fn bear(&self, failure: &Failure) {
        let passes = failure.outcome_is_unknown() || failure.code == "overloaded";
        assert!(passes, "{}: {failure:?}", self.terminal.user_id);
        sleep(PAUSE).await;
    }

    async fn open(&self, after: &str) -> Events {
        loop {
            match self.api().subscribe(&self.terminal.token, after).await {
                Ok(events) => return events,
                Err(failure) => self.bear(&failure).await,
            }
        }
    }
}

/// The sends of all writers, with their answers.
#[derive(Default)]
struct Sends {
    attempts: Vec<(Outgoing, Result<Sent>)>,
    acknowledged: usize,
}

/// Writes from one user to another, several messages at a time. A message whose fate is unknown is
/// sent again under the same id until it is acknowledged.
pub(super) struct Writers {
    sender: String,
    sends: watch::Sender<Sends>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Writers {
    /// Every other writer uses the other transport.
    pub(super) fn start(terminal: &Terminal, to: &str, address: &Address) -> Self {
        let sends = watch::Sender::default();
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            let transport = [Transport::Grpc, Transport::Rest][writer % 2];
            let line = Line::new(terminal, transport, address);
            let to = to.to_owned();
            let messages = (1..).map(move |no| Outgoing::text(&to, format!("{writer}: {no}")));
            tasks.spawn(write(line, messages, sends.clone(), stop.subscribe()));
        }
        Self { sender: terminal.user_id.clone(), sends, stop, tasks }
    }

    /// Waits until `more` messages have been acknowledged from now on.
    pub(super) async fn go_on_for(&self, more: usize) {
        let wanted = self.sends.borrow().acknowledged + more;
        let mut sends = self.sends.subscribe();
        let reached = sends.wait_for(|sends| sends.acknowledged >= wanted);
        assert!(in_time("acknowledgements", reached).await.is_ok());
    }

    /// Lets each writer finish the message at hand, and notes all that they sent.
    pub(super) async fn finish(mut self, run: &mut Run) {
        self.stop.send_replace(true);
        let finished = async {
            while let Some(writer) = self.tasks.join_next().await {
                writer.expect("it only meets failures that pass");
            }
        };
        in_time("the writers' last messages", finished).await;
        for (message, answer) in self.sends.send_replace(Sends::default()).attempts {
            run.sent(&self.sender, &message, answer);
        }
    }
}

async fn write(
    line: Line,
    messages: impl Iterator<Item = Outgoing>,
    sends: watch::Sender<Sends>,
    stop: watch::Receiver<bool>,
) {
    let mut terminal = line.terminal.through(line.api());
    for message in messages {
        while let Err(failure) = attempt(&terminal, &message, &sends).await {
            line.bear(&failure).await;
            terminal = terminal.through(line.api());
        }
        if *stop.borrow() {
            return;
        }
    }
}

async fn attempt(
    terminal: &Terminal,
    message: &Outgoing,
    sends: &watch::Sender<Sends>,
) -> Result<Sent> {
    let answer = terminal.send(message).await;
    sends.send_modify(|sends| {
        sends.acknowledged += usize::from(answer.is_ok());
        sends.attempts.push((message.clone(), answer.clone()));
    });
    answer
}

/// Follows a timeline from its beginning, and after each interruption from where it was.
pub(super) struct Follower {
    pub(super) user_id: String,
    name: String,
    seen: watch::Receiver<Vec<Entry>>,
    _task: JoinSet<()>,
}

impl Follower {
    pub(super) fn start(terminal: &Terminal, transport: Transport, address: &Address) -> Self {
        let (sender, seen) = watch::channel(Vec::new());
        let mut task = JoinSet::new();
        task.spawn(follow(Line::new(terminal, transport, address), sender));
        let terminal_type = &terminal.session.terminal.terminal_type;
        let name = format!("{}'s {terminal_type} over {transport:?}", terminal.user_id);
        Self { user_id: terminal.user_id.clone(), name, seen, _task: task }
    }

    /// Waits until it has seen the entry `seq`, and notes all that it has seen.
    pub(super) async fn finish(&mut self, seq: i64, run: &mut Run) {
        let reached = self.seen.wait_for(|seen| seen.last().is_some_and(|last| last.seq >= seq));
        let seen = in_time(&self.name, reached).await.expect("it goes on").clone();
        run.saw(&self.user_id, &self.name, 0, seen);
    }
}

async fn follow(line: Line, seen: watch::Sender<Vec<Entry>>) {
    let mut cursor = String::new();
    loop {
        let mut events = line.open(&cursor).await;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Entry(entry)) => {
                    cursor.clone_from(&entry.cursor);
                    seen.send_modify(|seen| seen.push(entry));
                }
                Ok(Event::Opened(_) | Event::Heartbeat | Event::Reconnect) => {}
                Ok(lost) => panic!("{}: {lost:?}", line.terminal.user_id),
                Err(failure) => line.bear(&failure).await,
            }
        }
    }
}

/// The whole timeline of a terminal's user, pulled.
pub(super) async fn pull_all(terminal: &Terminal) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut after = String::new();
    loop {
        let stretch = terminal.pull(&after).await.expect("a stretch of the timeline");
        assert_eq!((stretch.history_truncated, stretch.timeline_reset), (None, None));
        entries.extend(stretch.entries);
        after = stretch.next_after;
        if entries.last().is_none_or(|last| last.seq >= stretch.state.last_seq) {
            return entries;
        }
    }
}
