//! Messages of backends in the contract's messages.

use imd_proto::v1::{self, admin_send_result::Result as Wire, admin_sender::From as Asked};

use crate::{
    grpc::{
        message::{decode_send, encode_sent},
        send_stream::send_error,
    },
    model::{Notice, Result},
    service::{SendAs, Sender, Sent},
};

pub(super) fn decode(request: v1::AdminSendRequest) -> SendAs {
    SendAs {
        from: sender(request.from),
        message: decode_send(request.message.unwrap_or_default()),
        notice: Notice { silent: request.silent, no_push: request.no_push },
        sender_timeline: request.sender_timeline.unwrap_or(true),
        bypass: request.bypass,
    }
}

pub(super) fn sender(asked: Option<v1::AdminSender>) -> Option<Sender> {
    asked.and_then(|sender| sender.from).map(|from| match from {
        Asked::UserId(id) => Sender::User(id),
        Asked::System(name) => Sender::System(name),
    })
}

pub(super) fn result(result: Result<Sent>) -> v1::AdminSendResult {
    let result = match result {
        Ok(sent) => Wire::Sent(encode_sent(&sent)),
        Err(error) => Wire::Error(send_error(&error)),
    };
    v1::AdminSendResult { result: Some(result) }
}
