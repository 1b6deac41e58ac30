//! Terminals that are told of messages, in the contract's messages.

use imd_proto::v1;

use crate::{
    grpc::convert::{time_if_given, timestamp},
    model::{Error, PushResult},
    service::{PushQuery, PushToken},
};

pub(super) fn query(asked: &v1::ListPushTokensRequest) -> Result<PushQuery, Error> {
    Ok(PushQuery {
        user_id: asked.user_id.clone(),
        provider: asked.provider.clone(),
        since: time_if_given("since", asked.since)?,
    })
}

pub(super) fn token(token: &PushToken) -> v1::PushToken {
    v1::PushToken {
        user_id: token.user_id.to_string(),
        session_id: token.session_id.to_string(),
        terminal_type: token.terminal_type.clone(),
        device_name: token.device_name.clone(),
        provider: token.target.provider().name().to_owned(),
        failures: token.failures,
        retry_at: token.retry_at.map(timestamp),
        bound_at: Some(timestamp(token.bound_at)),
    }
}

pub(super) fn test((told, result): &(PushToken, PushResult)) -> v1::PushTest {
    // The numbers are the contract's.
    v1::PushTest { token: Some(token(told)), result: *result as i32 }
}
