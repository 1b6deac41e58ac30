//! The load: one loop that sends and takes what comes.

use std::{
    ops::Range,
    pin::Pin,
    time::{Duration, Instant},
};

use futures::{
    Stream, StreamExt as _,
    stream::{self, FuturesUnordered, SelectAll},
};
use imd_client::{
    Error as ClientError, Event, SendError, Sent, Terminal, Timeline, history::SendNo,
};
use imd_proto::v1::{
    SendRequest, SignalRequest, Typing,
    message_service_client::MessageServiceClient,
    send_request::{Content, To as Recipient},
    signal_request,
};
use indicatif::{HumanCount, ProgressBar};
use tokio::{select, sync::mpsc, time::interval};
use uuid::Uuid;

use super::{
    args::LoadArgs,
    fleet::{Fleet, Following},
    ledger::{Ledger, Outcome},
    measure::Meter,
    pacer, progress,
    traffic::{To, Traffic},
};
use crate::error::Error;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

/// How long what is under way at the end may take, beyond the time that a message is tried.
const STRAGGLING: Duration = Duration::from_secs(10);

/// What a terminal is told, and how many entries had come to it a second time by then.
struct Arrival {
    terminal: usize,
    event: Result<Event, ClientError>,
    repeated: u64,
}

type Arrivals = SelectAll<Pin<Box<dyn Stream<Item = Arrival>>>>;

/// The load generator.
pub(super) struct Load<'a> {
    fleet: &'a Fleet,
    traffic: Traffic,
    /// How long a message is tried.
    patience: Duration,
    /// The most messages under way.
    outstanding: usize,
    ledger: Ledger,
    arrivals: Arrivals,
    /// For each terminal, see [`Arrival`].
    repeated: Vec<u64>,
    begin: Instant,
    /// When it is measured.
    window: Range<Instant>,
    /// When messages are due, under a fixed rate.
    schedule: Option<mpsc::UnboundedReceiver<Instant>>,
    /// When signals are due.
    signals: Option<mpsc::UnboundedReceiver<Instant>>,
}

impl<'a> Load<'a> {
    /// Opens all streams and starts the clock.
    pub(super) async fn start(
        args: &LoadArgs,
        fleet: &'a Fleet,
        patience: Duration,
    ) -> Result<Self, Error> {
        let following = fleet.follow(0).await?;
        let begin = Instant::now();
        let window = begin + args.warmup..begin + args.warmup + args.duration;
        let at: Vec<i64> = following.iter().map(|following| following.after).collect();
        let ledger = Ledger::open(fleet, &at, args.marks(), Meter::new(window.clone()));
        let arrivals =
            following.into_iter().enumerate().map(|(terminal, at)| arrivals(terminal, at));
        Ok(Self {
            fleet,
            traffic: args.traffic(),
            patience,
            outstanding: args.outstanding() as usize,
            ledger,
            arrivals: stream::select_all(arrivals),
            repeated: vec![0; fleet.terminals.len()],
            begin,
            schedule: args.rate.map(|rate| pacer::start(rate, begin, window.end)),
            signals: args.signals.map(|rate| pacer::start(rate, begin, window.end)),
            window,
        })
    }

    /// When it is measured.
    pub(super) fn window(&self) -> Range<Instant> {
        self.window.clone()
    }

    /// Loads until the end of the window, and waits for what is under way or overdue then.
    pub(super) async fn run(mut self) -> Result<Outcome, Error> {
        let (mut answers, mut signals) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut ticks = interval(TICK);
        let bar = self.bar();
        loop {
            let now = Instant::now();
            if now >= self.window.end
                && (self.is_done() || now > self.window.end + self.patience + STRAGGLING)
            {
                break;
            }
            while self.schedule.is_none() && now < self.window.end && self.has_room() {
                answers.push(self.send(now));
            }
            let room = self.has_room();
            select! {
                Some(arrival) = self.arrivals.next() => self.take(arrival)?,
                Some((send, answer)) = answers.next() => self.ledger.answered(send, answer),
                Some(due) = next_due(&mut self.schedule), if room => answers.push(self.send(due)),
                Some(signalled) = signals.next() => signalled?,
                Some(_) = next_due(&mut self.signals) => signals.push(self.signal()),
                _ = ticks.tick() => self.tick(&bar),
            }
        }
        bar.finish_and_clear();
        let unsent = self.schedule.as_ref().map_or(0, mpsc::UnboundedReceiver::len);
        Ok(self.ledger.close(unsent, self.repeated.iter().sum()))
    }

    fn has_room(&self) -> bool {
        self.ledger.under_way() < self.outstanding
    }

    /// Whether nothing is under way, and nothing that was due is still to be sent.
    fn is_done(&self) -> bool {
        let sent = self.schedule.as_ref().is_none_or(|due| due.is_closed() && due.is_empty());
        sent && self.ledger.under_way() == 0
    }

    /// Sends a message; `begun` is when it was due.
    fn send(
        &mut self,
        begun: Instant,
    ) -> impl Future<Output = (SendNo, Result<Sent, SendError>)> + use<'a> {
        let (sender, to) = self.traffic.next();
        let (number, body) = self.ledger.send(sender, to, begun);
        let recipient = match to {
            To::User(user) => Recipient::UserId(self.fleet.users[user].clone()),
            To::Group(group) => Recipient::GroupId(self.fleet.groups[group].id.clone()),
        };
        let request = SendRequest {
            to: Some(recipient),
            client_message_id: Uuid::new_v4().to_string(),
            content: Some(Content::Text(body)),
            ..SendRequest::default()
        };
        let terminals = self.fleet.terminal_types.len();
        let terminal = sender * terminals + self.traffic.terminal(terminals);
        let terminal: &'a Terminal = &self.fleet.terminals[terminal];
        let patience = self.patience;
        async move { (number, terminal.send(request, patience).await) }
    }

    /// Has one user show another that it types.
    fn signal(&mut self) -> impl Future<Output = Result<(), Error>> + use<'a> {
        let users = &self.fleet.users;
        let (from, to) = (fastrand::usize(..users.len()), fastrand::usize(..users.len()));
        let terminal = &self.fleet.terminals[from * self.fleet.terminal_types.len()];
        let request = SignalRequest {
            to: Some(signal_request::To::UserId(users[to].clone())),
            signal: Some(signal_request::Signal::Typing(Typing::Started.into())),
        };
        async move {
            let failed = |cause: String| Error::Bench(format!("a signal failed: {cause}"));
            let channel = terminal.channel().await.map_err(|error| failed(error.to_string()))?;
            let answer = MessageServiceClient::new(channel).signal(request).await;
            answer.map(drop).map_err(|status| failed(status.message().to_owned()))
        }
    }

    fn take(&mut self, Arrival { terminal, event, repeated }: Arrival) -> Result<(), Error> {
        self.repeated[terminal] = repeated;
        match event {
            Ok(Event::Entry(entry)) => self.ledger.arrived(terminal, &entry),
            Ok(Event::Opened(_)) => self.ledger.reconnected(),
            Ok(Event::Signal(_) | Event::Presence(_)) => {}
            Ok(Event::HistoryTruncated(_)) => self.ledger.disturbed("history_truncated"),
            Ok(Event::TimelineReset(_)) => self.ledger.disturbed("timeline_reset"),
            Err(error) => {
                let name = self.fleet.name(terminal);
                let hint = match error {
                    ClientError::SessionEnded(_) => "; is another bench at work here?",
                    _ => "",
                };
                return Err(Error::Bench(format!("{name} cannot go on: {error}{hint}")));
            }
        }
        Ok(())
    }

    fn bar(&self) -> ProgressBar {
        let seconds = (self.window.end - self.begin).as_secs();
        progress::bar("load", usize::try_from(seconds).unwrap_or(usize::MAX))
    }

    fn tick(&mut self, bar: &ProgressBar) {
        let now = Instant::now();
        bar.set_position((now - self.begin).as_secs());
        let complete = HumanCount(self.ledger.meter().messages());
        bar.set_message(format!("{complete} messages, {} under way", self.ledger.under_way()));
    }
}

/// What a terminal is told, up to the error that ends it.
fn arrivals(terminal: usize, following: Following) -> Pin<Box<dyn Stream<Item = Arrival>>> {
    let step = move |timeline: Option<Timeline>| async move {
        let mut timeline = timeline?;
        let event = timeline.next().await;
        let repeated = timeline.repeated();
        let rest = event.is_ok().then_some(timeline);
        Some((Arrival { terminal, event, repeated }, rest))
    };
    Box::pin(stream::unfold(Some(following.timeline), step))
}

/// The time of the next message; without a schedule none is ever due.
async fn next_due(schedule: &mut Option<mpsc::UnboundedReceiver<Instant>>) -> Option<Instant> {
    match schedule {
        Some(schedule) => schedule.recv().await,
        None => std::future::pending().await,
    }
}
