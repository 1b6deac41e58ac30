//! Everybody's sessions in the contract's messages.

use imd_proto::v1::{self, kick_sessions_request::Which};

use crate::{
    grpc::convert,
    model::Error,
    service::{AdminSession, Kick, SessionQuery, SessionState},
};

pub(super) fn query(asked: &v1::ListSessionsRequest) -> Result<SessionQuery, Error> {
    let state = |number: i16| match v1::SessionState::try_from(i32::from(number)).ok()? {
        v1::SessionState::Unspecified => None,
        v1::SessionState::Online => Some(SessionState::Online),
        v1::SessionState::Offline => Some(SessionState::Offline),
        v1::SessionState::Ended => Some(SessionState::Ended),
    };
    Ok(SessionQuery {
        user_id: asked.user_id.clone(),
        terminal_type: asked.terminal_type.clone(),
        state: convert::state_filter(asked.state, state)?,
        since: convert::time_if_given("since", asked.since)?,
    })
}

pub(super) fn kick(which: Which) -> Option<Kick> {
    match which {
        Which::SessionId(id) => Some(Kick::Session(id)),
        Which::TerminalType(name) => Some(Kick::TerminalType(name)),
        Which::All(all) => all.then_some(Kick::All),
    }
}

pub(super) fn session(listed: &AdminSession) -> v1::AdminSession {
    let state = match listed.state() {
        SessionState::Online => v1::SessionState::Online,
        SessionState::Offline => v1::SessionState::Offline,
        SessionState::Ended => v1::SessionState::Ended,
    };
    v1::AdminSession {
        user_id: listed.user_id.to_string(),
        session: Some(convert::session(&listed.session, None)),
        state: state.into(),
        nodes: listed.nodes.clone(),
        cursor: listed.cursor.map(|cursor| cursor.to_string()).unwrap_or_default(),
        lag: listed.lag,
    }
}
