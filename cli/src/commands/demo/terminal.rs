//! A terminal of the demo: a client that follows its user's timeline.

use std::time::Duration;

use imd_proto::v1::{
    Entry, IfOccupied, LoginRequest, MemberChange, MemberChanged, PullTimelineRequest,
    RefreshRequest, Session, SessionChanged, SessionEnd, SubscribeRequest, SubscribeResponse,
    Terminal as TerminalOfUser, TimelineState, Tokens, auth_service_client::AuthServiceClient,
    entry::Kind, group_service_client::GroupServiceClient, login_request::Credential,
    message_service_client::MessageServiceClient, subscribe_response::Event,
};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::{public::PublicServer, story::Person};
use crate::{
    client::{AuthorizedChannel, Bearer, bearer},
    error::{Error, describe},
};

/// Where a stream of what comes begins.
pub(super) const NOW: &str = "now";
/// Where a stream of everything begins.
pub(super) const FLOOR: &str = "";

/// A logged-in terminal with an open stream. It checks that the stream has no gap.
pub(super) struct Terminal {
    /// Such as "alice's phone".
    pub(super) name: String,
    /// Its user's id.
    pub(super) user_id: String,
    pub(super) session: Session,
    pub(super) calls: MessageServiceClient<AuthorizedChannel>,
    pub(super) groups: GroupServiceClient<AuthorizedChannel>,
    auth: AuthServiceClient<Channel>,
    tokens: Tokens,
    events: Streaming<SubscribeResponse>,
    /// The place of the newest entry it has.
    seq: i64,
    /// The cursor after that entry.
    cursor: String,
    server: PublicServer,
}

/// What the stream has next.
enum Next {
    Entry(Box<Entry>),
    Ended(SessionEnd),
}

impl Terminal {
    /// Logs in as a terminal type on a new device called `name`, and opens a stream at [`FLOOR`] or
    /// [`NOW`]. Gives the sessions that had to make place, too.
    pub(super) async fn login(
        server: &PublicServer,
        person: &Person,
        terminal_type: &str,
        name: &str,
        after: &str,
    ) -> Result<(Self, Vec<Session>), Error> {
        let channel = server.connect().await?;
        let mut auth = AuthServiceClient::new(channel.clone());
        let request = LoginRequest {
            user_id: person.user_id.clone(),
            credential: Some(Credential::Password(person.password.clone())),
            terminal: Some(TerminalOfUser {
                r#type: terminal_type.to_owned(),
                device_id: Uuid::new_v4().to_string(),
                device_name: name.to_owned(),
            }),
            if_occupied: IfOccupied::Replace.into(),
        };
        let answer = auth.login(request).await;
        let answer = answer.map_err(|status| server.failure(status))?.into_inner();
        let tokens = answer.tokens.unwrap_or_default();
        let token = bearer(&tokens.access_token)
            .map_err(|_| Error::Demo(format!("{name}: the access token is no ASCII text")))?;
        let groups = GroupServiceClient::with_interceptor(channel.clone(), Bearer(token.clone()));
        let mut calls = MessageServiceClient::with_interceptor(channel, Bearer(token));
        let (events, state) = open(&mut calls, server, name, after).await?;
        let seq = if after == NOW { state.last_seq } else { state.floor - 1 };
        let terminal = Self {
            name: name.to_owned(),
            user_id: person.user_id.clone(),
            session: answer.session.unwrap_or_default(),
            calls,
            groups,
            auth,
            tokens,
            events,
            seq,
            cursor: format!("{}.{seq}", state.epoch),
            server: server.clone(),
        };
        Ok((terminal, answer.replaced))
    }

    /// The next message in the timeline. Changes of sessions are passed over.
    pub(super) async fn next_message(&mut self) -> Result<Entry, Error> {
        self.wait("a message", |next| match next {
            Next::Entry(entry) => {
                Ok(matches!(entry.kind, Some(Kind::Message(_))).then_some(*entry))
            }
            Next::Ended(_) => Err("its session ended"),
        })
        .await
    }

    /// The entry that says that such a change came over members of a group. Others are passed over.
    pub(super) async fn change_of_members(
        &mut self,
        change: MemberChange,
    ) -> Result<MemberChanged, Error> {
        self.wait("a change of a group's members", |next| match next {
            Next::Entry(entry) => match entry.kind {
                Some(Kind::MemberChanged(changed)) if changed.change() == change => {
                    Ok(Some(changed))
                }
                _ => Ok(None),
            },
            Next::Ended(_) => Err("its session ended"),
        })
        .await
    }

    /// How many entries there are behind the last that it has.
    pub(super) async fn entries_behind(&mut self) -> Result<usize, Error> {
        let request = PullTimelineRequest { after: self.cursor.clone(), ..Default::default() };
        let pulled = self.calls.pull_timeline(request).await;
        let pulled = pulled.map_err(|status| self.server.failure(status))?.into_inner();
        Ok(pulled.entries.len())
    }

    /// The entry that says that a session of the user ended.
    pub(super) async fn end_of(&mut self, session: &Session) -> Result<SessionChanged, Error> {
        self.wait("the end of another terminal's session", |next| match next {
            Next::Entry(entry) => {
                let Some(Kind::SessionChanged(change)) = entry.kind else {
                    return Err("another entry came first");
                };
                let ended = change.ended.iter().any(|ended| ended.session_id == session.session_id);
                Ok(ended.then_some(change))
            }
            Next::Ended(_) => Err("its own session ended"),
        })
        .await
    }

    /// The end of its own session, after which the stream must close.
    pub(super) async fn own_end(&mut self) -> Result<SessionEnd, Error> {
        let end = self
            .wait("the end of its session", |next| match next {
                Next::Entry(_) => Ok(None),
                Next::Ended(end) => Ok(Some(end)),
            })
            .await?;
        let after = timeout(self.server.patience, self.events.message()).await;
        match after {
            Ok(Ok(None)) => Ok(end),
            Ok(Ok(Some(event))) => Err(self.fault(&format!("after session_ended came {event:?}"))),
            Ok(Err(status)) => {
                Err(self.fault(&format!("after session_ended came {}", describe(&status))))
            }
            Err(_) => Err(self.fault("its stream stayed open after session_ended")),
        }
    }

    /// Tries the tokens of the ended session: access and refresh token must be refused, for the
    /// reason that ended it.
    pub(super) async fn must_be_refused(&mut self, end_reason: &str) -> Result<(), Error> {
        let request = PullTimelineRequest { limit: 1, ..Default::default() };
        let read = self.calls.pull_timeline(request).await.map(drop);
        self.check_refusal("access", read, end_reason)?;
        let request = RefreshRequest { refresh_token: self.tokens.refresh_token.clone() };
        let refreshed = self.auth.refresh(request).await.map(drop);
        self.check_refusal("refresh", refreshed, end_reason)
    }

    fn check_refusal(
        &self,
        token: &str,
        answer: Result<(), Status>,
        end_reason: &str,
    ) -> Result<(), Error> {
        let Err(status) = answer else {
            return Err(self.fault(&format!("its {token} token still works")));
        };
        let info = status.get_details_error_info();
        let right = info.is_some_and(|info| {
            info.reason == "session_ended"
                && info.metadata.get("end_reason").is_some_and(|told| told == end_reason)
        });
        if status.code() == Code::Unauthenticated && right {
            return Ok(());
        }
        Err(self.fault(&format!(
            "its {token} token should be refused with session_ended and {end_reason}, but the answer \
             is {:?}: {}, {:?}",
            status.code(),
            describe(&status),
            status.get_details_error_info(),
        )))
    }

    /// Reads on until `pick` takes something or objects.
    async fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(Next) -> Result<Option<T>, &'static str>,
    ) -> Result<T, Error> {
        let patience = self.server.patience;
        let search = async {
            loop {
                let next = self.next().await?;
                match pick(next) {
                    Ok(None) => {}
                    Ok(Some(found)) => return Ok(found),
                    Err(objection) => {
                        return Err(self.fault(&format!("waits for {what}, but {objection}")));
                    }
                }
            }
        };
        match timeout(patience, search).await {
            Ok(found) => found,
            Err(_) => Err(self.late(what, patience)),
        }
    }

    /// The next entry or the end. As a real client does, it opens a stream that broke off anew.
    async fn next(&mut self) -> Result<Next, Error> {
        loop {
            let event = self.events.message().await;
            let Some(event) = event.map_err(|status| self.server.failure(status))? else {
                self.reopen().await?;
                continue;
            };
            match event.event {
                Some(Event::Entry(entry)) => {
                    self.advance(&entry)?;
                    return Ok(Next::Entry(Box::new(entry)));
                }
                Some(Event::SessionEnded(end)) => return Ok(Next::Ended(end)),
                Some(Event::Reconnect(_)) => self.reopen().await?,
                Some(Event::HistoryTruncated(_) | Event::TimelineReset(_)) => {
                    return Err(self.fault("its new timeline is said to have lost entries"));
                }
                Some(
                    Event::Opened(_) | Event::Heartbeat(_) | Event::Signal(_) | Event::Presence(_),
                )
                | None => {}
            }
        }
    }

    async fn reopen(&mut self) -> Result<(), Error> {
        let (events, _) = open(&mut self.calls, &self.server, &self.name, &self.cursor).await?;
        self.events = events;
        Ok(())
    }

    fn advance(&mut self, entry: &Entry) -> Result<(), Error> {
        if entry.seq != self.seq + 1 {
            let gap = format!("after entry {} came entry {}", self.seq, entry.seq);
            return Err(self.fault(&gap));
        }
        self.seq = entry.seq;
        self.cursor.clone_from(&entry.cursor);
        Ok(())
    }

    fn late(&self, what: &str, patience: Duration) -> Error {
        self.fault(&format!("waited {} for {what}", humantime::format_duration(patience)))
    }

    /// Something about this terminal is not as it should be.
    pub(super) fn fault(&self, what: &str) -> Error {
        Error::Demo(format!("{}: {what}", self.name))
    }
}

/// Opens a stream; gives it and how far the timeline reaches.
async fn open(
    calls: &mut MessageServiceClient<AuthorizedChannel>,
    server: &PublicServer,
    name: &str,
    after: &str,
) -> Result<(Streaming<SubscribeResponse>, TimelineState), Error> {
    let request = SubscribeRequest { after: after.to_owned(), ..SubscribeRequest::default() };
    let failure = |status| server.failure(status);
    let mut events = calls.subscribe(request).await.map_err(failure)?.into_inner();
    match timeout(server.patience, events.message()).await {
        Ok(Ok(Some(SubscribeResponse { event: Some(Event::Opened(state)) }))) => {
            Ok((events, state))
        }
        Ok(Ok(other)) => {
            Err(Error::Demo(format!("{name}: a stream must begin with `opened`, not {other:?}")))
        }
        Ok(Err(status)) => Err(failure(status)),
        Err(_) => Err(Error::Demo(format!("{name}: the stream did not begin"))),
    }
}
