//! Following.

use imd_client::{Error, Event, FLOOR, NOW, Timeline, proto};
use proto::subscribe_response::Event as Told;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use crate::scripted::{Server, SubscribeCall, error, login, soon, tell, tell_entry, tokens};

/// A timeline that is followed in the background, and what it has told.
struct Follower {
    told: mpsc::UnboundedReceiver<Result<Event, Error>>,
    /// The cursor after what was told last, and how many entries had come again by then.
    state: tokio::sync::watch::Receiver<(String, u64)>,
}

impl Follower {
    fn start(mut timeline: Timeline) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let (note, state) = tokio::sync::watch::channel(Default::default());
        tokio::spawn(async move {
            loop {
                let next = timeline.next().await;
                note.send_replace((timeline.cursor().to_owned(), timeline.repeated()));
                let over = next.is_err();
                let _ = tell.send(next);
                if over {
                    let _ = tell.send(timeline.next().await);
                    return;
                }
            }
        });
        Self { told, state }
    }

    async fn next(&mut self) -> Result<Event, Error> {
        soon(self.told.recv()).await.expect("it follows")
    }

    /// The next event, which must be the opening of a stream.
    async fn opened(&mut self) {
        assert!(matches!(self.next().await, Ok(Event::Opened(_))));
    }

    /// The seq of the next event, which must be an entry.
    async fn entry(&mut self) -> i64 {
        match self.next().await {
            Ok(Event::Entry(entry)) => entry.seq,
            other => panic!("{other:?}"),
        }
    }

    fn cursor(&self) -> String {
        self.state.borrow().0.clone()
    }
}

impl Server {
    async fn subscribe(&mut self) -> SubscribeCall {
        soon(self.subscribes.recv()).await.expect("the server runs")
    }
}

#[tokio::test]
async fn a_broken_stream_is_resumed_by_cursor_on_another_server() {
    let (mut first, mut second) = (Server::start(900).await, Server::start(900).await);
    let mut follower = Follower::start(login(&[&first, &second]).await.follow(FLOOR));
    let call = first.subscribe().await;
    assert_eq!(call.request.after, "");
    let events = call.open(2);
    follower.opened().await;
    for seq in [1, 2] {
        tell_entry(&events, seq);
        assert_eq!(follower.entry().await, seq);
    }
    events.send(Err(Status::unavailable("pulled the plug"))).expect("the stream is open");

    let call = second.subscribe().await;
    assert_eq!(call.request.after, "1.2");
    let events = call.open(3);
    follower.opened().await;
    tell_entry(&events, 3);
    assert_eq!(follower.entry().await, 3);
    assert_eq!(follower.cursor(), "1.3");
}

#[tokio::test]
async fn a_stream_that_just_ends_or_is_sent_elsewhere_is_resumed_too() {
    let mut server = Server::start(900).await;
    let mut follower = Follower::start(login(&[&server]).await.follow("1.5"));
    let events = server.subscribe().await.open(5);
    follower.opened().await;
    drop(events);
    let events = server.subscribe().await.open(5);
    follower.opened().await;
    tell(&events, Told::Reconnect(proto::Reconnect {}));
    assert_eq!(server.subscribe().await.request.after, "1.5");
}

#[tokio::test]
async fn a_server_that_cannot_open_the_stream_now_is_asked_again() {
    let mut server = Server::start(900).await;
    let mut follower = Follower::start(login(&[&server]).await.follow(FLOOR));
    server.subscribe().await.fail(error(Code::Internal, "internal", &[]));
    server.subscribe().await.fail(error(Code::Unavailable, "unavailable", &[]));
    let _events = server.subscribe().await.open(0);
    follower.opened().await;
}

#[tokio::test]
async fn now_is_where_the_first_stream_began() {
    let mut server = Server::start(900).await;
    let mut follower = Follower::start(login(&[&server]).await.follow(NOW));
    let call = server.subscribe().await;
    assert_eq!(call.request.after, "now");
    drop(call.open(41));
    follower.opened().await;
    assert_eq!(server.subscribe().await.request.after, "1.41");
}

#[tokio::test]
async fn entries_that_come_again_are_dropped() {
    let mut server = Server::start(900).await;
    let mut follower = Follower::start(login(&[&server]).await.follow("1.3"));
    let events = server.subscribe().await.open(5);
    follower.opened().await;
    for seq in [3, 4, 4, 2, 5] {
        tell_entry(&events, seq);
    }
    assert_eq!(follower.entry().await, 4);
    assert_eq!(follower.entry().await, 5);
    assert_eq!(*follower.state.borrow(), ("1.5".to_owned(), 3));
}

#[tokio::test]
async fn lost_history_is_told_and_moves_the_cursor() {
    let mut server = Server::start(900).await;
    let mut follower = Follower::start(login(&[&server]).await.follow(FLOOR));
    let events = server.subscribe().await.open(9);
    follower.opened().await;
    let gone = proto::HistoryTruncated { from: 1, to: 7, retention: None };
    tell(&events, Told::HistoryTruncated(gone.clone()));
    assert_eq!(follower.next().await.expect("it goes on"), Event::HistoryTruncated(gone));
    assert_eq!(follower.cursor(), "1.7");
    let reset = proto::TimelineReset { epoch: 2 };
    tell(&events, Told::TimelineReset(reset));
    assert_eq!(follower.next().await.expect("it goes on"), Event::TimelineReset(reset));
    tell_entry(&events, 1);
    assert_eq!(follower.entry().await, 1);
}

#[tokio::test]
async fn the_end_of_the_session_is_the_end_of_everything() {
    let mut server = Server::start(900).await;
    let terminal = login(&[&server]).await;
    let mut follower = Follower::start(terminal.follow(FLOOR));
    let events = server.subscribe().await.open(0);
    follower.opened().await;
    let reason = proto::EndReason::Kicked.into();
    tell(&events, Told::SessionEnded(proto::SessionEnd { reason, ..Default::default() }));
    drop(events);
    for _ in 0..2 {
        let Err(Error::SessionEnded(end)) = follower.next().await else {
            panic!("the session has ended");
        };
        assert_eq!(end.reason(), proto::EndReason::Kicked);
    }
    // Its other calls do not even try.
    assert!(matches!(soon(terminal.channel()).await, Err(Error::SessionEnded(_))));
    assert!(server.subscribes.try_recv().is_err());
}

#[tokio::test]
async fn an_expired_token_is_replaced_and_the_stream_opened_with_the_new_one() {
    let mut server = Server::start(900).await;
    let mut follower = Follower::start(login(&[&server]).await.follow(FLOOR));
    server.subscribe().await.fail(error(Code::Unauthenticated, "invalid_token", &[]));
    let exchange = soon(server.refreshes.recv()).await.expect("the server runs");
    assert_eq!(exchange.request.refresh_token, "refresh-0");
    exchange.answer(tokens(1, 900));
    let call = server.subscribe().await;
    assert_eq!(call.token, "access-1");
    let _events = call.open(0);
    follower.opened().await;
}
