//! Terminals that are told of messages, in the contract's messages.

use imd_proto::v1;

use crate::{grpc::convert::timestamp, model::PushResult, service::PushToken};

pub(super) fn token(token: &PushToken) -> v1::PushToken {
    v1::PushToken {
        user_id: token.user_id.to_string(),
        session_id: token.session_id.to_string(),
        terminal_type: token.terminal_type.clone(),
        device_name: token.device_name.clone(),
        provider: token.target.provider().name().to_owned(),
        failures: token.failures,
        retry_at: token.retry_at.map(timestamp),
    }
}

pub(super) fn test((told, result): &(PushToken, PushResult)) -> v1::PushTest {
    // The numbers are the contract's.
    v1::PushTest { token: Some(token(told)), result: *result as i32 }
}
